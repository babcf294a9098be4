"""What every sequential detector keeps to, whatever it asks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.change import ChangePoint
from detectors.contract import Windows
from detectors.flag_rate import FlagRate
from detectors.recovery import Recovery


@dataclass(frozen=True)
class Parameters:
    null: np.ndarray
    effect: np.ndarray
    ticket: np.ndarray
    page: np.ndarray

    def __getitem__(self, order):
        return Parameters(self.null[order], self.effect[order], self.ticket[order], self.page[order])


class FlagRateCase:
    kind = FlagRate

    def make(self, p):
        return FlagRate.fit(null=p.null, design_effect=p.effect, ticket_rate=p.ticket, page_rate=p.page)

    def step(self, detector, windows, p):
        said = detector.update(windows)
        return np.stack([said.log10_ticket, said.log10_page, said.ticket, said.page], axis=1)


class RecoveryCase:
    kind = Recovery

    def make(self, p):
        detector = Recovery.fit(null=p.null, design_effect=p.effect, threshold=20.0)
        detector.start(p.effect < 4)
        return detector

    def step(self, detector, windows, p):
        return np.stack([detector.update(windows), detector.running], axis=1)


class ChangePointCase:
    kind = ChangePoint

    def make(self, p):
        return ChangePoint.fit(p.null.size)

    def step(self, detector, windows, p):
        detector.update(windows, p.null, p.effect)
        changes = [detector.estimate(i) for i in range(p.null.size)]
        return np.array([(c.start, c.low, c.high) for c in changes])


CASES = [FlagRateCase(), RecoveryCase(), ChangePointCase()]
every_detector = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.__name__)


def scene(seed: int, streams: int = 6, windows: int = 30) -> tuple[Parameters, list[Windows]]:
    """Streams with parameters of all sorts, and windows of all sorts, empty and alarming ones among them."""
    rng = np.random.default_rng(seed)
    p = Parameters(
        rng.uniform(0.005, 0.3, streams), rng.uniform(1, 8, streams), rng.uniform(1e-3, 1e-2, streams), rng.uniform(0, 1e-3, streams)
    )
    p.ticket[0], p.page[-1] = 0.0, 0.0
    share = np.minimum(p.null * rng.uniform(0.2, 3, (windows, streams)), 1)
    n = rng.integers(0, 400, (windows, streams)) * (rng.random((windows, streams)) < 0.8)
    return p, [Windows(n=a, x=b) for a, b in zip(n, rng.binomial(n, share), strict=True)]


def play(case: Any, detector: Any, windows: list[Windows], p: Parameters) -> np.ndarray:
    return np.array([case.step(detector, w, p) for w in windows], float)


def assert_states_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@every_detector
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 30))
def test_a_restart_changes_nothing(case, seed, cut):
    p, windows = scene(seed)
    straight, first = case.make(p), case.make(p)
    expected = play(case, straight, windows, p)
    before = play(case, first, windows[:cut], p)
    second = case.kind.restore(first.snapshot())
    after = play(case, second, windows[cut:], p)
    np.testing.assert_array_equal(
        np.concatenate([before.reshape(-1, *expected.shape[1:]), after.reshape(-1, *expected.shape[1:])]), expected
    )
    assert_states_equal(second.snapshot(), straight.snapshot())


@every_detector
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(6)))
def test_streams_do_not_know_of_each_other(case, seed, order):
    p, windows = scene(seed)
    expected = play(case, case.make(p), windows, p)
    moved = [Windows(n=w.n[order], x=w.x[order]) for w in windows]
    np.testing.assert_allclose(play(case, case.make(p[order]), moved, p[order]), expected[:, order], rtol=1e-12)


@every_detector
def test_snapshot_is_plain_and_detached(case):
    p, windows = scene(1)
    detector = case.make(p)
    play(case, detector, windows[:10], p)
    state = detector.snapshot()
    copy = {name: array.copy() for name, array in state.items()}
    assert all(type(array) is np.ndarray and array.dtype.kind in "biuf" for array in state.values())
    assert state["version"].shape == (1,)
    play(case, detector, windows[10:], p)
    assert_states_equal(state, copy)


@every_detector
def test_an_unknown_version_is_refused(case):
    state = case.make(scene(1)[0]).snapshot() | {"version": np.array([99])}
    with pytest.raises(ValueError, match="version 99"):
        case.kind.restore(state)


@every_detector
@pytest.mark.parametrize(
    ("n", "x"),
    [([5] * 6, [6] * 6), ([5] * 6, [-1] * 6), ([-1] * 6, [-1] * 6), ([5] * 5, [1] * 5), ([5] * 6, [1] * 5)],
    ids=["x above n", "x negative", "n negative", "too few", "different lengths"],
)
def test_impossible_counts_are_refused_and_change_nothing(case, n, x):
    p, windows = scene(1)
    detector = case.make(p)
    play(case, detector, windows, p)
    before = detector.snapshot()
    with pytest.raises(ValueError, match=r"windows hold|must lie"):
        case.step(detector, Windows(n=np.array(n), x=np.array(x)), p)
    assert_states_equal(detector.snapshot(), before)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.kind.__name__)
def test_an_empty_window_changes_nothing(case):
    p, windows = scene(4)
    detector = case.make(p)
    play(case, detector, windows, p)
    before = detector.snapshot()
    nothing = np.zeros(6, np.int64)
    case.step(detector, Windows(n=nothing, x=nothing), p)
    assert_states_equal(detector.snapshot(), before)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.kind.__name__)
@pytest.mark.parametrize("x", [0, 10**6])
def test_a_huge_window_stays_finite(case, x):
    p, _ = scene(4)
    detector = case.make(p)
    full = Windows(n=np.full(6, 10**6), x=np.full(6, x))
    assert np.isfinite(play(case, detector, [full] * 50, p)).all()
    assert np.isfinite(detector.snapshot()["evidence"]).all()
