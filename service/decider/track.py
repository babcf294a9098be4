"""The newest windows of one model or slice, kept for intervals, plots and the words that explain a change."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import BINS, Sketch
from service.decider.budget import MIXES, PAGING, RATES, SLICED, TICKETS
from service.decider.encoding import decode_array, encode_array
from service.decider.mixes import Carried, counts

KEPT = 10_080
"""Windows whose starts are kept: as many as a change point is looked for in."""

SHOWN = 1_440
"""Windows of a whole model kept for the plots."""

SHOWN_SLICE = 240
"""Windows of a slice kept for the plots."""

TABLES = 720
"""Windows whose topics, languages and lengths are kept: a change that began earlier is described by these."""

TABLES_SLICE = 120
"""Windows of a slice whose topics are kept."""
SUMMED = 5
"""Windows whose Fourier sums are kept together."""

SUMS = 144
"""Fourier sums kept of a whole model: as many windows as tables."""

RECENT = 60
"""Windows that decide whether there is enough data."""


_FLAGS = {"embedding_shift": "flag", "volume": "unusual"}


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


class Counted(NamedTuple):
    """What one stream counted in W windows with prompts, oldest first: start, hour of the week, n, x, (W,) each."""

    start: NDArray[np.int64]
    hour: NDArray[np.int64]
    n: NDArray[np.int64]
    x: NDArray[np.int64]

    def since(self, start: float) -> "Counted":
        """The windows from ``start`` on."""
        first = int(np.searchsorted(self.start, start))
        return Counted(*(column[first:] for column in self))


class Track:
    """Windows with prompts, oldest first, of a whole model (``whole``) or of a slice."""

    def __init__(self, whole: bool) -> None:
        self._rates = tuple(RATES) if whole else SLICED
        self._streams = (*PAGING, *TICKETS) if whole else SLICED
        evidence = ("<f4", (len(self._streams),))
        row = [("start", "<i8"), ("hour", "<i2"), ("n", "<i4"), ("x", "<i4", (len(self._rates),)), ("flag", "i1"), ("unusual", "i1")]
        row += [("ticket", *evidence), ("page", *evidence), ("p_values", "<i4", (BINS,))]
        self._windows = Ring(np.dtype(row), SHOWN if whole else SHOWN_SLICE)
        self._sums: Ring | None = None
        self._whole = whole
        self._mixes, self._kept = (MIXES, TABLES) if whole else (("topic_mix",), TABLES_SLICE)
        self._tables: Ring | None = None
        self._usual = np.zeros(1, np.int64)
        self._recent: NDArray[Any] | None = None
        self._prompts = 0

    def append(
        self,
        start: int,
        hour: int,
        sketch: Sketch,
        x: NDArray[np.int64],
        flag: int,
        unusual: int,
        ticket: NDArray[np.float64],
        page: NDArray[np.float64],
        usual: bool = True,
    ) -> None:
        """Add one closed window: ``x`` of its rate streams, whether embedding and volume were flagged (-1: not known), evidence.

        ``usual``: no incident is open; the topics of such windows are those of :meth:`before`.
        """
        self._recent = None
        self._windows.append((start, hour, sketch.n, x, flag, unusual, ticket, page, sketch.histogram))
        if self._whole and sketch.fourier.size:
            self._sum(start, hour, sketch)
        tables = [counts(sketch, stream) for stream in self._mixes]
        if self._tables is None:
            self._tables = Ring(_kinds(self._mixes, [table.size for table in tables]), self._kept)
            self._usual = np.zeros(tables[0].size, np.int64)
        if self._tables.rows.size == self._kept and self._tables.rows["usual"][0]:
            self._usual += self._tables.rows["topic_mix"][0]
        self._tables.append((*tables, usual))

    def _sum(self, start: int, hour: int, sketch: Sketch) -> None:
        """Add a window to the newest Fourier sums: of at most five windows, all of one hour of the week."""
        if self._sums is None:
            row = [("start", "<i8"), ("hour", "<i2"), ("windows", "<i4"), ("n", "<i8"), ("fourier", "<i8", sketch.fourier.shape)]
            self._sums = Ring(np.dtype(row), SUMS)
        newest = self._sums.rows[-1:]
        if not newest.size or newest["windows"][0] >= SUMMED or newest["hour"][0] != hour:
            self._sums.append((start, hour, 0, 0, 0))
            newest = self._sums.rows[-1:]
        newest["windows"] += 1
        newest["n"] += sketch.n
        newest["fourier"] += sketch.fourier

    def fourier(self, since: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Hour of the week (B,), prompts (B,) and fixed-point Fourier sums (B, F) of the windows from ``since`` on.

        Up to four windows before it are in the first row.
        """
        if self._sums is None:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, nothing[:, None]
        rows = self._sums.rows
        rows = rows[max(0, int(np.searchsorted(rows["start"], since, side="right")) - 1) :]
        return rows["hour"].astype(np.int64), rows["n"].astype(np.int64), rows["fourier"].astype(np.int64)

    def p_values(self, since: float = -np.inf, until: float = np.inf) -> NDArray[np.int64]:
        """(15,) int64, prompts by p-value of the windows kept that start in [since, until)."""
        rows = self._windows.rows
        first, stop = np.searchsorted(rows["start"], [since, until])
        return np.asarray(rows["p_values"][first:stop].sum(axis=0, dtype=np.int64))

    def recent(self, length: float) -> NDArray[Any]:
        """Windows with prompts among the newest 60, by time."""
        if self._recent is None:
            rows = self._windows.rows[-RECENT:]
            self._recent = rows[rows["start"] > rows["start"][-1] - RECENT * length] if rows.size else rows
            self._prompts = int(self._recent["n"].sum())
        return self._recent

    def prompts(self, length: float) -> int:
        """Prompts in :meth:`recent`."""
        self.recent(length)
        return self._prompts

    def counted(self, carried: Carried, newest: int | None = None) -> Counted:
        """What a stream counted in all windows kept, or in the ``newest`` of them."""
        rows = self._windows.rows
        rows = rows if newest is None else rows[rows.size - min(newest, rows.size) :]
        if (column := _FLAGS.get(carried.member)) is not None:
            rows = rows[rows[column] >= 0]
            return _columns(rows, np.ones(rows.size, np.int64), rows[column])
        if carried.member in MIXES and self._tables is not None:
            table = self.table(carried.member)
            rows = rows[max(0, rows.size - len(table)) :]
            table = table[len(table) - rows.size :]
            return _columns(rows, table.sum(axis=1), table[:, carried.category])
        if carried.member not in self._rates:  # combined, while nothing is combined; categories, before the first window
            return _columns(rows[:0], rows["n"][:0], rows["n"][:0])
        return _columns(rows, rows["n"], rows["x"][:, self._rates.index(carried.member)])

    def table(self, stream: str, since: float = -np.inf) -> NDArray[np.int64]:
        """(W, categories) int64, the newest windows from ``since`` on, at most 720 (of a slice 120, topics only), of a stream of
        many categories.
        """
        if self._tables is None:
            return np.zeros((0, 1), np.int64)
        table = self._tables.rows[stream].astype(np.int64)
        return table[np.searchsorted(self._windows.rows["start"][-len(table) :], since) :]

    def before(self, start: float) -> NDArray[np.int64]:
        """(K + 1,) prompts of each topic before ``start``, in all windows while no incident was open."""
        if self._tables is None:
            return self._usual
        rows = self._tables.rows
        rows = rows[: rows.size - len(self.table("topic_mix", start))]
        return np.asarray(self._usual + rows["topic_mix"][rows["usual"]].sum(axis=0))

    def hours(self, since: float) -> NDArray[np.int64]:
        """Hour of the week of the windows from ``since`` on."""
        rows = self._windows.rows
        return rows["hour"][np.searchsorted(rows["start"], since) :].astype(np.int64)

    def series(self, stream: str, carried: Carried) -> tuple[NDArray[Any], ...]:
        """start, n, x, ticket and page evidence of the newest windows, copied."""
        found = self.counted(carried)
        rows = self._windows.rows
        rows = rows[np.isin(rows["start"], found.start)] if found.start.size < rows.size else rows
        at = self._streams.index(stream)
        return found.start.copy(), found.n.copy(), found.x.copy(), rows["ticket"][:, at].copy(), rows["page"][:, at].copy()

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        tables = self._tables
        return {
            "windows": encode_array(self._windows.rows),
            "sums": self._sums and encode_array(self._sums.rows),
            "tables": tables and {name: encode_array(tables.rows[name]) for name in (*self._mixes, "usual")},
            "usual": encode_array(self._usual),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self._windows.load(decode_array(state["windows"]))
        self._sums = None
        if state["sums"]:
            rows = decode_array(state["sums"])
            self._sums = Ring(rows.dtype, SUMS)
            self._sums.load(rows)
        self._recent = None
        self._tables = None
        if state["tables"]:
            columns = {name: decode_array(table) for name, table in state["tables"].items()}
            rows = np.zeros(len(columns["topic_mix"]), _kinds(self._mixes, [columns[stream].shape[1] for stream in self._mixes]))
            for name, column in columns.items():
                rows[name] = column
            self._tables = Ring(rows.dtype, self._kept)
            self._tables.load(rows)
            self._usual = decode_array(state["usual"])


def _kinds(streams: Sequence[str], sizes: Sequence[int]) -> np.dtype[Any]:
    return np.dtype([*((stream, "<i4", (size,)) for stream, size in zip(streams, sizes, strict=True)), ("usual", "?")])


def _columns(rows: NDArray[Any], n: NDArray[Any], x: NDArray[Any]) -> Counted:
    return Counted(rows["start"].astype(np.int64), rows["hour"].astype(np.int64), n.astype(np.int64), x.astype(np.int64))


def words(topics: Sequence[Topic], index: int) -> str:
    """Words of one topic; the entry after the last topic is none of them."""
    return " ".join(topics[index].words[:3]) if index < len(topics) else "none of the known topics"
