"""The small parts of the decider: keys, rings, severity, state, encodings, what is learned."""

import json

import numpy as np
import pytest
from decider_log import TOPICS, sketch
from hypothesis import given
from hypothesis import strategies as st

from service.decider import explain, state
from service.decider import keys as keys_module
from service.decider.encoding import decode_array, decode_sketch, encode_array, encode_sketch
from service.decider.incidents import severity
from service.decider.keys import DAY, Keys
from service.decider.track import Ring, words


def test_a_key_counts_within_its_append_and_never_again() -> None:
    keys = Keys()
    assert [keys.accepts(key) for key in ("a", "a", None, "a", "b", "a")] == [True, True, True, False, True, False]
    keys.end_append(100.0)
    assert not keys.accepts("a")
    assert keys.repeats == 3


def test_a_post_that_comes_back_with_several_sketches_is_one_repeat() -> None:
    keys, again = Keys(), Keys()
    assert keys.accepts("a")
    for clock in (1.0, 2.0):
        keys.end_append(clock)
        assert not keys.accepts("a")
        again.load(json.loads(json.dumps(keys.to_json())))
        for each in (keys, again):
            assert not each.accepts("a")
            assert each.accepts(f"b{clock}")
    assert (keys.repeats, again.repeats) == (2, 2)


def test_a_key_is_forgotten_after_a_day() -> None:
    keys = Keys()
    assert keys.accepts("a")
    keys.end_append(1000.0)
    keys.end_append(1000.0 + DAY)
    assert not keys.accepts("a")
    keys.end_append(1001.0 + DAY)
    assert keys.accepts("a")


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "REMEMBERED", 10)
    keys = Keys()
    for i in range(100):
        assert keys.accepts(str(i))
        keys.end_append(float(i))
    assert len(keys.to_json()["seen"]) == 10
    assert not keys.accepts("99")


def test_keys_survive_json_in_the_middle_of_an_append() -> None:
    keys, again = Keys(), Keys()
    keys.accepts("a")
    again.load(json.loads(json.dumps(keys.to_json())))
    assert again.accepts("a")
    again.end_append(5.0)
    assert not again.accepts("a")


@given(st.integers(1, 40), st.integers(0, 300))
def test_a_ring_holds_the_newest_rows_in_order(kept: int, rows: int) -> None:
    ring = Ring(np.dtype("<i8"), kept)
    for i in range(rows):
        ring.append(i)
        assert ring.rows[-1] == i
    assert ring.rows.tolist() == list(range(max(0, rows - kept), rows))
    again = Ring(np.dtype("<i8"), kept)
    again.load(ring.rows)
    for each in (ring, again):
        for i in range(rows, rows + 3 * kept):
            each.append(i)
    assert again.rows.tolist() == ring.rows.tolist()


@pytest.mark.parametrize(
    ("level", "paging", "backlog", "expected"),
    [
        ("page", True, False, "critical"),
        ("page", True, True, "warning"),
        ("page", False, False, "warning"),
        ("ticket", True, False, "warning"),
        ("ticket", True, True, "warning"),
    ],
)
def test_the_policy_of_severity(level: str, paging: bool, backlog: bool, expected: str) -> None:
    assert severity(level, paging=paging, backlog=backlog) == expected


def test_the_first_state_that_applies_is_shown() -> None:
    everything = {"blind": True, "open_levels": ["page", "ticket"], "learning": True, "idle": True, "prompts": 0}
    calm = {"blind": False, "open_levels": [], "learning": False, "idle": False, "prompts": 200}
    changes = [("blind", False), ("open_levels", ["ticket"]), ("open_levels", []), ("learning", False), ("idle", False), ("prompts", 200)]
    shown = [state.of_stream(**everything)]  # type: ignore[arg-type]
    for name, value in changes:
        everything[name] = value
        shown.append(state.of_stream(**everything))  # type: ignore[arg-type]
    assert tuple(shown) == state.STATES
    assert everything == calm


def test_encodings_are_exact() -> None:
    for array in (
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.zeros(3, "<i8,<i4"),
        np.array([True, False]),
        np.zeros((0, 2), np.int64),
    ):
        again = decode_array(json.loads(json.dumps(encode_array(array))))
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert again.tobytes() == array.tobytes()
    made = sketch(100, 7, 2, (1, 2, 3, 4, 90))
    assert encode_sketch(decode_sketch(encode_sketch(made))) == encode_sketch(made)


def test_topic_words_and_none_of_them() -> None:
    assert words(TOPICS, 1) == "roaming"
    assert words(TOPICS, 4) == "none of the known topics"


def test_the_start_of_a_change_is_told_once_where_it_is_known_to_the_minute() -> None:
    assert explain.began(1_700_000_000.0, 1_700_000_000.0) == explain.began(1_700_000_000.0, 1_700_000_039.0) == ""
    assert explain.began(1_700_000_000.0, 1_700_000_400.0) == "began between 14 Nov 22:13 and 14 Nov 22:20"
