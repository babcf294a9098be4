"""Every sequential detector as the contract suite drives it: one scene of sketches, read by each in its own way."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from detectors.change import HISTORY, ChangePoint
from detectors.contract import Windows
from detectors.embedding_baseline import BLOCKS, HOURS, EmbeddingBaseline
from detectors.embedding_shift import EmbeddingShift
from detectors.features import FEATURES
from detectors.flag_rate import FlagRate
from detectors.likelihood import RISE
from detectors.paired import Paired
from detectors.recovery import Recovery
from detectors.recursion import CAP, Recursion
from detectors.rounds import RoundRate
from detectors.sketch import BINS, FIXED_POINT, LENGTHS, Sketch
from detectors.topic_baseline import TopicBaseline
from detectors.topic_mix import TopicMix, mixture
from detectors.volume import Volume
from detectors.volume_baseline import VolumeBaseline

STREAMS = 6
SHARE = np.array([0.5, 0.3, 0.12, 0.06, 0.02])
"""Usual shares of four topics and of none of these."""

Hour = tuple[int, list[Sketch]]
"""One closed window: hour of the week, and the sketch of every stream."""


@dataclass(frozen=True)
class Parameters:
    null: np.ndarray
    effect: np.ndarray
    ticket: np.ndarray
    page: np.ndarray

    def __getitem__(self, order):
        return Parameters(self.null[order], self.effect[order], self.ticket[order], self.page[order])


def sketch(n: int, strange: int, topics: np.ndarray, fourier: np.ndarray) -> Sketch:
    tables = (np.zeros(size, np.int64) for size in (BINS, LENGTHS, 2))
    histogram, lengths, languages = tables
    return Sketch(n, strange, 0, 0, 0, 0, histogram, topics.astype(np.int64), lengths, languages, fourier.astype(np.int64))


EMPTY = sketch(0, 0, np.zeros(SHARE.size), np.zeros(FEATURES))


def parameters(rng: np.random.Generator) -> Parameters:
    """Streams of all sorts; the first may not open tickets, the last may not page."""
    p = Parameters(
        rng.uniform(0.005, 0.3, STREAMS), rng.uniform(1, 8, STREAMS), rng.uniform(1e-3, 1e-2, STREAMS), rng.uniform(0, 1e-3, STREAMS)
    )
    p.ticket[0], p.page[-1] = 0.0, 0.0
    return p


def scene(seed: int, windows: int = 64) -> tuple[Parameters, list[Hour]]:
    """Windows of all sorts, empty and alarming ones among them."""
    rng = np.random.default_rng(seed)
    p = parameters(rng)
    share = np.minimum(p.null * rng.uniform(0.2, 3, (windows, STREAMS)), 1)
    n = rng.integers(0, 400, (windows, STREAMS)) * (rng.random((windows, STREAMS)) < 0.8)
    strange, topics = rng.binomial(n, share), rng.multinomial(n, rng.dirichlet(30 * SHARE))
    noise = rng.normal(0, FIXED_POINT / np.sqrt(2), (windows, STREAMS, FEATURES)) * np.sqrt(n)[..., None]
    fourier = np.rint(noise + n[..., None] * FIXED_POINT * rng.normal(0, 0.05, FEATURES)).astype(np.int64)
    rows = [
        [sketch(int(a), int(b), c, d) for a, b, c, d in zip(*row, strict=True)] for row in zip(n, strange, topics, fourier, strict=True)
    ]
    return p, list(zip(rng.integers(0, HOURS, windows).tolist(), rows, strict=True))


def _windows(sketches: list[Sketch]) -> Windows:
    return Windows(n=np.array([s.n for s in sketches]), x=np.array([s.strange for s in sketches]))


def _said(said: Any) -> np.ndarray:
    return np.stack([said.log10_ticket, said.log10_page, said.ticket, said.page], axis=1).astype(float)


class Case:
    """``feed`` takes a window, ``read`` says everything that can be read afterwards, (streams, anything)."""

    kind: type
    streams = STREAMS
    empty_is_time = False
    long = 1_500
    impossible: tuple[dict[str, Any], ...] = ({"strange": 401, "n": 400}, {"strange": -1}, {"n": -1, "strange": -1})

    def make(self, p: Parameters) -> Any:
        raise NotImplementedError

    def feed(self, detector: Any, window: Hour, p: Parameters) -> np.ndarray:
        raise NotImplementedError

    def read(self, detector: Any) -> np.ndarray:
        return np.zeros((self.streams, 0))

    def step(self, detector: Any, window: Hour, p: Parameters) -> np.ndarray:
        fed = self.feed(detector, window, p)
        return np.concatenate([fed.reshape(self.streams, -1), self.read(detector)], axis=1)

    def largest(self, size: int) -> int:
        """Bytes of a snapshot at most, when an early one had ``size``."""
        return size


class FlagRateCase(Case):
    kind = FlagRate

    def make(self, p):
        return FlagRate.fit(null=p.null, design_effect=p.effect, ticket_rate=p.ticket, page_rate=p.page)

    def feed(self, detector, window, p):
        return _said(detector.update(_windows(window[1])))


class RoundRateCase(Case):
    kind = RoundRate

    def make(self, p):
        return RoundRate.fit(null=p.null, ticket_rate=p.ticket, page_rate=p.page, critical=p.effect < 4)

    def feed(self, detector, window, p):
        return _said(detector.update(_windows(window[1])))


class PairedCase(Case):
    kind = Paired
    empty_is_time = True  # a round in which both got the same right is a round

    def make(self, p):
        return Paired.fit(ticket_rate=p.ticket, page_rate=p.page, margin=0.2)

    def feed(self, detector, window, p):
        return _said(detector.update(_windows(window[1])))


class RecoveryCase(Case):
    kind = Recovery

    def make(self, p):
        detector = Recovery.fit(null=p.null, design_effect=p.effect, threshold=20.0)
        detector.start(p.effect < 4)
        return detector

    def feed(self, detector, window, p):
        return detector.update(_windows(window[1])).astype(float)

    def read(self, detector):
        return detector.running[:, None].astype(float)


class ChangePointCase(Case):
    kind = ChangePoint
    empty_is_time = True
    long = HISTORY + 1_500

    def make(self, p):
        return ChangePoint.fit(p.null.size)

    def feed(self, detector, window, p):
        detector.update(_windows(window[1]), p.null, p.effect)
        return np.zeros((self.streams, 0))

    def read(self, detector):
        changes = [detector.estimate(i) for i in range(self.streams)]
        return np.array([(c.start, c.low, c.high) for c in changes], float)

    def largest(self, size):
        return self.streams * (HISTORY + 1_024) * 8 + 1_000


def mix_baseline(effect: float = 2.0) -> TopicBaseline:
    full = np.repeat(SHARE[None], HOURS, axis=0) * np.linspace(0.9, 1.0, HOURS)[:, None]
    effects = np.full(SHARE.size, effect)
    return TopicBaseline(full, np.minimum(full * 1.1 + 0.005, 1), full * 0.9 - 0.001, effects, 28, np.zeros(SHARE.size), "full")


class TopicMixCase(Case):
    kind = TopicMix
    impossible = ({"topics": np.array([-1, 2, 0, 0, 0])}, {"topics": np.zeros(SHARE.size + 1, np.int64)})

    def make(self, p):
        return TopicMix.fit([mix_baseline(effect) for effect in p.effect], ticket_rate=p.ticket, page_rate=p.page)

    def feed(self, detector, window, p):
        return _said(detector.update(np.array([s.topics for s in window[1]]), window[0]))

    def read(self, detector):
        carriers = [detector.carrier(level) for level in ("ticket", "page")]
        return np.stack([column for c in carriers for column in (c.category, c.rising, c.part)], axis=1).astype(float)


@cache
def shift_baseline() -> EmbeddingBaseline:
    blocks, ones = len(BLOCKS), np.ones((len(BLOCKS), HOURS))
    return EmbeddingBaseline(
        mean=np.zeros((HOURS, FEATURES)),
        prompts=np.full(HOURS, 10_000.0),
        centre=ones,
        scale=0.3 * ones,
        threshold=np.tile([1.6, 2.3, 3.1], (blocks, 1)),
        null=np.tile([0.06, 0.015, 0.003], (blocks, 1)),
        design_effect=np.full(blocks, 1.5),
        blocks=np.full(blocks, 1_000),
        days=28,
        stage="full",
    )


class EmbeddingShiftCase(Case):
    kind = EmbeddingShift
    streams = 1
    impossible = ({"n": -1}, {"fourier": np.zeros(FEATURES - 1, np.int64)})

    def make(self, p):
        return EmbeddingShift.fit(shift_baseline(), float(p.ticket[1]), float(p.page[1]))

    def feed(self, detector, window, p):
        hour, (one, *_) = window
        return _said(detector.update(hour, one.n, one.fourier))

    def read(self, detector):
        flag = detector.flag()
        return np.concatenate([detector.statistic() or (0.0, 0.0), flag.n, flag.x, detector.direction()])[None]


@cache
def volume_baseline() -> VolumeBaseline:
    return VolumeBaseline(
        seconds=900.0,
        level=np.linspace(100.0, 300.0, HOURS),
        beyond=np.full((2, 2, HOURS), 0.3) + np.array([0.0, 0.2])[:, None],
        null=np.tile([0.06, 0.015], (2, 1)),
        design_effect=1.5,
        days=28,
        day_cv=0.05,
        stage="full",
    )


class VolumeCase(Case):
    """Every window is a block of its own."""

    kind = Volume
    streams = 1
    empty_is_time = True
    impossible = ({"n": -1},)

    def make(self, p):
        return Volume.fit(volume_baseline(), float(p.ticket[1]))

    def feed(self, detector, window, p):
        hour, (one, *_) = window
        seconds, block = detector.baseline.seconds, int(detector.snapshot()["filling"][0])
        return _said(detector.update(int(max(block, 0) * seconds), hour, one.n, seconds))

    def read(self, detector):
        return np.array([[detector.newest, *(detector.run or np.zeros(6))]], float)


class CombinedCase(Case):
    """The average of recursions, as ``combined`` makes it: bets of two streams, weighted, in one recursion; caps differ."""

    kind = Recursion
    impossible = ({"strange": 401, "n": 400}, {"topics": np.array([-1, 2, 0, 0, 0])})

    def make(self, p):
        weights = np.concatenate([np.full(RISE.size, 0.5 / RISE.size), 0.5 * mixture(SHARE.size)])
        return Recursion.fit(ticket_rate=p.ticket, page_rate=p.page, weights=weights, power=np.where(p.effect < 4, 2.0, CAP))

    def feed(self, detector, window, p):
        flags, mix = FlagRateCase().make(p), TopicMixCase().make(p)
        one = flags.increments(_windows(window[1]))
        other = mix.increments(np.array([s.topics for s in window[1]]), window[0])
        parts = [(ratio, np.broadcast_to(elapsed, ratio.shape)) for ratio, elapsed in (one, other)]
        return _said(detector.update(*(np.concatenate(column) for column in zip(*parts, strict=True))))

    def read(self, detector):
        return np.moveaxis(detector.shares(), -1, 0).reshape(self.streams, -1)


CASES: tuple[Case, ...] = (
    FlagRateCase(),
    RoundRateCase(),
    PairedCase(),
    RecoveryCase(),
    ChangePointCase(),
    TopicMixCase(),
    EmbeddingShiftCase(),
    VolumeCase(),
    CombinedCase(),
)


def broken(window: Hour, changes: dict[str, Any]) -> Hour:
    """The window with something impossible in its first stream."""
    hour, (first, *others) = window
    return hour, [replace(first, **changes), *others]
