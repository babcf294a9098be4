"""The promise and the delay of round evidence, by simulation with fixed seeds: tables of the scheme for probes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from detectors.contract import Windows
from detectors.rounds import RoundRate, alternatives, bound, smallest_effect

A = 43_200
ITEMS = 20
ROUNDS = 2_160  # 90 days, hourly


def records(rng, runs, items, share=0.05):
    return np.array([bound(int(bad), items) for bad in rng.binomial(items, share, runs)])


def detector(null, critical=False):
    size = null.size
    return RoundRate.fit(null=null, ticket_rate=np.zeros(size), page_rate=np.full(size, 1 / A), critical=np.full(size, critical))


def rounds(rng, size, share):
    return Windows(n=np.full(size, ITEMS), x=rng.binomial(ITEMS, share, size))


def delays(share, items, runs=1_000, seed=3, **options):
    """Rounds to the page in each run, after 100 good rounds."""
    rng = np.random.default_rng(seed)
    stream = detector(records(rng, runs, items), **options)
    for _ in range(100):
        stream.update(rounds(rng, runs, 0.05))
    first = np.full(runs, 400)
    for number in range(1, 400):
        paged = stream.update(rounds(rng, runs, share)).page
        first = np.where(paged & (first == 400), number, first)
    return np.median(first)


@pytest.mark.parametrize(
    ("share", "items", "bar"),
    [(0.25, 400, 6), (0.15, 400, 18), (0.10, 2_000, 45), (0.50, 400, 3)],
)
def test_median_delay_keeps_its_bar(share, items, bar):
    assert delays(share, items) <= bar


def test_a_critical_stream_may_cross_in_one_round():
    assert delays(0.6, 400, critical=True) == 1
    assert delays(0.9, 400) >= 2


def test_false_pages_stay_within_the_budget_where_testing_each_round_does_not():
    rng = np.random.default_rng(5)
    runs = 400
    null = records(rng, runs, 400)
    stream = detector(null)
    pages, naive = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
    record = 0.05  # the z-test is even told the true share
    for _ in range(ROUNDS):
        drawn = rounds(rng, runs, 0.05)
        pages += stream.update(drawn).page
        spread = np.sqrt(record * (1 - record) * (1 / ITEMS + 1 / 400))
        naive += (drawn.x / ITEMS - record) / spread > norm.ppf(0.99)
    sound = null >= 0.05  # the promise is given where the bound holds, which it does with a probability of 0.95
    assert 0.9 < sound.mean() < 1
    assert pages[sound].mean() <= ROUNDS / A + 3 * np.sqrt(ROUNDS / A / sound.sum())
    assert (pages > 0).mean() < 0.05
    assert (naive > 0).mean() > 0.99
    assert naive.mean() > 10


def test_items_that_always_fail_are_no_news():
    """One item of 20 always fails and the others never: the same share as 20 alike, and less evidence."""
    stream = detector(np.array([bound(20, 400)]))
    highest = max(float(stream.update(Windows(n=np.array([20]), x=np.array([1]))).log10_page[0]) for _ in range(ROUNDS))
    assert highest < 1.5


def test_a_freak_round_does_not_page():
    stream = detector(np.array([0.07, 0.07]))
    said = stream.update(Windows(n=np.array([20, 20]), x=np.array([20, 0])))
    assert not said.page.any()
    assert said.log10_page[0] == pytest.approx(np.log10(A) / 2, abs=0.01)
    for _ in range(60):
        assert not stream.update(Windows(n=np.array([20, 20]), x=np.array([1, 1]))).page.any()


@given(st.floats(0.005, 0.9), st.integers(1, 60))
def test_evidence_expects_at_most_one_at_the_null(null, items):
    bad = np.arange(items + 1)
    alternative = alternatives(np.array([null]))
    ratio = (alternative / null) ** bad * ((1 - alternative) / (1 - null)) ** (items - bad)
    assert (ratio @ binom.pmf(bad, items, null) <= 1 + 1e-9).all()
    assert (alternative > null).all()
    assert (alternative < 1).all()


def test_bound_and_margin():
    assert bound(400, 400) == 1.0
    assert bound(0, 59) == pytest.approx(0.05, abs=0.001)
    assert smallest_effect(10) == 0.15
    assert smallest_effect(100) == 0.05
    with pytest.raises(ValueError, match="5 of 4"):
        bound(5, 4)


def test_snapshot_and_restore_change_nothing():
    rng = np.random.default_rng(1)
    null = rng.uniform(0.02, 0.3, 5)
    whole = RoundRate.fit(null=null, ticket_rate=np.full(5, 1e-3), page_rate=np.full(5, 1e-4), critical=np.arange(5) == 2)
    half = RoundRate.restore(whole.snapshot())
    for _ in range(30):
        drawn = Windows(n=rng.integers(0, 30, 5), x=np.zeros(5, np.int64))
        drawn = Windows(n=drawn.n, x=rng.binomial(drawn.n, 0.3))
        half = RoundRate.restore(half.snapshot())
        first, second = whole.update(drawn), half.update(drawn)
        np.testing.assert_array_equal(first.log10_page, second.log10_page)
        np.testing.assert_array_equal(first.ticket, second.ticket)


def test_a_round_without_answers_changes_nothing():
    stream = detector(np.array([0.07]))
    stream.update(Windows(n=np.array([20]), x=np.array([6])))
    before = stream.snapshot()["evidence"]
    stream.update(Windows(n=np.array([0]), x=np.array([0])))
    np.testing.assert_array_equal(stream.snapshot()["evidence"], before)
