"""Windows that a baseline was learned from, replayed: each part of them against what the others teach, at the budgets of a replay.

Every stream gives one step a window of each part: the increments of its bets, as in service, weights beside. So streams of every kind are
counted by the same :class:`detectors.crossings.Crossings`, and put together as ``combined`` puts them together: an average of recursions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from detectors import likelihood
from detectors.baseline import PAGING_DAYS
from detectors.crossings import Crossings
from detectors.embedding_baseline import share_of_delta
from detectors.embedding_levels import BLOCKS, learn
from detectors.embedding_shift import COMPONENTS, judged, mixture
from detectors.likelihood import RISE
from detectors.seasonal import WEEK_HOURS, WEEKDAYS, SeasonalBaseline
from detectors.topic_baseline import TopicBaseline
from detectors.topic_mix import TopicMix
from detectors.topic_mix import mixture as topic_mixture

Step = tuple[NDArray[np.float64], NDArray[np.int64]]
"""log L (K, C), and windows since the last step of each component (K, C): C columns, stream by stream, the parts of each in order."""


@dataclass(frozen=True, slots=True)
class Parts:
    """W windows in order of time and their P parts, replayed side by side.

    Attributes:
        day, hour: (W,) int64, as in :class:`detectors.seasonal.Hours`; days do not fall.
        spans: the windows of each part.
    """

    day: NDArray[np.int64]
    hour: NDArray[np.int64]
    spans: tuple[slice, ...]

    @classmethod
    def cut(cls, day: NDArray[np.int64], hour: NDArray[np.int64], size: int) -> Self:
        """Parts of ``size`` days with windows."""
        days = np.unique(day)
        ends = [np.searchsorted(day, days[start : start + size][[0, -1]] + [0, 1]).tolist() for start in range(0, days.size, size)]
        return cls(day, hour, tuple(slice(first, last) for first, last in ends))

    def table(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Index (T, P) of the window t of each part, and whether there is one; that of its last window where there is none."""
        first, stop = np.array([[span.start, span.stop] for span in self.spans]).T
        found = first + np.arange((stop - first).max())[:, None]
        return np.minimum(found, stop - 1), found < stop

    def runs(self) -> NDArray[np.int64]:
        """Index of the first window of every run of windows of one hour: sums over runs are what baselines are learned from."""
        return np.flatnonzero(np.append(True, (np.diff(self.hour) != 0) | (np.diff(self.day) != 0)))

    def others(self, span: slice) -> NDArray[np.bool_]:
        """(W,) bool, windows of the other parts."""
        kept = np.ones(self.day.size, bool)
        kept[span] = False
        return kept


def part_days(days: int) -> int:
    """Days in a part: a week, or fewer so that 14 of so many whole ``days`` remain to learn from; a day where there are no 15."""
    return int(np.clip(days - PAGING_DAYS, 1, WEEKDAYS))


class Replayed(Protocol):
    """Streams as they are replayed; ``weights`` (K, C), ``windows`` replayed that held prompts."""

    weights: NDArray[np.float64]
    windows: int

    def step(self, t: int) -> Step:
        """Window t of each part; zeros where the part has ended or the window is empty."""
        ...


def count(members: Sequence[Replayed], parts: Parts) -> list[NDArray[np.int64]]:
    """Crossings (4, S) at :data:`detectors.crossings.BUDGETS` of each member's S streams, each part from no evidence.

    Of two members or more, each of one stream, the last is ``combined``: the average of their recursions.
    """
    each = [Crossings(member.weights) for member in members]
    together = Crossings(np.concatenate([member.weights for member in members]) / len(members)) if len(members) > 1 else None
    for t in range(len(parts.table()[0])):
        steps = [member.step(t) for member in members]
        for crossings, step in zip(each, steps, strict=True):
            crossings.step(*step)
        if together is not None:
            together.step(np.concatenate([ratio for ratio, _ in steps]), np.concatenate([elapsed for _, elapsed in steps]))
    counts = [crossings.count for crossings in each] + ([together.count] if together is not None else [])
    return [np.asarray(one.reshape(len(one), -1, len(parts.spans)).sum(axis=2)) for one in counts]


