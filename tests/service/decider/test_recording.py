"""The windows kept one by one."""

import json

import numpy as np
import pytest
from decider_log import START, sketch

from service.decider import recording
from service.decider.recording import REPLAYED, Recording

DAY = 86400
U = np.array([1.5, np.nan, 0.25, np.nan], np.float32)


def filled(days: int, slices: tuple[str, ...] = ("a",), length: float = 3600.0) -> Recording:
    kept = Recording(slices, length)
    for window in range(24 * days):
        if window % 24 == 0:
            kept.turn(START + 3600 * window)
        kept.append(START + 3600 * window, {"": sketch(70_000 + window, 5, 1), "a": sketch(9, 2, window % 2)}, U)
    return kept


def test_windows_come_back_as_they_were_for_28_days() -> None:
    kept = filled(REPLAYED + 5)
    found = kept.read()
    assert found is not None
    assert len(kept) == found.start.size == 24 * (REPLAYED + 1)
    assert (np.diff(found.start) == 3600).all()
    window = (found.start - START) // 3600
    assert found.counts[:, 0, 0].tolist() == (70_000 + window).tolist(), "more than 16 bits"
    assert found.counts[:, 1].tolist() == [[9, 2, w % 2] for w in window.tolist()]
    assert found.topics[:, 0].tolist() == found.counts[:, 0, 0].tolist()
    assert np.array_equal(found.u[3], U, equal_nan=True)


def test_nothing_is_lost_on_the_way_through_json_and_slices_may_come_and_go() -> None:
    kept, again, other = filled(3), Recording(("a",), 3600.0), Recording(("b", "a"), 3600.0)
    for one in (again, other):
        one.load(json.loads(json.dumps(kept.to_json())))
    assert again.to_json() == kept.to_json()
    mine, theirs = kept.read(), other.read()
    assert mine is not None
    assert theirs is not None
    assert np.array_equal(theirs.counts[:, 2], mine.counts[:, 1])
    assert not theirs.counts[:, 1].any()
    assert Recording((), 60.0).read() is None


def test_memory_is_bounded_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LARGEST", 2_000)
    kept = filled(20)
    assert 24 <= len(kept) < 200
    found = kept.read()
    assert found is not None
    assert found.start[-1] == START + 3600 * (20 * 24 - 1)
