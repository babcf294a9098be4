"""Ends the process when a step that must be short does not come back.

A Kafka transaction can wait for its commit without limit, and a thread that waits there can be neither interrupted nor trusted. The
process that follows finds everything in the ledger.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

_log = logging.getLogger(__name__)

FLUSH_LIMIT = 30
"""Seconds that one flush may take."""


def _die(what: str, limit: float) -> None:
    _log.critical("%s took longer than %d s: ending the process, nothing acknowledged is lost", what, limit)
    logging.shutdown()
    os._exit(1)


class Watchdog:
    """Counts its own ticks, one a second, and not the clock: a process that was frozen and goes on is not late by that.

    ``limit`` in seconds; ``math.inf`` for a step that may take as long as it takes.
    """

    def __init__(self, limit: float = FLUSH_LIMIT, expired: Callable[[str, float], None] = _die, tick: float = 1.0) -> None:
        self._limit, self._expired, self._tick = limit, expired, tick
        self._step: tuple[str, float] | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        if self._thread:
            self._thread.join()

    @contextmanager
    def limit(self, what: str) -> Iterator[None]:
        """The body must come back within the limit."""
        self._step = (what, self._limit)
        try:
            yield
        finally:
            self._step = None

    def _watch(self) -> None:
        while not self._stopped.wait(self._tick):
            step = self._step
            if step is None:
                continue
            what, left = step
            if left <= 0:
                self._expired(what, self._limit)
                self._step = None
            elif self._step is step:
                self._step = (what, left - 1)
