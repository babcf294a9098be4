"""What an accepted baseline promises: the design effect of a stream, and an upper bound on its share tomorrow.

One rate for all hours of the week. The bound is an upper prediction bound over day-to-day variation, never below the Clopper-Pearson
upper limit of the rate itself; design effect after Kish, "Survey Sampling", 1965.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

Stage = Literal["short", "paging", "full", "unpromised"]

BLOCK_WINDOWS = 240
"""Windows in one block."""

UNLEARNED_EFFECT = 10.0
"""Design effect before there are 14 days to learn it from."""

PAGING_DAYS, FULL_DAYS = 14, 28
ASSUMED_CV, ASSUMED_QUANTILE = 0.15, 3.09
LARGEST_CV = 0.15
LARGEST_SLACK = 0.05
"""A bound that sampling error alone lifts further than this above the rate is of no use: a change of five points must be seen."""
_QUANTILE = 0.999
_MARGIN = 1.645  # standard errors added to the design effect: its upper 95% limit


@dataclass(frozen=True, slots=True)
class Blocks:
    """Counts of N blocks of :data:`BLOCK_WINDOWS` windows.

    Attributes:
        day: (N,) int64, number of the whole day each block belongs to, in the configured time zone.
        n: (N,) int64, prompts; x: (N,) int64, flagged among them.
    """

    day: NDArray[np.int64]
    n: NDArray[np.int64]
    x: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Raise ValueError for arrays of different length or x outside 0..n."""
        if not (self.day.ndim == 1 and self.day.shape == self.n.shape == self.x.shape):
            raise ValueError("day, n and x must be one-dimensional and of one length")
        if ((self.x < 0) | (self.x > self.n)).any():
            raise ValueError("flagged counts must lie between 0 and the number of prompts")


@dataclass(frozen=True, slots=True)
class RateBaseline:
    """A learned rate, and the null that follows from it.

    Attributes:
        rate: flagged share over all blocks.
        bound: m, what the share stays below on a day like those seen; without minimum effect.
        design_effect: d, see :func:`design_effect`.
        days: whole days seen. A day is whole when it holds at least half the blocks of the fullest day.
        day_cv: day-to-day relative deviation net of sampling noise; 0.15 is assumed in stage ``short``.
        stage: ``short`` (under 14 days: tickets only), ``paging``, ``full`` (28 days), ``unpromised`` (days differ by more than 15%:
            tickets only).
    """

    rate: float
    bound: float
    design_effect: float
    days: int
    day_cv: float
    stage: Stage

    @property
    def may_page(self) -> bool:
        """Whether the budget of pages holds with this baseline."""
        return self.stage in ("paging", "full")

    @classmethod
    def fit(cls, blocks: Blocks, delta: float) -> Self:
        """m = max(r (1 + t_{.999, D-1} c sqrt(1 + 1/D)), Clopper-Pearson upper limit at 1 - delta with n/d prompts).

        Args:
            blocks: counts over the days to learn from.
            delta: probability that the upper limit of the rate fails, in (0, 1).

        Raises:
            ValueError: no prompts in the blocks, or delta outside (0, 1).
        """
        n, x = int(blocks.n.sum()), int(blocks.x.sum())
        if n == 0:
            raise ValueError("a baseline needs prompts; these blocks hold none")
        if not 0 < delta < 1:
            raise ValueError(f"delta must lie in (0, 1), got {delta}")
        rate, effect = x / n, design_effect(blocks)
        days = len(_whole_days(blocks)[0])
        cv = ASSUMED_CV if days < PAGING_DAYS else _day_cv(blocks)
        bound = max(_predicted(rate, days, cv), _upper_limit(rate, n / effect, delta))
        return cls(rate, min(bound, 1.0), effect, days, cv, _stage(days, cv))

    def prompts_needed(self, delta: float) -> int:
        """Prompts from which on sampling error at most widens the bound by :data:`LARGEST_SLACK`, or less than day-to-day variation does.

        For the rate, design effect and days of this baseline; ``delta`` as in :meth:`fit`. Cost: 40 quantiles.
        """
        allowed = max(self.rate + LARGEST_SLACK, _predicted(self.rate, self.days, self.day_cv))
        few, enough = 0, 1
        while _upper_limit(self.rate, enough / self.design_effect, delta) > allowed:
            few, enough = enough, 2 * enough
        while enough - few > 1:
            middle = (few + enough) // 2
            if _upper_limit(self.rate, middle / self.design_effect, delta) > allowed:
                few = middle
            else:
                enough = middle
        return enough


