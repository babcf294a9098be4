"""Prompts from files, in the order of the rows: replay, demo and tests."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from service.config import FileSource as FileSettings
from service.errors import ConfigError, DataError
from service.records import Batch, Partition, Progress, Prompt, Span
from service.rows import raw_rows
from service.source.decode import Decoder, Rejection, parse_time

DEFAULT_RATE = 50.0
"""Prompts per second of event time where rows carry none."""

PARTITION: Partition = "file"
"""All files together are one input; positions are row numbers, counted over all files."""


class FileSource:
    """Rows of files, one after the other, ending with the last one. Time is the record's own, or steady at a rate.

    Args:
        settings: files, and the rate where rows carry no time.
        decoder: makes prompts. Without a rate, and with a time field in its mapping, the rows' own times are taken.
        positions: committed positions of the ledger, where a restart goes on.

    Rows that are no prompts are counted and passed over. Raises ConfigError for a start that is no time.
    """

    def __init__(self, settings: FileSettings, decoder: Decoder, *, positions: Callable[[], Mapping[Partition, int]] | None = None) -> None:
        start = parse_time(settings.start)
        if start is None:
            raise ConfigError(f"source.start: {settings.start!r} is no time; expected ISO 8601 such as 2000-01-01T00:00:00Z")
        self._settings = settings
        self._rate = settings.rate if settings.rate is not None or decoder.reads_time else DEFAULT_RATE
        self._start = start
        self._decoder = decoder
        self._positions = positions
        self._closed = threading.Event()
        self._reached = float("-inf")
        self._rows: Iterator[bytes | Mapping[str, Any]] | None = None
        self._next = 0
        self._ended = False

    @property
    def replaced_times(self) -> int:
        """Records whose own time was not believed."""
        return self._decoder.replaced_times

    def poll(self, limit: int, timeout: float) -> Batch:
        """The next ``limit`` rows; raises DataError when a file cannot be read. After the end it waits for the timeout."""
        if self._ended:
            self._closed.wait(timeout)
            return self._batch([], {}, {})
        rows = self._opened()
        first = self._next
        prompts: list[Prompt] = []
        rejected: Counter[str] = Counter()
        for row in islice(rows, limit):
            time = None if self._rate is None else self._start + self._next / self._rate
            found = self._decoder.decode(row, time, f"{PARTITION}@{self._next}")
            self._next += 1
            if isinstance(found, Rejection):
                rejected[found.reason.value] += 1
            else:
                prompts.append(found)
                self._reached = max(self._reached, found.time)
        self._ended = self._next - first < limit
        return self._batch(prompts, {PARTITION: Span(first, self._next)} if self._next > first else {}, rejected)

    def _batch(self, prompts: list[Prompt], positions: Mapping[Partition, Span], rejected: Mapping[str, int]) -> Batch:
        progress = {PARTITION: Progress(self._reached, ended=self._ended)}
        return Batch(prompts, positions, progress, frozenset((PARTITION,)), rejected)

    def _opened(self) -> Iterator[bytes | Mapping[str, Any]]:
        if self._rows is None:
            self._next = self._positions().get(PARTITION, 0) if self._positions is not None else 0
            rows = (row for path in self._settings.paths for row in raw_rows(path))
            # Rows that are counted already are read past.
            if self._next and next(islice(rows, self._next - 1, None), None) is None:
                raise DataError(f"the ledger has counted {self._next} rows, and the files hold fewer; are they the same files?")
            self._rows = rows
        return self._rows

    def rewind(self) -> None:
        """Read the files again from where the ledger stands; raises DataError for standard input, which cannot be read again."""
        if self._next and any(str(path) == "-" for path in self._settings.paths):
            raise DataError("standard input cannot be read again; write it to a file first")
        self._rows, self._ended, self._reached = None, False, float("-inf")

    def committed(self, batch: Batch, repeats: frozenset[str] = frozenset(), watermark: float = float("-inf")) -> None:
        """Nothing to do: the ledger has the positions."""

    def close(self) -> None:
        """Close the file that is open."""
        self._closed.set()
        self._rows = None
