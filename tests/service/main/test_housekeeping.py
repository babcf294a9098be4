"""The history stays small: what is old goes, in small steps, and never in the decider's way."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from service.config import Config
from service.main import housekeeping
from service.main.housekeeping import Housekeeper

DAY = 86_400.0
NOW = 100 * DAY


def configured(**changes: Any) -> Config:
    return Config.model_validate({"source": {"kind": "http"}, "models": {"bot": {"bundle": "b"}}, **changes})


class Rows:
    """A history that notes what it is asked for."""

    def __init__(self, hours: int = 3) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.steps = 0
        self.hours = hours

    def _step(self) -> Iterator[int]:
        for _ in range(self.hours):
            self.steps += 1
            yield 10

    def fold(self, since: float, before: float) -> Iterator[int]:
        self.asked.append(("fold", since, before))
        return self._step()

    def prune(self, before: float) -> Iterator[int]:
        self.asked.append(("prune", before))
        return self._step()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PAUSE", 0.0)
    monkeypatch.setattr(housekeeping, "_LOOK", 0.001)


def test_a_round_folds_and_deletes_by_the_settings_and_goes_on_where_it_was(caplog: pytest.LogCaptureFixture) -> None:
    keeper, rows = Housekeeper(configured(history={"keep": "9 days", "slices_by_hour_after": "2 days"})), Rows()
    with caplog.at_level(logging.INFO):
        keeper.tidy(rows, NOW, threading.Event())
        keeper.tidy(rows, NOW + 3600, threading.Event())
    assert rows.asked == [
        ("fold", 0.0, NOW - 2 * DAY),
        ("prune", NOW - 9 * DAY),
        ("fold", NOW - 2 * DAY, NOW + 3600 - 2 * DAY),
        ("prune", NOW + 3600 - 9 * DAY),
    ]
    assert rows.steps == 12
    assert caplog.messages == ["old rows of the history deleted"] * 2


def test_windows_of_an_hour_are_not_folded() -> None:
    rows = Rows()
    Housekeeper(configured(windows={"length": "1 h"})).tidy(rows, NOW, threading.Event())
    assert [what for what, *_ in rows.asked] == ["prune"]


def test_it_ends_between_two_steps_and_begins_again_there() -> None:
    keeper, rows, stop = Housekeeper(configured()), Rows(), threading.Event()
    stop.set()
    keeper.tidy(rows, NOW, stop)
    assert rows.steps == 1
    keeper.tidy(rows, NOW, threading.Event())
    assert rows.asked[-2] == ("fold", 0.0, NOW - DAY)


def test_a_history_that_does_not_answer_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Away(Rows):
        def prune(self, before: float) -> Iterator[int]:
            raise ConnectionError("secret of the database")

    keeper = Housekeeper(configured())
    with caplog.at_level(logging.INFO):
        keeper.tidy(Away(0), NOW, threading.Event())
    assert caplog.messages == ["old rows of the history could not be deleted"]
    assert "secret" not in caplog.text


def test_the_thread_waits_for_a_history_and_for_being_the_decider() -> None:
    keeper, rows, stop = Housekeeper(configured()), Rows(), threading.Event()
    found: list[Rows] = []
    newest: list[float] = []
    thread = threading.Thread(target=keeper.run, args=(stop, lambda: next(iter(found), None), lambda: next(iter(newest), None)))
    thread.start()
    found.append(rows)
    time.sleep(0.02)
    assert rows.asked == []
    newest.append(NOW)
    deadline = time.monotonic() + 10
    while rows.steps < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    stop.set()
    thread.join(10)
    assert rows.steps == 6
    assert len(rows.asked) == 2
