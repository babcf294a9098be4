"""Counters of what was asked."""

import dataclasses

import pytest

from service.canary.counting import Totals, Traffic
from service.records.probes import ProbeResult, Reply, Round


def result(outcome: str = "pass", **changes: object) -> ProbeResult:
    given = {field.name: "" for field in dataclasses.fields(ProbeResult)} | {
        "model_name": "bot", "target": "live", "role": "live", "suite": "injection/mail", "kind": "injection", "category": "planted",
        "outcome": outcome, "failure": None, "item": "i-1", **changes,
    }  # fmt: skip
    return ProbeResult(**given)  # type: ignore[arg-type]


def test_answers_are_counted_by_category_and_outcome_and_never_by_item() -> None:
    totals = Totals()
    totals.results([result(item=f"i-{i}") for i in range(3)] + [result("fail", failure="hijacked"), result("error", error="server")])
    place = "bot", "live", "live", "injection/mail", "injection"
    assert totals.outcomes == {(*place, "planted", "pass"): 3, (*place, "planted", "fail"): 1, (*place, "planted", "error"): 1}
    assert totals.failures == {(*place, "hijacked"): 1}


@pytest.mark.parametrize(("complete", "reason", "verdict"), [(True, "", "complete"), (False, "budget", "budget")])
def test_a_round_is_complete_or_has_a_reason(complete: bool, reason: str, verdict: str) -> None:
    totals = Totals()
    given = {field.name: "" for field in dataclasses.fields(Round)}
    given |= {"model_name": "bot", "target": "live", "suite": "a/b", "complete": complete, "reason": reason}
    totals.round(Round(**given))  # type: ignore[arg-type]
    assert totals.rounds == {("bot", "live", "a/b", verdict): 1}


def test_times_are_of_answers_and_a_call_that_was_never_sent_counts_as_nothing() -> None:
    traffic = Traffic()
    traffic.add(Reply(text="a", attempts=3, first_token=0.05, seconds=100.0, tokens_in=7, tokens_out=2, suspect_cached=True))
    traffic.add(Reply(text="b", attempts=1, seconds=0.01))
    traffic.add(Reply(error="server", attempts=2, seconds=30.0))
    traffic.add(Reply(error="budget", attempts=0))
    assert (traffic.requests, traffic.retries, traffic.suspect_cached) == (6, 3, 1)
    assert (traffic.tokens_in, traffic.tokens_out) == (7, 2)
    assert traffic.errors == {"server": 1}
    assert (traffic.answers.counts[0], traffic.answers.counts[-1], sum(traffic.answers.counts)) == (1, 1, 2)
    assert traffic.answers.seconds == pytest.approx(100.01)
    assert sum(traffic.first_tokens.counts) == 1
