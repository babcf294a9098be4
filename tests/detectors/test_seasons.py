"""A fixed part of benchmarks/seasons.py: delays with learned baselines, and two worlds, one covered by the bound and one not."""

import numpy as np
import pytest

from benchmarks.seasons import BARS, BEYOND, NULLS, RISES, delays, learned, simulate


@pytest.mark.parametrize(("name", "weight"), [("one rate, one stream", 1.0), ("hour of week, five streams", 0.2)])
def test_delays_with_a_learned_baseline_stay_within_their_bars(name, weight):
    bound, effect = learned(np.random.default_rng(1), 200, each_hour=name.startswith("hour"))
    for rise, bar in zip(RISES[1:], BARS[name][1:], strict=True):
        assert np.median(delays(bound, effect, weight, rise, seed=2)) <= bar


def test_a_rhythm_with_days_that_differ_pages_nobody():
    out = simulate(NULLS["rhythm, days 5%"], runs=2, seed=1, days=5)
    assert out.by_hour.all()
    assert out.kept.all()
    assert out.paged.sum() == 0


def test_weeks_that_differ_are_demoted():
    out = simulate(BEYOND["weeks 20%"], runs=2, seed=1, days=1)
    assert not out.kept.any()
