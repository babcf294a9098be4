"""Gates of a release pipeline: pass, fail or inconclusive from what the decider knows, since the model that answers now began to.

Stage A (pilot): no suite is worse than its record, and no page of a probe opened; where a suite is better, that is said. Stage B (scale):
also nothing else is open, safety was asked, it held for :data:`SUSTAINED` at least, and cost and latency are what the settings allow.
Stage C (production): also the model beats the fallback, asked the same items in the same rounds. What has no data never passes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from detectors import gate as tests
from detectors.rounds import bound
from service.config import Config, Gate
from service.decider.explain import percent
from service.decider.incidents import Incidents
from service.decider.probing.judge import Probing
from service.decider.probing.layout import SAFETY, Place
from service.decider.probing.record import Accepted, pooled
from service.decider.probing.stream import Stream
from service.decider.probing.suite import Era, Suite
from service.decider.probing.view import GateState

SUSTAINED = 86400.0
"""Seconds over which stage B wants rounds of the model that answers now."""

_UNASKED = frozenset({"judge", "fingerprint"})
_HALF = 1e-6

Outcome = Literal["pass", "fail", "inconclusive"]


class Said(NamedTuple):
    """One question of a gate, answered."""

    outcome: Outcome
    reason: str


def gate_state(
    name: str, gate: Gate, probing: Probing, drift: Incidents, config: Config, now: float | None, unseen: str | None = None
) -> GateState:
    """What one gate says. ``drift``: incidents of the prompts; ``now``: wall clock, None where only the data move time.

    ``unseen``: why the prompts of the model cannot be seen, if so: that none of their incidents is open says nothing then.
    """
    places = _places(gate, probing, config)
    suites = {place: _suite(probing, place, gate, len(places), now) for place in places}
    missing = [suite for suite in gate.suites if suite not in {place.suite for place in places}]
    said = [*suites.values(), *(Said("inconclusive", f"{suite} is not asked") for suite in missing)]
    if not said:
        said.append(Said("inconclusive", "no probes are asked"))
    began = {f"{place.target}/{place.suite}": era.since if (era := probing.suites[place].now) else None for place in places}
    since = max((at for at in began.values() if at is not None), default=None)
    if gate.stage == "A":
        said += _open(gate, probing.incidents, ("page",), -math.inf if since is None else since)
    if gate.stage in ("B", "C"):
        said += _sustained(gate, probing, places, drift)
        said += [Said("inconclusive", f"the prompts are not seen: {unseen}")] if unseen else []
    if gate.stage == "C":
        said.append(_beats_fallback([probing.suites[place] for place in places]))
    outcomes = {one.outcome for one in said}
    verdict: Outcome = "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"
    shown = [one for one in said if one.reason and one.outcome == verdict]
    return GateState(
        name=name,
        model_name=gate.model,
        stage=gate.stage,
        verdict=verdict,
        reasons=tuple(one.reason for one in shown),
        since=since,
        streams={f"{place.target}/{place.suite}": one.outcome for place, one in suites.items()},
        last=max((last for place in places if (last := probing.suites[place].last) is not None), default=None),
        began=began,
    )


def gate_states(probing: Probing, drift: Incidents, config: Config, now: float | None, unseen: Mapping[str, str]) -> tuple[GateState, ...]:
    """Every gate of the configuration. ``unseen``: model -> why its prompts cannot be seen."""
    return tuple(gate_state(name, gate, probing, drift, config, now, unseen.get(gate.model)) for name, gate in config.gates.items())


def _places(gate: Gate, probing: Probing, config: Config) -> list[Place]:
    """Suites that are asked of the live targets of the model, and that the gate reads."""
    live = {name for name, target in config.targets.items() if target.role == "live"}
    asked = {stream.planned.place: stream.planned.of for stream in probing.streams.values()}
    return [
        place
        for place, of in asked.items()
        if place.model_name == gate.model
        and of.kind not in _UNASKED
        and place.target in live
        and (place.suite in gate.suites if gate.suites else of.must_have_data or probing.suites[place].now is not None)
    ]


def _streams(probing: Probing, place: Place) -> list[Stream]:
    return [stream for stream in probing.streams.values() if stream.planned.place == place and stream.planned.question == "probe"]


def _suite(probing: Probing, place: Place, gate: Gate, suites: int, now: float | None) -> Said:
    """Whether a suite is not worse than its record, all categories together.

    ``suites``: how many are asked: each fails at an equal part of the level, so that all together fail by chance as seldom as one.
    """
    streams, suite = _streams(probing, place), probing.suites[place]
    current = suite.now
    if current is None or suite.last is None:
        return Said("inconclusive", f"{place.suite}: no round yet")
    if now is not None and now - suite.last > 3 * streams[0].planned.of.interval:
        return Said("inconclusive", f"{place.suite}: the last round ended {(now - suite.last) / 3600:.1f} h ago")
    records = [record for stream in streams if (record := _against(stream, current)) is not None]
    if len(records) < len(streams):
        return Said("inconclusive", f"{place.suite}: no record yet of {len(streams) - len(records)} of {len(streams)} categories")
    now_answers = current.key, current.revision
    tallies = [tally for stream in streams for tally in stream.record.tallies if (tally.key, tally.revision) == now_answers]
    n, bad = sum(tally.n for tally in tallies), sum(tally.bad for tally in tallies)
    answers, wrong = pooled(records)
    null = bound(wrong, answers)
    if null + gate.margin >= 1:
        return Said("inconclusive", f"{place.suite}: hardly any rise could be seen")
    shown = tests.decide(n, bad, null=null, margin=gate.margin, fewest=gate.fewest)
    told = f"{place.suite}: {bad} of {n} wrong, record {percent(wrong / answers)}"
    if shown.log10_worse >= math.log10(suites / tests.ALPHA):
        return Said("fail", f"{told}: worse")
    if shown.log10_not_worse >= math.log10(1 / tests.ALPHA) and n >= max(1, gate.fewest):
        return Said("pass", f"{told}: better" if shown.high < wrong / answers else f"{told}: not worse")
    needed = f", {gate.fewest} answers are needed" if n < gate.fewest else ""
    return Said("inconclusive", f"{told}: not yet shown to be worse or not{needed}")


def _against(stream: Stream, current: Era) -> Accepted | None:
    """The record of another model where there is one, else that of the one that answers."""
    accepted, previous = stream.record.accepted, stream.record.previous
    same = accepted is not None and (accepted.key, accepted.revision) == (current.key, current.revision)
    return previous if same and previous is not None else accepted


def _open(gate: Gate, side: Incidents, levels: Sequence[str], since: float = -math.inf) -> list[Said]:
    """What is open of the model and opened from ``since`` on: a page fails, a ticket leaves it open."""
    said = []
    for where in side.places(gate.model):
        incident = side.at(where)
        if where.level in levels and incident is not None and incident.opened >= since:
            told = " ".join(part for part in (where.stream, where.slice) if part)
            said.append(Said("fail" if where.level == "page" else "inconclusive", f"a {where.level} is open: {told}"))
    return said


def _sustained(gate: Gate, probing: Probing, places: Sequence[Place], drift: Incidents) -> list[Said]:
    said: list[Said] = []
    said += _open(gate, drift, ("page", "ticket")) + _open(gate, probing.incidents, ("page", "ticket"))
    kinds = {stream.planned.of.kind for place in places for stream in _streams(probing, place)}
    if not gate.suites and not kinds & SAFETY:
        said.append(Said("inconclusive", "no suite of safety is asked"))
    for place in places:
        era = probing.suites[place].now
        if era is not None and era.last - era.since < SUSTAINED:
            said.append(
                Said("inconclusive", f"{place.suite}: {(era.last - era.since) / 3600:.1f} of {SUSTAINED / 3600:.0f} h since it began")
            )
    said += _steady("cost of an answer", gate.cost, probing, places, lambda era: era.cost)
    said += _steady("95% time of an answer", gate.latency, probing, places, lambda era: era.seconds95)
    return said


def _steady(
    what: str, limit: float | None, probing: Probing, places: Sequence[Place], measure: Callable[[Era], float | None]
) -> list[Said]:
    """Whether what an answer costs or takes is within ``limit`` times the record's."""
    if limit is None:
        return []
    said = []
    for place in places:
        before, current = _before(probing, place), probing.suites[place].now
        then, found = (measure(era) if era is not None else None for era in (before, current))
        if then is None or found is None or then <= 0:
            said.append(Said("inconclusive", f"{place.suite}: the {what} is not known of both models"))
        else:
            ratio = found / then
            said.append(Said("fail" if ratio > limit else "pass", f"{place.suite}: the {what} is {ratio:.2f} times the record's"))
    return said


def _before(probing: Probing, place: Place) -> Era | None:
    """Rounds of the record's model."""
    suite = probing.suites[place]
    for stream in _streams(probing, place):
        if suite.now is not None and (record := _against(stream, suite.now)) is not None:
            return suite.of(record.key, record.revision)
    return None


def _beats_fallback(suites: Sequence[Suite]) -> Said:
    """Of the items that only one of the two got wrong, fewer than half are the live model's."""
    eras = [suite.now for suite in suites if suite.now is not None]
    live, other = (
        sum(counts.get("fallback", 0) for counts in side) for side in ([e.only_live for e in eras], [e.only_other for e in eras])
    )
    told = f"{live} items only this model got wrong, {other} only the fallback"
    if live + other == 0:
        return Said("inconclusive", "no item tells this model from a fallback")
    shown = tests.decide(live + other, live, null=0.5 - _HALF, margin=_HALF)
    if shown.outcome == "inconclusive":
        return Said("inconclusive", f"{told}: not yet shown to be better or worse")
    return Said(shown.outcome, f"{told}: {'better' if shown.outcome == 'pass' else 'worse'}")
