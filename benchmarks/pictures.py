"""The pictures of docs/concepts.md: what the evidence of each stream does at a change that is its own.

    python -m benchmarks.pictures [--out docs/images] [--seed 1] [--picture NAME ...]

The real decider learns four weeks of one-minute windows of 200 prompts, drawn alike, and accepts them. Then, for each picture, half an
hour is quiet, and from there on a share of the prompts is replaced (see :data:`CHANGES`). Drawn are the stream's share window by window,
and its evidence, which begins again after a crossing, beside that of the others. About a minute; the same seed draws the same pictures.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.decider import BUNDLE, DAY, LEARNED_DAYS, MODEL, MONDAY, Feed, World, fresh
from benchmarks.drawing import Picture, draw
from detectors.features import FEATURES, mmd2
from detectors.sketch import BINS, FIXED_POINT, LENGTHS, Sketch
from service.decider.decider import Decider
from service.language import LANGUAGES
from service.records import WHOLE, DeltaKey, Verdict

PROMPTS, MINUTE, QUIET, CHANGED = 200, 60, 30, 60
AVERAGED = 1000
"""Quiet windows behind the usual size of what is shown."""

TOPICS, TOPIC, SHORT, LONG = 100, 60, 3, 11
NONE = TOPICS
STRANGE, FAR_OF_STRANGE, TRUNCATED = 0.04, 0.2, 0.002
BEGIN = MONDAY + 9 * 3600
MEAN = 0.2 * np.sin(np.arange(FEATURES))
TURN = np.cos(np.arange(FEATURES))
"""Mean feature of the usual prompts, and the direction in which changed ones lie apart."""


@dataclass(frozen=True)
class Change:
    """What the prompts are like that replace a ``share`` of the usual ones; None: like the others.

    Attributes:
        words: for the title.
        strange, far: probability that one of them is flagged.
        topic: category of all of them. language: index in LANGUAGES. length: bin.
        apart: how far their mean feature lies from the usual one, in deviations of one prompt.
    """

    words: str
    share: float
    strange: float = STRANGE
    far: float = STRANGE * FAR_OF_STRANGE
    topic: int | None = None
    language: str | None = None
    length: int | None = None
    apart: float = 0.0


CHANGES = {
    "ood_share": Change("5% of the prompts are of a new kind", 0.05, strange=0.8, far=0.3, apart=0.4),
    "far_share": Change("1.5% of the prompts are from another world", 0.015, strange=1.0, far=0.95, topic=NONE, apart=0.6),
    "topic_mix": Change("10% of the prompts move to one topic", 0.10, topic=TOPIC, apart=0.2),
    "embedding_shift": Change("10% of the prompts are worded otherwise", 0.10, apart=0.3),
    "combined": Change("3% are of one topic, and half of those are strange", 0.03, strange=0.5, far=0.1, topic=TOPIC, apart=0.35),
    "new_topic": Change("5% of the prompts are near no topic, few of them strange", 0.05, strange=0.1, topic=NONE, apart=0.3),
    "language": Change("5% of the prompts are in Spanish", 0.05, language="spanish"),
    "length": Change("5% of the prompts carry a pasted conversation", 0.05, length=LONG),
}

SHOWN: dict[str, tuple[str, Callable[[Sketch], float]]] = {
    "ood_share": ("strange prompts, of a window", lambda sketch: sketch.strange / sketch.n),
    "far_share": ("far prompts, of a window", lambda sketch: sketch.far / sketch.n),
    "topic_mix": ("prompts of the topic that grows, of a window", lambda sketch: sketch.topics[TOPIC] / sketch.n),
    "embedding_shift": (
        "squared distance of a window's mean embedding from the usual one",
        lambda sketch: float(mmd2(sketch.features, MEAN)),
    ),
    "combined": ("strange prompts, of a window", lambda sketch: sketch.strange / sketch.n),
    "new_topic": ("prompts near no topic, of a window", lambda sketch: sketch.topics[NONE] / sketch.n),
    "language": ("prompts in Spanish, of a window", lambda sketch: sketch.languages[LANGUAGES.index("spanish")] / sketch.n),
    "length": ("prompts of 129 to 192 tokens, of a window", lambda sketch: sketch.lengths[LONG] / sketch.n),
}


class Prompts:
    """Windows of one model's prompts."""

    def __init__(self, world: World, seed: int) -> None:
        """``world``: its topics."""
        self._rng, self._topics = np.random.default_rng(seed), world.shares
        self._languages = np.full(len(LANGUAGES), 0.02 / (len(LANGUAGES) - 2))
        self._languages[[0, -1]] = 0.95, 0.03
        self._lengths = np.exp(-0.5 * ((np.arange(LENGTHS) - SHORT) / 1.5) ** 2)
        self._lengths /= self._lengths.sum()

    def window(self, change: Change | None) -> Sketch:
        """One window; in part of the prompts of ``change``."""
        replaced = 0 if change is None else int(self._rng.binomial(PROMPTS, change.share))
        usual = self._sketch(PROMPTS - replaced, Change("", 0.0))
        return usual if change is None or not replaced else usual + self._sketch(replaced, change)

    def _sketch(self, n: int, kind: Change) -> Sketch:
        rng = self._rng
        strange = int(rng.binomial(n, kind.strange))
        mean = MEAN + kind.apart * TURN
        fourier = np.rint(FIXED_POINT * (n * mean + np.sqrt(n / 2) * rng.normal(size=FEATURES))).astype(np.int64)
        topics = self._topics if kind.topic is None else np.eye(TOPICS + 1)[kind.topic]
        languages = self._languages if kind.language is None else np.eye(len(LANGUAGES))[LANGUAGES.index(kind.language)]
        lengths = self._lengths if kind.length is None else np.eye(LENGTHS)[kind.length]
        return Sketch(
            n,
            strange,
            int(rng.binomial(strange, min(kind.far / kind.strange, 1.0))),
            int(rng.binomial(n, TRUNCATED)),
            20 * n,
            80 * n,
            rng.multinomial(n, np.full(BINS, 1 / BINS)).astype(np.int64),
            rng.multinomial(n, topics).astype(np.int64),
            rng.multinomial(n, lengths).astype(np.int64),
            rng.multinomial(n, languages).astype(np.int64),
            fourier,
        )


