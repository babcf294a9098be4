"""What lies behind a crossing: when it began, which topics, slices and hours carry it, and whether the data themselves came otherwise."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.change import locate, share_interval, share_intervals
from detectors.sketch import BIN_WIDTHS, FIXED_POINT
from detectors.topic_baseline import TopicBaseline
from detectors.witness import directions
from service.decider import explain
from service.decider.budget import DATA_PROBLEMS, SLICED, StreamKey
from service.decider.incidents import Incidents, Place, shares
from service.decider.learning import Learning
from service.decider.mixes import Carried
from service.decider.state import ENOUGH
from service.decider.streams import LEVELS, Streams
from service.decider.track import Topic, Track
from service.records import WHOLE, Incident

UNNAMED = ("embedding_shift", "combined")
"""Streams that count no topic: where the mean embedding went is told in words."""

TOGETHER = 3600.0
"""Changes whose intervals come within this many seconds of each other are taken for one."""


class Began(NamedTuple):
    """Start of a change with its interval, seconds since the epoch, and the counts since then."""

    start: float
    low: float
    high: float
    n: int
    x: int


class Told(NamedTuple):
    """What carries a change, in words, and the topics that grew, most first."""

    parts: list[str]
    grew: list[int]


class Described(Protocol):
    """What is read of a model."""

    @property
    def topics(self) -> Sequence[Topic]:
        """Reference topics."""
        ...

    @property
    def owner(self) -> str:
        """Who is told."""
        ...

    @property
    def landmarks(self) -> NDArray[np.float32] | None:
        """(K, F) Fourier features at the centres of the topics; None where nobody gave them."""
        ...


class Causes:
    """Reads what streams and tracks hold; changes nothing but explanations."""

    def __init__(
        self, models: Mapping[str, Described], streams: Streams, learning: Mapping[str, Learning], tracks: Mapping[tuple[str, str], Track]
    ) -> None:
        self._models, self._streams, self._learning, self._tracks = models, streams, learning, tracks

    def began(self, i: int, carried: Carried, starts: NDArray[np.int64], after: float) -> Began:
        """The newest change of stream ``i``; ``starts`` of all windows judged, of which those from ``after`` on count."""
        key = self._streams.keys[i]
        if carried.member == "volume":
            return self._unusual(key.model_name, float(starts[-1]))
        if change := self._streams.estimate(i):
            times, (n, x) = starts, self._streams.counts(i, change.start + 1)
        else:
            seen = self._tracks[key[:2]].counted(carried).since(after)
            null = self._streams.null_at(key.model_name, carried, seen.hour)
            change = locate(seen.n, seen.x if carried.rising else seen.n - seen.x, null, float(self._streams.views.effect[i]))
            times, n, x = seen.start, int(seen.n[-1 - change.start :].sum()), int(seen.x[-1 - change.start :].sum())
        start, low, high = (float(times[max(0, times.size - 1 - ago)]) for ago in (change.start, change.low, change.high))
        return Began(start, min(low, start), max(high, start), n, x)

    def _unusual(self, model: str, newest: float) -> Began:
        """The run of blocks that volume is about; its first block may have changed in its midst, and one before it unnoticed."""
        volume = self._streams.mixes[model].volume
        if volume is None or (run := volume.run) is None:
            return Began(newest, newest, newest, 1, 1)
        seconds = volume.baseline.seconds
        return Began(run.since, run.since - seconds, run.since + seconds, run.blocks, run.blocks)

    def incident(self, place: Place, i: int, began: Began, counted: str, end: float, evidence: float, announced: str | None) -> Incident:
        """What opens at ``place`` with a window that ends at ``end``, of stream ``i``, with all that can be said of it."""
        name, key = place.model_name, self._streams.keys[i]
        value, reference = began.x / began.n, float(self._streams.views.reference[i])
        low, high = share_interval(began.x, began.n, float(self._streams.views.effect[i]))
        shares = explain.changed(counted, value, low, high, began.start, reference)
        words = self._traffic(key) if key.stream == "volume" else shares
        told = self._told(key, self._streams.views.carried(key), began.start)
        parts = [words, explain.began(began.low, began.high), *told.parts, announced]
        return Incident(
            id="-".join(part for part in (name, place.slice, place.stream, place.level, f"{end:.0f}") if part),
            model_name=name,
            stream=place.stream,
            level=place.level,
            severity="none",
            owner=self._models[name].owner,
            opened=end,
            explanation="; ".join(part for part in parts if part),
            value=value,
            reference=reference,
            log10_evidence=evidence,
            log10_threshold=self._streams.thresholds(i)[LEVELS.index(place.level)],
            change_start=began.start,
            change_low=began.low,
            change_high=began.high,
            slice=place.slice,
            p_values_before=self._normal(key, began.start),
            grew=told.grew,
        )

    def _traffic(self, key: StreamKey) -> str:
        """How many prompts came instead of how many."""
        volume = self._streams.mixes[key.model_name].volume
        if volume is None or (run := volume.run) is None:
            return explain.noun(Carried("volume"), ())
        minutes = run.blocks * volume.baseline.seconds / 60
        return explain.traffic(run.prompts / minutes, run.usual / minutes, run.since)

    def _told(self, key: StreamKey, carried: Carried, start: float) -> Told:
        """Topics, slices and hours of the day that carry a change since ``start``, of a slice its topics; empty where nothing is plain."""
        model, (topics, grew) = key.model_name, self._topics(key[:2], start)
        if key.slice != WHOLE:
            return Told([topics], grew)
        towards = self._towards(model, start) if key.stream in UNNAMED else ""
        return Told([topics, towards, self._slices(model, carried, start), self._hours(key, carried, start)], grew)

    def _normal(self, key: StreamKey, start: float) -> list[float] | None:
        """Shares of prompts by p-value when nothing is wrong; None where those since ``start`` are not known.

        They are what the accepted baseline holds; of a slice, and of a baseline that holds none, the windows kept before ``start`` where
        they are enough; else what the fine-tuning set says: p-values are uniform.
        """
        track, accepted = self._tracks[key[:2]], self._learning[key.model_name].accepted
        if not track.p_values(start).any():
            return None
        learned = accepted.p_values if accepted and not key.slice else None
        before = track.p_values(until=start) if learned is None else np.array(learned)
        return shares(before) if before.sum() >= ENOUGH else BIN_WIDTHS.round(5).tolist()

    def _towards(self, model: str, start: float) -> str:
        """Topics near which there are more prompts than at the same hours of the baseline, and those near which there are fewer."""
        places, baseline = self._models[model].landmarks, self._learning[model].shift()
        hour, n, fourier = self._tracks[model, WHOLE].fourier(start)
        total = int(n.sum())
        if places is None or baseline is None or total == 0 or fourier.shape[1] != places.shape[1]:
            return ""
        before, now = (n @ baseline.mean[hour]) / total, fourier.sum(axis=0) / (FIXED_POINT * total)
        near, far = directions(before, now, total / float(baseline.design_effect[0]), places)
        return explain.towards(self._models[model].topics, near, far)

    def _topics(self, place: tuple[str, str], start: float) -> tuple[str, list[int]]:
        before, counts, effect = self._mix(place, start)
        if before.size != counts.size:
            return "", []
        told, grown = explain.moved(self._models[place[0]].topics, before, counts, effect)
        return told, [i if i < counts.size - 1 else -1 for i in grown]

    def grew_outside(self, model: str, start: float) -> bool:
        """Whether more prompts than before, beyond chance, belong to none of the topics since ``start``."""
        before, counts, effect = self._mix((model, WHOLE), start)
        if before.size != counts.size or not counts.sum():
            return False
        low, _ = share_intervals(counts[-1:].astype(np.float64), np.array([float(counts.sum())]), effect[-1:])
        return bool(counts[-1] / counts.sum() - before[-1] >= explain.POINT and low[0] > before[-1])

    def outside(self, model: str, start: float) -> int:
        """Prompts that belong to none of the topics since ``start``."""
        return int(self._tracks[model, WHOLE].table("topic_mix", start)[:, -1].sum())

    def _mix(self, place: tuple[str, str], start: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Shares of the topics before a change of a model or slice, counts since, design effects: arrays (K + 1,)."""
        model, slice_ = place
        track = self._tracks[place]
        counts = track.table("topic_mix", start).sum(axis=0)
        baseline = self._streams.mixes[model].baselines.get("topic_mix")
        effect = baseline.design_effect if isinstance(baseline, TopicBaseline) else np.ones(counts.size)
        if slice_ != WHOLE:
            # What a slice has shown is little: it counts beside as many prompts of the whole model as are needed to judge at all.
            seen, whole = track.before(start), self._shares(model, counts.size)
            before = (seen + ENOUGH * whole) / (seen.sum() + ENOUGH) if seen.size == whole.size else whole
        elif isinstance(baseline, TopicBaseline):
            before = baseline.share[track.hours(start) % len(baseline.share)].mean(axis=0)
        else:
            before = self._shares(model, counts.size)
        return before, counts, effect

    def _shares(self, model: str, size: int) -> NDArray[np.float64]:
        """Share of each topic when nothing is wrong: as learned, else as in the fine-tuning set; "none of these" comes last."""
        learned = self._learning[model].topics
        if learned is not None and learned.sum() > 0:
            return np.asarray(learned / learned.sum())
        topics = [topic.share for topic in self._models[model].topics]
        return np.array([*topics, max(0.0, 1 - sum(topics))])

    def _slices(self, model: str, carried: Carried, start: float) -> str:
        if carried.member not in SLICED:
            return ""
        views, excess, prompts = self._streams.views, dict[str, float](), dict[str, int]()
        for (name, slice_), track in self._tracks.items():
            if name == model and slice_ != WHOLE:
                seen = track.counted(carried).since(start)
                normal = views.reference[self._streams.index[StreamKey(model, slice_, carried.member)]]
                prompts[slice_], excess[slice_] = int(seen.n.sum()), float(seen.x.sum() - normal * seen.n.sum())
        whole = self._tracks[model, WHOLE].counted(carried).since(start)
        normal = views.reference[self._streams.index[StreamKey(model, WHOLE, carried.member)]]
        return explain.carriers(excess, prompts, float(whole.x.sum() - normal * whole.n.sum()), int(whole.n.sum()))

    def _hours(self, key: StreamKey, carried: Carried, start: float) -> str:
        seen = self._tracks[key[:2]].counted(carried).since(start)
        normal = float(self._streams.views.reference[self._streams.index[key]])
        sign = 1.0 if carried.rising else -1.0
        return explain.daytime(seen.hour, sign * (seen.x - normal * seen.n))

    def name_data_problems(self, model: str, incidents: Incidents) -> None:
        """Where truncation, language or length moved too, the incidents of this model say that it looks like a data problem."""
        opened = [incident for place in incidents.places(model) if place.slice == WHOLE and (incident := incidents.at(place))]
        problems = [incident for incident in opened if incident.stream in DATA_PROBLEMS]
        for place in incidents.places(model):
            incident = incidents.at(place)
            if incident is None or incident.slice != WHOLE or incident.stream in DATA_PROBLEMS:
                continue
            found = {problem.stream for problem in problems if _together(problem, incident)}
            told = explain.with_problems(incident.explanation, [stream for stream in DATA_PROBLEMS if stream in found])
            if told != incident.explanation:
                incidents.explain(place, told)


def _together(one: Incident, other: Incident) -> bool:
    return one.change_low <= other.change_high + TOGETHER and other.change_low <= one.change_high + TOGETHER
