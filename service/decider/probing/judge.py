"""Rounds of probes through records, detectors and incidents: the verdicts."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.change import share_interval
from detectors.contract import Evidence
from detectors.sketch import BINS
from service.config import Config
from service.decider.budget import StreamKey, Weighted
from service.decider.expectations import Refused
from service.decider.incidents import Incidents
from service.decider.incidents import Place as Where
from service.decider.probing import words
from service.decider.probing.counting import Counted, count
from service.decider.probing.deployments import Deployments
from service.decider.probing.layout import Place, Planned, plan
from service.decider.probing.record import Tally
from service.decider.probing.stream import NO_ROWS, Stream
from service.decider.probing.suite import Suite
from service.decider.probing.tap import Tap
from service.records import Command, Incident, Verdict
from service.records.probes import ProbeStream, Round
from service.records.probes_json import read_round

REMEMBERED = 10_000
"""Ids of rounds kept, so that a round told twice counts once."""

OURS = frozenset({"budget", "cancelled", "blind"})
"""Reasons of an incomplete round that say nothing about the target."""

_NO_PROMPTS: NDArray[np.int64] = np.zeros(BINS, np.int64)


class Probing:
    """Judges the rounds of every model's probes.

    Args:
        streams: what is asked, as configuration and packs have it; rounds of anything else are counted and left out.
        models: weights and owners by name.
    """

    def __init__(self, streams: Sequence[ProbeStream], models: Mapping[str, Weighted], config: Config, owners: Mapping[str, str]) -> None:
        self.streams = {each.key: Stream(each) for each in plan(streams, models, config)}
        self.suites = {stream.planned.place: Suite() for stream in self.streams.values()}
        self.tap = Tap(streams, frozenset(name for name, target in config.targets.items() if target.through_gateway))
        self.incidents = Incidents(paging=True)
        self.deployments = Deployments()
        self.latest: dict[StreamKey, Verdict] = {}
        self.unknown, self.refused = 0, 0
        self.period = config.probes.period
        self._owners = owners
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._detached: dict[str, Any] = {}

    @property
    def models(self) -> set[str]:
        """Models that have probes."""
        return {key.model_name for key in self.streams}

    def planned(self, key: StreamKey) -> Planned | None:
        """A stream by its key."""
        stream = self.streams.get(key)
        return stream.planned if stream is not None else None

    def take(self, command: Command) -> tuple[Verdict, ...]:
        """Judge one round. Raises Refused for what is none."""
        try:
            told = read_round(command.arguments)
        except ValueError as error:
            self.refused += 1
            raise Refused(str(error)) from None
        if told.id in self._seen:
            return ()
        self._seen[told.id] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        place = Place(told.model_name, told.target, told.suite)
        if place not in self.suites:
            self.unknown += 1
            return ()
        self.tap.sent(told)
        return tuple(self._judge(told, place))

    def _judge(self, told: Round, place: Place) -> Iterator[Verdict]:
        suite, found = self.suites[place], [stream for stream in self.streams.values() if stream.planned.place == place]
        drifting = self._drifting(place.model_name)
        if told.kind == "fingerprint" and self.deployments.announced(place.model_name, told.ended):
            suite.inconclusive(told, "a deployment was announced")
            return
        judges = drifting.intersection(judge for stream in found for judge in stream.planned.of.judges)
        if told.complete and not judges:
            suite.take(told)
        else:
            suite.inconclusive(told, told.reason if not told.complete else f"judge {min(judges)} drifts")
        for stream in found:
            if not told.complete and (stream.planned.question != "probe_errors" or told.reason in OURS):
                continue
            if drifting.intersection(stream.planned.of.judges):
                continue
            counted = count(stream.planned, told)
            if counted is not None and counted.n:
                yield self._step(stream, told, counted)

    def _drifting(self, model: str) -> set[str]:
        """Judges of a model that have an open incident."""
        keys = [StreamKey(*where[:3]) for where in self.incidents.places(model)]
        return {self.streams[key].planned.of.target for key in keys if key.stream == "probe_judge"}

    def _step(self, stream: Stream, told: Round, counted: Counted) -> Verdict:
        key, question = stream.planned.key, stream.planned.question
        quiet = not self.incidents.levels(key)
        said = stream.take(told.ended, counted.n, counted.x, counted.base, counted.bet)
        for level in self.incidents.levels(key):
            self.incidents.add(Where(*key, level), counted.n, counted.x, _NO_PROMPTS)
        if not quiet:
            for level in stream.recovered(*counted.well):
                self.end(Where(*key, level), "recovery", told.ended, "recovered", None)
        if said is not None:
            self._cross(stream, said, told.ended)
        if question != "probe_paired":
            of = ("", "") if question == "probe_errors" else (told.key, told.revision)
            quiet = not self.incidents.levels(key)
            if stream.record.take(*of, told.ended, counted.n, counted.x, quiet=quiet):
                stream.renew(told.ended)
        verdict = self._verdict(stream, told, counted)
        self.latest[key] = verdict
        return verdict

    def _cross(self, stream: Stream, said: Evidence, end: float) -> None:
        for level, crossed, shown in (("ticket", said.ticket, said.log10_ticket), ("page", said.page, said.log10_page)):
            if not crossed[0]:
                continue
            where = Where(*stream.planned.key, level)
            if self.incidents.at(where):
                self.incidents.again(where)
            else:
                self._open(stream, where, end, float(shown[0]))

    def _open(self, stream: Stream, where: Where, end: float, evidence: float) -> None:
        planned = stream.planned
        first, low, high = stream.began()
        rows = stream.since(first.time)
        n, x = sum(row.n for row in rows), sum(row.x for row in rows)
        threshold = stream.thresholds()[where.level]
        incident = Incident(
            id="-".join((where.model_name, where.slice.replace("/", "."), where.stream, where.level, f"{end:.0f}")),
            model_name=where.model_name,
            stream=where.stream,
            level=where.level,
            severity="none",
            owner=self._owners.get(where.model_name, "unowned"),
            opened=end,
            explanation=words.told(planned, rows, stream.record, first.time, self.period),
            value=x / n if n else 0.0,
            reference=self.reference(stream),
            log10_evidence=evidence,
            log10_threshold=threshold if threshold is not None else evidence,
            change_start=first.time,
            change_low=low.time,
            change_high=high.time,
            slice=where.slice,
            kind=planned.kind,
        )
        if not self.incidents.levels(planned.key):
            stream.record.forget(n - rows[-1].n, x - rows[-1].x)  # the newest round is not learned yet
        self.incidents.begin(incident, n, x, _NO_PROMPTS, backlog=False)
        stream.watch_recovery(where.level, on=True)

    def end(self, where: Where, actor: str, time: float, verdict: str, reason: str | None) -> None:
        """Close an incident."""
        self.incidents.end(where, actor, time, verdict, reason)
        if stream := self.streams.get(StreamKey(*where[:3])):
            stream.watch_recovery(where.level, on=False)
            if not self.incidents.levels(stream.planned.key):
                stream.after = time

    def end_all(self, stream: Stream, actor: str, time: float, verdict: str, reason: str) -> None:
        """Close every incident of a stream."""
        for level in self.incidents.levels(stream.planned.key):
            self.end(Where(*stream.planned.key, level), actor, time, verdict, reason)

    def acceptable(self, stream: Stream) -> bool:
        """Whether a person may make what answers now the record: another model is on trial, an incident is open, or there is no record."""
        record = stream.record
        if stream.paired or stream.is_fingerprint or record.now is None:
            return False
        return record.accepted is None or record.trial is not None or bool(self.incidents.levels(stream.planned.key))

    def offered(self, stream: Stream) -> Tally | None:
        """What an acceptance takes of what answers now: since the change of an open incident began, else outside of changes told of."""
        now, open_ = stream.record.now, self.incidents.since(stream.planned.key)
        if now is None:
            return None
        if open_ and 0 < open_[1] < now.n:
            since, n, bad = open_
            return replace(now, since=max(since, now.since), n=n, bad=min(bad, n))
        return replace(now, n=now.learned_n, bad=now.learned_bad) if now.learned_n and not open_ else now

    def reference(self, stream: Stream) -> float:
        """Share that is normal: of the record, else what is tested against."""
        if stream.paired:
            return 0.0
        accepted = stream.record.accepted
        return accepted.bad / accepted.n if accepted else stream.null or 0.0

    def shown(self, stream: Stream) -> tuple[int, int, float | None]:
        """Answers and bad ones since the change of an open incident began, else over the period; and that start."""
        if open_ := self.incidents.since(stream.planned.key):
            since, n, x = open_
            return n, x, since
        newest = stream.rows[-1].time if stream.rows else 0.0
        rows = stream.since(newest - self.period)
        return sum(row.n for row in rows), sum(row.x for row in rows), None

    def state(self, stream: Stream, *, blind: bool = False, now: float | None = None) -> str:
        """State of one stream. It is blind when no round came for three intervals; ``now`` is None where only the data move time."""
        levels, suite = self.incidents.levels(stream.planned.key), self.suites[stream.planned.place]
        silent = now is not None and suite.last is not None and now - suite.last > 3 * stream.planned.of.interval
        if blind or silent:
            return "blind"
        if levels:
            return levels[0]
        if not stream.allowed()["ticket"]:
            return "learning"
        judged = suite.complete or stream.planned.question == "probe_errors"
        return "ok" if judged and stream.rows else "insufficient"

    def _verdict(self, stream: Stream, told: Round, counted: Counted) -> Verdict:
        n, x, since = self.shown(stream)
        low, high = share_interval(x, n, 1.0)
        rows = stream.since(since if since is not None else told.ended - self.period)
        reference, rates = self.reference(stream), stream.planned
        explanation = words.told(stream.planned, rows, stream.record, since, self.period)
        return Verdict(
            window_start=told.scheduled,
            window_end=told.ended,
            model_name=rates.key.model_name,
            slice=rates.key.slice,
            stream=rates.key.stream,
            n=counted.n,
            value=counted.x / counted.n,
            reference=reference,
            effect_low=low - reference,
            effect_high=high - reference,
            log10_evidence=stream.evidence[1],
            log10_threshold=-float(np.log10(rates.page)) if rates.page else np.inf,
            log10_ticket_evidence=stream.evidence[0],
            log10_ticket_threshold=-float(np.log10(rates.ticket)),
            state=self.state(stream),
            explanation=explanation,
        )

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "streams": {**self._detached, **{"\t".join(key): stream.to_json() for key, stream in self.streams.items()}},
            "suites": [[*place, suite.to_json()] for place, suite in self.suites.items()],
            "incidents": self.incidents.to_json(),
            "latest": [asdict(verdict) for verdict in self.latest.values()],
            "seen": list(self._seen),
            "tap": self.tap.to_json(),
            "deployments": self.deployments.to_json(),
            "counts": [self.unknown, self.refused],
        }

    def load(self, state: Mapping[str, Any], time: float) -> None:
        """Inverse of :meth:`to_json`; incidents of streams that are not configured any more are closed, their records are kept."""
        for name, saved in state["streams"].items():
            stream = self.streams.get(StreamKey(*name.split("\t")))
            if stream is not None:
                stream.load(saved)
            else:
                self._detached[name] = {**saved, "rows": NO_ROWS, "recovery": {}}
        for *place, saved in state["suites"]:
            if Place(*place) in self.suites:
                self.suites[Place(*place)] = Suite.from_json(saved)
        self.incidents.load(state["incidents"])
        verdicts = ((StreamKey(v["model_name"], v["slice"], v["stream"]), Verdict(**v)) for v in state["latest"])
        self.latest = {key: verdict for key, verdict in verdicts if key in self.streams}
        self._seen = OrderedDict.fromkeys(state["seen"])
        self.tap.load(state["tap"])
        self.deployments.load(state["deployments"])
        self.unknown, self.refused = state["counts"]
        for where in self.incidents.places():
            if StreamKey(*where[:3]) not in self.streams:
                self.incidents.end(where, "configuration", time, "monitor", "these probes are no longer configured")
