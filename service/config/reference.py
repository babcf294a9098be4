"""The settings as a table: what docs/configuration.md holds, so that it cannot differ from the code.

``python -m service.config.reference`` prints it.
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.config.base import Budget, Seconds
from service.config.settings import Config

_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def type_name(annotation: Any, field: FieldInfo | None = None) -> str:
    """What a setting takes, in words. ``field``: where the annotation alone does not tell a duration or a budget from a number."""
    if annotation in (Seconds, Budget) or (field is not None and _converted(field)):
        return "budget" if annotation is Budget or (field is not None and "_budget" in str(field.metadata)) else "duration"
    if annotation is Any:
        return "anything"
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, types.UnionType):
        return type_name(next(argument for argument in arguments if argument is not type(None)))
    if origin is list:
        return f"list of {type_name(arguments[0])}"
    return "mapping"


def _converted(field: FieldInfo) -> bool:
    return any("_seconds" in str(item) or "_budget" in str(item) for item in field.metadata)


def default_text(field: FieldInfo) -> str:
    """What a setting is when it is left out, in words."""
    if field.default_factory is not None or field.default in ({}, [], ""):
        return "empty"
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default is None:
        return "unset"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, float):
        return f"`{field.default:.10g} s`" if _converted(field) else f"`{field.default:g}`"
    return f"`{field.default}`"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        inner = _models(field.annotation)
        if inner:
            if get_origin(field.annotation) is dict:
                yield from _rows(inner[0], f"{prefix}{name}.NAME.")
            elif len(inner) == 1:
                yield from _rows(inner[0], f"{prefix}{name}.")
            continue
        description = (field.description or "Which of the kinds this section is.").replace("|", "\\|")
        yield f"{prefix}{name}", type_name(field.annotation, field), default_text(field), description


def table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {kind} | {default} | {meaning} |" for name, kind, default, meaning in rows)])


def reference() -> str:
    """Every setting of the file, section by section, as Markdown."""
    parts = []
    for name, field in Config.model_fields.items():
        inner = _models(field.annotation)
        heading = f"### `{name}`\n\n{field.description}\n"
        if len(inner) > 1:
            for model in inner:
                kind = get_args(model.model_fields["kind"].annotation)[0]
                parts.append(f"### `{name}`, kind `{kind}`\n\n{model.__doc__}\n\n{table(_rows(model, f'{name}.'))}\n")
        elif inner and get_origin(field.annotation) is dict:
            parts.append(f"{heading}\n{table(_rows(inner[0], f'{name}.NAME.'))}\n")
        elif inner:
            parts.append(f"{heading}\n{table(_rows(inner[0], f'{name}.'))}\n")
    loose = [(name, field) for name, field in Config.model_fields.items() if not _models(field.annotation)]
    rows = ((name, type_name(field.annotation, field), default_text(field), field.description or "") for name, field in loose)
    return "\n".join([*parts, f"### At the top level\n\n{table(rows)}\n"])


if __name__ == "__main__":
    print(reference())
