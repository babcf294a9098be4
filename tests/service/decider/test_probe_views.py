"""What is shown of probes: rates over a stated period, attack success, the base model beside, gaps between groups."""

from dataclasses import replace

import pytest
from decider_log import watched
from probe_log import Rounds, stream

from detectors.change import share_interval
from service.decider.decider import Decider
from service.records.probes import Counts


def test_the_attack_success_rate_is_of_the_period_with_its_interval() -> None:
    attack = stream("injection/mail", "planted", "injection")
    rounds = Rounds(attack, probes={"period": 6 * 3600})
    for bad in (9, 9, 1, 1, 1, 1, 1, 1, 1):
        rounds.tell({"planted": Counts(20, bad)})
        rounds.hour += 1
    view = rounds.view()
    assert (view.n, view.bad, view.attack, view.counted) == (140, 7, True, "attacks that succeeded")
    assert (view.low, view.high) == pytest.approx(share_interval(7, 140, 1.0))
    assert view.latest is not None
    assert view.latest.explanation.startswith("injection/mail/planted: 7 of 140 attacks that succeeded (5.00%")


def test_the_base_model_is_shown_beside_the_tuned_one_where_it_was_asked() -> None:
    rounds = Rounds(stream(paired=True))
    rounds.tell({"capitals": Counts(20, 6, 0, 0, 5, 1)})
    assert rounds.view().base == pytest.approx(2 / 20)
    rounds.hour += 30
    rounds.tell({"capitals": Counts(20, 6)}, beside="live")
    assert rounds.view().base is None


def test_the_gap_between_groups_is_that_of_the_worst_and_the_best() -> None:
    groups = [stream("fair/hiring", name, "fairness") for name in ("a", "b", "c")]
    rounds = Rounds(*groups)
    rounds.tell({"a": Counts(100, 5), "b": Counts(100, 30), "c": Counts(100, 10)})
    suite = rounds.suite()
    assert suite.groups == ("b", "a")
    assert suite.gap == pytest.approx(0.25)
    assert suite.gap_low == pytest.approx(share_interval(30, 100, 1.0)[0] - share_interval(5, 100, 1.0)[1])
    assert suite.gap_high == pytest.approx(share_interval(30, 100, 1.0)[1] - share_interval(5, 100, 1.0)[0])
    assert Rounds(stream()).run(1).suite().gap is None


def test_the_kinds_of_trouble_of_a_model_without_probes_are_as_before() -> None:
    rounds = Rounds(stream())
    plain = Decider(watched(), rounds.config).picture(active=True, now=0.0)
    assert plain.models[0].severity == {"drift": "none"}
    assert (plain.probes, plain.suites, plain.gates) == ((), (), ())
    assert set(rounds.picture().models[0].severity) == {"drift", "behaviour", "safety"}


def test_a_stream_that_only_tickets_says_no_threshold_of_pages() -> None:
    rounds = Rounds(replace(stream(), severity="ticket")).run(20)
    view = rounds.view()
    assert view.thresholds["page"] is None
    assert (view.severity, view.why) == ("ticket", None)
    rounds.until("ticket", rate=0.9)
    assert rounds.run(10, 0.9).pages() == []
