"""Rounds of probes through the decider: learning, paging, trial, recovery, what updates nothing, and restarts."""

import json
import zlib
from dataclasses import replace
from math import log10

import pytest
from decider_log import NULLS, Log, watched
from probe_log import HOUR, START, Rounds, config, stream

from detectors.rounds import bound, smallest_effect
from service.decider.decider import Decider
from service.errors import ConfigError
from service.records import Command
from service.records.probes import Counts, Round
from service.records.probes_json import read_round, round_command

FACTS = stream()


def learned(seed: int = 0, rate: float = 0.05, **changes: object) -> Rounds:
    """A record of 400 answers."""
    return Rounds(replace(FACTS, **changes), seed=seed).run(20, rate)  # type: ignore[arg-type]


def test_a_round_survives_its_way_as_json() -> None:
    counts = {"capitals": Counts(20, 3, 1, 0, 2, 1), "rivers": Counts()}
    told = Round("r", "bot", "live", "live", "golden/facts", "golden", 20, 1.0, 2.0, 3.0, "k", "r1", True, "", counts, 20, 4000, 0.01)
    command = round_command(told)
    assert read_round(json.loads(json.dumps(command.arguments))) == told
    assert command.id == "round/r"


@pytest.mark.parametrize(
    "change",
    [
        {"counts": {"a": [20, 21, 0, 0, 0, 0]}},
        {"counts": {"a": [20, 1, 0, 0, 2, 0]}},
        {"counts": {"a": [20, 1]}},
        {"counts": [1]},
        {"counts": {"a": [10**30, 1, 0, 0, 0, 0]}},
        {"kind": "party"},
        {"role": ["live"]},
        {"scheduled": None},
        {"ended": 1e300},
        {"money": 10**400},
        {"seconds95": 10**400},
        {"beside": "nobody"},
        {"ended": float("nan")},
        {"complete": "yes"},
        {"key": None},
        {"items": -1},
        {"seconds95": "fast"},
    ],
)
def test_what_is_no_round_is_refused_in_the_audit_and_never_fatal(change: dict[str, object]) -> None:
    rounds = learned()
    before = rounds.view()
    told = Round("r", "bot", "live", "live", "golden/facts", "golden", 20, 1.0, 2.0, 3.0, "k", "", True, "", {"capitals": Counts(20, 3)})
    rounds.log.add(Command("x", "probe.round", "ada", 0.0, {**round_command(told).arguments, **change}))
    rounds.decider.absorb(rounds.log.drain())
    audit = [entry for step in rounds.decider.close_due(None) for entry in step.audit]
    assert [entry.outcome.split(":")[0] for entry in audit] == ["refused"]
    assert rounds.view() == before


def test_the_first_record_is_learned_and_pages_only_when_it_is_whole() -> None:
    rounds = Rounds(FACTS)
    assert rounds.view().state == "learning"
    assert rounds.view().thresholds == {"ticket": None, "page": None}
    rounds.run(5, 0.05)
    view = rounds.view()
    assert view.record is not None
    assert (view.record.n, view.state, view.thresholds["page"]) == (100, "ok", None)
    assert view.why == "the record has 100 of 400 answers"
    rounds.run(15, 0.05)
    view = rounds.view()
    assert view.record is not None
    assert view.record.n == 400
    assert view.why is None
    assert view.null == pytest.approx(bound(view.record.bad, 400) + smallest_effect(20))
    assert view.thresholds["page"] == pytest.approx(log10(90 * 24 / 0.3))  # the probes have 0.3 of a page in 90 days


def test_a_model_that_breaks_while_it_is_learned_opens_a_ticket_and_does_not_become_the_record() -> None:
    rounds = Rounds(FACTS).run(5, 0.02).run(40, 0.6)
    assert [incident.level for incident in rounds.open() if incident.stream == "probe"] == ["ticket"]
    view = rounds.view()
    assert view.record is not None
    assert view.record.bad / view.record.n < 0.1
    assert rounds.pages() == []
    record = rounds.run(60, 0.02).view().record
    assert record is not None
    assert record.n >= 400
    assert record.bad / record.n < 0.05


