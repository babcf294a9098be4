"""Figures of many grades: against hand-made tables, and intervals that cover."""

import numpy as np
import pytest

from service.graders import by_class, gap, rate, tuned_against_base
from service.graders.aggregate import clopper_pearson, rates
from service.records.probes import ProbeResult


def row(outcome="pass", **given) -> ProbeResult:  # type: ignore[no-untyped-def]
    base = {
        "time": 0.0, "round": "m/live/p/s/100", "model_name": "m", "target": "live", "role": "live", "suite": "p/s",
        "kind": "capability",
        "category": "c", "item": "i", "variant": "", "group": "", "repeat": 0, "outcome": outcome, "score": None, "failure": None,
        "grader": "g", "votes": {}, "error": None, "status": 200, "attempts": 1, "first_token": None, "seconds": 0.1,
        "tokens_in": 1, "tokens_out": 1, "tokens_cached": 0, "cost": 0.0, "finish": "stop",
        "model_reported": None, "fingerprint": None, "suspect_cached": False, "key": "k",
        "prompt_hash": "", "reply_hash": "", "reply_length": 1,
    }  # fmt: skip
    return ProbeResult(**(base | given))


def test_a_rate_leaves_out_what_is_not_graded() -> None:
    said = rate([*[row("fail")] * 3, *[row("pass")] * 7, *[row("unscored")] * 4, *[row("error")] * 5])
    assert (said.n, said.bad, said.unscored, said.error, said.share) == (10, 3, 4, 5, 0.3)
    assert (said.low, said.high) == pytest.approx((0.0667, 0.6525), abs=1e-4)  # the textbook interval of 3 of 10
    assert said.anytime_low <= said.low < said.high <= said.anytime_high
    nothing = rate([row("error")])
    assert (nothing.share, nothing.low, nothing.high) == (None, 0.0, 1.0)


def test_rates_by_category() -> None:
    said = rates([row("fail", category="a"), row("pass", category="a"), row("pass", category="b")])
    assert {name: one.share for name, one in said.items()} == {"a": 0.5, "b": 0.0}


def test_the_interval_covers() -> None:
    rng = np.random.default_rng(3)
    for share in (0.02, 0.3):
        bad = rng.binomial(40, share, 2_000)
        bounds = {int(k): clopper_pearson(int(k), 40) for k in set(bad)}
        assert np.mean([bounds[int(k)][0] <= share <= bounds[int(k)][1] for k in bad]) >= 0.945


def test_figures_by_class() -> None:
    table = [("A", "A")] * 8 + [("A", "B")] * 2 + [("B", "B")] * 3 + [("B", "A")] * 1
    rows = [row("pass" if right == said else "fail", votes={"right": right, "said": said}) for right, said in table]
    rows += [row("fail", votes={"right": "B"}), row("error", votes={"right": "A"}), row("fail")]
    got = by_class(rows)
    assert (got.n, got.unsaid) == (15, 1)
    assert got.accuracy == pytest.approx(11 / 15)
    assert (got.of["A"].precision, got.of["A"].recall) == pytest.approx((8 / 9, 0.8))
    assert (got.of["B"].precision, got.of["B"].recall) == pytest.approx((3 / 5, 3 / 5))
    assert got.macro_f1 == pytest.approx((16 / 19 + 6 / 10) / 2)


def test_choices_graded_by_mcq_have_figures_by_class(grade) -> None:  # type: ignore[no-untyped-def]
    graded = [grade({"type": "mcq", "answer": right}, said) for right, said in (("A", "(A)"), ("B", "(A)"), ("B", "B"))]
    assert by_class([row(one.outcome, votes=one.votes) for one in graded]).of["B"].recall == 0.5


def test_gaps_between_groups() -> None:
    failed = (("she", 30), ("he", 5))
    rows = [row("fail" if i < bad else "pass", group=f"gender={name},origin=x") for name, bad in failed for i in range(50)]
    said = gap(rows, "gender")
    assert (said.worst, said.best, said.gap) == ("gender=she", "gender=he", 0.5)
    assert 0 < said.low < 0.5 < said.high < 0.8
    assert gap(rows, "age").gap is None
    assert gap(rows[:50], "gender").gap is None
    same = [row("fail" if i < 5 else "pass", group=f"g={name}") for name in "ab" for i in range(50)]
    assert gap(same).low == 0.0


def test_a_gap_of_nothing_is_rarely_found() -> None:
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(200):
        rows = [row("fail" if rng.random() < 0.2 else "pass", group=f"g={name}") for name in "abc" for _ in range(30)]
        found += gap(rows).low > 0
    assert found <= 10


def test_the_tuned_model_beside_its_base_pairs_the_same_questions() -> None:
    def pair(number: int, live: str, base: str) -> list[ProbeResult]:
        return [row(live, item=str(number)), row(base, item=str(number), role="base", target="base", round="m/base/p/s/100")]

    rows = [one for number in range(20) for one in pair(number, "fail" if number < 6 else "pass", "fail" if number in (0, 19) else "pass")]
    rows += [row("fail", item="alone"), *pair(99, "unscored", "pass"), *pair(98, "error", "fail")]
    said = tuned_against_base(rows)
    assert (said.n, said.worse, said.better) == (20, 5, 1)
    assert said.difference == pytest.approx(0.2)
    assert said.low < 0.5 < said.high
    assert tuned_against_base([]).difference is None
