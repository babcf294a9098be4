"""What an accepted baseline says about the shares of K + 1 categories: bounds on each, and how many prompts are worth one.

Shares by hour of the week, or one for all hours. Bounds are prediction bounds over day-to-day variation, never inside the Clopper-Pearson
limits of the share itself. The design effect and the deviation of the days are pooled over the categories, because a rare category says
little about itself; a category that clearly differs from the others gets values of its own (DerSimonian and Laird, "Meta-analysis in
clinical trials", 1986).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from detectors.baseline import ASSUMED_CV, ASSUMED_QUANTILE, FULL_DAYS, LARGEST_CV, PAGING_DAYS, UNLEARNED_EFFECT, Stage

WEEK_HOURS = 168
BLOCK_HOURS = 4
"""Hours in a block of the design effect, :data:`detectors.baseline.BLOCK_WINDOWS` windows of a minute."""

_MISS = 0.001  # probability that some day of one category leaves its prediction bound
_MARGIN = 1.645  # standard errors added to what is learned: its upper 95% limit

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TopicBaseline:
    """Learned shares of K + 1 categories; H is 168 hours of the week or 1.

    Attributes:
        share: (H, K + 1) float64, share of each category; that of the week in an hour that was never seen.
        upper, lower: (H, K + 1) float64, what the share stays between on a day like those seen; 1 and 0 say nothing.
        design_effect: (K + 1,) float64, prompts of this category worth one independent prompt; 10 before 14 whole days.
        days: whole days seen. A day is whole when it holds prompts in at least half as many hours as the fullest day.
        day_cv: (K + 1,) float64, day-to-day relative deviation net of sampling noise; 0.15 is assumed in stage ``short``.
        stage: ``short`` (under 14 days: tickets only), ``paging``, ``full`` (28 days), ``unpromised`` (the days of the categories taken
            together differ by more than 15%: tickets only).
    """

    share: Floats
    upper: Floats
    lower: Floats
    design_effect: Floats
    days: int
    day_cv: Floats
    stage: Stage

    @property
    def may_page(self) -> bool:
        """Whether the budget of pages holds with this baseline."""
        return self.stage in ("paging", "full")

    @classmethod
    def fit(cls, counts: Counts, day: Counts, hour: Counts, delta: float, *, seasonal: bool = True, least_days: int = PAGING_DAYS) -> Self:
        """Learn from N rows, windows or hours in any order.

        upper = max(r (1 + t c sqrt(1 + 7 / D)), Clopper-Pearson upper limit at delta / (2 (K + 1))), lower likewise downwards; one
        share for all hours: sqrt(1 + 1 / D). t leaves out a share of 0.001 of days in all categories together. The share of an hour is
        drawn towards that of the week by how little it says, and delta is meant for each hour: a limit that is off by s standard errors
        of four weeks of an hour brings s^2 / 8 to the log evidence of that hour, which is nothing.

        Args:
            counts: (N, K + 1) int64, prompts of each category.
            day: (N,) int64, number of the day in the configured time zone.
            hour: (N,) int64, hour of the week, 0 to 167.
            delta: probability that the limit of some share fails, in (0, 1); for each hour of the week.
            seasonal: shares by hour of the week; otherwise one for all hours.
            least_days: whole days from which on variation is learned and not assumed; less than usual only where a check leaves days out.

        Raises:
            ValueError: no prompts, impossible counts or hours, fewer than two categories, arrays of different length, delta outside (0, 1).

        Cost: about 0.1 s at 28 days of hours and 101 categories, most of it quantiles.
        """
        if not 0 < delta < 1:
            raise ValueError(f"delta must lie in (0, 1), got {delta}")
        table = _Hours.of(counts, day, hour)
        bins = WEEK_HOURS if seasonal else 1
        hour_bin = table.hour % bins
        seen = _sum(hour_bin, table.counts, bins)
        prompts = seen.sum(axis=1)
        share = seen / np.maximum(prompts, 1)[:, None]
        spared = 7 if seasonal else 1
        days = table.whole_days().size
        short = days < least_days
        categories = share.shape[1]
        effect, cv = np.full(categories, UNLEARNED_EFFECT), np.full(categories, ASSUMED_CV)
        pooled_cv, quantile = ASSUMED_CV, ASSUMED_QUANTILE
        if not short:
            expected = share[hour_bin] * table.counts.sum(axis=1)[:, None]
            point, effect = _design_effects(table, expected, days / max(days - spared, 1))
            pooled_cv, cv = _day_cvs(table, expected, point, spared)
            quantile = float(stdtrit(days - spared, 1 - _MISS / (2 * categories)))
        share, worth = _by_hour(share, prompts, effect)
        spread = quantile * cv * np.sqrt(1 + spared / max(days, 1))
        low, high = _limits(share, worth, delta / (2 * categories))
        dark = prompts[:, None] == 0
        upper = np.where(dark, 1.0, np.clip(share * (1 + spread), high, 1.0))
        lower = np.where(dark, 0.0, np.clip(share * (1 - spread), 0.0, low))
        stage: Stage = "short" if short else "unpromised" if pooled_cv > LARGEST_CV else "full" if days >= FULL_DAYS else "paging"
        return cls(share, upper, lower, effect, days, cv, stage)


@dataclass(frozen=True, slots=True)
class _Hours:
    """Counts (N, K + 1) of N hours that hold prompts, with the number of their day and their hour of the week, ordered."""

    counts: Floats
    day: Counts
    hour: Counts

    @classmethod
    def of(cls, counts: Counts, day: Counts, hour: Counts) -> Self:
        """Add the rows of one hour of one day up."""
        counts, day, hour = np.asarray(counts), np.asarray(day), np.asarray(hour)
        if counts.ndim != 2 or counts.shape[1] < 2 or not day.shape == hour.shape == counts.shape[:1]:
            raise ValueError("counts must be (N, K + 1) with at least two categories, day and hour (N,)")
        if (counts < 0).any() or ((hour < 0) | (hour >= WEEK_HOURS)).any():
            raise ValueError("counts must not be negative, and hours of the week lie between 0 and 167")
        rows = counts.sum(axis=1) > 0
        if not rows.any():
            raise ValueError("a baseline needs prompts; these rows hold none")
        keys, index = np.unique(np.stack([day[rows], hour[rows]]), axis=1, return_inverse=True)
        return cls(_sum(index.reshape(-1), counts[rows].astype(np.float64), keys.shape[1]), keys[0], keys[1])

    def whole_days(self) -> Counts:
        """Numbers of the days with at least half as many hours as the fullest."""
        days, many = np.unique(self.day, return_counts=True)
        return np.asarray(days[many >= many.max() / 2])


def _sum(index: Counts, values: Floats, size: int) -> Floats:
    """Add rows (N, K) up by ``index`` (N,): (size, K)."""
    total = np.zeros((size, values.shape[1]))
    np.add.at(total, index, values)
    return total


def _design_effects(table: _Hours, expected: Floats, correction: float) -> tuple[Floats, Floats]:
    """Design effect of each category, (K + 1,): estimate, and upper limit.

    Sum of squared residuals of blocks of four hours over the sum of their multinomial variances, around what the hours of the week and
    the day's own share expect: rhythm and day effects, which the bounds carry, do not enter. ``correction`` pays for the fitted hours,
    B / (B - 1) for the fitted day. Standard errors from the differences between days.
    """
    _, day = np.unique(table.day, return_inverse=True)
    block = day * 24 + table.hour % 24 // BLOCK_HOURS
    _, block = np.unique(block, return_inverse=True)
    blocks = int(block.max()) + 1
    day_of = np.zeros(blocks, np.int64)
    day_of[block] = day
    days = int(day.max()) + 1
    x, mean = _sum(block, table.counts, blocks), _sum(block, expected, blocks)
    factor = _sum(day_of, x, days) / np.maximum(_sum(day_of, mean, days), 1e-12)
    mean = mean * factor[day_of]
    variance = np.maximum(mean * (1 - mean / x.sum(axis=1, keepdims=True)), 0.0)
    many = np.bincount(day_of, minlength=days)[day_of]
    usable = many > 1
    squares = ((x - mean) ** 2 * (many / np.maximum(many - 1, 1))[:, None] * correction)[usable]
    above, below = _sum(day_of[usable], squares, days), _sum(day_of[usable], variance[usable], days)
    own, own_error = _ratio(above, below)
    if below.sum() == 0:  # one category holds every prompt: nothing varies
        return np.ones(own.size), np.full(own.size, UNLEARNED_EFFECT)
    pool, pool_error = _ratio(above.sum(axis=1, keepdims=True), below.sum(axis=1, keepdims=True))
    told = (own > 0) & (pool > 0)  # on the logarithm, because the error of a design effect grows with it
    relative = np.where(told, own_error / np.where(told, own, 1.0), np.inf)
    shrunk, error = _shrunk(np.log(np.where(told, own, 1.0)), relative, float(np.log(max(pool[0], 1e-12))))
    limit = np.maximum(np.exp(shrunk + _MARGIN * error), pool + _MARGIN * pool_error)
    return np.maximum(np.maximum(np.exp(shrunk), pool), 1.0), np.maximum(limit, 1.0)


def _ratio(above: Floats, below: Floats) -> tuple[Floats, Floats]:
    """Ratio of sums over days (D, K) and its standard error, (K,) each; 0 and inf where there is nothing to divide by."""
    total, days = below.sum(axis=0), below.shape[0]
    known = total > 0
    ratio = np.where(known, above.sum(axis=0) / np.where(known, total, 1.0), 0.0)
    spread = np.sqrt((np.where(known, above - ratio * below, 0.0) ** 2).sum(axis=0) * days / max(days - 1, 1))
    return ratio, np.where(known, spread / np.where(known, total, 1.0), np.inf)


def _shrunk(own: Floats, error: Floats, pool: float) -> tuple[Floats, Floats]:
    """Estimates (K,) drawn towards ``pool`` by how little they say, and their standard errors: no more of their own than is plain."""
    known = np.isfinite(own) & np.isfinite(error) & (error > 0)
    if not known.any():
        return np.full(own.size, pool), np.zeros(own.size)
    weight = 1 / np.where(known, error, 1.0) ** 2 * known
    scale = weight.sum() - (weight**2).sum() / weight.sum()
    excess = float((weight * np.where(known, own - pool, 0.0) ** 2).sum()) - (int(known.sum()) - 1)
    between = max(excess / scale, 0.0) if scale > 0 else 0.0
    square = np.where(known, error, 0.0) ** 2
    trust = np.where(known, between / np.where(known, between + square, 1.0), 0.0)
    return pool + trust * np.where(known, own - pool, 0.0), np.sqrt(trust * square)


def _by_hour(share: Floats, prompts: Floats, effect: Floats) -> tuple[Floats, Floats]:
    """Shares of the hours (H, K + 1) drawn towards those of the week, and the independent prompts that each is worth, (H, K + 1)."""
    week = np.minimum(prompts @ share / prompts.sum(), 1.0)
    worth = np.repeat((prompts.sum() / effect)[None], prompts.size, axis=0)
    own = np.repeat(week[None], prompts.size, axis=0)
    seen = prompts > 0
    for k in np.flatnonzero((week > 0) & (week < 1)):
        noise = week[k] * (1 - week[k])
        error = np.sqrt(noise * effect[k] / prompts[seen])
        own[seen, k], left = _shrunk(share[seen, k], error, float(week[k]))
        worth[seen, k] = 1 / (left**2 / noise + (1 - (left / error) ** 2) ** 2 / worth[0, k])
    return np.clip(own, 0.0, 1.0), worth


def _day_cvs(table: _Hours, expected: Floats, effect: Floats, spared: int) -> tuple[float, Floats]:
    """Relative deviation of whole days beyond sampling noise: pooled, and of each category (K + 1,)."""
    whole = table.whole_days()
    rows = np.isin(table.day, whole)
    index = np.searchsorted(whole, table.day[rows])
    x, mean = _sum(index, table.counts[rows], whole.size), _sum(index, expected[rows], whole.size)
    prompts = x.sum(axis=1, keepdims=True)
    usable = (mean > 0).all(axis=0) & (mean < prompts).any(axis=0)  # a category that holds every prompt does not vary
    mean = np.where(usable, mean, 1.0)
    noise = np.where(usable, (effect * np.maximum(1 - mean / prompts, 0.0) / mean).mean(axis=0), np.inf)
    usable = usable & (noise > 0)  # a category that has every prompt does not vary
    seen = ((x / mean - 1) ** 2).sum(axis=0) / max(whole.size - spared, 1)
    own = np.where(usable, seen - noise, np.nan)
    pool = 0.0
    for _ in range(3):  # the weights need the answer; three rounds settle it
        weight = np.where(usable, 1 / (pool + np.where(usable, noise, 1.0)) ** 2, 0.0)
        if weight.sum() > 0:
            pool = max(float((weight * np.where(usable, own, 0.0)).sum() / weight.sum()), 0.0)
    error = np.where(usable, (pool + np.where(usable, noise, 1.0)) * np.sqrt(2 / max(whole.size - spared, 1)), np.inf)
    shrunk, left = _shrunk(own, error, pool)
    left = left * (np.maximum(shrunk, pool) + np.where(usable, noise, 0.0)) / np.where(usable, pool + noise, 1.0)
    return float(np.sqrt(pool)), np.sqrt(np.maximum(np.maximum(shrunk + _MARGIN * left, pool), 0.0))


def _limits(share: Floats, n: Floats, tail: float) -> tuple[Floats, Floats]:
    """Clopper-Pearson limits of ``share`` (H, K + 1) seen in ``n`` independent prompts, each failing with probability ``tail``."""
    hits, misses = share * n, (1 - share) * n
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(np.maximum(hits, 1e-9), misses + 1, tail), 0.0)
        high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1e-9), 1 - tail), 1.0)
    return low, high
