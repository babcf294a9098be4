"""The newest windows of one model, kept for intervals, plots and the words that explain a change."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Evidence
from detectors.sketch import Sketch
from service.decider.encoding import decode_array, encode_array

WINDOW = np.dtype([("start", "<i8"), ("n", "<i4"), ("x", "<i4", (2,))])
EVIDENCE = np.dtype([("ticket", "<f4", (2,)), ("page", "<f4", (2,))])

KEPT = 10_080
"""Windows kept: as many as a change point is looked for in."""

SHOWN = 1_440
"""Windows with evidence kept for the plots."""

WORDY = 120
"""Windows with topic counts kept: a change that began earlier is described by these."""

RECENT = 60
"""Windows that decide whether there is enough data."""


class Topic(Protocol):
    """One reference topic of a bundle: words of the allow-list and share of the fine-tuning set."""

    @property
    def words(self) -> Sequence[str]:
        """Most telling first."""
        ...

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        ...


class Ring:
    """The newest ``kept`` rows of one type; amortised constant time, contiguous to read."""

    def __init__(self, dtype: np.dtype[Any], kept: int) -> None:
        self._kept, self._size = kept, 0
        self._table = np.zeros(64, dtype)

    def append(self, row: Any) -> None:
        """Add one row, forgetting the oldest beyond ``kept``."""
        if self._size == self._table.size:
            if self._size < self._kept + self._kept // 4:
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])[: self._kept + self._kept // 4]
            else:
                self._table[: self._kept - 1] = self._table[self._size - self._kept + 1 :]
                self._size = self._kept - 1
        self._table[self._size] = row
        self._size += 1

    @property
    def rows(self) -> NDArray[Any]:
        """(W,) view, oldest first; valid until the next append."""
        return self._table[max(0, self._size - self._kept) : self._size]

    def load(self, rows: NDArray[Any]) -> None:
        """Replace everything by these rows."""
        self._table, self._size = (rows.copy(), rows.size) if rows.size else (np.zeros(64, rows.dtype), 0)


class Track:
    """Windows with prompts of one model, oldest first."""

    def __init__(self) -> None:
        self._windows = Ring(WINDOW, KEPT)
        self._evidence = Ring(EVIDENCE, SHOWN)
        self._topics: deque[tuple[int, NDArray[np.int64]]] = deque(maxlen=WORDY)
        self._recent: NDArray[Any] | None = None

    def append(self, start: int, sketch: Sketch, evidence: Evidence, first: int) -> None:
        """Add one closed window; ``first`` is the model's first stream in ``evidence``."""
        self._recent = None
        pair = slice(first, first + 2)
        self._windows.append((start, sketch.n, (sketch.strange, sketch.far)))
        self._evidence.append((evidence.log10_ticket[pair], evidence.log10_page[pair]))
        self._topics.append((start, sketch.topics))

    def recent(self, length: float) -> NDArray[Any]:
        """Windows with prompts among the newest 60, by time."""
        if self._recent is None:
            rows = self._windows.rows[-RECENT:]
            self._recent = rows[rows["start"] > rows["start"][-1] - RECENT * length] if rows.size else rows
        return self._recent

    def since(self, start: float) -> NDArray[Any]:
        """Windows from ``start`` on."""
        rows = self._windows.rows
        return rows[np.searchsorted(rows["start"], start) :]

    def grown(self, since: float, shares: NDArray[np.float64]) -> list[tuple[int, float]]:
        """Topics whose share since then exceeds ``shares`` (K + 1,), most grown first: (index, rise of the share)."""
        counts = [topics for start, topics in self._topics if start >= since]
        if not counts:
            return []
        total = np.sum(counts, axis=0)
        rise = total / max(1, total.sum()) - shares
        return [(int(i), float(rise[i])) for i in np.argsort(-rise, kind="stable") if rise[i] > 0]

    def series(self, stream: int) -> tuple[NDArray[Any], ...]:
        """start, n, x, ticket and page evidence of the newest 1,440 windows, copied; ``stream`` is 0 or 1."""
        evidence = self._evidence.rows
        windows = self._windows.rows[self._windows.rows.size - evidence.size :]
        return (
            windows["start"].copy(),
            windows["n"].astype(np.int64),
            windows["x"][:, stream].astype(np.int64),
            evidence["ticket"][:, stream].copy(),
            evidence["page"][:, stream].copy(),
        )

    def to_json(self, needed: int) -> dict[str, Any]:
        """Everything needed to go on, of the windows the newest ``needed`` or those shown."""
        evidence = self._evidence.rows
        windows = self._windows.rows[-max(needed, evidence.size, 1) :]
        topics = list(self._topics)
        return {
            "windows": encode_array(windows),
            "evidence": encode_array(evidence),
            "topics": encode_array(np.array([counts for _, counts in topics], np.int32)) if topics else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self._windows.load(decode_array(state["windows"]))
        self._evidence.load(decode_array(state["evidence"]))
        self._recent = None
        starts = self._windows.rows["start"].tolist()
        topics = list(decode_array(state["topics"]).astype(np.int64)) if state["topics"] else []
        self._topics = deque(zip(starts[len(starts) - len(topics) :], topics, strict=True), maxlen=WORDY)


def words(topics: Sequence[Topic], index: int) -> str:
    """Words of one topic; the entry after the last topic is none of them."""
    return " ".join(topics[index].words[:3]) if index < len(topics) else "none of the known topics"
