"""Hours of the week in which a suite may be asked: ``Mon-Fri 08:00-18:00``, or ``22:00-06:00`` for every night."""

import re
from datetime import datetime
from typing import NamedTuple, Self

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_EXPECTED = "expected hours such as '08:00-18:00' or 'Mon-Fri 08:00-18:00'"


class Window(NamedTuple):
    """Days (0 is Monday) on which it opens, and its minutes of the day; it crosses midnight when ``end`` is not after ``start``."""

    days: frozenset[int]
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[DAY[-DAY] ]HH:MM-HH:MM``. Raises ValueError otherwise."""
        match = _FORM.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(_EXPECTED)
        first, last, *clock = match.groups()
        if any(day is not None and day not in _DAYS for day in (first, last)):
            raise ValueError(_EXPECTED)
        hours = [int(number) for number in clock]
        start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if hours[1] > 59 or hours[3] > 59 or start > 1440 or end > 1440 or start == end:
            raise ValueError(_EXPECTED)
        if first is None:
            return cls(frozenset(range(7)), start, end)
        begin = _DAYS.index(first)
        span = (_DAYS.index(last) - begin) % 7 if last else 0
        return cls(frozenset((begin + step) % 7 for step in range(span + 1)), start, end)

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies in it.

        >>> night = Window.parse("Fri 22:00-06:00")
        >>> night.holds(datetime(2026, 1, 2, 23)), night.holds(datetime(2026, 1, 3, 5, 59)), night.holds(datetime(2026, 1, 3, 23))
        (True, True, False)
        """
        minute = local.hour * 60 + local.minute
        today = local.weekday() in self.days
        if self.start < self.end:
            return today and self.start <= minute < self.end
        return (today and minute >= self.start) or ((local.weekday() - 1) % 7 in self.days and minute < self.end)
