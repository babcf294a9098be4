"""What the decider shows of probes: one immutable picture of each stream, of each suite, and of each gate."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from detectors.change import share_interval
from service.decider.probing import words
from service.decider.probing.judge import Probing
from service.decider.probing.layout import Place
from service.decider.probing.record import Accepted, Tally
from service.decider.probing.stream import Row, Stream
from service.decider.probing.suite import Era
from service.records import Verdict
from service.records.probes import ATTACKS

STATES = ("blind", "page", "ticket", "learning", "insufficient", "ok")


@dataclass(frozen=True, slots=True)
class RecordView:
    """Answers of one key and revision. ``bound``: of a record in force, what its share is at most; ``since``: when it began or was
    accepted, by ``actor``.
    """

    key: str
    revision: str
    n: int
    bad: int
    since: float
    bound: float | None = None
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProbeView:
    """One stream of probes now.

    Attributes:
        stream: ``probe``, ``probe_paired``, ``probe_errors``, ``probe_unscored`` or ``probe_judge``; kind: of the suite.
        severity: of an incident of it: page, joint or ticket.
        n, bad: over ``probes.period`` (since the change of an open incident began), share with 95% interval low to high.
        base: share of bad answers of the base model, asked the same items in the same rounds; None where it was not asked.
        attack: ``share`` is an attack success rate.
        null: share held against, minimum effect included.
        record: in force; trial: what answers now, if that is another model; now: what answers now, whichever model that is;
            acceptable: an acceptance would take it.
        rounds: complete ones since the model that answers now began to; series: the newest, oldest first.
        why: what keeps it from paging that could.
    """

    model_name: str
    target: str
    suite: str
    category: str
    stream: str
    kind: str
    severity: str
    state: str
    n: int
    bad: int
    share: float | None
    low: float | None
    high: float | None
    base: float | None
    attack: bool
    null: float | None
    record: RecordView | None
    trial: RecordView | None
    evidence: Mapping[str, float]
    thresholds: Mapping[str, float | None]
    rounds: int
    counted: str
    title: str
    why: str | None
    latest: Verdict | None
    series: Sequence[Row]
    now: RecordView | None = None
    acceptable: bool = False


@dataclass(frozen=True, slots=True)
class SuiteView:
    """One suite at one target now.

    Attributes:
        last: end of the newest round; complete: whether it could be judged, else ``reason``.
        rounds, incomplete: complete and other rounds so far.
        gap: of a fairness suite the largest difference of bad shares between two of its categories over the period, ``gap_low`` to
            ``gap_high`` what the 95% intervals of the two leave; ``groups``: the worse and the better one.
        beside: role of another model -> items that only the model that answers now got wrong, and items that only the other did.
    """

    model_name: str
    target: str
    suite: str
    kind: str
    interval: float
    last: float | None
    complete: bool
    reason: str
    rounds: int
    incomplete: int
    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    groups: tuple[str, str] | None = None
    beside: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateState:
    """What one gate says now.

    Attributes:
        verdict: fail when any of its questions is answered badly, pass when all are answered well, else inconclusive.
        reasons: what stands against a pass, worst first; of a pass what was shown.
        since: when the model that answers now began to; last: end of the newest round; both None before the first round.
        streams: suite -> pass, fail or inconclusive.
        began: suite -> when the model that answers it now began to; suites are asked at different times, and ``since`` is the newest.
    """

    name: str
    model_name: str
    stage: Literal["A", "B", "C"]
    verdict: Literal["pass", "fail", "inconclusive"]
    reasons: Sequence[str] = ()
    since: float | None = None
    streams: Mapping[str, str] = field(default_factory=dict)
    last: float | None = None
    began: Mapping[str, float | None] = field(default_factory=dict)


def probe_views(probing: Probing, blind: Collection[str], now: float | None) -> tuple[ProbeView, ...]:
    """Every stream; ``blind``: models whose prompts cannot be seen, ``now``: wall clock, None where only the data move time."""
    return tuple(_view(probing, stream, stream.planned.key.model_name in blind, now) for stream in probing.streams.values())


def suite_views(probing: Probing) -> tuple[SuiteView, ...]:
    """Every suite."""
    return tuple(_suite(probing, place) for place in probing.suites)


def _view(probing: Probing, stream: Stream, blind: bool, now: float | None) -> ProbeView:
    planned, of, record = stream.planned, stream.planned.of, stream.record
    n, bad, since = probing.shown(stream)
    low, high = share_interval(bad, n, 1.0)
    rows = stream.since(since if since is not None else (stream.rows[-1].time if stream.rows else 0.0) - probing.period)
    beside = [row for row in rows if row.base is not None and not stream.paired]
    asked = sum(row.n for row in beside)
    return ProbeView(
        model_name=of.model_name,
        target=of.target,
        suite=of.suite,
        category=of.category,
        stream=planned.key.stream,
        kind=of.kind,
        severity=of.severity if planned.page else "ticket",
        state=probing.state(stream, blind=blind, now=now),
        n=n,
        bad=bad,
        share=bad / n if n else None,
        low=low if n else None,
        high=high if n else None,
        base=sum(row.base or 0 for row in beside) / asked if asked else None,
        attack=planned.question == "probe" and of.kind in ATTACKS,
        null=stream.null,
        record=_accepted(record.accepted),
        trial=_tally(record.trial),
        evidence=dict(zip(("ticket", "page"), stream.evidence, strict=True)),
        thresholds=stream.thresholds(),
        rounds=record.now.rounds if record.now else len(stream.rows),
        counted=words.counted(planned),
        title=planned.title,
        why=stream.why,
        latest=probing.latest.get(planned.key),
        series=tuple(stream.rows),
        now=_tally(probing.offered(stream)),
        acceptable=probing.acceptable(stream),
    )


def _accepted(record: Accepted | None) -> RecordView | None:
    if record is None:
        return None
    return RecordView(record.key, record.revision, record.n, record.bad, record.time, record.bound, record.actor, record.reason)


def _tally(tally: Tally | None) -> RecordView | None:
    return RecordView(tally.key, tally.revision, tally.n, tally.bad, tally.since) if tally is not None else None


def _suite(probing: Probing, place: Place) -> SuiteView:
    suite = probing.suites[place]
    streams = [stream for stream in probing.streams.values() if stream.planned.place == place]
    of = streams[0].planned.of
    plain = SuiteView(
        *place,
        kind=of.kind,
        interval=of.interval,
        last=suite.last,
        complete=suite.complete,
        reason=suite.reason,
        rounds=suite.rounds,
        incomplete=suite.incomplete,
        beside=_beside(suite.now),
    )
    return plain if of.kind != "fairness" else _with_gap(plain, probing, streams)


def _beside(era: Era | None) -> dict[str, tuple[int, int]]:
    """Without roles that were never told apart from the model that answers: nobody may have been asked beside it."""
    told = {} if era is None else {role: (only, era.only_other[role]) for role, only in era.only_live.items()}
    return {role: both for role, both in told.items() if any(both)}


def _with_gap(view: SuiteView, probing: Probing, streams: Sequence[Stream]) -> SuiteView:
    groups = []
    for stream in streams:
        rows = stream.since((stream.rows[-1].time if stream.rows else 0.0) - probing.period)
        n, x = sum(row.n for row in rows), sum(row.x for row in rows)
        if stream.planned.question == "probe" and n:
            groups.append((x / n, *share_interval(x, n, 1.0), stream.planned.of.category))
    if len(groups) < 2:
        return view
    (low_share, low_least, low_most, better), (share, least, most, worse) = min(groups), max(groups)
    gap = share - low_share
    return replace(view, gap=gap, gap_low=max(least - low_most, 0.0), gap_high=most - low_least, groups=(worse, better))
