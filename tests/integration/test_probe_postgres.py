"""The probes' history on a real PostgreSQL server: the same answers as on SQLite."""

from pathlib import Path

from probe_rows import exercise
from service.decider.closed import Closed
from service.records import AuditEntry
from service.store import Store


def test_postgres_answers_as_sqlite_does(postgres, tmp_path: Path) -> None:
    stores = [Store.open(postgres.new_database()), Store.open(f"sqlite:///{tmp_path}/history.db")]
    one, two = (exercise(store) for store in stores)
    assert one == two
    for store in stores:
        store.close()


def test_the_audit_is_asked_by_kind_and_model(postgres) -> None:
    store = Store.open(postgres.new_database())
    entries = [AuditEntry(f"d{i}", float(i), "ada", "deployment.add", {"model": "bot" if i % 2 else "two"}, "noted") for i in range(4)]
    store.upsert([Closed(None, {}, (), (), (), (*entries, AuditEntry("x", 99.0, "ada", "incident.ack", {}, "acknowledged")))])
    assert [entry.id for entry in store.audit(kinds=("deployment.add",), model="bot")] == ["d3", "d1"]
    store.close()
