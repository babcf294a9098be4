"""The promise against an accepted baseline: days differ, the bound learned from some of them has to hold for the others.

    .venv/bin/python benchmarks/baseline.py [--runs 300]

One stream with half of "1 page per 90 days", 200 independent prompts a window, mean share 0.05. Every day has a share of its own,
log-normal with the deviation given. Bound and design effect are learned from 14 or 28 days, then 90 days follow. Exit status 1 when the
mean exceeds 0.5 pages.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.worlds import DAY, PROMPTS
from detectors.baseline import BLOCK_WINDOWS, Blocks, RateBaseline
from detectors.contract import Windows
from detectors.flag_rate import FlagRate

SHARE, DELTA, BUDGET_DAYS = 0.05, 0.01, 90
DEVIATIONS = (0.0, 0.05, 0.10)
LEARNING_DAYS = (14, 28)
BAR = 0.5


def daily_shares(rng: np.random.Generator, deviation: float, runs: int) -> Iterator[NDArray[np.float64]]:
    """The flagged share of each run, day after day, (runs,) each."""
    while True:
        yield SHARE * np.exp(deviation * rng.standard_normal(runs) - deviation**2 / 2)


def learn(rng: np.random.Generator, shares: Iterator[NDArray[np.float64]], days: int, runs: int) -> list[RateBaseline]:
    """One baseline a run."""
    each = DAY // BLOCK_WINDOWS
    size = PROMPTS * BLOCK_WINDOWS
    flagged = np.concatenate([rng.binomial(size, next(shares), (each, runs)) for _ in range(days)]).T
    day = np.repeat(np.arange(days), each)
    return [RateBaseline.fit(Blocks(day, np.full(day.size, size), x), DELTA) for x in flagged]


def pages(rng: np.random.Generator, shares: Iterator[NDArray[np.float64]], baselines: list[RateBaseline]) -> NDArray[np.int64]:
    """Pages of each run in 90 days; a baseline that may not page has none."""
    runs = len(baselines)
    detector = FlagRate.fit(
        null=[b.bound for b in baselines],
        design_effect=[b.design_effect for b in baselines],
        ticket_rate=np.zeros(runs),
        page_rate=[0.5 / (BUDGET_DAYS * DAY) * b.may_page for b in baselines],
    )
    count, n = np.zeros(runs, np.int64), np.full(runs, PROMPTS)
    for _ in range(BUDGET_DAYS):
        for x in rng.binomial(PROMPTS, next(shares), (DAY, runs)):
            count += detector.update(Windows(n=n, x=x)).page
    return count


def main() -> int:
    """Print one row per deviation and number of days learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    print("| days learned | days differ by | bound / rate | may page | mean pages | most in a run | bar |")
    print("|---|---|---|---|---|---|---|", flush=True)
    missed = False
    for days in LEARNING_DAYS:
        for deviation in DEVIATIONS:
            rng = np.random.default_rng(arguments.seed)
            shares = daily_shares(rng, deviation, arguments.runs)
            baselines = learn(rng, shares, days, arguments.runs)
            count = pages(rng, shares, baselines)
            price, allowed = np.median([b.bound / SHARE for b in baselines]), np.mean([b.may_page for b in baselines])
            kept = count.mean() <= BAR
            missed |= not kept
            print(
                f"| {days} | {deviation:.0%} | {price:.2f} | {allowed:.0%} | {count.mean():.3f} | {count.max()} "
                f"| {'kept' if kept else 'MISSED'} |",
                flush=True,
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
