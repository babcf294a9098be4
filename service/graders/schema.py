"""JSON, and the part of JSON Schema (2020-12) that formats of answers need.

Known: type, enum, const, properties, required, additionalProperties, propertyNames, minProperties, maxProperties, items, prefixItems,
contains, minItems, maxItems, uniqueItems, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, minLength, maxLength, pattern
(searched in a bounded way), allOf, anyOf, oneOf, not, and ``$ref`` to a place in the same schema. Titles, descriptions, defaults, examples
and formats say nothing. A schema with any other keyword is refused, for it would seem to be kept.
"""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from service.graders.pattern import safe
from service.graders.text import READ, visible

DEEPEST = 100
"""Levels of an answer, or of references, that are followed."""

_SILENT = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "format",
        "$schema",
        "$id",
        "$defs",
        "definitions",
        "$comment",
        "deprecated",
        "readOnly",
        "writeOnly",
        "strict",
    }
)
_STARTS = re.compile(r"[\[{]")
_TRIES = 20
_STEPS = 200_000
_LARGEST = 1e300
_FENCE = re.compile(r"```[A-Za-z]*\s*\n(.*?)```", re.DOTALL)

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer()),
}


class NoJson(ValueError):
    """The text holds no JSON, or JSON that goes too deep."""


class Unsupported(ValueError):
    """The schema uses what is not known here; names the keyword."""


def parse(text: str, whole: bool = True) -> Any:
    """The JSON of an answer: all of it, or the first value that stands in it. Raises NoJson."""
    if len(text) > READ:
        raise NoJson
    text = visible(text).strip()
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    try:
        if whole:
            return decoder.decode(text)
        fence = _FENCE.search(text)
        text = fence[1] if fence else text
        for found, _ in zip(_STARTS.finditer(text), range(_TRIES), strict=False):
            try:
                return decoder.raw_decode(text, found.start())[0]
            except ValueError:
                continue
        return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise NoJson from error


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def keeps(value: Any, schema: Any) -> bool:
    """Whether a value keeps to a schema; what goes too deep does not.

    Raises:
        Unsupported: a keyword that is not known, or too many steps.
    """
    return _keeps(value, schema, schema, 0, itertools.count())


def _keeps(value: Any, schema: Any, root: Any, depth: int, steps: Iterator[int]) -> bool:
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, Mapping):
        raise Unsupported("a schema that is no object")
    if next(steps) > _STEPS:
        raise Unsupported(f"more than {_STEPS} steps")
    if depth > DEEPEST:
        return False

    def sub(part: Any, of: Any) -> bool:
        return _keeps(part, of, root, depth + 1, steps)

    for keyword, wanted in schema.items():
        if keyword in _SILENT:
            continue
        check = KEYWORDS.get(keyword)
        if check is None:
            raise Unsupported(f"keyword '{keyword}'")
        if not (sub(value, _referred(root, wanted)) if keyword == "$ref" else check(value, wanted, schema, sub)):
            return False
    return True


