"""One closed window through detectors, incidents and learning: the verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.change import share_interval, share_intervals
from detectors.contract import Evidence
from detectors.sketch import Sketch
from service.config import Config
from service.decider import explain
from service.decider.budget import SLICED, StreamKey, Weighted
from service.decider.calendar import Calendar
from service.decider.cause import Causes, Described
from service.decider.encoding import decode_array, encode_array
from service.decider.incidents import Incidents, Place
from service.decider.learning import Learning
from service.decider.new_topic import NewTopics, renewed
from service.decider.spoken import Spoken
from service.decider.state import of_stream
from service.decider.streams import LEVELS, Streams
from service.decider.track import KEPT, Ring, Track
from service.records import WHOLE, DeltaKey, Verdict
from service.vocabulary import Vocabulary


class Model(Weighted, Described, Protocol):
    """What is read of a watched model."""

    @property
    def bundle(self) -> str:
        """Digest."""
        ...

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Words that may be shown."""
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
        tracks: Mapping[tuple[str, str], Track],
        spoken: Mapping[str, Spoken],
        config: Config,
    ) -> None:
        self._models, self._streams, self._incidents, self._learning, self._tracks = models, streams, incidents, learning, tracks
        self._length, self._settings, self._backlog_after = config.windows.length, config.windows, config.detection.backlog_after
        self._calendar = Calendar(config.windows.time_zone)
        self._causes = Causes(models, streams, learning, tracks)
        self._spoken, self._new_topics = spoken, NewTopics(models, spoken, self._causes, self._length)
        self._places: dict[tuple[str, str], list[int]] = {}
        for i, key in enumerate(streams.keys):
            self._places.setdefault(key[:2], []).append(i)
        self._starts = Ring(np.dtype("<i8"), KEPT)
        self._after: dict[StreamKey, float] = {}
        self.unknown: dict[str, int] = {}
        self.latest: dict[StreamKey, Verdict] = {}

    def window(self, start: int, sketches: Mapping[DeltaKey, Sketch], behind: float) -> tuple[Verdict, ...]:
        """Judge one closed window; ``behind``: seconds by which event time trails the workers' clocks."""
        self._count_unknown(sketches)
        known = {key[1:3]: sketch for key, sketch in sketches.items() if self._is_watched(key) and sketch.n > 0}
        found = {place: sketch for place, sketch in known.items() if place in self._places}
        if not found:
            return ()
        hour, end = self._calendar.hour(start), start + self._length
        step = self._streams.update(start, hour, found)
        before = float(self._starts.rows[-1]) + self._length if self._starts.rows.size else float(start)
        self._starts.append(start)
        self._keep(start, hour, found, step.evidence)
        recovered = np.flatnonzero(step.recovered.any(axis=0)).tolist()
        for i in recovered:
            self._recover(i, step.recovered[:, i], end)
        views = self._streams.views
        for place in self._incidents.places():
            if (at := self._streams.index.get(StreamKey(*place[:3]))) is not None:
                counted = found[place[:2]].histogram if place[:2] in found else 0
                self._incidents.add(place, int(views.n[at]), int(views.x[at]), counted)
        self._cross(step.evidence, end, behind > self._backlog_after)
        self._new_topics.tell(self._incidents, views, (before, end))
        for i in recovered:
            self._forget(i, end)
        verdicts = self._verdicts(start, found, step.evidence)
        for name in {name: None for name, _ in known}:
            taught = {slice_: sketch for (model, slice_), sketch in known.items() if model == name}
            if self._learning[name].take(start, taught, not self._incidents.any_open(name)):
                self.renew(name)
        return verdicts

    def catch_up(self, behind: float) -> None:
        """Raise the severity of what was opened in a backlog once the backlog is worked off."""
        if behind <= self._backlog_after:
            self._incidents.work_off()

    def renew(self, model: str) -> None:
        """Put the nulls that follow from what is learned in force; streams whose null changed begin again."""
        newest = float(self._starts.rows[-1]) + self._length if self._starts.rows.size else -np.inf
        for i in self._streams.renew(model, self._learning[model]):
            self._after[self._streams.keys[i]] = newest

    def end_all(self, model: str, actor: str, time: float, verdict: str, reason: str) -> None:
        """Close every incident of a model."""
        for place in self._incidents.places(model):
            self._incidents.end(place, actor, time, verdict, reason)
            self.watch(place, on=False)

    def watch(self, place: Place, *, on: bool) -> None:
        """Start or stop the recovery test of one incident; what its stream is about stays the same meanwhile."""
        key = StreamKey(*place[:3])
        i = self._streams.index.get(key)
        if i is None:
            return
        self._streams.watch_recovery(i, place.level, on)
        if on and not self._streams.is_rate(i):
            self._streams.views.pinned.setdefault(i, self._streams.views.carried(key))
        elif not on and not self._incidents.levels(key):
            self._streams.views.pinned.pop(i, None)

    def interval(self, i: int) -> tuple[float, float, float] | tuple[None, None, None]:
        """Share of one stream with its 95% interval: since the change of an open incident began, else over the newest windows."""
        about = self._shown(i)
        if about.n == 0 or not self.shows(i):
            return None, None, None
        return about.x / about.n, *share_interval(about.x, about.n, float(self._streams.views.effect[i]))

    def counted(self, i: int) -> str:
        """What the share of one stream is a share of; empty while nothing is known of it."""
        key = self._streams.keys[i]
        return explain.noun(self._streams.views.carried(key), self._models[key.model_name].topics) if self.shows(i) else ""

    def state(self, key: StreamKey, *, blind: bool = False, watermark: float | None = None) -> str:
        """State of one stream; ``idle`` is only known against a watermark."""
        recent = self._tracks[key[:2]].recent(self._length)
        quiet = max(self._settings.idle_after, self._length) + self._settings.grace
        seen = recent["start"][-1] + self._length if recent.size else -np.inf
        return of_stream(
            blind=blind,
            open_levels=self._incidents.levels(key),
            learning=not self._streams.allowed(self._streams.index[key])["ticket"],
            idle=watermark is not None and watermark - seen > quiet,
            prompts=self._tracks[key[:2]].prompts(self._length),
        )

    def _count_unknown(self, sketches: Mapping[DeltaKey, Sketch]) -> None:
        for key, sketch in sketches.items():
            if key.slice == WHOLE and not self._is_watched(key):
                self.unknown[key.bundle] = self.unknown.get(key.bundle, 0) + int(sketch.n)

    def _is_watched(self, key: DeltaKey) -> bool:
        model = self._models.get(key.model_name)
        return model is not None and key.bundle == model.bundle

    def _keep(self, start: int, hour: int, found: Mapping[tuple[str, str], Sketch], evidence: Evidence) -> None:
        x = self._streams.views.x
        for place, sketch in found.items():
            at = self._places[place]
            rates = [i for i in at if self._streams.is_rate(i)]
            mixes, whole = self._streams.mixes[place[0]], place[1] == WHOLE
            flags = (mixes.flag(sketch), mixes.unusual()) if whole else (-1, -1)
            usual = not self._incidents.any_open(place[0])
            if whole and place[0] in self._spoken:
                self._spoken[place[0]].append(start, sketch.words, usual)
            levels = evidence.log10_ticket[at], evidence.log10_page[at]
            self._tracks[place].append(start, hour, sketch, x[rates], *flags, *levels, usual=usual)

    def _recover(self, i: int, levels: NDArray[np.bool_], end: float) -> None:
        for level, recovered in zip(LEVELS, levels, strict=True):
            place = Place(*self._streams.keys[i], level)
            if recovered and self._incidents.at(place):
                self._incidents.end(place, "recovery", end, "recovered", None)

    def _forget(self, i: int, end: float) -> None:
        key = self._streams.keys[i]
        if not self._incidents.levels(key):
            self._streams.forget_change(i)
            self._streams.views.pinned.pop(i, None)
            self._after[key] = end

    def _cross(self, evidence: Evidence, end: float, backlog: bool) -> None:
        opened = set()
        for level, crossed, shown in (("ticket", evidence.ticket, evidence.log10_ticket), ("page", evidence.page, evidence.log10_page)):
            for i in np.flatnonzero(crossed).tolist():
                key = self._streams.keys[i]
                place, announced = Place(*key, level), self._announced(key, end) if level == "page" else None
                if announced:
                    place = Place(*key, "ticket")
                if self._incidents.at(place):
                    self._incidents.again(place)
                else:
                    self._open(place, i, end, float(shown[i]), backlog, announced)
                    self.watch(place, on=True)
                    opened.add(place.model_name)
        for name in sorted(opened):
            self._causes.name_data_problems(name, self._incidents)

    def _announced(self, key: StreamKey, end: float) -> str | None:
        """Who announced a change that this stream would page for at this moment. A topic that moves, moves the embedding too."""
        views = self._streams.views
        carried = views.carried(key)
        if carried.member == "embedding_shift":
            carried = views.carried(StreamKey(key.model_name, WHOLE, "topic_mix"))
        topic = carried.category if carried.member == "topic_mix" and carried.category >= 0 else None
        return self._learning[key.model_name].expected(key.slice, carried.member if key.slice == WHOLE else key.stream, topic, end)

    def _open(self, place: Place, i: int, end: float, evidence: float, backlog: bool, announced: str | None) -> None:
        key = self._streams.keys[i]
        began = self._causes.began(i, self._streams.views.carried(key), self._starts.rows, self._after.get(key, -np.inf))
        incident = self._causes.incident(place, i, began, self.counted(i), end, evidence, announced)
        if told := self._new_topics.told(key, self._streams.views.carried(key), began.start):
            incident = replace(incident, explanation=renewed(incident.explanation, told))
        self._incidents.begin(incident, began.n, began.x, self._tracks[key[:2]].p_values(began.start), backlog=backlog)

    def shows(self, i: int) -> bool:
        """Whether there is anything to say of a stream: always of those that the fine-tuning set bounds, of others with a baseline."""
        return self._streams.keys[i].stream in SLICED or self._streams.allowed(i)["ticket"]

    def _verdicts(self, start: int, found: Mapping[tuple[str, str], Sketch], evidence: Evidence) -> tuple[Verdict, ...]:
        """One verdict per stream of every model and slice found that has something to show.

        ``value`` and ``n`` are those of the window. The effect is share minus reference, with the 95% interval of :class:`_Shown`.
        """
        views = self._streams.views
        streams = [i for place in found for i in self._places[place] if views.n[i] and self.shows(i)]
        about = [self._shown(i) for i in streams]
        n, x = (np.array([getattr(one, name) for one in about], np.float64) for name in ("n", "x"))
        low, high = share_intervals(x, n, views.effect[streams])
        verdicts = []
        for at, i in enumerate(streams):
            key, one, lower, upper, reference = self._streams.keys[i], about[at], float(low[at]), float(high[at]), float(views.reference[i])
            incident = self._incidents.told(key)
            if incident is None:
                words = explain.quiet(self.counted(i), one.x / one.n, lower, upper, one.windows, reference)
            else:
                words = explain.changed(self.counted(i), one.x / one.n, lower, upper, incident.change_start, reference)
                words = "; ".join(part for part in (words, explain.details(incident.explanation)) if part)
            ticket, page = self._streams.thresholds(i)
            verdict = Verdict(
                window_start=float(start),
                window_end=float(start + self._length),
                model_name=key.model_name,
                slice=key.slice,
                stream=key.stream,
                n=int(views.n[i]),
                value=float(views.x[i] / views.n[i]),
                reference=reference,
                effect_low=lower - reference,
                effect_high=upper - reference,
                log10_evidence=float(evidence.log10_page[i]),
                log10_threshold=page,
                log10_ticket_evidence=float(evidence.log10_ticket[i]),
                log10_ticket_threshold=ticket,
                state=self.state(key),
                explanation=words,
                p_values_before=incident.p_values_before if incident else None,
                p_values_after=incident.p_values_after if incident else None,
            )
            self.latest[key] = verdict
            verdicts.append(verdict)
        return tuple(verdicts)

    def _shown(self, i: int) -> _Shown:
        key = self._streams.keys[i]
        if open_ := self._incidents.since(key):
            since, n, x = open_
            return _Shown(n, x, 0, since)
        track = self._tracks[key[:2]]
        windows = track.recent(self._length).size
        counted = track.counted(self._streams.views.carried(key), newest=windows)
        return _Shown(int(counted.n.sum()), int(counted.x.sum()), counted.n.size, None)

    def to_json(self, needed: int) -> dict[str, Any]:
        """Everything needed to go on; ``needed``: windows in the history of the change points."""
        starts = encode_array(self._starts.rows[-max(needed, 1) :])
        after = [[*key, time] for key, time in self._after.items() if np.isfinite(time)]
        return {"starts": starts, "after": after, "unknown": self.unknown, "latest": [asdict(verdict) for verdict in self.latest.values()]}

    def load(self, state: Mapping[str, Any], kept: Sequence[str]) -> None:
        """Inverse of :meth:`to_json`, for the models ``kept``."""
        self._starts.load(decode_array(state["starts"]))
        self.unknown = dict(state["unknown"])
        self._after = {
            key: time for *parts, time in state["after"] if (key := StreamKey(*parts)) in self._streams.index and key.model_name in kept
        }
        verdicts = ((StreamKey(v["model_name"], v["slice"], v["stream"]), Verdict(**v)) for v in state["latest"])
        self.latest = {key: verdict for key, verdict in verdicts if key in self._streams.index and key.model_name in kept}
