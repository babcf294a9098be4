"""What every ledger must do, as one suite over whichever implementation the fixtures of the subclass make.

A subclass gives ``make()`` (a fresh ledger and journal on the same log), ``another_ledger`` and ``another_journal`` on that log.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from detectors.sketch import BINS, LENGTHS, Sketch
from service.errors import Fenced, Rewound
from service.ledger.contract import Journal, Ledger
from service.ledger.sql import SqlLedger
from service.ledger.sql_journal import SqlJournal
from service.records import Checkpoint, Command, DeltaKey, Deltas, Entry, Progress, Report, Span

KEY = DeltaKey("b1", "support-bot", "", 600)


def sketch(n: int, topics: int = 3) -> Sketch:
    histogram, occupancy = np.bincount([4], [n], BINS), np.bincount([1], [n], topics + 1)
    lengths, languages = np.bincount([2], [n], LENGTHS), np.bincount([0], [n], 2)
    tables = (table.astype(np.int64) for table in (histogram, occupancy, lengths, languages))
    return Sketch(n, 1, 0, 0, 5 * n, 20 * n, *tables, np.array([7 * n, -n]))


def report(worker: str = "w1", time_reached: float = 630.0, **positions: tuple[int, int]) -> Report:
    spans = {name: Span(*span) for name, span in positions.items()}
    return Report(worker, spans, {"in/0": Progress(time_reached)}, frozenset({"in/0", "in/1"}), 1000.0)


def part(n: int, key: str | None = None, window: int = 600) -> Deltas:
    return Deltas({KEY._replace(window=window): sketch(n)}, key)


def without_repeats(entries: list[Entry]) -> Iterator[Entry]:
    """As the decider counts: deltas of a key are neighbours, and a key that comes back later is a repeat."""
    seen: set[str] = set()
    run = None
    for entry in entries:
        fresh = entry.key is None or entry.key == run or entry.key not in seen
        run = entry.key if fresh else None
        if entry.key:
            seen.add(entry.key)
        if fresh:
            yield entry


def counted(entries: list[Entry]) -> int:
    return sum(entry.body[1].n for entry in without_repeats(entries) if isinstance(entry.body, tuple))


class LedgerSuite:
    """What every ledger keeps. Subclasses open it, and another client of the same place."""

    ledger: Ledger
    journal: Journal

    def another_ledger(self) -> Ledger:
        raise NotImplementedError

    def another_journal(self) -> Journal:
        raise NotImplementedError

    def become_active(self, journal: Journal | None = None, seconds: float = 60.0) -> Journal:
        journal = journal or self.journal
        end = time.monotonic() + seconds
        while not journal.acquire(1.0):
            assert time.monotonic() < end, "did not become the active decider"
        return journal

    def drain(self, after: int = 0, journal: Journal | None = None, expected: int = 1, seconds: float = 15.0) -> list[Entry]:
        """Read until ``expected`` entries have come, and then whatever more there is."""
        journal = journal or self.journal
        entries: list[Entry] = []
        end = time.monotonic() + seconds
        while True:
            read = journal.read(after, 1000, 0.5)
            entries += read
            after = read[-1].position + 1 if read else after
            if (not read and len(entries) >= expected) or time.monotonic() > end:
                return entries

    def test_log_is_read_in_order_of_appending(self):
        self.become_active()
        self.ledger.append([part(3)], report(), None)
        self.ledger.submit(Command("c1", "incident.ack", "ada", 5.0, {"incident": "i"}))
        self.ledger.append([part(4)], report(time_reached=-math.inf), None)
        entries = self.drain(expected=5)
        assert [type(e.body).__name__ for e in entries] == ["tuple", "Report", "Command", "tuple", "Report"]
        assert [e.position for e in entries] == sorted({e.position for e in entries})
        key, read = entries[0].body
        assert key == KEY
        assert (read.n, read.tokens, read.histogram[4], read.topics.tolist()) == (3, 15, 3, [0, 3, 0, 0])
        assert entries[1].body == report()
        assert entries[4].body.progress["in/0"].time == -math.inf

    def test_reading_goes_on_where_it_stopped(self):
        self.become_active()
        for n in range(1, 6):
            self.ledger.append([part(n)], report(), None)
        entries = self.drain(expected=10)
        assert counted(self.drain(entries[3].position + 1, expected=6)) == 3 + 4 + 5
        first = self.journal.read(0, 1, 1.0)
        assert [e.position for e in first] == [entries[0].position]
        assert self.journal.read(entries[-1].position + 1, 10, 0.1) == []

    def test_a_repeated_key_counts_once(self):
        self.become_active()
        self.ledger.append([part(3, "post-1"), part(5)], report(), None)
        other = self.another_ledger()
        other.append([part(3, "post-1"), part(7, "post-2")], report("w2"), None)
        other.append([part(3, "post-1")], report("w2"), None)
        assert counted(self.drain(expected=6)) == 3 + 5 + 7
        other.close()

    def test_a_post_over_several_windows_is_kept_or_left_out_as_a_whole(self):
        self.become_active()
        post = Deltas({KEY: sketch(2), KEY._replace(window=660): sketch(3)}, "post-1")
        self.ledger.append([post], report(), None)
        self.ledger.append([post], report(), None)
        assert counted(self.drain(expected=4)) == 5

    def test_a_key_twice_in_one_append_counts_once(self):
        self.become_active()
        self.ledger.append([part(3, "post-1"), part(3, "post-1")], report(), None)
        assert counted(self.drain(expected=2)) == 3

    def test_a_command_is_applied_once(self):
        self.become_active()
        command = Command("c1", "incident.ack", "ada", 5.0, {"incident": "i"})
        self.ledger.submit(command)
        self.another_ledger().submit(command)
        self.ledger.submit(Command("c2", "incident.ack", "ada", 5.0, {"incident": "i"}))
        # The decider applies an id once; a ledger that can leaves the repeat out already.
        assert list(dict.fromkeys(e.body.id for e in self.drain(expected=2))) == ["c1", "c2"]

    def test_checkpoint_comes_back_and_shows_the_watermark_to_workers(self):
        self.become_active()
        assert self.journal.restore() is None
        assert self.ledger.watermark() == -math.inf
        state = bytes(range(256)) * 5000  # over one megabyte: more than one Kafka record
        for position, watermark in ((7, -math.inf), (9, 660.0)):
            checkpoint = Checkpoint(position, watermark, state[position:])
            self.journal.checkpoint(checkpoint)
            assert self.journal.restore() == checkpoint
        end = time.monotonic() + 10
        while self.ledger.watermark() != 660.0 and time.monotonic() < end:
            time.sleep(0.2)
        assert self.ledger.watermark() == 660.0
        assert self.another_journal().restore() == checkpoint

    def test_a_smaller_checkpoint_replaces_a_larger_one(self):
        self.become_active()
        self.journal.checkpoint(Checkpoint(1, 1.0, b"x" * 1_200_000))
        self.journal.checkpoint(Checkpoint(2, 2.0, b"y"))
        assert self.journal.restore() == Checkpoint(2, 2.0, b"y")

    def test_one_decider_at_a_time(self):
        self.become_active()
        standby = self.another_journal()
        assert not standby.acquire(0.5)
        with pytest.raises(Fenced):
            standby.read(0, 10, 0.1)
        with pytest.raises(Fenced):
            standby.checkpoint(Checkpoint(1, 1.0, b"usurper"))
        self.ledger.append([part(3)], report(), None)
        self.journal.checkpoint(Checkpoint(1, 600.0, b"state"))
        self.journal.close()
        self.become_active(standby)
        assert standby.restore() == Checkpoint(1, 600.0, b"state")
        assert counted(self.drain(journal=standby)) == 3
        standby.checkpoint(Checkpoint(2, 660.0, b"next"))
        with suppress(Fenced):
            standby.close()


class PositionSuite(LedgerSuite):
    """For ledgers in a database, which hold the input positions themselves. Subclasses give the fixture ``url``."""

    @pytest.fixture(autouse=True)
    def on_database(self, url: str) -> Iterator[None]:
        self.url = url
        self.opened: list[Ledger | Journal] = []
        self.ledger, self.journal = self.another_ledger(), self.another_journal()
        yield
        for each in self.opened:
            each.close()

    def another_ledger(self) -> SqlLedger:
        self.opened.append(ledger := SqlLedger.open(self.url))
        return ledger

    def another_journal(self) -> SqlJournal:
        self.opened.append(journal := SqlJournal.open(self.url))
        return journal

    def test_positions_move_with_the_deltas(self):
        assert self.ledger.positions() == {}
        self.ledger.append([part(3)], report(**{"in/0": (10, 13), "in/1": (0, 0)}), None)
        assert self.ledger.positions() == {"in/0": 13, "in/1": 0}
        self.ledger.append([part(3)], report(**{"in/0": (13, 20)}), None)
        assert self.another_ledger().positions() == {"in/0": 20, "in/1": 0}

    @pytest.mark.parametrize("span", [(10, 13), (12, 15), (14, 20)])
    def test_a_stale_position_aborts_everything(self, span):
        self.become_active()
        self.ledger.append([part(3)], report(**{"in/0": (10, 13), "in/1": (0, 5)}), None)
        with pytest.raises(Rewound, match="in/0"):
            self.another_ledger().append([part(9, "post-9")], report("w2", **{"in/1": (5, 6), "in/0": span}), None)
        assert self.ledger.positions() == {"in/0": 13, "in/1": 5}
        assert self.ledger.append([part(4, "post-9")], report(), None) == frozenset()
        assert counted(self.drain(expected=4)) == 3 + 4

    def test_of_those_who_claim_a_place_at_once_one_gets_it(self):
        """Over and over: whoever finds the position moved looks again, and in the end everyone has had a place of their own."""
        ledgers, places = [self.another_ledger() for _ in range(4)], []
        self.ledger.positions()

        def claim(ledger):
            while True:
                held = ledger.positions().get("http/w", 0)
                with suppress(Rewound):
                    ledger.claim("http/w", Span(held, held + 1))
                    places.append(held)
                    return

        threads = [threading.Thread(target=claim, args=(ledger,)) for ledger in ledgers for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(places) == list(range(12))
        assert self.ledger.positions() == {"http/w": 12}
        with pytest.raises(Rewound, match="the ledger is at 12"):
            self.ledger.claim("http/w", Span(11, 13))

    def test_repeats_are_returned(self):
        assert self.ledger.append([part(3, "post-1")], report(), None) == frozenset()
        assert self.ledger.append([part(3, "post-1"), part(1, "post-2")], report(), None) == {"post-1"}

    def test_a_fenced_decider_cannot_write(self):
        """The old decider still believes it decides: its lock was lost without its knowing (frozen, connection cut)."""
        self.become_active()
        self.journal.checkpoint(Checkpoint(1, 600.0, b"old"))
        self.lose_lock(self.journal)
        successor = self.become_active(self.another_journal())
        with pytest.raises(Fenced):
            self.journal.checkpoint(Checkpoint(2, 660.0, b"stale"))
        with pytest.raises(Fenced):
            self.journal.read(0, 10, 0.1)
        assert successor.restore() == Checkpoint(1, 600.0, b"old")

    def lose_lock(self, journal: Journal) -> None:
        """Each subclass's own way."""
        raise NotImplementedError
