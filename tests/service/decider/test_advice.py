"""What a gateway is advised: from incidents that wake people, from gates of stage C, and nothing where nobody can see."""

from typing import Any

import pytest
from probe_log import LIVE, Rounds, stream

from service.decider.advice import advice
from service.decider.probing.view import GateState
from service.records import Advice, Incident


def incident(kind: str = "drift", severity: str = "critical", **changes: Any) -> Incident:
    given: dict[str, Any] = {"slice": "", "model_name": "bot", "stream": "ood_share", "level": "page", "opened": 0.0, **changes}
    numbers = {"value": 0.1, "reference": 0.05, "log10_evidence": 6.0, "log10_threshold": 5.0}
    when = {"change_start": 0.0, "change_low": 0.0, "change_high": 0.0}
    return Incident(id="i", severity=severity, owner="o", explanation="words", kind=kind, **given, **numbers, **when)


def gate(stage: Any = "C", verdict: Any = "fail", model: str = "bot") -> GateState:
    return GateState("release", model, stage, verdict, ("golden/facts: 9 of 20 wrong: worse",))


def of(*incidents: Incident, gates: tuple[GateState, ...] = (), blind: str | None = None) -> dict[tuple[str, str], Advice]:
    return advice(["bot", "other"], incidents, gates, {"bot": blind} if blind else {})


def test_nothing_that_wakes_anybody_is_no_reason_to_fall_back() -> None:
    calm = of(incident(severity="warning"), incident("safety", "warning"), gates=(gate("B"), gate("C", "inconclusive"), gate("C", "pass")))
    assert {place: told.fallback for place, told in calm.items()} == {("bot", ""): False, ("other", ""): False}


@pytest.mark.parametrize("kind", ["drift", "behaviour", "safety"])
def test_a_page_of_any_kind_is_and_of_its_model_alone(kind: str) -> None:
    told = of(incident(kind))
    assert told["bot", ""] == Advice(True, f"a page of {kind} is open since 01 Jan 00:00 UTC: ood_share")
    assert told["other", ""].fallback is False
    assert of(incident(kind), blind="no worker has reported")["bot", ""].fallback is True


def test_the_gravest_page_is_the_reason() -> None:
    probe = incident("safety", stream="probe", slice="live/injection/mail/planted", opened=9.0)
    assert "probe live/injection/mail/planted" in of(incident(), incident("behaviour"), probe)["bot", ""].reason


def test_drift_of_a_slice_is_about_its_prompts_and_what_probes_tell_about_all() -> None:
    told = of(incident(slice="acme"))
    assert (told["bot", ""].fallback, told["bot", "acme"].fallback) == (False, True)
    assert of(incident("behaviour", slice="live/golden/facts"))["bot", ""].fallback is True


def test_a_gate_of_stage_c_that_fails_is_a_reason() -> None:
    assert of(gates=(gate(),))["bot", ""] == Advice(True, "gate release fails: golden/facts: 9 of 20 wrong: worse")
    assert of(gates=(gate(),))["other", ""].fallback is False


def test_while_blind_nothing_is_said_where_nothing_is_known_to_be_bad() -> None:
    told = of(blind="no worker has reported for 900 s")
    assert told["bot", ""] == Advice(None, "blind: no worker has reported for 900 s")
    assert told["other", ""].fallback is False


def test_the_decider_advises_while_an_incident_is_open_and_until_it_has_recovered() -> None:
    rounds = Rounds(stream(), gates={"release": {"model": "bot", "stage": "A"}}, targets={"live": LIVE})
    assert rounds.run(20, 0.05).picture().advice["bot", ""].fallback is False
    assert rounds.until("page", rate=0.6, most=20) < 20
    assert rounds.picture().advice["bot", ""].reason.startswith("a page of behaviour is open since ")
    assert rounds.gate().last == pytest.approx(rounds.now - 3600 + 60)
    rounds.run(60, 0.02)
    assert rounds.pages()[0].closed_by == "recovery"
    assert rounds.picture().advice["bot", ""].fallback is False
