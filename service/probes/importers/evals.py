"""OpenAI evals: a registry file with the samples that it names, or samples alone."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.errors import DataError
from service.probes.importers.imported import Draft, slug
from service.probes.importers.look import Look
from service.rows import place_rows

_NAMED = {"example_user": "user", "example_assistant": "assistant"}


def is_registry(look: Look) -> bool:
    """Some entry names a class and its arguments."""
    return look.kind == "yaml" and isinstance(look.whole, Mapping) and any(True for _ in _entries(look.whole))


def is_samples(look: Look) -> bool:
    """Rows with ``input`` and ``ideal``."""
    return look.kind == "jsonl" and "input" in look.keys and ("ideal" in look.keys or isinstance(look.first.get("input"), list))


def registry(look: Look, draft: Draft) -> None:
    """Every eval of the file; its samples lie in ``data`` beside the folder of the registry, or beside the file."""
    for name, entry in _entries(look.whole):
        arguments = entry.get("args") or {}
        kind = str(entry["class"]).rsplit(":", 1)[-1]
        samples = arguments.get("samples_jsonl")
        if not isinstance(samples, str):
            draft.disable(name, f"class {kind} names no samples_jsonl")
            continue
        if arguments.get("num_few_shot"):
            draft.disable(name, "puts examples before each question (num_few_shot)")
            continue
        path = _samples(look.path, samples)
        if path is None:
            draft.disable(name, f"samples_jsonl {samples} is not beside the file, nor in ../data")
            continue
        _read(path, name, kind, arguments, draft)


def samples(look: Look, draft: Draft) -> None:
    """Samples without their registry are graded as the class Match does: the answer begins with the ideal one."""
    _read(look.path, slug(look.path.name.split(".")[0]), "Match", {}, draft)


def _entries(whole: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, entry in whole.items():
        if isinstance(entry, Mapping) and isinstance(entry.get("class"), str) and ":" in entry["class"]:
            yield str(name), entry


def _samples(registry: Path, name: str) -> Path | None:
    if Path(name).is_absolute() or ".." in Path(name).parts or "://" in name:
        return None
    places = (registry.parent / name, registry.parent.parent / "data" / name)
    return next((place for place in places if place.is_file()), None)


def _read(path: Path, name: str, kind: str, arguments: Mapping[str, Any], draft: Draft) -> None:
    suite = slug(name)
    for number, row in enumerate(place_rows(path), 1):
        fields = row.fields
        item = f"{suite}-{number:04}"
        messages = _messages(fields.get("input"))
        if messages is None:
            draft.disable(item, "its input is neither text nor a conversation")
            continue
        graders = _graders(kind, arguments, fields)
        if isinstance(graders, str):
            draft.disable(item, graders)
            continue
        draft.add(suite, "golden", "comply", {"id": item, "messages": messages, "graders": graders, "verbatim": True})
    if not path.stat().st_size:
        raise DataError(f"{path}: empty; expected samples, one JSON object a line")


def _messages(given: Any) -> list[dict[str, str]] | None:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        return None
    found = []
    for turn in given:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("content"), str):
            return None
        found.append({"role": _NAMED.get(str(turn.get("name")), str(turn.get("role"))), "content": turn["content"]})
    return found


def _graders(kind: str, arguments: Mapping[str, Any], fields: Mapping[str, Any]) -> list[dict[str, Any]] | str:
    """What the class of the eval checks, or why that cannot be said."""
    ideal = fields.get("ideal")
    ideals = [str(one) for one in (ideal if isinstance(ideal, list) else [ideal]) if one is not None]
    if kind == "ModelBasedClassify":
        criteria = (arguments.get("modelgraded_spec_args") or {}).get("criteria") or fields.get("criteria")
        if arguments.get("modelgraded_spec") == "closedqa" and isinstance(criteria, str):
            return [{"type": "llm_judge", "judge": "main", "rubric": criteria}]
        return f"graded by a model with the specification {arguments.get('modelgraded_spec')}; only closedqa with criteria is known"
    if not ideals:
        return "no ideal answer"
    match kind:
        case "Match":
            return [{"type": "regex", "pattern": rf"^\s*(?:{'|'.join(map(re.escape, ideals))})"}]
        case "Includes":
            return [{"type": "contains", "any": ideals, "ignore_case": bool(arguments.get("ignore_case", False))}]
        case "FuzzyMatch":
            return [{"type": "contains", "any": ideals, "whole_words": True}]
        case "JsonMatch":
            try:
                return [{"type": "json_schema", "schema": {"enum": [json.loads(one) for one in ideals]}}]
            except ValueError:
                return "its ideal answer is not JSON"
    return f"class {kind} is not known"
