"""What an accepted baseline promises: the design effect of a stream, and an upper bound on its share tomorrow.

One rate for all hours of the week here; :mod:`detectors.seasonal` has a rate for each hour and shares the parts. The bound is an upper
prediction bound over day-to-day variation, never below the Clopper-Pearson upper limit of the rate itself; design effect after Kish,
"Survey Sampling", 1965.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
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
LARGEST_LEVERAGE = 0.75
"""A block whose own flags make up more than this of what was expected of it says too little about variation."""
_QUANTILE = 0.999
_MARGIN = 1.645  # standard errors added to the design effect: its upper 95% limit


@dataclass(frozen=True, slots=True)
class Blocks:
    """Counts of N blocks of :data:`BLOCK_WINDOWS` windows.

    Attributes:
        day: (N,) int64, number of the whole day each block belongs to, in the configured time zone.
        n: (N,) int64, prompts; x: (N,) int64, flagged among them.
        expected: (N,) float64, flags that the hours of the week let expect, up to a factor of the day; None: the same share at all hours.
        leverage: (N,) float64 in [0, 1], share of a block's own noise that went into ``expected``; None: nothing.
    """

    day: NDArray[np.int64]
    n: NDArray[np.int64]
    x: NDArray[np.int64]
    expected: NDArray[np.float64] | None = None
    leverage: NDArray[np.float64] | None = None

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
    def fit(cls, blocks: Blocks, delta: float, least_days: int = PAGING_DAYS) -> Self:
        """m = max(r (1 + t_{.999, D-1} c sqrt(1 + 1/D)), Clopper-Pearson upper limit at 1 - delta with n/d prompts).

        Args:
            blocks: counts over the days to learn from; what their hours let expect is not used.
            delta: probability that the upper limit of the rate fails, in (0, 1).
            least_days: whole days from which on variation is learned and not assumed; less than usual only where a check leaves days out.

        Raises:
            ValueError: no prompts in the blocks, or delta outside (0, 1).
        """
        n, x = int(blocks.n.sum()), int(blocks.x.sum())
        if n == 0:
            raise ValueError("a baseline needs prompts; these blocks hold none")
        if not 0 < delta < 1:
            raise ValueError(f"delta must lie in (0, 1), got {delta}")
        flat = Blocks(blocks.day, blocks.n, blocks.x)
        rate, effect, days = x / n, design_effect(flat, least_days), whole_days(flat)
        cv = ASSUMED_CV if days < least_days else day_variation(flat)
        learned = days >= least_days
        bound = max(float(predicted(rate, days, cv, learned=learned)), float(upper_limit(rate, n / effect, delta)))
        return cls(rate, min(bound, 1.0), effect, days, cv, stage(days, cv, least_days))

    def prompts_needed(self, delta: float) -> int:
        """Prompts from which on sampling error at most widens the bound by :data:`LARGEST_SLACK`, or less than day-to-day variation does.

        For the rate, design effect and days of this baseline; ``delta`` as in :meth:`fit`. Cost: 40 quantiles.
        """
        learned = self.days >= PAGING_DAYS
        allowed = max(self.rate + LARGEST_SLACK, float(predicted(self.rate, self.days, self.day_cv, learned=learned)))
        few, enough = 0, 1
        while upper_limit(self.rate, enough / self.design_effect, delta) > allowed:
            few, enough = enough, 2 * enough
        while enough - few > 1:
            middle = (few + enough) // 2
            if upper_limit(self.rate, middle / self.design_effect, delta) > allowed:
                few = middle
            else:
                enough = middle
        return enough


def design_effect(blocks: Blocks, least_days: int = PAGING_DAYS) -> float:
    """How many flags of this stream are worth one independent flag: d >= 1, upper limit; 10 before 14 whole days or without any flag.

    Mean of (x_block - n_block p)^2 / (n_block p (1 - p)) times B / (B - 1) for the B blocks of a day, plus 1.645 standard errors, n_block p
    what the hours let expect times the day's own factor (its flags over those expected of it). So rhythm and day-to-day variation, which
    the bound carries, are taken out. The limit is nominally 95% one-sided; the squares are skewed, and in simulation it covers the truth
    in 87 to 91% of 14- to 28-day samples.
    """
    if whole_days(blocks) < least_days:
        return UNLEARNED_EFFECT
    estimate = dispersion(blocks)
    if estimate is None:
        return UNLEARNED_EFFECT
    mean, error = estimate
    return max(1.0, mean + _MARGIN * error)


def dispersion(blocks: Blocks) -> tuple[float, float] | None:
    """Design effect and its standard error; None when no day has two blocks with prompts and both kinds of outcome.

    A square is divided by one minus the block's leverage, as its deviation was made smaller by what it contributed to ``expected``.
    """
    seen = blocks.n > 0
    _, index = np.unique(blocks.day[seen], return_inverse=True)
    if index.size == 0:
        return None
    n, x = blocks.n[seen].astype(np.float64), blocks.x[seen].astype(np.float64)
    expected, leverage = _expected(blocks)[seen], np.zeros(n.size) if blocks.leverage is None else blocks.leverage[seen]
    total = np.bincount(index, weights=expected)
    factor = np.bincount(index, weights=x) / np.where(total > 0, total, 1.0)
    share = factor[index] * expected / n
    many = np.bincount(index)[index].astype(np.float64)
    usable = (share > 0) & (share < 1) & (many > 1) & (leverage <= LARGEST_LEVERAGE)
    if not usable.any():
        return None
    n, x, share, many, leverage = n[usable], x[usable], share[usable], many[usable], leverage[usable]
    squares = (x - n * share) ** 2 / (n * share * (1 - share)) * many / (many - 1) / (1 - leverage)
    return float(squares.mean()), float(squares.std(ddof=1) / np.sqrt(squares.size)) if squares.size > 1 else 0.0


def whole_days(blocks: Blocks) -> int:
    """D: days that hold prompts in at least half as many blocks as the fullest day."""
    return len(_daily(blocks)[0])


def day_variation(blocks: Blocks, fitted: int = 1) -> float:
    """c: relative deviation of the days' flags from those expected of them, beyond binomial noise with the design effect.

    The variance over days is taken with D - ``fitted`` degrees of freedom: 7 where every day of the week has rates of its own. The point
    estimate of the design effect is used, because an upper limit would take too much off. 0 where no flag or nothing else was seen.
    """
    n, x, expected = _daily(blocks)
    estimate = dispersion(blocks)
    if x.sum() in (0.0, n.sum()) or estimate is None or n.size <= fitted:
        return 0.0
    known = expected > 0
    n, x, expected = n[known], x[known], expected[known]
    rate = x.sum() / expected.sum()
    noise = float((max(estimate[0], 1.0) * np.maximum(1 / (rate * expected) - 1 / n, 0.0)).mean())
    variance = float(((x / expected / rate - 1) ** 2).sum()) / max(n.size - fitted, 1) - noise
    return float(np.sqrt(max(variance, 0.0)))


def predicted(rate: ArrayLike, days: int, cv: float, *, learned: bool, fitted: int = 1) -> NDArray[np.float64]:
    """Upper prediction limit of a day's share, from day-to-day variation alone; ``rate`` of any shape.

    r (1 + t_{.999, D-k} c sqrt(1 + k/D)) with k = ``fitted`` rates; 3.09 for t where c is assumed and not ``learned``.
    """
    quantile = float(stdtrit(days - fitted, _QUANTILE)) if learned else ASSUMED_QUANTILE
    return np.asarray(np.asarray(rate, np.float64) * (1 + quantile * cv * np.sqrt(1 + fitted / max(days, 1))))


def upper_limit(rate: ArrayLike, n: ArrayLike, delta: float) -> NDArray[np.float64]:
    """Clopper-Pearson upper limit at 1 - delta of rates seen in n independent prompts, of any shape; 1 where there were none."""
    shares, size = np.asarray(rate, np.float64), np.asarray(n, np.float64)
    known = (shares < 1) & (size > 0)
    size, shares = np.where(known, size, 1.0), np.where(known, shares, 0.5)
    return np.where(known, betaincinv(shares * size + 1, (1 - shares) * size, 1 - delta), 1.0)


def stage(days: int, cv: float, least_days: int = PAGING_DAYS) -> Stage:
    """What a baseline of so many whole days with this deviation may do."""
    if days < least_days:
        return "short"
    if cv > LARGEST_CV:
        return "unpromised"
    return "full" if days >= FULL_DAYS else "paging"


def _expected(blocks: Blocks) -> NDArray[np.float64]:
    return blocks.n.astype(np.float64) if blocks.expected is None else blocks.expected


def _daily(blocks: Blocks) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Prompts, flags and expected flags (D,) of the whole days."""
    seen = blocks.n > 0
    if not seen.any():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    _, index = np.unique(blocks.day[seen], return_inverse=True)
    many = np.bincount(index)
    whole = many >= many.max() / 2
    parts = [np.bincount(index, weights=values[seen])[whole] for values in (blocks.n, blocks.x, _expected(blocks))]
    return parts[0], parts[1], parts[2]
