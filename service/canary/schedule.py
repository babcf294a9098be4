"""When a suite is asked: a pure function of the suite, its interval and a seed, so that two instances make the same rounds.

Time is cut into slots of one interval, counted from the epoch. In each slot a suite has one scheduled time, moved from the slot's start by
a phase of its own (not all suites begin at once) and by jitter (no pattern that something else in the system could share). Both come from a
digest. Slots are cut in UTC, so summer time and leap days change nothing; a window (``08:00-18:00``) is that of the local clock, and a
scheduled time outside of it moves to where it next opens in the same slot. A clock that jumps forward skips slots, one that jumps back
finds rounds that are there already.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

MOST_JITTER = 0.5
"""Of the interval: more, and two rounds could come together."""


_WEEK_FROM = 1_772_409_600.0  # a Monday; which one does not matter


class Window(Protocol):
    """Hours of the week; implemented by service.probes.window.Window."""

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies in it."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Slot:
    """One scheduled round. ``number`` counts slots from the epoch; the round must end by ``deadline``, where the next slot begins."""

    number: int
    scheduled: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """When one suite is asked at one target.

    Attributes:
        name: ``<model>/<target>/<suite>``.
        every: interval in seconds, at least 2. jitter: part of the interval. window: when it may be asked, None is always;
            hashable. zone: of the window.
        stretch: only every so many slots is used, where the budget of the day does not reach for all.
    """

    name: str
    every: float
    jitter: float = 0.1
    window: Window | None = None
    zone: str = "UTC"
    seed: str = ""
    stretch: int = 1

    @property
    def interval(self) -> float:
        """Seconds between two rounds."""
        return self.every * self.stretch

    def slot(self, number: int) -> Slot | None:
        """The slot of this number; None where the window is closed for all of it."""
        start, stop = self._begins(number), self._begins(number + 1)
        at = _opening(self.window, self.zone, start, stop)
        return None if at is None else Slot(number, at, stop)

    def current(self, now: float) -> Slot | None:
        """The slot that ``now`` lies in, from its scheduled time on; None where it has not come yet or the window is closed."""
        number = int(now // self.interval) + 1
        while self._begins(number) > now:
            number -= 1
        slot = self.slot(number)
        return slot if slot is not None and slot.scheduled <= now else None

    def upcoming(self, now: float, within: float = 8 * 86_400.0) -> Slot | None:
        """The next slot after ``now``; None where the window is closed for ``within`` seconds, and for two intervals."""
        number = int(now // self.interval) - 1
        while self._begins(number) <= now + max(within, 2 * self.interval):
            slot = self.slot(number)
            if slot is not None and slot.scheduled > now:
                return slot
            number += 1
        return None

    def missed(self, since: float, now: float, look: int = 100) -> int:
        """Scheduled rounds after ``since`` whose slot was over at ``now``, of the newest ``look`` slots."""
        number = int(now // self.interval) + 1
        while self._begins(number) > now:
            number -= 1
        found = 0
        for slot in map(self.slot, range(number - 1, number - 1 - look, -1)):
            if slot is not None and slot.scheduled <= since:
                break
            found += slot is not None
        return found

    def rounds_a_day(self) -> float:
        """Rounds of an average day: counted over a week where a window restricts them."""
        if self.window is None:
            return 86_400.0 / self.interval
        first = int(_WEEK_FROM // self.interval)
        numbers = range(first, first + max(1, int(7 * 86_400.0 // self.interval)))
        return sum(self.slot(number) is not None for number in numbers) / len(numbers) * 86_400.0 / self.interval

    def _begins(self, number: int) -> float:
        """Whole seconds: what a round's id says is all there is to know of it."""
        phase = (1 - MOST_JITTER) * _uniform(self.seed, self.name)
        moved = min(self.jitter, MOST_JITTER) * _uniform(self.seed, self.name, str(number))
        return float(int((number + phase + moved) * self.interval))


@lru_cache(4096)
def _opening(window: Window | None, zone: str, start: float, stop: float) -> float | None:
    """The first moment in [start, stop), minute by minute, at which the window is open."""
    if window is None:
        return start
    local, at = ZoneInfo(zone), start
    while at < stop:
        if window.holds(datetime.fromtimestamp(at, local)):
            return at
        at += 60.0
    return None


def _uniform(*parts: str) -> float:
    """A number in [0, 1) that these texts always give."""
    digest = hashlib.blake2b("\x00".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
