"""What a round says of each stream: counts of answers, and of those that are bad."""

from dataclasses import dataclass

from service.decider.probing.layout import SUITE_WIDE, Planned
from service.records.probes import Counts, Round


@dataclass(frozen=True, slots=True)
class Counted:
    """A round of one stream: ``n`` answers, ``x`` of them bad, ``base`` as in a row.

    ``bet``: (n, x) that the detector counts; ``well``: those that the recovery test does.
    """

    n: int
    x: int
    base: int | None
    bet: tuple[int, int]
    well: tuple[int, int]


def count(planned: Planned, told: Round) -> Counted | None:
    """What a round says of one stream; None where it says nothing."""
    if planned.question in SUITE_WIDE:
        n, unscored, error = (sum(getattr(counts, name) for counts in told.counts.values()) for name in ("n", "unscored", "error"))
        all_, bad = (n + unscored + error, error) if planned.question == "probe_errors" else (n + unscored, unscored)
        return Counted(all_, bad, None, (all_, bad), (all_, bad))
    if planned.question == "probe_judge":
        n, bad, unread = (sum(getattr(counts, name) for counts in told.counts.values()) for name in ("n", "bad", "unscored"))
        all_, wrong = n + unread, bad + unread  # who says nothing readable of an answer is not right about it
        return Counted(all_, wrong, None, (all_, wrong), (all_, wrong))
    counts = told.counts.get(planned.of.category, Counts())
    n, bad, only_live, only_base = counts.n, counts.bad, counts.worse, counts.better
    if planned.question == "probe":
        beside = planned.of.paired and told.beside == "base"
        return Counted(n, bad, bad - only_live + only_base if beside else None, (n, bad), (n, bad))
    if told.beside != "base":
        return None
    return Counted(n, only_live, only_base, (only_live + only_base, only_live), (n, max(only_live - only_base, 0)))
