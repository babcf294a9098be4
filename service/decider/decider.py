"""From the entries of the ledger to verdicts and incidents: pure, without clock or I/O, a function of the log alone."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.config import Config
from service.decider.budget import StreamKey, full_rates, layout
from service.decider.closed import Closed
from service.decider.commands import Commands
from service.decider.incidents import Incidents
from service.decider.judge import Judge
from service.decider.keys import Keys
from service.decider.learning import Learning, Purpose
from service.decider.snapshot import NO_WINDOWS, DeciderSnapshot, ModelView, Series, StreamView
from service.decider.spoken import Spoken
from service.decider.streams import LEVELS, Streams
from service.decider.track import Topic, Track
from service.decider.windows import OpenWindows
from service.records import WHOLE, Command, Entry, Report
from service.vocabulary import Vocabulary

KIND, VERSION = "tiltmeter.decider", 3


@dataclass(frozen=True, slots=True)
class Watched:
    """What the decider must know of one model.

    Attributes:
        bundle: digest; deltas of other bundles are stored and not judged.
        nulls: "strange" and "far" -> PAC bound of the fine-tuning set, without the minimum effect.
        topics: reference topics of the bundle, K of them.
        owner: who is told. weight: share of both budgets, relative to the other models.
        slices: values that are tested apart; slices_weight: part of the model's budgets that they have together.
        vocabulary: words that may be shown; None in a bundle without a list.
        landmarks: (K, F) Fourier features at the centres of the topics, which say where the embedding went; without them nothing does.
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


class UnknownState(Exception):
    """A snapshot of a kind or version that this program does not read."""


