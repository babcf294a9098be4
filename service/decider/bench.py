"""One bundle of each model under judgement: its streams, its incidents and what it has learned. In force, or as a shadow."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.config import Config
from service.decider.budget import StreamKey, full_rates, layout
from service.decider.incidents import Incidents, Place
from service.decider.judge import Judge
from service.decider.learning import Learning, Purpose
from service.decider.snapshot import NO_WINDOWS, ModelView, Series, StreamView
from service.decider.spoken import Spoken
from service.decider.streams import LEVELS, Streams
from service.decider.track import Topic, Track
from service.records import WHOLE
from service.vocabulary import Vocabulary

Record = Mapping[str, Any]
"""What is kept of one bundle of one model: its digest, what it has learned and its newest windows, as JSON."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the decider must know of one bundle of one model.

    Attributes:
        bundle: digest; deltas of bundles that are not watched are stored and not judged.
        nulls: "strange" and "far" -> PAC bound of the fine-tuning set, without the minimum effect.
        topics: reference topics of the bundle, K of them.
        owner: who is told. weight: share of both budgets, relative to the other models.
        slices: values that are tested apart; slices_weight: part of the model's budgets that they have together.
        vocabulary: words that may be shown; None in a bundle without a list.
        landmarks: (K, F) Fourier features at the centres of the topics, which say where the embedding went; without them nothing does.
        probes_weight: part of the model's budgets that its probes have; 0 without any.
    """

    bundle: str
    nulls: Mapping[str, float]
    topics: Sequence[Topic] = ()
    owner: str = "unowned"
    weight: float = 1.0
    slices: tuple[str, ...] = ()
    slices_weight: float = 0.2
    vocabulary: Vocabulary | None = None
    landmarks: NDArray[np.float32] | None = field(default=None, compare=False)
    probes_weight: float = 0.0


class Bench:
    """Judges one bundle of each model.

    Args:
        models: model name -> what is judged.
        config: budgets, windows and detection.
        purpose: as of the decider.
        records: model name -> what was learned of this bundle before; other models begin anew.
    """

    def __init__(self, models: Mapping[str, Watched], config: Config, purpose: Purpose, records: Mapping[str, Record]) -> None:
        self.models = dict(models)
        places = [(name, slice_) for name, watched in self.models.items() for slice_ in (WHOLE, *watched.slices)]
        self.tracks = {place: Track(whole=place[1] == WHOLE) for place in places}
        self.spoken = {name: Spoken(len(m.vocabulary.words)) for name, m in self.models.items() if m.vocabulary is not None}
        pages = dict(zip(layout(self.models), full_rates(config, self.models)[1].tolist(), strict=True))
        self.learning = {
            name: Learning(
                watched.nulls,
                config,
                purpose,
                slices=watched.slices,
                topics=watched.topics,
                page_rates={key[1:]: rate for key, rate in pages.items() if key.model_name == name},
            )
            for name, watched in self.models.items()
        }
        for name, record in records.items():
            self.learning[name].load(record["learning"])
            if name in self.spoken and (spoken := record["spoken"]):
                self.spoken[name].load(spoken)
            for slice_ in (WHOLE, *self.models[name].slices):
                if slice_ in record["tracks"]:
                    self.tracks[name, slice_].load(record["tracks"][slice_])
        self.incidents = Incidents(config.detection.paging)
        self.streams = Streams(self.models, self.learning, config)
        self.judge = Judge(self.models, self.streams, self.incidents, self.learning, self.tracks, self.spoken, config)

    def record(self, name: str) -> Record:
        """What is kept of the bundle of one model."""
        watched = self.models[name]
        tracks = {slice_: self.tracks[name, slice_].to_json() for slice_ in (WHOLE, *watched.slices)}
        spoken = self.spoken[name].to_json() if name in self.spoken else None
        return {"bundle": watched.bundle, "learning": self.learning[name].to_json(), "tracks": tracks, "spoken": spoken}

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        streams = self.streams.to_json()
        return {
            "streams": streams,
            "incidents": self.incidents.to_json(),
            "judge": self.judge.to_json(streams["history"]),
            "models": {name: self.record(name) for name in self.models},
        }

    def load(self, saved: Mapping[str, Any], time: float) -> list[str]:
        """Go on where :meth:`to_json` was made, at event time ``time``; the models whose bundle is the same.

        The streams of any other have no evidence, and its incidents are closed.
        """
        kept = [
            name for name, watched in self.models.items() if name in saved["models"] and saved["models"][name]["bundle"] == watched.bundle
        ]
        self.streams.load(saved["streams"], kept)
        self.incidents.load(saved["incidents"])
        self.judge.load(saved["judge"], kept)
        for name in sorted(self.incidents.models() - set(kept)):
            reason = "the model has a new bundle" if name in self.models else "the model is no longer configured"
            self.judge.end_all(name, "configuration", time, "monitor", reason)
        for place in self.incidents.places():
            if StreamKey(*place[:3]) not in self.streams.index:
                self.incidents.end(place, "configuration", time, "monitor", "the slice is no longer configured")
        return kept

    def end(self, place: Place, actor: str, time: float, verdict: str, reason: str | None) -> None:
        """Close an incident."""
        self.incidents.end(place, actor, time, verdict, reason)
        self.judge.watch(place, on=False)

    def views(self, blind: bool, watermark: float, tapped: Collection[str] = ()) -> tuple[StreamView, ...]:
        """Every stream now; ``tapped``: models whose prompts cannot be seen. About 0.1 ms each."""
        return tuple(self._stream(i, blind or key.model_name in tapped, watermark) for i, key in enumerate(self.streams.keys))

    def model_views(self) -> tuple[ModelView, ...]:
        """Every model now."""
        return tuple(self._model(name, watched) for name, watched in self.models.items())

    def _stream(self, index: int, blind: bool, watermark: float) -> StreamView:
        key, streams = self.streams.keys[index], self.streams
        latest = self.judge.latest.get(key)
        allowed = streams.allowed(index)
        thresholds = dict(zip(LEVELS, streams.thresholds(index), strict=True))
        share, low, high = self.judge.interval(index)
        return StreamView(
            key.model_name,
            key.slice,
            key.stream,
            self.judge.state(key, blind=blind, watermark=watermark),
            float(streams.views.reference[index]),
            float(1 - streams.views.null[index] if streams.views.falling[index] else streams.views.null[index]),
            {"ticket": latest.log10_ticket_evidence if latest else 0.0, "page": latest.log10_evidence if latest else 0.0},
            {level: thresholds[level] if allowed[level] else None for level in thresholds},
            latest,
            self._series(index),
            share,
            low,
            high,
            counted=self.judge.counted(index),
            why=streams.why(index),
        )

    def _series(self, index: int) -> Series:
        key = self.streams.keys[index]
        if not self.judge.shows(index):
            return NO_WINDOWS
        return Series(*self.tracks[key[:2]].series(key.stream, self.streams.views.carried(key)))

    def _model(self, name: str, watched: Watched) -> ModelView:
        opened = [incident.opened for incident in self.incidents.open() if incident.model_name == name]
        ends = [verdict.window_end for key, verdict in self.judge.latest.items() if key.model_name == name]
        severity = {"drift": self.incidents.worst(name)}
        return ModelView(
            name, watched.bundle, watched.owner, severity, min(opened, default=None), max(ends, default=None), self.learning[name].view()
        )
