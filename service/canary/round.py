"""One round: every question asked once at every side, graded, recorded as it comes, and counted when all is in.

An item with its perturbed twins and swapped groups is one unit: asked together, graded together (a twin's answer is needed to grade the
other), recorded together or not at all. After a kill, what is recorded is not asked again, and the rest is.
"""

import asyncio
import hashlib
import hmac
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from service.canary.probe import Asked, Probe, Question, Side, question
from service.canary.tally import Tally, tally
from service.logging import describe, fields
from service.records.probes import Grade, Print, ProbeResult, Reply, Role, Round

_log = logging.getLogger(__name__)

OURS = ("budget", "cancelled")
"""Errors that say nothing of the target: such a question was not asked, and is not recorded."""

Unit = tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Conduct:
    """What every round needs beside its probe.

    Attributes:
        record: keeps answers and fingerprints, durably, before it returns.
        clock: seconds since the epoch.
        digest_key: of the digests of prompts and answers. store_text: keep answers of suites that are not sensitive.
        progress: told of a round's id, units done and all units.
    """

    record: Callable[[Sequence[ProbeResult], Sequence[Print]], Awaitable[None]]
    clock: Callable[[], float]
    digest_key: bytes
    store_text: bool = False
    progress: Callable[[str, int, int], None] = lambda id, done, all: None


@dataclass(slots=True)
class _Running:
    """What has come of a round so far."""

    results: dict[tuple[Question, str], ProbeResult] = field(default_factory=dict)
    budget: bool = False

    def take(self, results: Iterable[ProbeResult]) -> None:
        """Add answers; the first one of a question stays, as in the history."""
        for result in results:
            self.results.setdefault((question(result), result.role), result)


async def conduct(
    probe: Probe,
    other: Side | None,
    id: str,
    scheduled: float,
    deadline: float,
    questions: Sequence[Asked],
    known: Sequence[ProbeResult],
    how: Conduct,
    started: float | None = None,
) -> list[Round]:
    """Ask what is not known yet, until all is in or ``deadline`` comes; what the round came to, a round for each revision.

    ``other``: who is asked beside the live model. ``known``: answers recorded before this process was started. Cancelled from outside it
    leaves everything recorded as it is, to be gone on with.
    """
    began = how.clock() if started is None else started
    running = _Running()
    running.take(known)
    every, sides = _units(questions), (probe.live, *([other] if other else []))
    units = [unit for unit in every if any((question(asked), side.role) not in running.results for asked in unit for side in sides)]
    random.Random(id).shuffle(units)
    total, done = len(every), len(every) - len(units)
    how.progress(id, done, total)

    async def work(unit: Unit) -> None:
        nonlocal done
        if not running.budget:
            await _ask(_Unit(probe, sides, id, scheduled, unit, how, running))
            done += 1
            how.progress(id, done, total)

    tasks = [asyncio.create_task(work(unit)) for unit in units]
    try:
        late = await _finish(tasks, deadline - how.clock())
    finally:
        await _cancel(tasks)
    reason = "budget" if running.budget else "cancelled" if late else ""
    frame = Tally(probe, other, id, scheduled, began, how.clock(), len({question(asked) for asked in questions}), reason)
    return tally(frame, list(running.results.values()))


