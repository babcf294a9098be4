"""What deciding costs: one closed window of one model with 50 slices and all streams, its state, and its checkpoint.

Four weeks of 15-minute windows are learned and accepted, so that every stream is tested; then minutes are judged, quiet ones and ones with
incidents of many streams open. Bars: under 20 ms a window on one core, state under 50 MB.

    python -m benchmarks.decider [--slices 50] [--topics 100] [--windows 600]
"""

import argparse
import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from detectors.features import FEATURES
from detectors.sketch import BINS, FIXED_POINT, LENGTHS, Sketch
from service.config import Config
from service.decider.decider import Decider, Watched
from service.language import LANGUAGES
from service.records import WHOLE, Command, DeltaKey, Entry, Progress, Report

MODEL, BUNDLE = "support-bot", "bundle"
MONDAY = 1_699_833_600
DAY, QUARTER = 86_400, 900
LEARNED_DAYS = 28
PROMPTS = 1_000
COST_BAR, STATE_BAR = 0.020, 50e6


@dataclass(frozen=True)
class Topic:
    """A reference topic."""

    words: tuple[str, ...]
    share: float


class World:
    """One model's production: prompts drawn alike, whole windows at a time."""

    def __init__(self, slices: int, topics: int, seed: int) -> None:
        """``slices`` of equal weight, ``topics`` of unequal ones."""
        self._rng = np.random.default_rng(seed)
        self.slices = [f"tenant-{i}" for i in range(slices)]
        share = 1 / np.arange(5, topics + 5)
        self.shares = np.append(share / share.sum() * 0.97, 0.03)
        self.topics = tuple(Topic((f"word{i}",), float(share)) for i, share in enumerate(self.shares[:-1]))
        self._mean = 0.2 * np.sin(np.arange(FEATURES))

    def window(self, n: int, start: int, strange: float = 0.04, topic: int | None = None) -> dict[DeltaKey, Sketch]:
        """Sketches of one window, of the whole and of every slice; ``topic`` gathers a tenth of the prompts."""
        parts = self._rng.multinomial(n, np.full(len(self.slices), 1 / len(self.slices))) if self.slices else []
        made = {DeltaKey(BUNDLE, MODEL, WHOLE, start): self._sketch(n, strange, topic, whole=True)}
        made |= {
            DeltaKey(BUNDLE, MODEL, name, start): self._sketch(int(k), strange, topic)
            for name, k in zip(self.slices, parts, strict=True)
            if k
        }
        return made

    def _sketch(self, n: int, strange: float, topic: int | None, *, whole: bool = False) -> Sketch:
        rng, shares = self._rng, self.shares
        if topic is not None:
            shares = 0.9 * shares
            shares[topic] += 0.1
        x = int(rng.binomial(n, strange))
        fourier = np.zeros(0, np.int64)
        if whole:
            mean = self._mean + (0.0 if topic is None else 0.1 * np.cos(np.arange(FEATURES)))
            fourier = np.rint(FIXED_POINT * (n * mean + np.sqrt(n / 2) * rng.normal(size=FEATURES))).astype(np.int64)
        languages = rng.multinomial(n, [0.9, 0.05, 0.02, *[0.03 / (len(LANGUAGES) - 3)] * (len(LANGUAGES) - 3)])
        return Sketch(
            n,
            x,
            int(rng.binomial(x, 0.2)),
            int(rng.binomial(n, 0.02)),
            20 * n,
            80 * n,
            rng.multinomial(n, np.full(BINS, 1 / BINS)).astype(np.int64),
            rng.multinomial(n, shares).astype(np.int64),
            rng.multinomial(n, np.full(LENGTHS, 1 / LENGTHS)).astype(np.int64),
            languages.astype(np.int64),
            fourier,
        )


class Feed:
    """Windows as entries of the ledger's log."""

    def __init__(self) -> None:
        """At the beginning."""
        self.position = 0

    def entries(self, sketches: Mapping[DeltaKey, Sketch], end: float) -> Iterator[Entry]:
        """One window, and the report that closes it."""
        for body in (*sketches.items(), Report("w", {}, {"file": Progress(end)}, frozenset(["file"]), end)):
            yield Entry(self.position, body)
            self.position += 1

    def command(self, kind: str, **arguments: object) -> Entry:
        """A command."""
        self.position += 1
        return Entry(self.position - 1, Command(f"c{self.position}", kind, "benchmark", MONDAY, {"model": MODEL, **arguments}))


