"""What is learned of blocks for :mod:`detectors.embedding_baseline`: where the U of an hour lies, how far it strays, what is rare.

U is standardised by a mean and a deviation of its hour, learned from the other weeks and shrunk towards all hours (empirical Bayes,
Morris, JASA 78, 1983); the residuals of all hours together give the levels. Rank p-values within an hour would use the same few windows
again and again, and break the promise.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from detectors.baseline import BLOCK_WINDOWS, UNLEARNED_EFFECT

BLOCKS = (1, 5, 15, 60)
"""Windows in a block."""

LEVELS = np.array([0.05, 0.01, 0.001])
"""Upper levels of the pooled residuals at which a block is flagged."""

HOURS_A_DAY = 24
_MARGIN = 1.645  # standard errors added to the design effect: its upper 95% limit
_TINY = 1e-12


class Learned(NamedTuple):
    """What is learned of one block length: centre and scale (bins,), threshold and null (L,), design effect, number of blocks."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    threshold: NDArray[np.float64]
    null: NDArray[np.float64]
    design_effect: float
    blocks: int


def learn(
    period: NDArray[np.integer], place: NDArray[np.integer], u: NDArray[np.floating], bins: int, block: int, delta: float, *, short: bool
) -> Learned:
    """Learn from N blocks of length ``BLOCKS[block]`` in order of time.

    Args:
        period: (N,) integer, week or day of each. place: (N,) integer, its hour there, below ``bins``. u: (N,) floating, U.
        bins: hours in a period.
        delta: probability that one null share is too low.
        short: whether too few days are learned for a design effect.
    """
    threshold, null = np.full(LEVELS.size, np.inf), np.ones(LEVELS.size)
    if u.size < 2:
        return Learned(np.ones(bins), np.ones(bins), threshold, null, UNLEARNED_EFFECT, u.size)
    others, centre = _shrunk(u.astype(np.float64), place, period, bins)
    spread, scale = _shrunk(np.abs(u - others), place, period, bins)
    residual = (u - others) / np.maximum(spread, _TINY)
    ordered = np.sort(residual)[::-1]
    index = np.floor(LEVELS * u.size).astype(int)
    flagged = residual > ordered[index[0]]
    effect = UNLEARNED_EFFECT if short else _design_effect(flagged, (period.astype(np.int64) * bins + place) // HOURS_A_DAY, block)
    learned = index / effect >= 1
    beyond = np.array([(residual > ordered[i]).sum() for i in index])
    threshold[learned] = ordered[index[learned]]
    upper = betaincinv(beyond / effect + 1, (u.size - beyond) / effect, 1 - delta)
    null[learned] = upper[learned]
    return Learned(centre, np.maximum(scale, _TINY), threshold, null, effect, u.size)


def _shrunk(
    values: NDArray[np.float64], place: NDArray[np.integer], period: NDArray[np.integer], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the bin of each of N values without its own period, (N,), and of each bin, (bins,), drawn to the mean of all.

    The unit is the mean of one bin in one period: what it holds shares one reference, and comes together.
    """
    first = int(period.min())
    periods = int(period.max()) - first + 1
    cell = (period.astype(np.int64) - first) * bins + place
    count = np.bincount(cell, minlength=periods * bins).reshape(periods, bins)
    cells = np.bincount(cell, weights=values, minlength=periods * bins).reshape(periods, bins) / np.maximum(count, 1)
    seen = count > 0
    many, total = seen.sum(axis=0), cells.sum(axis=0)
    grand = total.sum() / seen.sum()
    mean = total / np.maximum(many, 1)
    spare = int(many.sum() - (many > 0).sum())
    within = float((((cells - mean) ** 2) * seen).sum()) / max(spare, 1)
    room = many.sum() - (many**2).sum() / many.sum()
    excess = float((many * (mean - grand) ** 2).sum()) - ((many > 0).sum() - 1) * within
    between = max(excess / room, 0.0) if room > 0 and spare > 0 else 0.0
    other = many[place] - 1
    total_other = total[place] - cells[period - first, place]
    return _drawn(total_other, other, within, between, grand), _drawn(total, many, within, between, grand)


def _drawn(total: NDArray[np.float64], many: NDArray[np.int64], within: float, between: float, grand: float) -> NDArray[np.float64]:
    """Mean of ``many`` units with this total, drawn to ``grand``: empirical Bayes."""
    weight = between * many + within
    drawn = (between * total + within * grand) / np.where(weight > 0, weight, 1.0)
    return np.where((between > 0) & (weight > 0), drawn, grand)


def _design_effect(flagged: NDArray[np.bool_], day: NDArray[np.int64], block: int) -> float:
    """The larger of two: upper limit from groups of 240 windows, and the estimate from whole days, whose flags may come together too."""
    group = np.arange(flagged.size) // (BLOCK_WINDOWS // BLOCKS[block])
    near, far = flag_dispersion(flagged, group), flag_dispersion(flagged, day)
    return max(1.0, near[0] + _MARGIN * near[1], far[0])


def flag_dispersion(flagged: NDArray[np.bool_], group: NDArray[np.int64]) -> tuple[float, float]:
    """Variance of the groups' flags over the binomial one, and its standard error."""
    share = float(flagged.mean())
    _, index = np.unique(group, return_inverse=True)
    n, x = np.bincount(index), np.bincount(index, weights=flagged)
    if not 0 < share < 1 or n.size < 2:
        return 1.0, 0.0
    squares = (x - n * share) ** 2 / (n * share * (1 - share))
    return float(squares.mean()) * n.size / (n.size - 1), float(squares.std(ddof=1) / np.sqrt(n.size))
