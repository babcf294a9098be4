"""How strange a prompt is beside the fine-tuning set: density-corrected nearest neighbours, and linear heads.

The numpy reference of what the scorer graph computes, and the constants that are fitted on the reference alone. Sources:
k-nearest-neighbour
distance on unit features, Sun et al., ICML 2022; the local density subtracted from it follows the idea of the local outlier factor,
Breunig et al.,
SIGMOD 2000; the max logit, Hendrycks et al., ICML 2022, and what is subtracted from it likewise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

DENSITY_WEIGHT = 0.8
"""Weight of the neighbours' own mean distance. One rule for all sets.

This and the weights below were chosen on held-out intents and a validation split, never on a test split.
"""

LABEL_WEIGHT = 0.4
"""Weight of a head trained on class labels, against 1 - weight for the distance."""

TOPIC_WEIGHT = 0.3
"""Weight of the heads trained on topics, together."""

LABEL_DENSITY_WEIGHT = 0.4
"""Weight of the neighbours' own mean largest logit, for a head trained on class labels: where classes overlap, every largest logit is low.

Heads trained on topics gain too little by it.
"""

_BLOCK = 1024
_SIMILARITIES = 1 << 24
"""Most similarities held at once: 64 MB, and twice that for their order."""

_SMALLEST_DEVIATION = 1e-6

Vectors = NDArray[np.float32]


def neighbours(n: int) -> int:
    """k for n reference rows: sqrt(n) / 4, at least 5, at most 30, and fewer than n.

    >>> [neighbours(n) for n in (4, 300, 12_000, 100_000)]
    [3, 5, 27, 30]
    """
    return min(max(min(round(math.sqrt(n) / 4), 30), 5), n - 1)


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and deviation of a raw score over the reference, each row scored by a fit that has not seen it."""

    mean: float
    deviation: float

    @classmethod
    def fit(cls, scores: NDArray[np.floating]) -> Self:
        """Population mean and deviation of (n,) scores; a constant score gets a small positive deviation."""
        scores = np.asarray(scores, np.float64)
        return cls(float(scores.mean()), max(float(scores.std()), _SMALLEST_DEVIATION))

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Standardised scores, same shape."""
        return (np.asarray(scores, np.float64) - self.mean) / self.deviation


@dataclass(frozen=True, slots=True)
class DensityKnn:
    """Mean cosine distance to the k nearest reference rows, minus part of how far those rows lie from their own neighbours.

    Attributes:
        reference: (N, d) float32, unit rows.
        density: (N,) float32, mean cosine distance of each row to its k nearest others.
        nearest: (N, k) int64, those others.
        k: neighbours.
        weight: share of the neighbours' mean density that is subtracted.
        standard: mean and deviation of the score over the reference, leave-one-out.
    """

    reference: Vectors
    density: Vectors
    nearest: NDArray[np.int64]
    k: int
    weight: float
    standard: Standard

    @classmethod
    def fit(cls, reference: Vectors, *, weight: float = DENSITY_WEIGHT, progress: Callable[[int], None] | None = None) -> Self:
        """Find every reference row's neighbours among the others.

        Args:
            reference: (N, d) float32 unit rows without near duplicates, N >= 2.
            weight: share of the local density that is subtracted.
            progress: called with the number of rows done since the last call.

        Raises:
            ValueError: fewer than two rows.

        Cost: 2 N^2 d operations: about 0.1 s at 2,000 rows, 3 s at 12,000, 4 minutes at 100,000 on two cores (d = 384). Memory: 200 MB.
        """
        n = len(reference)
        if n < 2:
            raise ValueError(f"{n} reference rows have no neighbours; at least 2 are needed")
        k = neighbours(n)
        density = np.empty(n, np.float32)
        nearest = np.empty((n, k), np.int64)
        block = _block(n)
        for start in range(0, n, block):
            stop = min(start + block, n)
            similarity = reference[start:stop] @ reference.T
            similarity[np.arange(stop - start), np.arange(start, stop)] = -np.inf
            nearest[start:stop], density[start:stop] = _nearest(similarity, k)
            if progress is not None:
                progress(stop - start)
        scores = density - weight * density[nearest].mean(axis=1)
        return cls(reference, density, nearest, k, weight, Standard.fit(scores))

    def score(self, vectors: Vectors) -> Vectors:
        """(B, d) unit vectors to (B,) float32 raw scores, higher is stranger; not standardised."""
        return self.search(vectors)[0]

    def search(self, vectors: Vectors) -> tuple[Vectors, NDArray[np.int64]]:
        """The scores, and the (B, k) reference rows they come from."""
        scores = np.empty(len(vectors), np.float32)
        rows = np.empty((len(vectors), self.k), np.int64)
        block = _block(len(self.reference))
        for start in range(0, len(vectors), block):
            nearest, distance = _nearest(vectors[start : start + block] @ self.reference.T, self.k)
            scores[start : start + block] = distance - self.weight * self.density[nearest].mean(axis=1)
            rows[start : start + block] = nearest
        return scores, rows


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classifier whose largest logit is low for what belongs to no class: lower than those of the reference rows around it.

    Attributes:
        weights: (d, C) float32; bias: (C,) float32.
        expected: (N,) float32, largest logit of each reference row, by a head that has not seen it; None subtracts nothing.
        weight: share of the neighbours' mean largest logit that is subtracted.
        standard: mean and deviation of the score over the reference, out of fold.
        share: weight of the head in the combined score.
    """

    weights: Vectors
    bias: Vectors
    expected: Vectors | None
    weight: float
    standard: Standard
    share: float

    def score(self, vectors: Vectors, nearest: NDArray[np.int64]) -> Vectors:
        """(B, d) and their (B, k) nearest reference rows to (B,) float32, higher is stranger; not standardised."""
        largest = (vectors @ self.weights + self.bias).max(axis=1)
        around = 0.0 if self.expected is None else self.weight * self.expected[nearest].mean(axis=1)
        return np.asarray(around - largest, np.float32)


def combine(knn: DensityKnn, heads: Sequence[Head], vectors: Vectors) -> NDArray[np.float64]:
    """The score of a prompt: weighted sum of the standardised parts, shape (B,). Without heads the standardised distance alone."""
    raw, nearest = knn.search(vectors)
    distance = (1 - sum(head.share for head in heads)) * knn.standard(raw)
    return sum((head.share * head.standard(head.score(vectors, nearest)) for head in heads), start=distance)


def _block(n: int) -> int:
    """Rows compared with n reference rows at once."""
    return max(1, min(_BLOCK, _SIMILARITIES // n))


def _nearest(similarity: Vectors, k: int) -> tuple[NDArray[np.int64], Vectors]:
    """Columns of the k largest similarities of each row, and their mean cosine distance."""
    columns = np.argpartition(similarity, -k, axis=1)[:, -k:]
    return columns, 1 - np.take_along_axis(similarity, columns, axis=1).mean(axis=1)
