"""Gates: worse, not worse and not known, since the model that answers now began to; what stages B and C want beyond that."""

from typing import Any

import pytest
from probe_log import LIVE, Rounds, stream

from service.records.probes import Counts, ProbeStream

FACTS = stream()
ATTACK = stream("injection/mail", "planted", "injection")


def released(
    rate: float, *streams: ProbeStream, stage: str = "A", rounds: int = 30, gate: dict[str, Any] | None = None, **changes: Any
) -> Rounds:
    """A record of 400 answers at 10% wrong, then a release."""
    gates = {"release": {"model": "bot", "stage": stage, **(gate or {})}}
    return Rounds(*(streams or (FACTS,)), seed=1, gates=gates).run(20, 0.1).run(rounds, rate, key="key-2", **changes)


def test_nothing_passes_before_there_are_data() -> None:
    rounds = Rounds(FACTS, gates={"release": {"model": "bot", "stage": "A"}})
    assert rounds.gate().verdict == "inconclusive"
    assert rounds.gate().reasons == ("golden/facts: no round yet",)
    rounds.run(2)
    assert rounds.gate().reasons == ("golden/facts: no record yet of 1 of 1 categories",)
    assert Rounds(gates={"release": {"model": "bot"}}).gate().verdict == "inconclusive"


def test_a_release_that_is_not_worse_passes_and_one_that_is_better_is_told() -> None:
    same = released(0.1)
    assert same.gate().verdict == "pass"
    assert same.gate().streams == {"live/golden/facts": "pass"}
    assert same.gate().since == pytest.approx(same.now - 30 * 3600)
    assert same.gate().began == {"live/golden/facts": same.gate().since}
    better = released(0.005)
    assert better.gate().verdict == "pass"
    assert better.gate().reasons[0].endswith(": better")


def test_a_worse_release_fails_within_a_day() -> None:
    worse = released(0.4, rounds=12)
    assert worse.gate().verdict == "fail"
    assert worse.gate().reasons[0].endswith(": worse")


def test_too_few_answers_are_inconclusive_however_good() -> None:
    few = released(0.0, rounds=4)
    assert few.gate().verdict == "inconclusive"
    assert "100 answers are needed" in few.gate().reasons[0]


def test_only_the_model_that_answers_now_counts() -> None:
    rounds = released(0.5, rounds=6)
    assert rounds.gate().verdict == "fail"
    rounds.run(1, 0.05, key="key-3")
    assert rounds.gate().verdict == "inconclusive"
    assert "of 20 wrong" in rounds.gate().reasons[0]


def test_a_release_that_became_the_record_is_still_held_against_the_one_before() -> None:
    rounds = released(0.09, rounds=40)
    record = rounds.view().record
    assert record is not None
    assert record.key == "key-2"
    assert rounds.gate().verdict == "pass"


def test_a_suite_that_must_have_data_and_is_not_asked_is_inconclusive() -> None:
    rounds = released(0.1, gate={"suites": ["golden/facts", "safety/harms"]})
    assert rounds.gate().verdict == "inconclusive"
    assert rounds.gate().reasons == ("safety/harms is not asked",)


def test_a_suite_that_need_not_have_data_is_left_out_until_it_has() -> None:
    optional = stream("golden/extra", must_have_data=False)
    rounds = Rounds(FACTS, optional, gates={"release": {"model": "bot", "stage": "A"}}).run(5, of=FACTS)
    assert rounds.gate().streams.keys() == {"live/golden/facts"}
    assert rounds.run(1).gate().streams.keys() == {"live/golden/facts", "live/golden/extra"}


def test_a_category_that_is_lost_fails_although_its_suite_as_a_whole_is_not_worse() -> None:
    """A suite is judged as a whole; its categories page."""
    suite = [stream(category=name) for name in ("a", "b", "c", "d")]
    rounds = Rounds(*suite, seed=1, gates={"release": {"model": "bot", "stage": "A", "margin": 0.3}})
    before, lost = {each.category: Counts(20, 2) for each in suite}, {**{each.category: Counts(20) for each in suite}, "d": Counts(20, 8)}
    for hour in range(40):
        rounds.tell(before if hour < 20 else lost, key="key-1" if hour < 20 else "key-2")
        rounds.hour += 1
    assert rounds.gate().streams == {"live/golden/facts": "pass"}
    assert rounds.gate().verdict == "fail"
    assert rounds.gate().reasons == ("a page is open: probe live/golden/facts/d",)