def configuration(slices: int) -> Config:
    """One model with slices; event time, no first contact."""
    model = {"bundle": BUNDLE, "slices": {"values": [f"tenant-{i}" for i in range(slices)]}}
    return Config.model_validate(
        {
            "source": {"kind": "file", "paths": ["-"]},
            "models": {MODEL: model},
            "windows": {"clock": "event", "grace": 0},
            "detection": {"first_contact": {"duration": 0, "prompts": 0}},
        }
    )


def fresh(world: World) -> Decider:
    """A decider that knows nothing."""
    config = configuration(len(world.slices))
    slices = tuple(config.models[MODEL].slices.values)
    return Decider({MODEL: Watched(BUNDLE, {"strange": 0.06, "far": 0.015}, world.topics, "team", 1.0, slices)}, config)


def prepared(world: World) -> tuple[Decider, Feed]:
    """A decider that learned four weeks and accepted them."""
    decider, feed = fresh(world), Feed()
    for i in range(LEARNED_DAYS * DAY // QUARTER):
        start = MONDAY - LEARNED_DAYS * DAY + QUARTER * i
        decider.absorb(list(feed.entries(world.window(4 * PROMPTS, start), start + 60)))
    decider.close_due(None)
    decider.absorb([feed.command("baseline.accept", reason="four weeks", anyway=True)])
    for step in decider.close_due(None):
        for entry in step.audit:
            print(f"baseline: {entry.outcome[:160]}", flush=True)
    return decider, feed


def memory(world: World, state: bytes) -> float:
    """Bytes that a decider holds after it was restored."""
    gc.collect()
    tracemalloc.start()
    again = fresh(world)
    again.restore(state)
    again.close_due(None)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert again.snapshot() == state
    return float(held)


def main() -> int:
    """Measure CPU time and compare with the bars; 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--topics", type=int, default=100)
    parser.add_argument("--windows", type=int, default=600)
    arguments = parser.parse_args()
    world = World(arguments.slices, arguments.topics, seed=1)
    began = time.process_time()
    decider, feed = prepared(world)
    print(f"learned and accepted in {time.process_time() - began:.0f} s", flush=True)
    worst = 0.0
    for name, strange, topic in (("quiet", 0.04, None), ("incidents open", 0.10, 7)):
        spent, opened = [], set[tuple[str, str, str]]()
        for i in range(arguments.windows // 2):
            start = MONDAY + 60 * (i + (arguments.windows if topic else 0))
            entries = list(feed.entries(world.window(PROMPTS, start, strange, topic), start + 60))
            began = time.process_time()
            decider.absorb(entries)
            steps = decider.close_due(None)
            spent.append(time.process_time() - began)
            opened |= {(i.slice, i.stream, i.level) for step in steps for i in step.incidents}
        verdicts = sum(len(step.verdicts) for step in steps)
        mean, high = float(np.mean(spent)), float(np.quantile(spent, 0.99))
        worst = max(worst, mean)
        print(f"{name}: {1e3 * mean:.1f} ms a window (99%: {1e3 * high:.1f} ms), {verdicts} verdicts, {len(opened)} incidents", flush=True)
        streams = sorted({f"{stream} ({level})" for slice_, stream, level in opened if slice_ == WHOLE})
        print(f"    whole model: {', '.join(streams) or 'nothing'}", flush=True)
    began = time.process_time()
    state = decider.snapshot()
    saving = time.process_time() - began
    began = time.process_time()
    decider.picture(active=True, now=MONDAY)
    drawing = time.process_time() - began
    held = memory(world, state)
    print(
        f"state in memory {held / 1e6:.1f} MB; checkpoint {len(state) / 1e6:.2f} MB, {1e3 * saving:.0f} ms; picture {1e3 * drawing:.0f} ms"
    )
    missed = [name for name, value, bar in (("cost", worst, COST_BAR), ("state", held, STATE_BAR)) if value > bar]
    print(f"missed: {', '.join(missed)}" if missed else f"bars hold: {1e3 * COST_BAR:.0f} ms a window, {STATE_BAR / 1e6:.0f} MB")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
