"""A SQLite ledger that caps itself: it stays below its limit, loses nothing, and goes on once the decider has caught up."""

import random
from pathlib import Path

import pytest
from ledger_suite import counted, part, report

from service.config import SqlLedger as Settings
from service.config import load
from service.errors import ConfigError
from service.ledger.sql import SqlLedger
from service.ledger.sql_journal import SqlJournal
from service.ledger.tables import Full
from service.records import Checkpoint

LIMIT = 19 * 2**20
BULK = random.Random(7).randbytes(20_000).hex()  # a name of a worker that no compression makes small


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _append(ledger: SqlLedger, number: int) -> None:
    ledger.append([part(1)], report(worker=f"{number} {BULK}", **{"in/0": (number, number + 1)}), None)


def _fill(ledger: SqlLedger, folder: Path, start: int) -> int:
    """Append until there is no room; how many posts went in, and the largest size seen is checked on the way."""
    for number in range(start, start + 20_000):
        try:
            _append(ledger, number)
        except Full:
            return number
        assert _size(folder) < LIMIT
    raise AssertionError("it never became full")


def test_a_full_ledger_stays_below_its_limit_and_goes_on_when_it_is_judged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger, journal = SqlLedger.open(url, durable=False, limit=LIMIT), SqlJournal.open(url, durable=False, limit=LIMIT)
    try:
        assert journal.acquire(1)
        taken = _fill(ledger, tmp_path, 0)
        assert taken > 3
        with pytest.raises(Full, match=r"ledger\.max_bytes"):
            _append(ledger, taken)
        assert ledger.positions() == {"in/0": taken}
        assert _size(tmp_path) < LIMIT

        # The decider still writes, and all that was acknowledged is there.
        entries, after = [], 0
        while more := journal.read(after, 10_000, 0.1):
            entries += more
            after = more[-1].position + 1
        assert counted(entries) == taken
        journal.checkpoint(Checkpoint(after, 0.0, b"x" * 1_000_000))

        with pytest.raises(Full):
            _append(ledger, taken)
        _append(ledger, taken)
        assert ledger.positions() == {"in/0": taken + 1}
        assert _fill(ledger, tmp_path, taken + 1) > taken + 3
        assert _size(tmp_path) < LIMIT
    finally:
        ledger.close()
        journal.close()


def test_a_limit_that_leaves_no_room_for_the_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("source: {kind: http}\nledger: {kind: sql, max_bytes: 1000}\nmodels: {m: {bundle: b}}\n")
    with pytest.raises(ConfigError, match=r"max_bytes"):
        load(path, {})
    assert Settings(max_bytes=2**26).max_bytes == 2**26
