"""Has the share of bad answers in a suite of probes risen above its record? Likelihood ratios of complete rounds, fed to a recursion.

A round asks a fixed set of items once. For n graded answers, k of them bad, null q0 and alternative q1,

    log L = k ln(q1 / q0) + (n - k) ln((1 - q1) / (1 - q0)).

Items may differ as they like: with q1 fixed inside a round, E[L] <= 1 whenever their mean probability is at most q0 and they answer
independently given the past (inequality of the means). That holds for whole rounds only: evaluating after each item of a fixed order
pages on items that always failed. See :mod:`detectors.recursion` for what a crossing promises.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from detectors import likelihood
from detectors.contract import Evidence, State, Windows, require_version
from detectors.recursion import Recursion

VERSION = 1
CAP = 0.5
"""One freak round counts for at most the root of the threshold, so at least two rounds cross."""

ALTERNATIVES = 8
_NEAREST, _FARTHEST, _MOST_ODDS = 1.8, 60.0, 9.0  # odds ratios of the nearest and the farthest alternative; the latter reaches 0.9 at least

LEVEL = 0.95
"""Of the bound of a record: the null of a stream is too low with a probability of at most 1 - LEVEL."""

SMALLEST_EFFECT = 0.05
SMALLEST_ITEMS = 1.5
"""A change smaller than this many items of the set is no change of the model, but of an item."""


def bound(bad: int, answers: int, level: float = LEVEL) -> float:
    """Upper Clopper-Pearson bound of a share, one-sided. Raises ValueError unless 0 <= bad <= answers and answers > 0.

    >>> round(bound(20, 400), 3)
    0.072
    """
    if not 0 <= bad <= answers or answers <= 0:
        raise ValueError(f"{bad} of {answers} is no share")
    return 1.0 if bad == answers else float(beta.ppf(level, bad + 1, answers - bad))


def smallest_effect(items: int, least: float = SMALLEST_EFFECT) -> float:
    """Margin that is added to a bound: at least ``least``, and one and a half items of the set."""
    return max(least, SMALLEST_ITEMS / items)


def alternatives(null: NDArray[np.float64]) -> NDArray[np.float64]:
    """(8, S) shares above the (S,) null, with odds that grow geometrically from 1.8 times those of the null to 60 times, or to 9:1."""
    odds = null / (1 - null)
    farthest = np.maximum(_FARTHEST * odds, _MOST_ODDS) / odds
    steps = np.linspace(0, 1, ALTERNATIVES)[:, None]
    grown = odds * _NEAREST * (farthest / _NEAREST) ** steps
    return np.asarray(np.minimum(grown / (1 + grown), 1 - 1e-12))


class RoundRate:
    """S streams at the levels ticket and page, each a mixture over :func:`alternatives`. Cost of an update: about 0.1 ms at 400 streams."""

    def __init__(self, null: NDArray[np.float64], critical: NDArray[np.bool_], recursion: Recursion) -> None:
        """Take checked arrays; use :meth:`fit` or :meth:`restore`."""
        self.null, self.critical, self.recursion = null, critical, recursion
        self._slope, self._offset = likelihood.coefficients(null, alternatives(null), np.ones(null.size))

    @classmethod
    def fit(cls, *, null: ArrayLike, ticket_rate: ArrayLike, page_rate: ArrayLike, critical: ArrayLike | None = None) -> Self:
        """Start S streams with no evidence.

        Args:
            null: (S,) float64 in (0, 1), largest share of bad answers that is no news: a bound of the record plus the margin.
            ticket_rate: (S,) float64 in [0, 1), false tickets accepted per round, weight * interval / budget period; 0 disables tickets.
            page_rate: (S,) float64 in [0, 1), the same for pages.
            critical: (S,) bool, streams in which one round may cross.

        Raises:
            ValueError: a value outside its range, or arrays of different length.

        >>> stream = RoundRate.fit(null=[0.072], ticket_rate=[1e-3], page_rate=[1 / 43_200])
        >>> for bad in (1, 6, 5, 7):
        ...     said = stream.update(Windows(n=np.array([20]), x=np.array([bad])))
        ...     print(said.log10_page.round(1), said.ticket, said.page)
        [0.] [False] [False]
        [1.5] [False] [False]
        [2.6] [False] [False]
        [4.9] [ True] [ True]
        """
        null = likelihood.shares("null", null)
        loud = np.zeros(null.size, np.bool_) if critical is None else likelihood.mask("critical", np.asarray(critical), null.size)
        recursion = Recursion.fit(
            ticket_rate=ticket_rate,
            page_rate=page_rate,
            weights=np.full(ALTERNATIVES, 1 / ALTERNATIVES),
            power=np.where(loud, 2.0, CAP),
        )
        if recursion.rates.shape[1] != null.size:
            raise ValueError(f"ticket_rate must hold {null.size} numbers in [0, 1)")
        return cls(null, loud, recursion)

    def update(self, rounds: Windows) -> Evidence:
        """Take one complete round of every stream; n = 0 where a stream had none. Raises ValueError for impossible counts."""
        n, bad = likelihood.counts(rounds, self.null.size)
        return self.recursion.update(self._slope * bad + self._offset * n, (n > 0).astype(np.int64))

    def reset(self, streams: NDArray[np.bool_]) -> None:
        """Take all evidence away where ``streams`` (S,) bool is True."""
        self.recursion.reset(likelihood.mask("streams", streams, self.null.size))

    def snapshot(self) -> State:
        """Plain arrays: version (1,), null and critical (S,), rates (S, 2), evidence (S, 2, 8)."""
        state = self.recursion.snapshot()
        return {
            "version": np.array([VERSION]),
            "null": self.null.copy(),
            "critical": self.critical.copy(),
            "rates": state["rates"],
            "evidence": state["evidence"],
        }

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "round rate")
        rates = np.asarray(state["rates"], np.float64)
        critical = np.asarray(state["critical"], np.bool_)
        detector = cls.fit(null=state["null"], ticket_rate=rates[:, 0], page_rate=rates[:, 1], critical=critical)
        detector.recursion.load(state["evidence"])
        return detector
