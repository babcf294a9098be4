"""The mergeable summary of one window: integers only, so that the sum does not depend on who adds first."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

P_VALUE_EDGES = np.array([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
"""Inner edges of the p-value histogram: bin i holds edges[i-1] < p <= edges[i]; 15 bins."""

BINS = len(P_VALUE_EDGES) + 1


@dataclass(frozen=True, slots=True)
class Sketch:
    """Counts of one (bundle, model, slice, window).

    Attributes:
        n: prompts; strange: p <= 0.05; far: p <= 0.01; truncated: cut at the encoder's length limit.
        tokens, characters: sums of lengths.
        histogram: (15,) int64, p-values by :data:`P_VALUE_EDGES`.
        topics: (K + 1,) int64, prompts per reference topic; the last entry is "none of these".
    """

    n: int
    strange: int
    far: int
    truncated: int
    tokens: int
    characters: int
    histogram: NDArray[np.int64]
    topics: NDArray[np.int64]

    def __add__(self, other: Self) -> "Sketch":
        """Exact sum. Raises ValueError when the numbers of topics differ: sketches of different bundles never add."""
        if self.topics.shape != other.topics.shape:
            raise ValueError(f"cannot add sketches with {self.topics.size} and {other.topics.size} topics")
        return Sketch(
            self.n + other.n,
            self.strange + other.strange,
            self.far + other.far,
            self.truncated + other.truncated,
            self.tokens + other.tokens,
            self.characters + other.characters,
            self.histogram + other.histogram,
            self.topics + other.topics,
        )
