"""The words of a prompt as one short vector: the mean of its tokens' input embeddings, projected.

Every token counts once for each time it stands there, without inverse document frequencies: how people put a question is as telling as
what they ask about. Tokens that only few sources of the reference hold do not count at all: the score is none the worse, and names stay
out. The projection keeps the directions in which the reference's own vectors differ most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

DIMENSION = 192
"""Most numbers of a vector; chosen on development sets, as was the next."""

FEWEST_SOURCES = 5
"""Sources of the reference that must hold a token."""

_BLOCK = 4096
_SMALLEST_NORM = 1e-9
_SMALLEST_DIFFERENCE = 1e-2
"""Below that a vector is the mean but for rounding; where all rows share the same words, what is left must not be blown up."""

Vectors = NDArray[np.float32]


def shared_tokens(
    ids: NDArray[np.int32], lengths: NDArray[np.int32], source: NDArray[np.int64], silent: Sequence[int]
) -> NDArray[np.int32]:
    """Tokens that rows of at least FEWEST_SOURCES different sources hold, ascending.

    Args:
        ids: tokens of all reference rows, one row after the other.
        lengths: (N,) tokens of each row.
        source: (N,) group or cluster of each row.
        silent: tokens that are no words: beginning, end, padding.
    """
    pairs = np.unique(np.stack([ids.astype(np.int64), np.repeat(source, lengths)]), axis=1)
    tokens, sources = np.unique(pairs[0], return_counts=True)
    return np.setdiff1d(tokens[sources >= FEWEST_SOURCES], list(silent)).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What a token stands for.

    Attributes:
        tokens: (T,) int32, ascending; all others count for nothing.
        table: (T, D) float32, values of half precision.
        mean: (D,) float32, mean of the unit vectors of the reference.
    """

    tokens: NDArray[np.int32]
    table: Vectors
    mean: Vectors

    @classmethod
    def fit(cls, embeddings: Vectors, tokens: NDArray[np.int32], ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Self:
        """Choose the projection by the reference.

        Args:
            embeddings: (V, d) float32, input embeddings of the encoder's tokens.
            tokens: those that count, ascending, at least one.
            ids: tokens of all reference rows, one row after the other.
            lengths: (N,) tokens of each row.

        Cost: about 0.3 s at 12,000 short rows, d = 384.
        """
        table = (embeddings - embeddings.mean(axis=0))[tokens]
        counts = _counts(tokens, ids, lengths)
        width = embeddings.shape[1]
        total, products = np.zeros(width), np.zeros((width, width))
        for start in range(0, len(lengths), _BLOCK):
            rows = _unit(counts[start : start + _BLOCK] @ table)
            total += rows.sum(axis=0)
            products += rows.T @ rows
        covariance = products / len(lengths) - np.outer(total, total) / len(lengths) ** 2
        axes = np.linalg.eigh(covariance)[1][:, -DIMENSION:]
        short = (table @ axes.astype(np.float32)).astype(np.float16).astype(np.float32)
        return cls(tokens, short, _unit(counts @ short).mean(axis=0))

    def vectors(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Vectors:
        """Unit vectors of B texts, (B, D) float32, from their tokens one text after the other and (B,) tokens of each.

        A text that differs in nothing from the mean gets a shorter one; a text without any token that counts gets the vector that lies
        opposite the mean.
        """
        return _unit(_unit(_counts(self.tokens, ids, lengths) @ self.table) - self.mean, _SMALLEST_DIFFERENCE)


def _counts(tokens: NDArray[np.int32], ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> csr_array:
    """(B, T) float32, how often each token stands in each text."""
    place = np.minimum(np.searchsorted(tokens, ids), tokens.size - 1)
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return csr_array(((tokens[place] == ids).astype(np.float32), place, ends), shape=(len(lengths), tokens.size))


def _unit(rows: Vectors, least: float = _SMALLEST_NORM) -> Vectors:
    """Rows of unit length; those below ``least`` stay shorter."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(least)))
