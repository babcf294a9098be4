"""Changes of the share of strange prompts, with a baseline learned in every run: delay, share missed, and whether its start is told right.

    python -m benchmarks.changes [--runs 200] [--world iid|inside|spanning] [--change NAME ...]

One stream, A = 129,600, minimum effect 0, windows of 200 prompts; see benchmarks/delay.py for the worlds. Every run learns one rate for all
hours and a design effect from four weeks of its own, 200 clean windows follow, then the change: 1, 2, 5, 10 or 30% of what starts is
strange; a ramp from 0 to 10% over six hours, in steps of 10 minutes; a campaign of 30% for ten minutes in every three hours.

The oracle is a CUSUM that knows the clean share and the size of the change; its threshold is tuned by simulation on 200 clean streams of 60
days to the same false alarms, one in 129,600 windows on average. Bar, for the medians: 1.9 times the oracle's, or 4 windows if that is
more; independent prompts have bars of their own in benchmarks/seasons.py. The start of a change: the share of pages whose 95% interval
holds the window in which it began; bar 90%, where the change is sudden. Missed: no page within 3,000 windows. Exit status 1 when a bar is
missed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.delay import CLEAN_WINDOWS, HORIZON, STRANGE, Traffic, oracle_step
from benchmarks.worlds import DAY
from detectors.change import locate
from detectors.contract import Windows
from detectors.flag_rate import FlagRate
from detectors.seasonal import WEEK_HOURS, Hours, SeasonalBaseline

A, DELTA = 90 * DAY, 0.01
LEARNING_DAYS, HOUR, STEP = 28, 60, 10
RISES = (0.01, 0.02, 0.05, 0.10, 0.30)
WORLDS = ("iid", "inside", "spanning")
TUNING_STREAMS, TUNING_DAYS = 200, 60
FACTOR, FEWEST, COVERAGE = 1.9, 4, 0.90
RAMP, RAMP_TOP = 360, 0.10
CAMPAIGN, EVERY, CAMPAIGN_SHARE = 10, 180, 0.30

Floats = NDArray[np.float64]
Course = Callable[[int], float]
"""Share of strange prompts in what starts in this window, counted from the change."""


def ramp(window: int) -> float:
    """0 to 10% over six hours."""
    return RAMP_TOP * min(window // STEP + 1, RAMP // STEP) * STEP / RAMP


def campaign(window: int) -> float:
    """30% for ten minutes every three hours."""
    return CAMPAIGN_SHARE if window % EVERY < CAMPAIGN else 0.0


def constant(rise: float) -> Course:
    """A change that stays."""
    return lambda window: rise


CHANGES: dict[str, Course] = {**{f"{rise:.0%}": constant(rise) for rise in RISES}, "ramp": ramp, "campaign": campaign}
SUDDEN = {f"{rise:.0%}": rise for rise in RISES}


@dataclass(frozen=True)
class Found:
    """What R runs of one change did: windows from the change to the page, inf without one; whether the interval holds its start; (R,)."""

    waited: Floats
    covered: NDArray[np.bool_]

    @property
    def missed(self) -> float:
        """Share of runs without a page."""
        return float(np.isinf(self.waited).mean())

    @property
    def coverage(self) -> float:
        """Share of pages whose interval holds the start; nan without a page."""
        paged = np.isfinite(self.waited)
        return float(self.covered[paged].mean()) if paged.any() else float("nan")


@dataclass(frozen=True)
class Measured:
    """One change of one world: what was found, and the oracle's delays (R,), None where it has none."""

    world: str
    change: str
    baselines: Sequence[SeasonalBaseline]
    found: Found
    oracle: Floats | None

    @property
    def limit(self) -> float | None:
        """Bar of the median delay, in windows."""
        if self.world == "iid" or self.oracle is None:
            return None
        return max(FACTOR * middle_and_late(self.oracle)[0], FEWEST)

    @property
    def kept(self) -> bool:
        """Whether it keeps its bars: of the delay and of the start of a sudden change."""
        in_time = self.limit is None or middle_and_late(self.found.waited)[0] <= self.limit
        return in_time and (self.oracle is None or np.isnan(self.found.coverage) or self.found.coverage >= COVERAGE)


