"""The probes' history on a real PostgreSQL server: the same answers as on SQLite."""

from pathlib import Path

from probe_rows import exercise
from service.store import Store


def test_postgres_answers_as_sqlite_does(postgres, tmp_path: Path) -> None:
    stores = [Store.open(postgres.new_database()), Store.open(f"sqlite:///{tmp_path}/history.db")]
    one, two = (exercise(store) for store in stores)
    assert one == two
    for store in stores:
        store.close()
