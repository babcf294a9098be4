"""The canaries of a configuration: packs, targets, judges and graders wired to the runner. Read once, before anything starts."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.canary.probe import Asked, Calibration, Grading, Probe, Side
from service.canary.runner import Runner, Seams
from service.canary.schedule import Schedule
from service.canary.share import Need, stretches
from service.canary.turnstile import Turnstile
from service.config import Config, Endpoint, Target, api_key, canary_key
from service.errors import ConfigError
from service.graders import Judge, calibrate, read_calibration
from service.logging import fields
from service.main import grading
from service.probes import tags
from service.probes.attacks import attack_allowed
from service.probes.budget import DAY, Budget, Spent
from service.probes.loading import load_pack
from service.probes.pack import Pack, Suite
from service.probes.render import Cost, cost, render
from service.probes.target import TargetClient
from service.records.probes import ATTACKS, Call, Counts, ProbeStream, Reply
from service.records.probes import Spent as Kept
from service.store import ProbeHistory

_log = logging.getLogger(__name__)

UNSIGNED = b"tiltmeter: no key is set"
"""Derives nonces and digests where no key is set: they are then the same everywhere, and no secret."""

FINGERPRINTS = ("identity", "tokens", "logprobs", "answers")
"""Categories that a fingerprint suite counts."""

CALIBRATION_EVERY = 86_400.0
"""Seconds between two rounds of a judge's labelled answers."""

_BESIDE = ("base", "fallback", "previous")


@dataclass(frozen=True, slots=True)
class Watch:
    """One suite at one live target, as it is planned.

    Attributes:
        beside: names of the targets that are asked the same, the base model first.
        cost: of a round at one target. blocked: why it is not asked; None where it is. stretch: of its interval, by the budget.
    """

    model: str
    target: str
    beside: tuple[str, ...]
    pack: Pack
    suite: Suite
    every: float
    cost: Cost
    blocked: str | None = None
    stretch: int = 1

    @property
    def suite_name(self) -> str:
        """``<pack>/<suite>``."""
        return f"{self.pack.id}/{self.suite.id}"

    @property
    def name(self) -> str:
        """``<model>/<target>/<suite>``."""
        return f"{self.model}/{self.target}/{self.suite_name}"

    @property
    def rank(self) -> int:
        """As of a probe."""
        return 0 if self.suite.kind == "golden" else 1 if self.suite.kind in ATTACKS else 2

    def schedule(self, zone: str) -> Schedule:
        """When it is asked."""
        given = self.suite.schedule
        return Schedule(self.name, self.every, given.jitter, given.hours, zone, stretch=self.stretch)

    def streams(self) -> Iterator[ProbeStream]:
        """What the decider tests: a stream for each category, the suite's weight shared among them."""
        sizes: dict[str, int] = {}
        for asked in render(self.pack, self.suite, round_id="size", key=UNSIGNED):
            sizes[asked.category] = sizes.get(asked.category, 0) + 1
        if self.suite.kind == "fingerprint":
            sizes = dict.fromkeys(FINGERPRINTS, sum(sizes.values()))
        detector = self.suite.detector
        for category, size in sorted(sizes.items()):
            yield ProbeStream(
                model_name=self.model,
                target=self.target,
                suite=self.suite_name,
                category=category,
                kind=self.suite.kind,
                items=size,
                interval=self.every * self.stretch,
                weight=detector.weight / len(sizes),
                severity=detector.severity,
                critical=detector.critical,
                paired=detector.paired and bool(self.beside) and self.suite.kind != "fingerprint",
                judges=grading.judges_asked(self.suite),
            )


@dataclass(frozen=True, slots=True)
class Canaries:
    """Everything that is asked. Immutable; :meth:`opened` makes what holds connections."""

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
        watches = [watch for pack in packs for watch in _watches(config, pack, prompts)]
        if twice := {watch.name for watch in watches if sum(other.name == watch.name for other in watches) > 1}:
            raise ConfigError(f"probes.packs: suite {min(twice)} comes twice; expected packs of different ids")
        _check_every(config, watches)
        return cls(config, tuple(_stretched(config, watches)), prompts, keys, canary_key(settings))

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

    def opened(self) -> "Opened":
        """Clients and probes, ready to ask. On the event loop that will ask."""
        return Opened(self)


def _check(config: Config) -> None:
    for name, target in config.targets.items():
        if target.monitors not in config.models:
            raise ConfigError(f"targets.{name}.monitors: no such model {target.monitors!r}; expected one of {', '.join(config.models)}")
    if config.targets and not any(target.role == "live" for target in config.targets.values()):
        raise ConfigError("targets: expected one of role live; the others are asked beside it")


def _check_every(config: Config, watches: Sequence[Watch]) -> None:
    known = {watch.suite_name for watch in watches}
    for name, every in config.probes.every.items():
        if name not in known:
            raise ConfigError(f"probes.every.{name}: no such suite; expected one of {', '.join(sorted(known)) or 'those of probes.packs'}")
        if every < 2:
            raise ConfigError(f"probes.every.{name}: expected at least 2s")


