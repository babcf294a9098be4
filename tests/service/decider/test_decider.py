"""From entries to verdicts: phases, crossings, incidents, recovery, commands."""

import math

import numpy as np
import pytest
from decider_log import LENGTH, NULLS, START, TOPICS, Log, history, settings, sketch, watched

from service.decider.budget import PAGING, TICKETS
from service.decider.closed import Closed
from service.decider.decider import Decider, UnknownState
from service.errors import ConfigError
from service.records import Incident, Verdict

DAY = 86400


def play(decider: Decider, log: Log) -> list[Closed]:
    decider.absorb(log.drain())
    return list(decider.close_due(None))


def verdicts(steps: list[Closed]) -> list[Verdict]:
    return [verdict for step in steps for verdict in step.verdicts]


def incidents(steps: list[Closed]) -> list[Incident]:
    return [incident for step in steps for incident in step.incidents]


def stretch(log: Log, start: int, windows: int, strange: int, far: int = 1, n: int = 100) -> int:
    for i in range(windows):
        log.window(start + LENGTH * i, n, strange, far)
    return start + LENGTH * windows


@pytest.fixture
def paging(log: Log) -> Decider:
    """A decider whose baseline of 28 days was accepted: 3% strange, may page."""
    decider = Decider(watched(), settings())
    play(decider, log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot", reason="looks right"))
    assert decider.picture(active=True, now=0).models[0].baseline.phase == "baseline"
    return decider


def test_one_verdict_per_stream_of_a_window_with_prompts(decider: Decider, log: Log) -> None:
    steps = play(decider, log.window(START, n=100, strange=5, far=1))
    ood, far = verdicts(steps)
    assert (ood.stream, far.stream, ood.slice, ood.model_name) == ("ood_share", "far_share", "", "bot")
    assert (ood.n, ood.value, far.value) == (100, 0.05, 0.01)
    assert (ood.window_start, ood.window_end) == (START, START + 60)
    assert (ood.reference, far.reference) == (NULLS["strange"], NULLS["far"])
    assert ood.effect_low < 0 < ood.effect_high
    assert ood.state == "insufficient"


def test_thresholds_follow_from_budgets_and_weights() -> None:
    decider = Decider(watched({"bot": 3.0, "small": 1.0}), settings())
    steps = play(decider, Log().delta(START).delta(START, model="small").report(START + 90))
    by_model = {verdict.model_name: verdict for verdict in verdicts(steps)}
    assert by_model["bot"].log10_threshold == pytest.approx(math.log10(90 * DAY / 60 * 4 / 3 * len(PAGING)))
    assert by_model["small"].log10_ticket_threshold == pytest.approx(math.log10(7 * DAY / 60 * 4 * len(PAGING + TICKETS)))


def test_a_budget_of_more_than_one_alarm_a_window_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"budgets\.page"):
        Decider(watched(), settings(budgets={"page": "100 per 1 minute"}))


def test_first_contact_learns_and_is_silent_then_the_reference_opens_tickets() -> None:
    decider = Decider(watched(), settings(detection={"first_contact": {"duration": 3600, "prompts": 2000}}))
    log = Log()
    end = stretch(log, START, 59, strange=30)
    steps = play(decider, log)
    assert {verdict.state for verdict in verdicts(steps)} == {"learning"}
    assert incidents(steps) == []
    view = decider.picture(active=True, now=0).models[0].baseline
    assert view.phase == "first_contact"
    assert view.contact is not None
    assert (view.contact.n, view.contact.strange) == (5900, 1770)
    stretch(log, end, 60, strange=30)
    opened = incidents(play(decider, log))
    assert {incident.level for incident in opened} == {"ticket"}
    view = decider.picture(active=True, now=0).models[0].baseline
    assert view.phase == "reference"
    assert view.asks is not None
    assert "30.00%" in view.asks


def test_first_contact_lasts_until_there_are_enough_prompts() -> None:
    decider = Decider(watched(), settings(detection={"first_contact": {"duration": 60, "prompts": 2000}}))
    log = Log()
    stretch(log, START, 19, strange=3)
    play(decider, log)
    assert decider.picture(active=True, now=0).models[0].baseline.phase == "first_contact"
    play(decider, log.window(START + 60 * 19))
    assert decider.picture(active=True, now=0).models[0].baseline.phase == "reference"


