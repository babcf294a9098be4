"""From the decider's picture of probes, and the runner's, to what the page shows of one model."""

from collections.abc import Iterator, Sequence

import numpy as np

from service.api.probe_view import Answers, EndpointCard, Gap, GateCard, Left, ProbeCard, ProbesCard, SuiteCard
from service.api.stream_view import History
from service.canary.view import SuiteView as Asked
from service.config import Config
from service.decider.probing.stream import Row
from service.decider.probing.view import ProbeView, RecordView, SuiteView
from service.decider.snapshot import DeciderSnapshot
from service.main.probing import Asking
from service.records.probes import Round

_OPEN = ("page", "ticket")

SILENT = 3
"""Intervals without a round after which a suite is blind, as the decider has it."""


def card(model: str, config: Config, snapshot: DeciderSnapshot, asking: Asking | None, now: float) -> ProbesCard | None:
    """None where nothing of this model is probed."""
    suites = list(_suites(model, config, snapshot, asking, now))
    if not suites:
        return None
    return ProbesCard(
        suites=suites,
        endpoints=list(_endpoints(config, suites, asking)) if asking is not None else (),
        gates=[
            GateCard(gate.name, gate.stage, gate.verdict, next(iter(gate.reasons), ""), gate.since)
            for gate in snapshot.gates
            if gate.model_name == model
        ],
        period=config.probes.period,
    )


def _suites(model: str, config: Config, snapshot: DeciderSnapshot, asking: Asking | None, now: float) -> Iterator[SuiteCard]:
    """What the decider judges, and what the runner does not ask at all."""
    asked = {(view.target, view.suite): view for view in asking.suites if view.model_name == model} if asking is not None else {}
    views = [view for view in snapshot.probes if view.model_name == model]
    wall = now if config.windows.clock == "wall" else None
    for suite in snapshot.suites:
        if suite.model_name != model:
            continue
        streams = [view for view in views if (view.target, view.suite) == (suite.target, suite.suite)]
        yield _suite(suite, streams, asked.pop((suite.target, suite.suite), None), _blind(suite, streams, asking, wall))
    for view in asked.values():
        yield SuiteCard(view.target, view.suite, view.kind, interval=view.interval, blocked=view.blocked)


def _suite(suite: SuiteView, streams: Sequence[ProbeView], asked: Asked | None, blind: str) -> SuiteCard:
    gap = None
    if suite.gap is not None and suite.groups is not None:
        gap = Gap(suite.gap, suite.gap_low or 0.0, suite.gap_high or suite.gap, *suite.groups)
    running = asked.running if asked is not None else None
    return SuiteCard(
        target=suite.target,
        suite=suite.suite,
        kind=suite.kind,
        streams=[_stream(view) for view in streams],
        interval=suite.interval,
        last=suite.last,
        complete=suite.complete,
        reason=suite.reason,
        rounds=suite.rounds,
        incomplete=suite.incomplete,
        next=asked.next if asked is not None else None,
        running=(running.done, running.all) if running is not None else None,
        blocked=asked.blocked if asked is not None else None,
        blind=blind,
        gap=gap,
        beside=suite.beside,
    )


def _blind(suite: SuiteView, streams: Sequence[ProbeView], asking: Asking | None, now: float | None) -> str:
    """Why the answers of a suite cannot be seen; empty where they can."""
    if now is not None and suite.last is not None and now - suite.last > SILENT * suite.interval:
        return f"no round for {SILENT} intervals"
    if any(view.state == "blind" for view in streams):
        return "its canaries do not come back through the tap"
    if asking is not None and not _answers("targets", suite.target, asking):
        return f"{suite.target} does not answer"
    if suite.last is not None and not suite.complete:
        if suite.reason == "errors":
            return f"{suite.target} leaves more than a fifth of the questions unanswered"
        if suite.reason.startswith("judge "):
            return suite.reason
    return ""


def _stream(view: ProbeView) -> ProbeCard:
    return ProbeCard(
        stream=view.stream,
        category=view.category,
        state=view.state,
        n=view.n,
        bad=view.bad,
        share=view.share,
        low=view.low,
        high=view.high,
        counted=view.counted,
        attack=view.attack,
        null=view.null,
        base=view.base,
        record=_given(view.record),
        trial=_given(view.trial),
        why=view.why,
        slice="/".join(part for part in (view.target, view.suite, view.category) if part),
        evidence=view.evidence,
        thresholds=view.thresholds,
        history=_history(view.series) if view.state in _OPEN else History.empty(),
    )


def _given(of: RecordView | None) -> Answers | None:
    return Answers(of.n, of.bad, of.since, of.revision) if of is not None else None


def _history(rows: Sequence[Row]) -> History:
    """Rounds with an answer, as a plot takes them."""
    kept = [row for row in rows if row.n]
    start, n, x = (np.array([row[i] for row in kept], np.int64) for i in range(3))
    ticket, page = (np.array([getattr(row, name) for row in kept], np.float32) for name in ("ticket", "page"))
    return History(start, n, x, ticket, page)


def _answers(form: str, name: str, asking: Asking) -> bool:
    """By the newest round in which it was asked; before the first, and beside another, by whether it was reached at the start."""
    ended = [view.last for view in asking.suites if form == "targets" and view.target == name and view.last is not None]
    asked = [round for round in ended if any(counts.n + counts.unscored + counts.error for counts in round.counts.values())]
    if asked:
        newest = max(asked, key=_ended)
        return any(counts.n + counts.unscored for counts in newest.counts.values())
    endpoint = asking.endpoints.get(f"{form}.{name}")
    return endpoint is None or endpoint.reached


def _ended(round: Round) -> float:
    return round.ended


def _endpoints(config: Config, suites: Sequence[SuiteCard], asking: Asking) -> Iterator[EndpointCard]:
    """Targets of a model, and the judges of its answers."""
    models = {config.targets[suite.target].monitors for suite in suites if suite.target in config.targets}
    judges = {suite.target for suite in suites if suite.kind == "judge"}
    for name, endpoint in asking.endpoints.items():
        form, _, short = name.partition(".")
        settings = config.judges.get(short) if form == "judges" else config.targets.get(short)
        if settings is None or (short not in judges if form == "judges" else config.targets[short].monitors not in models):
            continue
        yield EndpointCard(
            name=short,
            role="judge" if form == "judges" else config.targets[short].role,
            model=endpoint.model or settings.model,
            answers=_answers(form, short, asking),
            paused=endpoint.paused,
            calls=Left(endpoint.calls, settings.daily.calls),
            tokens=Left(endpoint.tokens, settings.daily.tokens),
            money=Left(endpoint.money, settings.daily.money),
        )
