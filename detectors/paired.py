"""Is the live model worse than another one asked the same items in the same round? McNemar's test as a bet.

Of the items that only one of the two got wrong, W were the live model's and V the other's; with equal models each of them is a fair coin,
whatever the items. For theta, the live model's part of them,

    log L = W ln(theta / theta0) + V ln((1 - theta) / (1 - theta0)),    theta0 = (1 + delta) / (2 + delta),

delta the odds that are no news (McNemar, Psychometrika 1947; as a bet: Shafer, JRSS A 2021). Both must be asked anew in every round: one
frozen draw of the other's answers makes W and V unequal by regression to the mean.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.contract import Evidence, State, Windows, require_version
from detectors.recursion import Recursion
from detectors.rounds import CAP

VERSION = 1

THETA = np.array([0.6, 0.7, 0.8, 0.9, 0.97])
"""Shares bet on; those at or below theta0 are left out."""


class Paired:
    """S pairs at the levels ticket and page, each a mixture over the shares of :data:`THETA` above the null."""

    def __init__(self, margin: float, recursion: Recursion) -> None:
        """Take checked arrays; use :meth:`fit` or :meth:`restore`."""
        self.margin, self.recursion = margin, recursion
        null, theta = _shares(margin)
        self._worse = np.log(theta / null)[:, None]
        self._better = np.log((1 - theta) / (1 - null))[:, None]

    @classmethod
    def fit(cls, *, ticket_rate: ArrayLike, page_rate: ArrayLike, margin: float = 0.0) -> Self:
        """Start S pairs with no evidence.

        Args:
            ticket_rate: (S,) float64 in [0, 1), false tickets accepted per round; page_rate: the same for pages.
            margin: delta >= 0; odds of 1 + delta that an item only one got wrong is the live model's are no news.

        Raises:
            ValueError: a value outside its range, or arrays of different length.
        """
        _, theta = _shares(margin)
        weights = np.full(theta.size, 1 / theta.size)
        return cls(float(margin), Recursion.fit(ticket_rate=ticket_rate, page_rate=page_rate, weights=weights, power=CAP))

    def update(self, rounds: Windows) -> Evidence:
        """Take one complete round of every pair: n items that only one got wrong, x of them the live model's. n = 0 changes nothing.

        Raises:
            ValueError: impossible counts.
        """
        n, worse = np.asarray(rounds.n, np.float64), np.asarray(rounds.x, np.float64)
        if n.shape != (self.recursion.rates.shape[1],) or n.shape != worse.shape or not ((worse >= 0) & (worse <= n)).all():
            raise ValueError("rounds must hold counts with 0 <= x <= n for every pair")
        return self.recursion.update(self._worse * worse + self._better * (n - worse), np.ones(n.size, np.int64))

    def reset(self, streams: NDArray[np.bool_]) -> None:
        """Take all evidence away where ``streams`` (S,) bool is True."""
        self.recursion.reset(streams)

    def snapshot(self) -> State:
        """Plain arrays: version and margin (1,), rates (S, 2), evidence (S, 2, K)."""
        state = self.recursion.snapshot()
        return {
            "version": np.array([VERSION]),
            "margin": np.array([self.margin]),
            "rates": state["rates"],
            "evidence": state["evidence"],
        }

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "paired")
        rates = np.asarray(state["rates"], np.float64)
        detector = cls.fit(ticket_rate=rates[:, 0], page_rate=rates[:, 1], margin=float(np.asarray(state["margin"]).item()))
        detector.recursion.load(state["evidence"])
        return detector


def _shares(margin: float) -> tuple[float, NDArray[np.float64]]:
    """theta0 and the shares bet on."""
    if not 0 <= margin < np.inf:
        raise ValueError(f"margin must be a finite number >= 0, got {margin}")
    null = (1 + margin) / (2 + margin)
    theta = THETA[null < THETA]
    if theta.size == 0:
        raise ValueError(f"margin {margin} leaves nothing to bet on; odds below {THETA[-1] / (1 - THETA[-1]):.0f} are needed")
    return null, theta
