"""Announced deployments and accepted records, as the decider takes them."""

from typing import Any

import pytest
from probe_log import Rounds, stream

from service.decider.probing.deployments import KEPT, Deployment, Deployments
from service.records.probes import Counts

FACTS = stream()
PRINTS = stream("fingerprint/tiny", "identity", "fingerprint", items=10)
JUDGE = stream("judge/main", "", "judge", target="main", items=40)
MUSEUM = stream("golden/museum", "art")


def said(rounds: Rounds, kind: str = "probe.accept", **arguments: Any) -> str:
    rounds.log.command(kind, time=rounds.now, **{"model": "bot", "reason": "known", **arguments})
    rounds.decider.absorb(rounds.log.drain())
    (entry,) = [entry for step in rounds.decider.close_due(None) for entry in step.audit]
    assert (entry.kind, entry.actor, entry.arguments["reason"]) == (kind, "ada", "known")
    return entry.outcome


def swapped() -> Rounds:
    """A ticket says that another model answers."""
    rounds = Rounds(PRINTS).run(10, 0.0)
    for _ in range(2):
        rounds.tell({"identity": Counts(10, 10)})
        rounds.hour += 1
    assert [incident.level for incident in rounds.open()] == ["ticket"]
    return rounds


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"model": "other"}, "no model that is probed is called 'other'; known: bot"),
        ({"model": None}, "model must be given"),
        ({"target": "base"}, "no target that is probed is called 'base'; known: live, main"),
        ({"suite": "golden/fact"}, "no suite that is probed is called 'golden/fact'; known: golden/facts, golden/museum, judge/main"),
        ({"suite": "golden/facts", "category": "rivers"}, "no category that is probed is called 'rivers'; known: capitals"),
        ({"suite": ["golden/facts"]}, "no suite that is probed is called ['golden/facts']"),
        ({"suite": "golden/museum"}, "nothing to accept"),
    ],
)
def test_a_refusal_says_what_is_known(named: dict[str, Any], message: str) -> None:
    rounds = Rounds(FACTS, MUSEUM, JUDGE).run(25, 0.05, of=FACTS)
    assert said(rounds, **named).startswith(f"refused: {message}")


def test_what_is_as_it_was_is_left_alone() -> None:
    rounds = Rounds(FACTS, MUSEUM).run(30, 0.05)
    before = rounds.view(category="capitals").record
    assert said(rounds).startswith("refused: nothing to accept")
    rounds.run(3, 0.2, of=MUSEUM, key="key-2")
    assert [each.acceptable for each in rounds.picture().probes if each.stream == "probe"] == [False, True]
    assert said(rounds) == "accepted as the record: 2 streams, 120 answers"  # also how many could not be graded
    assert rounds.view(category="capitals").record == before
    record = rounds.view(category="art").record
    assert record is not None
    assert (record.key, record.n, record.actor, record.reason) == ("key-2", 60, "ada", "known")
    assert rounds.view(category="art").trial is None
    assert "60 of 400" in str(rounds.view(category="art").why)


def test_the_record_of_a_model_under_an_open_incident_can_be_accepted_and_closes_it() -> None:
    rounds = Rounds(FACTS, seed=2).run(25, 0.05)
    rounds.until("page", rate=0.4)
    assert rounds.view().acceptable
    assert said(rounds, suite="golden/facts").startswith("accepted as the record: 1 streams")
    assert rounds.open() == []
    closed = {(incident.verdict, incident.closed_by, incident.reason) for incident in rounds.picture().recent}
    assert closed == {("monitor", "ada", "a record of probes was accepted: known")}


def test_judges_are_accepted_only_by_name() -> None:
    rounds = Rounds(FACTS, JUDGE).run(2, 0.05)
    said(rounds)
    assert rounds.view("probe_judge").record is None
    assert said(rounds, suite="judge/main") == "accepted as the record: 1 streams, 80 answers"
    assert rounds.view("probe_judge").record is not None


def test_announcing_a_swap_afterwards_closes_its_ticket() -> None:
    rounds = swapped()
    assert said(rounds, "deployment.add", revision="r2") == (
        "fingerprints that change within 24 h are no news, and what answers after that is their reference"
    )
    assert rounds.open() == []
    (closed,) = rounds.picture().recent
    assert (closed.verdict, closed.closed_by, closed.reason) == ("benign", "ada", "revision r2 was announced: known")


def test_accepting_a_fingerprint_closes_its_ticket_and_begins_again() -> None:
    rounds = swapped()
    assert said(rounds, category="identity").startswith("refused")
    assert said(rounds).startswith("refused")
    assert rounds.open()
    assert said(rounds, suite="fingerprint/tiny") == "fingerprints take a new reference from here on"
    assert rounds.open() == []
    rounds.run(10, 0.0)
    assert rounds.open() == []


def test_a_deployment_of_a_model_without_fingerprints_is_noted_and_of_nobody_is_refused() -> None:
    rounds = Rounds(FACTS)
    assert said(rounds, "deployment.add", revision="r2") == "noted: no fingerprints of this model are taken"
    assert said(rounds, "deployment.add", model="other", revision="r2").startswith("refused")
    assert [each.revision for each in rounds.picture().deployments] == ["r2"]


def test_the_newest_of_every_model_are_kept_whoever_else_deploys() -> None:
    kept = Deployments()
    kept.add(Deployment("quiet", "r1", 5.0, "ada"))
    for number in range(100):
        kept.add(Deployment("busy", f"r{number}", 100.0 - number % 2 + number, "ada"))
    assert [each.model_name for each in kept.all] == ["quiet"] + ["busy"] * KEPT
    assert [each.time for each in kept.all] == sorted(each.time for each in kept.all)
    assert kept.announced("quiet", 6.0)
    again = Deployments()
    again.load(kept.to_json())
    assert again.all == kept.all


def test_what_was_bad_and_is_over_is_not_accepted_with_what_answers_now() -> None:
    rounds = Rounds(stream()).run(20, 0.0)
    rounds.until("page", rate=0.9)
    rounds.run(60, 0.0)
    assert rounds.open() == []
    offered = rounds.view().now
    assert offered is not None
    assert offered.bad < 0.05 * offered.n


def test_what_is_accepted_while_an_incident_is_open_is_what_answers_since_it_began() -> None:
    rounds = Rounds(stream()).run(20, 0.0)
    rounds.until("page", rate=0.5)
    offered = rounds.view().now
    assert offered is not None
    assert 0.3 < offered.bad / offered.n < 0.8
    assert "accepted as the record" in said(rounds)
    record = rounds.view().record
    assert record is not None
    assert (record.n, record.bad) == (offered.n, offered.bad)


def test_a_judge_that_was_never_right_is_told_of() -> None:
    judge = stream("judge/main", "", "judge", target="main", items=50, severity="ticket")
    rounds = Rounds(judge)
    for _ in range(6):
        rounds.tell({"": Counts(0, 0, 50, 0)})
        rounds.hour += 1
    assert [incident.level for incident in rounds.open()] == ["ticket"]
