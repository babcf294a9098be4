"""A model that is swapped, from the endpoint to the ticket: runner, decider and history, joined as in a running service."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from probe_log import Rounds, stream

from canary_parts import Clock, Endpoint, items, probe
from service.canary import runner as module
from service.canary.probe import Probe
from service.canary.runner import Runner
from service.canary.seams import Seams
from service.decider.probing.deployments import ANNOUNCED
from service.main.probing import reference_since
from service.records import Incident
from service.records.probes import Reply, Round
from service.records.probes_json import round_command
from service.store import Store

HOUR = 3600.0
SUITE = "fingerprint/tiny"
ONE, TWO, THREE = (Reply(text="right", model=name, tokens_in=3) for name in ("one", "two", "three"))


class Watched:
    """Asks ten fingerprints an hour, tells the decider, and keeps what it decided."""

    def __init__(self, store: Store) -> None:
        self.store, self.endpoint = store, Endpoint()
        self.endpoint.otherwise = ONE
        self.asked: Probe = replace(probe(self.endpoint, items(10), suite=SUITE, kind="fingerprint"), size=10)
        self.clock = Clock()
        self.told: list[Round] = []
        self.judge = Rounds(*(stream(SUITE, category, "fingerprint", items=10) for category in ("identity", "tokens")))
        seams = Seams(self.told.append, lambda: True, self.clock, announced=partial(reference_since, store))
        self.runner = Runner([self.asked], store.probes, seams)

    async def rounds(self, number: int) -> None:
        for _ in range(number):
            slot = self.asked.schedule.upcoming(self.clock.now + 1)
            assert slot is not None
            self.clock.now, told = slot.scheduled + 1, len(self.told)
            while len(self.told) == told:
                await asyncio.sleep(0.002)
            self.judge.log.add(round_command(self.told[-1]))
            self._decide()

    def say(self, kind: str, **arguments: Any) -> None:
        self.judge.log.command(kind, id=f"{kind}-{self.clock.now}", time=self.clock.now, model="bot", reason="r", **arguments)
        self._decide()

    def _decide(self) -> None:
        self.judge.decider.absorb(self.judge.log.drain())
        self.store.upsert(self.judge.decider.close_due(None))

    def open(self) -> list[Incident]:
        return self.judge.open()

    def changed(self) -> list[tuple[int, int]]:
        """(answers, changed) of every round so far: under which name the model answers."""
        return [(counts.n, counts.bad) for told in self.told for name, counts in told.counts.items() if name == "identity"]


async def _play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Any) -> None:
    monkeypatch.setattr(module, "TICK", 0.002)
    monkeypatch.setattr(module, "_TELL_EVERY", 0.0)
    store = Store.open(f"sqlite:///{tmp_path}/history.db")
    seen, stop = Watched(store), asyncio.Event()
    running = asyncio.create_task(seen.runner.run(stop))
    try:
        await asyncio.wait_for(story(seen), 20)
    finally:
        stop.set()
        await running
        store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("before", [8, 2], ids=["later", "while-the-reference-fills"])
async def test_a_swap_that_nobody_announced_opens_a_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    async def story(seen: Watched) -> None:
        await seen.rounds(before)
        assert seen.open() == []
        seen.endpoint.otherwise = TWO
        await seen.rounds(2)
        assert [(each.level, each.slice) for each in seen.open()] == [("ticket", f"live/{SUITE}/identity")]
        await seen.rounds(20)
        assert seen.changed()[-1] == (10, 10)

    await _play(tmp_path, monkeypatch, story)


@pytest.mark.asyncio
@pytest.mark.parametrize("rollout", [0, 7], ids=["at-once", "hours-later"])
async def test_a_swap_that_was_announced_opens_no_ticket_and_becomes_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rollout: int
) -> None:
    async def story(seen: Watched) -> None:
        await seen.rounds(8)
        seen.say("deployment.add", revision="two")
        await seen.rounds(rollout)
        seen.endpoint.otherwise = TWO
        await seen.rounds(round(ANNOUNCED / HOUR) - rollout + 8)
        assert seen.open() == []
        assert seen.changed()[-1] == (10, 0)
        seen.endpoint.otherwise = ONE  # what was the reference once is another model now
        await seen.rounds(2)
        assert [each.level for each in seen.open()] == ["ticket"]

    await _play(tmp_path, monkeypatch, story)


@pytest.mark.asyncio
async def test_an_acceptance_takes_what_answers_now_as_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(seen: Watched) -> None:
        await seen.rounds(8)
        seen.endpoint.otherwise = TWO
        await seen.rounds(3)
        seen.say("probe.accept", suite="golden/other")
        await seen.rounds(1)
        assert seen.changed()[-1] == (10, 10)
        assert seen.open()
        seen.say("probe.accept", suite=SUITE)
        assert seen.open() == []
        await seen.rounds(8)
        assert seen.changed()[-7:] == [(10, 0)] * 7
        assert seen.open() == []
        seen.endpoint.otherwise = THREE
        await seen.rounds(2)
        assert [each.level for each in seen.open()] == ["ticket"]

    await _play(tmp_path, monkeypatch, story)


def test_an_announcement_is_not_forgotten_among_other_commands(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/history.db")
    judge = Rounds(stream(SUITE, "identity", "fingerprint"))
    judge.log.command("deployment.add", id="d", time=1000.0, model="bot", revision="r")
    judge.log.command("probe.accept", id="a", time=5000.0, model="bot", suite=SUITE, target="live", reason="r")
    for number in range(600):
        judge.log.command("incident.ack", id=f"{number}", time=2000.0 + number, incident="none")
        judge.log.command("deployment.add", id=f"o{number}", time=2000.0 + number, model="other", revision="r")
    judge.decider.absorb(judge.log.drain())
    store.upsert(judge.decider.close_due(None))
    assert reference_since(store, "bot", "live", "p/s") == 1000.0 + ANNOUNCED
    assert reference_since(store, "bot", "live", SUITE) == 1000.0 + ANNOUNCED
    assert reference_since(store, "other", "live", SUITE) is None
    store.close()
