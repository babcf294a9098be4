"""Gates: three outcomes, rarely wrong however often they are read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.gate import decide, interval


def outcomes(share, runs=400, rounds=60, seed=9):
    """First outcome other than inconclusive of each run, read after every round of 20."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        bad = np.cumsum(rng.binomial(20, share, rounds))
        said = (decide(20 * (i + 1), int(bad[i]), null=0.07, margin=0.05, fewest=100).outcome for i in range(rounds))
        found.append(next((one for one in said if one != "inconclusive"), "inconclusive"))
    return {name: found.count(name) / runs for name in ("pass", "fail", "inconclusive")}


def test_a_model_at_its_record_rarely_fails_and_mostly_passes():
    said = outcomes(0.07)
    assert said["fail"] <= 0.05
    assert said["pass"] >= 0.8


def test_a_model_worse_by_the_margin_rarely_passes():
    assert outcomes(0.12)["pass"] <= 0.05


def test_a_bad_model_fails():
    assert outcomes(0.25)["fail"] >= 0.99


def test_little_is_inconclusive():
    assert decide(0, 0, null=0.07, margin=0.05).outcome == "inconclusive"
    assert decide(90, 0, null=0.07, margin=0.05, fewest=100).outcome == "inconclusive"
    assert decide(100, 0, null=0.07, margin=0.05, fewest=100).outcome == "pass"


@given(st.integers(1, 500), st.floats(0, 1))
def test_interval_holds_the_share(n, part):
    bad = round(n * part)
    low, high = interval(n, bad)
    assert 0 <= low <= bad / n <= high <= 1


def test_interval_covers_at_all_times_at_once():
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(200):
        bad = np.cumsum(rng.binomial(20, 0.1, 100))
        bounds = [interval(20 * (i + 1), int(x)) for i, x in enumerate(bad)]
        missed += any(not low <= 0.1 <= high for low, high in bounds)
    assert missed / 200 <= 0.05


def test_impossible_values_are_refused():
    with pytest.raises(ValueError, match="3 of 2"):
        decide(2, 3, null=0.1, margin=0.1)
    with pytest.raises(ValueError, match="below 1"):
        decide(2, 1, null=0.9, margin=0.1)