def test_the_next_change_begins_after_the_one_that_was_closed() -> None:
    rounds = learned()
    rounds.until("page", rate=0.5)
    first = next(each for each in rounds.open() if each.level == "page")
    for incident in rounds.open():
        rounds.log.command("incident.close", time=rounds.now, incident=incident.id, verdict="monitor")
    closed = rounds.absorb().now
    rounds.until("page", rate=0.5)
    second = next(each for each in rounds.open() if each.level == "page")
    assert first.change_start < closed < second.change_start


def test_a_change_that_is_real_pages_and_says_what_it_is() -> None:
    rounds = Rounds(replace(FACTS, paired=True), seed=1).run(20, 0.05, base=0.04)
    assert rounds.until("page", rate=0.35, base=0.04) <= 6
    incident = next(each for each in rounds.open() if each.level == "page" and each.stream == "probe")
    assert (incident.kind, incident.severity, incident.owner) == ("behaviour", "critical", "team")
    assert incident.slice == "live/golden/facts/capitals"
    assert "/" not in incident.id
    assert incident.explanation.startswith("golden/facts/capitals: ")
    assert "since 14 Nov 20:01 UTC" in incident.explanation
    assert "(400 answers)" in incident.explanation
    assert "base model" in incident.explanation
    assert START + 20 * HOUR <= incident.change_start <= START + 22 * HOUR
    model = rounds.picture().models[0]
    assert model.severity == {"drift": "none", "behaviour": "critical", "safety": "none"}
    rounds.run(30, 0.02, base=0.04)
    assert all(each.stream != "probe" for each in rounds.open())
    assert rounds.history[incident.id].closed_by == "recovery"


def test_one_freak_round_does_not_page_unless_the_stream_is_critical() -> None:
    freak = {"capitals": Counts(20, 20)}
    calm = learned().tell(freak)
    assert calm.pages() == []
    calm.hour += 1
    assert calm.run(40, 0.05).pages() == []
    assert [incident.level for incident in learned(critical=True).tell(freak).pages()] == ["page"]


def test_the_smallest_rise_that_is_news_is_the_suites_own() -> None:
    wide, usual = (Rounds(stream(min_effect=effect)).run(20).view() for effect in (0.2, 0.05))
    assert wide.null == pytest.approx(usual.null - 1.5 / 20 + 0.2)


def test_a_round_that_is_told_twice_counts_once() -> None:
    once, twice = learned(), learned()
    once.tell({"capitals": Counts(20, 9)})
    twice.tell({"capitals": Counts(20, 9)}).tell({"capitals": Counts(20, 9)})
    assert once.view() == twice.view()


def test_a_round_cut_short_updates_nothing_but_the_errors() -> None:
    rounds = learned()
    before, errors = rounds.view(), rounds.view("probe_errors")
    rounds.tell({"capitals": Counts(2, 2, 0, 18)}, complete=False, reason="errors")
    after = rounds.view()
    assert after.state == "insufficient"
    assert replace(after, state="ok") == before
    assert rounds.view("probe_errors").bad == errors.bad + 18
    assert rounds.suite().reason == "errors"
    rounds.hour += 1
    rounds.tell({"capitals": Counts(2, 2, 0, 18)}, complete=False, reason="budget")
    assert rounds.view("probe_errors").bad == errors.bad + 18


def test_an_endpoint_that_stops_answering_opens_a_ticket_and_wakes_nobody() -> None:
    rounds = learned()
    for _ in range(12):
        rounds.tell({"capitals": Counts(4, 0, 0, 16)}, complete=False, reason="errors")
        rounds.hour += 1
    assert [(each.stream, each.level, each.severity) for each in rounds.open()] == [("probe_errors", "ticket", "warning")]


def test_answers_that_cannot_be_graded_have_a_stream_of_their_own() -> None:
    rounds = learned()
    for _ in range(12):
        rounds.tell({"capitals": Counts(10, 0, 10)})
        rounds.hour += 1
    assert [(each.stream, each.level) for each in rounds.open()] == [("probe_unscored", "ticket")]


def test_a_silently_worse_release_is_on_trial_and_pages() -> None:
    rounds = learned(seed=2)
    record = rounds.view().record
    rounds.run(1, 0.3, key="key-2")
    trial = rounds.view().trial
    assert trial is not None
    assert (trial.key, trial.n) == ("key-2", 20)
    assert rounds.until("page", rate=0.3, key="key-2") <= 6
    rounds.run(60, 0.3, key="key-2")
    assert rounds.view().record == record


