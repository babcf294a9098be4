"""The embedding shift where nothing changes: false pages in 90 days of each world, many runs side by side.

    python -m benchmarks.embedding_nulls --data DIR [--runs 20] [--days 90] [--world NAME ...]

Worlds, budget and learning as in benchmarks/embedding_shift.py. Prompts are drawn one by one, but a window's sum of features is drawn from
their intents: the mean feature of each, and Gaussian noise with the covariance of questions about the mean of their intent. That is a
third of the cost of adding up rows, and 200 prompts make the sum Gaussian anyway. What a window brings to the evidence is worked out for a
day at a time; tests/detectors/test_streams.py holds it against the detector itself. A run of 90 days takes about 8 s.
Exit status 1 when a bar is missed.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from benchmarks.embedding_shift import BUDGET_WINDOWS, DAY, HOUR, LOOSE_RATE, PAGE_RATE, PAGES_BAR, WORLDS, Rows, Traffic, Windows, learn
from detectors.embedding_baseline import BLOCKS, HOURS, EmbeddingBaseline
from detectors.embedding_shift import BETS, EmbeddingShift
from detectors.features import FEATURES
from detectors.sketch import FIXED_POINT

Floats = NDArray[np.float64]

RATES = np.array([LOOSE_RATE, PAGE_RATE])


class Intents(Traffic):
    """Windows whose sums are drawn from the intents of their prompts."""

    def __init__(self, rows: Rows, world: str, rng: np.random.Generator) -> None:
        """As :class:`benchmarks.embedding_shift.Traffic`."""
        super().__init__(rows, world, rng)
        usual = rows.features[: len(rows.vectors)].astype(np.float64)
        self._means = np.add.reduceat(usual, rows.first, axis=0) / rows.many[:, None]
        about = usual - self._means[rows.intent]
        value, vector = np.linalg.eigh(about.T @ about / len(about))
        self._root = vector * np.sqrt(np.maximum(value, 0.0))

    def summed(self, window: NDArray[np.int64], row: NDArray[np.int64]) -> Windows:
        """Sums by window of a day."""
        intents = len(self._means)
        asked = np.bincount(window * intents + self.rows.intent[row], minlength=DAY * intents).reshape(DAY, intents)
        n = asked.sum(axis=1)
        noise = self.rng.standard_normal((DAY, FEATURES)) @ self._root.T
        return n, np.rint(asked @ self._means + np.sqrt(n)[:, None] * noise).astype(np.int64)


class Bets:
    """What :class:`detectors.embedding_shift.EmbeddingShift` bets on, for whole hours of windows.

    An empty window, one in 600,000 here, leaves a block one window short, where the detector would take one more.
    """

    def __init__(self, baseline: EmbeddingBaseline) -> None:
        """Take what was learned."""
        self.baseline, self.weights = baseline, EmbeddingShift.fit(baseline, LOOSE_RATE, PAGE_RATE).weights
        self._level, rise, _ = (np.array(part) for part in zip(*BETS, strict=True))
        null, effect = baseline.null[:, self._level], baseline.design_effect[:, None]
        raised = null + (1 - null) * rise
        known = null < 1
        self._hit = np.where(known, np.log(raised / null), 0.0) / effect
        self._miss = np.log(np.where(known, 1 - raised, 1.0) / np.where(known, 1 - null, 1.0)) / effect

    def increments(self, hour: NDArray[np.int64], n: NDArray[np.int64], fourier: NDArray[np.int64]) -> Floats:
        """Log L (W, K) of windows with (W,) hours of the week and prompts and (W, F) sums; 0 where a block is not full yet."""
        base, found = self.baseline, np.zeros((n.size, len(BLOCKS), len(BETS)))
        stray = fourier - n[:, None] * base.mean[hour] * FIXED_POINT
        share = n / base.prompts[hour]
        for block, length in enumerate(BLOCKS):
            moved, total, known = (part.reshape(-1, length, *part.shape[1:]).sum(axis=1) for part in (stray, n, share))
            u = (moved**2).sum(axis=1) / (FIXED_POINT**2 * (FEATURES // 2) * np.maximum(total, 1) * (1 + known))
            last = hour[length - 1 :: length]
            flags = ((u - base.centre[block, last]) / base.scale[block, last])[:, None] > base.threshold[block]
            bets = np.where(flags[:, self._level], self._hit[block], self._miss[block])
            found[length - 1 :: length, block] = np.where(total[:, None] > 0, bets, 0.0)
        return found.reshape(n.size, -1)


ELAPSED = np.stack([np.repeat([(minute + 1) % length == 0 for length in BLOCKS], len(BETS)) for minute in range(HOUR)])
ELAPSED = ELAPSED * np.repeat(BLOCKS, len(BETS))
"""(60, K) windows since the last step of each component, minute by minute of an hour."""


class Recursions:
    """Two levels of R runs, as :class:`detectors.recursion.Recursion`, with a mixture for each run."""

    def __init__(self, weights: Floats) -> None:
        """``weights`` (R, K)."""
        self._weights, self._evidence = weights, np.zeros((RATES.size, *weights.shape))
        self._cap = -np.log(RATES)[:, None, None] / 3

    def update(self, minute: int, ratio: Floats) -> NDArray[np.bool_]:
        """(2, R) crossings after one window with (R, K) log ratios."""
        elapsed = ELAPSED[minute % HOUR]
        grown = (self._evidence + RATES[:, None, None] * elapsed) * np.exp(np.minimum(ratio, self._cap))
        self._evidence = np.where(elapsed > 0, grown, self._evidence)
        crossed = (self._weights * self._evidence).sum(axis=2) >= 1
        self._evidence *= ~crossed[:, :, None]
        return np.asarray(crossed)


def false_pages(rows: Rows, world: str, runs: int, days: int, seed: int) -> tuple[NDArray[np.int64], list[EmbeddingBaseline]]:
    """Crossings (2, R), at :data:`LOOSE_RATE` and of pages, in ``days`` days that are like the 28 before; the baselines."""
    worlds = [Intents(rows, world, np.random.default_rng([seed, run])) for run in range(runs)]
    baselines = [learn(traffic) for traffic in worlds]
    bets = [Bets(baseline) for baseline in baselines]
    recursions, found = Recursions(np.stack([bet.weights for bet in bets])), np.zeros((RATES.size, runs), np.int64)
    for day in range(days):
        hour = (day * 24 + np.arange(DAY) // HOUR) % HOURS
        ratios = np.stack([bet.increments(hour, *traffic.draw()) for bet, traffic in zip(bets, worlds, strict=True)], axis=1)
        for minute, ratio in enumerate(ratios):
            found += recursions.update(minute, ratio)
    return found, baselines


def row(rows: Rows, world: str, runs: int, days: int, seed: int) -> bool:
    """Print one world; whether it keeps its part of the budget."""
    begun = time.process_time()
    (loose, pages), baselines = false_pages(rows, world, runs, days, seed)
    upper = max(pages.mean() + 1.645 * pages.std() / np.sqrt(runs), float(gammaincinv(pages.sum() + 1, 0.95)) / runs)
    effect = " ".join(f"{d:.1f}" for d in np.median([b.design_effect for b in baselines], axis=0))
    allowed = LOOSE_RATE * days * DAY
    kept = bool(pages.mean() <= PAGES_BAR * days * DAY / BUDGET_WINDOWS)
    print(
        f"| {world} | {effect} | {np.mean([b.may_page for b in baselines]):.0%} | {pages.mean():.2f} | {upper:.2f} | {pages.max()} "
        f"| {loose.mean() / allowed:.2f} | {(time.process_time() - begun) / runs:.0f} | {'kept' if kept else 'MISSED'} |",
        flush=True,
    )
    return kept


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public data sets")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--world", choices=WORLDS, action="append")
    arguments = parser.parse_args()
    rows = Rows(arguments.data, arguments.seed)
    print("| world | design effects | may page | mean pages | upper 95% | most | loose crossings over allowed | seconds a run | bar |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    kept = [row(rows, world, arguments.runs, arguments.days, arguments.seed) for world in arguments.world or WORLDS]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
