"""The tempered log likelihood ratio of a flag count, shared by the detectors of rates.

For n prompts with x flagged, null share m and alternative share q,

    log L = [x ln(q / m) + (n - x) ln((1 - q) / (1 - m))] / d,

d >= 1 the design effect: flags of one session come together, and d says how many of them are worth one. Tempering keeps E[L] <= 1
wherever it held for d = 1 (Jensen). Increments of the e-detector of Shin, Ramdas, Rinaldo, "E-detectors", arXiv 2203.03532, section 2.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.contract import Windows

RISE = np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4])
"""Shares g of strange prompts bet on: q = m + (1 - m) g."""

FALL = np.array([0.05, 0.1, 0.2, 0.4, 0.6, 0.8])
"""Relative falls bet on by the recovery test: q = m (1 - g)."""


def rising(null: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alternatives above the null, (S,) to (G, S)."""
    return np.asarray(null + (1 - null) * RISE[:, None])


def falling(null: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alternatives below the null, (S,) to (G, S)."""
    return np.asarray(null * (1 - FALL[:, None]))


def coefficients(
    null: NDArray[np.float64], alternatives: NDArray[np.float64], design_effect: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Write log L as a x + b n: null (S,), alternatives (G, S), design_effect (S,) to a and b, each (G, S)."""
    missed = np.log((1 - alternatives) / (1 - null)) / design_effect
    return np.log(alternatives / null) / design_effect - missed, missed


def shares(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """(S,) float64 in (0, 1), or ValueError."""
    array = np.array(value, np.float64)
    if array.ndim != 1 or not ((array > 0) & (array < 1)).all():
        raise ValueError(f"{name} must be a one-dimensional array of numbers in (0, 1)")
    return array


def effects(value: ArrayLike, streams: int) -> NDArray[np.float64]:
    """Design effects: (S,) float64, finite and >= 1, or ValueError."""
    array = np.array(value, np.float64)
    if array.shape != (streams,) or not ((array >= 1) & np.isfinite(array)).all():
        raise ValueError(f"design_effect must hold {streams} finite numbers >= 1")
    return array


def mask(name: str, value: NDArray[np.bool_], streams: int) -> NDArray[np.bool_]:
    """(S,) bool, or ValueError: an integer index here would silently mean something else."""
    array = np.asarray(value)
    if array.shape != (streams,) or array.dtype != np.bool_:
        raise ValueError(f"{name} must hold {streams} booleans")
    return array


def counts(windows: Windows, streams: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n and x as (S,) float64, or ValueError for a wrong shape or x outside 0..n."""
    n, x = np.asarray(windows.n), np.asarray(windows.x)
    if n.shape != (streams,) or x.shape != (streams,):
        raise ValueError(f"windows hold {n.shape} and {x.shape} counts, expected ({streams},)")
    if ((x < 0) | (x > n)).any():
        raise ValueError("flagged counts must lie between 0 and the number of prompts")
    return n.astype(np.float64), x.astype(np.float64)
