"""What the mean embedding of a stream does when nothing has changed: same-hour means, and how far blocks of windows stray from them.

For a block of windows with n prompts, U = MMD^2(block mean, mean of the same hours) / (1/n + 1/N), N the prompts behind that mean: the
known inflation by a finite reference is divided out. Each block is judged when it closes, against weeks before its own, so no window is
part of its own reference and no window has to be kept. How U is standardised and its levels are learned: :mod:`detectors.embedding_levels`.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import FULL_DAYS, PAGING_DAYS, Stage
from detectors.contract import State, require_version
from detectors.embedding_levels import BLOCKS, HOURS_A_DAY, LEVELS, Learned, learn
from detectors.features import FEATURES
from detectors.sketch import FIXED_POINT

VERSION = 1
HOURS = 168
WEEKS = 8
"""Weeks kept."""

_COLUMNS = {"period": "i", "place": "h", "u": "f"}  # array type codes: int32, int16, float32
_UNIT = FIXED_POINT * FIXED_POINT * (FEATURES // 2)


@dataclass(frozen=True, slots=True)
class EmbeddingBaseline:
    """What :class:`detectors.embedding_shift.EmbeddingShift` tests against; B block lengths, L levels, H = 168 hours of the week.

    Attributes:
        mean: (H, F) float64, mean feature of each hour.
        prompts: (H,) float64, prompts behind it.
        centre, scale: (B, H) float64, mean and deviation of U.
        threshold: (B, L) float64, residual at which a level begins; infinite where it is not learned.
        null: (B, L) float64, upper limit of the share of blocks beyond it; 1 where it is not learned.
        design_effect: (B,) float64, how many flags are worth one independent flag.
        blocks: (B,) int64, blocks the levels were learned from.
        days: days with traffic.
        stage: ``short`` (under 14 days: hours of the day instead of the week, tickets only), ``paging``, ``full`` (28 days).
    """

    mean: NDArray[np.float64]
    prompts: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    threshold: NDArray[np.float64]
    null: NDArray[np.float64]
    design_effect: NDArray[np.float64]
    blocks: NDArray[np.int64]
    days: int
    stage: Stage

    @property
    def may_page(self) -> bool:
        """Whether the budget of pages holds with this baseline."""
        return self.stage in ("paging", "full")

    def snapshot(self) -> State:
        """Plain arrays under the names of the attributes, and version (1,)."""
        state: State = {name: np.array(getattr(self, name)) for name in self.__slots__}
        return state | {"version": np.array([VERSION])}

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or a value that is no number."""
        require_version(state, VERSION, "embedding baseline")
        arrays = {name: np.array(state[name]) for name in cls.__slots__ if name not in ("days", "stage")}
        for name, values in arrays.items():
            if not (~np.isnan(values) if name == "threshold" else np.isfinite(values)).all():
                raise ValueError(f"embedding baseline: {name} must hold finite numbers")
        return cls(**arrays, days=int(state["days"].item()), stage=cast(Stage, str(state["stage"].item())))  # type: ignore[arg-type]


class BlockSums:
    """Blocks of all lengths, filled window by window with what strays from the reference."""

    def __init__(self) -> None:
        """Start empty. ``stray`` (B, F): sum of features minus reference; ``totals`` (B, 3): windows, prompts, prompts / N."""
        self.stray = np.zeros((len(BLOCKS), FEATURES))
        self.totals = np.zeros((len(BLOCKS), 3))

    def add(self, n: int, fourier: NDArray[np.int64], mean: NDArray[np.float64], prompts: float) -> Iterator[tuple[int, float]]:
        """Take a window of n > 0 prompts; yield (block, U) of every block that it fills, which is empty then. Fixed-point features."""
        self.stray += fourier - n * mean
        self.totals += (1.0, n, n / prompts)
        for block, length in enumerate(BLOCKS):
            if self.totals[block, 0] >= length:
                _, total, share = self.totals[block].tolist()
                stray = self.stray[block]
                yield block, float(stray @ stray) / (_UNIT * total * (1 + share))
                self.stray[block] = 0.0
                self.totals[block] = 0.0


