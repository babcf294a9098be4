"""The canaries of a configuration: packs, keys, graders and the plan, read once before anything starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.config import Config, Endpoint, Target, api_key, canary_key
from service.config.mistakes import near
from service.config.secrets import CANARY_KEY
from service.errors import ConfigError
from service.graders import read_calibration
from service.main import grading
from service.main.watches import Watch, stretched, watches_of
from service.probes.loading import load_pack
from service.records.probes import ProbeStream

CALIBRATION_EVERY = 86_400.0
"""Seconds between two rounds of a judge's labelled answers."""


@dataclass(frozen=True, slots=True)
class Canaries:
    """Everything that is asked. Immutable; :class:`service.main.clients.Opened` holds connections."""

    config: Config
    watches: tuple[Watch, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str | None] = field(default_factory=dict)
    key: bytes | None = None

    @classmethod
    def load(cls, config: Config) -> "Canaries":
        """Read packs, system prompts and keys. Raises ConfigError and DataError for the first that cannot be used."""
        settings = config.probes
        _check(config)
        packs = [load_pack(name, golden=settings.golden, allow_code=settings.allow_code) for name in settings.packs]
        for pack in packs:
            for suite in pack.suites:
                grading.check(pack, suite, config)
        prompts = {name: _text(name, target) for name, target in config.targets.items()}
        endpoints: dict[str, Endpoint] = {f"targets.{name}": each for name, each in config.targets.items()}
        endpoints |= {f"judges.{name}": each for name, each in config.judges.items()}
        keys = {name: api_key(name, each) for name, each in endpoints.items()}
        watches = [watch for pack in packs for watch in watches_of(config, pack, prompts)]
        if twice := {watch.name for watch in watches if sum(other.name == watch.name for other in watches) > 1}:
            raise ConfigError(f"probes.packs: suite {min(twice)} comes twice; expected packs of different ids")
        _check_every(config, watches)
        _check_gates(config, watches)
        return cls(config, tuple(stretched(config, watches)), prompts, keys, canary_key(settings))

    @property
    def streams(self) -> tuple[ProbeStream, ...]:
        """What the decider tests."""
        asked = tuple(stream for watch in self.watches if watch.blocked is None for stream in watch.streams())
        sizes = {name: len(read_calibration(self.config.judges[name].calibration)) for name in self.judges}
        return asked + tuple(
            ProbeStream(model, name, f"judge/{name}", "", "judge", sizes[name], CALIBRATION_EVERY, severity="ticket")
            for name, models in self.judges.items()
            for model in models
        )

    @property
    def judges(self) -> dict[str, tuple[str, ...]]:
        """Judge -> models whose answers it grades."""
        asked = [(name, watch.model) for watch in self.watches if watch.blocked is None for name in grading.judges_asked(watch.suite)]
        return {name: tuple(sorted({model for judge, model in asked if judge == name})) for name in sorted({name for name, _ in asked})}


def _check(config: Config) -> None:
    for name, target in config.targets.items():
        if target.through_gateway and canary_key(config.probes) is None:
            raise ConfigError(f"targets.{name}.through_gateway: expected a key that signs canaries: probes.tag_key_file or {CANARY_KEY}")
    if config.targets and not any(target.role == "live" for target in config.targets.values()):
        raise ConfigError("targets: expected one of role live; the others are asked beside it")


def _check_every(config: Config, watches: Sequence[Watch]) -> None:
    known = tuple(sorted({watch.suite_name for watch in watches}))
    for name, every in config.probes.every.items():
        if name not in known:
            told = ", ".join(known) or "those of probes.packs"
            raise ConfigError(f"probes.every.{name}: no such suite; {near(name, known)}expected one of {told}")
        if every < 2:
            raise ConfigError(f"probes.every.{name}: expected at least 2s")


def _check_gates(config: Config, watches: Sequence[Watch]) -> None:
    """A gate that waits for a suite which nobody asks would be inconclusive for ever."""
    for name, gate in config.gates.items():
        known = tuple(sorted({watch.suite_name for watch in watches if watch.model == gate.model}))
        for suite in gate.suites:
            if suite not in known:
                told = ", ".join(known) or f"none, for no target of role live monitors {gate.model}"
                raise ConfigError(f"gates.{name}.suites: no such suite '{suite}'; {near(suite, known)}expected: {told}")


def _text(name: str, target: Target) -> str:
    if target.system_prompt_file is None:
        return ""
    try:
        return target.system_prompt_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"targets.{name}.system_prompt_file: {target.system_prompt_file} cannot be read: {reason}") from None