@pytest.mark.parametrize(("strange", "pages"), [(4, True), (9, False)])
def test_the_reference_may_page_after_14_days_unless_the_learned_share_exceeds_it(strange: int, pages: bool) -> None:
    """Nine in a hundred exceed the bound; the open ticket is then no reason not to learn, or it would never be learned."""
    decider, log = Decider(watched(), settings(windows={"clock": "event", "length": 3600})), Log()
    swing = (-1, 1, 0)
    for hour in range(24 * 15):
        start = START + 3600 * hour
        log.delta(start, sketch(100, strange + swing[hour % 3], 1)).report(start + 3630)
    play(decider, log)
    picture = decider.picture(active=True, now=0)
    stream = picture.streams[0]
    assert (stream.thresholds["page"] is not None) is pages
    assert picture.models[0].baseline.days >= 14
    assert (picture.models[0].baseline.asks is None) is pages


def test_a_replay_opens_at_most_tickets_until_a_baseline_is_accepted() -> None:
    decider, log = Decider(watched(), settings(windows={"clock": "event", "length": 3600}), "replay"), Log()
    for hour in range(24 * 15):
        log.delta(START + 3600 * hour, sketch(100, 4, 1)).report(START + 3600 * hour + 3630)
    steps = play(decider, log)
    assert {verdict.state for verdict in verdicts(steps)} <= {"ok", "insufficient"}
    assert decider.picture(active=True, now=0).streams[0].thresholds["page"] is None
    play(decider, log.command("baseline.learn", **history(14)).command("baseline.accept", model="bot"))
    assert decider.picture(active=True, now=0).streams[0].thresholds["page"] is not None


def test_a_rise_opens_a_ticket_then_a_page_and_recovery_closes_both(paging: Decider, log: Log) -> None:
    end = stretch(log, START, 120, strange=3)
    assert incidents(play(paging, log)) == []
    changed = end
    end = stretch(log, end, 40, strange=12)
    steps = play(paging, log)
    first = {incident.level: incident for incident in reversed(incidents(steps)) if incident.stream == "ood_share"}
    assert first["ticket"].opened <= first["page"].opened < changed + 20 * LENGTH
    page = first["page"]
    assert page.severity == "critical"
    assert first["ticket"].severity == "warning"
    assert page.id == f"bot-ood_share-page-{page.opened:.0f}"
    assert page.change_low <= page.change_start <= page.change_high
    assert abs(page.change_start - changed) <= 2 * LENGTH
    assert page.value == pytest.approx(0.12, abs=0.01)
    assert page.reference == pytest.approx(0.03, abs=0.001)
    assert page.log10_evidence >= page.log10_threshold
    assert {v.stream: v.state for v in verdicts(steps)[-3:]} == {"ood_share": "page", "far_share": "ok", "combined": "page"}
    opened = [(i.stream, i.severity) for i in paging.picture(active=True, now=0).incidents]
    assert sorted(opened) == [(stream, severity) for stream in ("combined", "ood_share") for severity in ("critical", "warning")]

    recovered = end
    stretch(log, end, 120, strange=3)
    closed = [incident for incident in incidents(play(paging, log)) if incident.closed is not None]
    assert {(incident.level, incident.closed_by, incident.verdict, incident.severity) for incident in closed} == {
        ("ticket", "recovery", "recovered", "none"),
        ("page", "recovery", "recovered", "none"),
    }
    assert all(incident.closed is not None and incident.closed - recovered <= 2 * 3600 for incident in closed)
    picture = paging.picture(active=True, now=0)
    assert picture.incidents == ()
    assert picture.streams[0].state == "ok"
    assert picture.models[0].severity == {"drift": "none"}


def test_further_crossings_are_added_to_the_open_incident(paging: Decider, log: Log) -> None:
    stretch(log, START, 300, strange=30)
    last = {incident.id: incident for incident in incidents(play(paging, log))}
    ood = [incident for incident in last.values() if incident.stream == "ood_share"]
    assert sorted(incident.level for incident in ood) == ["page", "ticket"]
    assert all(incident.crossings > 5 for incident in ood)
    assert paging.picture(active=True, now=0).opened[("bot", "", "ood_share", "page")] == 1