class Rates:
    """S rate streams. Cost of a step: about 30 microseconds, and 0.1 ms more at 100 streams."""

    def __init__(
        self,
        parts: Parts,
        n: NDArray[np.int64],
        x: NDArray[np.int64],
        baselines: Sequence[Sequence[SeasonalBaseline]],
        min_effect: float,
    ) -> None:
        """Counts (W, S), and the baseline of each stream for each of its parts, learned without it."""
        self._at, here = parts.table()
        self._hour = parts.hour[self._at]
        self._n, self._x = n, x
        self._here = here.astype(np.int64)
        self.windows = int((n > 0).any(axis=1).sum())
        self._bounds = np.array([[np.clip(one.bound + min_effect, 1e-9, 0.999) for one in each] for each in baselines])  # (S, P, 168)
        self._effects = np.array([[one.design_effect for one in each] for each in baselines]).reshape(-1)
        self._hours: NDArray[np.int64] | None = None
        self.weights = np.full((RISE.size, self._effects.size), 1 / RISE.size)

    def step(self, t: int) -> Step:
        """See :class:`Replayed`."""
        at, hours = self._at[t], self._hour[t]
        if self._hours is None or (hours != self._hours).any():
            self._hours = hours
            null = self._bounds[:, np.arange(at.size), hours].reshape(-1)
            self._slope, self._offset = likelihood.coefficients(null, likelihood.rising(null), self._effects)
        n, x = ((counts[at] * self._here[t, :, None]).T.reshape(-1) for counts in (self._n, self._x))
        return self._slope * x + self._offset * n, np.broadcast_to((n > 0).astype(np.int64), self._slope.shape)


class Topics:
    """One stream of K + 1 categories. Cost of a step: about 30 microseconds a part."""

    def __init__(self, parts: Parts, table: NDArray[np.int64], delta: float, min_effect: float) -> None:
        """Counts (W, K + 1); a baseline is learned for each part, without it. Cost: about 0.3 s a part at 101 categories."""
        first = parts.runs()
        rows, day, hour = np.add.reduceat(table, first, axis=0), parts.day[first], parts.hour[first]
        others = [(day < parts.day[span.start]) | (day > parts.day[span.stop - 1]) for span in parts.spans]
        baselines = [TopicBaseline.fit(rows[kept], day[kept], hour[kept], delta, least_days=WEEKDAYS + 1) for kept in others]
        self._at, self._here = parts.table()
        self._hour, self._table = parts.hour, table
        self.windows = int(table.any(axis=1).sum())
        self._mixes = [TopicMix.fit(one, ticket_rate=[0.0], page_rate=[0.0], min_effect=min_effect) for one in baselines]
        self.weights = np.repeat(topic_mixture(table.shape[1])[:, None], len(parts.spans), axis=1)

    def step(self, t: int) -> Step:
        """See :class:`Replayed`."""
        ratio, elapsed = np.zeros(self.weights.shape), np.zeros(self.weights.shape, np.int64)
        for p, at in enumerate(self._at[t].tolist()):
            if self._here[t, p]:
                one, since = self._mixes[p].increments(self._table[at : at + 1], int(self._hour[at]))
                ratio[:, p], elapsed[:, p] = one[:, 0], since
        return ratio, elapsed


class Embedding:
    """One stream of blocks; what a block strays was reckoned against the weeks before it, its levels are learned without its part."""

    def __init__(self, parts: Parts, u: NDArray[np.float32], delta: float) -> None:
        """U (W, B) of the blocks that close with each window, NaN where none does.

        Raises:
            ValueError: no level can be learned without one of the parts.
        """
        self._at, self._here = parts.table()
        week = (parts.day - 1) // WEEKDAYS  # Mondays have numbers that 7 leaves 1 over
        columns, self.windows = [], int(np.isfinite(u[:, 0]).sum())
        size = len(u), COMPONENTS
        self._ratio, self._elapsed = np.zeros(size), np.zeros(size, np.int64)
        for span in parts.spans:
            residual, threshold, null, effects = np.full((span.stop - span.start, len(BLOCKS)), np.nan), [], [], []
            for block in range(len(BLOCKS)):
                kept = parts.others(span) & np.isfinite(u[:, block])
                found = learn(week[kept], parts.hour[kept], u[kept, block], WEEK_HOURS, block, share_of_delta(delta), short=False)
                place = parts.hour[span]
                residual[:, block] = (u[span, block] - found.centre[place]) / found.scale[place]
                threshold.append(found.threshold)
                null.append(found.null)
                effects.append(found.design_effect)
            columns.append(mixture(np.array(threshold), np.array(null)))
            self._ratio[span], self._elapsed[span] = judged(residual, np.array(threshold), np.array(null), np.array(effects))
        self.weights = np.stack(columns, axis=1)

    def step(self, t: int) -> Step:
        """See :class:`Replayed`."""
        at, here = self._at[t], self._here[t]
        return self._ratio[at].T * here, self._elapsed[at].T * here
