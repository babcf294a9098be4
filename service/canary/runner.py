"""The loop that asks: which rounds are due, one task for each, and what is left to tell the decider.

It works only while this process is the active decider. What another one (or this one, before it was killed) has begun is gone on with while
its slot lasts: a round's id is a function of the schedule, its answers are in the history, and the decider counts an id once.
"""

import asyncio
import logging
import math
import threading
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from service.canary.calibration import Calibration, closed, opened
from service.canary.counting import Totals
from service.canary.fingerprint import REFERENCE, compare, reference_of
from service.canary.probe import Probe, Side
from service.canary.round import Conduct, conduct
from service.canary.schedule import Slot
from service.canary.seams import History, Seams
from service.canary.tally import Tally, tally
from service.canary.view import Running, SuiteView
from service.logging import fields
from service.records.probes import Counts, Print, ProbeResult, Round
from service.store.probes import KeptRound

_log = logging.getLogger(__name__)

TICK = 0.2
"""Seconds between two looks at the schedule."""

LATEST = 0.5
"""Part of a slot after which its round is not begun any more: it would hardly end in time."""

_TELL_EVERY = 2.0


class Runner:
    """Asks every probe on its schedule. :meth:`run` on an event loop of its own; everything else from any thread."""

    def __init__(self, probes: Sequence[Probe], history: History, seams: Seams, judges: Sequence[Calibration] = ()) -> None:
        self.probes, self.judges = tuple(probes), tuple(judges)
        self.totals = Totals()
        self._history, self._seams = history, seams
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, Running] = {}
        self._last: dict[str, int] = {}
        self._newest: dict[str, Round] = {}
        self._untold: deque[Round] = deque()
        self._wanted: deque[tuple[Probe, float]] = deque()
        self._lock = threading.Lock()
        self._awake = False
        self._told = -math.inf

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; rounds that are under way then stay open, to be gone on with."""
        try:
            while not stop.is_set():
                if self._seams.active():
                    if not self._awake:
                        await self._wake()
                    self._start_due(self._seams.clock())
                    await self._tell()
                elif self._awake:
                    await self._sleep()
                self._reap()
                try:
                    await asyncio.wait_for(stop.wait(), self._seams.tick or TICK)
                except TimeoutError:
                    continue
        finally:
            await self._sleep()

    def ask_now(self, target: str | None = None, suite: str | None = None) -> list[str]:
        """Have these suites asked at once, beside the schedule; the ids of the rounds.

        They are recorded and shown, and no evidence: the budget of false pages is meant for a fixed number of rounds.
        """
        now = float(int(self._seams.clock()))
        wanted = [p for p in self.probes if target in (None, p.live.target) and suite in (None, p.suite) and p.why_not() is None]
        with self._lock:
            self._wanted.extend((probe, now) for probe in wanted)
        return [probe.round_id(probe.live, now, manual=True) for probe in wanted]

    def views(self) -> list[SuiteView]:
        """Every suite at every target, as it stands."""
        now = self._seams.clock()
        return [self._view(probe, now) for probe in self.probes]

    def _view(self, probe: Probe, now: float) -> SuiteView:
        upcoming = None if probe.why_not() else probe.schedule.upcoming(now)
        return SuiteView(
            model_name=probe.model_name,
            target=probe.live.target,
            suite=probe.suite,
            kind=probe.kind,
            interval=probe.schedule.interval,
            size=probe.size,
            beside=tuple(side.target for side in probe.beside),
            next=upcoming.scheduled if upcoming else None,
            running=self._running.get(probe.name),
            last=self._newest.get(probe.name),
            blocked=probe.why_not(),
        )

    async def _wake(self) -> None:
        """This process has become the active decider: find out what there is, and go on with what was begun."""
        self._last.clear()
        if self._seams.prepare is not None:
            await self._seams.prepare()
        kept = await self._seams.patiently(self._history.unfinished)
        for probe in self.probes:
            newest = await self._seams.patiently(self._history.rounds, probe.live.target, probe.suite, None, 1)
            if newest and newest[-1].state != "open":
                self._newest[probe.name] = newest[-1].round
        for each in kept:
            if each.state == "ended":
                self._untold.append(each.round)
            else:
                self._resume(each)
        self._awake = True
        _log.info("probing", extra=fields(suites=len(self.probes), unfinished=len(kept)))

    def _resume(self, kept: KeptRound) -> None:
        begun, now = kept.round, self._seams.clock()
        manual = "/now-" in begun.id
        probe = next((p for p in self.probes if p.round_id(p.live, begun.scheduled, manual) == begun.id and not p.why_not()), None)
        if probe is None:
            over = replace(begun, ended=now, reason="cancelled")
            self._spawn(begun.id, self._keep([over], manual, kept.deadline))
            return
        slot = None if manual else probe.schedule.current(now)
        if slot is not None and slot.scheduled == begun.scheduled:
            self._last[probe.name] = slot.number
        else:
            slot = None
        self._spawn(probe.name, self._round(probe, begun, kept.deadline, slot=slot, manual=manual, resumed=True))

    async def _sleep(self) -> None:
        """Another process is the active decider, or this one ends: leave everything as it is recorded."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        self._running.clear()
        self._untold.clear()
        self._awake = False

    def _start_due(self, now: float) -> None:
        with self._lock:
            manual = [each for each in self._wanted if each[0].name not in self._tasks]
            self._wanted = deque(each for each in self._wanted if each not in manual)
        for probe, scheduled in manual:
            if probe.name in self._tasks:
                continue
            begun = self._begun(probe, scheduled, now, manual=True)
            self._spawn(probe.name, self._round(probe, begun, now + probe.schedule.interval, manual=True))
        for probe in self.probes:
            if probe.why_not() or probe.name in self._tasks:
                continue
            slot = probe.schedule.current(now)
            if slot is None or self._last.get(probe.name) == slot.number:
                continue
            self._last[probe.name] = slot.number
            if now - slot.scheduled <= LATEST * (slot.deadline - slot.scheduled):
                self.totals.late = max(self.totals.late, now - slot.scheduled) if self._newest.get(probe.name) else self.totals.late
                self._spawn(probe.name, self._round(probe, self._begun(probe, slot.scheduled, now), slot.deadline, slot=slot))

        for judge in self.judges:
            slot = judge.schedule.current(now)
            if slot is None or judge.judge in self._tasks or self._last.get(judge.judge) == slot.number:
                continue
            self._last[judge.judge] = slot.number
            if now - slot.scheduled <= LATEST * (slot.deadline - slot.scheduled):
                self._spawn(judge.judge, self._calibrate(judge, slot))

    async def _calibrate(self, judge: Calibration, slot: Slot) -> None:
        """A judge's labelled answers, in one go: what is killed in between is inconclusive."""
        began = self._seams.clock()
        rounds = opened(judge, slot, began)
        if not all([await self._seams.patiently(self._history.begin, round, slot.deadline) for round in rounds]):
            return
        counts = await judge.ask()
        self.totals.unparsed[judge.judge] += counts.unscored
        told = closed(judge, rounds, counts, self._seams.clock())
        await self._keep(told, False, slot.deadline)

    def _begun(self, probe: Probe, scheduled: float, now: float, manual: bool = False) -> Round:
        side = probe.live
        return Round(
            id=probe.round_id(side, scheduled, manual),
            model_name=probe.model_name,
            target=side.target,
            role=side.role,
            suite=probe.suite,
            kind=probe.kind,
            items=probe.size,
            scheduled=scheduled,
            started=now,
            ended=now,
            key=probe.key(side, None),
            revision="",
            complete=False,
            reason="cancelled",
            counts={},
        )

    async def _round(
        self, probe: Probe, begun: Round, deadline: float, *, slot: Slot | None = None, manual: bool = False, resumed: bool = False
    ) -> None:
        if not resumed and not await self._seams.patiently(self._history.begin, begun, deadline):
            return  # another instance has it, or the clock was set back
        known = await self._seams.patiently(self._history.results, begun.id) if resumed else []
        questions = probe.questions(begun.id)
        now = self._seams.clock()
        number = slot.number if slot else int(begun.scheduled // probe.schedule.interval)
        other = probe.other(number)
        frame = Tally(probe, other, begun.id, begun.scheduled, begun.started, now, len(questions))
        if now >= deadline:
            rounds = tally(replace(frame, reason="cancelled"), known)
        elif not resumed and not self._affordable(probe, other, len(questions), now, manual):
            self.totals.skipped[probe.model_name, probe.live.target, probe.suite, "budget"] += len(questions)
            rounds = tally(replace(frame, reason="budget"), known)
        else:
            how = Conduct(
                self._record, self._seams.clock, self._seams.digest_key, self._seams.store_text, lambda *told: self._progress(probe, *told)
            )
            rounds = await conduct(probe, other, begun.id, begun.scheduled, deadline, questions, known, how, begun.started)
        if probe.kind == "fingerprint":
            rounds = [await self._compared(probe, rounds[0], number), *rounds[1:]]
        await self._keep(rounds, manual, deadline)
        self._newest[probe.name] = rounds[0]

    def _affordable(self, probe: Probe, other: Side | None, calls: int, now: float, manual: bool) -> bool:
        """Whether the budgets have room for all of the round, and for what more important suites still need today."""
        midnight = (now // 86_400 + 1) * 86_400
        for side in (probe.live, *([other] if other else [])):
            ahead = sum(
                each.size * math.ceil((midnight - now) / each.schedule.interval)
                for each in self.probes
                if each.rank < probe.rank and not each.why_not() and side in (each.live, *each.beside[:1])
            )
            if not side.room(calls + (0 if manual else ahead)):
                return False
        return True

    async def _compared(self, probe: Probe, round: Round, number: int) -> Round:
        """The round of a fingerprint suite counts what has changed against its reference."""
        target, suite = probe.live.target, probe.suite
        since = await self._seams.patiently(self._seams.announced, probe.model_name, target, suite) or 0.0
        many = REFERENCE * probe.size
        first = await self._seams.patiently(self._history.prints, target, suite, since, many)
        recent = await self._seams.patiently(self._history.prints, target, suite, since, many, True)
        reference = [each for each in reference_of(first) if each.round != round.id]
        held = {each.round for each in reference}
        changed = compare(reference, [each for each in recent if each.round not in held], number) if round.complete else {}
        told = {name: Counts(0, 0, counts.unscored, counts.error) for name, counts in round.counts.items()}
        return replace(round, counts={**told, **changed})

    async def _keep(self, rounds: Sequence[Round], manual: bool, deadline: float) -> None:
        await self._seams.patiently(self._history.end, rounds, "manual" if manual else "ended", deadline)
        for round in rounds:
            self.totals.round(round)
            what = fields(id=round.id, complete=round.complete, reason=round.reason, **_sums(round))
            (_log.info if round.complete else _log.warning)("round of probes", extra=what)
        if not manual:
            self._untold.extend(rounds)
            self._told = -math.inf

    async def _tell(self) -> None:
        """Tell the decider of what has ended; what the ledger does not take now is tried again."""
        now = asyncio.get_running_loop().time()
        if now - self._told < _TELL_EVERY:
            return
        self._told = now
        while self._untold:
            round = self._untold[0]
            try:
                await asyncio.to_thread(self._seams.submit, round)
                await asyncio.to_thread(self._history.tell, round.id)
            except self._seams.retry as error:
                _log.warning("a round could not be told, trying again", extra=fields(id=round.id, error=type(error).__name__))
                return
            self._untold.popleft()

    async def _record(self, results: Sequence[ProbeResult], prints: Sequence[Print]) -> None:
        await self._seams.patiently(self._history.record, results, prints)
        self.totals.results(results)

    def _progress(self, probe: Probe, id: str, done: int, all: int) -> None:
        self._running[probe.name] = Running(id, done, all)

    def _spawn(self, name: str, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            finally:
                self._running.pop(name, None)

        self._tasks[name] = asyncio.create_task(guarded())

    def _reap(self) -> None:
        """Let go of what has ended; an error that is a mistake of ours ends the loop."""
        for name in [name for name, task in self._tasks.items() if task.done()]:
            self._tasks.pop(name).result()


def _sums(round: Round) -> dict[str, int]:
    """Counts of all categories together."""
    return {name: sum(getattr(counts, name) for counts in round.counts.values()) for name in ("n", "bad", "unscored", "error")}
