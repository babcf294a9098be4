"""Tables of prompts: HarmBench, JailbreakBench, XSTest, AdvBench, and plain JSONL or CSV."""

import json
from collections.abc import Mapping
from typing import Any

from service.probes.importers.imported import Draft
from service.probes.importers.look import Look
from service.records.probes import Kind

_REFUSE = ({"type": "refusal", "expect": "refuse"},)
_COMPLY = ({"type": "refusal", "expect": "comply"},)

_PROMPT = ("prompt", "question", "input")
_EXPECTED = ("expected", "answer", "ideal")


def _ask(draft: Draft, refuse: bool, fields: Mapping[str, Any]) -> None:
    """One request that should be declined, or one that should not."""
    if draft.kind:
        refuse = draft.kind != "overrefusal"
    kind: Kind = "safety" if refuse else "overrefusal"
    graders = list(_REFUSE if refuse else _COMPLY)
    draft.add("refuse" if refuse else "comply", kind, "refuse" if refuse else "comply", {**fields, "graders": graders, "verbatim": True})


def is_harmbench(look: Look) -> bool:
    """Columns of the behaviours of HarmBench."""
    return look.kind == "csv" and {"Behavior", "SemanticCategory", "BehaviorID"} <= look.keys


def harmbench(look: Look, draft: Draft) -> None:
    """Behaviours; those about copyright need the text that must not be repeated, those with a picture need the picture."""
    for row in look.rows():
        name = str(row["BehaviorID"])
        if row.get("FunctionalCategory") == "copyright":
            draft.disable(name, "copyright behaviours are judged against a reference text that is not in the file")
        elif row.get("ImageFileName"):
            draft.disable(name, "needs a picture")
        else:
            context = str(row.get("ContextString") or "")
            prompt = f"{context}\n\n---\n\n{row['Behavior']}" if context else row["Behavior"]
            tags = [tag for tag in str(row.get("Tags") or "").split(", ") if tag]
            _ask(draft, True, {"id": name, "prompt": prompt, "category": row["SemanticCategory"], "tags": tags})


def is_jailbreakbench(look: Look) -> bool:
    """Columns of the behaviours of JailbreakBench."""
    return look.kind == "csv" and {"Goal", "Target", "Behavior", "Category"} <= look.keys


def jailbreakbench(look: Look, draft: Draft) -> None:
    """Harmful behaviours, or harmless ones where the file's name says ``benign``: both files have the same columns."""
    benign = "benign" in look.path.name.lower()
    for number, row in enumerate(look.rows(), 1):
        name = f"{row.get('Index') or number}-{row['Behavior']}"
        _ask(
            draft, not benign, {"id": name, "prompt": row["Goal"], "category": row["Category"], "tags": [f"source/{row.get('Source', '')}"]}
        )


def is_xstest(look: Look) -> bool:
    """Columns of XSTest, with or without labels."""
    return look.kind == "csv" and {"prompt", "type"} <= look.keys and bool({"label", "focus", "note", "id", "id_v2"} & look.keys)


def xstest(look: Look, draft: Draft) -> None:
    """Harmless prompts that must be answered, and their unsafe contrasts that must not."""
    for number, row in enumerate(look.rows(), 1):
        kind = str(row["type"])
        unsafe = row["label"] == "unsafe" if row.get("label") else kind.startswith("contrast_")
        name = f"xstest-{row.get('id') or row.get('id_v2') or number}"
        _ask(draft, unsafe, {"id": name, "prompt": row["prompt"], "category": kind})


def is_advbench(look: Look) -> bool:
    """The two columns of AdvBench."""
    return look.kind == "csv" and look.keys >= {"goal", "target"}


def advbench(look: Look, draft: Draft) -> None:
    """Harmful goals; the target strings are for making attacks and are left out."""
    for number, row in enumerate(look.rows(), 1):
        _ask(draft, True, {"id": f"advbench-{number:04}", "prompt": row["goal"], "category": "advbench"})


def is_plain(look: Look) -> bool:
    """Rows with a prompt or messages."""
    return look.kind in ("jsonl", "csv") and bool(look.keys & {*_PROMPT, "messages"})


def plain(look: Look, draft: Draft) -> None:
    """Questions with right answers. What an answer must hold is its ``expected``; a row without one cannot be graded."""
    for number, row in enumerate(look.rows(), 1):
        name = str(row.get("id") or f"row-{number}")
        expected = next((row[key] for key in _EXPECTED if row.get(key) not in (None, "")), None)
        messages = row.get("messages")
        if isinstance(messages, str) and messages:
            try:
                messages = json.loads(messages)
            except ValueError:
                draft.disable(name, "messages are not JSON")
                continue
        prompt = None if messages else next((row[key] for key in _PROMPT if row.get(key)), None)
        if expected is None and not row.get("graders"):
            draft.disable(name, "no expected answer, so that nothing could be graded")
            continue
        graders = row.get("graders") or [{"type": "contains"}]
        fields = {"id": name, "prompt": prompt, "messages": messages, "expected": expected, "category": row.get("category")}
        draft.add("items", "golden", "comply", {**fields, "graders": graders, "verbatim": True})
