"""The decider's loop on the real SQL ledger and the real history, in one SQLite file each."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from decider_log import LENGTH, START, history, settings, sketch, watched

from service.decider import run
from service.decider.decider import Decider
from service.decider.run import DeciderLoop
from service.decider.snapshot import DeciderSnapshot
from service.errors import Fenced
from service.ledger.sql import SqlLedger
from service.ledger.sql_journal import SqlJournal
from service.records import Command, DeltaKey, Deltas, Progress, Report, Span
from service.store import Store


class Process:
    """A decider with everything a process would give it."""

    def __init__(self, folder: Path, retry: tuple[type[Exception], ...] = ()) -> None:
        self.journal = SqlJournal.open(f"sqlite:///{folder}/ledger.db", durable=False)
        self.store = Store.open(f"sqlite:///{folder}/history.db")
        self.pictures: list[DeciderSnapshot] = []
        decider = Decider(watched(), settings(windows={"clock": "wall"}))
        self.loop = DeciderLoop(
            self.journal, decider, self.store, lambda: START + 1e6, self.pictures.append, retry=retry, checkpoint_every=0.0
        )

    def kill(self) -> None:
        """As the operating system does it: the lock goes, nothing is written."""
        self.journal._release()
        self.store.close()


@pytest.fixture(autouse=True)
def publish_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PUBLISH", 0.0)
    monkeypatch.setattr(run, "SPARE", 0.0)


def append(ledger: SqlLedger, i: int, strange: int, keys: Sequence[str | None] = (None,)) -> frozenset[str]:
    """One flush of window ``i``, one part per key, and a report up to where the window closes."""
    start = START + LENGTH * i
    parts = [Deltas({DeltaKey("B", "bot", "", start): sketch(100, strange, 1)}, key) for key in keys]
    report = Report("w", {"http/w": Span(i, i + 1)}, {"http/w": Progress(start + 90)}, frozenset(["http/w"]), start + 90.0)
    return ledger.append(parts, report)


def test_kill_and_go_on_tells_the_story_of_an_undisturbed_decider(tmp_path: Path) -> None:
    ledgers, stores = [], []
    for name in ("calm", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        ledger = SqlLedger.open(f"sqlite:///{folder}/ledger.db", durable=False)
        ledgers.append(ledger)
        ledger.submit(Command("1", "baseline.learn", "ada", 0.0, history(28)))
        ledger.submit(Command("2", "baseline.accept", "ada", 1.0, {"model": "bot", "reason": "fine"}))
        process = Process(folder)
        for i in range(80):
            append(ledger, i, 20 if 20 <= i < 35 else 1, ("a", None) if i % 10 == 0 else (None,))
            process.loop.step()
            if name == "killed" and i % 7 == 3:
                process.kill()
                process = Process(folder)
        assert process.pictures[-1].active
        assert ledger.watermark() == START + LENGTH * 79 + 90
        stores.append(process.store)
        process.kill()
        ledger.close()
    calm, killed = ((s.verdicts(limit=1000), s.incidents(), s.windows(limit=1000), s.baselines(), s.audit()) for s in stores)
    assert calm == killed
    verdicts, incidents, windows, baselines, audit = calm
    assert len(verdicts) == 3 * 80  # ood_share, far_share and both combined
    assert {(i.level, i.closed_by) for i in incidents if i.stream == "ood_share"} == {("ticket", "recovery"), ("page", "recovery")}
    assert sum(row.n for row in windows) == 100 * (80 + 1)  # the key "a" counts once
    assert [(row.flag, row.stage) for row in baselines] == [("far", "full"), ("strange", "full")]
    assert [entry.outcome.split()[0] for entry in audit] == ["accepted", "candidate"]


def test_a_second_decider_stands_by_and_a_fenced_one_writes_nothing(tmp_path: Path) -> None:
    ledger = SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", durable=False)
    append(ledger, 0, 3)
    first, second = Process(tmp_path), Process(tmp_path)
    first.loop.step()
    second.loop.step()
    assert (first.pictures[-1].active, second.pictures[-1].active) == (True, False)
    assert replace(second.pictures[-1].streams[0], series=None) == replace(first.pictures[-1].streams[0], series=None)  # type: ignore[arg-type]
    first.journal._release()
    second.loop.step()
    append(ledger, 1, 3)
    with pytest.raises(Fenced):
        first.loop.step()
    second.loop.step()
    assert second.pictures[-1].active
    assert second.loop._decider.watermark == START + 60 + 90
    second.kill()
    first.store.close()
    ledger.close()


def test_a_full_disk_is_blind_and_named_and_nothing_is_lost(tmp_path: Path) -> None:
    ledger = SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", durable=False)
    process = Process(tmp_path, retry=(sa.exc.OperationalError,))
    pages = {"most": 5}
    sa.event.listen(
        process.store._engine, "begin", lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages['most']}")
    )
    for i in range(300):
        append(ledger, i, 3)
    thread = threading.Thread(target=process.loop.run)
    thread.start()
    try:
        wait(lambda: bool(process.pictures) and process.pictures[-1].blind[:1] == ("database or disk is full",))
        assert process.journal.restore() is None
        pages["most"] = 100_000
        wait(lambda: len(process.store.verdicts(limit=1000)) == 600)
        wait(lambda: "database or disk is full" not in process.pictures[-1].blind)
    finally:
        process.loop.stop()
        thread.join(10)
    saved = process.journal.restore()
    assert saved is not None
    assert saved.watermark == START + LENGTH * 299 + 90
    process.store.close()
    ledger.close()


def wait(done: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)
