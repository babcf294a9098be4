"""Reading the file: every mistake names the file, the line, the key, what was given and what was expected there."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from service.config.mistakes import KeyPath, explain, near, where
from service.config.secrets import MASK, find_secrets, is_secret_key, masked
from service.config.settings import Config, Kafka
from service.errors import ConfigError

PREFIX = "TILTMETER_"
SEPARATOR = "__"
_TOP_LEVEL = ("instance", "store")
OURS = frozenset(
    (
        "bootstrap_servers",
        "group_id",
        "enable_auto_commit",
        "auto_offset_reset",
        "isolation_level",
        "partition_assignment_strategy",
        "transactional_id",
        "acks",
        "key_deserializer",
        "value_deserializer",
        "key_serializer",
        "value_serializer",
        "allow_auto_create_topics",
        "kafka_client",
        "bootstrap_timeout_ms",
    )
)
"""Kafka options that decide what is counted, so that only the code may set them."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        name = str(getattr(key, "value", ""))
        if name in seen and name != "<<":
            raise yaml.constructor.ConstructorError(None, None, f"key '{name}' is written twice", key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: Path | str, environ: Mapping[str, str] | None = None) -> Config:
    """Read, override from the environment and check a configuration file.

    ``TILTMETER_<SECTION>__<KEY>`` overrides a setting (``TILTMETER_WINDOWS__LENGTH=30s``); so do ``TILTMETER_INSTANCE`` and
    ``TILTMETER_STORE``. Raises ConfigError with one line for each mistake.
    """
    path = Path(path)
    data, lines = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping with the keys {', '.join(Config.model_fields)}")
    problems = [
        f"{where(path, lines, key)}: secrets are not written here; set it by environment variable or file (docs/configuration.md)"
        for key in find_secrets(data)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    overridden = _override(data, os.environ if environ is None else environ)
    if isinstance(data.get("ledger"), dict):
        data["ledger"].setdefault("kind", "sql")
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(path, lines, overridden, detail) for detail in error.errors())) from None
    _check_names(path, config)
    _check_examples(path, lines, config)
    _check_options(path, lines, config)
    _check_grafana(path, lines, config)
    _check_monitored(path, lines, config)
    return config


def read_yaml(path: Path) -> tuple[Any, dict[KeyPath, int]]:
    """What a YAML file holds, and the line of every key. Raises ConfigError: not there, not UTF-8, not YAML, a key written twice."""
    text = _text(path)
    try:
        return yaml.load(text, Loader=_Loader), _lines(yaml.compose(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{place}: not YAML: {getattr(error, 'problem', None) or 'cannot be read'}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None


def effective(config: Config) -> str:
    """The configuration in force as YAML, defaults included, secrets blotted out."""
    return yaml.safe_dump(_masked(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from None


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if is_secret_key(str(key)) else _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def _lines(node: yaml.Node | None, path: KeyPath = ()) -> dict[KeyPath, int]:
    """Line number of every key path."""
    found: dict[KeyPath, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            found[here] = key.start_mark.line + 1
            found.update(_lines(value, here))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*path, str(index))
            found[here] = value.start_mark.line + 1
            found.update(_lines(value, here))
    return found


def _override(data: dict[Any, Any], environ: Mapping[str, str]) -> dict[KeyPath, str]:
    """Put the environment's settings into the data; key path -> variable, for messages."""
    done: dict[KeyPath, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX):
            continue
        names = variable[len(PREFIX) :].lower().split(SEPARATOR)
        # Without a section only two names are ours: Kubernetes sets TILTMETER_PORT and the like for a service called tiltmeter.
        if len(names) == 1 and names[0] not in _TOP_LEVEL:
            continue
        place: dict[Any, Any] = data
        path: list[str] = []
        for name in names[:-1]:
            key = _same_key(place, name)
            path.append(key)
            inner = place.setdefault(key, {})
            if inner is None:
                inner = place[key] = {}
            if not isinstance(inner, dict):
                raise ConfigError(f"environment {variable}: {'.'.join(path)} holds a value, not further keys")
            place = inner
        key = _same_key(place, names[-1])
        try:
            place[key] = yaml.safe_load(environ[variable])
        except yaml.YAMLError:
            place[key] = environ[variable]
        done[(*path, key)] = variable
    return done


def _same_key(place: Mapping[Any, Any], name: str) -> str:
    """The key already written that this environment name means (``SUPPORT_BOT`` means ``support-bot``), else the name itself."""
    for key in place:
        if str(key).lower().replace("-", "_") == name:
            return str(key)
    return name


def _check_names(file: Path, config: Config) -> None:
    """Refuse two models that claim the same name on the wire."""
    owner: dict[str, str] = {}
    for name, model in config.models.items():
        for wire in {name, *model.wire_names}:
            if other := owner.get(wire):
                raise ConfigError(f"{file}: models.{name}.wire_names: '{wire}' already means model '{other}'")
            owner[wire] = name


def _check_examples(file: Path, lines: Mapping[KeyPath, int], config: Config) -> None:
    """Refuse to show texts that nobody keeps."""
    if config.explain.examples != "none" and config.curation.store_text == "none":
        place = where(file, lines, ("explain", "examples"))
        raise ConfigError(
            f"{place}: given 'redacted', but no text is kept; expected: curation.store_text: redacted beside it, or none here"
        )


def _check_grafana(file: Path, lines: Mapping[KeyPath, int], config: Config) -> None:
    """Refuse annotations that would go nowhere."""
    if config.grafana.annotations and config.grafana.url is None:
        place = where(file, lines, ("grafana", "annotations"))
        raise ConfigError(f"{place}: true, but nothing says where Grafana is; expected: grafana.url beside it, such as http://grafana:3000")


def _check_monitored(file: Path, lines: Mapping[KeyPath, int], config: Config) -> None:
    """Refuse targets and gates of a model that there is not: nothing would be asked, and a gate would be inconclusive for ever."""
    named = [(("targets", name, "monitors"), target.monitors) for name, target in config.targets.items()]
    named += [(("gates", name, "model"), gate.model) for name, gate in config.gates.items()]
    for key, model in named:
        if model not in config.models:
            known = tuple(config.models)
            raise ConfigError(f"{where(file, lines, key)}: no such model '{model}'; {near(model, known)}expected one of {', '.join(known)}")


def _check_options(file: Path, lines: Mapping[KeyPath, int], config: Config) -> None:
    """Refuse options that no Kafka client knows, and those that the source and the ledger set themselves."""
    for section, settings in (("source", config.source), ("ledger", config.ledger)):
        if not isinstance(settings, Kafka) or not settings.options:
            continue
        from kafka import KafkaConsumer, KafkaProducer
        from kafka.admin import KafkaAdminClient

        known = sorted({*KafkaConsumer.DEFAULT_CONFIG, *KafkaProducer.DEFAULT_CONFIG, *KafkaAdminClient.DEFAULT_CONFIG} - OURS)
        for key in settings.options:
            place = where(file, lines, (section, "options", key))
            name = key.replace(".", "_")
            if name in OURS:
                raise ConfigError(f"{place}: set by Tiltmeter itself, cannot be changed here")
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                raise ConfigError(f"{place}: no option of the Kafka client{f'; did you mean {close[0]!r}?' if close else ''}")