def _text(name: str, target: Target) -> str:
    if target.system_prompt_file is None:
        return ""
    try:
        return target.system_prompt_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"targets.{name}.system_prompt_file: {target.system_prompt_file} cannot be read: {reason}") from None


def _watches(config: Config, pack: Pack, prompts: Mapping[str, str]) -> Iterator[Watch]:
    for suite in pack.suites:
        for name, target in config.targets.items():
            if target.role != "live":
                continue
            beside = _beside(config, name) if suite.detector.paired else ()
            every = config.probes.every.get(f"{pack.id}/{suite.id}", suite.schedule.every)
            blocked = _blocked(config, suite, (name, *beside))
            yield Watch(target.monitors, name, beside, pack, suite, every, cost(pack, suite, prompts[name]), blocked)


def _beside(config: Config, live: str) -> tuple[str, ...]:
    """One target of each other role of the same model, the base model first."""
    model = config.targets[live].monitors
    found = {target.role: name for name, target in reversed(config.targets.items()) if target.monitors == model}
    return tuple(found[role] for role in _BESIDE if role in found)


def _blocked(config: Config, suite: Suite, names: Sequence[str]) -> str | None:
    for name in names:
        target = config.targets[name]
        if suite.kind in ATTACKS and (reason := attack_allowed(target, config.probes)):
            return f"{name}: {reason}"
        if suite.kind == "toolcall" and target.kind == "application":
            return f"{name}: tool calls are never sent to an application"
    return None


def _stretched(config: Config, watches: Sequence[Watch]) -> Iterator[Watch]:
    zone = config.windows.time_zone
    needs = [
        Need(
            watch.name,
            watch.rank,
            watch.every,
            _parts(config, watch),
            watch.schedule(zone).rounds_a_day(),
        )
        for watch in watches
        if watch.blocked is None
    ]
    found = stretches(needs)
    for watch in watches:
        if watch.blocked is not None:
            yield watch
        elif (stretch := found[watch.name]) is None:
            yield replace(watch, blocked=f"{watch.target}: the day's budget has no room for its rounds of {watch.cost.calls} questions")
        else:
            yield replace(watch, stretch=stretch)


def _parts(config: Config, watch: Watch) -> dict[str, float]:
    """Endpoint -> part of its day that a round takes; of judges the calls alone, one an answer and sample."""
    parts = {f"targets.{name}": part_of_day(config.targets[name], watch.cost) for name in (watch.target, *watch.beside[:1])}
    for name in grading.judges_asked(watch.suite):
        judge = config.judges[name]
        parts[f"judges.{name}"] = part_of_day(judge, Cost(watch.cost.calls * judge.samples, 0, 0))
    return parts


def part_of_day(endpoint: Endpoint, round: Cost) -> float:
    """Part of an endpoint's daily budget that one round takes; inf where the budget is nothing."""
    daily = endpoint.daily
    spends = (
        (daily.calls, float(round.calls)),
        (daily.tokens, float(round.tokens_in + round.tokens_out)),
        (daily.money, money(endpoint, round)),
    )
    parts = [(spend / limit if limit else float("inf")) for limit, spend in spends if limit is not None and spend]
    return max(parts, default=0.0)


def money(endpoint: Endpoint, of: Cost) -> float:
    """What requests cost at most by the endpoint's prices."""
    return (of.tokens_in * endpoint.price.input + of.tokens_out * endpoint.price.output) / 1e6


