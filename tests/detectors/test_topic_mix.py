"""The topic mix: bets that are e-values, a carrier with a name, and what its baseline learns. benchmarks/topic_mix.py runs it whole."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks.topic_mix import SWAPS, WORLDS, TopicTraffic, false_pages, learn, swaps
from detectors.topic_baseline import WEEK_HOURS, TopicBaseline
from detectors.topic_mix import FALL, RISE, TopicMix, mixture

SHARE = np.array([0.5, 0.3, 0.1, 0.08, 0.02])


def baseline(hours=1, wide=0.01, effect=1.0, share=SHARE):
    full = np.repeat(np.array(share)[None], hours, axis=0)
    return TopicBaseline(
        full, np.minimum(full + wide, 1), np.maximum(full - wide, 0), np.full(full.shape[1], effect), 28, np.zeros(full.shape[1]), "full"
    )


def detector(streams=1, base=None, ticket=1e-3, page=1e-6, **settings):
    full = np.ones(streams)
    return TopicMix.fit(base or baseline(), ticket_rate=ticket * full, page_rate=page * full, **settings)


def traffic(seed, windows=40, streams=4, empty=0.3):
    rng = np.random.default_rng(seed)
    n = rng.integers(0, 300, (windows, streams)) * (rng.random((windows, streams)) > empty)
    changed = rng.dirichlet(SHARE * 30)
    return rng.multinomial(n, changed), rng.integers(0, WEEK_HOURS, windows)


def play(mix, counts, hours):
    out = []
    for x, hour in zip(counts, hours, strict=True):
        said = mix.update(x, int(hour))
        carrier = [mix.carrier(level) for level in ("ticket", "page")]
        out.append([said.log10_ticket, said.log10_page, said.ticket, said.page, *(c.category for c in carrier), *(c.part for c in carrier)])
    return np.array(out, float).reshape(len(counts), 8, mix.upper.shape[0])


def rhythm(seed=0):
    rng = np.random.default_rng(seed)
    base = baseline(WEEK_HOURS, wide=0.0)
    upper = np.clip(base.share * rng.uniform(1, 2, base.share.shape), 0, 1)
    return replace(base, upper=upper, lower=base.share * rng.uniform(0, 1, base.share.shape))


@given(
    bound=st.floats(0.001, 0.9),
    n=st.integers(1, 400),
    effect=st.floats(1, 30),
    min_effect=st.sampled_from([0.0, 0.005]),
    inside=st.floats(0, 1),
)
def test_no_bet_gains_in_expectation_while_shares_stay_within_their_bounds(bound, n, effect, min_effect, inside):
    base = baseline(share=[bound, 1 - bound], wide=0.02 * min(bound, 1 - bound), effect=effect)
    low, high = base.lower[0] - min_effect, base.upper[0] + min_effect
    truth = np.clip(low + inside * (high - low), 0, 1)
    x = np.arange(n + 1)
    for category in (0, 1):
        counts = np.zeros((n + 1, 2), np.int64)
        counts[:, category], counts[:, 1 - category] = x, n - x
        mix = detector(n + 1, base, min_effect=min_effect)
        log_ratio, elapsed = mix.increments(counts, 0)
        assert (elapsed == 1).all()
        gains = np.exp(np.minimum(log_ratio, 700)) @ binom.pmf(x, n, truth[category])
        assert (gains.reshape(-1, 2)[:, category] <= 1 + 1e-9).all()


def test_no_evidence_before_data():
    mix = detector(3)
    assert (mix.carrier().category == -1).all()
    assert (mix.carrier().part == 0).all()
    assert (mix.snapshot()["evidence"] == 0).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 40), hours=st.sampled_from([1, WEEK_HOURS]))
def test_a_restart_changes_nothing(seed, cut, hours):
    counts, at = traffic(seed)
    base = rhythm(seed) if hours > 1 else baseline()
    straight, first = detector(4, base), detector(4, base)
    expected = play(straight, counts, at)
    before = play(first, counts[:cut], at[:cut])
    second = TopicMix.restore(first.snapshot())
    for level in ("ticket", "page"):
        np.testing.assert_array_equal(second.carrier(level).category, first.carrier(level).category)
    after = play(second, counts[cut:], at[cut:])
    np.testing.assert_array_equal(np.concatenate([before, after]), expected)
    for name, array in straight.snapshot().items():
        np.testing.assert_array_equal(second.snapshot()[name], array)
        assert array.dtype.kind in "biuf"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(4)))
def test_streams_do_not_know_of_each_other(seed, order):
    counts, at = traffic(seed)
    bases = [baseline(effect=1.0 + i, wide=0.01 * (i + 1)) for i in range(4)]
    expected = play(detector(4, bases), counts, at)
    moved = play(detector(4, [bases[i] for i in order]), counts[:, order], at)
    np.testing.assert_allclose(moved, expected[:, :, order], rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_empty_windows_change_nothing(seed):
    counts, at = traffic(seed, empty=0.0)
    mix, other = detector(4), detector(4)
    nothing = np.zeros_like(counts[0])
    for x, hour in zip(counts, at, strict=True):
        mix.update(x, int(hour))
        other.update(x, int(hour))
        before = mix.snapshot()
        said = mix.update(nothing, int(hour))
        assert not (said.ticket | said.page).any()
        for name, array in mix.snapshot().items():
            np.testing.assert_array_equal(array, before[name])
    for name, array in other.snapshot().items():
        np.testing.assert_array_equal(mix.snapshot()[name], array)


@pytest.mark.parametrize("category", range(5))
def test_huge_windows_stay_finite(category):
    mix = detector(2, [baseline(), replace(baseline(), upper=np.ones((1, 5)), lower=np.zeros((1, 5)))])
    counts = np.zeros((2, 5), np.int64)
    counts[:, category] = 10**9
    out = play(mix, [counts] * 30, [0] * 30)
    assert np.isfinite(out).all()
    assert np.isfinite(mix.snapshot()["evidence"]).all()
    assert (out[:, 3, 0] > 0).sum() >= 5
    assert (out[:, :4, 1] == 0).all()  # bounds that say nothing: no bet, and no evidence from waiting


def test_the_category_that_carries_the_evidence_is_named_at_the_crossing_and_before():
    rng = np.random.default_rng(1)
    risen, fallen = SHARE * 0.85, SHARE.copy()
    risen[3] += 0.15
    fallen[2] = 0.0
    fallen /= fallen.sum()
    mix, named = detector(2), []
    for _ in range(30):
        said = mix.update(np.stack([rng.multinomial(200, risen), rng.multinomial(200, fallen)]), 0)
        carrier = mix.carrier()
        for stream in np.flatnonzero(said.page):
            named.append((int(stream), int(carrier.category[stream]), bool(carrier.rising[stream])))
            assert carrier.part[stream] > 0.5
    assert set(named) == {(0, 3, True), (1, 2, False)}
    mix.update(np.zeros((2, 5), np.int64), 0)
    assert (mix.carrier().category >= 0).all()


def test_one_window_cannot_page_alone():
    mix = detector(page=1e-6, ticket=0.0)
    counts = np.array([[0, 0, 0, 0, 100_000]])
    crossed = [bool(mix.update(counts, 0).page[0]) for _ in range(6)]
    assert not any(crossed[:3])
    assert any(crossed)


def test_a_fall_is_bet_on_only_where_chance_leaves_room():
    base = baseline(share=[0.98, 0.016, 0.004], wide=0.002)
    log_ratio, _ = detector(base=base).increments(np.array([[200, 0, 0]]), 0)
    falls = log_ratio.reshape(RISE.size + FALL.size, 3)[RISE.size :]
    assert np.isfinite(falls[:, :2]).all()
    assert (falls[:, 1] > 0).all()
    assert np.isneginf(falls[:, 2]).all()


def test_an_hour_that_was_never_seen_neither_bets_nor_forgets():
    base = rhythm()
    dark = replace(base, upper=base.upper.copy(), lower=base.lower.copy())
    dark.upper[5], dark.lower[5] = 1.0, 0.0
    mix = detector(base=dark, ticket=0.0, page=1e-9)
    counts = np.array([[60, 60, 20, 10, 50]])
    first = mix.update(counts, 4).log10_page[0]
    assert first > 1
    assert mix.update(counts, 5).log10_page[0] == pytest.approx(first, abs=0.01)  # one window more in which to have begun
    assert mix.update(counts, 6).log10_page[0] > first + 1


def test_reset_puts_a_baseline_in_force_in_the_named_streams_only():
    mix, other = detector(3), detector(3)
    counts = np.tile(np.array([60, 60, 20, 10, 50]), (3, 1))
    mix.update(counts, 0)
    other.update(counts, 0)
    mix.reset(np.array([False, True, False]), baseline=rhythm(), page_rate=np.full(3, 1e-3))
    state = mix.snapshot()
    assert (state["evidence"][1] == 0).all()
    np.testing.assert_array_equal(state["evidence"][[0, 2]], other.snapshot()["evidence"][[0, 2]])
    np.testing.assert_array_equal(state["upper"][1], rhythm().upper)
    assert state["rates"][:, 1].tolist() == [1e-6, 1e-3, 1e-6]
    said, kept = mix.update(counts, 3), other.update(counts, 3)
    np.testing.assert_array_equal(said.log10_page[[0, 2]], kept.log10_page[[0, 2]])
    mix.reset(np.ones(3, bool), baseline=baseline())
    assert mix.snapshot()["upper"].shape == (3, 1, 5)


def test_a_refused_reset_changes_nothing():
    mix = detector(2)
    mix.update(traffic(1, 1, 2, 0.0)[0][0], 0)
    before = mix.snapshot()
    with pytest.raises(ValueError, match="categories"):
        mix.reset(np.ones(2, bool), baseline=baseline(share=[0.4, 0.6]))
    with pytest.raises(ValueError, match="streams"):
        mix.reset(np.array([1, 0]))
    with pytest.raises(ValueError, match="page_rate"):
        mix.reset(np.ones(2, bool), baseline=rhythm(), page_rate=np.ones(2))
    for name, array in mix.snapshot().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("counts", "hour", "message"),
    [([[1, 2, 3]], 0, "counts"), ([[1, 1, 1, 1, -1]], 0, "negative"), ([[1] * 5], 168, "hour"), ([[1] * 5], -1, "hour")],
)
def test_impossible_windows_are_refused(counts, hour, message):
    mix = detector()
    with pytest.raises(ValueError, match=message):
        mix.update(np.array(counts), hour)
    assert (mix.snapshot()["evidence"] == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"upper": np.full((1, 5), 1.1)}, "bounds"),
        ({"lower": np.full((1, 5), 0.9)}, "bounds"),
        ({"upper": np.full((1, 5), np.nan)}, "bounds"),
        ({"design_effect": np.full(5, 0.5)}, "design_effect"),
        ({"design_effect": np.ones(4)}, "design_effect"),
    ],
)
def test_impossible_baselines_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        detector(base=replace(baseline(), **change))


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match="version 99"):
        TopicMix.restore(detector().snapshot() | {"version": np.array([99])})


def test_the_mixture_sums_to_one():
    assert mixture(101).shape == (101 * (RISE.size + FALL.size),)
    assert mixture(101).sum() == pytest.approx(1)


def test_an_update_of_101_categories_takes_well_under_five_milliseconds():
    share = np.full(101, 1 / 101)
    mix, rng = detector(base=baseline(WEEK_HOURS, 0.001, share=share)), np.random.default_rng(0)
    spent = []
    for window in range(200):
        counts = rng.multinomial(200, share)[None]
        begun = time.perf_counter()
        mix.update(counts, window % WEEK_HOURS)
        spent.append(time.perf_counter() - begun)
    assert np.median(spent) < 5e-3


# The baseline.


def rows(kind="iid", days=28, runs=1, seed=3):
    world, hours = TopicTraffic(WORLDS[kind], runs, seed), np.arange(days * 24)
    return np.array([world.draw(60).sum(axis=0) for _ in hours])[:, 0], hours // 24, hours % WEEK_HOURS


@pytest.mark.parametrize(("days", "stage"), [(5, "short"), (13, "short"), (14, "paging"), (27, "paging"), (28, "full")])
def test_stages(days, stage):
    base = TopicBaseline.fit(*rows(days=days), 0.01, seasonal=False)
    assert (base.days, base.stage, base.may_page) == (days, stage, stage != "short")
    if stage == "short":
        assert (base.design_effect == 10).all()
        assert (base.day_cv == 0.15).all()


@pytest.mark.parametrize(("kind", "low", "high"), [("iid", 1.0, 1.3), ("inside", 15.0, 24.0), ("spanning", 14.0, 22.0)])
def test_the_design_effect_is_that_of_the_sessions(kind, low, high):
    # Sessions of 10 to 20 prompts on one topic: E[L^2] / E[L] = 15.7; the upper limit lies above. Spanning blocks cut some in two.
    counts = rows(kind)
    for seasonal in (False, True):
        effect = TopicBaseline.fit(*counts, 0.01, seasonal=seasonal).design_effect
        assert low <= effect.min() <= np.median(effect) <= effect.max() <= high


def test_a_topic_of_long_sessions_gets_a_design_effect_of_its_own():
    rng, hours = np.random.default_rng(2), np.arange(28 * 24)
    long = np.array([True] + [False] * 19)
    counts = rng.poisson(np.where(long, 12, 600), (hours.size, 20)) * np.where(long, 50, 1)
    effect = TopicBaseline.fit(counts, hours // 24, hours % 168, 0.01, seasonal=False).design_effect
    assert effect[0] > 40
    # The rest keeps the pooled limit, which the one topic lifts: never below what the categories say together.
    assert (effect[1:] < effect[0]).all()


def test_days_that_differ_widen_the_bounds_and_too_much_of_it_forbids_pages():
    calm = TopicBaseline.fit(*rows("iid"), 0.01, seasonal=False)
    counts, day, hour = rows("days 10%")
    lively = TopicBaseline.fit(counts, day, hour, 0.01, seasonal=False)
    assert (calm.day_cv < 0.02).all()
    assert np.median(lively.day_cv) == pytest.approx(0.10, abs=0.02)
    assert np.median(lively.upper / lively.share) > 1.4 > 1.1 > np.median(calm.upper / calm.share)
    assert (lively.design_effect < 2).all()
    wild = (counts * np.exp(0.5 * np.random.default_rng(0).standard_normal((28, 101)))[day]).astype(np.int64)
    assert TopicBaseline.fit(wild, day, hour, 0.01, seasonal=False).stage == "unpromised"


def test_rhythm_goes_into_the_hours_and_not_into_the_design_effect():
    counts, day, hour = rows("rhythm")
    seasonal, flat = (TopicBaseline.fit(counts, day, hour, 0.01, seasonal=s) for s in (True, False))
    assert np.median(seasonal.design_effect) < 1.3 < 3 < np.median(flat.design_effect)
    assert seasonal.share[:, 0].max() / seasonal.share[:, 0].min() > 1.5
    inside = (seasonal.lower <= counts[:168] / counts[:168].sum(axis=1, keepdims=True)) & (seasonal.upper >= seasonal.share)
    assert inside.mean() > 0.97


@pytest.mark.parametrize("kind", ["rhythm", "days 10% seasonal"])
def test_shares_stay_within_their_bounds_in_the_weeks_that_follow(kind):
    world = TopicTraffic(WORLDS[kind], 2, 7)
    bases, out = learn(world), []
    for hour in range(14 * 24):
        true = world.share()
        world.minute += 60
        out += [(true[i] > base.upper[hour % 168]) | (true[i] < base.lower[hour % 168]) for i, base in enumerate(bases)]
    assert np.mean(out) < 1e-3


def test_rows_may_come_in_any_order_and_finer():
    counts, day, hour = rows("inside", days=14)
    order = np.random.default_rng(0).permutation(day.size)
    half = counts // 2
    finer = np.concatenate([half, counts - half])[np.r_[order, order + day.size]]
    one = TopicBaseline.fit(counts, day, hour, 0.01)
    two = TopicBaseline.fit(finer, np.tile(day, 2)[np.r_[order, order + day.size]], np.tile(hour, 2)[np.r_[order, order + day.size]], 0.01)
    for name in ("share", "upper", "lower", "design_effect", "day_cv"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-9)


def test_an_hour_without_prompts_and_a_topic_without_prompts_are_harmless():
    counts, day, hour = rows(days=28)
    counts[hour % 24 == 3], counts[:, 7] = 0, 0
    base = TopicBaseline.fit(counts, day, hour, 0.01)
    assert (base.upper[3::24] == 1).all()
    assert (base.lower[3::24] == 0).all()
    rest = np.delete(np.arange(168), np.s_[3::24])
    assert (base.upper[rest][:, 7] < 0.01).all()
    assert (base.lower[:, 7] == 0).all()
    for array in (base.share, base.upper, base.lower, base.design_effect, base.day_cv):
        assert np.isfinite(array).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), hours=st.integers(1, 800), categories=st.integers(2, 8), size=st.floats(0, 50), seasonal=st.booleans())
def test_a_baseline_of_anything_is_finite_and_ordered(seed, hours, categories, size, seasonal):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(size * rng.random(categories) ** 4, (hours, categories)) * (rng.random((hours, 1)) < 0.7)
    at = np.arange(hours)
    if not counts.any():
        with pytest.raises(ValueError, match="prompts"):
            TopicBaseline.fit(counts, at // 24, at % 168, 0.01, seasonal=seasonal)
        return
    base = TopicBaseline.fit(counts, at // 24, at % 168, 0.01, seasonal=seasonal)
    for array in (base.share, base.upper, base.lower, base.design_effect, base.day_cv):
        assert np.isfinite(array).all()
    assert (base.lower <= base.share + 1e-12).all()
    assert (base.share <= base.upper + 1e-12).all()
    TopicMix.fit(base, ticket_rate=[1e-3], page_rate=[1e-5]).update(counts[:1], 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.zeros((3, 2), int)}, "none"),
        ({"counts": np.ones((3, 1), int)}, "categories"),
        ({"counts": -np.ones((3, 2), int)}, "negative"),
        ({"hour": np.array([0, 1, 168])}, "hours"),
        ({"day": np.zeros(2, int)}, "counts must"),
        ({"delta": 0.0}, "delta"),
    ],
)
def test_impossible_rows_are_refused(change, message):
    good = {"counts": np.ones((3, 2), int), "day": np.zeros(3, int), "hour": np.arange(3), "delta": 0.01}
    with pytest.raises(ValueError, match=message):
        TopicBaseline.fit(**good | change)


# The worlds of the benchmark, a small part.


SLOW_SWAPS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("iid", "inside", "spanning, seasonal")]


@pytest.mark.parametrize("kind", ["spanning", *SLOW_SWAPS])
def test_a_swap_of_a_tenth_is_paged_and_named(kind):
    waited, named, _ = swaps(SWAPS[kind], 10, 11)
    assert np.median(waited) <= 30
    assert named.mean() >= 0.95


def test_without_a_design_effect_sessions_break_the_promise():
    # What makes the test below worth something: the same traffic, with d = 1, against a budget of one page in 90 days.
    world = TopicTraffic(WORLDS["inside"], 5, 5)
    bases = [replace(base, design_effect=np.ones(101)) for base in learn(world)]
    mix = TopicMix.fit(bases, ticket_rate=np.zeros(5), page_rate=np.full(5, 1 / 129_600))
    assert sum(mix.update(counts, 0).page.sum() for _ in range(24) for counts in world.draw(60)) / 5 > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spanning", "heavy inside", "rhythm spanning", "days 10%"])
def test_false_pages_stay_within_the_budget(kind):
    pages, bases = false_pages(WORLDS[kind], 5, 30, 5)
    assert pages.mean() <= 0.2 * 30 / 90 + 1e-9
    assert all(base.may_page for base in bases)


def test_a_category_that_holds_every_prompt_can_be_learned() -> None:
    hours = np.arange(16 * 24)
    counts = np.stack([np.full(hours.size, 1200), np.zeros(hours.size, np.int64)], axis=1)
    baseline = TopicBaseline.fit(counts, hours // 24, hours % 168, 0.01)
    assert baseline.stage == "paging"
    assert (baseline.upper[:, 0] == 1).all()
    assert np.isfinite(baseline.upper).all()
    assert (baseline.design_effect == 10).all()
