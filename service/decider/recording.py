"""The newest windows of one model one by one: what the replay of the promise needs beside the counts of hours."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.embedding_levels import BLOCKS
from detectors.sketch import Sketch
from service.decider.track import Ring
from service.records import WHOLE

REPLAYED = 28
"""Days whose windows are kept one by one."""

SHORTEST = 10.0
"""Shortest windows (seconds) of which :data:`REPLAYED` days are kept; of shorter ones as many windows, and so fewer days."""

LARGEST = 12_000_000
"""Characters that the days before today have at most; beyond them the oldest go first."""

COUNTS = ("n", "strange", "far")
"""What is counted of the whole model and of every slice."""

_EVERYTHING = 2**31  # what goes is decided at the end of a day


@dataclass(frozen=True, slots=True)
class Recorded:
    """W windows with prompts in order of time.

    Attributes:
        start: (W,) int64, seconds since the epoch.
        counts: (W, 1 + slices, 3) uint32, :data:`COUNTS` of the whole model and of each slice.
        topics: (W, K + 1) uint32, prompts of each topic.
        u: (W, B) float32, how far the blocks that close with the window stray, NaN where none does
            (:meth:`detectors.embedding_baseline.EmbeddingLearner.add`).
    """

    start: NDArray[np.int64]
    counts: NDArray[np.uint32]
    topics: NDArray[np.uint32]
    u: NDArray[np.float32]


class Recording:
    """Windows of today as they are, those of each day before compressed: 28 days of minutes with 100 topics and 50 slices are 3 to 6 MB.

    Cost: about 20 microseconds a window, and 50 ms at the end of a day.
    """

    def __init__(self, slices: Sequence[str], window_seconds: float) -> None:
        """Start empty; ``slices``: values counted apart."""
        self._slices = tuple(slices)
        self._kept = round(REPLAYED * 86400 / max(window_seconds, SHORTEST))
        self._days: list[dict[str, Any]] = []
        self._today: Ring | None = None

    def __len__(self) -> int:
        """Windows kept."""
        return sum(int(day["size"]) for day in self._days) + (0 if self._today is None else self._today.rows.size)

    def append(self, start: int, sketches: Mapping[str, Sketch], u: NDArray[np.float32]) -> None:
        """Keep one closed window, by slice."""
        topics = sketches[WHOLE].topics
        if self._today is None:
            self._today = Ring(_row_type(len(self._slices), topics.size), _EVERYTHING)
        counts = [(s.n, s.strange, s.far) if (s := sketches.get(name)) else (0, 0, 0) for name in (WHOLE, *self._slices)]
        self._today.append((start, counts, topics, u))

    def turn(self, start: int) -> None:
        """A day begins: pack the one that is complete, and drop what is too old or too much."""
        if self._today is not None and self._today.rows.size:
            self._days.append(_packed(self._today.rows, self._slices))
            self._today.load(self._today.rows[:0])
        days = [day for day in self._days if day["last"] >= start - REPLAYED * 86400]
        while days and (sum(day["size"] for day in days) > self._kept or sum(map(_length, days)) > LARGEST):
            days = days[1:]
        self._days = days

    def read(self) -> Recorded | None:
        """Everything kept; None before the first window. Cost: about 0.3 s."""
        if self._today is None:
            return None
        rows = [*(_opened(day, self._slices) for day in self._days), self._today.rows]
        return Recorded(*(np.concatenate([part[name] for part in rows]) for name in ("start", "counts", "topics", "u")))

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on; what no window changes any more is packed once."""
        today = None if self._today is None else _packed(self._today.rows, self._slices)
        return {"days": self._days, "today": today}

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`; a slice that was not counted before begins with nothing."""
        self._days = list(state["days"])
        if state["today"] is not None:
            rows = _opened(state["today"], self._slices)
            self._today = Ring(rows.dtype, _EVERYTHING)
            self._today.load(rows)


def _row_type(slices: int, topics: int) -> np.dtype[Any]:
    columns = [("start", "<i8"), ("counts", "<u4", (1 + slices, len(COUNTS))), ("topics", "<u4", (topics,)), ("u", "<f4", (len(BLOCKS),))]
    return np.dtype(columns)


def _length(day: Mapping[str, Any]) -> int:
    return sum(len(day[name][1]) for name in ("start", "counts", "topics", "u"))


def _packed(rows: NDArray[Any], slices: Sequence[str]) -> dict[str, Any]:
    """Rows as JSON values: each column in its narrowest type, windows last, compressed."""
    day = {
        "size": int(rows.size),
        "last": int(rows["start"][-1]) if rows.size else 0,
        "slices": list(slices),
        "topics_of": rows["topics"].shape[1],
    }
    for name in ("start", "counts", "topics", "u"):
        column = np.moveaxis(rows[name], 0, -1)
        if name != "u":
            column = column.astype(np.min_scalar_type(int(column.max(initial=0))))
        day[name] = [column.dtype.str, b64encode(zlib.compress(np.ascontiguousarray(column).tobytes(), 6)).decode()]
    return day


def _opened(day: Mapping[str, Any], slices: Sequence[str]) -> NDArray[Any]:
    """Inverse of :func:`_packed`, with the counts of the slices of now."""
    rows = np.zeros(day["size"], _row_type(len(slices), day["topics_of"]))
    shapes = {"counts": (1 + len(day["slices"]), len(COUNTS)), "topics": (day["topics_of"],), "u": (len(BLOCKS),), "start": ()}
    for name, shape in shapes.items():
        kind, data = day[name]
        column = np.moveaxis(np.frombuffer(zlib.decompress(b64decode(data)), kind).reshape(*shape, day["size"]), -1, 0)
        if name != "counts":
            rows[name] = column
            continue
        rows[name][:, 0] = column[:, 0]
        for i, value in enumerate(slices, 1):
            if value in day["slices"]:
                rows[name][:, i] = column[:, 1 + day["slices"].index(value)]
    return rows
