"""The mergeable summary of one window: integers only, so that the sum does not depend on who adds first."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

P_VALUE_EDGES = np.array([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
"""Inner edges of the p-value histogram: bin i holds edges[i-1] < p <= edges[i]; 15 bins."""

BINS = len(P_VALUE_EDGES) + 1

_EDGES = P_VALUE_EDGES.astype(np.float32)  # p-values are float32: an edge must round as they do, or p = 0.05 lands one bin off its flag


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


def sketch_groups(
    group: NDArray[np.int64],
    groups: int,
    *,
    p_value: NDArray[np.float32],
    strange: NDArray[np.bool_],
    far: NDArray[np.bool_],
    topic: NDArray[np.int32],
    tokens: NDArray[np.int32],
    characters: NDArray[np.integer],
    truncated: NDArray[np.bool_],
    topics: int,
) -> list[Sketch]:
    """Summarise B scored prompts by group, in one pass of ``bincount``.

    Args:
        group: (B,) int64, group of each prompt, 0 <= group < groups.
        groups: number of sketches to make; a group without prompts gets a sketch of zeros.
        p_value: (B,) float32 in (0, 1].
        strange: (B,) bool, p <= 0.05.
        far: (B,) bool, p <= 0.01.
        topic: (B,) int32, -1 <= topic < topics; -1 is counted in the last of the topics + 1 bins.
        tokens: (B,) integer, tokens after truncation.
        characters: (B,) integer, length of the text.
        truncated: (B,) bool.
        topics: number of reference topics K.

    Returns:
        ``groups`` sketches, in order of group.

    Raises:
        ValueError: arrays of different length, or a group or topic out of range.

    Cost: about 0.2 microseconds a prompt and 5 microseconds a group.

    >>> one = dict(p_value=np.float32([0.004, 0.6]), strange=np.array([True, False]), far=np.array([True, False]))
    >>> one |= dict(topic=np.int32([-1, 1]), tokens=np.int32([3, 4]), characters=np.int32([9, 16]), truncated=np.zeros(2, bool))
    >>> [(s.n, s.strange, s.tokens, s.topics.tolist()) for s in sketch_groups(np.array([1, 1]), 2, topics=2, **one)]
    [(0, 0, 0, [0, 0, 0]), (2, 1, 7, [0, 1, 1])]
    """
    columns = {
        "p_value": p_value,
        "strange": strange,
        "far": far,
        "topic": topic,
        "tokens": tokens,
        "characters": characters,
        "truncated": truncated,
    }
    for name, column in columns.items():
        if column.shape != group.shape:
            raise ValueError(f"{name} has shape {column.shape}, group has {group.shape}")
    if group.size and not (group.min() >= 0 and group.max() < groups):
        raise ValueError(f"group must lie in [0, {groups})")
    if topic.size and not (topic.min() >= -1 and topic.max() < topics):
        raise ValueError(f"topic must lie in [-1, {topics})")
    bins = np.searchsorted(_EDGES, p_value, side="left").astype(np.int64)
    histogram = np.bincount(group * BINS + bins, minlength=groups * BINS).reshape(groups, BINS)
    place = np.where(topic < 0, topics, topic).astype(np.int64)
    occupancy = np.bincount(group * (topics + 1) + place, minlength=groups * (topics + 1)).reshape(groups, topics + 1)
    counts = np.bincount(group, minlength=groups).tolist()
    # Weighted bincount sums in float64, which is exact for integers below 2**53.
    sums = [
        np.bincount(group, weights=c, minlength=groups).astype(np.int64).tolist() for c in (strange, far, truncated, tokens, characters)
    ]
    return [Sketch(*row) for row in zip(counts, *sums, histogram, occupancy, strict=True)]
