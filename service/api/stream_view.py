"""What every stream on the page has in common: evidence against thresholds, and a history to draw."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class History:
    """The newest windows of one stream that had prompts (of probes: rounds), oldest first; all arrays of shape (W,).

    Attributes:
        start: int64, window start, seconds since the epoch.
        n, x: int64, prompts and flagged prompts.
        ticket, page: float32, log10 evidence of the two recursions.
    """

    start: NDArray[np.int64]
    n: NDArray[np.int64]
    x: NDArray[np.int64]
    ticket: NDArray[np.float32]
    page: NDArray[np.float32]

    @classmethod
    def empty(cls) -> "History":
        """No window yet."""
        none, never = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return cls(none, none, none, never, never)


class Tested:
    """What has evidence. ``evidence``: level -> log10; ``thresholds``: level -> log10, None where the level is not allowed."""

    __slots__ = ()
    evidence: Mapping[str, float]
    thresholds: Mapping[str, float | None]

    @property
    def level(self) -> str | None:
        """The highest level that may be reached now."""
        return next((level for level in ("page", "ticket") if self.thresholds.get(level) is not None), None)

    @property
    def nearness(self) -> float:
        """Evidence as a part of its threshold, for the highest level that may be reached; 0 where none may."""
        limit = self.thresholds[self.level] if self.level else None
        return self.evidence.get(self.level or "", 0.0) / limit if limit else 0.0