class Opened:
    """Clients of every target and judge, and the probes that ask them. Close with :meth:`aclose`.

    Attributes:
        clients: ``targets.<name>`` and ``judges.<name>`` -> client.
        probes: what the runner asks.
    """

    def __init__(self, canaries: Canaries) -> None:
        self._canaries, config = canaries, canaries.config
        endpoints: dict[str, Endpoint] = {f"targets.{name}": each for name, each in config.targets.items()}
        endpoints |= {f"judges.{name}": each for name, each in config.judges.items()}
        self.clients = {name: TargetClient(name.partition(".")[2], each, key=canaries.keys[name]) for name, each in endpoints.items()}
        self._in_flight = dict.fromkeys(endpoints, 0)
        self._history: ProbeHistory | None = None
        self.sides = {name: self._side(name) for name in config.targets}
        judges = {name: self._asker(f"judges.{name}") for name in config.judges}
        alike = {name: grading.Alike(model.bundle, config.compute) for name, model in config.models.items()}
        self.judges = [self._calibration(name, models, judges[name]) for name, models in self._canaries.judges.items()]
        self.probes = [
            self._probe(watch, grading.grading_of(watch.suite, config, judges, alike[watch.model])) for watch in canaries.watches
        ]

    def runner(self, history: ProbeHistory, seams: Seams) -> Runner:
        """What asks them."""
        return Runner(self.probes, history, seams, self.judges)

    def budget_left(self) -> dict[str, float]:
        """Endpoint -> smallest part of a daily limit that is still there."""
        return {name: client.budget.left() for name, client in self.clients.items()}

    def _calibration(self, name: str, models: tuple[str, ...], ask: grading.Ask) -> Calibration:
        settings, config = self._canaries.config.judges[name], self._canaries.config
        rows = read_calibration(settings.calibration)
        judge = Judge(ask, grading.judge_id(settings), settings.samples)

        async def calibrated() -> Counts:
            said = await calibrate(judge, rows, at_once=settings.rate.concurrency)
            graded = said.n - said.away - said.unparsed
            return Counts(n=graded, bad=graded - said.agree, unscored=said.unparsed, error=said.away)

        schedule = Schedule(f"judge/{name}", CALIBRATION_EVERY, zone=config.windows.time_zone)
        return Calibration(name, models, schedule, calibrated, judge.id, len(rows), len(rows) * settings.samples)

    async def prepare(self, history: ProbeHistory | None) -> None:
        """Take up what was spent today, and find out what every endpoint can do."""
        self._history = history
        if history is not None:
            today = int(time.time() // DAY)
            for name, spent in (await asyncio.to_thread(history.spent, today)).items():
                if name in self.clients:
                    limits = self.clients[name].settings.daily
                    self.clients[name].budget = Budget(limits, Spent(today, *spent))
        await asyncio.gather(*(self._meet(name, client) for name, client in self.clients.items()))

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(client.aclose() for client in self.clients.values()))

    async def _meet(self, name: str, client: TargetClient) -> None:
        can = await client.probe_capabilities(self._tag(name, "capabilities"))
        told = {each: getattr(can, each) for each in ("stream", "logprobs", "seed", "usage", "json_schema", "tools")}
        if can.reached:
            _log.info("endpoint answers", extra=fields(endpoint=name, model=can.model, **told))
        else:
            _log.warning("endpoint does not answer", extra=fields(endpoint=name, reason=can.reason))
        await self._keep(name)

    def _side(self, name: str) -> Side:
        target = self._canaries.config.targets[name]
        client = self.clients[f"targets.{name}"]
        system, sampling = self._canaries.prompts[name], target.sampling.model_dump(exclude_none=True)
        return Side(
            target=name,
            role=target.role,
            ask=self._asker(f"targets.{name}"),
            turnstile=Turnstile(target.rate.concurrency),
            model=lambda: client.capabilities.model or target.model,
            room=lambda calls: _room(client, calls),
            can=lambda capability: bool(getattr(client.capabilities, capability)),
            settings={"system": hashlib.sha256(system.encode()).hexdigest()[:16], "sampling": json.dumps(sampling, sort_keys=True)},
        )

    def _asker(self, name: str) -> Callable[..., Awaitable[Reply]]:
        """Sends a call of a round; spend is kept before the request leaves, so that a killed process has spent what it sent."""
        client = self.clients[name]

        async def ask(call: Call, run: str = "judge") -> Reply:
            self._in_flight[name] += 1
            try:
                await self._keep(name)
                return await client.ask(call, self._tag(name, run))
            finally:
                self._in_flight[name] -= 1
                await self._keep(name)

        return ask

    def _tag(self, name: str, run: str) -> str:
        """Signed tag of a request to a target; judges are never asked through the tap."""
        key = self._canaries.key
        return tags.sign(name.partition(".")[2], run, time.time(), key) if key is not None and name.startswith("targets.") else ""

    async def _keep(self, name: str) -> None:
        if self._history is None:
            return
        spent = self.clients[name].budget.spent()
        kept = Kept(spent.calls + self._in_flight[name], spent.tokens, spent.money)
        try:
            await asyncio.to_thread(self._history.spend, spent.day, name, kept)
        except Exception as error:  # whatever a database may raise: answers wait for it elsewhere
            _log.warning("spend could not be kept", extra=fields(endpoint=name, error=type(error).__name__))

    def _probe(self, watch: Watch, graded: tuple[str, Grading]) -> Probe:
        config, target = self._canaries.config, self._canaries.config.targets[watch.target]
        key, system = self._canaries.key or UNSIGNED, self._canaries.prompts[watch.target]
        identity, grade = graded

        def questions(round_id: str) -> Sequence[Asked]:
            return render(watch.pack, watch.suite, round_id=round_id, key=key, system=system, sampling=target.sampling)

        return Probe(
            model_name=watch.model,
            suite=watch.suite_name,
            pack=watch.pack.digest(watch.suite),
            kind=watch.suite.kind,
            schedule=watch.schedule(config.windows.time_zone),
            live=self.sides[watch.target],
            graders=identity,
            grade=grade,
            questions=questions,
            size=watch.cost.calls,
            beside=tuple(self.sides[name] for name in watch.beside),
            sensitive=watch.pack.sensitive_suite(watch.suite),
            blocked=watch.blocked,
            needs=("tools",) if watch.suite.kind == "toolcall" else (),
        )


def _room(client: TargetClient, calls: int) -> bool:
    limit = client.settings.daily.calls
    return client.budget.left() > 0 and (limit is None or client.budget.spent().calls + calls <= limit)