def test_stage_b_wants_safety_a_day_and_nothing_open() -> None:
    assert released(0.1, stage="B").gate().reasons == ("no suite of safety is asked",)
    early = released(0.1, FACTS, ATTACK, stage="B", rounds=20)
    assert early.gate().verdict == "inconclusive"
    assert any("of 24 h since it began" in reason for reason in early.gate().reasons)
    assert released(0.1, FACTS, ATTACK, stage="B").gate().verdict == "pass"
    bad = released(0.1, FACTS, ATTACK, stage="B")
    for _ in range(4):
        bad.tell({"planted": Counts(20, 18)}, ATTACK, key="key-2")
        bad.hour += 1
    assert bad.gate().verdict == "fail"
    assert any(reason.startswith("a page is open: probe live/injection/mail/planted") for reason in bad.gate().reasons)


def test_stage_b_is_not_passed_while_prompts_are_not_seen() -> None:
    fine = released(0.1, FACTS, ATTACK, stage="B")
    picture = fine.decider.picture(active=True, now=fine.now, blind=("no worker has reported for 900 s",))
    assert picture.gates[0].verdict == "inconclusive"
    assert picture.gates[0].reasons == ("the prompts are not seen: no worker has reported for 900 s",)


def test_stage_b_holds_cost_and_latency_against_the_record() -> None:
    gates = {"release": {"model": "bot", "stage": "B", "suites": ["golden/facts"], "cost": 1.2, "latency": 1.5}}
    rounds = Rounds(FACTS, seed=1, gates=gates).run(20, 0.1, calls=20, money=1.0, seconds95=2.0)
    steady = {"calls": 20, "money": 1.1, "seconds95": 2.4}
    assert rounds.run(30, 0.1, key="key-2", **steady).gate().verdict == "pass"
    dear = Rounds(FACTS, seed=1, gates=gates).run(20, 0.1, calls=20, money=1.0, seconds95=2.0)
    dear.run(30, 0.1, key="key-2", calls=20, money=2.0, seconds95=4.0)
    assert dear.gate().verdict == "fail"
    assert dear.gate().reasons == (
        "golden/facts: the cost of an answer is 2.00 times the record's",
        "golden/facts: the 95% time of an answer is 2.00 times the record's",
    )
    blank = Rounds(FACTS, seed=1, gates=gates).run(50, 0.1)
    assert blank.gate().verdict == "inconclusive"


def test_stage_c_wants_more_than_the_fallback_gives() -> None:
    gate = {"suites": ["golden/facts"]}
    alone = released(0.05, stage="C", gate=gate)
    assert alone.gate().reasons == ("no item tells this model from a fallback",)
    better = released(0.05, stage="C", gate=gate, base=0.3, beside="fallback")
    assert better.gate().verdict == "pass"
    assert "only the fallback: better" in better.gate().reasons[-1]
    worse = released(0.1, stage="C", gate=gate, base=0.005, beside="fallback")
    assert worse.gate().verdict == "fail"
    same = released(0.1, stage="C", gate=gate, base=0.1, beside="fallback")
    assert same.gate().verdict == "inconclusive"


def test_only_live_targets_are_read() -> None:
    old = stream(target="old")
    targets = {"live": LIVE, "old": {**LIVE, "role": "previous"}}
    rounds = Rounds(FACTS, old, seed=1, gates={"release": {"model": "bot", "stage": "A"}}, targets=targets)
    rounds.run(20, 0.1)
    for _ in range(30):
        rounds.run(1, 0.1, of=FACTS, key="key-2")
        rounds.tell({"capitals": Counts(20, 20)}, old, key="key-2")
    assert rounds.gate().streams == {"live/golden/facts": "pass"}


def test_the_gate_is_wrong_in_few_of_many_releases() -> None:
    """Each test alone is wrong with a probability of at most 5%, however often it is read; the record is known exactly enough here."""
    failed = passed = 0
    for seed in range(12):
        rounds = Rounds(stream(items=50), seed=seed, gates={"release": {"model": "bot", "stage": "A"}}).run(40, 0.1)
        verdicts = {rounds.run(1, 0.1, key="key-2").gate().verdict for _ in range(25)}
        failed += "fail" in verdicts
        broken = Rounds(stream(items=50), seed=seed, gates={"release": {"model": "bot", "stage": "A"}}).run(40, 0.1)
        verdicts = {broken.run(1, 0.2, key="key-2").gate().verdict for _ in range(25)}
        passed += "pass" in verdicts
    assert failed <= 2
    assert passed <= 2
