"""What was seen of one model, by hour: the counts that baselines are learned from, bounded to the newest days."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import State
from detectors.embedding_baseline import EmbeddingBaseline, EmbeddingLearner
from detectors.embedding_levels import BLOCKS
from detectors.features import FEATURES
from detectors.seasonal import Hours
from detectors.sketch import BINS, Sketch
from detectors.volume_baseline import VolumeBaseline
from service.decider.budget import TABLES
from service.decider.calendar import Calendar
from service.decider.encoding import decode_array, decode_packed, decode_state, encode_array, encode_packed, encode_state
from service.decider.recording import Recording
from service.decider.track import Ring
from service.records import WHOLE

DAYS = 60
"""Days with prompts that are kept, and the day that is being filled; the oldest go first."""

P_VALUES = "histogram"
"""Counts of a sketch by p-value, kept beside those of :data:`TABLES`."""

_WEEK_DAYS = 7
_EVERYTHING = 2**31  # what goes is decided at the end of a day


class History:
    """Rows by hour of one model and its slices, the newest windows one by one, and what learns the embedding.

    An hour holds at most 2**32 prompts. Memory at 60 days: 1.6 MB with 100 topics and 50 slices, 8 MB for the embedding, and the windows
    (:class:`service.decider.recording.Recording`). Cost: about 0.15 ms a window.
    """

    def __init__(self, calendar: Calendar, slices: Sequence[str], window_seconds: float) -> None:
        """Start empty; ``slices``: values counted apart."""
        self._calendar, self._slices = calendar, tuple(slices)
        self._length = window_seconds
        self.recording = Recording(slices, window_seconds)
        self._rows: Ring | None = None
        self._embedding = EmbeddingLearner()
        self._key = (-1, -1)
        self._yesterday = ""
        self._hour: State | str | None = None
        self._since: list[list[Any]] = []

    def add(self, start: int, sketches: Mapping[str, Sketch]) -> bool:
        """Count one closed window with prompts, by slice; True when a day is complete with it."""
        whole = sketches[WHOLE]
        # Where summer time ends at midnight an hour is told twice across days: days never fall here.
        key = max(self._calendar.day(start), self._key[0]), self._calendar.hour(start)
        rollover = 0 <= self._key[0] < key[0]
        if self._rows is None:
            self._rows = Ring(self._row_type(whole), _EVERYTHING)
        if rollover:
            self._forget(start)
        if key != self._key:
            fresh = np.zeros((), self._rows.rows.dtype)
            fresh["day"], fresh["hour"] = key
            self._rows.append(fresh)
            self._key = key
        row = self._rows.rows[-1]
        counts = [(s.n, s.strange, s.far, s.truncated) if (s := sketches.get(name)) else (0, 0, 0, 0) for name in (WHOLE, *self._slices)]
        row["counts"] += np.array(counts, np.uint32)
        for name in (*TABLES.values(), P_VALUES):
            row[name] += getattr(whole, name).astype(np.uint32)
        self.recording.append(start, sketches, self._learn_embedding(key, whole))
        return rollover

    def _row_type(self, sketch: Sketch) -> np.dtype[Any]:
        tables = [(name, "<u4", getattr(sketch, name).shape) for name in (*TABLES.values(), P_VALUES)]
        return np.dtype([("day", "<i4"), ("hour", "<i4"), ("counts", "<u4", (1 + len(self._slices), 4)), *tables])

    def _forget(self, start: int) -> None:
        """A day is complete: drop what is too old. Within a day nothing goes, so that what is saved of the days before stays as it is."""
        assert self._rows is not None
        rows = self._rows.rows
        days = np.unique(rows["day"])
        if days.size > DAYS:
            self._rows.load(rows[rows["day"] >= days[-DAYS]])
        self.recording.turn(start)
        self._yesterday = ""

    def _learn_embedding(self, key: tuple[int, int], sketch: Sketch) -> NDArray[np.float32]:
        """Its learner is large, so it is saved as it was at the beginning of the hour, with the windows since."""
        if sketch.fourier.shape != (FEATURES,):
            return np.full(len(BLOCKS), np.nan, np.float32)
        day, hour = key
        week = (day - 1) // _WEEK_DAYS  # Mondays have numbers that 7 leaves 1 over
        if self._hour is None or self._since[-1][:2] != [week, hour]:
            self._hour, self._since = self._embedding.snapshot(), []
        self._since.append([week, hour, int(sketch.n), sketch.fourier.tolist()])
        return self._embedding.add(week, hour, int(sketch.n), sketch.fourier)

    @property
    def rows(self) -> NDArray[Any]:
        """One row an hour with prompts, in order of time; an hour told twice has two."""
        return np.zeros(0, [("day", "<i4"), ("hour", "<i4")]) if self._rows is None else self._rows.rows

    @property
    def days(self) -> int:
        """Days with prompts."""
        return int(np.unique(self.rows["day"]).size)

    @property
    def prompts(self) -> int:
        """Prompts learned."""
        return 0 if self._rows is None else int(self.rows["counts"][:, 0, 0].sum(dtype=np.int64))

    @property
    def windows(self) -> int:
        """Windows kept one by one."""
        return len(self.recording)

    def span(self) -> tuple[int, int] | None:
        """Number of the first and of the last day; None when nothing is learned."""
        return (int(self.rows["day"][0]), int(self.rows["day"][-1])) if self.rows.size else None

    def hours(self, slice_: str, stream: str) -> Hours:
        """Prompts and flags of a rate stream by hour."""
        counts = self.rows["counts"][:, (WHOLE, *self._slices).index(slice_)].astype(np.int64)
        column = {"ood_share": 1, "far_share": 2, "truncation": 3}.get(stream)
        x = self.rows["topics"][:, -1].astype(np.int64) if column is None else counts[:, column]
        return Hours(self.rows["day"].astype(np.int64), self.rows["hour"].astype(np.int64), counts[:, 0], x)

    def table(self, stream: str) -> NDArray[np.int64]:
        """(N, K) counts of a stream over categories, a row an hour."""
        return np.asarray(self.rows[TABLES[stream]].astype(np.int64))

    def clock(self, start: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Day and hour of the week (W,) of windows that start at these times, in order; days do not fall."""
        quarter, index = np.unique(start // 900, return_inverse=True)  # every zone is a whole number of quarters off
        day = np.array([self._calendar.day(900 * q) for q in quarter.tolist()], np.int64)
        hour = np.array([self._calendar.hour(900 * q) for q in quarter.tolist()], np.int64)
        return np.maximum.accumulate(day[index]), hour[index]

    def p_values(self) -> NDArray[np.int64]:
        """(15,) int64, prompts by p-value; zeros where none were counted."""
        return np.asarray(self.rows[P_VALUES].sum(axis=0, dtype=np.int64)) if self.rows.size else np.zeros(BINS, np.int64)

    def volume(self, delta: float) -> VolumeBaseline | None:
        """How many prompts come when; None before two days, or with too few."""
        recorded = self.recording.read()
        if recorded is None:
            return None
        start, n = recorded.start, recorded.counts[:, 0, 0].astype(np.int64)
        try:
            return VolumeBaseline.fit(start, n, *self.clock(start), window=self._length, delta=delta)
        except ValueError:
            return None

    def embedding(self, delta: float) -> EmbeddingBaseline | None:
        """What the embedding did; None before the same hours of two days."""
        try:
            return self._embedding.fit(delta)
        except ValueError:
            return None

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on; what no window changes any more is encoded once a day or an hour."""
        if self._rows is None:
            return {"rows": None}
        rows = self._rows.rows
        row = int(np.searchsorted(rows["day"], rows["day"][-1]))
        if not self._yesterday:
            self._yesterday = encode_packed(encode_array(rows[:row]))
        if self._hour is not None and not isinstance(self._hour, str):
            self._hour = encode_packed(encode_state(self._hour))
        return {
            "slices": list(self._slices),
            "rows": [self._yesterday, encode_packed(encode_array(rows[row:]))],
            "recording": self.recording.to_json(),
            "embedding": self._hour and [self._hour, encode_packed(self._since)],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`; a slice that was not counted before begins with nothing."""
        if state["rows"] is None:
            return
        rows = np.concatenate([decode_array(decode_packed(part)) for part in state["rows"]])
        moved = self._moved(rows, state["slices"])
        self._rows = Ring(moved.dtype, _EVERYTHING)
        self._rows.load(moved)
        if state["recording"]:  # rows that were learned elsewhere come without
            self.recording.load(state["recording"])
        self._key = (int(rows["day"][-1]), int(rows["hour"][-1]))
        self._yesterday = state["rows"][0] if moved is rows else ""
        if state["embedding"]:
            self._hour, since = state["embedding"]
            self._embedding = EmbeddingLearner.restore(decode_state(decode_packed(str(self._hour))))
            self._since = decode_packed(since)
            for week, hour, n, fourier in self._since:
                self._embedding.add(week, hour, n, np.array(fourier, np.int64))

    def _moved(self, rows: NDArray[Any], slices: Sequence[str]) -> NDArray[Any]:
        """The rows with the counts of the slices of today."""
        if tuple(slices) == self._slices:
            return rows
        names = rows.dtype.names or ()
        types = [(name, rows.dtype[name].base, rows.dtype[name].shape) for name in names if name != "counts"]
        made = np.zeros(rows.size, np.dtype([*types[:2], ("counts", "<u4", (1 + len(self._slices), 4)), *types[2:]]))
        for name in names:
            if name != "counts":
                made[name] = rows[name]
        made["counts"][:, 0] = rows["counts"][:, 0]
        for i, name in enumerate(self._slices, 1):
            if name in slices:
                made["counts"][:, i] = rows["counts"][:, 1 + list(slices).index(name)]
        return made
