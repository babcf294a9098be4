"""When did the change begin, and how large is the share since then? For people who read the incident; no decision hangs on it.

l(nu) = max_g sum of log L_g from window nu to now, tempered and without cap: a generalised likelihood ratio. The start is its argmax, the
interval is where l is within 4 of its maximum.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from detectors import likelihood
from detectors.contract import State, Windows, require_version

VERSION = 1
HISTORY = 10_080
"""Windows kept at most: a week of minutes."""

_DROP = 4.0
_ROOM = 1_024  # windows beyond HISTORY before the oldest are shifted out, so that the shift is rare
_FIRST = 64
_LARGEST = np.iinfo(np.int32).max
_COLUMNS = {"n": np.int32, "x": np.int32, "null": np.float32, "design_effect": np.float32}


@dataclass(frozen=True, slots=True)
class Change:
    """Where a change began, counted in windows back from the newest, which is 0.

    Attributes:
        start: most likely first window of the change.
        low: earliest plausible first window, the largest number of the three: low >= start >= high.
        high: latest plausible first window.
    """

    start: int
    low: int
    high: int


class ChangePoint:
    """History of each stream, back to where the change cannot have begun any more.

    A window leaves the history once the log likelihood ratio has fallen by more than 4 after it for every alternative (the CUSUM was
    reset, with room for the interval): it can then never be a start again. Memory: 16 bytes a window kept, usually some hundred windows a
    stream.
    """

    def __init__(self, length: NDArray[np.int64], columns: dict[str, NDArray[np.generic]]) -> None:
        """Take checked arrays, ``length`` (S,) and ``columns`` (S, room) each; use :meth:`fit` or :meth:`restore`."""
        self._length, self._columns = length, columns

    @classmethod
    def fit(cls, streams: int) -> Self:
        """Start ``streams`` >= 1 empty histories."""
        if streams < 1:
            raise ValueError(f"streams must be at least 1, got {streams}")
        return cls(np.zeros(streams, np.int64), {name: np.zeros((streams, _FIRST), kind) for name, kind in _COLUMNS.items()})

    def moved(self, streams: int, to: NDArray[np.int64], of: NDArray[np.int64]) -> Self:
        """A detector of ``streams`` streams whose stream to[i] has the history of our of[i]; the others start empty."""
        other = type(self).fit(streams)
        other._length[to] = self._length[of]
        for name, column in self._columns.items():
            other._columns[name] = np.zeros((streams, column.shape[1]), column.dtype)
            other._columns[name][to] = column[of]
        return other

    def update(self, windows: Windows, null: ArrayLike, design_effect: ArrayLike) -> None:
        """Append one closed window of every stream, empty ones too, with the (S,) null and design effect in force.

        Cost: about 0.2 ms at 400 streams, trims included.
        """
        streams = self._length.size
        n, x = likelihood.counts(windows, streams)
        null = likelihood.shares("null", null)
        effect = likelihood.effects(design_effect, streams)
        if null.size != streams:
            raise ValueError(f"null must hold {streams} numbers, got {null.size}")
        if n.max() > _LARGEST:
            raise ValueError(f"a window must hold at most {_LARGEST} prompts")
        if self._length.max() == self._columns["n"].shape[1]:
            self._make_room()
        rows = np.arange(streams)
        for name, values in zip(_COLUMNS, (n, x, null, effect), strict=True):
            self._columns[name][rows, self._length] = values
        self._length += 1

    def estimate(self, stream: int) -> Change:
        """Start of the change that ``stream`` has most likely seen. Raises ValueError when it has no history. Cost: 0.1 to 5 ms."""
        length = int(self._length[stream])
        if length == 0:
            raise ValueError(f"stream {stream} has no windows")
        return _newest(self._cumulative(stream, max(0, length - HISTORY), length))

    def counts(self, stream: int, windows: int) -> tuple[int, int]:
        """Prompts and flagged among them in the newest ``windows`` windows of ``stream``, or in all kept when fewer."""
        stop = int(self._length[stream])
        rows = slice(max(0, stop - windows), stop)
        return int(self._columns["n"][stream, rows].sum(dtype=np.int64)), int(self._columns["x"][stream, rows].sum(dtype=np.int64))

    def reset(self, streams: NDArray[np.bool_]) -> None:
        """Forget the history where ``streams`` (S,) bool is True: at a new baseline, or when an incident has closed."""
        self._length[likelihood.mask("streams", streams, self._length.size)] = 0

    def _cumulative(self, stream: int, start: int, stop: int) -> NDArray[np.float64]:
        """Of the windows from ``start`` on; see :func:`_cumulative`."""
        return _cumulative(*(self._columns[name][stream, start:stop].astype(np.float64) for name in _COLUMNS))

    def _make_room(self) -> None:
        capacity = self._columns["n"].shape[1]
        for stream in np.flatnonzero(self._length >= capacity // 2):
            self._trim(int(stream))
        longest = int(self._length.max())
        wanted = min(2 * capacity, HISTORY + _ROOM) if longest > capacity // 2 else capacity
        if wanted > capacity:
            for name, column in self._columns.items():
                self._columns[name] = np.pad(column, ((0, 0), (0, wanted - capacity)))

    def _trim(self, stream: int) -> None:
        length = int(self._length[stream])
        first = max(0, length - HISTORY)
        total = self._cumulative(stream, first, length)
        later = np.minimum.accumulate(total[:, ::-1], axis=1)[:, ::-1]
        dead = np.asarray((total - later > _DROP).all(axis=0))[:-1]
        first += int(dead.argmin()) if not dead.all() else dead.size
        for column in self._columns.values():
            column[stream, : length - first] = column[stream, first:length].copy()
        self._length[stream] = length - first

    def snapshot(self) -> State:
        """Plain arrays: version (1,), length (S,), then all windows kept, stream after stream.

        n and x are int32; null and design effect are run-length encoded, with ``<name>_runs``.
        """
        kept = np.arange(self._columns["n"].shape[1]) < self._length[:, None]
        state: State = {"version": np.array([VERSION]), "length": self._length.copy()}
        for name, column in self._columns.items():
            values = column[kept]
            if name in ("n", "x"):
                state[name] = values
                continue
            starts = np.flatnonzero(np.diff(values, prepend=np.float32(np.nan)) != 0)
            state[name], state[f"{name}_runs"] = values[starts], np.diff(starts, append=values.size)
        return state

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or arrays that do not fit together."""
        require_version(state, VERSION, "change point")
        length = np.asarray(state["length"], np.int64)
        if length.ndim != 1 or length.size == 0 or (length < 0).any():
            raise ValueError("change point lengths must be a one-dimensional array of counts")
        columns: dict[str, NDArray[np.generic]] = {}
        capacity = _FIRST
        while capacity < length.max():
            capacity = min(2 * capacity, HISTORY + _ROOM)
            if capacity == HISTORY + _ROOM and length.max() > capacity:
                raise ValueError(f"change point history of {length.max()} windows is longer than {capacity}")
        kept = np.arange(capacity) < length[:, None]
        for name, kind in _COLUMNS.items():
            values = np.asarray(state[name], kind)
            if name not in ("n", "x"):
                values = np.repeat(values, np.asarray(state[f"{name}_runs"], np.int64))
            if values.size != length.sum():
                raise ValueError(f"change point state holds {values.size} values of {name}, expected {length.sum()}")
            if not np.isfinite(values).all():
                raise ValueError(f"change point state holds {name} that are not finite")
            columns[name] = np.zeros(kept.shape, kind)
            columns[name][kept] = values
        return cls(length.copy(), columns)


