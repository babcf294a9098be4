"""How many prompts come at each hour of the week when nothing has happened, and how far a quarter of an hour strays from that.

A block of a quarter of an hour (of an hour, where traffic is thin) has y = log((n + 1/2) / (level + 1/2)), its level the median block of
that hour of the week: one strange week in four moves it little. The median of a day's y is the day's own effect; its deviation over the
days, winsorised at three, gives the room that is left for tomorrow, t c sqrt(1 + 7/D) as in :mod:`detectors.baseline`; its quantile is
stricter than there, because a day beyond it would cross about sixteen times. What is left of y within the day is standardised by the
spread of its hour of the day (normal-consistent median absolute deviation, never below that of a Poisson count), and the residuals of all
hours together give the levels, one for either side. So a block is news beyond

    max(log 1.25, room for the day) + level * spread

and a fifth fewer or a quarter more is no news whatever the data say: traffic of a service that grows passes there slowly.
"""

from dataclasses import dataclass
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from detectors.baseline import ASSUMED_CV, PAGING_DAYS, Stage, stage
from detectors.contract import State, require_finite, require_version
from detectors.embedding_levels import flag_dispersion

VERSION = 1
WEEK_HOURS, DAY_HOURS, WEEKDAYS = 168, 24, 7

BLOCKS = (900.0, 3600.0)
"""Seconds in a block; the shorter where half of the hours have blocks of :data:`LEAST` prompts."""

LEAST = 20.0
"""Prompts in a usual block below which an hour is not judged: a count that small says little, and nothing of a fall."""

FLOOR = float(np.log(1.25))
"""Log ratio that is no news, however alike the days are: the minimum effect."""

LEVELS = np.array([0.05, 0.01])
"""Shares of the residuals beyond the levels, on either side."""

GROUP = 4 * 3600.0
"""Seconds of blocks in which flags are looked at together, for the design effect."""

QUANTILE = 0.9999
"""Of the effect of a day, on either side."""

_MARGIN = 1.645  # standard errors added to the design effect: its upper 95% limit
_SIGMA = 1.4826  # deviation of a normal law over its median absolute deviation
_WINSOR = 3.0


