"""Embedding shift: what it learns, what it says of a stream that moves, and that a restart changes nothing."""

import functools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import embedding_baseline
from detectors.embedding_baseline import HOURS, EmbeddingBaseline, EmbeddingLearner
from detectors.embedding_levels import BLOCKS
from detectors.embedding_shift import EmbeddingShift
from detectors.features import FEATURES
from detectors.sketch import FIXED_POINT

PER_HOUR = 6  # windows of ten minutes keep the tests short


def bank(seed=0, rows=400):
    """Features of rows on the unit circle of each frequency, about a mean that depends on the row's half."""
    rng = np.random.default_rng(seed)
    angle = rng.normal(0, 1, (rows, FEATURES // 2)) + np.where(np.arange(rows) < rows // 2, 0.0, 1.0)[:, None]
    return np.rint(FIXED_POINT * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)).astype(np.int64)


ROWS = bank()


def window(rng, hour, n=30, second_half=None):
    """n prompts of a stream whose mix follows the hour of the day."""
    share = 0.5 + 0.3 * np.sin(2 * np.pi * hour / 24) if second_half is None else second_half
    row = rng.integers(0, len(ROWS) // 2, n) + np.where(rng.random(n) < share, len(ROWS) // 2, 0)
    return ROWS[row].sum(axis=0)


def learned(days, seed=1, learner=None):
    rng = np.random.default_rng(seed)
    learner = EmbeddingLearner() if learner is None else learner
    for hour in range(24 * days):
        for _ in range(PER_HOUR):
            learner.add(*divmod(hour, HOURS), 30, window(rng, hour))
    return learner


@functools.cache
def baseline(days=28):
    return learned(days).fit(0.01)


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def crossing(shift, rng, windows, **moved):
    for count in range(windows):
        if shift.update(count // PER_HOUR % HOURS, 30, window(rng, count // PER_HOUR, **moved)).page[0]:
            return count + 1
    return None


@pytest.mark.parametrize(("days", "stage", "pages"), [(5, "short", False), (15, "paging", True), (28, "full", True)])
def test_stage_follows_the_days_seen(days, stage, pages):
    found = baseline(days)
    assert (found.stage, found.may_page, found.days) == (stage, pages, days)
    assert (found.null[:, 0] >= 0.05).all()
    assert (np.isfinite(found.threshold) == (found.null < 1)).all()


def test_rhythm_is_not_news_and_the_null_holds_on_days_like_those_learned():
    rng, found = np.random.default_rng(2), baseline()
    shift = EmbeddingShift.fit(found, 1e-3, 1e-5)
    flags = []
    for count in range(10 * 24 * PER_HOUR):
        hour = count // PER_HOUR
        assert not shift.update(hour % HOURS, 30, window(rng, hour)).page[0]
        flags.append(int(shift.flag().x[0]))
    assert 0.03 < np.mean(flags) < found.null[0, 0] + 0.01


def test_a_moved_mix_pages_and_the_direction_points_to_it():
    rng = np.random.default_rng(3)
    shift = EmbeddingShift.fit(baseline(), 1e-3, 1e-5)
    assert crossing(shift, rng, 3 * PER_HOUR) is None
    assert crossing(shift, rng, 60, second_half=1.0) is not None
    newest, expected = shift.statistic()
    assert newest > expected
    direction = shift.direction()
    assert direction @ ROWS[len(ROWS) // 2 :].mean(axis=0) > direction @ ROWS[: len(ROWS) // 2].mean(axis=0)


def test_a_window_is_never_its_own_reference():
    # One learner sees a week of windows, another the same and one strange window: only that block is judged differently.
    rng = np.random.default_rng(4)
    learner = learned(8)
    before = learner.snapshot()["week_1_u"]
    learner.add(1, 30, 30, window(rng, 0, second_half=1.0))
    after = learner.snapshot()["week_1_u"]
    np.testing.assert_array_equal(after[:-1], before)
    assert after[-1] > before.max()


def test_blocks_step_at_their_own_length():
    rng, shift = np.random.default_rng(5), EmbeddingShift.fit(baseline(), 1e-3, 1e-5)
    steps = np.array([shift.increments(0, 30, window(rng, 0))[1][:, 0] for _ in range(120)])
    per_block = steps.reshape(120, len(BLOCKS), -1)
    assert (per_block == per_block[:, :, :1]).all()
    for block, length in enumerate(BLOCKS):
        np.testing.assert_array_equal(np.flatnonzero(per_block[:, block, 0]), np.arange(length - 1, 120, length))
        assert set(per_block[:, block, 0]) <= {0, length}
    assert abs(shift.weights.sum() - 1) < 1e-12


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, 130), empty=st.sets(st.integers(0, 130)), seed=st.integers(0, 99))
def test_restart_at_any_point_and_empty_windows_change_nothing(cut, empty, seed):
    rng = np.random.default_rng(seed)
    one, other = (EmbeddingShift.fit(baseline(), 1e-2, 1e-4) for _ in range(2))
    for count in range(130):
        if count == cut:
            other = EmbeddingShift.restore(other.snapshot())
        if count in empty:
            held = other.snapshot()
            other.update(count % HOURS, 0, np.zeros(FEATURES, np.int64))
            same(other.snapshot(), held)
        sums = window(rng, 0, second_half=0.8)
        assert one.update(0, 30, sums) == other.update(0, 30, sums)
        assert one.statistic() == other.statistic()
    same(one.snapshot(), other.snapshot())


@settings(max_examples=3, deadline=None)
@given(cut=st.integers(1, 9))
def test_a_learner_restarted_learns_the_same(cut):
    def days(learner, first, last):
        rng = np.random.default_rng(6)
        for hour in range(24 * 10):
            for _ in range(2):
                sums = window(rng, hour, 5)
                if first <= hour // 24 < last:
                    learner.add(*divmod(hour, HOURS), 5, sums)
        return learner

    whole = days(EmbeddingLearner(), 0, 10)
    parts = days(EmbeddingLearner.restore(days(EmbeddingLearner(), 0, cut).snapshot()), cut, 10)
    same(whole.snapshot(), parts.snapshot())
    same(whole.fit(0.01).snapshot(), parts.fit(0.01).snapshot())


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 1, 7, 10**9]), min_size=1, max_size=70), hour=st.integers(0, HOURS - 1))
def test_no_size_of_window_makes_a_nan(sizes, hour):
    shift = EmbeddingShift.fit(baseline(), 1e-2, 1e-4)
    for n in sizes:
        said = shift.update(hour, n, n * ROWS[3])
        assert np.isfinite([said.log10_ticket, said.log10_page]).all()
    assert np.isfinite(shift.direction()).all()


