"""Calibration: p-values, the PAC bound and what groups do to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import FAR, STRANGE, Calibration


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(-6, 6))
def test_p_value_counts_ties_as_at_least(scores, score):
    p = Calibration.fit(np.array(scores, float)).p_values(np.array([score], float))
    assert p.dtype == np.float32
    assert p[0] == np.float32((1 + sum(s >= score for s in scores)) / (len(scores) + 1))


@pytest.mark.parametrize(("rows", "bound"), [(500, 0.075), (1_000, 0.067), (2_000, 0.062), (5_000, 0.0574), (20_000, 0.0537)])
def test_pac_bound_has_the_published_values(rows, bound):
    assert Calibration.fit(np.arange(rows)).pac_bound(STRANGE, 0.01) == pytest.approx(bound, abs=0.0007)


@pytest.mark.parametrize("alpha", [STRANGE, FAR])
def test_pac_bound_fails_in_a_share_delta_of_draws(alpha):
    rng, delta, failed = np.random.default_rng(3), 0.1, 0
    for _ in range(2_000):
        calibration = Calibration.fit(rng.random(400))
        worst = calibration.scores[np.flatnonzero(calibration.p_values(calibration.scores) > alpha)[-1]]
        failed += 1 - worst > calibration.pac_bound(alpha, delta)
    assert 0.08 <= failed / 2_000 <= 0.12


def test_conversations_are_worth_fewer_rows():
    rng = np.random.default_rng(1)
    effective = []
    for _ in range(20):
        groups = np.repeat(np.arange(200), 100)
        # A flag rate of its own in each conversation: intra-class correlation 0.1.
        rate = rng.beta(0.05 * 9, 0.95 * 9, 200)[groups]
        effective.append(Calibration.fit(rng.random(20_000) + (rng.random(20_000) < rate), groups).n_effective)
    calibration = Calibration(np.arange(20_000.0), float(np.median(effective)))
    assert calibration.pac_bound(STRANGE, 0.01) == pytest.approx(0.062, abs=0.002)


def test_groups_that_mean_nothing_cost_little():
    rng = np.random.default_rng(2)
    calibration = Calibration.fit(rng.random(20_000), rng.integers(0, 2_000, 20_000))
    assert 15_000 < calibration.n_effective <= 20_000
    assert Calibration.fit(rng.random(50), np.arange(50)).n_effective == 50


def test_too_few_rows_to_flag_anything_still_give_a_bound():
    calibration = Calibration.fit(np.arange(40))
    assert not (calibration.p_values(np.array([1e9])) <= FAR).any()
    assert 0 < calibration.pac_bound(FAR, 0.005) < 1


def test_arrays_round_trip_and_refuse_another_version():
    calibration = Calibration.fit(np.random.default_rng(0).random(100), np.arange(100) // 4)
    again = Calibration.from_arrays(calibration.arrays())
    assert again.n_effective == calibration.n_effective
    np.testing.assert_array_equal(again.scores, calibration.scores)
    with pytest.raises(ValueError, match="version 9"):
        Calibration.from_arrays(calibration.arrays() | {"version": np.array([9])})
    with pytest.raises(ValueError, match="ascending"):
        Calibration.from_arrays(calibration.arrays() | {"scores": calibration.scores[::-1]})


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [
        ([], None, "non-empty"),
        ([1.0, np.nan], None, "finite"),
        ([1.0, 2.0], [1], "shape"),
        ([1.0, 2.0], [1, 1], "one group"),
    ],
)
def test_unusable_calibration_is_refused(scores, groups, message):
    with pytest.raises(ValueError, match=message):
        Calibration.fit(np.array(scores), None if groups is None else np.array(groups))
    with pytest.raises(ValueError, match="alpha and delta"):
        Calibration.fit(np.arange(9)).pac_bound(1.5, 0.01)
