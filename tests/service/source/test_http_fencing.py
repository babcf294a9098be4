"""Processes of the same name over one SQL ledger: whoever is answered was counted, once, whatever they do in which order."""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_suite import counted

from service.config import Config, Fields, HttpSource, Model, Windows
from service.errors import ConfigError, Rewound
from service.ledger.contract import Unavailable
from service.ledger.sql import SqlLedger
from service.ledger.sql_journal import SqlJournal
from service.ledger.tables import POSITIONS, Database
from service.main.run import build
from service.pipeline.pending import Pending
from service.records import Batch, Entry
from service.source.decode import Decoder
from service.source.http import Closed, Counted
from service.source.http import HttpSource as Source
from stub import StubScoring


class Process:
    """Source, ledger and the part of the pipeline that lies between them, one step at a time."""

    def __init__(self, database: Database, instance: str = "same") -> None:
        self.ledger = SqlLedger(database)
        decoder = Decoder(Fields(), {"a": Model(bundle=Path("b"))}, 20.0)
        self.source = Source(HttpSource(), decoder, Windows(), instance=instance, ledger=self.ledger)
        self.batch: Batch | None = None
        self.alive = True

    def poll(self) -> None:
        if self.batch is None:
            batch = self.source.poll(100, 0)
            self.batch = batch if batch.prompts else None

    def flush(self, answer_lost: bool = False) -> None:
        """Append what was polled; ``answer_lost``: it counts, and the worker is not told."""
        if self.batch is None:
            return
        scoring, pending = StubScoring(), Pending(60)
        pending.add(self.batch, scoring.score(self.batch.prompts), scoring)
        try:
            repeats = self.ledger.append(pending.deltas(), pending.report("same", 1000.0, {}), None)
            if answer_lost:
                raise Unavailable("no answer")
        except (Rewound, Unavailable):
            self.batch = None
            self.rewind()
        else:
            self.source.committed(self.batch, repeats)
            self.batch = None

    def rewind(self) -> None:
        try:
            self.source.rewind()
        except ConfigError as error:
            self.alive = False
            self.source.fail(error)

    def act(self, action: str) -> None:
        {"poll": self.poll, "flush": self.flush, "lose": lambda: self.flush(answer_lost=True)}[action]()


Actions = st.lists(st.tuples(st.sampled_from(["start", "post", "poll", "poll", "flush", "flush", "lose"]), st.integers(0, 2)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(Actions)
def test_every_acknowledged_post_is_in_the_ledger_once(actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/ledger.db", durable=False)
        # A power of four records each: the sum of the log says which posts are in it, and how often (up to three times).
        sizes, posted = (4**n for n in count()), list[tuple[int, Future[Counted]]]()
        processes = [Process(database), Process(database)]
        for action, number in actions:
            process = processes[number % len(processes)]
            if action == "start":
                processes.append(Process(database))
            elif process.alive and action == "post":
                if len(posted) < 6:
                    size = next(sizes)
                    posted.append((size, process.source.offer([{"text": f"text {i}", "model": "a"} for i in range(size)])))
            elif process.alive:
                process.act(action)
        logged = read(database)
        acknowledged = sum(size for size, future in posted if future.done() and future.exception() is None)
        known = [logged // size % 4 for size, _ in posted]
        assert all(times <= 1 for times in known), known
        for (_, future), times in zip(posted, known, strict=True):
            if future.done() and future.exception() is None:
                assert times == 1
        assert logged >= acknowledged
        database.close()


def test_a_process_whose_name_is_taken_ends_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    config = Config.model_validate(
        {"source": {"kind": "http"}, "ledger": {"kind": "sql", "url": url}, "models": {"a": {"bundle": "b"}}, "instance": "same"}
    )
    service = build(config, "worker", scoring=StubScoring(), watched={})
    service.start()
    try:
        wait(lambda: isinstance(service._source, Source))
        older = service._source
        assert isinstance(older, Source)
        assert older.offer([{"text": "before"}]).result(10) == Counted(1)
        newer = Process(Database(url))
        unknown = older.offer([{"text": "after"}])
        with pytest.raises(Closed, match="same Idempotency-Key"):
            unknown.result(10)
        wait(service.ended.is_set)
        assert service.status == 2
        said = [record.__dict__ for record in caplog.records if record.levelname == "CRITICAL"]
        assert len(said) == 1
        assert "instance: another process named same has taken over http/same" in str(said)
        assert read(newer.ledger._database) == 1
        newer.ledger.close()
    finally:
        service.stop()


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_processes_that_start_at_the_same_time_each_gets_an_epoch(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/ledger.db", durable=False)
    ledger = SqlLedger(database)
    read_first = ledger.positions()

    class Stale(SqlLedger):
        """What both of them read before either wrote."""

        asked = 0

        def positions(self) -> dict[str, int]:
            self.asked += 1
            return dict(read_first) if self.asked == 1 else dict(super().positions())

    numbers = []
    for _ in range(2):
        decoder = Decoder(Fields(), {"a": Model(bundle=Path("b"))}, 20.0)
        source = Source(HttpSource(), decoder, Windows(), instance="same", ledger=Stale(database))
        source.offer([{"text": "x"}])
        numbers.append(source.poll(1, 0).positions["http/same"].start)
    assert numbers == [1 << 40, 2 << 40]
    with database.snapshot() as connection:
        assert connection.execute(POSITIONS.select()).all() == [("http/same", 2 << 40)]
    database.close()


def read(database: Database) -> int:
    journal = SqlJournal(database)
    assert journal.acquire(1.0)
    entries: list[Entry] = []
    while found := journal.read(entries[-1].position + 1 if entries else 0, 5000, 0.0):
        entries += found
    journal._release()
    return counted([entry for entry in entries if not isinstance(entry.body, tuple) or entry.body[0].slice == ""])