def test_paging_switched_off_leaves_tickets() -> None:
    decider = Decider(watched(), settings(detection={"paging": False, "first_contact": {"duration": 0, "prompts": 0}}))
    log = Log().command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
    stretch(log, START, 100, strange=30)
    steps = play(decider, log)
    assert {incident.level for incident in incidents(steps)} == {"ticket"}
    assert decider.picture(active=True, now=0).models[0].severity == {"drift": "warning"}
    assert verdicts(steps)[-1].log10_threshold == math.inf


def test_a_page_in_a_backlog_warns_until_the_backlog_is_worked_off() -> None:
    decider = Decider(watched(), settings(windows={"clock": "wall"}))
    log = Log().command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
    hours_later = START + 6 * 3600
    for i in range(40):
        start = START + LENGTH * i
        log.delta(start, sketch(100, 30, 1)).report(start + 90, sent=hours_later)
    pages = [incident for incident in incidents(play(decider, log)) if incident.level == "page"]
    assert {incident.severity for incident in pages} == {"warning"}
    assert decider.picture(active=True, now=hours_later).models[0].severity == {"drift": "warning"}

    log.report(hours_later - 901, sent=hours_later)
    assert incidents(play(decider, log)) == []
    log.report(hours_later - 899, sent=hours_later)
    assert [i.severity for i in incidents(play(decider, log)) if i.level == "page"] == ["critical", "critical"]


def test_a_backlog_that_recovers_before_it_is_worked_off_never_pages() -> None:
    decider = Decider(watched(), settings(windows={"clock": "wall"}))
    log = Log().command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
    later = START + 12 * 3600
    for i in range(300):
        start = START + LENGTH * i
        log.delta(start, sketch(100, 30 if i < 30 else 2, 0)).report(start + 90, sent=later)
    log.report(later, sent=later)
    found = incidents(play(decider, log))
    assert any(incident.level == "page" for incident in found)
    assert {incident.severity for incident in found} == {"warning", "none"}


def test_the_words_name_share_interval_start_and_the_topic_that_grew(paging: Decider, log: Log) -> None:
    for i in range(60):
        log.window(START + LENGTH * i, 100, 3, 0, topics=(97, 0, 0, 0, 3))
    for i in range(60, 80):
        log.window(START + LENGTH * i, 100, 12, 0, topics=(70, 27, 0, 0, 3))
    page = next(incident for incident in incidents(play(paging, log)) if incident.level == "page")
    assert page.explanation.startswith("12.0% strange (")
    assert "since 14 Nov 01:00 UTC; normal 3.00%" in page.explanation
    assert "grew: roaming 1.29% -> 27.0% (22.7% to 31.6%); fell: billing 95.7% -> 70.0%" in page.explanation


def test_windows_in_an_open_incident_are_not_learned(paging: Decider, log: Log) -> None:
    end = stretch(log, START, 30, strange=3)
    play(paging, log)
    assert paging.picture(active=True, now=0).models[0].baseline.prompts == 3000
    stretch(log, end, 30, strange=30)
    play(paging, log)
    learned = paging.picture(active=True, now=0).models[0].baseline.prompts
    assert 3000 <= learned < 3500


def test_windows_of_another_bundle_are_stored_counted_and_not_judged(decider: Decider, log: Log) -> None:
    steps = play(decider, log.delta(START, bundle="B").delta(START, sketch(7, 7, 7), bundle="new").report(START + 90))
    assert len(steps[0].sketches) == 2
    assert [verdict.n for verdict in verdicts(steps)] == [100, 100]
    assert decider.picture(active=True, now=0).unknown_bundle == {"new": 7}


def test_slices_are_stored_and_not_judged(decider: Decider, log: Log) -> None:
    steps = play(decider, log.delta(START, slice="tenant").report(START + 90))
    assert len(steps[0].sketches) == 1
    assert verdicts(steps) == []


def test_empty_windows_change_nothing(decider: Decider, log: Log) -> None:
    play(decider, log.window(START))
    before = decider.picture(active=True, now=0).streams
    steps = play(decider, log.delta(START + 60, sketch(0, 0, 0, (0,) * 5)).report(START + 150))
    assert verdicts(steps) == []
    assert [s.evidence for s in decider.picture(active=True, now=0).streams] == [s.evidence for s in before]


