"""One round: every question has one outcome, what is recorded is not asked again, and what it comes to."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from canary_parts import Clock, Endpoint, grade, items, probe
from service.canary.probe import Probe, Side
from service.canary.round import Conduct, conduct
from service.records.probes import Counts, Print, ProbeResult, Reply, Round

pytestmark = pytest.mark.asyncio

NOW = 1_772_409_600.0


class Recorder:
    def __init__(self) -> None:
        self.batches: list[list[ProbeResult]] = []
        self.prints: list[Print] = []
        self.progress: list[tuple[int, int]] = []

    async def __call__(self, results: Sequence[ProbeResult], prints: Sequence[Print]) -> None:
        self.batches.append(list(results))
        self.prints += prints

    @property
    def results(self) -> list[ProbeResult]:
        return [result for batch in self.batches for result in batch]


async def run(
    asked: Probe, recorder: Recorder, known: Sequence[ProbeResult] = (), other: Side | None = None, patience: float = 60.0
) -> Round:
    rounds = await run_all(asked, recorder, known, other, patience)
    assert len(rounds) == 1
    return rounds[0]


async def run_all(
    asked: Probe,
    recorder: Recorder,
    known: Sequence[ProbeResult] = (),
    other: Side | None = None,
    patience: float = 60.0,
    text: bool = True,
) -> list[Round]:
    how = Conduct(recorder, Clock(NOW), b"key", text, lambda id, done, all: recorder.progress.append((done, all)))
    return await conduct(asked, other, "bot/live/pack/suite/1", NOW, NOW + patience, asked.questions("1"), known, how)


async def test_every_question_has_one_outcome() -> None:
    endpoint, recorder = Endpoint(), Recorder()
    endpoint.answers = {
        "q001": Reply(text="wrong", model="m1", seconds=9.0),
        "q002": Reply(text="?", model="m1"),
        "q003": Reply(error="reset", attempts=3),
    }
    told = await run(probe(endpoint, items(20)), recorder)
    assert told.counts == {"arithmetic": Counts(n=18, bad=1, unscored=1, error=1)}
    assert (told.complete, told.reason, told.revision, told.items, told.seconds95) == (True, "", "m1", 20, 9.0)
    assert (told.calls, told.tokens, told.money) == (22, 17 * 4, 17 * 0.5)
    assert set(endpoint.asked.values()) == {1}
    assert endpoint.most_at_once == 4
    assert recorder.progress[0] == (0, 20)
    assert recorder.progress[-1] == (20, 20)
    assert {r.output for r in recorder.results if r.outcome == "pass"} == {"right"}


async def test_more_than_a_fifth_of_errors_is_inconclusive_and_still_counted() -> None:
    endpoint = Endpoint()
    endpoint.answers = {f"q{i:03d}": Reply(error="server") for i in range(4)}
    assert (await run(probe(endpoint, items(20)), Recorder())).complete
    endpoint.answers["q004"] = Reply(error="server")
    told = await run(probe(endpoint, items(20)), Recorder())
    assert (told.complete, told.reason, told.counts["arithmetic"].error) == (False, "errors", 5)


async def test_what_is_recorded_is_not_asked_again() -> None:
    endpoint, first = Endpoint(), Recorder()
    endpoint.gate = asyncio.Event()
    task = asyncio.create_task(run(probe(endpoint, items(20)), first))
    await asyncio.sleep(0.01)
    endpoint.gate.set()
    while len(first.results) < 7:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    known = first.results
    assert 7 <= len(known) < 20
    again, second = Endpoint(), Recorder()
    told = await run(probe(again, items(20)), second, known)
    assert told.counts["arithmetic"] == Counts(n=20)
    assert len(again.asked) == 20 - len(known)
    assert not {result.item for result in known} & {result.item for result in second.results}
    assert second.progress[0] == (len(known), 20)


async def test_an_item_and_its_twins_are_recorded_together() -> None:
    endpoint, recorder = Endpoint(), Recorder()
    told = await run(probe(endpoint, items(5, "typos", "upper")), recorder)
    assert told.counts["arithmetic"].n == 15
    assert sorted(map(len, recorder.batches)) == [3] * 5
    assert all(len({result.item for result in batch}) == 1 for batch in recorder.batches)


async def test_the_deadline_ends_a_round() -> None:
    endpoint, recorder = Endpoint(places=1), Recorder()
    endpoint.delay = 0.03
    told = await run(probe(endpoint, items(20)), recorder, patience=0.1)
    assert (told.complete, told.reason) == (False, "cancelled")
    assert 0 < told.counts["arithmetic"].n < 20
    assert told.counts["arithmetic"].error == 0
    assert endpoint.at_once == 0


async def test_a_spent_budget_ends_a_round_without_counting_against_the_target() -> None:
    endpoint, recorder = Endpoint(places=1), Recorder()
    asked = items(20)
    endpoint.answers = {each.item: Reply(error="budget", attempts=0) for each in asked[10:]}
    told = await run(probe(endpoint, asked), recorder)
    assert (told.complete, told.reason) == (False, "budget")
    assert all(result.outcome == "pass" for result in recorder.results)
    assert sum(endpoint.asked.values()) < 20


async def test_pairs_are_counted_against_the_model_beside() -> None:
    endpoint, base = Endpoint(), Endpoint("base", "base")
    endpoint.answers = dict.fromkeys(("q000", "q001", "q002"), Reply(text="wrong", model="m1"))
    base.answers = dict.fromkeys(("q002", "q003"), Reply(text="wrong", model="m0")) | {"q000": Reply(error="server")}
    recorder = Recorder()
    told = await run(probe(endpoint, items(20), beside=(base.side,)), recorder, other=base.side)
    assert told.counts["arithmetic"] == Counts(n=20, bad=3, worse=1, better=1)
    assert (told.beside, told.calls) == ("base", 40)
    assert {result.role for result in recorder.results} == {"live", "base"}
    assert len(recorder.results) == 40


async def test_two_revisions_are_kept_apart() -> None:
    endpoint = Endpoint()
    endpoint.answers = {f"q{i:03d}": Reply(text="wrong", model="m2") for i in range(6)} | {"q010": Reply(error="reset")}
    old, new = await run_all(probe(endpoint, items(20)), Recorder())
    assert (old.revision, old.counts["arithmetic"]) == ("m1", Counts(n=13, error=1))
    assert (new.revision, new.counts["arithmetic"]) == ("m2", Counts(n=6, bad=6))
    assert (old.id, new.id) == ("bot/live/pack/suite/1", "bot/live/pack/suite/1#m2")
    assert old.key != new.key
    assert (old.calls, new.calls) == (20, 0)


async def test_a_grader_that_fails_has_not_scored(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Endpoint()
    endpoint.answers = {"q001": Reply(text="raise", model="m1")}
    told = await run(probe(endpoint, items(20)), Recorder())
    assert told.counts["arithmetic"] == Counts(n=19, unscored=1)
    assert "a grader failed" in caplog.text
    assert "secret" not in caplog.text


async def test_text_is_kept_only_where_it_may_be() -> None:
    for sensitive, allowed, kept in ((False, True, "right"), (True, True, None), (False, False, None)):
        recorder = Recorder()
        await run_all(probe(Endpoint(), items(2), sensitive=sensitive), recorder, text=allowed)
        assert {result.output for result in recorder.results} == {kept}
        assert {len(result.reply_hash) for result in recorder.results} == {32}


async def test_golden_questions_go_before_others() -> None:
    endpoint, order = Endpoint(places=1), Recorder()
    rest = probe(endpoint, items(10), suite="p/rest", kind="capability")
    golden = probe(endpoint, [replace(each, item="g" + each.item) for each in items(10)], suite="p/golden")
    endpoint.delay = 0.001
    slow = asyncio.create_task(run(rest, order))
    await asyncio.sleep(0.0005)
    await asyncio.gather(slow, run(golden, order))
    first = [result.suite for result in order.results][1:11]
    assert first.count("p/golden") >= 9


async def test_a_key_changes_with_everything_that_makes_two_records_differ() -> None:
    endpoint = Endpoint()
    one = probe(endpoint, items(1))
    others = [
        replace(one, pack="another"),
        replace(one, graders="fake@2"),
        replace(one, suite="p/other"),
        replace(one, live=replace(one.live, settings={"system": "x"})),
    ]
    keys = {each.key(each.live, "m1") for each in (one, *others)} | {one.key(one.live, "m2")}
    assert len(keys) == 6
    assert one.key(one.live, None) == one.key(one.live, "m1")
    swapped = replace(one, kind="fingerprint")
    assert swapped.key(one.live, "m2") == swapped.key(one.live, "m1")
    assert grade is one.grade
