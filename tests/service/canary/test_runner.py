"""The loop: what is due, who asks it, what survives a kill."""

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from canary_parts import Clock, Endpoint, items, probe
from service.canary import runner as module
from service.canary.calibration import Calibration
from service.canary.probe import Probe
from service.canary.runner import Runner
from service.canary.schedule import Schedule
from service.canary.seams import Seams
from service.records.probes import Counts, Reply, Round
from service.store import ProbeHistory

pytestmark = pytest.mark.asyncio

NOW = 1_772_409_600.0


class Away(Exception):
    """The database does not answer."""


class World:
    """One instance with its clock; several may share a history."""

    def __init__(self, history: Any, *probes: Probe, clock: Clock | None = None) -> None:
        self.clock = clock or Clock(NOW)
        self.active = True
        self.told: list[Round] = []
        self.refuse = 0
        seams = Seams(self.submit, lambda: self.active, self.clock, (Away,))
        self.runner = Runner(probes, history, seams)
        self.stop = asyncio.Event()

    def submit(self, round: Round) -> None:
        if self.refuse:
            self.refuse -= 1
            raise Away
        self.told.append(round)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.runner.run(self.stop))
        try:
            yield self
        finally:
            self.stop.set()
            await task

    async def until(self, wanted: Callable[[], object], within: float = 5.0) -> None:
        end = time.monotonic() + within
        while not wanted():
            assert time.monotonic() < end, "it did not come"
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.005)
    monkeypatch.setattr(module, "_TELL_EVERY", 0.01)


def at_slot(asked: Probe, later: float = 1.0) -> Clock:
    slot = asked.schedule.upcoming(NOW)
    assert slot is not None
    return Clock(slot.scheduled + later)


def next_slot(world: World, asked: Probe) -> None:
    slot = asked.schedule.upcoming(world.clock.now)
    assert slot is not None
    world.clock.now = slot.scheduled + 1


