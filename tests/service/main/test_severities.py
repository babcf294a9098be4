"""Kinds of trouble told apart, and what has joined."""

import pytest
from decider_log import START, history
from probe_log import Rounds, stream

from service.decider.explain import short
from service.decider.snapshot import DeciderSnapshot
from service.main.severities import severities
from service.records.probes import Counts

FACTS = stream()
GOOD, BAD = Counts(20, 1), Counts(20, 12)


def told(snapshot: DeciderSnapshot) -> dict[str, tuple[str, bool]]:
    return {each.kind: (each.severity, each.joined) for each in severities(snapshot)}


def wrong(snapshot: DeciderSnapshot) -> dict[str, str]:
    return {kind: severity for kind, (severity, _) in told(snapshot).items() if severity != "none"}


def test_a_model_with_probes_has_every_kind_from_the_start() -> None:
    snapshot = Rounds(FACTS).absorb().picture()
    assert list(told(snapshot)) == ["drift", "behaviour", "swap", "endpoint", "grading", "safety"]
    assert set(told(snapshot).values()) == {("none", False)}


@pytest.mark.parametrize(
    ("of", "before", "after", "kind"),
    [
        (FACTS, GOOD, BAD, "behaviour"),
        (stream("injection/mail", "planted", "injection"), GOOD, BAD, "safety"),
        (stream("fingerprint/border", "identity", "fingerprint"), Counts(20, 0), Counts(20, 20), "swap"),
        (FACTS, GOOD, Counts(15, 1, 5), "grading"),
        (FACTS, GOOD, Counts(17, 1, 0, 3), "endpoint"),
        (stream("judge/main", "", "judge", target="main"), GOOD, BAD, "grading"),
    ],
)
def test_what_is_wrong_is_told_by_kind(of: object, before: Counts, after: Counts, kind: str) -> None:
    rounds = Rounds(of)  # type: ignore[arg-type]
    category = of.category  # type: ignore[attr-defined]
    for _ in range(20):
        rounds.tell({category: before}).hour += 1
    assert wrong(rounds.picture()) == {}
    for _ in range(30):
        rounds.tell({category: after}).hour += 1
    assert list(wrong(rounds.picture())) == [kind]


def test_an_endpoint_that_never_answered_is_told_without_any_record_and_ends_at_once() -> None:
    other = stream("latency/time", "time", "latency")
    rounds = Rounds(FACTS, other).tell({"capitals": Counts(0, 0, 0, 20)}, complete=False, reason="errors")
    assert wrong(rounds.picture()) == {"endpoint": "warning"}
    rounds.tell({"time": Counts(20, 0)}, of=other)
    assert wrong(rounds.picture()) == {}


def test_rounds_that_end_for_reasons_of_ours_are_no_failing_endpoint() -> None:
    rounds = Rounds(FACTS).tell({}, complete=False, reason="budget")
    assert wrong(rounds.picture()) == {}


@pytest.mark.parametrize(("of", "joined"), [(FACTS, True), (stream("injection/mail", "planted", "injection"), False)])
def test_what_has_joined_drift_is_not_told_twice_unless_it_is_critical_by_itself(of: object, joined: bool) -> None:
    rounds = Rounds(of)  # type: ignore[arg-type]
    rounds.log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
    rounds.run(20, 0.05)
    for minute in range(8):
        rounds.log.window(START + 60 * minute, n=100, strange=60)
    rounds.absorb()
    assert wrong(rounds.picture()) == {"drift": "critical"}
    assert rounds.until("page", rate=0.6, most=20) < 20
    found = told(rounds.picture())
    kind = "behaviour" if joined else "safety"
    assert found["drift"] == ("critical", False)
    assert found[kind] == ("warning" if joined else "critical", joined)
    incidents = {each.kind: each.incident for each in severities(rounds.picture()) if each.incident}
    assert set(incidents) == {"drift", kind}
    assert all(each.level == "page" for each in rounds.picture().incidents if each.id == incidents["drift"].id)


def test_the_words_of_an_incident_stay_as_they_were_when_it_opened() -> None:
    rounds = Rounds(FACTS)
    assert {each.incident for each in severities(rounds.picture())} == {None}
    rounds.run(20, 0.05).until("page", rate=0.5)
    found = []
    for _ in range(6):
        found += [each.incident for each in severities(rounds.picture()) if each.incident]
        rounds.run(1, 0.7)
    assert len(found) == 6
    assert len(set(found)) == 1
    [incident] = [each for each in rounds.picture().incidents if each.id == found[0].id]
    assert (incident.level, incident.change_start) == ("page", found[0].change)
    assert found[0].what.startswith("golden/facts/capitals: ")
    assert " since " not in found[0].what


SHARE = "5.97% strange (5.21% to 6.80%) since 03 Mar 09:02 UTC; normal 3.57%"
SHORT = "5.97% strange (5.21% to 6.80%); normal 3.57%"
GREW = "grew: none of the known topics 0.92% -> 3.01%"


@pytest.mark.parametrize(
    ("explanation", "words"),
    [
        (SHARE, SHORT),
        (f"{SHARE}; began between 03 Mar 08:58 and 03 Mar 09:11", SHORT),
        (f"{SHARE}; {GREW} (2.60% to 3.46%); mostly in acme (88% of the rise, 10% of prompts)", f"{SHORT}; {GREW}; mostly in acme"),
        (f"looks like a data problem: lengths, language; {SHARE}", SHORT),
        (f"{SHARE}; a new topic about: refund, wallet", SHORT),
        (f"{SHARE}; expected by ada: do not tell anybody", SHORT),
        (f"{SHARE}; joined at 12:05 UTC by injection/mail: 9 of 20 wrong", SHORT),
        (
            "fewer prompts than usual at this hour: 210 a minute instead of 640, since 01 Jan 00:00 UTC",
            "fewer prompts than usual at this hour: 210 a minute instead of 640",
        ),
        (f"{SHARE}; grew: {'x' * 200}", f"{SHORT}; grew: {'x' * 67}…"),
        ("", ""),
    ],
)
def test_short_words_are_what_stays_and_nothing_that_a_person_typed(explanation: str, words: str) -> None:
    assert short(explanation) == words
    assert len(words) <= 120
