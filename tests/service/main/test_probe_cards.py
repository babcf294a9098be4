"""From the decider's snapshot and the runner's view of its suites to what the page shows of probes."""

from dataclasses import replace
from typing import Any

import pytest
from decider_log import watched
from probe_log import HOUR, LIVE, Rounds, stream

from service.api.page import status_page
from service.api.probe_view import Left, ProbesCard, SuiteCard
from service.canary.view import Running, SuiteView
from service.decider.decider import Decider
from service.main import adapt, probe_cards
from service.main.probing import Asking, Endpoint
from service.records.probes import Counts, Round

REACHED = Endpoint("toy-1", True, 0.8, 100, 4000, 0.2, 0.0)
TARGETS = {
    "live": {**LIVE, "daily": {"calls": 500, "tokens": 20_000, "money": 1.0}},
    "base": {**LIVE, "role": "base"},
    "other": {**LIVE, "monitors": "second"},
}


def asked(suite: str = "golden/facts", **changes: Any) -> SuiteView:
    values: dict[str, Any] = {"model_name": "bot", "target": "live", "suite": suite, "kind": "golden", "interval": HOUR, "size": 20}
    values |= {"beside": (), "next": 9e9, "running": None, "last": None, "blocked": None}
    return SuiteView(**(values | changes))


def asking(*suites: SuiteView, **endpoints: Endpoint) -> Asking:
    return Asking(suites or (asked(),), {f"targets.{name}": each for name, each in (endpoints or {"live": REACHED}).items()})


def ended(rounds: Rounds, **counts: int) -> Round:
    told = {"capitals": Counts(**counts)}
    return Round("r", "bot", "live", "live", "golden/facts", "golden", 20, 0.0, 0.0, rounds.now, "k", "", False, "cancelled", told)


def card_of(rounds: Rounds, asking: Asking | None = None, now: float | None = None) -> ProbesCard:
    found = probe_cards.card("bot", rounds.config, rounds.picture(), asking, rounds.now if now is None else now)
    assert found is not None
    return found


def suite_of(rounds: Rounds, asking: Asking | None = None, now: float | None = None) -> SuiteCard:
    return card_of(rounds, asking, now).suites[0]


def test_a_model_without_probes_has_no_card() -> None:
    rounds = Rounds(stream())
    bare = Decider(watched(), rounds.config).picture(active=True, now=rounds.now)
    assert probe_cards.card("bot", rounds.config, bare, asking(asked(model_name="second")), rounds.now) is None


def test_a_page_is_there_with_its_share_its_record_and_its_rounds() -> None:
    rounds = Rounds(stream()).run(20, 0.05)
    quiet = suite_of(rounds)
    assert quiet.state == "ok"
    assert quiet.lead is not None
    assert quiet.lead.history.n.size == 0, "nothing is drawn of it"
    rounds.until("page", rate=0.5)
    lead = suite_of(rounds).lead
    view = rounds.view()
    assert lead is not None
    assert (lead.state, lead.n, lead.bad, lead.null, lead.slice) == ("page", view.n, view.bad, view.null, "live/golden/facts/capitals")
    assert lead.record is not None
    assert lead.record.n == 400
    assert lead.history.n.size == len(view.series)
    (incident,) = rounds.pages()
    assert incident.slice == lead.slice, "the plot finds its incident"


def test_who_is_on_trial_and_who_was_better_beside() -> None:
    rounds = Rounds(stream(paired=True)).run(20, 0.05)
    rounds.tell({"capitals": Counts(20, 6, 0, 0, 5, 1)}, key="key-2", revision="toy-2", beside="previous")
    suite = suite_of(rounds)
    assert suite.beside == {"previous": (5, 1)}
    lead = next(each for each in suite.streams if each.stream == "probe")
    assert lead.trial is not None
    assert lead.trial[:2] == (20, 6)
    assert lead.trial.revision == "toy-2"


def test_what_the_runner_knows_is_shown_with_it() -> None:
    rounds = Rounds(stream()).run(3)
    shown = suite_of(rounds, asking(asked(next=rounds.now + 60, running=Running("r", 12, 24))))
    assert (shown.next, shown.running) == (rounds.now + 60, (12, 24))
    assert suite_of(rounds).next is None, "of a process that does not ask"


