import math
import sqlite3

import pytest
import sqlalchemy as sa
from ledger_suite import PositionSuite, counted, part, report

from service.errors import ConfigError
from service.ledger.contract import KEY_RETENTION, Unavailable, UnknownVersion, Unusable
from service.ledger.sql import SqlLedger
from service.ledger.tables import Database
from service.records import Checkpoint


class TestSqlite(PositionSuite):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/ledger.db"

    def lose_lock(self, journal):
        journal._lock.close()

    def test_keys_and_log_are_kept_for_a_day(self):
        now = [1_000_000.0]
        ledger = SqlLedger(Database(self.url), clock=lambda: now[0])
        self.become_active()
        ledger.append([part(1, "post-1")], report(), None)
        ledger.append([part(2)], report(), None)
        entries = self.drain(expected=4)
        self.journal.checkpoint(Checkpoint(entries[-1].position + 1, 0.0, b""))
        ledger.append([part(4)], report(), None)
        now[0] += KEY_RETENTION - 1
        assert ledger.append([part(1, "post-1")], report(), None) == {"post-1"}
        assert counted(self.drain(expected=7)) == 1 + 2 + 4
        now[0] += 2
        assert ledger.append([part(1, "post-1")], report(), None) == frozenset()
        # Rows wholly below the checkpoint are gone; the rest waits for the decider however old it is.
        now[0] += 2 * KEY_RETENTION
        ledger.append([part(8)], report(), None)
        assert counted(self.drain(expected=8)) == 2 + 4 + 1 + 8
        ledger.close()

    def test_positions_in_the_log_never_come_twice(self):
        self.become_active()
        self.ledger.append([part(1)], report(), None)
        before = self.drain()[-1].position
        with self.ledger._database.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM tiltmeter_log"))
        self.ledger.append([part(1)], report(), None)
        assert self.drain()[0].position > before

    def test_checkpoint_of_a_newer_version_is_named(self):
        self.become_active()
        self.journal.checkpoint(Checkpoint(1, -math.inf, b"x"))
        with self.ledger._database.engine.begin() as connection:
            connection.execute(sa.text("UPDATE tiltmeter_checkpoints SET version = 99"))
        with pytest.raises(UnknownVersion, match="version 99"):
            self.journal.restore()
        self.journal.checkpoint(Checkpoint(3, -math.inf, b"rolled back"))
        assert self.journal.restore() == Checkpoint(3, -math.inf, b"rolled back")

    def test_disk_full_is_said_plainly_and_loses_nothing(self):
        self.become_active()
        self.ledger.append([part(1)], report(**{"in/0": (0, 1)}), None)
        with self.ledger._database.engine.connect().execution_options(tiltmeter_read=True) as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

        @sa.event.listens_for(self.ledger._database.engine, "begin")
        def _small(connection):
            connection.connection.driver_connection.execute(f"PRAGMA max_page_count={pages}")

        big = [part(1, f"post-{i}-{'x' * 400}") for i in range(500)]
        with pytest.raises(Unusable, match=r"disk is full.*start again"):
            self.ledger.append(big, report(**{"in/0": (1, 2)}), None)
        assert self.ledger.positions() == {"in/0": 1}
        assert counted(self.drain(expected=2)) == 1


def test_schema_of_another_version_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    SqlLedger.open(url).positions()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE tiltmeter_decider SET schema = 99")
    connection.close()
    with pytest.raises(ConfigError, match="schema 99"):
        SqlLedger.open(url).positions()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "needs a file"),
        ("sqlite:////nowhere/at/all/ledger.db", "does not exist"),
        ("mysql+pymysql://host/db", "expected sqlite or postgresql"),
        ("not a url", "not a database URL"),
    ],
)
def test_urls_that_cannot_work(url, message):
    with pytest.raises(ConfigError, match=message):
        SqlLedger.open(url)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"definitely not a database" * 100)
    with pytest.raises(Unusable, match="not a database"):
        SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db").positions()


def test_a_database_that_is_away_is_named_without_its_password():
    with pytest.raises(Unavailable, match=r"[Cc]onnection refused") as caught:
        SqlLedger.open("postgresql://user:topsecret@127.0.0.1:1/db").positions()
    assert "topsecret" not in str(caught.value)
