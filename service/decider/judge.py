"""One closed window through detectors, incidents and learning: the verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.change import share_interval
from detectors.contract import Evidence
from detectors.sketch import Sketch
from service.config import Config
from service.decider import explain
from service.decider.encoding import decode_array, encode_array
from service.decider.incidents import Incidents, Place
from service.decider.learning import STREAMS, Learning
from service.decider.state import of_stream
from service.decider.streams import LEVELS, PER_MODEL, Streams
from service.decider.track import KEPT, Ring, Topic, Track
from service.records import WHOLE, DeltaKey, Incident, Verdict

_STREAMS = tuple(STREAMS)


class Model(Protocol):
    """What is read of a watched model."""

    @property
    def bundle(self) -> str:
        """Digest."""
        ...

    @property
    def topics(self) -> Sequence[Topic]:
        """Reference topics."""
        ...

    @property
    def owner(self) -> str:
        """Who is told."""
        ...


@dataclass(frozen=True, slots=True)
class _Shown:
    """What value and interval of a verdict are about: the windows since ``since`` (an open incident) or the newest ones (None)."""

    n: int
    x: int
    windows: int
    since: float | None


class Judge:
    """Turns closed windows into verdicts and incidents, and teaches what is clean."""

    def __init__(
        self,
        models: Mapping[str, Model],
        streams: Streams,
        incidents: Incidents,
        learning: Mapping[str, Learning],
        tracks: Mapping[str, Track],
        config: Config,
    ) -> None:
        self._models, self._streams, self._incidents, self._learning, self._tracks = models, streams, incidents, learning, tracks
        self._length, self._settings, self._backlog_after = config.windows.length, config.windows, config.detection.backlog_after
        self._index = {name: i * PER_MODEL for i, name in enumerate(models)}
        self._names = list(models)
        self._starts = Ring(np.dtype("<i8"), KEPT)
        self.unknown: dict[str, int] = {}
        self.latest: dict[tuple[str, str], Verdict] = {}

    def window(self, start: int, sketches: Mapping[DeltaKey, Sketch], behind: float) -> tuple[Verdict, ...]:
        """Judge one closed window; ``behind``: seconds by which event time trails the workers' clocks."""
        found = {key.model_name: sketch for key, sketch in sketches.items() if self._is_watched(key) and sketch.n > 0}
        self._count_unknown(sketches)
        if not found:
            return ()
        n, x = np.zeros((2, len(self._streams)), np.int64)
        for name, sketch in found.items():
            first = self._index[name]
            n[first : first + PER_MODEL] = sketch.n
            x[first : first + PER_MODEL] = sketch.strange, sketch.far
        step = self._streams.update(n, x)
        self._starts.append(start)
        for name, sketch in found.items():
            self._tracks[name].append(start, sketch, step.evidence, self._index[name])
        end = start + self._length
        for stream in np.flatnonzero(step.recovered.any(axis=0)).tolist():
            self._recover(stream, step.recovered[:, stream], end)
        for name in found:
            for i in range(self._index[name], self._index[name] + PER_MODEL):
                self._incidents.add(name, self._name(i), int(n[i]), int(x[i]))
        self._cross(step.evidence, end, behind > self._backlog_after)
        for stream in np.flatnonzero(step.recovered.any(axis=0)).tolist():
            if not self._incidents.levels(self._names[stream // PER_MODEL], self._name(stream)):
                self._streams.forget_change(stream)
        verdicts = self._verdicts(start, found, n, x, step.evidence)
        for name, sketch in found.items():
            if self._learning[name].take(start, {WHOLE: sketch}, not self._incidents.any_open(name)):
                self.renew(name)
        return verdicts

    def catch_up(self, behind: float) -> None:
        """Raise the severity of what was opened in a backlog once the backlog is worked off."""
        if behind <= self._backlog_after:
            self._incidents.work_off()

    def renew(self, model: str) -> None:
        """Put the nulls that follow from what is learned in force; where they changed, incidents against the old ones end."""
        self._streams.renew(self._index[model], [self._learning[model].null(WHOLE, stream) for stream in STREAMS])

    def end_all(self, model: str, actor: str, time: float, verdict: str, reason: str) -> None:
        """Close every incident of a model."""
        for place in self._incidents.places(model):
            self._incidents.end(place, actor, time, verdict, reason)
            if model in self._index:
                self.watch(place, on=False)

    def watch(self, place: Place, *, on: bool) -> None:
        """Start or stop the recovery test of one incident."""
        self._streams.watch_recovery(self._stream(place.model_name, place.stream), place.level, on)

    def interval(self, i: int) -> tuple[float, float, float] | tuple[None, None, None]:
        """Share of one stream with its 95% interval: since the change of an open incident began, else over the newest windows."""
        about = self._shown(i)
        if about.n == 0:
            return None, None, None
        return about.x / about.n, *share_interval(about.x, about.n, float(self._streams.effect[i]))

    def state(self, model: str, stream: str, *, blind: bool = False, watermark: float | None = None) -> str:
        """State of one stream; ``idle`` is only known against a watermark."""
        recent = self._tracks[model].recent(self._length)
        quiet = max(self._settings.idle_after, self._length) + self._settings.grace
        seen = recent["start"][-1] + self._length if recent.size else -np.inf
        return of_stream(
            blind=blind,
            open_levels=self._incidents.levels(model, stream),
            learning=self._learning[model].phase == "first_contact",
            idle=watermark is not None and watermark - seen > quiet,
            prompts=int(recent["n"].sum()),
        )

    def _count_unknown(self, sketches: Mapping[DeltaKey, Sketch]) -> None:
        for key, sketch in sketches.items():
            if key.slice == WHOLE and not self._is_watched(key):
                self.unknown[key.bundle] = self.unknown.get(key.bundle, 0) + int(sketch.n)

    def _is_watched(self, key: DeltaKey) -> bool:
        model = self._models.get(key.model_name)
        return model is not None and key.slice == WHOLE and key.bundle == model.bundle

    def _recover(self, i: int, levels: NDArray[np.bool_], end: float) -> None:
        for level, recovered in zip(LEVELS, levels, strict=True):
            place = Place(self._names[i // PER_MODEL], self._name(i), level)
            if recovered and self._incidents.at(place):
                self._incidents.end(place, "recovery", end, "recovered", None)

    def _cross(self, evidence: Evidence, end: float, backlog: bool) -> None:
        for level, crossed, shown in (("ticket", evidence.ticket, evidence.log10_ticket), ("page", evidence.page, evidence.log10_page)):
            for i in np.flatnonzero(crossed).tolist():
                place = Place(self._names[i // PER_MODEL], self._name(i), level)
                if self._incidents.at(place):
                    self._incidents.again(place)
                else:
                    self._open(place, i, end, float(shown[i]), backlog)
                    self.watch(place, on=True)

    def _open(self, place: Place, i: int, end: float, evidence: float, backlog: bool) -> None:
        name, track = place.model_name, self._tracks[place.model_name]
        change = self._streams.estimate(i)
        starts = self._starts.rows
        start, low, high = (float(starts[max(0, starts.size - 1 - ago)]) for ago in (change.start, change.low, change.high))
        windows = track.since(start)
        n, x = int(windows["n"].sum()), int(windows["x"][:, i % PER_MODEL].sum())
        reference, (lower, upper) = float(self._streams.reference[i]), share_interval(x, n, float(self._streams.effect[i]))
        parts = [explain.changed(place.stream, x / n, lower, upper, start, reference), explain.began(min(low, start), max(high, start))]
        parts.append(explain.grew(self._models[name].topics, track.grown(start, self._shares(name))))
        incident = Incident(
            id=f"{name}-{place.stream}-{place.level}-{end:.0f}",
            model_name=name,
            stream=place.stream,
            level=place.level,
            severity="none",
            owner=self._models[name].owner,
            opened=end,
            explanation="; ".join(part for part in parts if part),
            value=x / n,
            reference=reference,
            log10_evidence=evidence,
            log10_threshold=self._streams.thresholds(i)[LEVELS.index(place.level)],
            change_start=start,
            change_low=min(low, start),
            change_high=max(high, start),
        )
        self._incidents.begin(incident, n, x, backlog=backlog)

    def _shares(self, model: str) -> NDArray[np.float64]:
        """Share of each topic when nothing is wrong: as learned, else as in the fine-tuning set; "none of these" comes last."""
        learned = self._learning[model].topics
        if learned is not None and learned.sum() > 0:
            return np.asarray(learned / learned.sum())
        topics = [topic.share for topic in self._models[model].topics]
        return np.array([*topics, max(0.0, 1 - sum(topics))])

    def _verdicts(
        self, start: int, found: Mapping[str, Sketch], n: NDArray[np.int64], x: NDArray[np.int64], evidence: Evidence
    ) -> tuple[Verdict, ...]:
        """One verdict per stream of every model found.

        ``value`` and ``n`` are those of the window. The effect is share minus reference, with the 95% interval of :class:`_Shown`.
        """
        streams = [i for name in found for i in range(self._index[name], self._index[name] + PER_MODEL)]
        verdicts = []
        for i in streams:
            about = self._shown(i)
            lower, upper = share_interval(about.x, about.n, float(self._streams.effect[i]))
            name, stream, reference = self._names[i // PER_MODEL], self._name(i), float(self._streams.reference[i])
            if about.since is None:
                words = explain.quiet(stream, about.x / about.n, lower, upper, about.windows, reference)
            else:
                words = explain.changed(stream, about.x / about.n, lower, upper, about.since, reference)
            ticket, page = self._streams.thresholds(i)
            verdict = Verdict(
                window_start=float(start),
                window_end=float(start + self._length),
                model_name=name,
                slice=WHOLE,
                stream=stream,
                n=int(n[i]),
                value=float(x[i] / n[i]),
                reference=reference,
                effect_low=lower - reference,
                effect_high=upper - reference,
                log10_evidence=float(evidence.log10_page[i]),
                log10_threshold=page,
                log10_ticket_evidence=float(evidence.log10_ticket[i]),
                log10_ticket_threshold=ticket,
                state=self.state(name, stream),
                explanation=words,
            )
            self.latest[name, stream] = verdict
            verdicts.append(verdict)
        return tuple(verdicts)

    def _shown(self, i: int) -> _Shown:
        name = self._names[i // PER_MODEL]
        if open_ := self._incidents.since(name, self._name(i)):
            since, n, x = open_
            return _Shown(n, x, 0, since)
        rows = self._tracks[name].recent(self._length)
        return _Shown(int(rows["n"].sum()), int(rows["x"][:, i % PER_MODEL].sum()), rows.size, None)

    def _name(self, i: int) -> str:
        return _STREAMS[i % PER_MODEL]

    def to_json(self, needed: int) -> dict[str, Any]:
        """Everything needed to go on; ``needed``: windows in the history of the change points."""
        starts = encode_array(self._starts.rows[-max(needed, 1) :])
        return {"starts": starts, "unknown": self.unknown, "latest": [asdict(verdict) for verdict in self.latest.values()]}

    def load(self, state: Mapping[str, Any], kept: Sequence[str]) -> None:
        """Inverse of :meth:`to_json`, for the models ``kept``."""
        self._starts.load(decode_array(state["starts"]))
        self.unknown = dict(state["unknown"])
        verdicts = (Verdict(**values) for values in state["latest"])
        self.latest = {(verdict.model_name, verdict.stream): verdict for verdict in verdicts if verdict.model_name in kept}

    def _stream(self, model: str, stream: str) -> int:
        return self._index[model] + _STREAMS.index(stream)
