import asyncio

import pytest

from service.config import Rate
from service.probes.pacing import LONGEST_PAUSE, Pace

pytestmark = pytest.mark.asyncio


class Clock:
    """Time that passes when somebody waits, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def pace(clock: Clock, per_minute: float = 60.0, concurrency: int = 2) -> Pace:
    return Pace(Rate(per_minute=per_minute, concurrency=concurrency), clock, clock.sleep)


async def take(each: Pace, count: int, clock: Clock) -> list[float]:
    times = []
    for _ in range(count):
        async with each.turn():
            times.append(clock.now - 1000.0)
    return times


async def test_a_burst_of_the_concurrency_and_then_the_rate() -> None:
    clock = Clock()
    assert await take(pace(clock), 6, clock) == [0, 0, 1, 2, 3, 4]


async def test_idle_time_is_not_saved_beyond_the_burst() -> None:
    clock = Clock()
    each = pace(clock)
    await take(each, 1, clock)
    clock.now += 3600
    assert [round(t - 3600, 6) for t in await take(each, 4, clock)] == [0, 0, 1, 2]


async def test_no_more_at_once_than_configured() -> None:
    each = pace(Clock(), per_minute=1e9, concurrency=3)
    running = most = 0

    async def one() -> None:
        nonlocal running, most
        async with each.turn():
            running += 1
            most = max(most, running)
            for _ in range(10):
                await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert most == 3


async def test_being_told_to_step_back_pauses_the_whole_target_and_halves_its_rate() -> None:
    clock = Clock()
    each = pace(clock)
    each.step_back(30)
    assert (each.paused, each.factor) == (30, 0.5)
    times = await take(each, 4, clock)
    assert times[0] == 30
    assert times[3] - times[2] == 2
    for _ in range(20):
        each.answered(1.0)
    assert each.factor == 1.0


async def test_who_waits_already_waits_longer_when_the_target_is_told_to_step_back() -> None:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        if clock.now < 1001.0:
            each.step_back(60)
        await clock.sleep(seconds)

    each = Pace(Rate(per_minute=60, concurrency=1), clock, sleep)
    assert await take(each, 2, clock) == [0, 60]


async def test_no_pause_is_longer_than_the_longest() -> None:
    each = pace(Clock())
    each.step_back(float("inf"))
    assert each.paused == LONGEST_PAUSE
    for _ in range(20):
        each.step_back()
    assert each.factor == 1 / 16


async def test_a_target_that_slows_is_asked_less_often_until_it_recovers() -> None:
    each = pace(Clock())
    for _ in range(100):
        each.answered(1.0)
    assert each.factor == 1.0
    for _ in range(19):
        each.answered(3.5)
    assert each.factor < 1.0
    for _ in range(60):
        each.answered(1.0)
    assert each.factor == 1.0
    for _ in range(100):
        each.answered(2.5)
    assert each.factor == 1.0
