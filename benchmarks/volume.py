"""The number of prompts against the hour of the week: false tickets in null worlds, and delays of falls and rises.

    .venv/bin/python benchmarks/volume.py [--runs 20] [--world NAME ...]

Every run learns from its own first 28 days of one-minute windows and goes on for 90 days with a tenth of "1 ticket per 7 days", the part
that the stream has of a model without slices. Tickets are counted against that part, 1.29 in 90 days. Then the traffic is multiplied at a
time of day drawn at random, and the hours until a ticket are taken. Exit status 1 when a bar is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.worlds import DAY, PROMPTS, WEEK, Bank, Sessions
from detectors.volume import Volume
from detectors.volume_baseline import VolumeBaseline

LEARNING, WATCHED = 28, 90
RATE = 60 / (7 * 86_400) / 10
BUDGET = RATE * WATCHED * DAY
DELTA = 0.01 / 8
FACTORS = (0.0, 0.33, 0.5, 0.8, 1.25, 2.0, 3.0)
AFTER = 2 * DAY
BARS = {0.0: 3.0, 0.33: 3.0, 0.5: 6.0, 2.0: 6.0, 3.0: 3.0}
"""Factor -> hours within which half of the changes must be told in worlds whose days are alike."""

Traffic = Callable[[np.random.Generator, int], NDArray[np.float64]]
"""Prompts of so many one-minute windows, from a Monday on; an array of whole numbers."""


def clocked(
    mean: float, *, daily: float = 0.0, weekend: float = 1.0, days: float = 0.0, hourly: float = 0.0, growth: float = 0.0, begins: int = 0
) -> Traffic:
    """Poisson counts with a rhythm, log-normal effects of days and of hours, and growth a week from day ``begins`` on."""

    def draw(rng: np.random.Generator, windows: int) -> NDArray[np.float64]:
        at = np.arange(windows)
        level = mean * (1 + daily * np.sin(2 * np.pi * at / DAY)) * np.where(at % WEEK >= 5 * DAY, weekend, 1.0)
        level *= np.exp(days * rng.standard_normal(windows // DAY + 1))[at // DAY]
        level *= np.exp(hourly * rng.standard_normal(windows // 60 + 1))[at // 60]
        return rng.poisson(level * (1 + growth) ** (np.maximum(at - begins * DAY, 0) / WEEK)).astype(np.float64)

    return draw


def sessions(spanning: bool) -> Traffic:
    """Prompts in sessions of 10 to 20, inside a window or one a window."""

    def draw(rng: np.random.Generator, windows: int) -> NDArray[np.float64]:
        world = Sessions(rng, 1, Bank.make(rng, 0.05, 2.0, size=1 << 14), spanning=spanning)
        return np.concatenate([world.draw(DAY)[0][:, 0] for _ in range(-(-windows // DAY))])[:windows].astype(np.float64)

    return draw


RHYTHM = {"daily": 0.6, "weekend": 0.4}
NULLS: dict[str, Traffic] = {
    "iid": clocked(PROMPTS),
    "inside": sessions(spanning=False),
    "spanning": sessions(spanning=True),
    "rhythm": clocked(PROMPTS, **RHYTHM),
    "rhythm, hours 5%": clocked(PROMPTS, hourly=0.05, **RHYTHM),
    "rhythm, days 10%": clocked(PROMPTS, days=0.1, **RHYTHM),
    "rhythm, days 20%": clocked(PROMPTS, days=0.2, **RHYTHM),
    "2 prompts a minute": clocked(2, **RHYTHM),
    "growth 2% a week": clocked(PROMPTS, growth=0.02, **RHYTHM),
}
MONTH_ONLY = {"growth 2% a week": 28}
"""Worlds that are watched for so many days only: the level of four weeks ago is a fifth off after nine more."""

ALIKE = ("iid", "rhythm", "rhythm, hours 5%")


def learn(n: NDArray[np.float64]) -> VolumeBaseline:
    """From the first days of a run."""
    at = np.arange(LEARNING * DAY)
    return VolumeBaseline.fit(60 * at, n[: at.size].astype(np.int64), at // DAY, at // 60 % 168, window=60.0, delta=DELTA)


def watch(detector: Volume, n: NDArray[np.float64], begin: int) -> list[int]:
    """Windows after ``begin`` in which a ticket opens."""
    told = []
    for i, prompts in enumerate(n.tolist()):
        said = detector.update(60 * (begin + i), (begin + i) // 60 % 168, int(prompts), 60.0)
        if said is not None and said.ticket[0]:
            told.append(i)
    return told


def run(traffic: Traffic, rng: np.random.Generator, watched: int) -> tuple[int, VolumeBaseline, dict[float, float]]:
    """False tickets of one run, its baseline, and the hours to a ticket by factor (infinite where none came in two days)."""
    n = traffic(rng, (LEARNING + watched) * DAY)
    baseline = learn(n)
    begin = LEARNING * DAY
    false = len(watch(Volume.fit(baseline, RATE), n[begin:], begin))
    delays = {}
    for factor in FACTORS:
        start = begin + int(rng.integers(DAY, 8 * DAY))
        part = n[start - 60 : start + AFTER].copy()
        part[60:] = rng.poisson(np.maximum(part[60:] * factor, 0)) if factor > 1 else rng.binomial(part[60:].astype(np.int64), factor)
        told = [i - 60 for i in watch(Volume.fit(baseline, RATE), part, start - 60) if i >= 60]
        delays[factor] = (told[0] + 1) / 60 if told else np.inf
    return false, baseline, delays


def main() -> int:
    """Print the tables; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--world", nargs="*", choices=NULLS, default=list(NULLS))
    asked = parser.parse_args()
    missed = []
    heads = " | ".join(f"x{factor:g}" for factor in FACTORS)
    print(f"| world | tickets in 90 days (budget {BUDGET:.2f}) | worst run | d | days differ by | {heads} |")
    print("|---|---|---|---|---|" + "---|" * len(FACTORS))
    for world in asked.world:
        began, watched = time.monotonic(), MONTH_ONLY.get(world, WATCHED)
        found = [run(NULLS[world], np.random.default_rng([7, seed]), watched) for seed in range(asked.runs)]
        false = np.array([one[0] for one in found]) * (WATCHED / watched)
        delays = {factor: float(np.median([one[2][factor] for one in found])) for factor in FACTORS}
        told = " | ".join(f"{delay:.1f} h" if np.isfinite(delay) else "not told" for delay in delays.values())
        effect, cv = (np.mean([getattr(one[1], name) for one in found]) for name in ("design_effect", "day_cv"))
        print(f"| {world} | {false.mean():.2f} | {false.max():.0f} | {effect:.1f} | {cv:.0%} | {told} |", flush=True)
        print(f"{world}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        missed += [f"{world}: {false.mean():.2f} tickets"] if false.mean() > BUDGET else []
        missed += [f"{world}: x{f:g} after {delays[f]:.1f} h" for f, bar in BARS.items() if world in ALIKE and delays[f] > bar]
    print("missed: " + ", ".join(missed) if missed else "all bars are kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
