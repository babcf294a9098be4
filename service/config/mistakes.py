"""What is wrong with a configuration, in one line: file, line, key, what was given and what was expected."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from service.config.reference import type_name
from service.config.secrets import MASK, is_secret_key, masked
from service.config.settings import Config

KeyPath = tuple[str, ...]

_NAME = "[key]"
"""How pydantic says that it means a key of a dictionary, not its value."""


class Private(NamedTuple):
    """Stands for a text that is not shown."""

    length: int


def where(file: Path, lines: Mapping[KeyPath, int], key: KeyPath) -> str:
    """``file:line: key``, with the line of the nearest enclosing key that is written there. Lines are those of each key path."""
    for stop in range(len(key), 0, -1):
        if key[:stop] in lines:
            return f"{file}:{lines[key[:stop]]}: {'.'.join(key)}"
    return f"{file}: {'.'.join(key)}" if key else str(file)


def _branches(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models inside an annotation: of unions, dictionaries and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _branches(argument)


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind") or model.model_fields.get("type")
    return str(get_args(field.annotation)[0]) if field is not None and get_origin(field.annotation) is Literal else None


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    return model.model_fields.get(name) or next((field for field in model.model_fields.values() if field.alias == name), None)


def _resolve(root: type[BaseModel], location: Sequence[int | str]) -> tuple[KeyPath, list[type[BaseModel]], FieldInfo | None]:
    """Where in the file pydantic means: (key path without union tags, models that hold its last key, setting it is or lies in)."""
    models: list[type[BaseModel]] = [root]
    holders: list[type[BaseModel]] = []
    path: list[str] = []
    setting: FieldInfo | None = None
    in_dictionary = False
    for step in location:
        name = str(step)
        tagged = [model for model in models if _kind(model) == name]
        if tagged and not in_dictionary and len(models) > 1:
            models = tagged
            continue
        if name == _NAME:
            break
        if path and not models and not in_dictionary and isinstance(step, str):
            continue  # a branch of a union of plain types
        path.append(name)
        holders = models
        if in_dictionary or isinstance(step, int):
            in_dictionary = False
            continue
        field = setting = next((found for model in models if (found := _field(model, name)) is not None), None)
        in_dictionary = field is not None and get_origin(field.annotation) is dict
        models = list(_branches(field.annotation)) if field else []
    return tuple(path), holders, setting


def near(name: str, known: Sequence[str]) -> str:
    """``did you mean 'NAME'? `` of the known name that is most alike; empty where none is."""
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'? " if close else ""


def explain(
    file: Path,
    lines: Mapping[KeyPath, int],
    overridden: Mapping[KeyPath, str],
    detail: ErrorDetails,
    root: type[BaseModel] = Config,
    private: Collection[str] = (),
) -> str:
    """One mistake as ``file:line: key: given VALUE; expected: WHAT (meaning of the setting)``.

    ``root`` is what the file holds; values at or under a key of ``private`` are not shown.
    """
    path, holders, setting = _resolve(root, detail["loc"])
    variable = overridden.get(path)
    place = f"environment {variable}: {'.'.join(path)}" if variable else where(file, lines, path)
    meaning = f" ({setting.description})" if setting is not None and setting.description else ""
    value, context = detail["input"], detail.get("ctx", {})
    if isinstance(value, str) and any(key in private for key in path):
        value = Private(len(value))
    match detail["type"]:
        case "extra_forbidden":
            known = sorted({field.alias or name for model in holders for name, field in model.model_fields.items()})
            return f"{place}: unknown key; {near(path[-1], known)}known here: {', '.join(known)}"
        case "missing":
            return f"{place}: missing; expected: {_expected(detail, setting)}{meaning}"
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            return f"{place}: given no {tag}; expected: a key '{tag}'{meaning}"
        case "union_tag_invalid":
            known = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
            tag = str(context["tag"])
            key = str(context["discriminator"]).strip("'")
            return f"{place}.{key}: given {_shown(path, tag)}; {near(tag, known)}expected: {' or '.join(known)}"
        case "literal_error":
            known = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")]
            return f"{place}: given {_shown(path, value)}; {near(str(value), known)}expected: {' or '.join(known)}{meaning}"
        case "value_error" if isinstance(value, dict):  # of a section: the message names its keys and their values
            return f"{place}: {_expected(detail, setting)}"
    return f"{place}: given {_shown(path, value)}; expected: {_expected(detail, setting)}{meaning}"


def _expected(detail: ErrorDetails, setting: FieldInfo | None) -> str:
    """What would have been right: a bound, a form, or the type of the setting."""
    match detail["type"]:
        case "value_error":
            return detail["msg"].removeprefix("Value error, ").removeprefix("expected ")
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"a number {detail['msg'].removeprefix('Input should be ')}"
        case "string_pattern_mismatch":
            return f"text that matches {detail['ctx']['pattern']}"
        case "finite_number":
            return "a finite number"
        case "too_short":
            return "at least one"
        case "too_long":
            return f"at most {detail['ctx']['max_length']}"
    last = detail["loc"][-1]
    if last == _NAME:
        return "text"
    if setting is None:
        return "mapping"
    name = type_name(setting.annotation, setting)
    return name.removeprefix("list of ") if isinstance(last, int) else name


def _shown(path: KeyPath, value: Any) -> str:
    """A wrong value as it may be printed."""
    if any(is_secret_key(name) for name in path):
        return MASK
    match value:
        case None:
            return "nothing"
        case Private():
            return f"{value.length} characters"
        case bool():
            return str(value).lower()
        case dict() | list():
            return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = repr(masked(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