def check_schema(schema: Any, depth: int = 0) -> None:
    """Raises Unsupported for a schema with keywords, types or patterns that are not known, anywhere in it."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        raise Unsupported("a schema that is no object, or too deep")
    for keyword, wanted in schema.items():
        if keyword not in KEYWORDS and keyword not in _SILENT:
            raise Unsupported(f"keyword '{keyword}'")
        if keyword == "type" and not {*([wanted] if isinstance(wanted, str) else wanted)} <= set(_TYPES):
            raise Unsupported(f"type '{wanted}'")
        if keyword == "$ref" and not str(wanted).startswith("#"):
            raise Unsupported("$ref to another document")
        if keyword == "pattern" and not safe(str(wanted)):
            raise Unsupported("pattern with more than one repeat")
        if keyword in ("properties", "$defs", "definitions"):
            for part in wanted.values():
                check_schema(part, depth + 1)
        elif keyword in ("allOf", "anyOf", "oneOf", "prefixItems"):
            for part in wanted:
                check_schema(part, depth + 1)
        elif keyword in ("items", "additionalProperties", "propertyNames", "not", "contains"):
            check_schema(wanted, depth + 1)


def _referred(root: Any, reference: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise Unsupported("$ref to another document")
    place = root
    for step in reference[1:].split("/")[1:]:
        place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, Mapping) else None
    if place is None:
        raise Unsupported("$ref to nothing")
    return place


def equal(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0 and is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


_Sub = Callable[[Any, Any], bool]
_Check = Callable[[Any, Any, Mapping[str, Any], _Sub], bool]


def _number(value: Any) -> bool:
    return _TYPES["number"](value)


def _type(value: Any, wanted: Any, _: Mapping[str, Any], __: _Sub) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    if not set(names) <= set(_TYPES):
        raise Unsupported(f"type '{wanted}'")
    return any(_TYPES[name](value) for name in names)


def _further(value: Any, wanted: Any, schema: Mapping[str, Any], sub: _Sub) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(sub(part, wanted) for key, part in value.items() if key not in known)


def _unique(value: Any, wanted: Any, _: Mapping[str, Any], __: _Sub) -> bool:
    if not wanted or not isinstance(value, list):
        return True
    written = [json.dumps(part, sort_keys=True) for part in value]
    return len(set(written)) == len(written)


def _pattern(value: Any, wanted: Any, _: Mapping[str, Any], __: _Sub) -> bool:
    if not safe(str(wanted)):
        raise Unsupported("pattern with more than one repeat")
    return not isinstance(value, str) or re.search(str(wanted), value[:4_000]) is not None


def _multiple(value: Any, wanted: Any, _: Mapping[str, Any], __: _Sub) -> bool:
    if not _number(value):
        return True
    if isinstance(value, int) and isinstance(wanted, int):
        return value % wanted == 0
    ratio = float(value) / wanted if abs(value) < _LARGEST else math.inf
    return math.isfinite(ratio) and abs(ratio - round(ratio)) < 1e-9


def _size(kind: type[dict[str, Any]] | type[list[Any]] | type[str], least: bool) -> _Check:
    def check(value: Any, wanted: Any, _: Mapping[str, Any], __: _Sub) -> bool:
        return not isinstance(value, kind) or (len(value) >= wanted if least else len(value) <= wanted)

    return check


def _limit(holds: Callable[[Any, Any], bool]) -> _Check:
    return lambda value, wanted, _, __: not _number(value) or holds(value, wanted)


KEYWORDS: Mapping[str, _Check] = {
    "$ref": lambda value, wanted, _, sub: True,
    "type": _type,
    "enum": lambda value, wanted, _, __: any(equal(value, one) for one in wanted),
    "const": lambda value, wanted, _, __: equal(value, wanted),
    "properties": lambda value, wanted, _, sub: (
        not isinstance(value, dict) or all(sub(value[key], of) for key, of in wanted.items() if key in value)
    ),
    "required": lambda value, wanted, _, __: not isinstance(value, dict) or all(key in value for key in wanted),
    "additionalProperties": _further,
    "propertyNames": lambda value, wanted, _, sub: not isinstance(value, dict) or all(sub(key, wanted) for key in value),
    "minProperties": _size(dict, True),
    "maxProperties": _size(dict, False),
    "items": lambda value, wanted, schema, sub: (
        not isinstance(value, list) or all(sub(part, wanted) for part in value[len(schema.get("prefixItems", ())) :])
    ),
    "prefixItems": lambda value, wanted, _, sub: not isinstance(value, list) or all(map(sub, value, wanted)),
    "contains": lambda value, wanted, _, sub: not isinstance(value, list) or any(sub(part, wanted) for part in value),
    "minItems": _size(list, True),
    "maxItems": _size(list, False),
    "uniqueItems": _unique,
    "minLength": _size(str, True),
    "maxLength": _size(str, False),
    "pattern": _pattern,
    "minimum": _limit(lambda value, wanted: value >= wanted),
    "maximum": _limit(lambda value, wanted: value <= wanted),
    "exclusiveMinimum": _limit(lambda value, wanted: value > wanted),
    "exclusiveMaximum": _limit(lambda value, wanted: value < wanted),
    "multipleOf": _multiple,
    "allOf": lambda value, wanted, _, sub: all(sub(value, of) for of in wanted),
    "anyOf": lambda value, wanted, _, sub: any(sub(value, of) for of in wanted),
    "oneOf": lambda value, wanted, _, sub: sum(sub(value, of) for of in wanted) == 1,
    "not": lambda value, wanted, _, sub: not sub(value, wanted),
}