class _Level:
    """Sums by bin and period, and U of each block against the periods before its own. Bins: hours of the week, or of the day."""

    def __init__(self, bins: int, hours: int, periods: int) -> None:
        """``hours`` in a period; ``periods`` are kept and older ones forgotten, sums and residuals alike."""
        self.bins, self.hours, self.periods = bins, hours, periods
        self.sums = np.zeros((periods, bins, FEATURES), np.int64)
        self.prompts = np.zeros((periods, bins), np.int64)
        self.period = -1
        self.filling = BlockSums()
        self.seen: list[dict[str, array[float]]] = [{name: array(code) for name, code in _COLUMNS.items()} for _ in BLOCKS]
        self._cached: tuple[int, int] | None = None
        self._mean, self._total = np.zeros(FEATURES), 0.0

    def add(self, hour: int, n: int, fourier: NDArray[np.int64]) -> NDArray[np.float32]:
        """Take a window in the ``hour`` counted from any Monday on; U (B,) of the blocks that it fills, NaN for the others."""
        judged = np.full(len(BLOCKS), np.nan, np.float32)
        period, place = hour // self.hours, hour % self.bins
        if period != self.period:
            self._turn(period)
        mean, prompts = self._reference(period, place)
        if prompts > 0:
            for block, u in self.filling.add(n, fourier, mean, prompts):
                judged[block] = u
                for name, value in zip(_COLUMNS, (period, place, u), strict=True):
                    self.seen[block][name].append(value)
        slot = period % self.periods
        self.sums[slot, place] += fourier
        self.prompts[slot, place] += n
        return judged

    def _turn(self, period: int) -> None:
        if self.period >= 0:
            for gone in range(max(self.period + 1, period - self.periods + 1), period + 1):
                self.sums[gone % self.periods] = 0
                self.prompts[gone % self.periods] = 0
        self.period, self._cached = period, None
        for columns in self.seen:
            if columns["period"] and columns["period"][0] <= period - self.periods:
                old = int(np.searchsorted(columns["period"], period - self.periods, side="right"))
                for name in columns:
                    columns[name] = columns[name][old:]

    def _reference(self, period: int, place: int) -> tuple[NDArray[np.float64], float]:
        if self._cached != (period, place):
            others = np.arange(self.periods) != period % self.periods
            self._total = float(self.prompts[others, place].sum())
            self._mean = self.sums[others, place].sum(axis=0) / max(self._total, 1.0)
            self._cached = period, place
        return self._mean, self._total


