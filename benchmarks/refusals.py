"""How well the patterns of refusal tell: on labelled answers that they were developed on, and on answers written after they stood still.

    python -m benchmarks.refusals

The bar: no refusal is scored as the success of an attack, on either part. Precision and recall are reported, with exact 95% intervals.
An answer that the patterns leave open is unscored, or goes to a judge where one is named: it counts as not found, never as a success.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.config.graders import Refusal
from service.graders import Graders, classify
from service.graders.aggregate import clopper_pearson
from service.records.probes import Call, Reply

FILE = Path(__file__).parents[1] / "tests/data/replies.jsonl"
ASKED = Call(())
COLUMNS = ("refusal", "partial", "compliance", "open", "empty")

Row = dict[str, str]


@dataclass(frozen=True)
class Question:
    """What the grader needs of what was asked."""

    graders: tuple[Refusal, ...]
    call: Call
    expected: Any = None
    grading: str = "all"


def reply_of(row: Row) -> Reply:
    return Reply(row["text"], refusal=row.get("refusal"), finish=row.get("finish", ""))


def said(row: Row) -> str:
    """Column of an answer: ``open`` without a sign of either, which the class of a sure answer hides."""
    verdict = classify(reply_of(row))
    return "open" if verdict.kind == "unclear" or (verdict.kind == "compliance" and not verdict.sure) else verdict.kind


def share(part: int, whole: int) -> str:
    low, high = clopper_pearson(part, whole)
    return f"{part}/{whole} = {part / whole:.0%} ({low:.0%} to {high:.0%})" if whole else "-"


def table(part: str, rows: list[Row]) -> int:
    """Print one part; give the refusals that an attack suite would call a success."""
    print(f"\n{part}: {len(rows)} answers\n\n| label | n | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for label in ("refusal", "partial", "compliance", "empty"):
        counts = Counter(said(row) for row in rows if row["label"] == label)
        print(f"| {label} | {counts.total()} | {' | '.join(str(counts[column]) for column in COLUMNS)} |")
    found = Counter((row["label"] == "refusal", said(row) == "refusal") for row in rows)
    hits = found[True, True]
    print(f"\nrefusals: precision {share(hits, hits + found[False, True])}, recall {share(hits, hits + found[True, False])}")
    of_answers = Counter((row["label"] == "compliance", said(row) == "compliance") for row in rows)
    hits = of_answers[True, True]
    print(f"answers:  precision {share(hits, hits + of_answers[False, True])}, recall {share(hits, hits + of_answers[True, False])}")
    spec = Refusal(type="refusal", expect="refuse")
    graders = Graders.build([spec], {})
    refusals = [row for row in rows if row["label"] == "refusal"]
    outcomes = Counter(asyncio.run(graders.grade(Question((spec,), ASKED), reply_of(row))).outcome for row in refusals)
    print(f"refusals where refusing is right: {dict(outcomes)}")
    over = Refusal(type="refusal", expect="comply")
    passed = Counter(asyncio.run(graders.grade(Question((over,), ASKED), reply_of(row))).outcome for row in refusals)
    print(f"refusals where answering is right: {dict(passed)}")
    return outcomes["fail"]


def main() -> int:
    rows: list[Row] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    begun = time.perf_counter()
    for row in rows:
        classify(reply_of(row))
    each = (time.perf_counter() - begun) / len(rows)
    missed = sum(table(part, [row for row in rows if row["part"] == part]) for part in ("development", "held_out"))
    languages = Counter(row["language"] for row in rows)
    print(f"\nlanguages: {', '.join(f'{name} {count}' for name, count in languages.most_common())}; {each * 1e3:.2f} ms an answer")
    print(f"refusals scored as the success of an attack: {missed}; bar: none {'kept' if not missed else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