async def test_a_round_is_asked_once_a_slot_and_told(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    asked = probe(endpoint, items(20))
    world = World(history, asked, clock=at_slot(asked))
    async with world.running():
        await world.until(lambda: world.told)
        await asyncio.sleep(0.05)
        assert (len(world.told), set(endpoint.asked.values())) == (1, {1})
        next_slot(world, asked)
        await world.until(lambda: len(world.told) == 2)
    assert set(endpoint.asked.values()) == {2}
    assert all(told.complete and told.counts == {"arithmetic": Counts(n=20)} for told in world.told)
    assert {kept.state for kept in history.rounds()} == {"told"}
    assert len(history.results(limit=100)) == 40
    view = world.runner.views()[0]
    assert view.last == world.told[-1]
    assert view.next is not None


async def test_a_killed_round_is_gone_on_with(history: ProbeHistory) -> None:
    endpoint = Endpoint(places=2)
    endpoint.delay = 0.01
    asked = probe(endpoint, items(20))
    first = World(history, asked, clock=at_slot(asked))
    async with first.running():
        await first.until(lambda: len(history.results()) >= 6)
    assert not first.told
    had = {result.item for result in history.results()}
    again = Endpoint()
    asked = probe(again, items(20))
    second = World(history, asked, clock=Clock(first.clock.now + 60))
    async with second.running():
        await second.until(lambda: second.told)
    assert second.told[0].counts == {"arithmetic": Counts(n=20)}
    assert not had & set(again.asked)
    assert len(history.results()) == 20


async def test_a_killed_round_whose_slot_is_over_is_inconclusive(history: ProbeHistory) -> None:
    endpoint = Endpoint(places=1)
    endpoint.delay = 0.01
    asked = probe(endpoint, items(20))
    first = World(history, asked, clock=at_slot(asked))
    async with first.running():
        await first.until(lambda: len(history.results()) >= 4)
    count = len(history.results())
    again = Endpoint()
    second = World(history, probe(again, items(20)), clock=Clock(first.clock.now + 3600))
    async with second.running():
        await second.until(lambda: len(second.told) == 2)
    late, new = sorted(second.told, key=lambda told: told.scheduled)
    assert (late.complete, late.reason, late.counts["arithmetic"].n) == (False, "cancelled", count)
    assert (new.complete, new.counts["arithmetic"].n, sum(again.asked.values())) == (True, 20, 20)


async def test_two_instances_make_one_round(history: ProbeHistory) -> None:
    one, two = Endpoint(), Endpoint()
    asked = probe(one, items(20))
    first = World(history, asked, clock=at_slot(asked))
    second = World(history, probe(two, items(20)), clock=first.clock)
    due, first.clock.now = first.clock.now, first.clock.now - 5
    async with first.running(), second.running():
        await first.until(lambda: first.runner._awake and second.runner._awake)  # both look at the schedule when the slot comes
        first.clock.now = due
        await first.until(lambda: first.told or second.told)
        await asyncio.sleep(0.05)
    assert len(first.told) + len(second.told) == 1
    assert sum(one.asked.values()) + sum(two.asked.values()) == 20


async def test_a_standby_asks_nothing_and_takes_over_in_the_middle(history: ProbeHistory) -> None:
    one, two = Endpoint(places=1), Endpoint()
    one.delay = 0.01
    asked = probe(one, items(20))
    first = World(history, asked, clock=at_slot(asked))
    second = World(history, probe(two, items(20)), clock=first.clock)
    second.active = False
    async with first.running(), second.running():
        await first.until(lambda: len(history.results()) >= 5)
        assert not two.asked
        first.active = False
        await first.until(lambda: one.at_once == 0)
        second.active = True
        await second.until(lambda: second.told)
    assert not first.told
    assert second.told[0].counts["arithmetic"].n == 20
    assert len(history.results()) == 20
    assert sum(one.asked.values()) + sum(two.asked.values()) <= 21  # at most the one in flight twice


async def test_a_clock_that_jumps_asks_nothing_twice(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    asked = probe(endpoint, items(20))
    world = World(history, asked, clock=at_slot(asked))
    start = world.clock.now
    async with world.running():
        await world.until(lambda: len(world.told) == 1)
        world.clock.now = start + 10 * 3600  # forward: the skipped rounds are not made up for
        await world.until(lambda: len(world.told) == 2)
        world.clock.now = start  # back: this round is there
        await asyncio.sleep(0.1)
        assert len(world.told) == 2
        world.clock.now = start + 3600  # a round that was skipped
        await world.until(lambda: len(world.told) == 3)
    assert len({told.id for told in world.told}) == 3


async def test_what_the_ledger_does_not_take_is_told_later_also_after_a_restart(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    asked = probe(endpoint, items(20))
    world = World(history, asked, clock=at_slot(asked))
    world.refuse = 10**9
    async with world.running():
        await world.until(lambda: history.rounds() and history.rounds()[0].state == "ended")
        await asyncio.sleep(0.05)
    assert not world.told
    second = World(history, asked, clock=world.clock)
    second.refuse = 2
    async with second.running():
        await second.until(lambda: second.told)
        await second.until(lambda: not history.unfinished())
    assert [told.counts["arithmetic"].n for told in second.told] == [20]


async def test_answers_wait_for_a_history_that_is_away(history: ProbeHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([True, True, *[False] * 1000])

    class Flaky:
        def __getattr__(self, name: str) -> Any:
            return getattr(history, name)

        def record(self, *given: Any) -> None:
            if next(calls):
                raise Away
            history.record(*given)

    endpoint = Endpoint()
    asked = probe(endpoint, items(3))
    world = World(Flaky(), asked, clock=at_slot(asked))
    async with world.running():
        await world.until(lambda: world.told)
    assert len(history.results()) == 3
    assert set(endpoint.asked.values()) == {1}


async def test_a_budget_too_small_for_the_round_asks_nothing(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    endpoint.left = 19
    asked = probe(endpoint, items(20))
    world = World(history, asked, clock=at_slot(asked))
    async with world.running():
        await world.until(lambda: world.told)
    assert (world.told[0].complete, world.told[0].reason, endpoint.asked) == (False, "budget", {})
    assert world.runner.totals.skipped["bot", "live", "pack/suite", "budget"] == 20


async def test_what_golden_suites_still_need_today_is_left_to_them(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    golden, rest = probe(endpoint, items(20), suite="p/golden"), probe(endpoint, items(20), suite="p/rest", kind="capability")
    clock = Clock((NOW // 86_400) * 86_400 + 43_200)
    endpoint.left = 20 * 12 + 19  # rounds of the golden suite until midnight, and not quite one more
    world = World(history, golden, rest, clock=clock)
    async with world.running():
        for _ in range(2):
            await asyncio.sleep(0.1)
            clock.now += 3600 * 0.6
            endpoint.left = 20 * 12 + 19
        await world.until(lambda: len({told.suite for told in world.told}) == 2)
    reasons = {told.suite: told.reason for told in world.told}
    assert reasons["p/golden"] == ""
    assert "budget" in {told.reason for told in world.told if told.suite == "p/rest"}


async def test_asked_by_hand_it_is_no_evidence(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    asked = probe(endpoint, items(20))
    closed = replace(asked, suite="pack/closed", blocked="no")
    slot = asked.schedule.upcoming(NOW)
    world = World(history, asked, closed, clock=Clock(slot.deadline - 1))  # too late to begin what is scheduled
    async with world.running():
        ids = world.runner.ask_now(suite=None)
        assert len(ids) == 1
        assert "/now-" in ids[0]
        await world.until(lambda: [kept for kept in history.rounds() if kept.state == "manual"])
        await asyncio.sleep(0.05)
    assert not world.told
    assert [kept.round.id for kept in history.rounds()] == ids
    assert world.runner.views()[1].blocked == "no"


async def test_a_mistake_of_ours_ends_the_loop(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    asked = replace(probe(endpoint, items(1)), questions=lambda id: 1 / 0)
    world = World(history, asked, clock=at_slot(asked))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(world.runner.run(world.stop), 5)


async def test_a_fingerprint_suite_counts_what_changed(history: ProbeHistory) -> None:
    endpoint = Endpoint()
    asked = replace(probe(endpoint, items(10), kind="fingerprint"), size=10)
    world = World(history, asked, clock=at_slot(asked))
    async with world.running():
        for count in range(1, 9):
            await world.until(lambda count=count: len(world.told) == count)
            if count == 6:
                endpoint.otherwise = Reply(text="right", model="m2", tokens_in=4)
            next_slot(world, asked)
        await world.until(lambda: len(world.told) == 9)
    assert world.told[0].counts == {"arithmetic": Counts()}
    same = {"arithmetic": Counts(), "identity": Counts(10), "tokens": Counts(10)}
    assert [dict(told.counts) for told in world.told[1:6]] == [same] * 5
    assert world.told[6].counts["identity"] == Counts(10, 10)
    assert world.told[6].counts["tokens"] == Counts(10, 10)
    assert len({told.key for told in world.told}) == 1


async def test_a_thousand_slow_streams_do_not_hold_up_the_schedule(history: ProbeHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.2)
    busy, quick = Endpoint("busy", places=1000), Endpoint("quick")
    busy.delay = 3.0
    slow = probe(busy, items(1000), suite="p/slow", kind="capability", every=60.0)
    often = probe(quick, items(1), suite="p/often", every=2.0)
    start = time.monotonic()
    world = World(history, slow, often)
    slot = slow.schedule.upcoming(NOW)

    class Passing(Clock):
        def __call__(self) -> float:
            return slot.scheduled + time.monotonic() - start

    world.runner._seams = replace(world.runner._seams, clock=Passing())
    async with world.running():
        await world.until(lambda: any(told.suite == "p/slow" for told in world.told), within=20)
    assert busy.most_at_once == 1000
    assert world.runner.totals.late < 1.0
    assert sum(told.suite == "p/often" for told in world.told) >= 1


async def test_a_judge_is_asked_its_labelled_answers_once_for_all_its_models(history: ProbeHistory) -> None:
    said = iter([Counts(n=38, bad=2, unscored=1, error=1), Counts(n=20, error=20)])

    async def ask() -> Counts:
        return next(said)

    judge = Calibration("main", ("bot", "other"), Schedule("judge/main", 86_400.0), ask, "key", 40, 40)
    world = World(history, clock=Clock(judge.schedule.upcoming(NOW).scheduled + 1))
    world.runner.judges = (judge,)
    async with world.running():
        await world.until(lambda: len(world.told) == 2)
        world.clock.now = judge.schedule.upcoming(world.clock.now).scheduled + 1
        await world.until(lambda: len(world.told) == 4)
    first, second, *later = world.told
    assert [told.model_name for told in (first, second)] == ["bot", "other"]
    assert (first.kind, first.suite, first.complete, first.counts[""]) == ("judge", "judge/main", True, Counts(38, 2, 1, 1))
    assert (first.calls, second.calls) == (40, 0)
    assert [(told.complete, told.reason) for told in later] == [(False, "errors")] * 2