def learned(kind: str, runs: int, seed: int) -> list[SeasonalBaseline]:
    """The baseline of each run."""
    traffic, clock = Traffic(kind, runs, seed), np.arange(LEARNING_DAYS * 24)
    traffic.begin(0.0)
    hours = [[part.sum(axis=0) for part in traffic.draw(HOUR)] for _ in clock]
    n, x = (np.array([hour[i] for hour in hours]) for i in (0, 1))
    return [SeasonalBaseline.fit(Hours(clock // 24, clock % WEEK_HOURS, n[:, run], x[:, run]), DELTA) for run in range(runs)]


def drawn(traffic: Traffic, course: Course) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """n and x of the next windows of a change, from its first one on: (HORIZON, R) each."""
    parts, at, now = [], 0, None
    while at < HORIZON:
        if (share := course(at)) != now:
            traffic.begin(share)
            now = share
        parts.append(traffic.draw(STEP))
        at += STEP
    return tuple(np.concatenate([part[i] for part in parts]) for i in (0, 1))  # type: ignore[return-value]


def paged(kind: str, baselines: Sequence[SeasonalBaseline], course: Course, seed: int) -> Found:
    """Pages of the detector, and what it says of their start."""
    runs = len(baselines)
    null, effect = np.array([b.bound[0] for b in baselines]), np.array([b.design_effect for b in baselines])
    detector = FlagRate.fit(null=null, design_effect=effect, ticket_rate=np.zeros(runs), page_rate=np.full(runs, 1 / A))
    traffic = Traffic(kind, runs, seed)
    traffic.begin(0.0)
    before, after = traffic.draw(CLEAN_WINDOWS), drawn(traffic, course)
    n, x = (np.concatenate([a, b]) for a, b in zip(before, after, strict=True))
    waited, covered = np.full(runs, np.inf), np.zeros(runs, bool)
    for window, counts in enumerate(zip(n, x, strict=True)):
        crossed = detector.update(Windows(*counts)).page
        if window < CLEAN_WINDOWS:
            continue
        ago = window - CLEAN_WINDOWS
        for run in np.flatnonzero(crossed & np.isinf(waited)):
            seen = slice(0, window + 1)
            told = locate(n[seen, run], x[seen, run], np.full(window + 1, null[run]), float(effect[run]))
            waited[run], covered[run] = ago + 1, told.high <= ago <= told.low
        if np.isfinite(waited).all():
            break
    return Found(waited, covered)


def thresholds(kind: str, seed: int) -> Floats:
    """Heights of the oracles of all sudden changes, from their excursions on the same clean streams."""
    traffic = Traffic(kind, TUNING_STREAMS, seed)
    traffic.begin(0.0)
    slope, offset = (np.array(part)[:, None] for part in zip(*map(oracle_step, RISES), strict=True))
    wanted = round(TUNING_STREAMS * TUNING_DAYS * DAY / A)
    level, peak = np.zeros((2, len(RISES), TUNING_STREAMS))
    highest: list[Floats] = [np.zeros(0)] * len(RISES)
    for _ in range(TUNING_DAYS * DAY // 240):
        ended: list[list[Floats]] = [[one] for one in highest]
        for n, x in zip(*traffic.draw(240), strict=True):
            level = np.maximum(level + slope * x + offset * n, 0.0)
            over = (level == 0) & (peak > 0)
            for rise in np.flatnonzero(over.any(axis=1)):
                ended[rise].append(peak[rise, over[rise]])
            peak = np.where(level == 0, 0.0, np.maximum(peak, level))
        highest = [np.sort(np.concatenate(part))[-wanted:] for part in ended]
    return np.array([one[0] if one.size else np.finfo(np.float64).tiny for one in highest])


def oracle(kind: str, rise: float, height: float, runs: int, seed: int) -> Floats:
    """Windows from the change to the oracle's alarm."""
    traffic, level, waited = Traffic(kind, runs, seed), np.zeros(runs), np.full(runs, np.inf)
    slope, offset = oracle_step(rise)
    traffic.begin(0.0)
    before = traffic.draw(CLEAN_WINDOWS)
    after = drawn(traffic, constant(rise))
    for step, (n, x) in enumerate(zip(*map(np.concatenate, zip(before, after, strict=True)), strict=True), 1 - CLEAN_WINDOWS):
        level = np.maximum(level + slope * x + offset * n, 0.0)
        if step > 0:
            waited[(level >= height) & np.isinf(waited)] = step
    return waited


def middle_and_late(waited: Floats) -> tuple[float, float]:
    """Upper median and 90%, inf where that many were missed."""
    ordered = np.sort(waited)
    return float(ordered[waited.size // 2]), float(ordered[int(0.9 * waited.size)])


def measured(kind: str, names: Sequence[str], runs: int, seed: int) -> Iterator[Measured]:
    """One world: a baseline for each run, then every change on it."""
    baselines = learned(kind, runs, seed)
    heights = dict(zip(SUDDEN, thresholds(kind, seed + 1), strict=True)) if set(names) & set(SUDDEN) else {}
    for number, name in enumerate(names, seed + 2):
        known = oracle(kind, SUDDEN[name], heights[name], runs, number) if name in SUDDEN else None
        yield Measured(kind, name, baselines, paged(kind, baselines, CHANGES[name], number), known)


def line(row: Measured) -> str:
    """One row of the table."""
    effect, bound = (np.median(part) for part in zip(*((b.design_effect, b.bound[0]) for b in row.baselines), strict=True))
    ours, late = middle_and_late(row.found.waited)
    best = ratio = told = "-"
    if row.oracle is not None:
        known, known_late = middle_and_late(row.oracle)
        best, told = f"{known:.0f}/{known_late:.0f}", f"{row.found.coverage:.0%}"
        ratio = f"{ours / known:.2f}; {'-' if row.limit is None else f'{row.limit:.0f}'}"
    return (
        f"| {row.world} | {effect:.2f} | {bound / STRANGE:.3f} | {row.change} | {ours:.0f}/{late:.0f} | {row.found.missed:.0%} "
        f"| {best} | {ratio} | {told} | {'kept' if row.kept else 'MISSED'} |"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument("--change", choices=CHANGES, action="append")
    arguments = parser.parse_args()
    print(
        "| world | d | bound / share | change | delay median/90% | missed | oracle | times the oracle; bar | start within interval | bar |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    kept = True
    for kind in arguments.world or WORLDS:
        for row in measured(kind, arguments.change or list(CHANGES), arguments.runs, arguments.seed):
            kept &= row.kept
            print(line(row), flush=True)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
