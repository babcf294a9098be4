"""Assertions of promptfoo as graders."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Grader = dict[str, Any]


def graders_of(asserted: Sequence[Any], templates: Mapping[str, Any]) -> list[Grader] | str:
    """Graders of a test, or why one of its assertions has none."""
    found: list[Grader] = []
    for one in asserted:
        assertion = _referenced(one, templates)
        if not isinstance(assertion, Mapping):
            return "an assertion that is no mapping, or a $ref that leads nowhere"
        if assertion.get("weight") == 0:
            continue  # promptfoo only reports it
        if assertion.get("type") == "assert-set" and assertion.get("threshold") is None:
            within = assertion.get("assert")
            inner = graders_of(within if isinstance(within, list) else [], templates)
            if isinstance(inner, str):
                return inner
            found.extend(inner)
            continue
        grader = _grader(assertion)
        if isinstance(grader, str):
            return grader
        found.append(grader)
    return found or "no assertion, so that nothing could be graded"


def _referenced(assertion: Any, templates: Mapping[str, Any]) -> Any:
    if isinstance(assertion, Mapping) and "$ref" in assertion:
        return templates.get(str(assertion["$ref"]).removeprefix("#/assertionTemplates/"))
    return assertion


def _grader(assertion: Mapping[str, Any]) -> Grader | str:
    kind = str(assertion.get("type", ""))
    value = assertion.get("value")
    if assertion.get("transform"):
        return f"assertion {kind} with a transform"
    if isinstance(value, str) and value.startswith("file://"):
        return f"assertion {kind} with a value from a file"
    make = KNOWN.get(kind)
    grader = make(value, assertion) if make else None
    return grader if grader is not None else f"assertion {kind[:40] or 'without type'}"


def _texts(value: Any) -> list[str] | None:
    """A list, or words between commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [str(one) for one in value] if isinstance(value, list) and value else None


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, Mapping | list) else str(value).lower() if isinstance(value, bool) else str(value)


def _equals(negate: bool) -> "Maker":
    def make(value: Any, _: Mapping[str, Any]) -> Grader | None:
        if isinstance(value, Mapping | list):
            return None if negate else {"type": "json_schema", "schema": {"const": value}}
        text = _text(value)
        return None if text is None else {"type": "exact", "value": text, "ignore_case": False, "negate": negate}

    return make


def _contains(key: str, ignore_case: bool, several: bool) -> "Maker":
    def make(value: Any, _: Mapping[str, Any]) -> Grader | None:
        texts = _texts(value) if several else [text] if (text := _text(value)) is not None else None
        return {"type": "contains", key: texts, "ignore_case": ignore_case} if texts else None

    return make


def _pattern(prefix: bool, negate: bool) -> "Maker":
    def make(value: Any, _: Mapping[str, Any]) -> Grader | None:
        text = _text(value)
        if text is None:
            return None
        pattern = f"^{re.escape(text)}" if prefix else text
        try:
            re.compile(pattern)
        except re.error:
            return None
        if prefix and "{{" in text:
            return None  # a variable inside an escaped text would be left as it stands
        return {"type": "regex", "pattern": pattern, "negate": negate}

    return make


def _json(whole: bool) -> "Maker":
    def make(value: Any, _: Mapping[str, Any]) -> Grader | None:
        if value is not None and not isinstance(value, Mapping):
            return None
        return {"type": "json_schema", "schema": dict(value or {}), "whole": whole}

    return make


def _similar(value: Any, assertion: Mapping[str, Any]) -> Grader | None:
    text = _text(value)
    return None if text is None else {"type": "similarity", "value": text, "at_least": float(assertion.get("threshold", 0.75))}


def _judged(before: str) -> "Maker":
    def make(value: Any, assertion: Mapping[str, Any]) -> Grader | None:
        if not isinstance(value, str) or assertion.get("threshold") is not None or assertion.get("rubricPrompt"):
            return None
        return {"type": "llm_judge", "judge": "main", "rubric": before + value}

    return make


def _latency(value: Any, assertion: Mapping[str, Any]) -> Grader | None:
    limit = assertion.get("threshold")
    return {"type": "latency", "at_most": float(limit) / 1000} if isinstance(limit, int | float) and limit > 0 else None


def _words(value: Any, _: Mapping[str, Any]) -> Grader | None:
    if isinstance(value, int):
        return {"type": "length", "at_least": value, "at_most": value}
    if isinstance(value, Mapping) and ("min" in value or "max" in value):
        return {"type": "length", "at_least": value.get("min"), "at_most": value.get("max")}
    return None


Maker = Callable[[Any, Mapping[str, Any]], Grader | None]

KNOWN: Mapping[str, Maker] = {
    "equals": _equals(False),
    "not-equals": _equals(True),
    "contains": _contains("any", False, False),
    "icontains": _contains("any", True, False),
    "contains-any": _contains("any", False, True),
    "icontains-any": _contains("any", True, True),
    "contains-all": _contains("all", False, True),
    "icontains-all": _contains("all", True, True),
    "not-contains": _contains("not", False, False),
    "not-icontains": _contains("not", True, False),
    "not-contains-any": _contains("not", False, True),
    "not-icontains-any": _contains("not", True, True),
    "regex": _pattern(False, False),
    "not-regex": _pattern(False, True),
    "starts-with": _pattern(True, False),
    "not-starts-with": _pattern(True, True),
    "is-json": _json(True),
    "contains-json": _json(False),
    "is-refusal": lambda value, assertion: {"type": "refusal", "expect": "refuse"},
    "not-is-refusal": lambda value, assertion: {"type": "refusal", "expect": "comply"},
    "similar": _similar,
    "llm-rubric": _judged(""),
    "model-graded-closedqa": _judged("The answer meets this criterion: "),
    "factuality": _judged("The answer does not contradict these facts: "),
    "latency": _latency,
    "word-count": _words,
}
"""What has a counterpart. Code, webhooks, cost, perplexity, classifiers and the rest have none."""
