"""The scripted week as a source of prompts: as fast as the service takes them, in event time."""

import threading
from collections.abc import Callable, Mapping, Sequence

from service.main.demo.pool import Pool
from service.main.demo.script import MODEL, MONDAY
from service.main.demo.traffic import NOTHING, Event, play_day
from service.records import Batch, Partition, Progress, Prompt, Span

PARTITION = "week"


class ScriptedSource:
    """Plays ``days`` days of traffic into the pipeline and ends. Position = number of the prompt in the week.

    Args:
        pool: texts.
        seed: of the traffic.
        events: what is planted.
        positions: committed input positions of the ledger.
    """

    def __init__(
        self, pool: Pool, seed: int, events: Sequence[Event], positions: Callable[[], Mapping[Partition, int]], days: int = 7
    ) -> None:
        self._pool, self._seed, self._events, self._positions, self._days = pool, seed, events, positions, days
        self._partitions = frozenset([PARTITION])
        self._day = self._row = self._before = 0
        self._ended, self._closed = False, threading.Event()
        self._traffic = NOTHING
        self.rewind()

    def poll(self, limit: int, timeout: float) -> Batch:
        """See the contract. After the last prompt every batch is empty and says that the input has ended; from the second on it waits."""
        while self._row == self._traffic.time.size:
            if self._day + 1 == self._days:
                if self._ended:  # a page that stays open afterwards costs no core
                    self._closed.wait(timeout)
                self._ended = True
                return Batch(progress={PARTITION: Progress(MONDAY + self._days * 86400.0, ended=True)}, partitions=self._partitions)
            self._open(self._day + 1)
        rows = slice(self._row, min(self._row + limit, self._traffic.time.size))
        texts, first = self._pool.texts, self._before + rows.start
        times = (MONDAY + self._traffic.time[rows]).tolist()
        prompts = [
            Prompt(f"w{number}", texts[text], time, MODEL, session=str(session))
            for number, (text, time, session) in enumerate(
                zip(self._traffic.text[rows].tolist(), times, self._traffic.session[rows].tolist(), strict=True), first
            )
        ]
        self._row = rows.stop
        span = Span(first, first + len(prompts))
        return Batch(prompts, {PARTITION: span}, {PARTITION: Progress(times[-1])}, self._partitions)

    def rewind(self) -> None:
        """Go back to what the ledger holds."""
        position = self._positions().get(PARTITION, 0)
        self._before, self._traffic = 0, NOTHING
        self._open(0)
        while position > self._before + self._traffic.time.size and self._day + 1 < self._days:
            self._open(self._day + 1)
        self._row = position - self._before

    def committed(self, batch: Batch, repeats: frozenset[str], watermark: float) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Wake a poll that waits."""
        self._closed.set()

    def _open(self, day: int) -> None:
        self._before += self._traffic.time.size
        self._day, self._row = day, 0
        self._traffic = play_day(self._pool, self._seed, day, self._events)
