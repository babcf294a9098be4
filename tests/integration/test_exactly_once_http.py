"""Posts over HTTP to workers that are killed in every place: each acknowledged record counts once, a retry with its key never twice."""

import time
import uuid

import pytest
from chaos.http_run import HttpRun


def check(outcome, kills):
    detail = "\n".join(outcome.told)
    print(f"{outcome.posts} posts in {outcome.tries} tries, {outcome.repeats} sent again, {sum(outcome.acknowledged.values())} records")
    assert outcome.logged == outcome.acknowledged, detail
    assert outcome.logged_strange == outcome.strange, detail
    assert outcome.closed == outcome.acknowledged, detail
    assert outcome.late == 0, detail
    assert outcome.tries > outcome.posts + outcome.repeats, "no kill was ever felt"
    assert outcome.posts > 20 * kills


@pytest.mark.slow
def test_three_workers_on_postgresql(postgres, tmp_path):
    run = HttpRun(tmp_path, {"kind": "sql", "url": postgres.new_database()}, workers=3, seed=1)

    def disturb(run):
        run.wait_posts(40)
        for where in (None, "write", "answer", None, "answer"):
            run.kill(where)
            time.sleep(run.chance.uniform(0.5, 2))
            run.wait_posts(40)
        run.fleet.members["decider-0"].kill()
        postgres.restart()
        run.wait_posts(40)
        run.fleet.members["decider-1"].kill()
        run.wait_posts(40)

    check(run.go(disturb), 5)


@pytest.mark.slow
def test_one_process_on_sqlite(tmp_path):
    run = HttpRun(tmp_path, {"kind": "sql", "url": f"sqlite:///{tmp_path}/ledger.db"}, workers=1, seed=2)

    def disturb(run):
        run.wait_posts(40)
        for where in (None, "write", "answer", "answer"):
            run.kill(where)
            time.sleep(run.chance.uniform(0.5, 2))
            run.wait_posts(40)

    check(run.go(disturb), 4)


@pytest.mark.slow
def test_two_workers_on_a_kafka_ledger(kafka, tmp_path):
    """Here the ledger cannot know a repeat; the deltas carry their keys and the decider leaves it out."""
    ledger = {"kind": "kafka", "prefix": f"t{uuid.uuid4().hex[:8]}", "bootstrap_servers": kafka.bootstrap, "create_topics": True}
    run = HttpRun(tmp_path, ledger, workers=2, seed=3)

    def disturb(run):
        run.wait_posts(40)
        for where in ("commit", None, "send"):
            run.kill(where)
            time.sleep(run.chance.uniform(0.5, 2))
            run.wait_posts(40)
        run.fleet.members["decider-0"].kill()
        run.wait_posts(40)

    check(run.go(disturb), 3)
