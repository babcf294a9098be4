"""Has the mean embedding of the stream moved against the accepted baseline of the same hours of the week?

Blocks of 1, 5, 15 and 60 windows are flagged where their standardised MMD^2 lies beyond the upper 5%, 1% or 0.1% of what was learned
(:mod:`detectors.embedding_baseline`), and each flag is bet on with n = 1 as in :mod:`detectors.likelihood`. All bets are components of one
:class:`detectors.recursion.Recursion`: those of 15 windows step every 15 windows, with 15 windows of budget. Sees shifts inside the support
that no score and no topic share shows.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Evidence, State, Windows, require_version
from detectors.embedding_baseline import HOURS, BlockSums, EmbeddingBaseline
from detectors.embedding_levels import BLOCKS, LEVELS
from detectors.features import FEATURES, mmd2
from detectors.recursion import Recursion
from detectors.sketch import FIXED_POINT

VERSION = 1

BLOCK_WEIGHT = np.array([0.15, 0.15, 0.4, 0.3])
"""Part of the mixture of each block length; a tenth of the prompts put otherwise shows first in 15 windows of 200."""

BETS = ((0, 0.2, 0.1), (0, 0.6, 0.1), (1, 0.2, 0.2), (1, 0.8, 0.2), (2, 0.8, 0.4))
"""Level, share g of blocks moved beyond it, and weight within the block length: q = m + (1 - m) g."""

_BLOCK = np.repeat(np.arange(len(BLOCKS)), len(BETS))
_LEVEL = np.tile([level for level, _, _ in BETS], len(BLOCKS))
_RISE = np.tile([rise for _, rise, _ in BETS], len(BLOCKS))
_WEIGHT = np.tile([weight for _, _, weight in BETS], len(BLOCKS)) * BLOCK_WEIGHT[_BLOCK]

COMPONENTS = _BLOCK.size
"""K: bets of all block lengths."""


Steps = tuple[NDArray[np.float64], NDArray[np.int64]]


class EmbeddingShift:
    """One stream, two levels, a mixture of block lengths, levels and shares. Cost: about 50 microseconds a window."""

    def __init__(self, baseline: EmbeddingBaseline, recursion: Recursion) -> None:
        """Take a baseline and a recursion that fits it; use :meth:`fit` or :meth:`restore`."""
        self.baseline, self.recursion = baseline, recursion
        self._begin()

    @classmethod
    def fit(cls, baseline: EmbeddingBaseline, ticket_rate: float, page_rate: float) -> Self:
        """Start with no evidence. Rates in [0, 1): false alarms accepted per window; 0 disables the level.

        Raises:
            ValueError: a rate outside its range, or a baseline without a single learned level.
        """
        return cls(
            baseline, Recursion.fit(ticket_rate=[ticket_rate], page_rate=[page_rate], weights=mixture(baseline.threshold, baseline.null))
        )

    def _begin(self) -> None:
        self._filling = BlockSums()
        self._last, self._last_n = np.zeros(FEATURES), 0.0
        self._newest: tuple[float, float, bool] | None = None
        self._hit, self._miss = bets(self.baseline.null, self.baseline.design_effect)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(K,) float64, the mixture; 0 for levels that the baseline has seen too little to learn."""
        return mixture(self.baseline.threshold, self.baseline.null)

    def increments(self, hour: int, n: int, fourier: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Log L (K, 1) of a closed window, and (K, 1) windows since each component's last step: 0 where its block is not full yet.

        Args:
            hour: hour of the week, 0..167. n: prompts; 0 is an empty window, which changes nothing.
            fourier: (F,) int64, sums of features times FIXED_POINT.

        Raises:
            ValueError: an hour out of range, n < 0 or sums of another length.
        """
        if n < 0 or not 0 <= hour < HOURS or fourier.shape != (FEATURES,):
            raise ValueError(f"no window of n {n}, hour {hour} and {fourier.shape} features")
        ratio, elapsed = np.zeros(_BLOCK.size), np.zeros(_BLOCK.size, np.int64)
        if n == 0:
            return ratio[:, None], elapsed[:, None]
        base = self.baseline
        mean, prompts = base.mean[hour] * FIXED_POINT, float(base.prompts[hour])
        if self._filling.totals[-1, 0] + 1 >= BLOCKS[-1]:
            self._last, self._last_n = self._filling.stray[-1] + (fourier - n * mean), self._filling.totals[-1, 1] + n
        for block, u in self._filling.add(n, fourier, mean, prompts):
            residual = (u - base.centre[block, hour]) / base.scale[block, hour]
            flags = residual > base.threshold[block]
            rows = slice(block * len(BETS), (block + 1) * len(BETS))
            ratio[rows] = np.where(flags[_LEVEL[rows]], self._hit[rows], self._miss[rows])
            elapsed[rows] = BLOCKS[block]
            if block == 0:
                expected = float(base.centre[0, hour]) * (1 / n + 1 / prompts)
                self._newest = float(mmd2(fourier / (n * FIXED_POINT), base.mean[hour])), expected, bool(flags[0])
        return ratio[:, None], elapsed[:, None]

    def update(self, hour: int, n: int, fourier: NDArray[np.int64]) -> Evidence:
        """Take one closed window; arguments as in :meth:`increments`. Evidence of one stream."""
        return self.recursion.update(*self.increments(hour, n, fourier))

    def flag(self) -> Windows:
        """Whether the newest window with prompts lies beyond the 5% level: n = 1 and x, (1,) each; n = 0 before the first.

        For the change point and the recovery test, with null ``baseline.null[0, 0]`` and ``baseline.design_effect[0]``.
        """
        seen, flagged = (False, False) if self._newest is None else (True, self._newest[2])
        return Windows(n=np.array([int(seen)]), x=np.array([int(flagged)]))

    def statistic(self) -> tuple[float, float] | None:
        """MMD^2 of the newest window with prompts, and what is usual for its hour and size; None before the first."""
        return None if self._newest is None else self._newest[:2]

    def direction(self) -> NDArray[np.float64]:
        """(F,) float64: mean feature of the newest 60 to 119 windows minus that of the same hours; zeros before data."""
        n = self._last_n + self._filling.totals[-1, 1]
        return np.asarray((self._last + self._filling.stray[-1]) / (FIXED_POINT * max(float(n), 1.0)))

    def reset(self, *, baseline: EmbeddingBaseline | None = None, ticket_rate: float | None = None, page_rate: float | None = None) -> None:
        """Forget evidence and unfinished blocks, and put what is given in force. Raises ValueError as :meth:`fit`; nothing changed then."""
        ticket, page = self.recursion.rates[:, 0].tolist()
        new = type(self).fit(
            self.baseline if baseline is None else baseline,
            ticket if ticket_rate is None else ticket_rate,
            page if page_rate is None else page_rate,
        )
        self.baseline, self.recursion = new.baseline, new.recursion
        self._begin()

    def snapshot(self) -> State:
        """Plain arrays: version, those of the baseline and of the recursion, and the unfinished blocks."""
        newest = [] if self._newest is None else [float(value) for value in self._newest]
        state: State = {f"baseline_{name}": value for name, value in self.baseline.snapshot().items()}
        state |= {f"recursion_{name}": value for name, value in self.recursion.snapshot().items()}
        return state | {
            "version": np.array([VERSION]),
            "stray": self._filling.stray.copy(),
            "totals": self._filling.totals.copy(),
            "last": np.append(self._last, self._last_n),
            "newest": np.array(newest),
        }

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "embedding shift")
        parts = {
            part: {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
            for part in ("baseline_", "recursion_")
        }
        made = cls(EmbeddingBaseline.restore(parts["baseline_"]), Recursion.restore(parts["recursion_"]))
        made._filling.stray = np.array(state["stray"], np.float64)
        made._filling.totals = np.array(state["totals"], np.float64)
        last, newest = np.array(state["last"], np.float64), state["newest"].tolist()
        if not all(np.isfinite(array).all() for array in (made._filling.stray, made._filling.totals, last, newest)):
            raise ValueError("embedding shift: unfinished blocks must hold finite numbers")
        made._last, made._last_n = last[:-1], float(last[-1])
        made._newest = (newest[0], newest[1], bool(newest[2])) if newest else None
        return made


def bets(null: NDArray[np.float64], design_effect: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log L (K,) of a flagged and of an unflagged block, for null (B, L) and design effects (B,); 0 where a level is not learned."""
    m, effect = null[_BLOCK, _LEVEL], design_effect[_BLOCK]
    raised, known = m + (1 - m) * _RISE, m < 1
    hit = np.where(known, np.log(raised / m), 0.0) / effect
    return hit, np.log(np.where(known, 1 - raised, 1.0) / np.where(known, 1 - m, 1.0)) / effect


def mixture(threshold: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) weights of the levels that were learned, summing to 1, or ValueError; threshold and null (B, L)."""
    weights = np.where(np.isfinite(threshold[_BLOCK, _LEVEL]) & (null[_BLOCK, _LEVEL] < 1), _WEIGHT, 0.0)
    if not weights.any():
        raise ValueError(f"the baseline has learned no level of {LEVELS.tolist()} yet: too few blocks")
    return np.asarray(weights / weights.sum())


def judged(residual: NDArray[np.float64], threshold: NDArray[np.float64], null: NDArray[np.float64], effect: NDArray[np.float64]) -> Steps:
    """What W windows do: log L (W, K) and windows since the last step (W, K).

    ``residual`` (W, B): of the blocks that close with each window, NaN where none does. The others are as in :class:`EmbeddingBaseline`.
    """
    closed = np.isfinite(residual)[:, _BLOCK]
    hit, miss = bets(null, effect)
    with np.errstate(invalid="ignore"):
        beyond = residual[:, _BLOCK] > threshold[_BLOCK, _LEVEL]
    return np.where(closed, np.where(beyond, hit, miss), 0.0), np.where(closed, np.array(BLOCKS)[_BLOCK], 0)
