"""Baselines learned by hour of week: false pages in the null worlds, delays, and what the replay of the promise says.

    .venv/bin/python benchmarks/seasons.py [--runs 100] [--world NAME ...] [--part null|delay]

Every run learns its baseline from its own first 28 days of one-minute windows, replays the promise on them, and goes on for 90 days with
one stream and "1 page per 90 days" (A = 129,600). Minimum effect 0, so that the true rate lies as close to the null as it can. A run
whose baseline may not page, or whose replay breaks the promise, is demoted: its crossings are counted apart. Then the delay of a page
with learned baselines. Exit status 1 when a bar is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.worlds import DAY, PROMPTS, WEEK, Bank, Clock, HeavyUser, Independent, Sessions, World
from detectors.contract import Windows
from detectors.flag_rate import FlagRate
from detectors.promise import check_promise
from detectors.seasonal import WEEK_HOURS, Hours, SeasonalBaseline, fit_each_hour

SHARE, DELTA, SENSITIVITY, CONCENTRATION = 0.05, 0.01, 0.8, 2.0
BUDGET_DAYS, LEARNING_DAYS, HOUR = 90, 28, 60
BUDGET = BUDGET_DAYS * DAY
CLEAN_WINDOWS, HORIZON = 200, 1500
RISES = (0.01, 0.02, 0.05, 0.1, 0.3)
BARS = {"one rate, one stream": (115, 36, 9, 5, 4), "hour of week, five streams": (None, 66, 12, 6, 5)}

Maker = Callable[[np.random.Generator, int], World]
RHYTHM = {"daily": 0.4, "weekly": 0.4}
NULLS: dict[str, Maker] = {
    "iid": lambda rng, runs: Independent(rng, runs, SHARE),
    "inside": lambda rng, runs: Sessions(rng, runs, Bank.make(rng, SHARE, CONCENTRATION), spanning=False),
    "spanning": lambda rng, runs: Sessions(rng, runs, Bank.make(rng, SHARE, CONCENTRATION), spanning=True),
    "heavy tails": lambda rng, runs: Sessions(rng, runs, Bank.heavy_tailed(rng, SHARE, CONCENTRATION), spanning=True),
    "rhythm": lambda rng, runs: Clock(rng, runs, SHARE, **RHYTHM),
    "rhythm, days 5%": lambda rng, runs: Clock(rng, runs, SHARE, deviation=0.05, **RHYTHM),
    "rhythm, days 10%": lambda rng, runs: Clock(rng, runs, SHARE, deviation=0.1, **RHYTHM),
    "growing volume": lambda rng, runs: Clock(rng, runs, SHARE, growth=0.02),
    "heavy user": lambda rng, runs: HeavyUser(rng, runs, SHARE),
    "1 prompt a minute": lambda rng, runs: Clock(rng, runs, SHARE, prompts=1),
}
BEYOND: dict[str, Maker] = {
    "rhythm, days 20%": lambda rng, runs: Clock(rng, runs, SHARE, deviation=0.2, **RHYTHM),
    "weeks 10%": lambda rng, runs: Clock(rng, runs, SHARE, deviation=0.1, period=WEEK),
    "weeks 20%": lambda rng, runs: Clock(rng, runs, SHARE, deviation=0.2, period=WEEK),
    "half days 20%": lambda rng, runs: Clock(rng, runs, SHARE, deviation=0.2, period=DAY // 2),
}
"""Worlds that the bound does not claim to cover; their bar is the same, by demotion."""


@dataclass(frozen=True)
class Outcome:
    """What R runs of one world did; all (R,).

    Attributes:
        pages: int64, crossings in the days after learning, at the budget of pages.
        may_page: bool, the baseline's stage allows pages; kept: bool, the replay is consistent with the promise too.
        by_hour: bool, the baseline has a rate for each hour; effect: float64, design effect; price: float64, mean of bound / share.
    """

    pages: NDArray[np.int64]
    may_page: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    by_hour: NDArray[np.bool_]
    effect: NDArray[np.float64]
    price: NDArray[np.float64]

    @property
    def paged(self) -> NDArray[np.int64]:
        """Pages that wake somebody."""
        return np.where(self.kept, self.pages, 0)


def upper(pages: NDArray[np.int64]) -> float:
    """Upper 95% limit of the mean, the larger of the normal one and the Poisson one."""
    normal = pages.mean() + 1.645 * pages.std(ddof=1) / np.sqrt(pages.size)
    return max(float(normal), float(gammaincinv(int(pages.sum()) + 1, 0.95)) / pages.size)


def simulate(make: Maker, runs: int, seed: int, days: int = BUDGET_DAYS, learning: int = LEARNING_DAYS) -> Outcome:
    """Learn, replay, and go on for ``days`` days, ``runs`` times side by side."""
    world = make(np.random.default_rng(seed), runs)
    drawn = [world.draw(HOUR) for _ in range(learning * 24)]
    n, x = (np.concatenate([part[i] for part in drawn]).astype(np.int64) for i in (0, 1))
    del drawn
    clock = np.arange(learning * 24)
    hourly = [array.reshape(learning * 24, HOUR, runs).sum(axis=1) for array in (n, x)]
    baselines = [SeasonalBaseline.fit(Hours(clock // 24, clock % WEEK_HOURS, hourly[0][:, r], hourly[1][:, r]), DELTA) for r in range(runs)]
    window = np.arange(learning * DAY)
    promises = [
        check_promise(n[:, r], x[:, r], window // DAY, window // HOUR % WEEK_HOURS, delta=DELTA, budget=BUDGET) for r in range(runs)
    ]
    bound = np.stack([b.bound for b in baselines], axis=1)
    detector = FlagRate.fit(
        null=bound[0],
        design_effect=[b.design_effect for b in baselines],
        ticket_rate=np.zeros(runs),
        page_rate=np.full(runs, 1 / BUDGET),
    )
    pages = np.zeros(runs, np.int64)
    for hour in range(learning * 24, (learning + days) * 24):
        detector.move(np.minimum(bound[hour % WEEK_HOURS], 0.999))
        for n_now, x_now in zip(*world.draw(HOUR), strict=True):
            pages += detector.update(Windows(n=n_now, x=x_now)).page
    return Outcome(
        pages,
        np.array([b.may_page for b in baselines]),
        np.array([p.kept for p in promises]),
        np.array([b.by_hour for b in baselines]),
        np.array([b.design_effect for b in baselines]),
        np.array([(b.bound / b.share).mean() for b in baselines]),
    )


def learned(rng: np.random.Generator, runs: int, *, each_hour: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds (168, runs) and design effects (runs,) of baselines from four weeks of independent prompts."""
    clock = np.arange(LEARNING_DAYS * 24)
    n = np.full(clock.size, PROMPTS * HOUR)
    found = []
    for _ in range(runs):
        hours = Hours(clock // 24, clock % WEEK_HOURS, n, rng.binomial(n, SHARE))
        found.append(fit_each_hour(hours, DELTA) if each_hour else SeasonalBaseline.fit(hours, DELTA))
    return np.stack([b.bound for b in found], axis=1), np.array([b.design_effect for b in found])


def delays(bound: NDArray[np.float64], effect: NDArray[np.float64], weight: float, rise: float, seed: int) -> NDArray[np.float64]:
    """Windows from the change to the first page in each run, inf beyond the horizon; the change begins at a random hour of the week."""
    rng, runs = np.random.default_rng(seed), effect.size
    begin = rng.integers(0, WEEK_HOURS, runs)
    columns = np.arange(runs)
    detector = FlagRate.fit(
        null=bound[begin, columns], design_effect=effect, ticket_rate=np.zeros(runs), page_rate=np.full(runs, weight / BUDGET)
    )
    waited, n = np.full(runs, np.inf), np.full(runs, PROMPTS)
    for step in range(1 - CLEAN_WINDOWS, HORIZON + 1):
        detector.move(bound[(begin + step // HOUR) % WEEK_HOURS, columns])
        share = SHARE if step < 1 else SHARE + rise * (SENSITIVITY - SHARE)
        crossed = detector.update(Windows(n=n, x=rng.binomial(n, share))).page
        if step > 0:
            waited[crossed & np.isinf(waited)] = step
        if np.isfinite(waited).all():
            break
    return waited


def null_table(names: list[str], runs: int, seed: int) -> bool:
    """Print a row for each world; True when a bar is missed."""
    print("| world | by hour | d | bound / rate | stage may page | replay kept | crossings | upper 95% | pages | upper 95% | bar |")
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    missed = False
    for name in names:
        begun = time.monotonic()
        out = simulate({**NULLS, **BEYOND}[name], runs, seed)
        held = out.paged.mean() <= 1
        missed |= not held
        print(
            f"| {name} | {out.by_hour.mean():.0%} | {np.median(out.effect):.2f} | {np.median(out.price):.2f} | {out.may_page.mean():.0%} "
            f"| {out.kept.mean():.0%} | {out.pages.mean():.2f} | {upper(out.pages):.2f} | {out.paged.mean():.2f} | {upper(out.paged):.2f} "
            f"| {'kept' if held else 'MISSED'} |",
            flush=True,
        )
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return missed


def delay_table(runs: int, seed: int) -> bool:
    """Print a row for each form of the baseline; True when a bar is missed."""
    print("| baseline of 4 weeks | median bound | d | " + " | ".join(f"{rise:.0%}" for rise in RISES) + " | bar on the medians |")
    print("|---|---|---|" + "---|" * len(RISES) + "---|", flush=True)
    missed = False
    for name, bars in BARS.items():
        bound, effect = learned(np.random.default_rng(seed), runs, each_hour=name.startswith("hour"))
        found = [delays(bound, effect, 0.2 if name.endswith("five streams") else 1.0, rise, seed + 1) for rise in RISES]
        held = all(bar is None or np.median(waited) <= bar for waited, bar in zip(found, bars, strict=True))
        missed |= not held
        cells = " | ".join(f"{np.median(w):.0f}/{np.quantile(w, 0.9, method='lower'):.0f}" for w in found)
        told = "/".join("-" if bar is None else str(bar) for bar in bars)
        print(
            f"| {name} | {np.median(bound):.4f} | {np.median(effect):.2f} | {cells} | {told} {'kept' if held else 'MISSED'} |", flush=True
        )
    return missed


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--world", choices=[*NULLS, *BEYOND], action="append")
    parser.add_argument("--part", choices=["null", "delay"])
    arguments = parser.parse_args()
    missed = False
    if arguments.part != "delay":
        missed |= null_table(arguments.world or [*NULLS, *BEYOND], arguments.runs, arguments.seed)
    if arguments.part != "null":
        missed |= delay_table(20 * arguments.runs, arguments.seed)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
