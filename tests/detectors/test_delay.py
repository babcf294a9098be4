"""The detection table."""

import numpy as np
import pytest

from detectors.delay import detection_table

COMMON = {"page_rate": 1 / 259_200, "flag_rate": 0.05, "prompts_per_window": 200}


def test_larger_changes_are_seen_sooner_and_tiny_ones_never():
    rows = detection_table(0.0537, 1.0, rises=[0.001, 0.02, 0.05, 0.3], **COMMON)
    assert [row.rise for row in rows] == [0.001, 0.02, 0.05, 0.3]
    assert rows[0].median == np.inf
    assert 40 <= rows[1].median <= 60
    assert 7 <= rows[2].median <= 11
    assert rows[3].median <= 4
    assert all(row.late >= row.median for row in rows)


def test_the_seed_decides_everything():
    assert detection_table(0.06, 3.0, rises=[0.1], **COMMON) == detection_table(0.06, 3.0, rises=[0.1], **COMMON)


@pytest.mark.parametrize("change", [{"prompts_per_window": 20}, {"null": 0.1}, {"design_effect": 5.0}, {"page_rate": 1e-15}])
def test_less_to_go_by_takes_longer(change):
    usual = {"null": 0.0537, "design_effect": 1.0, **COMMON}
    slow = usual | change
    (first,) = detection_table(usual.pop("null"), usual.pop("design_effect"), rises=[0.1], **usual)
    (second,) = detection_table(slow.pop("null"), slow.pop("design_effect"), rises=[0.1], **slow)
    assert second.median > first.median


def test_fractions_of_a_prompt_a_window_work():
    (row,) = detection_table(0.0537, 1.0, rises=[0.5], **(COMMON | {"prompts_per_window": 0.7}))
    assert 10 < row.median < 200


@pytest.mark.parametrize(
    "change", [{"rises": [0.0]}, {"rises": [1.5]}, {"flag_rate": 0.0}, {"page_rate": 0.0}, {"prompts_per_window": 0}, {"sensitivity": 2.0}]
)
def test_impossible_questions_are_refused(change):
    with pytest.raises(ValueError, match=r"rises|flag_rate"):
        detection_table(0.0537, 1.0, **({"rises": [0.1]} | COMMON | change))
