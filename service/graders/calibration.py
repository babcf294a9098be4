"""Is a judge still right? Labelled answers that it grades again and again; what it gets wrong is a stream of its own."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from service.errors import DataError
from service.graders.context import Judge
from service.graders.judging import AWAY, UNPARSED, majority, votes_of
from service.graders.rubrics import BINARY, judging
from service.records.probes import Call, Message

FEWEST = 40
"""Labelled answers that a set of one's own must have, of both classes."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One answer with what a judge should say of it. ``reference``: the right answer, where the rubric needs one."""

    id: str
    request: str
    answer: str
    label: str
    rubric: str = "correct"
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a judge said of ``n`` labelled answers: ``agree`` as labelled, ``unparsed`` nothing that can be read, ``away`` nothing at all.

    ``n - away`` graded answers, ``n - away - agree`` bad ones: counts of a round.
    """

    n: int
    agree: int
    unparsed: int
    away: int = 0


def read_calibration(path: Path | None = None) -> tuple[Labelled, ...]:
    """A calibration set, without a path the built-in one.

    JSON lines of ``request``, ``answer``, ``label`` (PASS or FAIL), and perhaps ``id``, ``rubric`` and ``reference``.

    Raises:
        DataError: unreadable, a line that is none, fewer than :data:`FEWEST`, or one class only. Names file and line, never the text.
    """
    name = str(path) if path else "calibration.jsonl"
    try:
        text = (path or files("service.graders") / "calibration.jsonl").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read ({type(error).__name__})") from None
    rows = tuple(_labelled(line, f"{name}:{number}", number) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    if len(rows) < FEWEST or {row.label for row in rows} != set(BINARY):
        raise DataError(f"{name}: expected at least {FEWEST} labelled answers of both PASS and FAIL, got {len(rows)}")
    return rows


def _labelled(line: str, place: str, number: int) -> Labelled:
    try:
        row: Any = json.loads(line)
        parts = {key: row.pop(key) for key in ("request", "answer", "label")}
        found = Labelled(id=str(row.pop("id", number)), **parts, **row)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise DataError(f"{place}: expected an object of request, answer, label, and perhaps id, rubric, reference") from None
    if found.label not in BINARY or not all(isinstance(text, str) for text in parts.values()):
        raise DataError(f"{place}: expected label PASS or FAIL, and texts")
    return found


async def calibrate(judge: Judge, rows: Sequence[Labelled] | None = None, *, at_once: int = 2) -> Agreement:
    """Have a judge grade labelled answers. Cost: one request for each and sample. A judge that does not answer neither agrees nor not."""
    rows = read_calibration() if rows is None else rows
    turn = asyncio.Semaphore(at_once)

    async def one(row: Labelled) -> str:
        async with turn:
            call = judging(row.rubric, BINARY, Call((Message("user", row.request),)), row.answer, row.reference)
            votes = await votes_of(["judge"], {"judge": judge}, call, BINARY)
        return AWAY if set(votes.values()) == {AWAY} else majority(votes) or UNPARSED

    said = await asyncio.gather(*map(one, rows))
    agree = sum(vote == row.label for vote, row in zip(said, rows, strict=True))
    return Agreement(len(rows), agree, said.count(UNPARSED), said.count(AWAY))