@dataclass(frozen=True, slots=True)
class VolumeBaseline:
    """What :class:`detectors.volume.Volume` tests against; L levels, H = 168 hours of the week.

    Attributes:
        seconds: length of a block.
        level: (H,) float64, prompts in a usual block; 0 for an hour that is not judged.
        beyond: (2, L, H) float64, distance of y from 0 from which on a block is flagged: as too few, and as too many.
        null: (2, L) float64, upper limit of the share of blocks flagged.
        design_effect: how many flags are worth one independent flag.
        days: whole days. day_cv: deviation of the days' effects; .15 at least is assumed in stage ``short``.
        stage: ``short`` (under 14 days: hours of the day instead of the week), ``paging``, ``full`` or ``unpromised``.
    """

    seconds: float
    level: NDArray[np.float64]
    beyond: NDArray[np.float64]
    null: NDArray[np.float64]
    design_effect: float
    days: int
    day_cv: float
    stage: Stage

    @property
    def may_page(self) -> bool:
        """Never: traffic that grows or falls is no fault of the model."""
        return False

    @classmethod
    def fit(
        cls,
        start: NDArray[np.int64],
        n: NDArray[np.int64],
        day: NDArray[np.int64],
        hour: NDArray[np.int64],
        *,
        window: float,
        delta: float,
    ) -> "VolumeBaseline":
        """Learn from W closed windows in order of time.

        Args:
            start: (W,) seconds since the epoch. n: (W,) prompts. day: (W,) number of the local day. hour: (W,) of the week, 0..167.
            window: seconds in a window.
            delta: probability that any of the null shares is too low, in (0, 1).

        Raises:
            ValueError: delta out of range, or fewer than two days with an hour that has 20 prompts.

        Cost: about 20 ms for 28 days of minutes.
        """
        if not 0 < delta < 1:
            raise ValueError(f"delta must lie in (0, 1), got {delta}")
        lengths = [np.ceil(seconds / window) * window for seconds in BLOCKS]
        made = [_Blocks.of(start, n, day, hour, float(length)) for length in dict.fromkeys(lengths)]
        enough = [blocks for blocks in made if 2 * (blocks.level[blocks.hour] > 0).sum() >= max(blocks.hour.size, 1)]
        blocks = enough[0] if enough else made[-1]
        if blocks.days < 2 or not blocks.level.any():
            raise ValueError(f"a baseline of volume needs two days with an hour of {LEAST:g} prompts")
        return _learned(blocks, delta)

    def snapshot(self) -> State:
        """Plain arrays under the names of the attributes, and version (1,)."""
        state: State = {name: np.array(getattr(self, name)) for name in self.__slots__}
        return state | {"version": np.array([VERSION])}

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or values that are not finite."""
        require_version(state, VERSION, "volume baseline")
        require_finite(state)
        arrays = {name: np.array(state[name], np.float64) for name in ("level", "beyond", "null")}
        numbers = {name: float(state[name].item()) for name in ("seconds", "design_effect", "day_cv")}
        return cls(**arrays, **numbers, days=int(state["days"].item()), stage=cast(Stage, str(state["stage"].item())))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Blocks:
    """B blocks with prompts: day, hour of the week and y (B,), NaN where not judged; levels (168,); ``bins`` 24 or 168; whole days."""

    seconds: float
    index: NDArray[np.int64]
    day: NDArray[np.int64]
    hour: NDArray[np.int64]
    y: NDArray[np.float64]
    level: NDArray[np.float64]
    many: NDArray[np.int64]
    bins: int
    days: int

    @classmethod
    def of(cls, start: NDArray[np.int64], n: NDArray[np.int64], day: NDArray[np.int64], hour: NDArray[np.int64], seconds: float) -> Self:
        """Add windows up; the first and the last block are left out, which may have begun before or go on."""
        index, first, inverse = np.unique((start // seconds).astype(np.int64), return_index=True, return_inverse=True)
        total = np.bincount(inverse, weights=n, minlength=index.size)[1:-1]
        index, day, hour = index[1:-1], day[first][1:-1], hour[first][1:-1]
        per_day = np.unique(day, return_counts=True)[1]
        days = int((per_day >= per_day.max() / 2).sum()) if per_day.size else 0
        bins = WEEK_HOURS if days >= PAGING_DAYS else DAY_HOURS
        level, many = np.zeros(bins), np.zeros(bins, np.int64)
        for place in np.unique(hour % bins).tolist():
            held = total[hour % bins == place]
            level[place], many[place] = np.median(held), held.size
        level = np.tile(np.where(level >= LEAST, level, 0.0), WEEK_HOURS // bins)
        usual = level[hour]
        y = np.where(usual > 0, np.log((total + 0.5) / (usual + 0.5)), np.nan)
        return cls(float(seconds), index, day, hour, y, level, np.tile(many, WEEK_HOURS // bins), bins, days)


def _learned(blocks: _Blocks, delta: float) -> VolumeBaseline:
    judged = ~np.isnan(blocks.y)
    y = blocks.y[judged]
    day, hour, index = (values[judged] for values in (blocks.day, blocks.hour, blocks.index))
    _, of_day, size = np.unique(day, return_inverse=True, return_counts=True)
    effect = np.array([np.median(y[of_day == i]) for i in range(size.size)])
    left = y - effect[of_day]
    spread = _spread(left, hour, blocks)
    z = left / spread[hour]
    short = blocks.bins == DAY_HOURS
    fitted = 1 if short else WEEKDAYS
    cv = _variation(effect[size >= size.max() / 2], fitted)
    cv = max(cv, ASSUMED_CV) if short else cv
    room = float(stdtrit(np.inf if short else blocks.days - fitted, QUANTILE)) * cv * np.sqrt(1 + fitted / blocks.days)
    sides = np.stack([-z, z])
    levels = np.quantile(sides, 1 - LEVELS, axis=1, method="higher").T
    group = ((index * blocks.seconds) // GROUP).astype(np.int64)
    flagged = (sides > levels[:, :1]).any(axis=0)
    near, far = flag_dispersion(flagged, group), flag_dispersion(flagged, day)
    design_effect = max(1.0, near[0] + _MARGIN * near[1], far[0])
    over = (sides[:, None] > levels[:, :, None]).sum(axis=2)
    null = betaincinv(over / design_effect + 1, (z.size - over) / design_effect, 1 - delta / levels.size)
    beyond = max(room, FLOOR) + np.maximum(levels, 0.0)[:, :, None] * spread
    return VolumeBaseline(
        seconds=blocks.seconds,
        level=blocks.level,
        beyond=beyond,
        null=np.asarray(np.minimum(null, 0.5)),
        design_effect=float(design_effect),
        days=blocks.days,
        day_cv=cv,
        stage=stage(blocks.days, cv),
    )


def _spread(left: NDArray[np.float64], hour: NDArray[np.int64], blocks: _Blocks) -> NDArray[np.float64]:
    """(168,) deviation of a block of each hour of the day within its day, and never below that of a Poisson count.

    A level is the median of so many blocks, which adds pi/2 of their variance over their number to that of a new block.
    """
    place = hour % DAY_HOURS
    within = np.array([np.median(np.abs(left[place == at])) if (place == at).any() else 0.0 for at in range(DAY_HOURS)])
    level = np.maximum(blocks.level, LEAST)
    own = np.maximum(np.tile(_SIGMA * within, WEEKDAYS), 1 / np.sqrt(level))
    return np.asarray(own * np.sqrt(1 + np.pi / 2 / np.maximum(blocks.many, 1)))


def _variation(effect: NDArray[np.float64], fitted: int) -> float:
    """Deviation of the effects of D days with D - ``fitted`` degrees of freedom, each drawn in to three robust deviations."""
    if effect.size <= fitted:
        return ASSUMED_CV
    middle = float(np.median(effect))
    limit = max(_WINSOR * _SIGMA * float(np.median(np.abs(effect - middle))), 1e-9)
    kept = np.clip(effect, middle - limit, middle + limit)
    return float(np.sqrt(((kept - kept.mean()) ** 2).sum() / (effect.size - fitted)))
