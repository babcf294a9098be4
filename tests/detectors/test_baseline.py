"""Baselines: the design effect, the prediction bound and the stages."""

import numpy as np
import pytest
from scipy.stats import beta, t

from detectors.baseline import UNLEARNED_EFFECT, Blocks, RateBaseline, design_effect

BLOCKS_A_DAY = 6


def blocks(days, rng, *, rate=0.05, n=48_000, cv=0.0, concentration=None, rhythm=0.0):
    """Blocks of ``days`` days whose rates differ by ``cv``; within a block flags cluster with a Beta rate of ``concentration``."""
    day = np.repeat(np.arange(days), BLOCKS_A_DAY)
    daily = np.repeat(rate * np.exp(cv * rng.standard_normal(days)), BLOCKS_A_DAY)
    volume = (n * (1 + rhythm * np.sin(2 * np.pi * np.arange(day.size) / BLOCKS_A_DAY))).astype(np.int64)
    share = daily if concentration is None else rng.beta(daily * concentration, (1 - daily) * concentration)
    return Blocks(day, volume, rng.binomial(volume, share))


def median_effect(runs=40, **world):
    return np.median([design_effect(blocks(28, np.random.default_rng(seed), **world)) for seed in range(runs)])


def test_independent_prompts_have_an_effect_near_one():
    assert 1.0 <= median_effect() <= 1.35
    assert 1.0 <= median_effect(rhythm=0.8) <= 1.35


def test_day_to_day_variation_is_not_an_effect():
    assert median_effect(cv=0.2) == pytest.approx(median_effect(), abs=0.15)


def test_clustering_is_an_effect():
    # Beta-binomial blocks: variance factor 1 + (n - 1) / (concentration + 1).
    true = 1 + 47_999 / 12_001
    found = [design_effect(blocks(28, np.random.default_rng(seed), concentration=12_000)) for seed in range(200)]
    assert true < np.median(found) < 1.35 * true
    assert np.mean(np.array(found) >= true) >= 0.84  # squares are skewed: the nominal 95% limit covers 87 to 91%


def test_effect_is_ten_until_it_can_be_learned():
    rng = np.random.default_rng(0)
    assert design_effect(blocks(13, rng)) == UNLEARNED_EFFECT
    assert design_effect(blocks(14, rng)) < 2
    nothing = blocks(20, rng)
    assert design_effect(Blocks(nothing.day, nothing.n, np.zeros_like(nothing.n))) == UNLEARNED_EFFECT
    once = Blocks(np.arange(20), np.full(20, 1_000), np.full(20, 50))
    assert design_effect(once) == UNLEARNED_EFFECT


def test_partial_days_do_not_count_as_days():
    rng = np.random.default_rng(0)
    whole = blocks(15, rng)
    cut = Blocks(whole.day[4:-4], whole.n[4:-4], whole.x[4:-4])
    assert RateBaseline.fit(cut, 0.01).days == 13
    silent = Blocks(whole.day, np.where(whole.day < 2, 0, whole.n), np.where(whole.day < 2, 0, whole.x))
    assert RateBaseline.fit(silent, 0.01).days == 13


@pytest.mark.parametrize(
    ("days", "stage", "may_page"), [(13, "short", False), (14, "paging", True), (27, "paging", True), (28, "full", True)]
)
def test_stages_follow_the_days(days, stage, may_page):
    baseline = RateBaseline.fit(blocks(days, np.random.default_rng(days)), 0.01)
    assert (baseline.stage, baseline.days, baseline.may_page) == (stage, days, may_page)


def test_a_short_baseline_assumes_days_that_differ():
    baseline = RateBaseline.fit(blocks(7, np.random.default_rng(0)), 0.01)
    assert baseline.day_cv == 0.15
    assert baseline.bound == pytest.approx(baseline.rate * (1 + 3.09 * 0.15 * np.sqrt(1 + 1 / 7)))


def test_days_that_differ_too_much_promise_nothing():
    baseline = RateBaseline.fit(blocks(28, np.random.default_rng(1), cv=0.4), 0.01)
    assert baseline.day_cv > 0.15
    assert (baseline.stage, baseline.may_page) == ("unpromised", False)


def test_bound_is_the_prediction_bound_or_clopper_pearson():
    varied = RateBaseline.fit(blocks(28, np.random.default_rng(2), cv=0.1), 0.01)
    assert 0.05 < varied.day_cv < 0.15
    assert varied.bound == pytest.approx(varied.rate * (1 + t.ppf(0.999, 27) * varied.day_cv * np.sqrt(1 + 1 / 28)))
    few = blocks(28, np.random.default_rng(3), n=30)
    small = RateBaseline.fit(few, 0.01)
    x, n = few.x.sum() / small.design_effect, few.n.sum() / small.design_effect
    assert small.bound >= beta.ppf(0.99, x + 1, n - x) - 1e-12


def test_price_of_the_bound_is_the_published_one():
    ratio = [
        np.median([(b := RateBaseline.fit(blocks(28, np.random.default_rng(s), cv=cv), 0.01)).bound / b.rate for s in range(40)])
        for cv in (0.05, 0.1)
    ]
    assert ratio == pytest.approx([1.19, 1.36], abs=0.05)


def test_day_variation_is_net_of_noise():
    found = [RateBaseline.fit(blocks(28, np.random.default_rng(s), cv=0.1, n=4_000, concentration=3_000), 0.01).day_cv for s in range(60)]
    assert np.median(found) == pytest.approx(0.1, abs=0.025)


def test_a_stream_that_never_flags_gets_a_small_bound():
    day = np.repeat(np.arange(20), 6)
    baseline = RateBaseline.fit(Blocks(day, np.full(120, 1_000), np.zeros(120, np.int64)), 0.01)
    assert baseline.rate == 0
    assert baseline.bound == pytest.approx(1 - 0.01 ** (1 / 12_000), rel=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.01, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("days", [1, 13, 20])
def test_prompts_needed_are_those_from_which_on_sampling_error_does_not_decide(rate, days):
    """A bound of blocks with as many prompts lies at most five points, or the allowance for days, above the rate; with half as many not."""
    learned = RateBaseline(rate, 0.0, 10.0, days, 0.15, "short")
    needed = learned.prompts_needed(0.005)
    quantile = 3.09 if days < 14 else t.ppf(0.999, days - 1)
    allowed = max(rate + 0.05, rate * (1 + quantile * 0.15 * np.sqrt(1 + 1 / days)))

    def upper(n):
        return beta.ppf(0.995, rate * n / 10 + 1, (1 - rate) * n / 10)

    assert upper(needed) <= allowed < upper(needed - 1)
    assert needed < 3_000, "the 2,000 prompts of a first contact are nearly enough for any rate"


def test_a_rate_of_everything_needs_no_prompts():
    assert RateBaseline(1.0, 1.0, 10.0, 1, 0.15, "short").prompts_needed(0.005) == 1


def test_unusable_blocks_are_refused():
    zero = np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="hold none"):
        RateBaseline.fit(Blocks(zero, zero, zero), 0.01)
    with pytest.raises(ValueError, match="delta"):
        RateBaseline.fit(blocks(14, np.random.default_rng(0)), 0.0)
    with pytest.raises(ValueError, match="between 0"):
        Blocks(zero, zero, zero + 1)
    with pytest.raises(ValueError, match="one length"):
        Blocks(zero, zero, zero[:2])