def locate(n: NDArray[np.integer], x: NDArray[np.integer], null: NDArray[np.float64], design_effect: float) -> Change:
    """The change that W >= 1 windows show, (W,) each, the newest last: as :meth:`ChangePoint.estimate` tells it from its own history.

    Raises:
        ValueError: no windows.
    """
    if n.size == 0:
        raise ValueError("there are no windows")
    return _newest(_cumulative(n.astype(np.float64), x.astype(np.float64), null, np.full(n.size, design_effect)))


def _cumulative(
    n: NDArray[np.float64], x: NDArray[np.float64], null: NDArray[np.float64], effect: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(G, W + 1): sums of log L_g over the windows before each boundary."""
    slope, offset = likelihood.coefficients(null, likelihood.rising(null), effect)
    steps = np.cumsum(slope * x + offset * n, axis=1)
    return np.concatenate([np.zeros((steps.shape[0], 1)), steps], axis=1)


def _newest(total: NDArray[np.float64]) -> Change:
    gain = (total[:, -1:] - total[:, :-1]).max(axis=0)[::-1]  # by windows ago
    plausible = np.flatnonzero(gain >= gain.max() - _DROP)
    return Change(start=int(gain.argmax()), low=int(plausible[-1]), high=int(plausible[0]))


def share_intervals(
    x: NDArray[np.float64], n: NDArray[np.float64], design_effect: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """:func:`share_interval` of S shares at once, (S,) each; 0 and 1 where n is 0. Cost: about 1 microsecond a share."""
    hits, misses, tail = x / design_effect, (n - x) / design_effect, (1 - level) / 2
    some, more = x > 0, x < n
    low = np.where(some, betaincinv(np.where(some, hits, 1.0), misses + 1, tail), 0.0)
    high = np.where(more, betaincinv(hits + 1, np.where(more, misses, 1.0), 1 - tail), 1.0)
    return low, high


def share_interval(x: float, n: float, design_effect: float, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share with x of n flagged, counted as x/d of n/d. For display: not simultaneous over time.

    >>> tuple(round(v, 4) for v in share_interval(10, 100, 1.0)), share_interval(0, 0, 1.0)
    ((0.049, 0.1762), (0.0, 1.0))
    """
    if not 0 <= x <= n or design_effect < 1 or not 0 < level < 1:
        raise ValueError(f"need 0 <= x <= n, design_effect >= 1 and 0 < level < 1, got {x}, {n}, {design_effect}, {level}")
    if n == 0:
        return 0.0, 1.0
    hits, misses, tail = x / design_effect, (n - x) / design_effect, (1 - level) / 2
    low = float(betaincinv(hits, misses + 1, tail)) if x > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if x < n else 1.0
    return low, high