def design_effect(blocks: Blocks) -> float:
    """How many flags of this stream are worth one independent flag: d >= 1, upper limit; 10 before 14 whole days or without any flag.

    Mean of (x_block - n_block p_day)^2 / (n_block p_day (1 - p_day)) times B / (B - 1) for the B blocks of a day, plus 1.645 standard
    errors. The day's own rate p_day takes day-to-day variation out, which the bound carries. The limit is nominally 95% one-sided; the
    squares are skewed, and in simulation it covers the truth in 87 to 91% of 14- to 28-day samples.
    """
    if len(_whole_days(blocks)[0]) < PAGING_DAYS:
        return UNLEARNED_EFFECT
    estimate = dispersion(blocks)
    if estimate is None:
        return UNLEARNED_EFFECT
    mean, error = estimate
    return max(1.0, mean + _MARGIN * error)


def dispersion(blocks: Blocks) -> tuple[float, float] | None:
    """Design effect and its standard error; None when no day has two blocks with prompts and both kinds of outcome."""
    seen = blocks.n > 0
    _, index = np.unique(blocks.day[seen], return_inverse=True)
    if index.size == 0:
        return None
    n, x = blocks.n[seen].astype(np.float64), blocks.x[seen].astype(np.float64)
    share = (np.bincount(index, weights=x) / np.bincount(index, weights=n))[index]
    many = np.bincount(index)[index].astype(np.float64)
    usable = (share > 0) & (share < 1) & (many > 1)
    if not usable.any():
        return None
    n, x, share, many = n[usable], x[usable], share[usable], many[usable]
    squares = (x - n * share) ** 2 / (n * share * (1 - share)) * many / (many - 1)
    return float(squares.mean()), float(squares.std(ddof=1) / np.sqrt(squares.size))


def _whole_days(blocks: Blocks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prompts and flags (D,) of the days that hold prompts in at least half as many blocks as the fullest day."""
    seen = blocks.n > 0
    if not seen.any():
        return np.zeros(0), np.zeros(0)
    _, index = np.unique(blocks.day[seen], return_inverse=True)
    many = np.bincount(index)
    whole = many >= many.max() / 2
    return np.bincount(index, weights=blocks.n[seen])[whole], np.bincount(index, weights=blocks.x[seen])[whole]


def _predicted(rate: float, days: int, cv: float) -> float:
    """Upper prediction limit of a day's share, from day-to-day variation alone."""
    quantile = ASSUMED_QUANTILE if days < PAGING_DAYS else float(stdtrit(days - 1, _QUANTILE))
    return float(rate * (1 + quantile * cv * np.sqrt(1 + 1 / max(days, 1))))


def _upper_limit(rate: float, n: float, delta: float) -> float:
    """Clopper-Pearson upper limit at 1 - delta of a rate seen in n independent prompts."""
    return float(betaincinv(rate * n + 1, (1 - rate) * n, 1 - delta)) if rate < 1 else 1.0


def _day_cv(blocks: Blocks) -> float:
    """Relative deviation of the days' shares beyond binomial noise with the design effect.

    The point estimate of the design effect, because an upper limit would take too much off.
    """
    n, x = _whole_days(blocks)
    rate = x.sum() / n.sum()
    estimate = dispersion(blocks)
    if rate in (0.0, 1.0) or estimate is None:
        return 0.0
    noise = max(estimate[0], 1.0) * rate * (1 - rate) * (1 / n).mean()
    variance = float(((x / n - rate) ** 2).sum()) / (n.size - 1) - noise
    return float(np.sqrt(max(variance, 0.0)) / rate)


def _stage(days: int, cv: float) -> Stage:
    if days < PAGING_DAYS:
        return "short"
    if cv > LARGEST_CV:
        return "unpromised"
    return "full" if days >= FULL_DAYS else "paging"
