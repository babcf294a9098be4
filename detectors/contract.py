"""What every sequential detector takes and gives.

Every array has a leading stream axis of length S: streams in production, runs in simulation.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[np.generic]]
"""Plain arrays, among them ``version``; saved without pickle."""


@dataclass(frozen=True, slots=True)
class Windows:
    """One closed window of each of S streams.

    Attributes:
        n: (S,) int64, prompts counted; 0 means an empty window, which updates nothing.
        x: (S,) int64, flagged among them, 0 <= x <= n.
    """

    n: NDArray[np.int64]
    x: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector says after a window.

    Attributes:
        log10_ticket, log10_page: (S,) float64, log10(max(M / r, 1)) of the two recursions *before* a crossing consumes it.
        ticket, page: (S,) bool, whether that recursion crossed in this window (its M is 0 again afterwards).
    """

    log10_ticket: NDArray[np.float64]
    log10_page: NDArray[np.float64]
    ticket: NDArray[np.bool_]
    page: NDArray[np.bool_]


class Detector(Protocol):
    """One question asked of a stream of windows. Pure: no clock, no I/O, no randomness."""

    def update(self, windows: Windows) -> Evidence:
        """Take one closed window of every stream."""
        ...

    def snapshot(self) -> State:
        """Everything needed to go on, as plain arrays."""
        ...

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`; raises ValueError for an unknown version."""
        ...


def require_version(state: State, version: int, owner: str) -> None:
    """Raise ValueError unless ``state`` was written by this version of ``owner``."""
    found = int(state["version"].item())
    if found != version:
        raise ValueError(f"{owner} state has version {found}, this program reads version {version}")


def require_finite(state: State) -> None:
    """Raise ValueError where an array of ``state`` holds a number that is not finite."""
    for name, array in state.items():
        if np.asarray(array).dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
