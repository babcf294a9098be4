"""From graded answers to what a round came to, for each revision that answered."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.canary.probe import Probe, Question, Side, question
from service.records.probes import Counts, ProbeResult, Round

MOST_ERRORS = 0.2
"""Part of a round's questions that may have no answer; a round with more is inconclusive."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The frame of a round.

    ``other``: who was asked beside the live model. ``items``: questions that each is asked; ``reason``: why it ended before its time, else
    empty.
    """

    probe: Probe
    other: Side | None
    id: str
    scheduled: float
    started: float
    ended: float
    items: int
    reason: str = ""


def tally(frame: Tally, results: Sequence[ProbeResult]) -> list[Round]:
    """What the round came to at the live target; its answers and those of the model beside it.

    Where the replies report two models, each revision has a round of its own: the one that answered most keeps the id, the others have
    ``#<revision>`` behind it. Worse are questions that only the live model got wrong, better those that only the other did.
    """
    probe, other = frame.probe, frame.other
    live = [result for result in results if result.role == probe.live.role]
    pairs = _pairs(live, [result for result in results if result.role == other.role]) if other else {}
    reason = frame.reason or _why_inconclusive(frame.items, live)
    revisions = Counter(result.model_reported for result in live if result.model_reported)
    # Answers without a revision (errors above all) go with the one that answered most.
    main = min(revisions, key=lambda name: (-revisions[name], name)) if revisions else ""
    rounds = []
    for revision in (main, *sorted(set(revisions) - {main})):
        mine = [result for result in live if (result.model_reported or main) == revision]
        first = revision == main
        spent = _spent(results) if first else (0, 0, 0.0)
        rounds.append(
            Round(
                id=frame.id if first else f"{frame.id}#{revision}",
                model_name=probe.model_name,
                target=probe.live.target,
                role=probe.live.role,
                suite=probe.suite,
                kind=probe.kind,
                items=frame.items,
                scheduled=frame.scheduled,
                started=frame.started,
                ended=frame.ended,
                key=probe.key(probe.live, revision or None),
                revision=revision,
                complete=not reason,
                reason=reason,
                counts=_counts(mine, pairs),
                calls=spent[0],
                tokens=spent[1],
                money=spent[2],
                beside=other.role if other else "base",
                seconds95=_slow(mine),
            )
        )
    return rounds


def _slow(results: Sequence[ProbeResult]) -> float | None:
    """Time that 95% of the answers took at most."""
    times = sorted(result.seconds for result in results if result.outcome != "error")
    return times[math.ceil(0.95 * len(times)) - 1] if times else None


def _why_inconclusive(items: int, results: Sequence[ProbeResult]) -> str:
    errors = sum(result.outcome == "error" for result in results)
    if len(results) < items:
        return "cancelled"
    return "errors" if errors > MOST_ERRORS * items else ""


def _counts(results: Sequence[ProbeResult], pairs: Mapping[Question, int]) -> dict[str, Counts]:
    table: dict[str, list[int]] = {}
    for result in results:
        row = table.setdefault(result.category, [0] * len(Counts._fields))
        row[0] += result.outcome in ("pass", "fail")
        row[1] += result.outcome == "fail"
        row[2] += result.outcome == "unscored"
        row[3] += result.outcome == "error"
        pair = pairs.get(question(result), 0)
        row[4] += pair > 0
        row[5] += pair < 0
    return {category: Counts(*table[category]) for category in sorted(table)}


def _pairs(live: Sequence[ProbeResult], beside: Sequence[ProbeResult]) -> dict[Question, int]:
    """Question -> 1 where only the live model failed, -1 where only the other did; concordant and unscored ones are left out."""
    theirs = {question(result): result.outcome for result in beside}
    found: dict[Question, int] = {}
    for result in live:
        both = result.outcome, theirs.get(question(result))
        if both == ("fail", "pass"):
            found[question(result)] = 1
        elif both == ("pass", "fail"):
            found[question(result)] = -1
    return found


def _spent(results: Sequence[ProbeResult]) -> tuple[int, int, float]:
    """Calls, tokens and money of all sides together."""
    return (
        sum(result.attempts for result in results),
        sum(result.tokens_in + result.tokens_out for result in results),
        sum(result.cost for result in results),
    )
