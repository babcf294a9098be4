"""A second bundle judges beside the one in force and wakes nobody; commands switch the two, and each keeps its record."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from decider_log import START, TOPICS, Log, history, settings, sketch, watched
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.config import Config
from service.decider.closed import Closed
from service.decider.decider import Decider, Watched
from service.decider.in_force import Switched, sides
from service.decider.snapshot import DeciderSnapshot
from service.records import Entry, Incident, Verdict

OLD, NEW = watched()["bot"], replace(watched()["bot"], bundle="N", nulls={"strange": 0.08, "far": 0.02}, topics=TOPICS[:2])


def made(models: dict[str, Watched] | None = None, shadows: dict[str, Watched] | None = None, config: Config | None = None) -> Decider:
    return Decider(models or {"bot": OLD}, config or settings(), shadows={"bot": NEW} if shadows is None else shadows)


def window(log: Log, i: int, old: int, new: int, n: int = 100, report: bool = True) -> None:
    """The same prompts scored twice: so many strange by the old bundle, so many by the new one."""
    start = START + 60 * i
    log.delta(start, sketch(n, old)).delta(start, sketch(n, new, topics=(n, 0, 0)), bundle="N")
    if report:
        log.report(start + 90)


def play(decider: Decider, log: Log) -> list[Closed]:
    decider.absorb(log.drain())
    return list(decider.close_due(None))


def picture(decider: Decider) -> DeciderSnapshot:
    return decider.picture(active=True, now=0)


def opened(steps: Sequence[Closed]) -> dict[str, Incident]:
    return {incident.id: incident for step in steps for incident in step.incidents}


def outcomes(steps: Sequence[Closed]) -> list[str]:
    return [entry.outcome for step in steps for entry in step.audit]


def both_accepted(log: Log) -> Log:
    for more in ({}, {"shadow": True}):
        rate = 0.06 if more else 0.03
        log.command("baseline.learn", **(history(28, rate) | more)).command("baseline.accept", model="bot", reason="r", **more)
    return log


def records(decider: Decider) -> dict[str, Any]:
    """Digest -> what is kept of it."""
    state = json.loads(zlib.decompress(decider.snapshot()))
    kept = [state["models"]["bot"], *((state["shadow"] or {}).get("models", {})).values(), *state["detached"].values()]
    return {record["bundle"]: record for record in kept}


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_shadow_wakes_nobody_whatever_its_evidence_and_the_other_bundle_is_judged_as_without_it(log: Log) -> None:
    decider, alone = made(), made(shadows={})
    for i in range(40):
        window(both_accepted(log) if i == 0 else log, i, 3, 60)
    entries = log.drain()
    decider.absorb(entries)
    alone.absorb(
        [e for e in entries if not ("shadow" in getattr(e.body, "arguments", ()) or (isinstance(e.body, tuple) and e.body[0][0] == "N"))]
    )
    steps, others = decider.close_due(None), alone.close_due(None)
    seen = picture(decider)
    assert sum(count for (*_, level), count in seen.shadow_opened.items() if level == "page") > 0
    assert opened(steps) == {}
    assert (seen.incidents, seen.recent, seen.opened, seen.unknown_bundle) == ((), (), {}, {})
    assert seen.models[0].severity == {"drift": "none"}
    assert [step.verdicts for step in steps if step.verdicts] == [step.verdicts for step in others if step.verdicts]
    assert seen.streams[0].thresholds == picture(alone).streams[0].thresholds


def test_a_shadow_has_the_thresholds_it_will_have_and_takes_no_share_of_the_budget(log: Log) -> None:
    models = {"bot": OLD, "other": replace(OLD, weight=3.0)}
    decider = made(models)
    play(decider, both_accepted(log))
    before = {s.stream: s.thresholds for s in picture(decider).shadow_streams}
    play(decider, log.command("bundle.promote", model="bot", reason="r"))
    after = {s.stream: s.thresholds for s in picture(decider).streams if s.model_name == "bot"}
    assert before["ood_share"]["page"] is not None
    for stream, thresholds in after.items():
        assert thresholds == pytest.approx(before[stream])
    assert [s.model_name for s in picture(decider).shadow_streams[:1]] == ["bot"]
    assert len(picture(decider).models) == 2


def test_after_promotion_the_shadow_pages_with_the_baseline_it_learned_and_its_evidence_begins_anew(log: Log) -> None:
    decider = made()
    both_accepted(log)
    for i in range(20):
        window(log, i, 3, 40)
    play(decider, log)
    [step] = play(decider, log.command("bundle.promote", model="bot", reason="spring data", id="p"))
    assert step.audit[0].outcome == "bundle N is in force instead of B; its baseline was accepted by ada"
    seen = picture(decider)
    assert (seen.models[0].bundle, seen.shadows[0].bundle, seen.former) == ("N", "B", {"bot": "B"})
    assert all(stream.evidence == {"ticket": 0.0, "page": 0.0} for stream in seen.streams)
    assert seen.streams[0].reference == pytest.approx(0.06, abs=0.002)
    assert seen.shadow_opened == {}
    assert play(decider, log.command("bundle.promote", model="bot", reason="spring data", id="p")) == []
    window(log, 20, 3, 40)
    [one] = play(decider, log)
    assert opened([one]) == {}, "no single window pages"
    assert {v.value for v in one.verdicts if v.stream == "ood_share"} == {0.4}
    for i in range(21, 40):
        window(log, i, 3, 40)
    assert {i.level for i in opened(play(decider, log)).values()} == {"ticket", "page"}


def test_rollback_gives_back_the_identical_record(log: Log) -> None:
    decider = made()
    both_accepted(log)
    for i in range(30):
        window(log, i, 3, 6)
    play(decider, log)
    before, nulls = records(decider), [(s.stream, s.reference, s.null) for s in picture(decider).streams]
    play(decider, log.command("bundle.promote", model="bot", reason="r"))
    assert records(decider) == before
    assert [(s.stream, s.reference, s.null) for s in picture(decider).streams] != nulls
    [step] = play(decider, log.command("bundle.rollback", model="bot", reason="r"))
    assert "bundle B is in force instead of N" in step.audit[0].outcome
    assert records(decider) == before
    assert [(s.stream, s.reference, s.null) for s in picture(decider).streams] == nulls
    assert picture(decider).former == {}


def test_rollback_after_days_gives_back_the_accepted_baseline_and_what_was_learned_goes_on(log: Log) -> None:
    decider = made()
    play(decider, both_accepted(log))
    before = records(decider)["B"]["learning"]
    play(decider, log.command("bundle.promote", model="bot", reason="r"))
    for i in range(100):
        window(log, i, 3, 50)
    steps = play(decider, log.command("bundle.rollback", model="bot", reason="pages about nothing"))
    after = records(decider)["B"]["learning"]
    assert after["accepted"] == before["accepted"]
    view = picture(decider).models[0].baseline
    assert view.accepted is not None
    assert (view.prompts, view.accepted.actor) == (10_000, "ada")
    closed = [i for i in opened(steps).values() if i.closed is not None and i.closed_by == "ada"]
    assert closed
    assert {(i.verdict, i.reason) for i in closed} == {("monitor", "bundle B is in force instead of N: pages about nothing")}
    assert picture(decider).incidents == ()


def test_open_incidents_are_closed_at_promotion_and_nothing_is_learned_of_an_alarm(log: Log) -> None:
    decider = made()
    both_accepted(log)
    for i in range(40):
        window(log, i, 40, 6)
    assert opened(play(decider, log))
    seen = picture(decider)
    assert seen.incidents
    assert seen.shadows[0].baseline.prompts == 4_000, "the shadow learns by its own evidence: the old bundle's alarm is why it is there"
    assert seen.models[0].baseline.prompts < 1_000
    steps = play(decider, log.command("bundle.promote", model="bot", reason="fits"))
    assert {i.closed_by for i in opened(steps).values()} == {"ada"}
    assert picture(decider).incidents == ()


REFUSED = [
    ([("bundle.promote", {})], "refused: no baseline of the shadow is accepted (--anyway promotes it all the same)"),
    ([("bundle.rollback", {})], "refused: nothing was promoted that could be rolled back"),
    ([("bundle.promote", {"reason": ""})], "refused: no baseline of the shadow is accepted (--anyway promotes it all the same)"),
    ([("bundle.promote", {"model": "no"})], "refused: no model is called 'no'"),
    ([("bundle.promote", {"anyway": True}), ("bundle.rollback", {}), ("bundle.rollback", {})], "refused: nothing was promoted"),
]


@pytest.mark.parametrize(("commands", "said"), REFUSED)
def test_what_cannot_be_switched_is_refused(log: Log, commands: list[tuple[str, dict[str, Any]]], said: str) -> None:
    decider = made()
    for kind, arguments in commands:
        log.command(kind, **{"model": "bot", "reason": "r", **arguments})
    assert outcomes(play(decider, log))[-1].startswith(said)
    assert picture(decider).models[0].bundle == "B"


@pytest.mark.parametrize("kind", ["bundle.promote", "baseline.accept"])
def test_without_a_shadow_there_is_nothing_to_promote_or_accept(log: Log, kind: str) -> None:
    decider = made(shadows={})
    assert outcomes(play(decider, log.command(kind, model="bot", reason="r", shadow=True))) == [
        "refused: bot has no shadow: name its directory as models.bot.shadow"
    ]


def test_commands_for_the_shadow_leave_the_bundle_in_force_alone(log: Log) -> None:
    decider = made()
    steps = play(decider, both_accepted(log))
    sources = [row.source for step in steps for row in step.baselines]
    assert sources == ["history", "history", "history, of the shadow N", "history, of the shadow N"]
    play(decider, log.command("baseline.reset", model="bot", reason="r", shadow=True))
    seen = picture(decider)
    assert seen.models[0].baseline.accepted is not None
    assert seen.shadows[0].baseline.accepted is None


def test_announced_changes_of_slices_hold_after_promotion_and_of_topics_stay_with_their_bundle(log: Log) -> None:
    old, new = (replace(each, slices=("shop",)) for each in (OLD, NEW))
    decider = made({"bot": old}, {"bot": new})
    both_accepted(log)
    for what in ({"slice": "shop"}, {"topic": "roaming"}):
        log.command("expect.add", model="bot", until=START + 1e6, reason="r", **what)
    play(decider, log.command("bundle.promote", model="bot", reason="r"))
    assert [each.name for each in picture(decider).models[0].baseline.expectations] == ["slice shop"]
    [gone] = picture(decider).models[0].baseline.expectations
    log.command("expect.remove", model="bot", expectation=gone.id).command("bundle.rollback", model="bot", reason="r")
    play(decider, log)
    assert [each.name for each in picture(decider).models[0].baseline.expectations] == ["topic 1 (roaming)"]


def test_late_and_refused_prompts_are_counted_once(log: Log) -> None:
    decider = made()
    for i in range(10):
        window(log, i, 3, 6)
    window(log, 1, 3, 6, report=False)
    play(decider, log)
    assert picture(decider).late == {"bot": 100}


def test_a_promotion_holds_after_a_restart_and_as_long_as_the_configuration_names_the_same_bundles(log: Log) -> None:
    decider = made()
    play(decider, both_accepted(log).command("bundle.promote", model="bot", reason="r"))
    state, kept = decider.snapshot(), records(decider)

    def restarted(bundle: Watched, shadow: Watched | None, state: bytes = state) -> Decider:
        again = made({"bot": bundle}, {"bot": shadow} if shadow else {})
        again.restore(state)
        return again

    same = restarted(OLD, NEW)
    assert (picture(same).models[0].bundle, same.notes, same.snapshot()) == ("N", (), state)
    swapped = restarted(NEW, OLD)
    assert (picture(swapped).models[0].bundle, picture(swapped).former, swapped.notes) == ("N", {"bot": "B"}, ())
    assert records(swapped) == kept
    assert picture(restarted(OLD, NEW, swapped.snapshot())).models[0].bundle == "B", "naming it again is the operator's word"
    alone = restarted(NEW, None)
    assert (picture(alone).models[0].bundle, alone.notes) == ("N", ())
    alone.absorb(log.command("bundle.rollback", model="bot", reason="r").drain())
    assert outcomes(alone.close_due(None)) == [
        "refused: bundle B is not configured any more: name its directory as models.bot.shadow first"
    ]
    back = restarted(NEW, OLD, alone.snapshot())
    assert records(back)["B"]["learning"] == kept["B"]["learning"]


def test_a_configuration_that_does_not_name_the_promoted_bundle_holds_and_says_so(log: Log) -> None:
    decider = made()
    play(decider, both_accepted(log).command("bundle.promote", model="bot", reason="r"))
    kept = records(decider)
    again = made(shadows={})
    again.restore(decider.snapshot())
    assert picture(again).models[0].bundle == "B"
    assert again.notes == (
        "model bot: bundle N was put in force by a command, but the configuration has changed since: "
        "B is in force now, as models.bot.bundle says",
    )
    assert records(again)["B"] == kept["B"]
    assert records(again)["N"]["learning"] == kept["N"]["learning"]
    once = made(shadows={})
    once.restore(again.snapshot())
    assert once.notes == ()


def test_a_third_bundle_takes_the_place_of_neither() -> None:
    third = replace(OLD, bundle="C")
    chosen = sides("bot", third, NEW, Switched("N", "B", "B"))
    assert (chosen.in_force, chosen.shadow, chosen.switched) == (third, NEW, None)
    assert chosen.note is not None


def test_a_state_without_shadows_is_read(log: Log) -> None:
    decider = made(shadows={})
    play(decider, log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot", reason="r"))
    state = json.loads(zlib.decompress(decider.snapshot()))
    for key in ("shadow", "detached", "switched"):
        del state[key]
    again = made()
    again.restore(zlib.compress(json.dumps(state).encode()))
    assert picture(again).models[0].baseline.accepted is not None
    assert picture(again).shadows[0].baseline.accepted is None


def story() -> list[Entry]:
    log = both_accepted(Log())
    for i in range(60):
        window(log, i, 30 if 10 <= i < 20 else 3, 40 if 30 <= i < 45 else 6)
        if i in (14, 25):
            log.command("bundle.promote" if i == 25 else "incident.ack", START, model="bot", reason="r", incident="x")
        if i == 50:
            log.command("bundle.rollback", START, model="bot", reason="r")
    return log.drain()


ENTRIES = story()


def told(steps: Sequence[Closed]) -> tuple[list[Verdict], dict[str, Incident], list[str]]:
    verdicts = {(v.stream, v.window_start): v for step in steps for v in step.verdicts}
    audit = {entry.id: entry.outcome for step in steps for entry in step.audit}
    return list(verdicts.values()), opened(steps), list(audit.values())


def undisturbed() -> tuple[tuple[list[Verdict], dict[str, Incident], list[str]], dict[str, Any]]:
    decider = made()
    decider.absorb(ENTRIES)
    return told(decider.close_due(None)), records(decider)


EXPECTED, RECORDS = undisturbed()


def test_the_story_is_worth_testing() -> None:
    _, incidents, audit = EXPECTED
    assert len(audit) == 7
    assert {i.level for i in incidents.values()} == {"ticket", "page"}
    assert [outcome.partition(";")[0] for outcome in audit[-2:]] == [
        "bundle N is in force instead of B",
        "bundle B is in force instead of N",
    ]


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(ENTRIES)), st.integers(0, 40)), min_size=1, max_size=4))
def test_killed_anywhere_before_and_after_promotion_it_comes_to_the_same(kills: list[tuple[int, int]]) -> None:
    steps: list[Closed] = []
    state: bytes | None = None
    for checkpoint, lost in [*sorted(kills), (len(ENTRIES), 0)]:
        decider = made()
        decider.restore(state)
        reached = max(checkpoint, decider.position)
        decider.absorb(ENTRIES[decider.position : reached])
        steps.extend(decider.close_due(None))
        state = decider.snapshot()
        assert decider.position == reached
        last = records(decider)
        decider.absorb(ENTRIES[reached : reached + lost])
        steps.extend(decider.close_due(None))
    assert told(steps) == EXPECTED
    assert last == RECORDS
