"""The delay of a page: windows from the start of a change to the crossing, beside an oracle.

    .venv/bin/python benchmarks/delay.py [--runs 400]

200 prompts a window, strange prompts flagged with probability 0.8, 200 clean windows first, minimum effect 0, two streams sharing one
page per 90 days (A = 259,200). The true clean share is 0.05, the null its PAC bound. The oracle is a CUSUM that knows the clean share,
the size of the change and the design effect, with the threshold at which it pages as rarely: mean time between false pages 259,200
windows. Exit status 1 when a bar is missed.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.worlds import DAY, PROMPTS, Bank, Independent, Sessions, blocks
from detectors.baseline import Blocks, dispersion
from detectors.calibration import STRANGE, Calibration
from detectors.contract import Windows
from detectors.flag_rate import FlagRate

RISES = (0.02, 0.05, 0.10, 0.30)
BARS: Mapping[tuple[str, int], tuple[int, ...]] = {("iid", 20_000): (60, 11, 5, 4), ("spanning", 20_000): (320, 60, 26, 12)}
THRESHOLD = 2 * 90 * DAY
CLEAN_WINDOWS, HORIZON = 200, 3_000
SENSITIVITY, DELTA, CONCENTRATION = 0.8, 0.005, 2.0
ORACLE_STATES = 400


def flagged(rise: float) -> float:
    """Share of flagged prompts when a share ``rise`` is strange."""
    return STRANGE + rise * (SENSITIVITY - STRANGE)


class Traffic:
    """Clean traffic of R runs that can change: ``draw(rise, windows)`` gives n and x, (windows, R)."""

    def __init__(self, kind: str, runs: int, seed: int) -> None:
        self.kind, self.runs, self.rng = kind, runs, np.random.default_rng(seed)
        self._bank = Bank.make(self.rng, STRANGE, CONCENTRATION)
        self._sessions = Sessions(self.rng, runs, self._bank, spanning=kind == "spanning")

    def begin(self, rise: float) -> None:
        """Let a share ``rise`` of what starts from now on be strange: prompts in the iid world, whole sessions in the others."""
        self._independent = Independent(self.rng, self.runs, flagged(rise))
        if self.kind != "iid":
            self._sessions.change(Bank.make(self.rng, STRANGE, CONCENTRATION, strange=rise) if rise else self._bank)

    def draw(self, windows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """n and x of the next windows."""
        return self._independent.draw(windows) if self.kind == "iid" else self._sessions.draw(windows)


def known_effect(kind: str, seed: int) -> float:
    """Design effect of clean traffic, from 20 streams of 60 days; 1 where prompts are independent."""
    if kind == "iid":
        return 1.0
    rng = np.random.default_rng(seed)
    streams = blocks(Sessions(rng, 20, Bank.make(rng, STRANGE, CONCENTRATION), spanning=kind == "spanning"), 60)
    days = [np.asarray(stream.day) + 1000 * i for i, stream in enumerate(streams)]
    estimate = dispersion(Blocks(np.concatenate(days), np.concatenate([s.n for s in streams]), np.concatenate([s.x for s in streams])))
    assert estimate is not None
    return estimate[0]


def delays(kind: str, null: float, effect: float, rise: float, runs: int, seed: int) -> NDArray[np.float64]:
    """Windows from the change to the first page in each run, inf beyond the horizon."""
    traffic = Traffic(kind, runs, seed)
    detector = FlagRate.fit(
        null=np.full(runs, null), design_effect=np.full(runs, effect), ticket_rate=np.zeros(runs), page_rate=np.full(runs, 1 / THRESHOLD)
    )
    traffic.begin(0.0)
    for n, x in zip(*traffic.draw(CLEAN_WINDOWS), strict=True):
        detector.update(Windows(n=n, x=x))
    traffic.begin(rise)
    waited = np.full(runs, np.inf)
    for start in range(0, HORIZON, 50):
        for step, (n, x) in enumerate(zip(*traffic.draw(50), strict=True), start + 1):
            crossed = detector.update(Windows(n=n, x=x)).page
            waited[crossed & np.isinf(waited)] = step
        if np.isfinite(waited).all():
            break
    return waited


def oracle_threshold(rise: float) -> float:
    """Threshold h of the binomial CUSUM whose mean time between false pages is A: Markov chain of Brook and Evans, 1972."""
    slope, offset = oracle_step(rise)
    x = np.arange(PROMPTS + 1)
    law = binom.pmf(x, PROMPTS, STRANGE)
    low, high = 2.0, 16.0
    for _ in range(14):
        h = (low + high) / 2
        width = h / ORACLE_STATES
        after = np.maximum((np.arange(ORACLE_STATES)[:, None] + 0.5) * width + slope * x + offset * PROMPTS, 0.0)
        state = (after / width).astype(np.int64)
        chain = np.zeros((ORACLE_STATES, ORACLE_STATES + 1))
        np.add.at(chain, (np.arange(ORACLE_STATES)[:, None], np.minimum(state, ORACLE_STATES)), np.broadcast_to(law, state.shape))
        arl = np.linalg.solve(np.eye(ORACLE_STATES) - chain[:, :-1], np.ones(ORACLE_STATES))[0]
        low, high = (h, high) if arl < THRESHOLD else (low, h)
    return high


def oracle_step(rise: float) -> tuple[float, float]:
    """log likelihood ratio of a window as slope x + offset n, with the clean and the changed share known."""
    offset = float(np.log((1 - flagged(rise)) / (1 - STRANGE)))
    return float(np.log(flagged(rise) / STRANGE)) - offset, offset


def session_threshold(kind: str, rise: float, effect: float, seed: int) -> float:
    """The same for the CUSUM tempered by the known design effect, from its excursions in 200 clean streams of 60 days."""
    traffic, streams, windows = Traffic(kind, 200, seed), 200, 60 * DAY
    traffic.begin(0.0)
    slope, offset = oracle_step(rise)
    wanted = round(streams * windows / THRESHOLD)
    level, peak, highest = np.zeros(streams), np.zeros(streams), np.zeros(0)
    for _ in range(windows // 240):
        ended = [highest]
        for n, x in zip(*traffic.draw(240), strict=True):
            level = np.maximum(level + (slope * x + offset * n) / effect, 0.0)
            over = (level == 0) & (peak > 0)
            ended.append(peak[over])
            peak = np.where(level == 0, 0.0, np.maximum(peak, level))
        highest = np.sort(np.concatenate(ended))[-wanted:]
    return float(highest[0])


def oracle_delays(kind: str, effect: float, threshold: float, rise: float, runs: int, seed: int) -> NDArray[np.float64]:
    """Windows from the change to the oracle's page."""
    traffic, level, waited = Traffic(kind, runs, seed), np.zeros(runs), np.full(runs, np.inf)
    slope, offset = oracle_step(rise)
    traffic.begin(0.0)
    before = traffic.draw(CLEAN_WINDOWS)
    traffic.begin(rise)
    after = traffic.draw(HORIZON // 5)
    for step, (n, x) in enumerate(zip(*map(np.concatenate, zip(before, after, strict=True)), strict=True), 1 - CLEAN_WINDOWS):
        level = np.maximum(level + (slope * x + offset * n) / effect, 0.0)
        if step > 0:
            waited[(level >= threshold) & np.isinf(waited)] = step
    return waited


def main() -> int:
    """Print the table: median and 90% of runs, per world, calibration size and rise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print("| world | d | calibration rows | null | " + " | ".join(f"{rise:.0%}" for rise in RISES) + " | bar |")
    print("|---|---|---|---|" + "---|" * len(RISES) + "---|", flush=True)
    missed = False
    for kind in ("iid", "inside", "spanning"):
        effect = known_effect(kind, arguments.seed)
        for rows in (20_000, 2_000):
            null = Calibration.fit(np.arange(rows)).pac_bound(STRANGE, DELTA)
            found = [delays(kind, null, effect, rise, arguments.runs, arguments.seed) for rise in RISES]
            bar = BARS.get((kind, rows))
            kept = bar is None or all(np.median(waited) <= limit for waited, limit in zip(found, bar, strict=True))
            missed |= not kept
            told = "-" if bar is None else f"{'/'.join(map(str, bar))} {'kept' if kept else 'MISSED'}"
            print(f"| {kind} | {effect:.2f} | {rows} | {null:.4f} | " + " | ".join(map(_cell, found)) + f" | {told} |", flush=True)
        heights = [oracle_threshold(rise) if kind == "iid" else session_threshold(kind, rise, effect, arguments.seed + 1) for rise in RISES]
        found = [oracle_delays(kind, effect, h, rise, arguments.runs, arguments.seed) for h, rise in zip(heights, RISES, strict=True)]
        print(f"| {kind}, oracle CUSUM | {effect:.2f} | - | {STRANGE:.4f} | " + " | ".join(map(_cell, found)) + " | - |", flush=True)
    return int(missed)


def _cell(waited: NDArray[np.float64]) -> str:
    middle, late = np.sort(waited)[[waited.size // 2, int(0.9 * waited.size)]]
    return f"{middle:.0f}/{late:.0f}"


if __name__ == "__main__":
    sys.exit(main())
