"""The promise replayed on the windows a baseline was learned from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.worlds import Bank, Sessions
from detectors import promise
from detectors.likelihood import RISE
from detectors.promise import BUDGETS, check_promise
from detectors.seasonal import WEEK_HOURS, Hours, SeasonalBaseline

DELTA, BUDGET = 0.01, 129_600
EVERY = 4
"""Windows an hour, fewer than in production so that a replay takes a tenth of a second."""


def clock(days, every=EVERY):
    hours = np.arange(24 * days * every) // every
    return hours // 24, hours % WEEK_HOURS


def check(x, days, *, n=200, every=EVERY, **settings):
    day, hour = clock(days, every)
    n = np.broadcast_to(np.asarray(n), x.shape).astype(np.int64)
    return check_promise(n, x, day, hour, delta=DELTA, budget=BUDGET, **settings)


def drawn(days, seed, share=0.05):
    return np.random.default_rng(seed).binomial(200, share, 24 * days * EVERY)


@pytest.mark.parametrize("days", [14, 17, 28, 60])
def test_independent_prompts_are_consistent_with_the_promise(days):
    for seed in range(3):
        found = check(drawn(days, seed), days)
        assert found.kept
        assert found.smallest_budget is None
        assert "consistent with the promise" in found.reason
        assert (found.crossings <= found.limit).all()
        assert found.expected == pytest.approx(96 * days / BUDGETS)


def test_sessions_over_windows_are_consistent_with_the_promise_that_knows_them():
    world = Sessions(np.random.default_rng(1), 1, Bank.make(np.random.default_rng(0), 0.05, 2.0, size=1 << 16), spanning=True)
    n, x = (a[:, 0] for a in world.draw(14 * 1440))
    found = check(x, 14, n=n, every=60)
    assert found.kept
    assert found.slope > 1


def test_one_week_unlike_the_others_is_not_what_the_others_promise():
    x = drawn(28, 0, np.repeat([0.05, 0.05, 0.064, 0.05], 7 * 24 * EVERY))
    found = check(x, 28)
    day, hour = clock(28)
    assert SeasonalBaseline.fit(Hours(day, hour, np.full(x.size, 200), x), DELTA).may_page
    assert not found.kept
    assert "wanders" in found.reason
    assert found.crossings[-1] > found.limit[-1]


def test_a_burst_that_is_too_long_for_the_design_effect_shows_in_the_crossings():
    # Two days of one week, apart: neither their correlation nor the deviation of days refuses them.
    share = np.full(28, 0.05)
    share[[15, 18]] = 0.075
    found = check(drawn(28, 0, np.repeat(share, 24 * EVERY)), 28)
    assert not found.kept
    assert "crossings" in found.reason
    assert found.smallest_budget is None or f"{found.smallest_budget:.0f} windows would hold" in found.reason


def test_days_that_differ_by_chance_do_not_wander():
    kept = []
    for seed in range(12):
        share = 0.05 * np.exp(0.08 * np.random.default_rng(seed).standard_normal(28))
        kept.append(check(drawn(28, seed, np.repeat(share, 24 * EVERY)), 28).kept)
    assert np.mean(kept) >= 0.9


def test_minimum_effect_is_part_of_what_is_in_force():
    x = drawn(28, 0, np.repeat([0.05, 0.05, 0.064, 0.05], 7 * 24 * EVERY))
    assert check(x, 28, min_effect=0.02).crossings.sum() < check(x, 28).crossings.sum() / 10


def test_counts_are_those_of_a_replay_step_by_step():
    days, rng = 28, np.random.default_rng(3)
    day, hour = clock(days)
    n = rng.poisson(30, day.size) * (rng.random(day.size) < 0.9)
    x = rng.binomial(n, 0.1 * (1 + 0.5 * np.sin(2 * np.pi * hour / 24)))
    found = check_promise(n, x, day, hour, delta=DELTA, budget=BUDGET, min_effect=0.001)
    counts = np.zeros(4, np.int64)
    for first in range(0, days, 7):
        left = (day >= first) & (day < first + 7)
        learned = SeasonalBaseline.fit(Hours(day[~left], hour[~left], n[~left], x[~left]), DELTA)
        for level, budget in enumerate(BUDGETS):
            evidence = np.zeros(RISE.size)
            for w in np.flatnonzero(left & (n > 0)):
                null = learned.bound[hour[w]] + 0.001
                q = null + (1 - null) * RISE
                log_ratio = (x[w] * np.log(q / null) + (n[w] - x[w]) * np.log((1 - q) / (1 - null))) / learned.design_effect
                evidence = (evidence + 1 / budget) * np.minimum(np.exp(log_ratio), budget ** (1 / 3))
                if evidence.mean() >= 1:
                    counts[level] += 1
                    evidence[:] = 0
    assert found.crossings.tolist() == counts.tolist()
    assert counts[0] > 5
    assert found.windows == (n > 0).sum()


def test_what_cannot_be_checked_is_not_promised():
    short = check(drawn(13, 0), 13)
    assert not short.kept
    assert "13 whole days" in short.reason
    share = np.repeat(np.random.default_rng(0).choice([0.03, 0.07], 28), 24 * EVERY)
    varied = check(drawn(28, 0, share), 28)
    assert not varied.kept
    assert "days differ" in varied.reason


@pytest.mark.parametrize("power", [0.5, 1.2, 2.0])
def test_slope_is_the_power_and_the_budget_is_where_the_promise_is_met(power):
    counts = np.round(4e5 * (BUDGETS / 30.0) ** -power).astype(np.int64)
    slope, level = promise._slope(counts)
    assert slope == pytest.approx(power, abs=0.01)
    windows = 30 * 100_000
    held = promise._holding(slope, level, windows)
    if power < 1:
        assert held is None, "four times too many at the smallest budget, and worse at every other"
    else:
        assert level * held**-slope == pytest.approx(windows / held)


def test_a_single_event_is_no_slope():
    found = promise._verdict(np.array([2, 1, 1, 1]), 40_320, BUDGET, None)
    assert found.kept
    assert found.slope < 0.9
    slow = promise._verdict(np.array([60, 50, 40, 30]), 40_320, BUDGET, None)
    assert not slow.kept
    assert 30 < slow.smallest_budget < BUDGET
    assert "power 0.19" in slow.reason


def test_windows_out_of_order_and_senseless_budgets_are_refused():
    day, hour = clock(14)
    x = drawn(14, 0)
    n = np.full(x.size, 200)
    with pytest.raises(ValueError, match="order"):
        check_promise(n, x, day[::-1].copy(), hour, delta=DELTA, budget=BUDGET)
    with pytest.raises(ValueError, match="budget"):
        check_promise(n, x, day, hour, delta=DELTA, budget=1)
    with pytest.raises(ValueError, match="hold none"):
        check_promise(0 * n, 0 * x, day, hour, delta=DELTA, budget=BUDGET)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 40), st.sampled_from([0.3, 3, 300]), st.sampled_from([0.0, 0.01, 0.3, 1.0]), st.integers(0, 99))
def test_any_windows_give_a_verdict_in_words(days, n, share, seed):
    rng = np.random.default_rng(seed)
    day, hour = clock(days + 1, every=1)
    kept = rng.random(day.size) < 0.8
    volume = rng.poisson(n, kept.sum())
    if not volume.sum():
        return
    found = check_promise(volume, rng.binomial(volume, share), day[kept], hour[kept], delta=DELTA, budget=BUDGET)
    assert found.reason
    assert found.kept == ("consistent" in found.reason)
    assert np.isfinite(found.expected).all()
    assert (found.crossings >= 0).all()
    assert found.smallest_budget is None or found.smallest_budget >= BUDGETS[0]
