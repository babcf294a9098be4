"""Would the promise have held on the days a baseline was learned from? A replay at budgets small enough to be counted.

Pages themselves cannot be counted: 28 days are a third of one budget period of 90. So the accepted windows are replayed against budgets of
one false alarm in A' = 30, 100, 300, 1000 windows, each week against a baseline fitted without it, the evidence consumed at each
crossing. The promise allows t/A' crossings in t windows at every A', and their number then falls at least like 1/A'. Sessions longer or
bursts larger than the design effect knows show as more crossings, or as a fall too slow to reach the stream's own budget. Levels that
wander over weeks hardly show in four of them, and break a bound made for days that differ by chance: neighbouring days whose levels
correlate are refused too. What is seen is "consistent with the promise", never a proof of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, pdtrik

from detectors.baseline import PAGING_DAYS
from detectors.crossings import BUDGETS
from detectors.replay import Parts, Rates, count, part_days
from detectors.seasonal import WEEKDAYS, Hours, SeasonalBaseline

LEAST_SLOPE = 0.9
LEAST_CROSSINGS = 20
"""Crossings over all budgets below which a slope says nothing: one incident crosses at every budget."""

CONFIDENCE = 0.99
LEAST_WANDER = 0.03
"""Day-to-day deviation from which on neighbouring days must not correlate; below it the bound's other allowances are larger."""
_STEEPEST = 50.0


@dataclass(frozen=True, slots=True)
class Promise:
    """What the replay counted, and whether that is consistent with the promise.

    Attributes:
        budgets: (4,) int64, A', windows per false alarm.
        crossings: (4,) int64, counted at each.
        expected: (4,) float64, t/A', the most that the promise allows in the mean.
        limit: (4,) int64, what a Poisson count with that mean does not exceed in 99% of cases.
        slope: of log crossings on log A', positive where they fall, by Poisson regression; NaN where fewer than two budgets were crossed.
        windows: t, windows that held prompts.
        kept: whether the stream may page; otherwise tickets only.
        reason: one sentence for people.
        smallest_budget: windows per false alarm at which the fitted crossings equal t/A; the strictest budget that would hold. None where
            nothing is wrong, nothing could be counted, or no budget of at least A' = 30 windows would hold.
    """

    budgets: NDArray[np.int64]
    crossings: NDArray[np.int64]
    expected: NDArray[np.float64]
    limit: NDArray[np.int64]
    slope: float
    windows: int
    kept: bool
    reason: str
    smallest_budget: float | None


@dataclass(frozen=True, slots=True)
class Counted:
    """A replay before it is held against a budget.

    Attributes:
        crossings: (4,) int64 at :data:`detectors.crossings.BUDGETS`; None where nothing was replayed, for the reason in ``objection``.
        windows: t, windows replayed that held prompts.
        objection: what speaks against pages whatever was counted; None when nothing does.
        confidence: of the Poisson limits, in (0, 1).
    """

    crossings: NDArray[np.int64] | None
    windows: int
    objection: str | None = None
    confidence: float = CONFIDENCE

    def judge(self, budget: float) -> Promise:
        """The verdict for a stream with this A, windows per false page."""
        return _verdict(self.crossings, self.windows, budget, self.objection, self.confidence)


def check_promise(
    n: NDArray[np.int64],
    x: NDArray[np.int64],
    day: NDArray[np.int64],
    hour: NDArray[np.int64],
    *,
    delta: float,
    budget: float,
    block: int = 4,
    min_effect: float = 0.0,
) -> Promise:
    """Replay W accepted windows of one rate stream in order of time.

    The weeks are replayed side by side, each from no evidence, which costs a promise nothing: the expected number of crossings is at most
    t/A' in each. Under 21 days a part is shorter than a week, so that 14 days remain to fit; it is a day where there are no 14.

    Args:
        n: (W,) int64, prompts of each window; x: (W,) int64, flagged. Counts of hours or blocks would not do: what a burst does to the
            evidence is seen only at the length of a window.
        day: (W,) int64, not falling, and hour: (W,) int64, as in :class:`detectors.seasonal.Hours`.
        delta, block: as the baseline was fitted with.
        budget: A of the stream, windows per false page, > 1.
        min_effect: added to every bound, as in force.

    Raises:
        ValueError: arrays of different length, impossible counts, days out of order, no prompts, or a budget of at most 1.

    Cost: about 0.5 s for weeks of one-minute windows, 28 days or 60.
    """
    if n.ndim != 1:
        raise ValueError("counts of one stream must be one-dimensional")
    if budget <= 1:
        raise ValueError("the budget must be above one window")
    [counted] = count_rates(n[:, None], x[:, None], day, hour, delta=delta, block=block, min_effect=min_effect)
    return counted.judge(budget)


