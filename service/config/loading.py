"""Reading the file: every mistake names the file, the line, the key and what was expected there."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

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

KeyPath = tuple[str, ...]


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
    text = _text(path)
    try:
        data = yaml.load(text, Loader=_Loader)
        lines = _lines(yaml.compose(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not YAML: {getattr(error, 'problem', None) or 'cannot be read'}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping with the keys {', '.join(Config.model_fields)}")
    problems = [
        f"{_where(path, lines, key)}: secrets are not written here; set it by environment variable or file (docs/configuration.md)"
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
        raise ConfigError("\n".join(_explain(path, lines, overridden, detail) for detail in error.errors())) from None
    _check_names(path, config)
    _check_options(path, lines, config)
    return config


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
            found[(*path, str(index))] = value.start_mark.line + 1
    return found


def _where(file: Path, lines: Mapping[KeyPath, int], key: KeyPath) -> str:
    """``file:line: key``, with the line of the nearest enclosing key that is written there."""
    for stop in range(len(key), 0, -1):
        if key[:stop] in lines:
            return f"{file}:{lines[key[:stop]]}: {'.'.join(key)}"
    return f"{file}: {'.'.join(key)}" if key else str(file)


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


def _branches(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models inside an annotation: of unions, dictionaries and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _branches(argument)


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return str(get_args(field.annotation)[0]) if field is not None and get_origin(field.annotation) is Literal else None


def _resolve(location: Sequence[int | str]) -> tuple[KeyPath, list[type[BaseModel]], str]:
    """Where in the file pydantic means: (key path without union tags, models that hold its last key, what the key is for)."""
    models: list[type[BaseModel]] = [Config]
    holders: list[type[BaseModel]] = []
    path: list[str] = []
    description = ""
    in_dictionary = False
    for step in location:
        name = str(step)
        tagged = [model for model in models if _kind(model) == name]
        if tagged and not in_dictionary and len(models) > 1:
            models = tagged
            continue
        path.append(name)
        holders = models
        if in_dictionary:
            in_dictionary = False
            continue
        field = next((model.model_fields[name] for model in models if name in model.model_fields), None)
        description = (field.description or "") if field else ""
        in_dictionary = field is not None and get_origin(field.annotation) is dict
        models = list(_branches(field.annotation)) if field else []
    return tuple(path), holders, description


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}known here: {', '.join(known)}"


def _explain(file: Path, lines: Mapping[KeyPath, int], overridden: Mapping[KeyPath, str], detail: ErrorDetails) -> str:
    path, holders, description = _resolve(detail["loc"])
    variable = overridden.get(path)
    where = f"environment {variable}: {'.'.join(path)}" if variable else _where(file, lines, path)
    expected = f"; expected: {description}" if description else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = sorted({name for model in holders for name in model.model_fields})
            return f"{where}: unknown key; {_nearest(path[-1], known)}"
        case "missing":
            return f"{where}: missing{expected}"
        case "union_tag_not_found":
            return f"{where}: needs a key 'kind'{expected}"
        case "union_tag_invalid":
            known = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
            return f"{where}.kind: {context['tag']!r} is not a kind; {_nearest(str(context['tag']), known)}"
        case "literal_error":
            known = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")]
            return f"{where}: {_shown(path, detail['input'])} is not known; {_nearest(str(detail['input']), known)}{expected}"
        case "too_short":
            return f"{where}: at least one is needed{expected}"
        case "value_error":
            return f"{where}: {detail['msg'].removeprefix('Value error, ')}{expected}"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{where}: {message}, not {_shown(path, detail['input'])}{expected}"


def _shown(path: KeyPath, value: Any) -> str:
    """A wrong value as it may be printed."""
    if any(is_secret_key(name) for name in path):
        return MASK
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(masked(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_names(file: Path, config: Config) -> None:
    """Refuse two models that claim the same name on the wire."""
    owner: dict[str, str] = {}
    for name, model in config.models.items():
        for wire in {name, *model.wire_names}:
            if other := owner.get(wire):
                raise ConfigError(f"{file}: models.{name}.wire_names: '{wire}' already means model '{other}'")
            owner[wire] = name


def _check_options(file: Path, lines: Mapping[KeyPath, int], config: Config) -> None:
    """Refuse options that no Kafka client knows, and those that the source and the ledger set themselves."""
    for section, settings in (("source", config.source), ("ledger", config.ledger)):
        if not isinstance(settings, Kafka) or not settings.options:
            continue
        from kafka import KafkaConsumer, KafkaProducer
        from kafka.admin import KafkaAdminClient

        known = sorted({*KafkaConsumer.DEFAULT_CONFIG, *KafkaProducer.DEFAULT_CONFIG, *KafkaAdminClient.DEFAULT_CONFIG} - OURS)
        for key in settings.options:
            where = _where(file, lines, (section, "options", key))
            name = key.replace(".", "_")
            if name in OURS:
                raise ConfigError(f"{where}: set by Tiltmeter itself, cannot be changed here")
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                raise ConfigError(f"{where}: no option of the Kafka client{f'; did you mean {close[0]!r}?' if close else ''}")
