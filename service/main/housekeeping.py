"""The thread that keeps the history small: beside the decider, in short transactions, and never in its way."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol

from service.config import Config
from service.logging import fields

_log = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between two rounds."""

PAUSE = 0.05
"""Seconds left to the writers of the history after each transaction."""

_LOOK = 1.0


class History(Protocol):
    """The history, as far as old rows go; see service.store.Store."""

    def fold(self, since: float, before: float) -> Iterator[int]:
        """Sum windows of slices by the hour."""
        ...

    def prune(self, before: float) -> Iterator[int]:
        """Delete verdicts and windows."""
        ...


class Housekeeper:
    """Folds and deletes what is old, measured in event time from the newest window that was judged."""

    def __init__(self, config: Config) -> None:
        # Windows of an hour and more are what folding would make of them.
        self._settings, self._folds = config.history, config.windows.length < 3600
        self._folded = 0.0

    def run(self, stop: threading.Event, history: Callable[[], History | None], newest: Callable[[], float | None]) -> None:
        """Until ``stop``; ``history`` is None until it is connected, ``newest`` where another process decides."""
        due = 0.0
        while not stop.wait(_LOOK):
            if time.monotonic() >= due and (found := history()) is not None and (now := newest()) is not None:
                due = time.monotonic() + EVERY
                self.tidy(found, now, stop)

    def tidy(self, history: History, now: float, stop: threading.Event) -> None:
        """One round. A history that does not answer is tried again in the next."""
        before = now - self._settings.slices_by_hour_after
        fold = history.fold(self._folded, before) if self._folds else iter(())
        gone = 0
        try:
            for rows in chain(fold, history.prune(now - self._settings.keep)):
                gone += rows
                if stop.wait(PAUSE):
                    return
            self._folded = max(0.0, before // 3600 * 3600)
        except Exception as error:  # whatever a database may raise, deciding goes on
            _log.warning("old rows of the history could not be deleted", extra=fields(error=type(error).__name__))
        if gone:
            _log.info("old rows of the history deleted", extra=fields(rows=gone))
