"""Workers and deciders are killed and frozen, the group is rebalanced, bundles change: nothing is lost and nothing counts twice.

The whole size (200,000 prompts, 20 kills, freezes of 15 and 45 s) runs in benchmarks/exactly_once.py.
"""

import pytest
from chaos.kafka_run import Outcome, Run
from chaos.traffic import Plan
from chaos.words import Words, fitted


def disturb(run: Run) -> None:
    run.wait(12)
    run.kill("worker")
    run.wait(15)
    run.deploy("worker-1")
    run.kill("decider")
    run.wait_side_by_side(10, 40)
    run.kill("worker", "commit")
    run.freeze_worker(15, "offsets")
    run.rebalance()
    run.deploy("worker-0")
    run.freeze_broker(15, "send")
    run.kill("decider")


def check(outcome: Outcome) -> None:
    detail = "\n".join([*outcome.disturbances, *outcome.told])
    print(detail, "recovered after kills (s):", [round(seconds, 1) for seconds in outcome.recovered])
    assert outcome.wrong() == {}, detail
    assert outcome.late == 0, detail
    assert outcome.verdicts == outcome.undisturbed, detail
    assert any(v.state in ("ticket", "page") for v in outcome.verdicts)
    assert all(seconds <= 30 for seconds in outcome.recovered), (outcome.recovered, detail)


@pytest.mark.slow
def test_every_prompt_counts_once_whatever_happens(kafka, tmp_path):
    outcome = Run(kafka, tmp_path, Plan(40_000, 400), seconds=85, seed=1).go(disturb)
    check(outcome)
    assert outcome.side_by_side >= 10, outcome.disturbances


@pytest.mark.slow
def test_positions_in_postgresql_fence_as_well(kafka, postgres, tmp_path):
    """A read-only Kafka source: nothing is committed to the group, two owners of a partition meet at its position."""

    def disturb(run: Run) -> None:
        run.wait(6)
        run.kill("worker", "answer")
        run.freeze_worker(15, "write")
        run.kill("decider")
        run.rebalance()
        run.kill("worker")

    check(Run(kafka, tmp_path, Plan(20_000, 400), seconds=45, seed=2, ledger=postgres.new_database()).go(disturb))


@pytest.mark.slow
def test_scores_of_a_real_encoder_count_once_too(kafka, tmp_path):
    """A fitted bundle instead of stub scores: the same flags in whatever batch a prompt stands, and after every kill."""
    bundle = fitted(tmp_path)

    def disturb(run: Run) -> None:
        run.wait(4)
        run.kill("worker")
        run.wait(4)
        run.kill("worker", "commit")
        run.kill("decider")
        run.wait(4)
        run.kill("worker", "offsets")

    plan = Words.of(bundle, 8_000, 100)
    check(Run(kafka, tmp_path, plan, seconds=20, seed=3, bundle=tmp_path / "bundle").go(disturb))