async def _finish(tasks: Sequence["asyncio.Task[None]"], patience: float) -> bool:
    """Wait for all; True when time ran out. The first error that is a mistake of ours is raised."""
    if not tasks:
        return False
    done, pending = await asyncio.wait(tasks, timeout=max(patience, 0.0), return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    return bool(pending)


async def _cancel(tasks: Iterable["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task


def _units(questions: Sequence[Asked]) -> list[Unit]:
    units: dict[tuple[str, int], list[Asked]] = {}
    for asked in questions:
        units.setdefault((asked.item, asked.repeat), []).append(asked)
    return [tuple(unit) for unit in units.values()]


@dataclass(frozen=True, slots=True)
class _Unit:
    """One item with its twins, in one round."""

    probe: Probe
    sides: tuple[Side, ...]
    id: str
    scheduled: float
    questions: Unit
    how: Conduct
    running: _Running


async def _ask(unit: _Unit) -> None:
    """Ask every side, grade, record."""
    probe, how = unit.probe, unit.how
    places = [(asked, side) for asked in unit.questions for side in unit.sides]
    answers = await asyncio.gather(*(_put(asked, side, unit) for asked, side in places))
    if any(reply.error in OURS for reply in answers):
        unit.running.budget = unit.running.budget or any(reply.error == "budget" for reply in answers)
        return
    replies = {(question(asked), side.role): reply for (asked, side), reply in zip(places, answers, strict=True)}
    results: list[ProbeResult] = []
    prints: list[Print] = []
    for (asked, side), reply in zip(places, answers, strict=True):
        results.append(_result(unit, asked, side, reply, await _grade(unit, asked, side, replies)))
        if probe.kind == "fingerprint" and side is probe.live and reply.error is None:
            prints.append(_print(unit, asked, side, reply))
    await how.record(results, prints)
    unit.running.take(results)


async def _put(asked: Asked, side: Side, unit: _Unit) -> Reply:
    async with side.turnstile.turn(unit.probe.priority(unit.scheduled)):
        if unit.running.budget:
            return Reply(error="budget", attempts=0)
        return await side.ask(asked.call, unit.id)


async def _grade(unit: _Unit, asked: Asked, side: Side, replies: Mapping[tuple[Question, Role], Reply]) -> Grade:
    """An answer's grade; a grader that fails has not scored it, which is counted and logged without the text."""
    probe, reply = unit.probe, replies[question(asked), side.role]
    if reply.error is not None:
        return Grade("error", probe.graders)
    twin = twin_of(asked, unit.questions)
    other = unit.sides[1] if side is probe.live and len(unit.sides) > 1 else None
    try:
        return await probe.grade(
            asked,
            reply,
            twin=None if twin is None else replies[question(twin), side.role],
            base=None if other is None else replies[question(asked), other.role],
        )
    except Exception as error:
        _log.error("a grader failed, the answer is unscored", extra=fields(suite=probe.suite, error=describe(error)))
        return Grade("unscored", probe.graders)


def twin_of(asked: Asked, unit: Unit) -> Asked | None:
    """What a question is compared with; None for one that stands alone.

    A perturbed item: the item as it is, of its group. An item of a group: that of the first group, and the first with the second: in a
    pair that disagrees nobody knows which of them is wrong. An item that only has perturbed twins agrees with itself.
    """
    plain = sorted((other for other in unit if not other.variant), key=lambda other: other.group)
    if asked.variant:
        return next((other for other in plain if other.group == asked.group), None)
    if len(plain) > 1:
        return plain[1] if asked is plain[0] else plain[0]
    return asked if len(unit) > 1 else None


def _result(unit: _Unit, asked: Asked, side: Side, reply: Reply, grade: Grade) -> ProbeResult:
    probe, how = unit.probe, unit.how
    said = "\x00".join(f"{message.role}\x01{message.content}" for message in asked.call.messages)
    return ProbeResult(
        time=how.clock(),
        round=unit.id,
        model_name=probe.model_name,
        target=side.target,
        role=side.role,
        suite=probe.suite,
        kind=probe.kind,
        category=asked.category,
        item=asked.item,
        variant=asked.variant,
        group=asked.group,
        repeat=asked.repeat,
        outcome=grade.outcome,
        score=grade.score,
        failure=grade.failure,
        grader=grade.grader,
        votes=dict(grade.votes),
        error=reply.error,
        status=reply.status,
        attempts=reply.attempts,
        first_token=reply.first_token,
        seconds=reply.seconds,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        tokens_cached=reply.tokens_cached,
        cost=reply.cost,
        finish=reply.finish,
        model_reported=reply.model,
        fingerprint=reply.fingerprint,
        suspect_cached=reply.suspect_cached,
        key=probe.key(side, reply.model),
        prompt_hash=digest(said, how.digest_key),
        reply_hash=digest(reply.text, how.digest_key),
        reply_length=len(reply.text),
        output=reply.text if how.store_text and not probe.sensitive else None,
    )


def _print(unit: _Unit, asked: Asked, side: Side, reply: Reply) -> Print:
    first = reply.logprobs[0] if reply.logprobs else None
    return Print(
        round=unit.id,
        item=asked.item,
        repeat=asked.repeat,
        target=side.target,
        suite=unit.probe.suite,
        time=unit.how.clock(),
        model=reply.model,
        fingerprint=reply.fingerprint,
        tokens_in=reply.tokens_in,
        answer=digest(reply.text, unit.how.digest_key),
        logprobs=() if first is None else first.top or ((first.token, first.logprob),),
    )


def digest(text: str, key: bytes) -> str:
    """Keyed digest, 32 hexadecimal digits."""
    return hmac.digest(key, text.encode(errors="surrogatepass"), hashlib.sha256).hex()[:32]
