"""What every sequential detector keeps to, whatever it asks; tests/detector_cases.py drives them."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from detector_cases import CASES, EMPTY, SHARE, STREAMS, Parameters, broken, scene, sketch
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.change import ChangePoint
from detectors.contract import Detector, Windows
from detectors.features import FEATURES
from detectors.sketch import FIXED_POINT, sketch_groups

every_detector = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.__name__)
every_detector_of_many = pytest.mark.parametrize("case", [c for c in CASES if c.streams > 1], ids=lambda case: case.kind.__name__)
examples = settings(max_examples=15, deadline=None)

LARGEST = 2**31 - 1


def play(case, detector, windows, p):
    return np.array([case.step(detector, window, p) for window in windows], float)


def assert_states_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_no_nan(state):
    for name, array in state.items():
        assert array.dtype.kind in "biuU" or not np.isnan(array).any(), name


def test_every_detector_is_in_this_suite():
    modules = [importlib.import_module(f"detectors.{module.name}") for module in pkgutil.iter_modules(detectors.__path__)]
    found = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
        and kind is not Detector
        and all(name in vars(kind) for name in ("update", "snapshot", "restore"))
    }
    assert found == {case.kind for case in CASES}


@every_detector
@examples
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 64))
def test_a_restart_changes_nothing(case, seed, cut):
    p, windows = scene(seed)
    straight, first = case.make(p), case.make(p)
    expected = play(case, straight, windows, p)
    before = play(case, first, windows[:cut], p)
    second = case.kind.restore(first.snapshot())
    after = play(case, second, windows[cut:], p)
    np.testing.assert_array_equal([*before, *after], expected)
    assert_states_equal(second.snapshot(), straight.snapshot())


def prompts(rng, n):
    """Columns of n prompts of one window, in no order."""
    p = rng.random(n).astype(np.float32) ** 2
    return {
        "p_value": p,
        "strange": p <= 0.05,
        "far": p <= 0.01,
        "topic": rng.integers(-1, SHARE.size - 1, n).astype(np.int32),
        "tokens": rng.integers(1, 300, n).astype(np.int32),
        "characters": rng.integers(1, 900, n),
        "truncated": rng.random(n) < 0.1,
        "language": rng.integers(0, 2, n).astype(np.int8),
        "fourier": np.rint(FIXED_POINT * rng.uniform(-1, 1, (n, FEATURES))).astype(np.int16),
    }


def counted(columns, group, groups):
    """Sketches of the groups; what an empty one of them adds is nothing."""
    return sketch_groups(group, groups, **columns, whole=np.ones(groups, bool), topics=SHARE.size - 1, languages=2)


@every_detector
@examples
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 5), batches=st.integers(1, 4))
def test_who_counted_a_prompt_and_whose_sums_came_first_is_of_no_matter(case, seed, workers, batches):
    rng = np.random.default_rng(seed)
    p = scene(seed, 1)[0]
    at_once, in_pieces = case.make(p), case.make(p)
    for hour in rng.integers(0, 168, 20).tolist():
        whole, pieced = [], []
        for n in rng.integers(0, 60, STREAMS).tolist():
            columns = prompts(rng, n)
            whole += counted(columns, np.zeros(n, np.int64), 1)
            moved = rng.permutation(n)
            parts = counted({k: v[moved] for k, v in columns.items()}, rng.integers(0, workers * batches, n), workers * batches)
            while len(parts) > 1:
                one, other = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
                parts.append(one + other)
            pieced += parts
        np.testing.assert_array_equal(case.step(at_once, (hour, whole), p), case.step(in_pieces, (hour, pieced), p))
    assert_states_equal(at_once.snapshot(), in_pieces.snapshot())


@every_detector_of_many
@examples
@given(seed=st.integers(0, 10**6), order=st.permutations(range(STREAMS)))
def test_streams_do_not_know_of_each_other(case, seed, order):
    p, windows = scene(seed)
    expected = play(case, case.make(p), windows, p)
    moved = [(hour, [row[i] for i in order]) for hour, row in windows]
    np.testing.assert_allclose(play(case, case.make(p[order]), moved, p[order]), expected[:, order], rtol=1e-12)


@every_detector
def test_snapshot_is_plain_and_detached(case):
    p, windows = scene(1)
    detector = case.make(p)
    play(case, detector, windows[:10], p)
    state = detector.snapshot()
    copy = {name: array.copy() for name, array in state.items()}
    assert all(type(array) is np.ndarray and array.dtype.kind in "biufU" for array in state.values())
    assert state["version"].shape == (1,)
    play(case, detector, windows[10:], p)
    assert_states_equal(state, copy)


@every_detector
def test_an_unknown_version_is_refused(case):
    state = case.make(scene(1)[0]).snapshot() | {"version": np.array([99])}
    with pytest.raises(ValueError, match="version 99"):
        case.kind.restore(state)


@pytest.mark.parametrize(
    ("case", "changes"),
    [(case, changes) for case in CASES for changes in case.impossible],
    ids=lambda value: value.kind.__name__ if hasattr(value, "kind") else "-".join(value),
)
def test_impossible_counts_are_refused_and_change_nothing(case, changes):
    p, windows = scene(1)
    detector = case.make(p)
    play(case, detector, windows, p)
    before = detector.snapshot()
    with pytest.raises(ValueError, match=r"windows hold|must|no window|inhomogeneous"):
        case.feed(detector, broken(windows[-1], changes), p)
    assert_states_equal(detector.snapshot(), before)


@every_detector_of_many
def test_another_number_of_streams_is_refused_and_changes_nothing(case):
    p, windows = scene(1)
    detector = case.make(p)
    play(case, detector, windows, p)
    before = detector.snapshot()
    with pytest.raises(ValueError, match=r"windows hold|must"):
        case.feed(detector, (windows[0][0], windows[0][1][:-1]), p)
    assert_states_equal(detector.snapshot(), before)


@pytest.mark.parametrize("case", [c for c in CASES if not c.empty_is_time], ids=lambda case: case.kind.__name__)
@examples
@given(seed=st.integers(0, 10**6), hour=st.integers(0, 167))
def test_an_empty_window_changes_nothing(case, seed, hour):
    p, windows = scene(seed)
    detector = case.make(p)
    play(case, detector, windows, p)
    before = detector.snapshot()
    case.step(detector, (hour, [EMPTY] * STREAMS), p)
    after = detector.snapshot()
    for state in (before, after):  # which of its levels crossed in the newest window with prompts is no evidence
        state.pop("crossed", None), state.pop("part", None)
    assert_states_equal(after, before)


@pytest.mark.parametrize("case", [c for c in CASES if not c.empty_is_time], ids=lambda case: case.kind.__name__)
def test_no_evidence_before_data(case):
    p, _ = scene(4)
    detector, fresh = case.make(p), case.make(p).snapshot()
    for hour in range(168):
        assert not case.feed(detector, (hour, [EMPTY] * STREAMS), p).any()
    assert_states_equal(detector.snapshot(), fresh)


def test_no_change_is_told_before_data():
    change = ChangePoint.fit(2)
    with pytest.raises(ValueError, match="no windows"):
        change.estimate(0)


def test_a_window_that_the_history_cannot_hold_is_refused():
    change, huge = ChangePoint.fit(1), np.array([LARGEST + 1])
    with pytest.raises(ValueError, match="at most"):
        change.update(Windows(n=huge, x=huge), [0.1], [1.0])


@every_detector
@examples
@given(data=st.data())
def test_no_window_makes_a_nan(case, data):
    draw = data.draw
    count = st.one_of(st.integers(0, 500), st.integers(0, LARGEST // SHARE.size))
    full = np.ones(STREAMS)
    p = Parameters(
        draw(st.floats(1e-9, 0.999)) * full,
        draw(st.floats(1, 1e6)) * full,
        draw(st.floats(1e-12, 0.999)) * full,
        draw(st.floats(1e-12, 0.999)) * full,
    )
    detector = case.make(p)
    for _ in range(8):
        topics = np.array(draw(st.lists(count, min_size=SHARE.size, max_size=SHARE.size)))
        n = int(topics.sum())
        fourier = np.full(FEATURES, n * draw(st.integers(-FIXED_POINT, FIXED_POINT)))
        window = draw(st.integers(0, 167)), [sketch(n, draw(st.integers(0, n)), topics, fourier)] * STREAMS
        for _ in range(16):
            assert np.isfinite(case.step(detector, window, p)).all()
    state = detector.snapshot()
    assert_no_nan(state)
    assert_states_equal(case.kind.restore(state).snapshot(), state)


@every_detector
@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "inf"])
def test_a_broken_state_is_refused(case, value):
    p, windows = scene(1)
    detector = case.make(p)
    play(case, detector, windows, p)
    state = detector.snapshot()
    for name, array in state.items():
        endless = name == "baseline_threshold" and np.isinf(value)  # a level that was not learned
        if array.dtype.kind == "f" and array.size and not endless:
            spoilt = array.copy()
            spoilt.flat[0] = value
            with pytest.raises(ValueError, match=r"must|finite"):
                case.kind.restore(state | {name: spoilt})


@every_detector
@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_memory_is_bounded(case, share):
    p, _ = scene(4)
    topics = np.array([30, 20, 10, 5, 35])
    detector = case.make(p)
    window = [sketch(100, round(100 * share), topics, np.full(FEATURES, 100 * FIXED_POINT // 2))] * STREAMS
    sizes = []
    for count in range(case.long):
        case.feed(detector, (count // 60 % 168, window), p)
        if count in (130, case.long - 1):
            sizes.append(sum(array.nbytes for array in detector.snapshot().values()))
    assert sizes[1] <= case.largest(sizes[0])
