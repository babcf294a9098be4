"""Is a model fit to go on? Two opposite tests of one share, either of which may be read at any time; and an interval that may be too.

Worse: evidence against H0: q <= q0. Not worse: evidence against H0': q >= q0 + margin. Each is a product of likelihood ratios averaged over
alternatives, a test martingale, so by Ville's inequality either is ever wrong with a probability of at most alpha, however often it is
read (Ville 1939; Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 2021). A gate asks about one release and ends; for watching a
model over months :mod:`detectors.rounds` begins again and again, where a product would lose its power after a long good time.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp

from detectors import likelihood
from detectors.rounds import alternatives

ALPHA = 0.05
Outcome = Literal["pass", "fail", "inconclusive"]

_BELOW = np.array([0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])
"""Relative falls below q0 + margin that the test of "not worse" bets on."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What n answers, ``bad`` of them, say about a share.

    Attributes:
        outcome: ``fail`` when worse is shown, ``pass`` when not worse is shown and there are enough answers, else ``inconclusive``.
        log10_worse, log10_not_worse: evidence of the two tests; either decides at log10(1 / alpha).
        low, high: interval of the share that holds at any time with probability 1 - alpha.
    """

    outcome: Outcome
    log10_worse: float
    log10_not_worse: float
    low: float
    high: float


def decide(n: int, bad: int, *, null: float, margin: float, fewest: int = 0, alpha: float = ALPHA) -> Gate:
    """Judge a share of bad answers against a record.

    Args:
        n: answers graded; bad: bad ones among them.
        null: q0, largest share that is as good as the record; margin: > 0, how much worse is still called not worse.
        fewest: answers below which nothing passes.
        alpha: probability of ever being wrong, of each test.

    Raises:
        ValueError: impossible counts, or q0 + margin outside (0, 1).

    >>> [decide(n, bad, null=0.07, margin=0.05).outcome for n, bad in ((200, 8), (60, 18), (5, 0))]
    ['pass', 'fail', 'inconclusive']
    """
    if not 0 <= bad <= n:
        raise ValueError(f"{bad} of {n} is no share")
    if not 0 < null < null + margin < 1:
        raise ValueError(f"null {null} and margin {margin} must be positive and below 1 together")
    worse = _evidence(n, bad, null, alternatives(np.array([null])))
    not_worse = _evidence(n, bad, null + margin, (null + margin) * (1 - _BELOW[:, None]))
    needed = -math.log(alpha)
    outcome: Outcome = "inconclusive"
    if worse >= needed:
        outcome = "fail"
    elif not_worse >= needed and n >= max(1, fewest):
        outcome = "pass"
    low, high = interval(n, bad, alpha)
    return Gate(outcome, worse / math.log(10), not_worse / math.log(10), low, high)


def interval(n: int, bad: int, alpha: float = ALPHA) -> tuple[float, float]:
    """Shares q that the answers have not refuted: B(bad + 1/2, n - bad + 1/2) / (B(1/2, 1/2) q^bad (1 - q)^(n - bad)) < 1 / alpha.

    A mixture martingale (Robbins 1970): covers at all times at once with probability 1 - alpha. (0, 1) without answers.
    """
    if n == 0:
        return 0.0, 1.0
    height = betaln(bad + 0.5, n - bad + 0.5) - betaln(0.5, 0.5) + math.log(alpha)

    def beyond(q: float) -> float:
        return float(height - bad * math.log(q) - (n - bad) * math.log1p(-q))

    share, edge = bad / n, 1e-12
    low = 0.0 if bad == 0 or beyond(edge) < 0 else float(brentq(beyond, edge, share if bad < n else 1 - edge))
    high = 1.0 if bad == n or beyond(1 - edge) < 0 else float(brentq(beyond, share if bad else edge, 1 - edge))
    return low, high


def _evidence(n: int, bad: int, null: float, shares: NDArray[np.float64]) -> float:
    """ln of the mean over alternatives (K, 1) of the likelihood ratio of all answers together."""
    slope, offset = likelihood.coefficients(np.array([null]), shares, np.ones(1))
    return float(logsumexp((slope * bad + offset * n)[:, 0]) - math.log(len(shares)))