def learned(world: World, prompts: Prompts) -> tuple[Decider, Feed]:
    """A decider that accepted four weeks of minutes."""
    decider, feed = fresh(world), Feed()
    for start in range(MONDAY - LEARNED_DAYS * DAY, MONDAY, MINUTE):
        decider.absorb(list(feed.entries({DeltaKey(BUNDLE, MODEL, WHOLE, start): prompts.window(None)}, start + MINUTE)))
    decider.close_due(None)
    decider.absorb([feed.command("baseline.accept", reason="four weeks")])
    for step in decider.close_due(None):
        for entry in step.audit:
            print(f"baseline: {entry.outcome[:160]}", file=sys.stderr, flush=True)
    return decider, feed


def told(decider: Decider, feed: Feed, windows: Sequence[Sketch]) -> list[tuple[Verdict, ...]]:
    """Verdicts of these windows, minute after minute."""
    found = []
    for minute, sketch in enumerate(windows):
        start = BEGIN + MINUTE * minute
        decider.absorb(list(feed.entries({DeltaKey(BUNDLE, MODEL, WHOLE, start): sketch}, start + MINUTE)))
        found += [step.verdicts for step in decider.close_due(None) if step.verdicts]
    return found


def picture(name: str, windows: Sequence[Sketch], verdicts: Sequence[tuple[Verdict, ...]], usual: Sequence[Sketch]) -> Picture:
    """What is drawn of one stream, at the level at which it wakes or tells somebody."""
    own = next(v for v in verdicts[-1] if v.stream == name)
    pages = bool(np.isfinite(own.log10_threshold))
    evidence: dict[str, list[float]] = {}
    for window in verdicts:
        for v in window:
            evidence.setdefault(v.stream, []).append(v.log10_evidence if pages else v.log10_ticket_evidence)
    label, value = SHOWN[name]
    return Picture(
        name=name,
        words=CHANGES[name].words,
        level="page" if pages else "ticket",
        label=label,
        value=[value(sketch) for sketch in windows],
        reference=float(np.mean([value(sketch) for sketch in usual])),
        percent=name != "embedding_shift",
        evidence=evidence.pop(name),
        others=evidence,
        threshold=own.log10_threshold if pages else own.log10_ticket_threshold,
        change=QUIET,
    )


def main() -> int:
    """Write the pictures, and one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "images")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", choices=CHANGES, action="append")
    arguments = parser.parse_args()
    world = World(0, TOPICS, arguments.seed)
    prompts = Prompts(world, arguments.seed)
    decider, feed = learned(world, prompts)
    usual = [prompts.window(None) for _ in range(AVERAGED)]
    state, position = decider.snapshot(), feed.position
    for number, name in enumerate(CHANGES):
        if arguments.picture and name not in arguments.picture:
            continue
        again = fresh(world)
        again.restore(state)
        feed.position = position
        prompts = Prompts(world, arguments.seed + 1 + number)
        windows = [prompts.window(CHANGES[name] if minute >= QUIET else None) for minute in range(QUIET + CHANGED)]
        made = picture(name, windows, told(again, feed, windows), usual)
        (arguments.out / f"stream-{name}.svg").write_text(draw(made), encoding="utf-8")
        print(f"{name}: {made.words}; {made.level} after {made.delay} windows", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