def test_state_is_idle_when_no_prompt_comes_and_blind_beats_everything(log: Log) -> None:
    decider = Decider(watched(), settings(windows={"clock": "wall"}))
    play(decider, log.window(START))
    assert decider.picture(active=True, now=START + 100).streams[0].state == "insufficient"
    play(decider, log.report(START + 300, sent=START + 300))
    assert decider.picture(active=True, now=START + 300).streams[0].state == "idle"
    blind = decider.picture(active=True, now=START + 1000)
    assert blind.streams[0].state == "blind"
    assert blind.blind == ("no worker has reported for 700 s",)


def test_enough_prompts_in_sixty_windows_are_ok_and_old_ones_do_not_count(decider: Decider, log: Log) -> None:
    assert [v.state for v in verdicts(play(decider, log.window(START).window(START + 60)))[::2]] == ["insufficient", "ok"]
    assert verdicts(play(decider, log.window(START + 60 * 61)))[0].state == "insufficient"


def test_acknowledge_and_close_by_hand(paging: Decider, log: Log) -> None:
    stretch(log, START, 30, strange=30)
    play(paging, log)
    page = next(i for i in paging.picture(active=True, now=0).incidents if i.level == "page")
    acked = incidents(play(paging, log.command("incident.ack", START + 5000.0, incident=page.id)))
    assert [(i.acknowledged, i.acknowledged_by, i.severity) for i in acked] == [(START + 5000.0, "ada", "critical")]
    assert incidents(play(paging, log.command("incident.ack", START + 9000.0, incident=page.id))) == []
    steps = play(paging, log.command("incident.close", START + 6000.0, incident=page.id, verdict="benign", reason="campaign"))
    [closed] = incidents(steps)
    assert (closed.closed, closed.closed_by, closed.verdict, closed.reason, closed.severity) == (
        START + 6000.0,
        "ada",
        "benign",
        "campaign",
        "none",
    )
    assert steps[0].audit[0].outcome == "closed as benign"
    assert page.id not in {i.id for i in paging.picture(active=True, now=0).incidents}
    paging.restore(paging.snapshot())
    assert paging.picture(active=True, now=0).ended == {("bot", "page", "benign"): 1}


@pytest.mark.parametrize(
    ("kind", "arguments", "outcome"),
    [
        ("incident.ack", {"incident": "none"}, "refused: no such incident is open"),
        ("incident.close", {"incident": "none", "verdict": "wrong"}, "refused: verdict must be one of real, benign, monitor"),
        ("incident.close", {"verdict": "real"}, "refused: incident must be given"),
        ("baseline.accept", {"model": "other"}, "refused: no model is called 'other'"),
        ("baseline.accept", {"model": "bot"}, "refused: nothing is learned yet: there is no baseline to accept"),
        ("baseline.learn", {"model": "bot"}, "refused: blocks.strange must be a list of [day, n, x]"),
        (
            "baseline.learn",
            {"model": "bot", "blocks": {"strange": [[1, 5, 9]], "far": [[1, 5, 0]]}},
            "refused: blocks.strange must be rows",
        ),
        ("baseline.learn", {"model": "bot", "blocks": {"strange": [[1, 0, 0]], "far": [[1, 0, 0]]}}, "refused: no baseline can be made"),
        ("dance", {}, "refused: unknown command dance"),
    ],
)
def test_a_command_that_cannot_be_applied_is_refused_with_a_reason(
    decider: Decider, kind: str, arguments: dict[str, object], outcome: str
) -> None:
    [step] = play(decider, Log().command(kind, **arguments))
    assert step.audit[0].outcome.startswith(outcome)
    assert step.incidents == ()


def test_a_command_is_applied_once(decider: Decider, log: Log) -> None:
    accept = {"model": "bot", "reason": "r"}
    log.command("baseline.learn", **history(14)).command("baseline.accept", id="same", **accept).command(
        "baseline.accept", id="same", **accept
    )
    assert [audit.id for step in play(decider, log) for audit in step.audit].count("same") == 1


