"""Prompts against the hour of the week: what is learned, what is told and how soon; benchmarks/volume.py has the false tickets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.volume import RATE, RHYTHM, clocked, watch
from detectors.contract import Evidence
from detectors.volume import LONGEST_GAP, Run, Volume
from detectors.volume_baseline import FLOOR, VolumeBaseline

DAY, MONDAY = 1440, 4 * 86_400  # 5 January 1970


def fit(n: np.ndarray, *, first: int = 0, minutes: int = 1, kept: np.ndarray | None = None) -> VolumeBaseline:
    at = (first + np.arange(n.size)) if kept is None else kept
    start = 60 * minutes * at
    n = n if kept is None else n[kept]
    return VolumeBaseline.fit(start, n.astype(np.int64), start // 86_400, start // 3600 % 168, window=60.0 * minutes, delta=0.001)


def drawn(span: int, seed: int = 0, **world: float) -> np.ndarray:
    return clocked(200, **world)(np.random.default_rng(seed), span * DAY)


@pytest.fixture(scope="module")
def rhythm() -> VolumeBaseline:
    return fit(drawn(28, **RHYTHM))


def test_levels_are_those_of_the_hour_of_the_week(rhythm: VolumeBaseline) -> None:
    at = np.arange(168) * 60 + 30
    weekend = np.where(np.arange(168) >= 120, 0.4, 1.0)
    assert rhythm.level == pytest.approx(15 * 200 * (1 + 0.6 * np.sin(2 * np.pi * at / DAY)) * weekend, rel=0.06)
    assert (rhythm.stage, rhythm.days, rhythm.seconds) == ("full", 28, 900.0)
    assert rhythm.day_cv < 0.02
    assert not rhythm.may_page
    assert (rhythm.beyond >= FLOOR).all()
    assert (rhythm.beyond[:, 1] >= rhythm.beyond[:, 0]).all()


def test_one_strange_week_and_windows_that_were_not_learned_move_little() -> None:
    n = drawn(28, **RHYTHM)
    usual, odd = fit(n), n.copy()
    odd[7 * DAY : 9 * DAY] *= 0.1
    holes = np.flatnonzero(np.random.default_rng(1).random(n.size // 240).repeat(240) > 0.1)
    for made in (fit(odd), fit(n, kept=holes)):
        assert made.level == pytest.approx(usual.level, rel=0.06)
        assert made.beyond.max() < usual.beyond.max() + 0.45


def test_days_that_differ_leave_room_for_tomorrow() -> None:
    made = fit(drawn(28, seed=2, days=0.1, **RHYTHM))
    assert 0.06 < made.day_cv < 0.15
    assert 4 * made.day_cv < made.beyond[:, 0].min() < 0.69
    assert made.design_effect < 4


def test_two_weeks_know_weekdays_and_fewer_take_the_hour_of_the_day() -> None:
    n = drawn(28, **RHYTHM)
    two, one = fit(n[: 15 * DAY]), fit(n[: 10 * DAY])
    assert (two.stage, one.stage) == ("paging", "short")
    assert two.level[10] > 1.8 * two.level[130]
    assert one.level[10] == one.level[130]
    assert one.beyond.min() > 0.5


def test_thin_traffic_is_judged_by_the_hour_and_the_thinnest_not_at_all() -> None:
    thin = fit(clocked(1)(np.random.default_rng(0), 28 * DAY))
    assert thin.seconds == 3600
    assert thin.level == pytest.approx(np.full(168, 60), rel=0.35)
    with pytest.raises(ValueError, match="two days with an hour of 20 prompts"):
        fit(clocked(0.1)(np.random.default_rng(0), 28 * DAY))
    for windows in (0, 1, 2, 700):
        with pytest.raises(ValueError, match="two days"):
            fit(np.full(windows, 50.0))


def test_windows_that_do_not_divide_an_hour_fill_whole_blocks() -> None:
    made = VolumeBaseline.fit(
        at := 420 * np.arange(28 * 205, dtype=np.int64), np.full(at.size, 70), at // 86_400, at // 3600 % 168, window=420.0, delta=0.01
    )
    assert made.seconds == 1260
    assert made.level == pytest.approx(np.full(168, 210.0))


@pytest.mark.parametrize(("factor", "falling"), [(0.0, True), (0.33, True), (0.5, True), (2.0, False)])
def test_a_step_is_told_within_two_hours_with_its_side(rhythm: VolumeBaseline, factor: float, falling: bool) -> None:
    begin = 30 * DAY + 600
    n = drawn(31, seed=1, **RHYTHM)[begin:].copy()
    n[120:] = np.round(n[120:] * factor)
    detector = Volume.fit(rhythm, RATE)
    told = watch(detector, n[:300], begin)
    assert told
    assert 120 < told[0] < 240
    assert detector.run is not None
    assert detector.run.falling is falling
    assert detector.run.prompts / detector.run.usual == pytest.approx(factor, abs=0.1)
    assert detector.run.since == 60 * (begin + 120)


def test_quiet_weeks_open_nothing_and_a_fifth_fewer_is_no_news(rhythm: VolumeBaseline) -> None:
    n = drawn(42, seed=5, **RHYTHM)[28 * DAY :]
    assert watch(Volume.fit(rhythm, RATE), n, 28 * DAY) == []
    assert watch(Volume.fit(rhythm, RATE), np.round(0.85 * n), 28 * DAY) == []


def test_a_gap_is_told_when_a_window_follows_and_a_long_one_never(rhythm: VolumeBaseline) -> None:
    def after(gap: int) -> tuple[Evidence | None, Volume]:
        detector = Volume.fit(rhythm, RATE)
        begin = 28 * DAY + 600
        watch(detector, np.full(60, rhythm.level[10] / 15), begin)
        at = begin + 60 + gap
        return detector.update(60 * at, at // 60 % 168, 200, 60.0), detector

    said, detector = after(0)
    assert said is None
    said, detector = after(3 * 60)
    assert said is not None
    assert said.ticket[0]
    assert detector.run == Run(60.0 * (28 * DAY + 660), 12, 0, pytest.approx(12 * rhythm.level[10:16].mean(), rel=0.2), True, False)
    said, detector = after(int(LONGEST_GAP // 60) + 15)
    assert said is None
    assert detector.run is None


def test_a_block_that_was_begun_in_its_midst_is_not_judged(rhythm: VolumeBaseline) -> None:
    detector = Volume.fit(rhythm, RATE)
    begin = 28 * DAY + 607
    assert all(detector.update(60 * (begin + i), 10, 0, 60.0) is None for i in range(8))
    assert detector.newest is None
    said = [detector.update(60 * (begin + 8 + i), 10, 0, 60.0) for i in range(15)]
    assert [one is not None for one in said] == [False] * 14 + [True]
    assert detector.newest


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**16))
def test_a_restart_anywhere_changes_nothing(cut: int, seed: int) -> None:
    baseline = fit(drawn(15))
    rng = np.random.default_rng(seed)
    begin = 28 * DAY + int(rng.integers(0, DAY))
    windows = [(60 * at, at // 60 % 168, int(n)) for at, n in enumerate(rng.poisson(rng.choice([0, 100, 200], 420)), begin) if n]
    straight, resumed = Volume.fit(baseline, RATE), Volume.fit(baseline, RATE)
    for i, (start, hour, n) in enumerate(windows):
        if i == cut:
            resumed = Volume.restore(resumed.snapshot())
        assert repr(straight.update(start, hour, n, 60.0)) == repr(resumed.update(start, hour, n, 60.0))
        assert (straight.newest, straight.run) == (resumed.newest, resumed.run)


def test_bets_are_e_values_at_the_null(rhythm: VolumeBaseline) -> None:
    for side in (0, 1):
        for level in (0, 1):
            m = rhythm.null[side, level]
            assert 0 < m < 0.2
    detector = Volume.fit(rhythm, RATE)
    null = rhythm.null[np.repeat([0, 1], 3), np.tile([0, 1, 1], 2)]
    assert (null * np.exp(detector._hit) + (1 - null) * np.exp(detector._miss) <= 1 + 1e-12).all()


@pytest.mark.parametrize(("start", "hour", "n"), [(0, 168, 1), (0, -1, 1), (0, 0, -1)])
def test_windows_that_cannot_be_are_refused(rhythm: VolumeBaseline, start: int, hour: int, n: int) -> None:
    with pytest.raises(ValueError, match="no window"):
        Volume.fit(rhythm, RATE).update(start, hour, n, 60.0)


def test_a_window_of_a_block_that_is_over_is_refused(rhythm: VolumeBaseline) -> None:
    detector = Volume.fit(rhythm, RATE)
    detector.update(MONDAY, 0, 1, 60.0)
    with pytest.raises(ValueError, match="is over"):
        detector.update(MONDAY - 900, 167, 1, 60.0)


def test_unknown_versions_are_refused(rhythm: VolumeBaseline) -> None:
    state = Volume.fit(rhythm, RATE).snapshot()
    with pytest.raises(ValueError, match="volume state has version 9"):
        Volume.restore({**state, "version": np.array([9])})
    assert VolumeBaseline.restore(rhythm.snapshot()).snapshot().keys() == rhythm.snapshot().keys()
