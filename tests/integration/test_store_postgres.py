"""The history on a real PostgreSQL server: the same answers as on SQLite, also over a connection that broke."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from detectors.sketch import BINS, LENGTHS, Sketch
from service.decider.closed import Closed
from service.records import AuditEntry, BaselineEntry, DeltaKey, Incident, Verdict
from service.store import Example, Store


def steps() -> list[Closed]:
    """Some windows of two models, an incident that opens and closes, a baseline and its audit."""
    made = []
    for i in range(20):
        sketches = {
            DeltaKey("B", model, slice_, 60 * i): Sketch(
                100 + i, 5, 1, 0, 1000, 4000, np.arange(BINS), np.array([90 + i, 10]), np.zeros(LENGTHS), np.zeros(2), np.zeros(0)
            )
            for model in ("bot", "other")
            for slice_ in ("", "tenant")
        }
        verdicts = tuple(
            Verdict(60.0 * i, 60.0 * i + 60, model, "", stream, 100, 0.05, 0.03, -0.01, 0.02, 1.5, float("inf"), 0.5, 4.3, "ok", "é")
            for model in ("bot", "other")
            for stream in ("ood_share", "far_share")
        )
        made.append(Closed(60 * i, sketches, verdicts))
    opened = Incident("id", "bot", "ood_share", "page", "critical", "team", 600.0, "words", 0.1, 0.03, 6.0, 5.4, 540.0, 480.0, 600.0)
    closed = replace(opened, closed=900.0, closed_by="recovery", severity="none", verdict="recovered", crossings=3)
    baseline = BaselineEntry("bot", "strange", 5.0, "ada", "fine", "live", 0.03, 0.035, 2.0, 28, "full")
    audit = AuditEntry("c1", 5.0, "ada", "baseline.accept", {"model": "bot", "reason": "fine"}, "accepted live")
    return [*made, Closed(None, {}, (), (opened,), (baseline,), (audit,)), Closed(None, {}, (), (closed,))]


def everything(store: Store) -> tuple[object, ...]:
    return (
        store.verdicts(limit=1000),
        store.verdicts("bot", "ood_share", 300.0, 5),
        store.windows(limit=1000),
        store.windows("bot", "", 300.0, 5),
        store.incidents(),
        store.incidents(open_only=True),
        store.baselines(),
        store.audit(),
    )


def test_postgres_answers_as_sqlite_does(postgres, tmp_path: Path) -> None:
    stores = [Store.open(postgres.new_database()), Store.open(f"sqlite:///{tmp_path}/history.db")]
    for store in stores:
        for batch in (steps()[:15], steps(), steps()[10:]):  # what a killed decider writes again is there once
            store.upsert(batch)
    assert everything(stores[0]) == everything(stores[1])
    assert [list(store.fold(0, 7200.0)) for store in stores] == [[38], [38]]
    assert everything(stores[0]) == everything(stores[1])
    assert [sum(store.prune(600.0)) for store in stores] == [40 + 22, 40 + 22]
    assert everything(stores[0]) == everything(stores[1])
    for store in stores:
        store.close()


def test_two_writers_of_the_same_steps_do_not_disturb_each_other(postgres) -> None:
    url = postgres.new_database()
    one, two = Store.open(url), Store.open(url)
    one.upsert(steps())
    two.upsert(steps())
    assert len(one.verdicts(limit=1000)) == 80
    one.close()
    two.close()


def test_a_broken_connection_is_made_again(postgres) -> None:
    store = Store.open(postgres.new_database())
    store.upsert(steps()[:1])
    with store._engine.connect() as connection:
        connection.connection.driver_connection.close()
    store.upsert(steps()[1:2])
    assert len(store.verdicts()) == 8
    store.close()


def test_an_older_history_and_texts_on_postgres(postgres) -> None:
    url = postgres.new_database()
    first = Store.open(url)
    first.upsert(steps())
    with first._engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE windows DROP COLUMN lengths"))
    first.close()
    store = Store.open(url)
    assert {row.lengths for row in store.windows(limit=1000)} == {None}
    assert [row.window_start for row in store.period("bot", "", 60, 600)] == [60 * i for i in range(1, 10)]
    example = Example("bot", "d", "B", "", 60.0, 100.0, 0.004, True, "größe [number]")
    store.keep([example])
    store.keep([replace(example, stored=200.0)])
    assert store.examples("bot", -math.inf, math.inf, 0.0, 10) == [replace(example, stored=200.0)]
    assert store.forget(200.0) == 0
    assert store.forget(math.inf) == 1
    store.close()