def test_a_suite_that_is_not_asked_is_there_with_its_reason() -> None:
    blocked = asked("safety/s", kind="safety", blocked="live: attacks are not acknowledged")
    found = card_of(Rounds(stream()).run(3), asking(asked(), blocked, asked("x/y", model_name="second"))).suites
    assert [(each.suite, each.state, each.blocked) for each in found][1:] == [("safety/s", "blocked", "live: attacks are not acknowledged")]


def test_what_is_left_is_of_the_model_s_own_endpoints() -> None:
    rounds = Rounds(stream(), targets=TARGETS).run(3)
    found = card_of(rounds, asking(live=REACHED, base=REACHED, other=REACHED)).endpoints
    assert [(each.name, each.role) for each in found] == [("live", "live"), ("base", "base")]
    assert (found[0].calls, found[0].tokens, found[0].money) == (Left(100, 500), Left(4000, 20_000), Left(0.2, 1.0))


def test_an_endpoint_that_was_never_reached_is_blind_until_it_answers() -> None:
    rounds, away = Rounds(stream()), asking(live=REACHED._replace(reached=False))
    assert suite_of(rounds, away).blind == "live does not answer"
    assert not card_of(rounds, away).endpoints[0].answers
    back = Asking((asked(last=ended(rounds, n=20)),), away.endpoints)
    assert suite_of(rounds, back).blind == ""
    assert card_of(rounds, back).endpoints[0].answers


@pytest.mark.parametrize(("counts", "blind"), [({"error": 15}, "live does not answer"), ({"n": 5, "error": 15}, ""), ({}, "")])
def test_an_endpoint_that_stops_answering_is_blind_although_it_was_reached(counts: dict[str, int], blind: str) -> None:
    rounds = Rounds(stream()).run(3)
    shown = asking(asked(last=ended(rounds, **counts)))
    assert suite_of(rounds, shown).blind == blind
    assert card_of(rounds, shown).endpoints[0].answers == (not blind)


def test_a_round_with_too_many_errors_is_blind_and_one_that_was_cut_short_is_not() -> None:
    rounds = Rounds(stream()).run(3)
    assert suite_of(rounds.tell({"capitals": Counts(10, 1, 0, 10)}, complete=False, reason="errors")).state == "blind"
    rounds.hour += 1
    assert suite_of(rounds.tell({"capitals": Counts(3)}, complete=False, reason="cancelled")).state != "blind"


def test_a_judge_that_drifts_blinds_what_it_grades() -> None:
    judge = stream("judge/main", "", "judge", target="main", items=40)
    rounds = Rounds(stream(judges=("main",)), judge).run(20, 0.05)
    rounds.until("ticket", stream="probe_judge", of=judge, rate=0.6)
    rounds.run(1, 0.05, of=rounds.streams[0])
    suites = {each.suite: each for each in card_of(rounds).suites}
    assert suites["golden/facts"].blind == "judge main drifts"
    assert suites["judge/main"].state == "ticket"


def test_silence_is_blind_by_the_wall_clock_alone() -> None:
    rounds = Rounds(stream()).run(3)
    rounds.config = rounds.config.model_copy(update={"windows": rounds.config.windows.model_copy(update={"clock": "wall"})})
    assert suite_of(rounds, now=rounds.now + 2 * HOUR).blind == ""
    assert suite_of(rounds, now=rounds.now + 4 * HOUR).blind == "no round for 3 intervals"
    rounds.config = rounds.config.model_copy(update={"windows": rounds.config.windows.model_copy(update={"clock": "event"})})
    assert suite_of(rounds, now=rounds.now + 400 * HOUR).blind == ""


def test_a_gate_is_there_with_its_first_reason() -> None:
    rounds = Rounds(stream(), gates={"release": {"model": "bot", "stage": "A"}}).run(3)
    (gate,) = card_of(rounds).gates
    assert (gate.name, gate.verdict) == ("release", "inconclusive")
    assert gate.reason.startswith("golden/facts: no record yet")


def test_what_has_joined_an_incident_is_on_the_page_with_it() -> None:
    rounds = Rounds(stream()).run(20, 0.05)
    rounds.until("page", rate=0.5)
    shown = rounds.picture()
    guest = replace(shown.incidents[-1], id="the-guest", stream="ood_share", slice="", part_of=shown.incidents[-1].id)
    process = adapt.Process("decider", "one", 0.0, "active")
    page = status_page(adapt.status(rounds.config, process, replace(shown, joined=(guest,)), None, rounds.now))
    assert page.count('id="the-guest"') == 1
