"""A fixed part of the long simulations: false pages in three worlds, and delays. benchmarks/promise.py and delay.py run them whole."""

import numpy as np
import pytest

from benchmarks.delay import BARS, DELTA, RISES, delays, known_effect
from benchmarks.promise import BUDGET_DAYS, EARLY_BAR, MEAN_BAR, UPPER_BAR, WORLDS, make_world, simulate
from benchmarks.worlds import DAY
from detectors.calibration import STRANGE, Calibration
from detectors.contract import Windows
from detectors.flag_rate import FlagRate


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_false_pages_stay_within_the_budget(kind):
    result = simulate(kind, runs=25, windows=BUDGET_DAYS * DAY, seed=5)
    assert result.pages.mean() <= MEAN_BAR
    assert result.upper <= UPPER_BAR
    assert result.early.mean() <= EARLY_BAR


def test_without_a_design_effect_sessions_break_the_promise():
    # What makes the test above worth something: the same traffic, with d = 1, against a budget of one page in 9 days.
    world, streams = make_world("spanning", np.random.default_rng(5), 20, 0.054), np.ones(20)
    flags = FlagRate.fit(null=world.rate * streams, design_effect=streams, ticket_rate=0 * streams, page_rate=streams / (9 * DAY))
    pages = sum(flags.update(Windows(n=n, x=x)).page.sum() for _ in range(3 * DAY // 60) for n, x in zip(*world.draw(60), strict=True))
    assert pages / 20 > 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rows"), BARS)
def test_delays_stay_within_their_bars(kind, rows):
    effect = known_effect(kind, seed=7)
    null = Calibration.fit(np.arange(rows)).pac_bound(STRANGE, DELTA)
    medians = [np.median(delays(kind, null, effect, rise, runs=100, seed=7)) for rise in RISES]
    assert all(median <= bar for median, bar in zip(medians, BARS[kind, rows], strict=True)), medians
