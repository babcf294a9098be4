"""A baseline with a rate for every hour of the week, and the bound that each hour's share stays below tomorrow.

m(b) = max( r_b (1 + t_{.999, D-7} c sqrt(1 + 7/D)), Clopper-Pearson upper limit of hour b at delta/168 with n_b/d prompts ). The rates r_b
are credibility estimates (Buehlmann and Straub, 1970; the linear empirical Bayes rule, for beta-binomial counts its posterior mean): an
hour of the week is drawn towards its hour of the day, and that towards the overall rate, the more the less it holds. How much hours
differ is the moment estimate of DerSimonian and Laird, 1986. The Clopper-Pearson limit is of the hour's own counts, not of the drawn rate,
and n_b/d takes the point estimate of d: at delta/168 the limit is cautious already, and the margin of d belongs to the test.

168 limits cost more than one. One rate for all hours is kept wherever it would find a rise of five points sooner: its design effect then
contains the rhythm, so that both forms hold what they promise, and the choice is one of delay only.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import (
    BLOCK_WINDOWS,
    LARGEST_SLACK,
    PAGING_DAYS,
    Blocks,
    RateBaseline,
    Stage,
    day_variation,
    design_effect,
    dispersion,
    predicted,
    stage,
    upper_limit,
    whole_days,
)

WEEK_HOURS, DAY_HOURS, WEEKDAYS = 168, 24, 7
LONGEST_BLOCK = 12
"""Hours: a day must have two blocks, or nothing could be learned from how they differ."""


def block_hours(window_seconds: float) -> int:
    """Whole hours that come nearest to :data:`detectors.baseline.BLOCK_WINDOWS` windows, from 1 to 12: 4 for windows of a minute."""
    return int(np.clip(round(BLOCK_WINDOWS * window_seconds / 3600), 1, LONGEST_BLOCK))


@dataclass(frozen=True, slots=True)
class Hours:
    """Counts of N clock hours or parts of them, in any order; rows of one (day, hour) are added up.

    A day of 23 or 25 hours is nothing special: its missing hour has no row, its repeated hour has two.

    Attributes:
        day: (N,) int64, number of the day in the configured time zone.
        hour: (N,) int64, hour of the week there, 0..167; ``hour % 24`` is the hour of the day.
        n: (N,) int64, prompts; x: (N,) int64, flagged among them.
    """

    day: NDArray[np.int64]
    hour: NDArray[np.int64]
    n: NDArray[np.int64]
    x: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Raise ValueError for arrays of different length, hours outside 0..167, or x outside 0..n."""
        if not (self.day.ndim == 1 and self.day.shape == self.hour.shape == self.n.shape == self.x.shape):
            raise ValueError("day, hour, n and x must be one-dimensional and of one length")
        if ((self.hour < 0) | (self.hour >= WEEK_HOURS)).any():
            raise ValueError(f"hours of the week must lie in 0..{WEEK_HOURS - 1}")
        if ((self.x < 0) | (self.x > self.n)).any():
            raise ValueError("flagged counts must lie between 0 and the number of prompts")

    def merged(self) -> Self:
        """One row a (day, hour) that holds prompts, in order of the keys."""
        keys, index = np.unique(self.day * WEEK_HOURS + self.hour, return_inverse=True)
        n, x = np.zeros(keys.size, np.int64), np.zeros(keys.size, np.int64)
        np.add.at(n, index, self.n)
        np.add.at(x, index, self.x)
        held = n > 0
        return type(self)(keys[held] // WEEK_HOURS, keys[held] % WEEK_HOURS, n[held], x[held])

    def without(self, days: NDArray[np.int64]) -> Self:
        """The rows of other days."""
        kept = ~np.isin(self.day, days)
        return type(self)(self.day[kept], self.hour[kept], self.n[kept], self.x[kept])


@dataclass(frozen=True, slots=True)
class SeasonalBaseline:
    """A learned rate for each hour of the week, and the null that follows from it.

    Attributes:
        share: (168,) float64, r_b; all equal where one rate is kept.
        bound: (168,) float64 in (0, 1], m(b), without minimum effect; 1 for an hour that never held a prompt and of which nothing is known.
        rate: flagged share over all hours.
        design_effect: d >= 1, see :func:`detectors.baseline.design_effect`; day effects taken out, and the rhythm unless one rate is kept.
        days: D, whole days seen.
        day_cv: c, day-to-day relative deviation net of sampling noise; .15 is assumed in stage ``short``.
        stage: as in :class:`detectors.baseline.RateBaseline`.
        by_hour: whether hours have rates of their own.
    """

    share: NDArray[np.float64]
    bound: NDArray[np.float64]
    rate: float
    design_effect: float
    days: int
    day_cv: float
    stage: Stage
    by_hour: bool

    @property
    def may_page(self) -> bool:
        """Whether the budget of pages holds with this baseline."""
        return self.stage in ("paging", "full")

    @classmethod
    def fit(cls, hours: Hours, delta: float, block: int = 4, least_days: int = PAGING_DAYS) -> "SeasonalBaseline":
        """Learn from ``hours``; the result depends on the sums of each (day, hour) only.

        Under ``least_days`` days it is the one-rate form in stage ``short``. From then on the form is taken that may page, and if both may,
        the one that gathers more evidence, sum_b n_b KL(q_b || m(b)) / d, against a rise of five points q_b = r_b + .05 (1 - r_b).

        Args:
            hours: counts over the days to learn from.
            delta: probability that one of the limits of the rates fails, in (0, 1).
            block: hours in a block, 1 to 12; see :func:`block_hours`.
            least_days: as in :meth:`detectors.baseline.RateBaseline.fit`.

        Raises:
            ValueError: no prompts, or delta or block outside its range.

        Cost: about 1 ms for 60 days.
        """
        if not 1 <= block <= LONGEST_BLOCK:
            raise ValueError(f"a block must have 1 to {LONGEST_BLOCK} hours, got {block}")
        cells = hours.merged()
        one = _constant(RateBaseline.fit(_blocks(cells, block), delta, least_days))
        if one.days < max(least_days, WEEKDAYS + 1) or one.rate in (0.0, 1.0):
            return one
        each = fit_each_hour(cells, delta, block, least_days)
        if each.may_page != one.may_page:
            return each if each.may_page else one
        prompts = _sums(cells.hour, cells.n, WEEK_HOURS)
        return each if _evidence(each, each.share, prompts) > _evidence(one, each.share, prompts) else one


def _constant(one: RateBaseline) -> SeasonalBaseline:
    share, bound = np.full(WEEK_HOURS, one.rate), np.full(WEEK_HOURS, one.bound)
    return SeasonalBaseline(share, bound, one.rate, one.design_effect, one.days, one.day_cv, one.stage, by_hour=False)


def fit_each_hour(hours: Hours, delta: float, block: int = 4, least_days: int = PAGING_DAYS) -> SeasonalBaseline:
    """The form with a rate an hour, whatever it costs; arguments as in :meth:`SeasonalBaseline.fit`; 8 whole days at least."""
    cells = hours.merged()
    n = _sums(cells.hour, cells.n, WEEK_HOURS)
    x = _sums(cells.hour, cells.x, WEEK_HOURS)
    rate = float(x.sum() / n.sum())
    own = np.ones((2, WEEK_HOURS))
    found = dispersion(_blocks(cells, block, np.where(n > 0, x / np.maximum(n, 1), rate), own))
    share, own = _rhythm(n, x, max(found[0], 1.0) if found else 1.0)
    blocks = _blocks(cells, block, share, own)
    effect, days, cv = design_effect(blocks, least_days), whole_days(blocks), day_variation(blocks, WEEKDAYS)
    left = dispersion(blocks)
    size = n / (max(left[0], 1.0) if left else effect)
    limit = upper_limit(np.where(n > 0, x / np.maximum(n, 1), 0.0), size, delta / WEEK_HOURS)
    bound = np.maximum(predicted(share, days, cv, learned=True, fitted=WEEKDAYS), limit)
    return SeasonalBaseline(share, np.minimum(bound, 1.0), rate, effect, days, cv, stage(days, cv, least_days), by_hour=True)


def _rhythm(n: NDArray[np.float64], x: NDArray[np.float64], effect: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates r_b (168,) of counts n, x (168,), and (2, 168) how much of each is its own week hour's and its own day hour's."""
    rate = np.full(DAY_HOURS, x.sum() / n.sum())
    prompts, flags = n.reshape(WEEKDAYS, DAY_HOURS).sum(axis=0), x.reshape(WEEKDAYS, DAY_HOURS).sum(axis=0)
    daily, day_own = _drawn(prompts, flags, rate, effect, fitted=1)
    weekly, own = _drawn(n, x, np.tile(daily, WEEKDAYS), effect, fitted=DAY_HOURS)
    return weekly, np.stack([own, (1 - own) * np.tile(day_own, WEEKDAYS)])


def _drawn(
    n: NDArray[np.float64], x: NDArray[np.float64], target: NDArray[np.float64], effect: float, fitted: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates (K,) drawn towards ``target`` (K,), which took ``fitted`` parameters, and the weight of each one's own counts."""
    expected = n * target
    seen = (expected > 0) & (target < 1)
    ratio = np.where(seen, x / np.where(seen, expected, 1.0), 1.0)
    precision = np.where(seen, expected / (effect * np.where(seen, 1 - target, 1.0)), 0.0)
    total = precision.sum()
    if total == 0:
        return target, np.zeros(n.size)
    excess = float((precision * (ratio - 1) ** 2).sum()) - max(int(seen.sum()) - fitted, 0)
    scale = total - float((precision**2).sum()) / total
    differ = max(excess, 0.0) / scale if scale > 0 else 0.0
    own = differ * precision / (1 + differ * precision)
    return np.minimum(target * (1 + own * (ratio - 1)), 1.0), own


def _blocks(cells: Hours, block: int, share: NDArray[np.float64] | None = None, own: NDArray[np.float64] | None = None) -> Blocks:
    """Blocks of ``block`` hours of a day; with what rates (168,) of credibility ``own`` (2, 168) let expect."""
    keys, index = np.unique(cells.day * DAY_HOURS + cells.hour % DAY_HOURS // block, return_inverse=True)
    n, x = (_sums(index, values, keys.size) for values in (cells.n, cells.x))
    counts = Blocks(keys // DAY_HOURS, n.astype(np.int64), x.astype(np.int64))
    if share is None or own is None:
        return counts
    weekly = _sums(cells.hour, cells.n, WEEK_HOURS)
    daily = _sums(cells.hour % DAY_HOURS, cells.n, DAY_HOURS)
    used = own[0, cells.hour] * cells.n / weekly[cells.hour] + own[1, cells.hour] * cells.n / daily[cells.hour % DAY_HOURS]
    expected = _sums(index, cells.n * share[cells.hour], keys.size)
    lever = _sums(index, cells.n * share[cells.hour] * used, keys.size)
    lever = np.minimum(lever / np.where(expected > 0, expected, 1.0), 1.0)
    return replace(counts, expected=expected, leverage=lever)


def _sums(index: NDArray[np.int64], values: NDArray[np.int64] | NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.bincount(index, weights=values, minlength=size).astype(np.float64)


def _evidence(baseline: SeasonalBaseline, share: NDArray[np.float64], prompts: NDArray[np.float64]) -> float:
    """Expected log likelihood ratio that a rise by five points brings in, over the hours (168,) and their prompts."""
    risen = share + LARGEST_SLACK * (1 - share)
    bound = np.clip(baseline.bound, 1e-12, 1.0)
    caught = (prompts > 0) & (risen > bound) & (risen < 1)
    q, m = risen[caught], bound[caught]
    gain = q * np.log(q / m) + (1 - q) * np.log((1 - q) / (1 - m))
    return float((prompts[caught] * gain).sum() / baseline.design_effect)
