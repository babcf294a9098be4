"""What is in force stays in force: alarms re-base nothing, announced changes wake nobody, and the audit says who did what."""

from dataclasses import replace
from typing import Any

import pytest
from decider_log import START, Log, history, settings, sketch, watched

from service.decider.closed import Closed
from service.decider.decider import Decider


def play(decider: Decider, log: Log) -> list[Closed]:
    decider.absorb(log.drain())
    return list(decider.close_due(None))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def decider(log: Log) -> Decider:
    made = Decider(watched(), settings())
    play(made, log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot", reason="looks right"))
    return made


def nulls(decider: Decider) -> list[tuple[float, float]]:
    return [(stream.reference, stream.null) for stream in decider.picture(active=True, now=0).streams]


def test_after_an_alarm_the_same_baseline_is_in_force_and_the_alarm_is_not_learned(decider: Decider, log: Log) -> None:
    before = nulls(decider)
    for i in range(40):
        log.window(START + 60 * i, 100, 3)
    for i in range(40, 400):
        log.window(START + 60 * i, 100, 30)
    steps = play(decider, log)
    assert {i.level for step in steps for i in step.incidents} == {"ticket", "page"}
    assert nulls(decider) == before
    view = decider.picture(active=True, now=0).models[0].baseline
    assert view.accepted is not None
    assert view.accepted.reason == "looks right"
    assert view.prompts < 5_000
    assert [row for step in steps for row in (*step.baselines, *step.audit)] == []


def test_the_audit_says_who_accepted_what_and_from_which_days() -> None:
    teacher, student, log = Decider(watched(), settings(), "history"), Decider(watched(), settings()), Log()
    for hour in range(15 * 24):
        log.window(START + 3600 * hour, 2000, 60 + hour % 3, 10)
    play(teacher, log)
    learned = teacher.learned("bot", "june.jsonl")
    given = Log().command("baseline.learn", model="bot", **learned)
    [_, step] = play(student, given.command("baseline.accept", model="bot", reason="a calm month"))
    [entry] = step.audit
    assert (entry.actor, entry.kind, entry.arguments["reason"]) == ("ada", "baseline.accept", "a calm month")
    assert "accepted june.jsonl" in entry.outcome
    assert "learned from 2023-11-14 to 2023-11-28" in entry.outcome
    assert all("history" not in row.arguments for row in step.audit)


@pytest.mark.parametrize("announced", [False, True])
def test_an_announced_change_of_a_slice_opens_a_ticket_at_most(announced: bool) -> None:
    models = {name: replace(each, slices=("shop",), slices_weight=0.2) for name, each in watched().items()}
    teacher, decider, log = Decider(models, settings(), "history"), Decider(models, settings()), Log()
    for hour in range(15 * 24):
        log.delta(START + 3600 * hour, sketch(1000, 30 + hour % 3, 6), slice="shop").window(START + 3600 * hour, 2000, 60 + hour % 3, 12)
    play(teacher, log)
    log = Log().command("baseline.learn", model="bot", **teacher.learned("bot", "x")).command("baseline.accept", model="bot", reason="r")
    more: dict[str, Any] = {"model": "bot", "slice": "shop", "until": START + 1e9, "reason": "new tenant"}
    log = log.command("expect.add", id="e", **more) if announced else log
    first = START + 40 * 86400
    for i in range(60):
        log.delta(first + 60 * i, sketch(100, 60, 2), slice="shop").window(first + 60 * i, 2000, 60, 12)
    steps = play(decider, log)
    levels = {i.level for step in steps for i in step.incidents if i.slice == "shop"}
    assert levels == ({"ticket"} if announced else {"ticket", "page"})
    if announced:
        assert any(row.outcome.startswith("expected until ") for step in steps for row in step.audit if row.kind == "expect.add")
        [step] = play(decider, log.command("expect.remove", model="bot", expectation="e"))
        assert step.audit[0].outcome == "slice shop is no longer expected"
        assert decider.picture(active=True, now=0).models[0].baseline.expectations == ()