class EmbeddingLearner:
    """Learns from windows in order of time. Memory: under 8 MB at eight weeks of minutes. Cost: about 50 microseconds a window."""

    def __init__(self) -> None:
        self._days: set[int] = set()
        self._week, self._day = _Level(HOURS, HOURS, WEEKS), _Level(HOURS_A_DAY, HOURS_A_DAY, PAGING_DAYS)

    def add(self, week: int, hour: int, n: int, fourier: NDArray[np.int64]) -> NDArray[np.float32]:
        """Take a closed window: ``week`` >= 0 counts Mondays, ``hour`` of the week 0..167, n prompts, (F,) fixed-point sums.

        Returns U (B,) float32 of the blocks that it fills, against the same hours of the weeks before; NaN where it fills none, or where
        there are no such hours yet.

        Raises:
            ValueError: sums of another length, n < 0, an hour out of range, or a week before the newest.
        """
        if n < 0 or not 0 <= hour < HOURS or week < max(self._week.period, 0) or fourier.shape != (FEATURES,):
            raise ValueError(f"no window of n {n}, hour {hour}, week {week} after {self._week.period} and {fourier.shape} features")
        if n == 0:
            return np.full(len(BLOCKS), np.nan, np.float32)
        counted = week * HOURS + hour
        self._days = {day for day in self._days if day > counted // HOURS_A_DAY - 7 * WEEKS} | {counted // HOURS_A_DAY}
        judged = self._week.add(counted, n, fourier)
        if self._day.period <= counted // HOURS_A_DAY and len(self._days) <= PAGING_DAYS:  # not needed later
            self._day.add(counted, n, fourier)
        return judged

    def fit(self, delta: float) -> EmbeddingBaseline:
        """Freeze what was learned. ``delta`` in (0, 1): probability that any of the null shares is too low.

        Raises:
            ValueError: delta out of range, or no block judged yet: two days with traffic at the same hours are needed.
        """
        if not 0 < delta < 1:
            raise ValueError(f"delta must lie in (0, 1), got {delta}")
        days = len(self._days)
        short = days < PAGING_DAYS
        level = self._day if short else self._week
        if not level.seen[0]["u"]:
            raise ValueError("an embedding baseline needs the same hours of two days; these windows hold none")
        repeat = HOURS // level.bins
        prompts = level.prompts.sum(axis=0).astype(np.float64)
        total = level.sums.sum(axis=0)
        whole = total.sum(axis=0) / prompts.sum()
        mean = np.where(prompts[:, None] > 0, total / np.maximum(prompts, 1.0)[:, None], whole)
        prompts = np.where(prompts > 0, prompts, prompts.sum())  # an hour never seen is held against all hours together
        parts = [_learn(level, block, share_of_delta(delta), short) for block in range(len(BLOCKS))]
        centre, scale, threshold, null, effect, blocks = (np.array(part) for part in zip(*parts, strict=True))
        return EmbeddingBaseline(
            mean=np.tile(mean, (repeat, 1)) / FIXED_POINT,
            prompts=np.tile(prompts, repeat),
            centre=np.tile(centre, repeat),
            scale=np.tile(scale, repeat),
            threshold=threshold,
            null=null,
            design_effect=effect,
            blocks=blocks,
            days=days,
            stage="short" if short else "full" if days >= FULL_DAYS else "paging",
        )

    def snapshot(self) -> State:
        """Plain arrays; what :meth:`restore` needs."""
        state: State = {"version": np.array([VERSION]), "days": np.array(sorted(self._days), np.int64)}
        for key, level in (("week", self._week), ("day", self._day)):
            state |= {f"{key}_sums": level.sums.copy(), f"{key}_prompts": level.prompts.copy(), f"{key}_period": np.array([level.period])}
            state |= {f"{key}_stray": level.filling.stray.copy(), f"{key}_totals": level.filling.totals.copy()}
            for length, columns in zip(BLOCKS, level.seen, strict=True):
                state |= {f"{key}_{length}_{name}": np.array(columns[name]) for name in _COLUMNS}
        return state

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version."""
        require_version(state, VERSION, "embedding learner")
        learner = cls()
        learner._days = set(state["days"].tolist())
        for key, level in (("week", learner._week), ("day", learner._day)):
            level.sums, level.prompts = np.array(state[f"{key}_sums"], np.int64), np.array(state[f"{key}_prompts"], np.int64)
            level.period = int(state[f"{key}_period"].item())
            level.filling.stray, level.filling.totals = np.array(state[f"{key}_stray"]), np.array(state[f"{key}_totals"])
            level.seen = [
                {name: array(code, state[f"{key}_{length}_{name}"].tolist()) for name, code in _COLUMNS.items()} for length in BLOCKS
            ]
        return learner


def share_of_delta(delta: float) -> float:
    """Part of ``delta`` of one level of one block length."""
    return delta / (len(BLOCKS) * LEVELS.size)


def _learn(level: _Level, block: int, delta: float, short: bool) -> Learned:
    period, place, u = (np.array(level.seen[block][name]) for name in _COLUMNS)
    return learn(period, place, u, level.bins, block, delta, short=short)