def test_accepting_changes_the_null_restarts_the_stream_and_ends_its_incidents(decider: Decider, log: Log) -> None:
    end = stretch(log, START, 200, strange=15)
    play(decider, log)
    assert [i.stream for i in decider.picture(active=True, now=0).incidents] == ["ood_share"]
    steps = play(
        decider, log.command("baseline.learn", **history(28, 0.15)).command("baseline.accept", end, model="bot", reason="new normal")
    )
    assert [(i.closed_by, i.verdict, i.reason) for i in incidents(steps)] == [("ada", "monitor", "a baseline was accepted")]
    rows = [row for step in steps for row in step.baselines]
    assert [(row.flag, row.stage, row.actor, row.reason) for row in rows] == [
        ("strange", "full", "ada", "new normal"),
        ("far", "full", "ada", "new normal"),
    ]
    stretch(log, end, 200, strange=15, far=3)
    steps = play(decider, log)
    assert incidents(steps) == []
    assert verdicts(steps)[0].reference == pytest.approx(0.15, abs=0.002)


def test_a_short_baseline_gives_tickets_only_and_what_was_learned_live_can_be_accepted(decider: Decider, log: Log) -> None:
    end = stretch(log, START, 100, strange=3)
    play(decider, log.command("baseline.accept", model="bot", reason="a first look", anyway=True))
    stream = decider.picture(active=True, now=0).streams[0]
    assert stream.reference == pytest.approx(0.03)
    assert stream.thresholds["page"] is None
    stretch(log, end, 100, strange=30)
    assert {i.level for i in incidents(play(decider, log))} == {"ticket"}


def test_a_handful_of_prompts_is_not_accepted_and_what_is_missing_is_said(decider: Decider, log: Log) -> None:
    play(decider, log.window(START, 12, strange=1, far=0))
    before = decider.picture(active=True, now=0).streams
    [step] = play(decider, log.command("baseline.accept", model="bot", reason="looks right"))
    assert step.audit[0].outcome == (
        "refused: not enough is learned from live: 1 of 24 hours are learned; "
        "up to 99.81% strange would count as normal (12 prompts, worth 1 independent; 3,496 more needed); "
        "up to 99.65% far would count as normal (12 prompts, worth 1 independent; 1,315 more needed) (--anyway accepts it all the same)"
    )
    assert step.baselines == ()
    after = decider.picture(active=True, now=0)
    assert after.streams == before
    assert after.models[0].baseline.accepted is None


def test_anyway_accepts_it_and_audit_and_picture_say_so(decider: Decider, log: Log) -> None:
    play(decider, log.window(START, 12, strange=1, far=0))
    [step] = play(decider, log.command("baseline.accept", model="bot", reason="a trial", anyway=True))
    assert step.audit[0].arguments == {"model": "bot", "reason": "a trial", "anyway": True}
    assert step.audit[0].outcome.startswith("accepted live anyway, although 1 of 24 hours are learned; up to 99.")
    assert [row.flag for row in step.baselines] == ["strange", "far", "new_topic", "truncation", "topic_mix"], "all that has a null"
    assert all(row.why for row in step.baselines)
    decider.restore(decider.snapshot())
    accepted = decider.picture(active=True, now=0).models[0].baseline.accepted
    assert accepted is not None
    assert "12 prompts, worth 1 independent" in str(accepted.objection)


def test_a_day_of_enough_prompts_is_accepted_and_a_bound_that_hides_everything_is_not(decider: Decider, log: Log) -> None:
    for hour in range(24):
        log.window(START + 3600 * hour, 120, strange=4, far=1)
    [*_, step] = play(decider, log.command("baseline.accept", model="bot", reason="a day"))
    assert step.audit[0].outcome.startswith("accepted live: strange 3.33%")
    [step] = play(decider, log.command("baseline.learn", **history(13, rate=0.8)))
    assert "not enough to be accepted: up to 100.00% strange would count as normal: hardly any rise could be seen" in step.audit[0].outcome
    [step] = play(decider, log.command("baseline.accept", model="bot", reason="a wild fortnight"))
    assert step.audit[0].outcome.startswith("refused: not enough is learned from history: up to 100.00% strange")


