"""The paired test against another model: promise and delay by simulation, and why the other's answers may not be frozen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from detectors.contract import Windows
from detectors.paired import THETA, Paired

A = 43_200
ITEMS = 20


def pair(runs):
    return Paired.fit(ticket_rate=np.zeros(runs), page_rate=np.full(runs, 1 / A))


def items(rng, runs, mean=0.05):
    """Probability that the base gets an item wrong: most hardly ever, some often."""
    return rng.beta(0.3, 0.3 * (1 - mean) / mean, (runs, ITEMS))


def asked(rng, live, base):
    w, v = live & ~base, base & ~live
    return Windows(n=(w | v).sum(axis=1), x=w.sum(axis=1))


def delay(rise, runs=600, seed=4):
    rng = np.random.default_rng(seed)
    wrong = items(rng, runs)
    stream, first = pair(runs), np.full(runs, 300)
    for number in range(-100, 300):
        live = rng.random(wrong.shape) < wrong + rise * (number > 0)
        paged = stream.update(asked(rng, live, rng.random(wrong.shape) < wrong)).page
        first = np.where(paged & (first == 300) & (number > 0), number, first)
    return np.median(first)


@pytest.mark.parametrize(("rise", "bar"), [(0.05, 45), (0.10, 18), (0.20, 8)])
def test_median_delay_keeps_its_bar(rise, bar):
    assert delay(rise) <= bar


def false_pages(frozen, runs=300, seed=6):
    rng = np.random.default_rng(seed)
    wrong = items(rng, runs)
    stream, pages = pair(runs), np.zeros(runs, np.int64)
    base = rng.random(wrong.shape) < wrong
    for _ in range(2_160):
        if not frozen:
            base = rng.random(wrong.shape) < wrong
        pages += stream.update(asked(rng, rng.random(wrong.shape) < wrong, base)).page
    return pages


def test_false_pages_stay_within_the_budget():
    pages = false_pages(frozen=False)
    assert pages.mean() <= 2_160 / A + 3 * np.sqrt(2_160 / A / pages.size)


def test_frozen_answers_would_break_the_promise():
    """Regression to the mean: whoever compares with one old draw is paged for nothing. So nobody may."""
    assert (false_pages(frozen=True) > 0).mean() > 0.25


def test_equal_answers_are_no_evidence():
    stream = pair(1)
    for _ in range(500):
        assert stream.update(Windows(n=np.array([0]), x=np.array([0]))).log10_page[0] <= np.log10(500) + 1e-9
    said = stream.update(Windows(n=np.array([0]), x=np.array([0])))
    assert not said.page.any()


@given(st.integers(0, 40), st.floats(0, 2))
def test_evidence_expects_at_most_one_at_the_null(n, margin):
    null = (1 + margin) / (2 + margin)
    worse = np.arange(n + 1)
    for theta in THETA[null < THETA]:
        ratio = (theta / null) ** worse * ((1 - theta) / (1 - null)) ** (n - worse)
        assert ratio @ binom.pmf(worse, n, null) <= 1 + 1e-9


def test_impossible_values_are_refused():
    with pytest.raises(ValueError, match="nothing to bet on"):
        Paired.fit(ticket_rate=[0.1], page_rate=[0.1], margin=40.0)
    with pytest.raises(ValueError, match="0 <= x <= n"):
        pair(1).update(Windows(n=np.array([2]), x=np.array([3])))


def test_snapshot_and_restore_change_nothing():
    rng = np.random.default_rng(2)
    whole = Paired.fit(ticket_rate=np.full(3, 1e-2), page_rate=np.full(3, 1e-3), margin=0.2)
    half = Paired.restore(whole.snapshot())
    for _ in range(30):
        n = rng.integers(0, 9, 3)
        drawn = Windows(n=n, x=rng.binomial(n, 0.7))
        half = Paired.restore(half.snapshot())
        np.testing.assert_array_equal(whole.update(drawn).log10_page, half.update(drawn).log10_page)
