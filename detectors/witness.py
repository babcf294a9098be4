"""Which places a shift of the mean embedding goes towards, and which it leaves: the witness function of the MMD.

h(x) = <mean now - mean before, z(x)> / D with the features z of :mod:`detectors.features` is large where production has more prompts
than it had, and negative where it has fewer (Gretton et al., JMLR 13, 2012, section 2.3). Evaluated at the centre of each reference topic
it says in words where a stream went that no score and no single topic shows.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 3
"""Places named on either side."""

ERRORS = 2.0
"""Standard errors that a place must have gained or lost to be named."""

PART = 0.25
"""Of the strongest, on either side, that a place must have to be named: 128 random frequencies blur by up to a sixth of it."""

_EDGE = 0.01


def witness(shift: NDArray[np.float64], places: NDArray[np.floating]) -> NDArray[np.float64]:
    """(K,) float64, h at K places.

    Args:
        shift: (2D,) mean feature now minus mean feature before.
        places: (K, 2D) features of the places.

    >>> witness(np.array([0.1, 0.0]), np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist()
    [0.1, -0.1]
    """
    return np.asarray(places @ shift / (shift.size / 2), np.float64)


def directions(
    before: NDArray[np.float64], now: NDArray[np.float64], n: float, places: NDArray[np.floating]
) -> tuple[list[int], list[int]]:
    """Places that the mean moved towards and away from, the strongest first; those beyond chance only, at most :data:`MOST` each.

    The kernel at a place lies between 0 and 1, so its variance is at most m (1 - m) with m its mean (Bhatia, Davis, 2000): the standard
    error sqrt(m (1 - m) / n) is never too small for independent prompts. Cost: microseconds.

    Args:
        before, now: (2D,) mean features.
        n: prompts behind ``now``, counted as independent ones; none are named for n <= 0.
        places: (K, 2D) features.
    """
    if n <= 0 or not len(places):
        return [], []
    h, usual = witness(now - before, places), np.clip(witness(before, places), _EDGE, 1 - _EDGE)
    beyond = np.abs(h) > np.maximum(ERRORS * np.sqrt(usual * (1 - usual) / n), PART * np.abs(h).max())
    order = np.argsort(-h, kind="stable")
    towards = [i for i in order.tolist() if h[i] > 0 and beyond[i]]
    away = [i for i in order[::-1].tolist() if h[i] < 0 and beyond[i]]
    return towards[:MOST], away[:MOST]
