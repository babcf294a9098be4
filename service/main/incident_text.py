"""An incident and the prompts behind it as lines for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.api import words
from service.api.histogram import edges

BAR = 30
"""Characters of the longest bar."""


def details(row: Mapping[str, Any]) -> Iterator[str]:
    """Lines on one incident as /v1/incidents tells it."""
    state = f"closed as {row['verdict']} by {row['closed_by']}" if row["closed"] else "open"
    seen = f"acknowledged by {row['acknowledged_by']}" if row["acknowledged"] else "nobody has acknowledged it"
    yield f"{words.place(row['model_name'], row['slice'])} {row['stream']}: {row['level']}, {row['severity']}, {state}"
    yield f"  opened    {words.clock(row['opened'])}"
    began = f"{words.clock(row['change_low'])} to {words.clock(row['change_high'])}"
    yield f"  began     about {words.clock(row['change_start'])}, 95% interval {began}"
    yield f"  share     {words.share(row['reference'])} -> {words.share(row['value'])} when it opened"
    yield f"  evidence  10^{row['log10_evidence']:.1f} of the 10^{row['log10_threshold']:.1f} that a {row['level']} needs"
    yield f"  owner     {row['owner']}; {seen}"
    if before := row.get("deployment"):
        yield f"  deployed  {before['revision']}, {words.clock(before['time'])} by {before['actor']}: {before['reason']}"
    for part in row["explanation"].split("; "):
        yield f"  - {part}"
    yield from _p_values(row)


def _p_values(row: Mapping[str, Any]) -> Iterator[str]:
    before, after = row["p_values_before"], row["p_values_after"]
    if not before or not after:
        return
    yield "  p-values  (strange prompts on top)   before    since"
    top = max(*before, *after)
    low = "0"
    for high, was, now in zip(edges(), before, after, strict=True):
        yield f"    {low:>5} to {high:<5} {words.share(was):>22} {words.share(now):>8}  {'#' * round(BAR * now / top)}"
        low = high


def texts(answer: Mapping[str, Any]) -> Iterator[str]:
    """Lines on the prompts behind an incident."""
    yield f"  {len(answer['examples'])} redacted prompts since the change began; redaction is by pattern: look before you share them"
    if answer["note"]:
        yield f"  note: {answer['note']}"
    for row in answer["examples"]:
        again = f", {row['repeats'] + 1} alike" if row["repeats"] else ""
        where = f" {row['slice']}" if row["slice"] else ""
        yield f"  {words.clock(row['time'])}{where} p {row['p_value']:.3f}{again}: {_plain(row['text'])}"


def _plain(text: str) -> str:
    """On one line, and without what a terminal would obey."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
