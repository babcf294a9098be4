"""promptfoo configurations: prompts times tests, with their assertions. A test with an assertion that cannot be mapped is disabled."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.errors import DataError
from service.probes.importers.assertions import KNOWN, graders_of
from service.probes.importers.imported import Draft, slug
from service.probes.importers.look import Look, read_yaml
from service.probes.placeholders import NONCES, PLACEHOLDER
from service.rows import read_rows

_TEMPLATE = re.compile(r"\{%|\{#|\{\{(?!\s*\w+\s*\}\})")
"""Nunjucks beyond plain variables: filters, loops, members of objects."""

_ASSERTED = re.compile(r"((?:not-)?[a-z][a-z-]*)(?:\((\d+(?:\.\d+)?)\))?(?::\s*(.*))?", re.DOTALL)
_ROLES = ("system", "user", "assistant", "tool")


def matches(look: Look) -> bool:
    """Prompts or tests, and something only promptfoo has beside them."""
    keys = look.keys
    return look.kind in ("yaml", "json") and (
        ("prompts" in keys and bool(keys & {"tests", "providers", "targets", "defaultTest", "scenarios"}))
        or ("tests" in keys and bool(keys & {"providers", "targets", "defaultTest", "assertionTemplates", "redteam"}))
    )


def read(look: Look, draft: Draft) -> None:
    """Each test is asked with each prompt, and once for every combination of variables that are lists."""
    whole = look.whole
    default = whole.get("defaultTest") or {}
    if not isinstance(default, Mapping):
        draft.disable("defaultTest", "stands in another file; its assertions are part of every test")
        return
    prompts = list(_prompts(look.path, whole.get("prompts", "{{prompt}}"), draft))
    if "scenarios" in whole:
        draft.disable("scenarios", "scenarios are not read; write them as tests")
    templates = whole.get("assertionTemplates")
    templates = templates if isinstance(templates, Mapping) else {}
    for number, test in enumerate(_tests(look.path, whole.get("tests"), draft), 1):
        name = f"{number:03}-{slug(str(test.get('description') or 'test'), 40)}"
        why = _why_not(test, default)
        graders = why or graders_of([*(default.get("assert") or []), *(test.get("assert") or [])], templates)
        if isinstance(graders, str):
            draft.disable(name, graders)
            continue
        variables = {**(default.get("vars") or {}), **(test.get("vars") or {})}
        for index, values in enumerate(_combinations(variables), 1):
            for position, messages in enumerate(prompts, 1):
                numbers = f"-v{index}" * (index > 1) + f"-p{position}" * (len(prompts) > 1)
                _add(draft, f"{name}{numbers}", messages, values, graders, test)


def _add(
    draft: Draft, name: str, messages: list[dict[str, str]], values: dict[str, Any], graders: list[dict[str, Any]], test: Mapping[str, Any]
) -> None:
    texts = [*(message["content"] for message in messages), *(str(value) for value in values.values())]
    if any(_TEMPLATE.search(text) for text in texts):
        draft.disable(name, "uses a template beyond plain {{variables}}")
    elif any(PLACEHOLDER.search(str(value)) for value in values.values()):
        draft.disable(name, "a variable holds a further {{variable}}")
    elif any(isinstance(value, str) and value.startswith("file://") for value in values.values()):
        draft.disable(name, "a variable stands in another file")
    elif taken := set(values) & set(NONCES):
        draft.disable(name, f"the variable {min(taken)} has a meaning of its own here")
    else:
        metadata = test.get("metadata")
        category = metadata.get("pluginId") or metadata.get("category") if isinstance(metadata, Mapping) else None
        fields = {"id": name, "messages": messages, "vars": values, "graders": graders, "category": category}
        draft.add("tests", "golden", "comply", fields)


def _why_not(test: Mapping[str, Any], default: Mapping[str, Any]) -> str | None:
    """What of a test has no counterpart."""
    for part in (test, default):
        if part.get("threshold") is not None:
            return "a threshold over weighted assertions"
        options = part.get("options")
        if isinstance(options, Mapping) and (bad := {"transform", "prefix", "suffix", "transformVars", "postprocess"} & set(options)):
            return f"option {min(bad)}"
        if not isinstance(part.get("vars") or {}, Mapping):
            return "variables stand in another file"
        if not isinstance(part.get("assert") or [], list):
            return "its assertions are no list"
    return None


def _combinations(variables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Variables that are lists stand for one test each."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in variables.items()}
    for values in itertools.product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def _prompts(file: Path, given: Any, draft: Draft) -> Iterator[list[dict[str, str]]]:
    """Conversations of the prompts: text, chat as JSON, or files of them."""
    for number, prompt in enumerate(given if isinstance(given, list) else [given], 1):
        name = f"prompt-{number}"
        if isinstance(prompt, Mapping):
            prompt = prompt.get("raw") or prompt.get("id")
        if not isinstance(prompt, str):
            draft.disable(name, "neither text nor a file")
            continue
        try:
            yield from (_chat(text) for text in _texts(file, prompt))
        except ValueError as error:
            draft.disable(name, str(error))


def _texts(file: Path, prompt: str) -> list[str]:
    looks_like_file = prompt.startswith("file://") or ("\n" not in prompt and Path(prompt).suffix in (".txt", ".json", ".yaml", ".yml"))
    if not looks_like_file:
        return [prompt]
    path = _beside(file, prompt.removeprefix("file://"))
    if path is None:
        raise ValueError("its file is not beside the configuration")
    if path.suffix not in (".txt", ".json", ".yaml", ".yml", ".md"):
        raise ValueError(f"prompts from {path.suffix or 'such'} files are made by code")
    if path.suffix in (".yaml", ".yml"):
        return [json.dumps(read_yaml(path))]
    text = path.read_text(encoding="utf-8")
    return [part.strip() for part in re.split(r"^---\s*$", text, flags=re.MULTILINE) if part.strip()] if path.suffix == ".txt" else [text]


def _chat(text: str) -> list[dict[str, str]]:
    if text.lstrip().startswith("["):
        try:
            turns = json.loads(text)
        except ValueError:
            turns = None
        if isinstance(turns, list) and all(isinstance(turn, Mapping) and turn.get("role") in _ROLES for turn in turns):
            if not all(isinstance(turn.get("content"), str) for turn in turns):
                raise ValueError("its messages hold more than text")
            return [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    return [{"role": "user", "content": text}]


def _tests(file: Path, given: Any, draft: Draft) -> Iterator[Mapping[str, Any]]:
    """Tests that stand in the file or in files beside it; a table's columns are variables, ``__expected`` its assertion."""
    for number, test in enumerate(given if isinstance(given, list) else [] if given is None else [given], 1):
        if isinstance(test, Mapping):
            yield test
            continue
        path = _beside(file, str(test).removeprefix("file://"))
        if path is None or path.suffix not in (".yaml", ".yml", ".json", ".csv", ".jsonl"):
            draft.disable(f"tests-{number}", "its file is not beside the configuration, or is code")
            continue
        if path.suffix == ".csv":
            yield from map(_row, read_rows(path))
        elif path.suffix == ".jsonl":
            yield from read_rows(path)
        else:
            found = read_yaml(path)
            yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Mapping))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table of tests. Raises nothing: what cannot be mapped is an assertion of an unknown type."""
    asserted = []
    for name, value in row.items():
        if name.startswith("__expected") and value:
            asserted.append(_expected(str(value)))
    test: dict[str, Any] = {"vars": {name: value for name, value in row.items() if not name.startswith("__")}, "assert": asserted}
    if row.get("__description"):
        test["description"] = row["__description"]
    if row.get("__threshold"):
        test["threshold"] = row["__threshold"]
    return test


def _expected(cell: str) -> dict[str, Any]:
    """``contains: x``, ``similar(0.8): x``, ``is-json`` or plain text that must be equalled."""
    match = _ASSERTED.fullmatch(cell)
    if match is None or (match[3] is None and match[1] not in KNOWN and not match[1].startswith(("is-", "not-is-"))):
        return {"type": "equals", "value": cell}
    kind = {"grade": "llm-rubric"}.get(match[1], match[1])
    return {"type": kind, "value": match[3], **({"threshold": float(match[2])} if match[2] else {})}


def _beside(file: Path, name: str) -> Path | None:
    """A file in the folder of the configuration or below it; nothing else is read."""
    path = (file.parent / name).resolve()
    if not path.is_relative_to(file.parent.resolve()):
        raise DataError(f"{file}: names a file outside of its folder; expected files beside it")
    return path if path.is_file() else None
