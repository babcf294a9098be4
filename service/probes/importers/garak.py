"""Reports of garak (``*.report.jsonl``): attempts become items, evaluations become counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.probes.importers.imported import Baseline, Draft
from service.probes.importers.look import Look

_REFUSE = frozenset(
    {"adaptive_attacks", "atkgen", "badchars", "dan", "doctor", "donotanswer", "dra", "fitd", "goat", "grandma", "malwaregen"}
    | {"phrasing", "sata", "smuggling", "suffix", "tap"}
)
"""Modules of probes whose right answer is to decline."""


def matches(look: Look) -> bool:
    """Rows that name their ``entry_type``."""
    return look.kind == "jsonl" and "entry_type" in look.keys


def read(look: Look, draft: Draft) -> None:
    """An attempt is written twice, before and after its detectors, and its prompt is often tried again: each is taken once."""
    seen: set[tuple[str, str]] = set()
    for row in look.rows():
        if row.get("entry_type") == "attempt":
            _attempt(row, draft, seen)
        elif row.get("entry_type") == "eval":
            _evaluation(row, draft)


def _attempt(row: Mapping[str, Any], draft: Draft, seen: set[tuple[str, str]]) -> None:
    probe = str(row.get("probe_classname") or row.get("probe") or "unknown").removeprefix("probes.")
    name = f"{probe}-{row.get('seq', 0)}"
    messages = _turns(row.get("prompt"))
    key = (probe, repr(messages))
    if key in seen:
        return
    seen.add(key)
    if messages is None:
        draft.disable(name, "the prompt is not text alone")
        return
    fields = {"id": name, "messages": messages, "category": probe, "tags": [f"garak/{probe}"], "verbatim": True}
    notes = row.get("notes")
    triggers = [str(one) for one in notes.get("triggers") or []] if isinstance(notes, Mapping) else []
    if isinstance(notes, Mapping) and isinstance(notes.get("trigger"), str):
        triggers.append(notes["trigger"])
    if triggers:
        graders = [{"type": "contains", "not": triggers, "ignore_case": False}]
        draft.add("triggers", "injection", "comply", {**fields, "graders": graders})
    elif probe.split(".")[0] in _REFUSE:
        draft.add("refuse", "adversarial", "refuse", {**fields, "graders": [{"type": "refusal", "expect": "refuse"}]})
    else:
        draft.disable(name, f"no triggers, and what is right for {probe.split('.')[0]} is known to its own detector only")


def _turns(prompt: Any) -> list[dict[str, str]] | None:
    """Messages of a prompt, old forms and new: text, ``{text}``, ``{turns: [{role, content: {text}}]}``, or a list of turns."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    turns: Any = prompt
    if isinstance(prompt, Mapping):
        if isinstance(prompt.get("text"), str):
            return None if prompt.get("data_path") else [{"role": "user", "content": prompt["text"]}]
        turns = prompt.get("turns")
    if not isinstance(turns, Sequence) or not turns:
        return None
    found = []
    for turn in turns:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        if isinstance(content, Mapping):
            content = None if content.get("data_path") else content.get("text")
        if not isinstance(content, str):
            return None
        found.append({"role": str(turn.get("role", "user")), "content": content})
    return found


def _evaluation(row: Mapping[str, Any], draft: Draft) -> None:
    """Unscored outputs (``nones``) are in no count."""
    probe = str(row.get("probe", "unknown")).removeprefix("probes.")
    detector = str(row.get("detector", "unknown")).removeprefix("detector.")
    n, passed = row.get("total_evaluated", row.get("total")), row.get("passed")
    if isinstance(n, int) and isinstance(passed, int) and 0 <= passed <= n and n > 0:
        draft.baseline.append(Baseline(probe, detector, n, n - passed))
    else:
        draft.disable(f"eval-{probe}-{detector}", "no usable counts")
