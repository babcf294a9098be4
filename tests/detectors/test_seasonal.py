"""A baseline by hour of week: what it learns, what it promises, and when it keeps one rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, t

from detectors.baseline import Blocks, RateBaseline
from detectors.seasonal import WEEK_HOURS, Hours, SeasonalBaseline, block_hours, fit_each_hour

DELTA = 0.01


def traffic(days, rng, *, n=12_000, rate=0.05, daily=0.0, weekly=0.0, cv=0.0, effect=1.0):
    """Hours of ``days`` days with a rhythm, day effects, and flags that come in clusters worth ``effect``; and the true share of each."""
    clock = np.arange(24 * days)
    day, hour = clock // 24, clock % WEEK_HOURS
    rhythm = (1 + daily * np.sin(2 * np.pi * clock / 24)) * (1 + weekly * np.sin(2 * np.pi * clock / WEEK_HOURS))
    share = rate * rhythm * np.repeat(np.exp(cv * rng.standard_normal(days)), 24)
    volume = rng.poisson(n, clock.size)
    if effect > 1:
        strength = n / (effect - 1)
        share = rng.beta(share * strength, (1 - share) * strength)
    return Hours(day, hour, volume, rng.binomial(volume, share)), rate * rhythm[:WEEK_HOURS]


def fits(runs=12, days=28, **world):
    return [SeasonalBaseline.fit(traffic(days, np.random.default_rng(seed), **world)[0], DELTA) for seed in range(runs)]


def test_a_rhythm_is_learned_and_leaves_the_design_effect_alone():
    hours, true = traffic(28, np.random.default_rng(0), daily=0.4, weekly=0.4)
    learned = SeasonalBaseline.fit(hours, DELTA)
    assert learned.by_hour
    assert learned.share == pytest.approx(true, rel=0.1)
    assert (learned.bound > true).all()
    assert learned.stage == "full"
    assert np.median([b.design_effect for b in fits(daily=0.4, weekly=0.4)]) < 1.35
    assert RateBaseline.fit(day_blocks(hours), DELTA).design_effect > 100


def day_blocks(hours):
    return Blocks(
        *(np.add.reduceat(a, np.arange(0, a.size, 4)) // (4 if i == 0 else 1) for i, a in enumerate((hours.day, hours.n, hours.x)))
    )


def test_clusters_are_an_effect_and_fitting_a_rhythm_does_not_hide_them():
    # Hours that cluster with variance factor 6: one estimate for 28 days, and for 14, where each hour of the week was seen twice.
    for days in (28, 14):
        found = [b.design_effect for b in fits(runs=20, days=days, daily=0.4, weekly=0.4, effect=6)]
        assert 6 <= np.median(found) <= 9


@pytest.mark.parametrize("cv", [0.05, 0.1])
def test_days_that_differ_are_seen_net_of_noise_and_of_the_weekday(cv):
    found = [b.day_cv for b in fits(runs=30, cv=cv, daily=0.4, weekly=0.4)]
    assert np.median(found) == pytest.approx(cv, rel=0.2)


def test_the_bound_is_the_published_one():
    learned = next(b for b in fits(runs=1, cv=0.1, daily=0.4, weekly=0.4))
    predicted = learned.share * (1 + t.ppf(0.999, 21) * learned.day_cv * np.sqrt(1 + 7 / 28))
    assert learned.bound == pytest.approx(predicted)
    hours, _ = traffic(28, np.random.default_rng(1), n=600, daily=0.4, weekly=0.4)
    few = fit_each_hour(hours, DELTA)
    n, x = (np.bincount(hours.hour, weights=a, minlength=WEEK_HOURS) for a in (hours.n, hours.x))
    assert (few.bound >= beta.ppf(1 - DELTA / WEEK_HOURS, x + 1, n - x) - 1e-9).all()


def test_price_of_the_bound_is_the_published_one():
    price = [np.median([(b.bound / b.share).mean() for b in fits(cv=cv, daily=0.4, weekly=0.4)]) for cv in (0.0, 0.05, 0.1)]
    assert price == pytest.approx([1.08, 1.19, 1.39], abs=0.05)


def test_hours_that_hold_little_are_drawn_towards_their_hour_of_the_day():
    hours, true = traffic(28, np.random.default_rng(2), n=300, daily=0.4)
    n, x = (np.bincount(hours.hour, weights=a, minlength=WEEK_HOURS) for a in (hours.n, hours.x))
    drawn = fit_each_hour(hours, DELTA).share
    assert np.sqrt(((drawn - true) ** 2).mean()) < 0.6 * np.sqrt(((x / n - true) ** 2).mean())


@pytest.mark.parametrize("world", [{}, {"n": 60}, {"n": 60, "daily": 0.4}, {"effect": 6}])
def test_one_rate_is_kept_where_hours_do_not_pay(world):
    for learned in fits(runs=4, **world):
        assert not learned.by_hour
        assert np.unique(learned.bound).size == 1
        assert learned.may_page


def test_one_rate_is_that_of_the_one_rate_form():
    hours, _ = traffic(20, np.random.default_rng(3))
    learned, one = SeasonalBaseline.fit(hours, DELTA), RateBaseline.fit(day_blocks(hours), DELTA)
    assert (learned.rate, learned.bound[0], learned.design_effect) == (one.rate, one.bound, one.design_effect)
    assert (learned.days, learned.day_cv, learned.stage) == (one.days, one.day_cv, one.stage)


@pytest.mark.parametrize(
    ("days", "stage", "by_hour"), [(13, "short", False), (14, "paging", True), (27, "paging", True), (28, "full", True)]
)
def test_stages_follow_the_days(days, stage, by_hour):
    learned = SeasonalBaseline.fit(traffic(days, np.random.default_rng(4), daily=0.4)[0], DELTA)
    assert (learned.days, learned.stage, learned.by_hour) == (days, stage, by_hour)
    assert learned.may_page == (days >= 14)


def test_days_that_differ_too_much_promise_nothing():
    learned = fits(runs=1, cv=0.4, daily=0.4)[0]
    assert (learned.stage, learned.may_page) == ("unpromised", False)


def test_days_of_23_and_25_hours_are_days():
    hours, _ = traffic(28, np.random.default_rng(5), daily=0.4)
    skipped = (hours.day == 10) & (hours.hour % 24 == 2)
    repeated = (hours.day == 17) & (hours.hour % 24 == 2)
    changed = Hours(*(np.concatenate([a[~skipped], a[repeated]]) for a in (hours.day, hours.hour, hours.n, hours.x)))
    learned, usual = SeasonalBaseline.fit(changed, DELTA), SeasonalBaseline.fit(hours, DELTA)
    assert learned.days == 28
    assert learned.bound == pytest.approx(usual.bound, rel=0.1)


def test_an_hour_that_never_held_a_prompt_has_a_rate_but_no_bound():
    hours, _ = traffic(28, np.random.default_rng(6), daily=0.4)
    open_ = hours.hour % 24 >= 6
    learned = SeasonalBaseline.fit(Hours(*(a[open_] for a in (hours.day, hours.hour, hours.n, hours.x))), DELTA)
    night = np.arange(WEEK_HOURS) % 24 < 6
    assert learned.by_hour
    assert (learned.bound[night] == 1).all()
    assert (learned.bound[~night] < 0.1).all()
    assert np.isfinite(learned.share).all()


def test_blocks_are_as_long_as_240_windows():
    assert [block_hours(seconds) for seconds in (1, 10, 60, 120, 900)] == [1, 1, 4, 8, 12]


ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, WEEK_HOURS - 1), st.integers(1, 500), st.floats(0, 1)), min_size=1, max_size=120
)


def table(rows):
    day, hour, n, share = (np.array(column) for column in zip(*rows, strict=True))
    n = n.astype(np.int64)
    return Hours(day.astype(np.int64), hour.astype(np.int64), n, np.floor(share * n).astype(np.int64))


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a.__slots__)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_splits_change_nothing(rows, random):
    hours = table(rows)
    expected = SeasonalBaseline.fit(hours, DELTA)
    order = np.array(random.sample(range(len(rows)), len(rows)))
    shuffled = Hours(hours.day[order], hours.hour[order], hours.n[order], hours.x[order])
    assert same(SeasonalBaseline.fit(shuffled, DELTA), expected)
    i = random.randrange(len(rows))
    x = random.randint(0, int(hours.x[i]))
    clean = random.randint(0, int(hours.n[i] - hours.x[i]))
    n_left, x_left = hours.n.copy(), hours.x.copy()
    n_left[i], x_left[i] = x + clean, x
    rest = (hours.day[i], hours.hour[i], hours.n[i] - n_left[i], hours.x[i] - x)
    split = Hours(*(np.append(a, b) for a, b in zip((hours.day, hours.hour, n_left, x_left), rest, strict=True)))
    assert same(SeasonalBaseline.fit(split, DELTA), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 40), st.sampled_from([1, 3, 20, 400, 50_000]), st.sampled_from([0.0, 0.001, 0.05, 0.9, 1.0]), st.integers(0, 99))
def test_any_amount_of_data_gives_numbers_in_range(days, n, rate, seed):
    rng = np.random.default_rng(seed)
    clock = np.flatnonzero(rng.random(24 * days) < rng.random())
    volume = rng.poisson(n, clock.size)
    if not volume.sum():
        return
    hours = Hours(clock // 24, clock % WEEK_HOURS, volume, rng.binomial(volume, rate))
    candidates = [SeasonalBaseline.fit(hours, DELTA, least_days=8)]
    candidates.append(fit_each_hour(hours, DELTA, least_days=8) if candidates[0].days >= 8 else candidates[0])
    for learned in candidates:
        assert ((learned.share >= 0) & (learned.share <= 1)).all()
        assert ((learned.bound > 0) & (learned.bound <= 1)).all()
        assert (learned.bound >= learned.share - 1e-12).all()
        assert np.isfinite([learned.rate, learned.design_effect, learned.day_cv]).all()
        assert learned.design_effect >= 1


def test_unusable_hours_are_refused():
    zero = np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="hold none"):
        SeasonalBaseline.fit(Hours(zero, zero, zero, zero), DELTA)
    with pytest.raises(ValueError, match="between 0"):
        Hours(zero, zero, zero, zero + 1)
    with pytest.raises(ValueError, match="one length"):
        Hours(zero, zero[:2], zero, zero)
    with pytest.raises(ValueError, match=r"0\.\.167"):
        Hours(zero, zero + 168, zero, zero)
    with pytest.raises(ValueError, match="block"):
        SeasonalBaseline.fit(Hours(zero, zero, zero + 1, zero), DELTA, block=0)