def test_a_release_that_was_alarmed_is_never_accepted_by_itself_but_by_a_person() -> None:
    rounds = learned(seed=2)
    rounds.until("page", rate=0.3, key="key-2")
    rounds.run(80, 0.03, key="key-2")
    view = rounds.view()
    assert rounds.open() == []
    assert view.record is not None
    assert view.record.key == "key-1"
    rounds.log.command("probe.accept", time=rounds.now, model="bot", suite="golden/facts", reason="known")
    rounds.absorb()
    record = rounds.view().record
    assert record is not None
    assert (record.key, record.actor, record.reason) == ("key-2", "ada", "known")


def test_a_release_that_is_not_worse_becomes_the_record_without_loosening_it() -> None:
    rounds = learned(seed=3, rate=0.08)
    before = rounds.view().record
    assert before is not None
    rounds.run(60, 0.07, key="key-2")
    record = rounds.view().record
    assert record is not None
    assert (record.key, record.actor) == ("key-2", "trial")
    assert record.bound is not None
    assert before.bound is not None
    assert record.bound <= before.bound
    assert record.n >= 400
    assert rounds.pages() == []


def test_two_revisions_that_answer_are_counted_apart() -> None:
    rounds = learned(seed=4, rate=0.04)
    for _ in range(10):
        rounds.run(1, 0.04).run(1, 0.5, revision="canary")
    trial, record = rounds.view().trial, rounds.view().record
    assert trial is not None
    assert record is not None
    assert (trial.n, trial.revision) == (200, "canary")
    assert trial.bad > 60
    assert (record.revision, record.bad / record.n < 0.1) == ("", True)
    assert rounds.pages()


def test_accepting_what_nobody_asked_is_refused() -> None:
    rounds = learned()
    rounds.log.command("probe.accept", model="bot", suite="golden/nothing")
    rounds.decider.absorb(rounds.log.drain())
    assert [entry.outcome[:7] for step in rounds.decider.close_due(None) for entry in step.audit] == ["refused"]


def test_worse_than_the_base_model_pages_without_any_record() -> None:
    paired = replace(FACTS, paired=True, answers=100_000)
    rounds = Rounds(paired, seed=5)
    assert rounds.until("page", stream="probe_paired", rate=0.3, base=0.05) <= 12
    (incident,) = rounds.pages()
    assert incident.stream == "probe_paired"
    assert "only this model got wrong" in incident.explanation
    same = Rounds(paired, seed=5).run(150, 0.2, base=0.2)
    assert same.pages() == []


def test_rounds_in_which_both_models_agree_are_not_part_of_the_change() -> None:
    rounds = Rounds(replace(FACTS, paired=True, answers=100_000), seed=5).run(30, 0.0, base=0.0)
    began = rounds.now
    rounds.until("page", stream="probe_paired", rate=0.4, base=0.0)
    (incident,) = rounds.pages()
    assert began - HOUR <= incident.change_start <= began + 2 * HOUR


@pytest.mark.parametrize("items", [1, 2, 3])
def test_a_category_of_few_items_can_be_paired(items: int) -> None:
    rounds = Rounds(replace(FACTS, items=items, paired=True, answers=100_000), seed=5).run(30, 0.05, base=0.05)
    assert rounds.pages() == []


def test_a_judge_that_drifts_makes_its_streams_inconclusive_and_wakes_nobody() -> None:
    judge = stream("judge/main", "", "judge", target="main", items=40)
    rounds = Rounds(replace(FACTS, judges=("main",)), judge).run(20, 0.05)
    for _ in range(12):
        rounds.tell({"": Counts(40, 16)}, judge)
        rounds.hour += 1
    assert [(each.stream, each.level) for each in rounds.open()] == [("probe_judge", "ticket")]
    before = rounds.view()
    rounds.run(10, 0.6, of=rounds.streams[0])
    assert rounds.pages() == []
    assert rounds.view() == replace(before, state="insufficient")
    assert rounds.suite().reason == "judge main drifts"


def test_a_model_that_was_swapped_silently_opens_a_ticket_within_two_rounds() -> None:
    prints = stream("fingerprint/tiny", "logprobs", "fingerprint", items=10)
    rounds = Rounds(prints).run(10, 0.0)
    assert rounds.open() == []
    for _ in range(2):
        rounds.tell({"logprobs": Counts(10, 9)})
        rounds.hour += 1
    assert [(each.level, each.severity) for each in rounds.open()] == [("ticket", "warning")]


