"""Event time for the probes: the week waits wherever a round is due, until the decider has been told what it came to."""

import heapq
import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from service.canary.schedule import Schedule
from service.logging import fields
from service.main.demo.traffic import DAY
from service.pipeline.pipeline import Source
from service.records import Batch, Partition

_log = logging.getLogger(__name__)

FEWEST = 64
PROMPTS_PER_SECOND = 3.0
"""What is read at once before a round: fewer than come in the time until then, so that little is read past it."""

PATIENCE = 120.0
"""Seconds of real time after which the week goes on without a round."""


class Pace:
    """The clock that the probes are asked by. Without it a week of a minute would have asked some rounds late and others never.

    Args:
        schedules: of what is asked. start: event time at which the week begins.
        moved: told the time, before anything is asked at it.
    """

    def __init__(self, schedules: Sequence[Schedule], start: float, moved: Callable[[float], None] = lambda time: None) -> None:
        self._changed = threading.Condition()
        self._told: set[str] = set()
        self._closed = False
        self._moved = moved
        self._due: list[tuple[float, int]] = []
        self._schedules = tuple(schedules)
        for number in range(len(self._schedules)):
            self._plan(number, start)
        self._now = self._due[0][0] if self._due else start

    def now(self) -> float:
        """Seconds since the epoch, of the script."""
        return self._now

    @property
    def due(self) -> float:
        """When the next round is due; inf when none is."""
        return self._due[0][0] if self._due else math.inf

    def told(self, id: str) -> None:
        """The decider was told of a round."""
        with self._changed:
            self._told.add(id)
            self._changed.notify_all()

    def reach(self, time: float) -> None:
        """The prompts have come to ``time``: let every round that is due until then be asked, in order."""
        while self._due and self._due[0][0] <= time and not self._closed:
            scheduled, number = heapq.heappop(self._due)
            self._set(scheduled)
            id = f"{self._schedules[number].name}/{scheduled:.0f}"
            with self._changed:
                came = self._changed.wait_for(lambda id=id: self._closed or id in self._told, PATIENCE)  # type: ignore[misc]
            if not came:
                _log.error("the week goes on without a round of probes", extra=fields(id=id))
            self._plan(number, scheduled)
        self._set(time)

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _set(self, time: float) -> None:
        if time >= self._now:
            self._moved(time)
            self._now = time

    def _plan(self, number: int, after: float) -> None:
        slot = self._schedules[number].upcoming(after)
        if slot is not None:
            heapq.heappush(self._due, (slot.scheduled, number))


class Paced:
    """A source that reads on when the rounds of what it handed over have been asked; all else is the source's own.

    What was handed over when a round is due goes to the ledger before that round, as it does where time passes by itself.

    Args:
        source: of the week. pace: the clock. start: event time at which the week begins.
    """

    def __init__(self, source: Source, pace: Pace, start: float) -> None:
        self._source, self._pace, self._until = source, pace, start
        self._reached: dict[Partition, float] = {}

    def poll(self, limit: int, timeout: float) -> Batch:
        """See the contract; up to the next round, or a few prompts more."""
        self._pace.reach(self._until)
        near = min(self._pace.due - self._until, DAY)
        batch = self._source.poll(min(limit, max(FEWEST, int(near * PROMPTS_PER_SECOND))), timeout)
        self._reached |= {name: progress.time for name, progress in batch.progress.items()}
        if batch.partitions:
            self._until = max(self._until, min(self._reached.get(name, -math.inf) for name in batch.partitions))
        return replace(batch, urgent=True) if self._until >= self._pace.due else batch

    def __getattr__(self, name: str) -> Any:
        """Everything else."""
        return getattr(self._source, name)