def test_no_evidence_before_data():
    shift = EmbeddingShift.fit(baseline(), 1e-2, 1e-4)
    said = shift.update(5, 0, np.zeros(FEATURES, np.int64))
    assert (said.log10_page == 0).all()
    assert shift.statistic() is None
    assert shift.flag().n[0] == 0
    assert not shift.direction().any()


def test_reset_takes_evidence_and_unfinished_blocks_away():
    rng, shift = np.random.default_rng(7), EmbeddingShift.fit(baseline(), 1e-3, 1e-5)
    for _ in range(8):
        shift.update(0, 30, window(rng, 0, second_half=1.0))
    with pytest.raises(ValueError, match="page_rate"):
        shift.reset(page_rate=2.0)
    assert shift.statistic() is not None
    shift.reset(page_rate=1e-6)
    same(shift.snapshot(), EmbeddingShift.fit(baseline(), 1e-3, 1e-6).snapshot())


def test_baseline_survives_its_snapshot():
    same(baseline().snapshot(), EmbeddingBaseline.restore(baseline().snapshot()).snapshot())


def test_memory_and_cost_stay_small(monkeypatch):
    monkeypatch.setattr(embedding_baseline, "WEEKS", 8)
    rng, learner = np.random.default_rng(8), EmbeddingLearner()
    sums = window(rng, 0)
    for hour in range(12 * HOURS):  # four weeks more than are kept
        learner.add(*divmod(hour, HOURS), 30, sums)
    state = learner.snapshot()
    assert len(state["week_1_u"]) <= 8 * HOURS
    assert set(state["week_1_period"].tolist()) == set(range(4, 12))
    assert sum(value.nbytes for value in state.values()) < 5_000_000
    shift, begun = EmbeddingShift.fit(baseline(), 1e-3, 1e-5), time.perf_counter()
    for _ in range(200):
        shift.update(0, 30, sums)
    assert (time.perf_counter() - begun) / 200 < 2e-3


@pytest.mark.parametrize(("hour", "n", "size"), [(168, 1, FEATURES), (-1, 1, FEATURES), (0, -1, FEATURES), (0, 1, 3)])
def test_impossible_windows_are_refused(hour, n, size):
    with pytest.raises(ValueError, match="no window"):
        EmbeddingShift.fit(baseline(), 1e-3, 1e-5).update(hour, n, np.zeros(size, np.int64))
    with pytest.raises(ValueError, match="no window"):
        EmbeddingLearner().add(0, hour, n, np.zeros(size, np.int64))


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="two days"):
        learned(1).fit(0.01)
    with pytest.raises(ValueError, match="delta"):
        EmbeddingLearner().fit(1.0)
