"""The start of a change, and the interval of the share since."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from detectors import change as module
from detectors.change import HISTORY, ChangePoint, locate, share_interval, share_intervals
from detectors.contract import Windows


def feed(point, shares, rng, n=200, null=0.055, effect=1.0):
    streams = point.snapshot()["length"].size
    for share in shares:
        point.update(Windows(n=np.full(streams, n), x=rng.binomial(n, share, streams)), np.full(streams, null), np.full(streams, effect))


def naive(n, x, null=0.055):
    """l(nu) of all windows ever seen, by the formula."""
    shares = null + (1 - null) * np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4])[:, None]
    steps = x * np.log(shares / null) + (n - x) * np.log((1 - shares) / (1 - null))
    value = np.cumsum(steps[:, ::-1], axis=1).max(axis=0)
    near = np.flatnonzero(value >= value.max() - 4)
    return int(value.argmax()), int(near[-1]), int(near[0])


@pytest.mark.parametrize("seed", range(6))
def test_estimate_is_that_of_the_whole_past(seed):
    rng = np.random.default_rng(seed)
    point, past = ChangePoint.fit(1), []
    for share in [0.05] * 700 + [0.08] * 40:
        n = int(rng.integers(0, 300))
        x = int(rng.binomial(n, share))
        past.append((n, x))
        point.update(Windows(n=np.array([n]), x=np.array([x])), [0.055], [1.0])
    found = point.estimate(0)
    assert (found.start, found.low, found.high) == naive(*np.array(past, float).T)
    assert point.snapshot()["length"][0] < 740


def test_interval_covers_the_start():
    rng, covered, runs = np.random.default_rng(11), 0, 150
    point = ChangePoint.fit(runs)
    feed(point, [0.05] * 200 + [0.1] * 15, rng)
    for stream in range(runs):
        found = point.estimate(stream)
        assert found.low >= found.start >= found.high
        covered += found.low >= 14 >= found.high
    assert covered / runs >= 0.93


def test_empty_windows_count_as_time_and_are_never_the_start():
    point = ChangePoint.fit(1)
    for n, x in [(200, 8)] * 30 + [(0, 0)] * 5 + [(200, 60)] * 3 + [(0, 0)] * 2:
        point.update(Windows(n=np.array([n]), x=np.array([x])), [0.055], [1.0])
    assert point.estimate(0).start == 4
    assert point.counts(0, 5) == (600, 180)


def test_history_is_bounded_and_keeps_the_newest():
    point, window = ChangePoint.fit(2), Windows(n=np.array([10, 10]), x=np.array([1, 9]))
    for _ in range(HISTORY + 1_500):
        point.update(window, [0.05, 0.05], [1.0, 1.0])
    assert HISTORY <= point.snapshot()["length"].max() <= HISTORY + module._ROOM
    assert point.estimate(1).start == HISTORY - 1
    again = ChangePoint.restore(point.snapshot())
    again.update(window, [0.05, 0.05], [1.0, 1.0])
    assert again.estimate(1).start == HISTORY - 1


def test_a_quiet_stream_stays_small_beside_a_loud_one():
    rng, point = np.random.default_rng(3), ChangePoint.fit(2)
    for _ in range(3_000):
        point.update(Windows(n=np.array([200, 200]), x=rng.binomial(200, [0.03, 0.2])), [0.055, 0.055], [1.0, 1.0])
    quiet, loud = point.snapshot()["length"]
    assert quiet < 2_100
    assert loud == 3_000
    state = point.snapshot()
    assert state["null"].size <= 2
    assert state["n"].dtype == np.int32


def test_reset_forgets_the_named_streams():
    rng, point = np.random.default_rng(3), ChangePoint.fit(2)
    feed(point, [0.2] * 9, rng)
    point.reset(np.array([True, False]))
    assert point.estimate(1).start == 8
    with pytest.raises(ValueError, match="no windows"):
        point.estimate(0)


def test_histories_move_with_their_streams():
    rng, point = np.random.default_rng(3), ChangePoint.fit(3)
    feed(point, [0.05] * 100 + [0.2] * 9, rng)
    moved = point.moved(4, to=np.array([3, 0]), of=np.array([1, 2]))
    assert moved.estimate(3) == point.estimate(1)
    assert moved.estimate(0) == point.estimate(2)
    assert moved.snapshot()["length"][[1, 2]].tolist() == [0, 0]
    moved.update(Windows(n=np.full(4, 5), x=np.full(4, 1)), np.full(4, 0.05), np.ones(4))
    assert moved.estimate(1).start == 0


@pytest.mark.parametrize("name", ["n", "x", "null", "length"])
def test_a_broken_state_is_refused(name):
    point = ChangePoint.fit(2)
    feed(point, [0.2] * 9, np.random.default_rng(0))
    state = point.snapshot()
    state[name] = np.array([5]) if name == "length" else state[name][:0]
    with pytest.raises(ValueError, match=r"change point|repeat|broadcast"):
        ChangePoint.restore(state)


@given(st.integers(1, 500), st.data())
def test_share_interval_is_clopper_pearson(n, data):
    x = data.draw(st.integers(0, n))
    expected = binomtest(x, n).proportion_ci(0.95, "exact")
    assert share_interval(x, n, 1.0) == pytest.approx((expected.low, expected.high), abs=1e-9)
    wide = share_interval(x, n, 4.0)
    assert wide[0] <= expected.low + 1e-12
    assert wide[1] >= expected.high - 1e-12


@pytest.mark.parametrize(("x", "n", "d", "level"), [(3, 2, 1, 0.95), (-1, 2, 1, 0.95), (1, 2, 0.5, 0.95), (1, 2, 1, 1.0)])
def test_impossible_share_is_refused(x, n, d, level):
    with pytest.raises(ValueError, match="need 0 <= x"):
        share_interval(x, n, d, level)


def test_a_change_located_in_given_windows_is_the_one_a_history_tells() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.binomial(200, 0.05, 80), rng.binomial(200, 0.12, 20)])
    point = ChangePoint.fit(1)
    for count in x:
        point.update(Windows(n=np.array([200]), x=np.array([count])), [0.055], [1.5])
    assert locate(np.full(100, 200), x, np.full(100, 0.055), 1.5) == point.estimate(0)
    with pytest.raises(ValueError, match="no windows"):
        locate(np.zeros(0, int), np.zeros(0, int), np.zeros(0), 1.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(1, 20)), min_size=1, max_size=8))
def test_intervals_of_many_shares_are_those_of_each(rows) -> None:
    x, misses, effect = (np.array(column, float) for column in zip(*rows, strict=True))
    low, high = share_intervals(x, x + misses, effect)
    for i in range(x.size):
        assert (low[i], high[i]) == share_interval(x[i], x[i] + misses[i], effect[i])
