"""The history: written twice it is there once; asked for the newest it gives the newest."""

import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.sketch import BINS, LENGTHS, Sketch
from service.decider.closed import Closed
from service.errors import ConfigError
from service.records import AuditEntry, BaselineEntry, DeltaKey, Incident, Verdict
from service.store import Store, WindowRow


def sketch(n: int) -> Sketch:
    return Sketch(
        n,
        2,
        1,
        0,
        10 * n,
        40 * n,
        np.arange(BINS, dtype=np.int64),
        np.array([n, 0], np.int64),
        np.zeros(LENGTHS, np.int64),
        np.zeros(2, np.int64),
        np.zeros(0, np.int64),
    )


def verdict(start: float, model: str = "bot", stream: str = "ood_share", **changes: object) -> Verdict:
    made = Verdict(start, start + 60, model, "", stream, 100, 0.05, 0.03, -0.01, 0.02, 1.5, 5.4, 0.5, 4.3, "ok", "quiet")
    return replace(made, **changes)  # type: ignore[arg-type]


def incident(opened: float, model: str = "bot", **changes: object) -> Incident:
    made = Incident(
        f"{model}-ood_share-page-{opened:.0f}",
        model,
        "ood_share",
        "page",
        "critical",
        "team",
        opened,
        "words",
        0.1,
        0.03,
        6.0,
        5.4,
        1,
        0,
        2,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def step(start: int, *, n: int = 100, incidents: tuple[Incident, ...] = ()) -> Closed:
    keys = [DeltaKey("B", "bot", slice_, start) for slice_ in ("", "tenant")]
    return Closed(start, {key: sketch(n) for key in keys}, (verdict(start), verdict(start, stream="far_share")), incidents)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/history.db")


def test_writing_a_step_twice_changes_nothing_and_writing_it_changed_replaces_it(store: Store) -> None:
    store.upsert([step(0, incidents=(incident(60.0),))])
    store.upsert([step(0, incidents=(incident(60.0),))])
    assert len(store.verdicts()) == 2
    assert len(store.windows()) == 2
    assert store.incidents() == [incident(60.0)]
    shares = {"p_values_before": [0.5, 0.5], "p_values_after": [0.25, 0.75]}
    closed = incident(60.0, **shares, grew=[3, -1], closed=120.0, closed_by="recovery", severity="none", verdict="recovered")
    store.upsert([step(0, n=101), Closed(None, {}, (), (closed,))])
    assert {row.n for row in store.windows()} == {101}
    assert store.incidents() == [closed]
    assert store.incident(closed.id) == closed
    assert store.incident("other") is None


def test_the_newest_verdicts_come_oldest_first(store: Store) -> None:
    store.upsert([step(60 * i) for i in range(10)])
    found = store.verdicts("bot", "ood_share", limit=3)
    assert [v.window_start for v in found] == [420, 480, 540]
    assert found[0] == verdict(420)
    assert len(store.verdicts(since=480)) == 4
    assert store.verdicts("other") == []


def test_windows_by_slice(store: Store) -> None:
    store.upsert([step(60)])
    [whole] = store.windows(slice="")
    assert whole == WindowRow("B", "bot", "", 60, 100, 2, 1, 0, 1000, 4000, list(range(BINS)), [100, 0], [0] * LENGTHS, [0, 0])
    assert {row.slice for row in store.windows()} == {"", "tenant"}


def test_a_period_is_read_whole_and_in_order(store: Store) -> None:
    store.upsert([step(60 * i) for i in reversed(range(1200))])
    found = list(store.period("bot", "tenant", 60, 60 * 1100))
    assert [row.window_start for row in found] == [60 * i for i in range(1, 1100)]
    assert {row.slice for row in found} == {"tenant"}
    assert list(store.period("bot", "other", 0, math.inf)) == []


def test_an_older_history_gets_the_columns_that_came_since(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    first = Store.open(url)
    first.upsert([step(0, incidents=(incident(60.0),))])
    first.close()
    with sqlite3.connect(tmp_path / "history.db") as connection:
        for column in ("lengths", "languages"):
            connection.execute(f"ALTER TABLE windows DROP COLUMN {column}")
        for table, column in (("verdicts", "p_values_after"), ("incidents", "grew"), ("incidents", "kind"), ("examples", "topic")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.close()
    again = Store.open(url)
    again.upsert([step(60)])
    assert [row.lengths for row in again.windows(slice="")] == [None, [0] * LENGTHS]
    assert [row.languages for row in again.windows(slice="")] == [None, [0, 0]]
    assert [row.p_values_after for row in again.verdicts(stream="ood_share")] == [None, None]
    assert again.incidents() == [incident(60.0)]
    again.close()
    Store.open(url).close()


def test_a_level_that_is_never_reached_keeps_its_infinite_threshold(store: Store) -> None:
    never = verdict(0, log10_threshold=math.inf)
    store.upsert([Closed(0, {}, (never,))])
    assert store.verdicts() == [never]


def test_verdicts_of_probes_are_all_kept_and_their_incidents_say_what_they_are_part_of(store: Store) -> None:
    quiet = [verdict(3600 * i + 1200, slice="live/golden/facts", stream="probe") for i in range(3)]
    joined = incident(60.0, kind="safety", part_of="another", slice="live/golden/facts")
    store.upsert([Closed(None, {}, tuple(quiet), (joined,))])
    assert store.verdicts(stream="probe") == quiet
    assert store.incidents() == [joined]
    assert store.incident(joined.id) == joined


def test_open_incidents_and_those_of_one_model(store: Store) -> None:
    shut = incident(60.0, closed=90.0)
    store.upsert([Closed(None, {}, (), (shut, incident(120.0), incident(180.0, model="other")))])
    assert [i.opened for i in store.incidents()] == [180, 120, 60]
    assert [i.opened for i in store.incidents(open_only=True)] == [180, 120]
    assert [i.opened for i in store.incidents(model="bot", limit=1)] == [120]


def test_baselines_and_audit(store: Store) -> None:
    row = BaselineEntry("bot", "strange", 5.0, "ada", "looks right", "live", 0.03, 0.035, 2.0, 28, "full")
    audit = AuditEntry("c1", 5.0, "ada", "baseline.accept", {"model": "bot"}, "accepted live")
    store.upsert([Closed(None, {}, (), (), (row,), (audit,))] * 2)
    assert store.baselines("bot") == [BaselineEntry("bot", "strange", 5.0, "ada", "looks right", "live", 0.03, 0.035, 2.0, 28, "full")]
    assert store.audit() == [AuditEntry("c1", 5.0, "ada", "baseline.accept", {"model": "bot"}, "accepted live")]
    more = [AuditEntry(f"d{i}", 9.0 + i, "ada", "deployment.add", {"model": "bot" if i % 2 else "two"}, "noted") for i in range(4)]
    store.upsert([Closed(None, {}, (), (), (), (*more, AuditEntry("x", 99.0, "ada", "incident.ack", {}, "acknowledged")))])
    assert [entry.id for entry in store.audit(2)] == ["x", "d3"]
    assert [entry.id for entry in store.audit(kinds=("deployment.add", "baseline.accept"), model="bot")] == ["d3", "d1", "c1"]
    assert [entry.id for entry in store.audit(1, ("deployment.add",), "two")] == ["d2"]


def test_pruning_takes_old_verdicts_and_windows_and_leaves_incidents(store: Store) -> None:
    store.upsert([step(0, incidents=(incident(60.0),)), step(6000)])
    assert sum(store.prune(6000)) == 4
    assert {v.window_start for v in store.verdicts()} == {6000}
    assert len(store.incidents()) == 1
    assert list(store.prune(6000)) == []


def test_pruning_goes_hour_by_hour_and_may_be_left_at_any_time(store: Store) -> None:
    store.upsert([step(60 * i) for i in range(150)])
    pruning = store.prune(8000)
    assert next(pruning) == 60 * 4
    pruning.close()
    assert min(row.window_start for row in store.windows(limit=1000)) == 3600
    assert list(store.prune(8000)) == [240, 14 * 4]
    assert {v.window_start for v in store.verdicts(limit=1000)} == {60.0 * i for i in range(134, 150)}


def test_old_windows_of_slices_are_summed_by_the_hour_and_a_period_stays_the_same(store: Store) -> None:
    store.upsert([step(60 * i, n=i) for i in range(200)])

    def prompts(slice_: str) -> list[int]:
        rows = list(store.period("bot", slice_, 3600, 10800))
        assert sum(row.topics[0] for row in rows) == sum(row.n for row in rows)
        return [sum(row.n for row in rows), sum(row.tokens for row in rows), sum(row.histogram[7] for row in rows)]

    before = [prompts(slice_) for slice_ in ("", "tenant")]
    folding = store.fold(0, 11_000)
    assert next(folding) == 59
    folding.close()
    assert list(store.fold(0, 11_000)) == [59, 59]
    assert [prompts(slice_) for slice_ in ("", "tenant")] == before
    assert list(store.fold(0, 11_000)) == []
    assert [row.window_start for row in store.windows(slice="tenant", limit=500)] == [0, 3600, 7200, *range(10_800, 12_000, 60)]
    assert len(store.windows(slice="", limit=500)) == 200


def test_hours_are_folded_by_bundle_and_what_a_window_does_not_know_the_hour_does_not(store: Store) -> None:
    other = {DeltaKey("A", "bot", "tenant", 120): sketch(7)}
    store.upsert([step(0), step(60), Closed(120, other)])
    with store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE windows SET lengths = NULL WHERE window_start = 60")
    assert sum(store.fold(0, 7200)) == 1
    rows = {(row.bundle, row.window_start): row for row in store.windows(slice="tenant")}
    assert {key: row.n for key, row in rows.items()} == {("A", 0): 7, ("B", 0): 200}
    assert rows["B", 0].lengths is None
    assert rows["A", 0].lengths == [0] * LENGTHS


def test_of_a_quiet_slice_a_verdict_an_hour_is_written(store: Store) -> None:
    quiet = [Closed(60 * i, {}, (verdict(60 * i, slice="tenant"), verdict(60 * i))) for i in range(130)]
    near = Closed(60, {}, (verdict(60, slice="tenant", stream="far_share", log10_ticket_evidence=3.4),))
    never = Closed(60, {}, (verdict(60, slice="never", log10_ticket_threshold=math.inf),))
    opened = [Closed(60 * i, {}, (verdict(60 * i, slice="other", state=state),)) for i, state in ((1, "ticket"), (2, "page"), (3, "ok"))]
    store.upsert([*quiet, near, never, *opened])
    assert len(store.verdicts(slice="")) == 130
    assert [(v.stream, v.window_start) for v in store.verdicts(slice="tenant")] == [
        ("ood_share", 0),
        ("far_share", 60),
        ("ood_share", 3600),
        ("ood_share", 7200),
    ]
    assert [v.window_start for v in store.verdicts(slice="other")] == [60, 120]
    assert store.verdicts(slice="never") == []


def test_a_step_is_written_whole_or_not_at_all(store: Store) -> None:
    broken = Closed(60, {}, (verdict(60), verdict(120, explanation=None)))
    with pytest.raises(Exception, match="NOT NULL"):
        store.upsert([step(0), broken])
    assert store.verdicts() == []


def test_a_lost_file_is_made_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    first = Store.open(url)
    first.upsert([step(0)])
    first.close()
    for file in tmp_path.iterdir():
        file.unlink()
    again = Store.open(url)
    again.upsert([step(60)])
    assert {v.window_start for v in again.verdicts()} == {60}
    with sqlite3.connect(tmp_path / "history.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "store: expected an SQLAlchemy URL"),
        ("mysql://host/db", "store: expected a sqlite or postgresql URL, got mysql"),
        ("sqlite:////nowhere/at/all/history.db", "store: the directory of /nowhere/at/all/history.db does not exist"),
    ],
)
def test_a_store_that_cannot_be_is_a_configuration_error(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Store.open(url)


def test_a_history_without_slices_of_incidents_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    Store.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE incidents DROP COLUMN slice")
    connection.close()
    store = Store.open(f"sqlite:///{path}")
    store.upsert([Closed(None, {}, (), (incident(60.0), incident(61.0, slice="acme")))])
    assert [row.slice for row in store.incidents()] == ["acme", ""]
    store.close()
