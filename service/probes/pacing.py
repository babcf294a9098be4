"""How fast a target is asked: a rate, a number at once, and stepping back when it says so or slows down."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median

from service.config import Rate

LONGEST_PAUSE = 300.0
"""Seconds that a Retry-After may ask for; what is longer is tried again after this."""

_PAUSE = 1.0
_SLOWEST = 1 / 16
_RECENT, _USUAL = 20, 200
_SLOW = 3.0
_RECOVERY = 1.1


class Pace:
    """One target's token bucket: at most ``per_minute`` requests a minute on the long run, ``concurrency`` at once and as a burst.

    A 429 pauses the whole target and halves its rate; so does a recent median time of over three times the usual one. Every answer after
    that raises the rate by a tenth, up to what is configured.

    Args:
        settings: the rate.
        clock, sleep: seconds that only grow, and how to wait for them.
    """

    def __init__(
        self, settings: Rate, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._interval = 60.0 / settings.per_minute
        self._burst = settings.concurrency
        self._clock, self._sleep = clock, sleep
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._starting = asyncio.Lock()
        self._due = float("-inf")
        self._paused_until = float("-inf")
        self._factor = 1.0
        self._times: deque[float] = deque(maxlen=_USUAL)
        self._since_slow = 0

    @property
    def factor(self) -> float:
        """Part of the configured rate that is used now, 1/16 to 1."""
        return self._factor

    @property
    def paused(self) -> float:
        """Seconds until the target is asked again; 0 when it is not paused."""
        return max(self._paused_until - self._clock(), 0.0)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more request may be sent; the request is made inside."""
        async with self._slots:
            async with self._starting:
                # The wait may have grown meanwhile: another request was told to step back.
                while (wait := self._wait()) > 0:
                    await self._sleep(wait)
                interval = self._interval / self._factor
                self._due = max(self._due, self._clock() - (self._burst - 1) * interval) + interval
                # One start in each turn of the event loop: a thousand in one would hold up everything else for seconds.
                await asyncio.sleep(0)
            yield

    def _wait(self) -> float:
        return max(self._due, self._paused_until) - self._clock()

    def step_back(self, seconds: float | None = None) -> None:
        """The target has had too much (429, 503 with Retry-After): pause all of it, for ``seconds`` where it named a time."""
        pause = _PAUSE / self._factor if seconds is None else seconds
        self._paused_until = max(self._paused_until, self._clock() + min(max(pause, 0.0), LONGEST_PAUSE))
        self._factor = max(self._factor / 2, _SLOWEST)

    def answered(self, seconds: float) -> None:
        """An answer took so long; a target that slows is asked less often."""
        self._times.append(seconds)
        self._since_slow += 1
        times = list(self._times)
        slow = len(times) >= 2 * _RECENT and median(times[-_RECENT:]) > _SLOW * median(times[:-_RECENT])
        if slow and self._since_slow >= _RECENT:
            self._since_slow = 0
            self._factor = max(self._factor / 2, _SLOWEST)
        elif not slow:
            self._factor = min(self._factor * _RECOVERY, 1.0)
