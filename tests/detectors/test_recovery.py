"""The recovery test: closes when the share has fallen back, seldom before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from detectors.contract import Windows
from detectors.recovery import Recovery

ON = np.array([True])


def recovery(null=0.055, effect=1.0, threshold=360.0, streams=1):
    return Recovery.fit(null=np.full(streams, null), design_effect=np.full(streams, effect), threshold=threshold)


def window(*x, n=200):
    return Windows(n=np.full(len(x), n), x=np.array(x))


def until_closed(test, x, limit=400):
    return next((i for i in range(1, limit) if test.update(window(x))[0]), None)


def test_closes_after_a_burst_and_not_during_it():
    test = recovery()
    test.start(ON)
    assert until_closed(test, 40, 100) is None
    assert 3 <= until_closed(test, 3) <= 30
    assert not test.running[0]
    assert until_closed(test, 3) is None


def test_one_window_cannot_close_alone():
    test = recovery()
    test.start(ON)
    assert [bool(test.update(Windows(n=np.array([10**6]), x=np.array([0])))[0]) for _ in range(3)] == [False, False, True]


def test_does_nothing_until_started_or_once_stopped():
    test = recovery()
    assert until_closed(test, 0) is None
    test.start(ON)
    test.update(window(0))
    test.stop(ON)
    assert until_closed(test, 0) is None
    assert (test.snapshot()["evidence"] == 0).all()


def test_start_begins_from_nothing():
    test, fresh = recovery(), recovery()
    test.start(ON)
    test.update(window(0))
    test.start(ON)
    fresh.start(ON)
    for _ in range(5):
        test.update(window(8))
        fresh.update(window(8))
    np.testing.assert_array_equal(test.snapshot()["evidence"], fresh.snapshot()["evidence"])


def test_a_running_test_goes_on_after_new_parameters():
    test = recovery(streams=2)
    test.start(np.array([True, True]))
    test.update(window(5, 5))
    kept = test.snapshot()["evidence"][1]
    test.reset(np.array([True, False]), null=np.array([0.2, 0.9]), design_effect=np.array([3.0, 9.0]))
    state = test.snapshot()
    assert test.running.all()
    assert state["null"].tolist() == [0.2, 0.055]
    assert (state["evidence"][0] == 0).all()
    np.testing.assert_array_equal(state["evidence"][1], kept)


@settings(max_examples=40, deadline=None)
@given(null=st.floats(0.01, 0.5), n=st.integers(1, 200), effect=st.floats(1, 8), held=st.floats(0, 50))
def test_evidence_grows_by_at_most_one_in_expectation(null, n, effect, held):
    state = recovery(null, effect, 1000.0, n + 1).snapshot()
    state["evidence"] = np.full_like(state["evidence"], held)
    state["running"][:] = True
    test = Recovery.restore(state)
    x = np.arange(n + 1)
    closed = test.update(window(*x, n=n))
    assert not closed.any()
    assert binom.pmf(x, n, null) @ test.snapshot()["evidence"].mean(axis=1) <= held + 1 + 1e-6


def test_at_the_null_false_closings_keep_their_budget():
    runs, windows, rng = 200, 360, np.random.default_rng(5)
    test, closings = recovery(streams=runs), 0
    test.start(np.ones(runs, bool))
    for _ in range(windows):
        closed = test.update(Windows(n=np.full(runs, 200), x=rng.binomial(200, 0.055, runs)))
        closings += closed.sum()
        test.start(closed)
    assert closings / runs <= 1.0


@pytest.mark.parametrize("threshold", [1.0, 0.0, float("nan"), float("inf")])
def test_impossible_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        recovery(threshold=threshold)


def test_a_null_that_moves_keeps_the_evidence() -> None:
    moved, still = recovery(), recovery()
    for test in (moved, still):
        test.start(ON)
        test.update(window(2))
    moved.move([0.08], [1.0])
    assert (moved.snapshot()["evidence"] == still.snapshot()["evidence"]).all()
    moved.update(window(8))
    still.update(window(8))
    assert moved.snapshot()["evidence"].sum() > still.snapshot()["evidence"].sum()
    with pytest.raises(ValueError, match="must hold 1 numbers"):
        moved.move([0.1, 0.1], [1.0, 1.0])
