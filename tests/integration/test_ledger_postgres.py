"""The ledger's contract on a real PostgreSQL server, and what only several processes can show."""

import threading
import time

import psycopg
import pytest
from ledger_suite import PositionSuite, counted, part, report

from service.errors import Fenced
from service.ledger.contract import Unavailable
from service.records import Checkpoint, Report


class TestPostgres(PositionSuite):
    @pytest.fixture
    def url(self, postgres):
        self.postgres = postgres
        return postgres.new_database()

    def lose_lock(self, journal):
        journal._lock.connection.driver_connection.close()

    def test_many_appenders_and_a_reader_that_follows_miss_nothing(self):
        """Sequence numbers are drawn in order under the lock, so that a reader never passes one that is still to come."""
        self.become_active()
        workers, each = 4, 40
        ledgers = [self.another_ledger() for _ in range(workers)]

        def work(number):
            for i in range(each):
                ledgers[number].append([part(1)], report(f"w{number}", **{f"in/{number}": (i, i + 1)}), None)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        entries = self.drain(expected=2 * workers * each, seconds=60)
        for thread in threads:
            thread.join()
        assert counted(entries) == workers * each
        for number in range(workers):
            mine = [e.body.positions[f"in/{number}"].start for e in entries if isinstance(e.body, Report) and e.body.worker == f"w{number}"]
            assert mine == list(range(each))

    def test_two_readers_of_one_input_count_it_once(self):
        """Both read the same records; the positions let only one of them through each time."""
        self.become_active()
        counted_by = [0, 0]

        def work(number):
            ledger = self.another_ledger()
            at = 0
            while at < 50:
                try:
                    ledger.append([part(1)], report(f"w{number}", **{"in/0": (at, at + 1)}), None)
                    counted_by[number] += 1
                    at += 1
                except Exception:
                    at = ledger.positions().get("in/0", 0)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(counted_by) == 50
        assert counted(self.drain(expected=100)) == 50

    def test_a_restarted_server_is_unavailable_and_then_there_again(self):
        self.become_active()
        self.ledger.append([part(3)], report(**{"in/0": (0, 3)}), None)
        self.journal.checkpoint(Checkpoint(1, 600.0, b"state"))
        self.postgres.stop()
        try:
            with pytest.raises(Unavailable, match=r"tiltmeter@127\.0\.0\.1"):
                self.ledger.append([part(4)], report(**{"in/0": (3, 7)}), None)
            with pytest.raises(Fenced, match="lock is gone"):
                self.journal.read(0, 10, 0.1)
            assert not self.journal.acquire(0.1)
        finally:
            self.postgres.start()
        assert self.ledger.positions() == {"in/0": 3}
        self.ledger.append([part(4)], report(**{"in/0": (3, 7)}), None)
        self.become_active()
        assert self.journal.restore() == Checkpoint(1, 600.0, b"state")
        assert counted(self.drain(expected=4)) == 7

    def test_a_cut_connection_hands_over_to_the_standby(self):
        self.become_active()
        standby = self.another_journal()
        assert not standby.acquire(0.2)
        started = time.monotonic()
        with psycopg.connect(self.postgres.dsn(self.url.rsplit("/", 1)[1]), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        self.become_active(standby)
        assert time.monotonic() - started < 10
        with pytest.raises(Fenced):
            self.journal.checkpoint(Checkpoint(1, 600.0, b"stale"))
        with pytest.raises(Fenced):
            self.journal.read(0, 10, 0.1)
