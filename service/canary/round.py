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

from service.canary.probe import Probe, Question, Side, question_of
from service.canary.tally import Tally, tally
from service.logging import describe, fields
from service.records.probes import Grade, Print, ProbeResult, Reply, Round

_log = logging.getLogger(__name__)

OURS = ("budget", "cancelled")
"""Errors that say nothing of the target: such a question was not asked, and is not recorded."""

Unit = tuple[Question, ...]


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

    results: list[ProbeResult] = field(default_factory=list)
    budget: bool = False


async def conduct(
    probe: Probe,
    id: str,
    scheduled: float,
    deadline: float,
    questions: Sequence[Question],
    known: Sequence[ProbeResult],
    how: Conduct,
    started: float | None = None,
) -> list[Round]:
    """Ask what is not known yet, until all is in or ``deadline`` comes; what the round came to at every side, the live one first.

    ``known``: answers recorded before this process was started. Cancelled from outside it leaves everything recorded as it is, to be
    gone on with.
    """
    began = how.clock() if started is None else started
    running = _Running(list(known))
    sides = (probe.live, *probe.beside)
    have = {(question_of(result), result.role) for result in known}
    units = [unit for unit in _units(questions) if any((q.id, side.role) not in have for q in unit for side in sides)]
    random.Random(id).shuffle(units)
    total = done = len({question.id[::3] for question in questions})
    done -= len(units)
    how.progress(id, done, total)

    async def work(unit: Unit) -> None:
        nonlocal done
        if not running.budget:
            await _ask(_Unit(probe, id, scheduled, unit, how, running))
            done += 1
            how.progress(id, done, total)

    tasks = [asyncio.create_task(work(unit)) for unit in units]
    try:
        late = await _finish(tasks, deadline - how.clock())
    finally:
        await _cancel(tasks)
    reason = "budget" if running.budget else "cancelled" if late else ""
    frame = Tally(probe, id, scheduled, began, how.clock(), len({question.id for question in questions}), reason)
    return tally(frame, running.results)


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


def _units(questions: Sequence[Question]) -> list[Unit]:
    units: dict[tuple[str, int], list[Question]] = {}
    for question in questions:
        units.setdefault((question.asked.item, question.repeat), []).append(question)
    return [tuple(unit) for unit in units.values()]


@dataclass(frozen=True, slots=True)
class _Unit:
    """One item with its twins, in one round."""

    probe: Probe
    id: str
    scheduled: float
    questions: Unit
    how: Conduct
    running: _Running


async def _ask(unit: _Unit) -> None:
    """Ask every side, grade, record."""
    probe, how = unit.probe, unit.how
    sides = (probe.live, *probe.beside)
    places = [(question, side) for question in unit.questions for side in sides]
    answers = await asyncio.gather(*(_put(question, side, unit) for question, side in places))
    replies = {(question.id, side.role): reply for (question, side), reply in zip(places, answers, strict=True)}
    if any(reply.error in OURS for reply in answers):
        unit.running.budget = unit.running.budget or any(reply.error == "budget" for reply in answers)
        return
    results: list[ProbeResult] = []
    prints: list[Print] = []
    for question, side in places:
        reply = replies[question.id, side.role]
        grade = await _grade(unit, question, side, replies)
        results.append(_result(unit, question, side, reply, grade))
        if probe.kind == "fingerprint" and side is probe.live and reply.error is None:
            prints.append(_print(unit, question, side, reply))
    await how.record(results, prints)
    unit.running.results += results


async def _put(question: Question, side: Side, unit: _Unit) -> Reply:
    async with side.turnstile.turn(unit.probe.priority(unit.scheduled)):
        if unit.running.budget:
            return Reply(error="budget", attempts=0)
        return await side.ask(question.asked.call, unit.id)


async def _grade(unit: _Unit, question: Question, side: Side, replies: Mapping[tuple[tuple[str, str, str, int], str], Reply]) -> Grade:
    """An answer's grade; a grader that fails has not scored it, which is counted and logged without the text."""
    grader, reply = unit.probe.grader, replies[question.id, side.role]
    if reply.error is not None:
        return Grade("error", grader.id)
    twin = twin_of(question, unit.questions)
    other = unit.probe.beside[0] if unit.probe.beside and side is unit.probe.live else None
    try:
        return await grader.grade(
            question.asked,
            reply,
            twin=None if twin is None else replies[twin.id, side.role],
            base=None if other is None else replies[question.id, other.role],
        )
    except Exception as error:
        _log.error("a grader failed, the answer is unscored", extra=fields(suite=unit.probe.suite, grader=grader.id, error=describe(error)))
        return Grade("unscored", grader.id)


def twin_of(question: Question, unit: Unit) -> Question | None:
    """What a question is compared with: the item as it is, of the first group; None for that one itself."""
    plain = [other for other in unit if not other.asked.variant]
    same_group = [other for other in plain if other.asked.group == question.asked.group]
    first = same_group[0] if question.asked.variant and same_group else (plain[0] if plain else None)
    return None if first is question else first


def _result(unit: _Unit, question: Question, side: Side, reply: Reply, grade: Grade) -> ProbeResult:
    probe, how, asked = unit.probe, unit.how, question.asked
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
        repeat=question.repeat,
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


def _print(unit: _Unit, question: Question, side: Side, reply: Reply) -> Print:
    first = reply.logprobs[0] if reply.logprobs else None
    return Print(
        round=unit.id,
        item=question.asked.item,
        repeat=question.repeat,
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