def count_rates(
    n: NDArray[np.int64],
    x: NDArray[np.int64],
    day: NDArray[np.int64],
    hour: NDArray[np.int64],
    *,
    delta: float,
    block: int = 4,
    min_effect: float = 0.0,
    confidence: float = CONFIDENCE,
) -> list[Counted]:
    """Replay W windows of S rate streams, counts (W, S), side by side; arguments as in :func:`check_promise`.

    ``confidence``: of the Poisson limits, and that days which differ by chance are not taken for a level that wanders. Cost: about 15 ms
    a stream to fit, and 1.5 s for weeks of minutes of 100 streams.
    """
    if (np.diff(day) < 0).any():
        raise ValueError("windows must be in order of days")
    everything = Parts.cut(day, hour, WEEKDAYS)
    made = by_hour(everything, n, x)
    wholes = [SeasonalBaseline.fit(hours, delta, block) for hours in made]
    counted = [Counted(None, 0, too_short(whole.days)) for whole in wholes]
    enough = [s for s, whole in enumerate(wholes) if whole.days >= PAGING_DAYS]
    for size in sorted({part_days(wholes[s].days) for s in enough}):
        alike = [s for s in enough if part_days(wholes[s].days) == size]
        parts = Parts.cut(day, hour, size)
        fitted = [learned_without(made[s], parts, delta, block) for s in alike]
        [crossings] = count([Rates(parts, n[:, alike], x[:, alike], fitted, min_effect)], parts)
        for column, s in enumerate(alike):
            against = objection(made[s], wholes[s], confidence)
            counted[s] = Counted(crossings[:, column], int((n[:, s] > 0).sum()), against, confidence)
    return counted


def by_hour(parts: Parts, n: NDArray[np.int64], x: NDArray[np.int64]) -> list[Hours]:
    """Counts of hours of each of S rate streams from those of windows (W, S)."""
    if (x < 0).any() or (x > n).any():
        raise ValueError("flagged counts must lie between 0 and the number of prompts")
    first = parts.runs()
    day, hour = parts.day[first], parts.hour[first]
    return [Hours(day, hour, *columns).merged() for columns in zip(*(np.add.reduceat(c, first, axis=0).T for c in (n, x)), strict=True)]


def too_short(days: int) -> str:
    """Why so few whole days are not replayed."""
    return f"not replayed: {days} whole {'day is' if days == 1 else 'days are'} too few to check, {PAGING_DAYS} are needed"


def learned_without(hours: Hours, parts: Parts, delta: float, block: int) -> list[SeasonalBaseline]:
    """For each part the baseline that the other days teach."""
    days = (np.unique(parts.day[span]) for span in parts.spans)
    return [SeasonalBaseline.fit(hours.without(left), delta, block, least_days=WEEKDAYS + 1) for left in days]


def objection(hours: Hours, whole: SeasonalBaseline, confidence: float = CONFIDENCE) -> str | None:
    """What speaks against pages whatever a replay counts; ``hours`` as :func:`by_hour` makes them."""
    if not whole.may_page:
        return f"days differ by {whole.day_cv:.0%}, more than a bound could allow for"
    if whole.day_cv >= LEAST_WANDER and _wanders(hours, whole.share, confidence):
        return f"days differ by {whole.day_cv:.0%} and neighbouring days alike: the level wanders, and a bound made of days does not hold"
    return None


