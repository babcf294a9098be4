"""From graded answers to what a round came to, at each side and for each revision that answered."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.canary.probe import Probe, Question, Side, question
from service.records.probes import Counts, ProbeResult, Round

MOST_ERRORS = 0.2
"""Part of a round's questions that may have no answer; a round with more is inconclusive."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The frame of a round. ``items``: questions that each side is asked; ``reason``: why it ended before its time, else empty."""

    probe: Probe
    id: str
    scheduled: float
    started: float
    ended: float
    items: int
    reason: str = ""


def tally(frame: Tally, results: Sequence[ProbeResult]) -> list[Round]:
    """What the round came to at every side that was asked, the live one first.

    Where the replies of a side report two models, each revision has a round of its own: the one that answered most keeps the id, the
    others have ``#<revision>`` behind it. The counts of the live side, and of a side that is neither live nor base, hold the discordant
    pairs: questions that only the live model got wrong (worse), or only the other (better).
    """
    probe = frame.probe
    by_role: dict[str, list[ProbeResult]] = defaultdict(list)
    for result in results:
        by_role[result.role].append(result)
    live = by_role[probe.live.role]
    spent = _spent(results)
    rounds: list[Round] = []
    for side in (probe.live, *probe.beside):
        mine = by_role[side.role]
        # Live is paired with the first side beside it (the base model), a fallback or previous release with the live model.
        other = probe.beside[0] if side is probe.live and probe.beside else None
        if side is probe.live:
            pairs = _pairs(live, by_role[other.role]) if other else {}
        else:
            pairs = {} if side.role == "base" else _pairs(live, mine)
        rounds += _of_side(frame, side, mine, pairs, spent if side is probe.live else (0, 0, 0.0))
    return rounds


def _of_side(
    frame: Tally, side: Side, results: Sequence[ProbeResult], pairs: Mapping[Question, int], spent: tuple[int, int, float]
) -> list[Round]:
    reason = frame.reason or _why_inconclusive(frame.items, results)
    revisions = Counter(result.model_reported for result in results if result.model_reported)
    # Answers without a revision (errors above all) go with the one that answered most.
    main = min(revisions, key=lambda name: (-revisions[name], name)) if revisions else ""
    probe = frame.probe
    id = frame.id if side is probe.live else _sibling(frame, side)
    rounds = []
    for revision in (main, *sorted(set(revisions) - {main})):
        mine = [result for result in results if (result.model_reported or main) == revision]
        first = revision == main
        calls, tokens, money = spent if first else (0, 0, 0.0)
        rounds.append(
            Round(
                id=id if first else f"{id}#{revision}",
                model_name=probe.model_name,
                target=side.target,
                role=side.role,
                suite=probe.suite,
                kind=probe.kind,
                items=frame.items,
                scheduled=frame.scheduled,
                started=frame.started,
                ended=frame.ended,
                key=probe.key(side, revision or None),
                revision=revision,
                complete=not reason,
                reason=reason,
                counts=_counts(mine, pairs),
                calls=calls,
                tokens=tokens,
                money=money,
            )
        )
    return rounds


def _sibling(frame: Tally, side: Side) -> str:
    """The id of the same round at another side."""
    return frame.id.replace(frame.probe.name, f"{frame.probe.model_name}/{side.target}/{frame.probe.suite}", 1)


def _why_inconclusive(items: int, results: Sequence[ProbeResult]) -> str:
    errors = sum(result.outcome == "error" for result in results)
    if len(results) < items:
        return "cancelled"
    if errors == items:
        return "blind"
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