class Decider:
    """One decider over all models. :meth:`absorb` entries in order, then take what was decided from :meth:`close_due`.

    ``purpose``: "service" begins with first contact; "replay" begins against the reference and opens at most tickets until a baseline is
    accepted; "history" judges nothing and learns everything (see :meth:`learned`).
    """

    position: int
    """Position of the next entry of the ledger."""
    closed_windows: int
    """Windows closed since the state began."""

    _done: list[Closed]
    _windows: OpenWindows
    _keys: Keys
    _incidents: Incidents
    _tracks: dict[tuple[str, str], Track]
    _spoken: dict[str, Spoken]
    _learning: dict[str, Learning]
    _streams: Streams
    _judge: Judge
    _commands: Commands

    def __init__(self, models: Mapping[str, Watched], config: Config, purpose: Purpose = "service") -> None:
        self._models, self._config, self._purpose = dict(models), config, purpose
        self.restore(None)

    def absorb(self, entries: Sequence[Entry]) -> None:
        """Take entries of the ledger in order; windows they complete are decided at once. About 2 ms a window of one model, 5 ms
        with 50 slices.
        """
        for entry in entries:
            body = entry.body
            if isinstance(body, Report):
                self._keys.end_append(body.sent)
                self._windows.report(body)
                self._close()
            elif isinstance(body, Command):
                self._commands.apply(body)
                self._collect(None)
            elif self._keys.accepts(entry.key):
                self._windows.add(*body)
            self.position = entry.position + 1

    def close_due(self, now: float | None) -> Sequence[Closed]:
        """Everything decided since the last call, in order.

        ``now`` (wall clock) may be given only when the log has been silent for a worker's lease: it then stands in for the reports that
        do not come. With None the log alone moves time.
        """
        if now is not None:
            self._windows.advance(now)
            self._close()
        done, self._done = self._done, []
        return done

    @property
    def watermark(self) -> float:
        """Event time up to which everything is known; -inf before the first report."""
        return self._windows.watermark

    def learned(self, model: str, source: str) -> dict[str, Any]:
        """Arguments of a ``baseline.learn`` command (without ``model``) from the windows closed so far."""
        return self._learning[model].payload(source)

    def _close(self) -> None:
        while due := self._windows.due():
            start, sketches = due
            self.closed_windows += 1
            verdicts = self._judge.window(start, sketches, self._windows.behind())
            self._done.append(Closed(start, sketches, verdicts, self._incidents.drain()))
        self._judge.catch_up(self._windows.behind())
        self._collect(None)

    def _collect(self, window: int | None) -> None:
        """What commands and catching up have changed outside a window."""
        incidents, (baselines, audit) = self._incidents.drain(), self._commands.drain()
        if incidents or baselines or audit:
            self._done.append(Closed(window, {}, (), incidents, baselines, audit))

    def snapshot(self) -> bytes:
        """Everything needed to go on, as compressed JSON. Take what was decided (:meth:`close_due`) first."""
        streams = self._streams.to_json()
        state = {
            "kind": KIND,
            "version": VERSION,
            "position": self.position,
            "closed_windows": self.closed_windows,
            "windows": self._windows.to_json(),
            "streams": streams,
            "incidents": self._incidents.to_json(),
            "keys": self._keys.to_json(),
            "judge": self._judge.to_json(streams["history"]),
            "commands": self._commands.to_json(),
            "models": {
                name: {
                    "bundle": watched.bundle,
                    "learning": self._learning[name].to_json(),
                    "tracks": {slice_: self._tracks[name, slice_].to_json() for slice_ in (WHOLE, *watched.slices)},
                    "spoken": self._spoken[name].to_json() if name in self._spoken else None,
                }
                for name, watched in self._models.items()
            },
        }
        return zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1)

    def restore(self, state: bytes | None) -> None:
        """Inverse of :meth:`snapshot`; None begins anew. A model whose bundle changed begins anew too, its incidents are closed.

        Raises:
            UnknownState: not a snapshot, or of a version this program does not read.
        """
        config = self._config
        saved = _opened(state)
        self.position, self.closed_windows = 0, 0
        self._done = []
        self._windows = OpenWindows(config.windows)
        self._keys = Keys()
        self._incidents = Incidents(config.detection.paging)
        places = [(name, slice_) for name, watched in self._models.items() for slice_ in (WHOLE, *watched.slices)]
        self._tracks = {place: Track(whole=place[1] == WHOLE) for place in places}
        self._spoken = {name: Spoken(len(m.vocabulary.words)) for name, m in self._models.items() if m.vocabulary is not None}
        pages = dict(zip(layout(self._models), full_rates(config, self._models)[1].tolist(), strict=True))
        self._learning = {
            name: Learning(
                watched.nulls,
                config,
                self._purpose,
                slices=watched.slices,
                topics=watched.topics,
                page_rates={key[1:]: rate for key, rate in pages.items() if key.model_name == name},
            )
            for name, watched in self._models.items()
        }
        kept = self._load_models(saved)
        self._streams = Streams(self._models, self._learning, config)
        self._judge = Judge(self._models, self._streams, self._incidents, self._learning, self._tracks, self._spoken, config)
        self._commands = Commands(self._judge, self._incidents, self._learning)
        if saved:
            self._load(saved, kept)

    def _load_models(self, saved: Mapping[str, Any] | None) -> list[str]:
        """Learning and tracks of the models whose bundle is still the same."""
        models = saved["models"] if saved else {}
        kept = [name for name, watched in self._models.items() if name in models and models[name]["bundle"] == watched.bundle]
        for name in kept:
            self._learning[name].load(models[name]["learning"])
            if name in self._spoken and (spoken := models[name].get("spoken")):
                self._spoken[name].load(spoken)
            for slice_ in (WHOLE, *self._models[name].slices):
                if slice_ in models[name]["tracks"]:
                    self._tracks[name, slice_].load(models[name]["tracks"][slice_])
        return kept

    def _load(self, saved: Mapping[str, Any], kept: Sequence[str]) -> None:
        self.position, self.closed_windows = saved["position"], saved["closed_windows"]
        self._windows = OpenWindows.from_json(self._config.windows, saved["windows"])
        self._keys.load(saved["keys"])
        self._streams.load(saved["streams"], kept)
        self._incidents.load(saved["incidents"])
        self._judge.load(saved["judge"], kept)
        self._commands.load(saved["commands"])
        for name in sorted(self._incidents.models() - set(kept)):
            reason = "the model has a new bundle" if name in self._models else "the model is no longer configured"
            self._judge.end_all(name, "configuration", self._windows.watermark, "monitor", reason)
        for place in self._incidents.places():
            if StreamKey(*place[:3]) not in self._streams.index:
                self._incidents.end(place, "configuration", self._windows.watermark, "monitor", "the slice is no longer configured")
        self._collect(None)

    def picture(self, *, active: bool, now: float, checkpointed: float | None = None, blind: Sequence[str] = ()) -> DeciderSnapshot:
        """Everything for the other threads; ``blind`` adds reasons that only the caller knows. About 0.1 ms a stream."""
        reasons = (*blind, *self._windows.blind(now))
        windows = self._windows
        return DeciderSnapshot(
            active=active,
            published=now,
            checkpointed=checkpointed,
            watermark=windows.watermark,
            position=self.position,
            open_windows=len(windows),
            closed_windows=self.closed_windows,
            blind=reasons,
            streams=tuple(self._stream(i, bool(reasons)) for i in range(len(self._streams))),
            models=tuple(self._model(name, watched) for name, watched in self._models.items()),
            incidents=tuple(self._incidents.open()),
            recent=tuple(self._incidents.recent),
            late=dict(windows.late),
            refused=dict(windows.refused),
            unknown_bundle=dict(self._judge.unknown),
            repeats=self._keys.repeats,
            lost_partitions=windows.lost,
            opened={place[:]: count for place, count in self._incidents.opened.items()},
        )

    def _stream(self, index: int, blind: bool) -> StreamView:
        key, streams = self._streams.keys[index], self._streams
        latest = self._judge.latest.get(key)
        allowed = streams.allowed(index)
        thresholds = dict(zip(LEVELS, streams.thresholds(index), strict=True))
        share, low, high = self._judge.interval(index)
        return StreamView(
            key.model_name,
            key.slice,
            key.stream,
            self._judge.state(key, blind=blind, watermark=self._windows.watermark),
            float(streams.views.reference[index]),
            float(1 - streams.views.null[index] if streams.views.falling[index] else streams.views.null[index]),
            {"ticket": latest.log10_ticket_evidence if latest else 0.0, "page": latest.log10_evidence if latest else 0.0},
            {level: thresholds[level] if allowed[level] else None for level in thresholds},
            latest,
            self._series(index),
            share,
            low,
            high,
            counted=self._judge.counted(index),
            why=streams.why(index),
        )

    def _series(self, index: int) -> Series:
        key = self._streams.keys[index]
        if not self._judge.shows(index):
            return NO_WINDOWS
        return Series(*self._tracks[key[:2]].series(key.stream, self._streams.views.carried(key)))

    def _model(self, name: str, watched: Watched) -> ModelView:
        opened = [incident.opened for incident in self._incidents.open() if incident.model_name == name]
        ends = [verdict.window_end for key, verdict in self._judge.latest.items() if key.model_name == name]
        severity = {"drift": self._incidents.worst(name)}
        return ModelView(
            name, watched.bundle, watched.owner, severity, min(opened, default=None), max(ends, default=None), self._learning[name].view()
        )


def _opened(state: bytes | None) -> Mapping[str, Any] | None:
    """The JSON of a snapshot, checked for kind and version."""
    if state is None:
        return None
    try:
        saved = json.loads(zlib.decompress(state))
        found = saved["kind"], saved["version"]
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise UnknownState("the checkpoint holds no state of a decider") from error
    if found != (KIND, VERSION):
        raise UnknownState(f"the checkpoint holds {found[0]} version {found[1]}; this program reads {KIND} version {VERSION}")
    return dict(saved)