def _wanders(cells: Hours, share: NDArray[np.float64], confidence: float) -> bool:
    """Whether neighbouring days' flags over those expected correlate beyond chance, days of the week taken out."""
    days, index = np.unique(cells.day, return_inverse=True)
    factor = np.bincount(index, weights=cells.x) / np.maximum(np.bincount(index, weights=cells.n * share[cells.hour]), 1e-12)
    many = np.bincount(index)
    whole = many >= many.max() / 2
    days, factor = days[whole], factor[whole]
    means = np.bincount(days % WEEKDAYS, weights=factor, minlength=WEEKDAYS) / np.maximum(
        np.bincount(days % WEEKDAYS, minlength=WEEKDAYS), 1
    )
    left = factor - means[days % WEEKDAYS]
    neighbours = np.diff(days) == 1
    total = float((left**2).mean())
    if total == 0 or not neighbours.any() or days.size <= WEEKDAYS:
        return False
    correlation = float((left[1:] * left[:-1])[neighbours].mean()) / total
    return correlation > float(ndtri(confidence)) / float(np.sqrt(days.size - WEEKDAYS))


def _verdict(
    crossings: NDArray[np.int64] | None, windows: int, budget: float, objection: str | None, confidence: float = CONFIDENCE
) -> Promise:
    """Judge the counts (4,); None: nothing was replayed, for the reason given."""
    expected = windows / BUDGETS
    limit = np.ceil(pdtrik(confidence, np.maximum(expected, 1e-12))).astype(np.int64)
    if crossings is None:
        return Promise(BUDGETS, np.zeros_like(BUDGETS), expected, limit, np.nan, windows, False, str(objection), None)
    slope, level = _slope(crossings)
    smallest = None
    if objection is None:
        over = np.flatnonzero(crossings > limit)
        reached = level * budget**-slope if np.isfinite(slope) else 0.0
        if over.size:
            i = int(over[-1])
            objection = f"{crossings[i]} crossings at one in {BUDGETS[i]} windows, where the promise allows {expected[i]:.0f}"
        elif crossings.sum() >= LEAST_CROSSINGS and slope < LEAST_SLOPE and reached > windows / budget:
            objection = f"crossings fall with the power {slope:.2f} of the budget, where at least {LEAST_SLOPE} is needed"
        if objection is not None:
            smallest = _holding(slope, level, windows)
            held = f"one false alarm in {smallest:.0f} windows would hold" if smallest else "no budget would hold"
            objection = f"{objection}; by extrapolation {held}"
    told = (
        objection or f"consistent with the promise: {crossings[-1]} crossings at one in {BUDGETS[-1]} windows, {expected[-1]:.0f} allowed"
    )
    return Promise(BUDGETS, crossings, expected, limit, slope, windows, objection is None, told, smallest)


def _slope(crossings: NDArray[np.int64]) -> tuple[float, float]:
    """s and a of crossings ~ a A'^-s, maximum likelihood of Poisson counts; NaN where fewer than two budgets were crossed."""
    if (crossings > 0).sum() < 2:
        return np.nan, np.nan
    logs = np.log(BUDGETS)
    wanted = float((crossings * logs).sum() / crossings.sum())
    low, high = -_STEEPEST, _STEEPEST
    for _ in range(60):
        slope = (low + high) / 2
        weights = np.exp(-slope * (logs - logs.mean()))
        low, high = (slope, high) if float((weights * logs).sum() / weights.sum()) > wanted else (low, slope)
    return slope, float(crossings.sum() / np.exp(-slope * logs).sum())


def _holding(slope: float, level: float, windows: int) -> float | None:
    """A at which level A^-slope = windows / A."""
    if not np.isfinite(slope) or abs(slope - 1) < 1e-6:
        return None
    with np.errstate(over="ignore"):
        found = float(np.exp(np.log(level / windows) / (slope - 1)))
    return found if np.isfinite(found) and found >= BUDGETS[0] else None