def test_a_deployment_that_was_announced_is_no_silent_swap() -> None:
    prints = stream("fingerprint/tiny", "logprobs", "fingerprint", items=10)
    rounds = Rounds(prints).run(5, 0.0)
    rounds.tell({"logprobs": Counts(10, 9)})
    rounds.hour += 1
    rounds.log.command("deployment.add", time=rounds.now, model="bot", revision="r2")
    rounds.run(24, 0.9)
    assert rounds.open() == []
    assert rounds.suite().reason == "a deployment was announced"
    assert [each.revision for each in rounds.picture().deployments] == ["r2"]
    rounds.run(3, 0.9)
    assert [each.level for each in rounds.open()] == ["ticket"]


def test_a_restart_at_any_round_tells_the_same_story() -> None:
    paired = replace(FACTS, paired=True)
    whole, cut = (Rounds(paired, seed=6) for _ in range(2))
    whole.run(22, 0.05, base=0.05).run(6, 0.4, base=0.05, key="key-2").run(30, 0.02, base=0.05)
    for rounds, rate, key in ((22, 0.05, "key-1"), (6, 0.4, "key-2"), (30, 0.02, "key-1")):
        for _ in range(rounds):
            cut.run(1, rate, base=0.05, key=key)
            saved = cut.decider.snapshot()
            cut.decider = Decider(watched(), cut.config, probes=cut.streams)
            cut.decider.restore(saved)
            assert cut.decider.snapshot() == saved
    assert cut.verdicts == whole.verdicts
    assert cut.history == whole.history
    assert cut.pages()
    assert any(incident.closed for incident in cut.history.values())


def test_probes_that_are_configured_no_more_close_their_incidents_and_keep_their_record() -> None:
    rounds = learned()
    rounds.until("page", rate=0.5)
    record, saved = rounds.view().record, rounds.decider.snapshot()
    without = Decider(watched(), rounds.config)
    without.restore(saved)
    closed = [incident for step in without.close_due(None) for incident in step.incidents]
    assert {incident.closed_by for incident in closed} == {"configuration"}
    again = Decider(watched(), rounds.config, probes=rounds.streams)
    again.restore(without.snapshot())
    assert again.picture(active=True, now=0.0).probes[0].record == record


def test_a_state_from_before_there_were_probes_is_read() -> None:
    old = Decider(watched(), config())
    old.absorb(Log().window(START).drain())
    decider = Decider(watched(), config(), probes=[FACTS])
    state = json.loads(zlib.decompress(old.snapshot()))
    del state["probing"], state["joint"]
    decider.restore(zlib.compress(json.dumps(state).encode()))
    assert decider.position == 2


def test_without_probes_nothing_is_taken_from_the_budgets_and_with_them_the_part_that_is_theirs() -> None:
    plain, asked = Decider(watched(), config()), Decider(watched(), config(), probes=[FACTS, stream(category="rivers", weight=3.0)])
    whole, part = (decider.picture(active=True, now=0.0).streams[0] for decider in (plain, asked))
    assert part.thresholds["ticket"] is None or whole.thresholds["ticket"] is None or part.thresholds["ticket"] > whole.thresholds["ticket"]
    settings = asked._config
    drift = asked._live.streams.full / settings.windows.length
    probes = [each.planned for each in asked._probing.streams.values()]
    for level, budget, rates in (
        (0, settings.budgets.ticket, [each.ticket / each.of.interval for each in probes]),
        (1, settings.budgets.page, [each.page / each.of.interval for each in probes]),
    ):
        assert sum(rates) * budget == pytest.approx(0.3)
        assert (drift[level].sum() + sum(rates)) * budget == pytest.approx(1.0)
        assert max(rates) == pytest.approx(3 * min(rate for rate in rates if rate))
    assert set(NULLS) == {"strange", "far"}


def test_a_budget_of_more_than_one_alarm_a_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="one alarm in a round"):
        Decider(watched(), config(budgets={"page": "1 per day"}), probes=[replace(FACTS, interval=30 * 86400.0)])


def test_rounds_of_what_is_not_configured_are_left_out() -> None:
    rounds = learned()
    before = rounds.view()
    rounds.tell({"capitals": Counts(20, 20)}, stream("golden/other"))
    rounds.tell({"elsewhere": Counts(20, 20)})
    assert replace(rounds.view(), latest=before.latest) == before
