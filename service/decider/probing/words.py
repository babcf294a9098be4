"""What a verdict of probes says in words: numbers and names of the configuration only, never an item and never an answer."""

from collections.abc import Sequence

from detectors.change import share_interval
from service.decider.explain import moment, percent
from service.decider.probing.layout import Planned
from service.decider.probing.record import Record
from service.decider.probing.stream import Row

COUNTED = {
    "probe": "wrong",
    "probe_paired": "wrong where the base model was right",
    "probe_errors": "without an answer",
    "probe_unscored": "not graded",
    "probe_judge": "judged against their label",
}
"""Stream -> what its share is a share of."""


def counted(planned: Planned) -> str:
    """What the share of a stream is a share of."""
    if planned.question != "probe":
        return COUNTED[planned.question]
    if planned.kind == "safety" and planned.of.kind != "fairness":
        return "attacks that succeeded"
    return {"fingerprint": "changed", "latency": "too slow", "overrefusal": "refused or wrong"}.get(planned.of.kind, "wrong")


def told(planned: Planned, rows: Sequence[Row], record: Record, since: float | None, period: float) -> str:
    """``golden/arithmetic: 14 of 40 wrong (35%, 21% to 52%) since 21 Nov 12:00 UTC, record 5% (400 answers), base model 4%``.

    Counts of ``rows``; ``since``: start of the change of an open incident, None where none is open.
    """
    n, x, base = sum(row.n for row in rows), sum(row.x for row in rows), sum(row.base or 0 for row in rows)
    low, high = share_interval(x, n, 1.0)
    share = f"{percent(x / n)}, {percent(low)} to {percent(high)}" if n else "no answer"
    when = f"since {moment(since)} UTC" if since is not None else f"in {period / 3600:g} h"
    if planned.question == "probe_paired":
        return f"{planned.title}: {x} of {n} only this model got wrong ({share}) {when}, {base} only the base model"
    parts = [f"{planned.title}: {x} of {n} {counted(planned)} ({share}) {when}"]
    if record.accepted is not None:
        parts.append(f"record {percent(record.accepted.bad / record.accepted.n)} ({record.accepted.n} answers)")
    if trial := record.trial:
        parts.append(f"a new model is on trial since {moment(trial.since)} UTC")
    beside = [row for row in rows if row.base is not None]
    if asked := sum(row.n for row in beside):
        parts.append(f"base model {percent(base / asked)}")
    return ", ".join(parts)