def test_reset_goes_back_to_first_contact(log: Log) -> None:
    decider = Decider(watched(), settings(detection={"first_contact": {"duration": 600, "prompts": 0}}))
    play(decider, log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot").window(START))
    assert decider.picture(active=True, now=0).streams[0].state == "insufficient"
    play(decider, log.command("baseline.reset", model="bot", reason="new release").window(START + 60))
    picture = decider.picture(active=True, now=0)
    assert picture.streams[0].state == "learning"
    assert picture.models[0].baseline.accepted is None
    assert picture.streams[0].reference == NULLS["strange"]


def test_history_is_learned_and_becomes_a_command() -> None:
    rng = np.random.default_rng(5)
    teacher, log = Decider(watched(), settings(), "history"), Log()
    for i in range(16 * 1440 // 10):
        x = int(rng.binomial(200, 0.03))
        log.window(START + 600 * i, 200, x, int(rng.binomial(x, 0.2)), (50, 150, 0, 0, 0))
    steps = play(teacher, log)
    assert incidents(steps) == []
    payload = teacher.learned("bot", "last month")
    student = Decider(watched(), settings(), "replay")
    steps = play(student, log.command("baseline.learn", model="bot", **payload).command("baseline.accept", model="bot"))
    strange = next(row for step in steps for row in step.baselines if row.flag == "strange")
    assert strange.rate == pytest.approx(0.03, rel=0.05)
    assert (strange.days, strange.stage, strange.source) == (16, "paging", "last month")
    assert 1 <= strange.design_effect < 2
    before_the_first_window = student.picture(active=True, now=0).streams
    assert all(stream.series.n.size == 0 and stream.share is None for stream in before_the_first_window)


def test_a_key_seen_before_is_left_out(decider: Decider, log: Log) -> None:
    log.delta(START, key="a").delta(START, slice="x", key="a").report(START).delta(START, key="a").delta(START, slice="x", key="a")
    steps = play(decider, log.report(START + 90))
    assert sorted(s.n for s in steps[0].sketches.values()) == [100, 100]
    assert decider.picture(active=True, now=0).repeats == 1


def test_a_new_bundle_begins_anew_and_ends_the_old_incidents(paging: Decider, log: Log) -> None:
    stretch(log, START, 30, strange=30)
    play(paging, log)
    state = paging.snapshot()
    other = Decider(
        {"bot": type(watched()["bot"])("NEW", NULLS, TOPICS)}, settings(detection={"first_contact": {"duration": 60, "prompts": 1000}})
    )
    other.restore(state)
    assert {i.closed_by for i in incidents(list(other.close_due(None)))} == {"configuration"}
    view = other.picture(active=True, now=0)
    assert view.models[0].baseline.phase == "first_contact"
    assert view.streams[0].evidence["page"] == 0
    assert other.position == paging.position


def test_incidents_of_a_model_that_is_gone_are_closed(paging: Decider, log: Log) -> None:
    stretch(log, START, 30, strange=30)
    play(paging, log)
    other = Decider(watched({"other": 1.0}), settings())
    other.restore(paging.snapshot())
    found = incidents(list(other.close_due(None)))
    assert {(i.model_name, i.closed, i.reason) for i in found} == {("bot", START + 60 * 30 + 30, "the model is no longer configured")}
    assert other.picture(active=True, now=0).incidents == ()


def test_adding_a_model_keeps_what_the_others_know_but_their_share_of_the_budget(paging: Decider, log: Log) -> None:
    stretch(log, START, 30, strange=30)
    play(paging, log)
    both = Decider(watched({"aaa": 1.0, "bot": 1.0}), settings())
    both.restore(paging.snapshot())
    view = {(s.model_name, s.stream): s for s in both.picture(active=True, now=0).streams}
    assert view["bot", "ood_share"].state == "page"
    assert view["bot", "ood_share"].reference == pytest.approx(0.03, abs=0.001)
    assert view["aaa", "ood_share"].state == "idle"
    stretch(log, START + 60 * 30, 200, strange=2)
    closed = {i.level for i in incidents(play(both, log)) if i.closed_by == "recovery"}
    assert closed == {"ticket", "page"}


@pytest.mark.parametrize(("state", "message"), [(b"nonsense", "holds no state"), (None, "reads tiltmeter.decider version 3")])
def test_a_checkpoint_of_another_kind_or_version_is_refused(decider: Decider, state: bytes | None, message: str) -> None:
    import json
    import zlib

    newer = zlib.compress(json.dumps({"kind": "tiltmeter.decider", "version": 4}).encode())
    with pytest.raises(UnknownState, match=message):
        decider.restore(state or newer)
