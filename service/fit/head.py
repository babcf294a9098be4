"""The linear head and the topics: scikit-learn, imported when a bundle is fitted and never at run time."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from detectors.scores import Head, Standard
from service.fit.progress import Advance

FOLDS = 5
_INVERSE_PENALTY = 30.0
_ITERATIONS = 300
_TOLERANCE = 1e-5
_FEWEST_TOPICS, _MOST_TOPICS = 2, 300
_ROWS = 20_000
"""Most rows a solver sees, drawn by seed; a few hundred classes need no more, and time grows with every row."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Topics:
    """K clusters of the reference.

    Attributes:
        centroids: (K, d) float32 unit rows.
        topic: (N,) int64, the nearest centroid of each reference row.
    """

    centroids: Vectors
    topic: NDArray[np.int64]


def topic_count(n: int) -> int:
    """sqrt(n), at least 2 and at most 300.

    >>> [topic_count(n) for n in (160, 12_000, 100_000)]
    [13, 110, 300]
    """
    return min(max(round(math.sqrt(n)), _FEWEST_TOPICS), _MOST_TOPICS)


def fit_topics(vectors: Vectors, seed: int) -> Topics:
    """k-means on unit vectors. One thread: the order of additions must not depend on timing."""
    from sklearn.cluster import KMeans

    with threadpool_limits(limits=1):
        fitted = KMeans(topic_count(len(vectors)), n_init=1, random_state=seed).fit(vectors[_drawn(len(vectors), seed)])
    centroids = np.asarray(fitted.cluster_centers_, np.float32)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    used, topic = np.unique((vectors @ centroids.T).argmax(axis=1), return_inverse=True)
    return Topics(np.ascontiguousarray(centroids[used]), topic)


def fit_head(vectors: Vectors, classes: NDArray[np.int64], share: float, seed: int, advance: Advance) -> Head:
    """Multinomial logistic regression on classes, with the constants of its largest logit taken out of fold.

    Args:
        vectors: (N, d) reference rows.
        classes: (N,) class of each row, at least two different ones.
        share: weight of the head in the combined score.
        seed: of the folds.
        advance: told after each of the FOLDS + 1 fits.

    Cost: about 20 s at 12,000 rows and 110 classes.
    """
    drawn = _drawn(len(vectors), seed)
    vectors, classes = vectors[drawn], classes[drawn]
    fold = np.random.default_rng(seed).permutation(len(vectors)) % FOLDS
    largest = np.empty(len(vectors), np.float32)
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        weights, bias = _logistic(vectors[inside], classes[inside])
        largest[outside] = (vectors[outside] @ weights + bias).max(axis=1)
        advance(1)
    weights, bias = _logistic(vectors, classes)
    advance(1)
    return Head(weights, bias, Standard.fit(-largest), share)


def _drawn(n: int, seed: int) -> NDArray[np.int64]:
    return np.arange(n) if n <= _ROWS else np.sort(np.random.default_rng(seed).choice(n, _ROWS, replace=False))


def _logistic(vectors: Vectors, classes: NDArray[np.int64]) -> tuple[Vectors, Vectors]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # One thread: a solver's many small products wait for each other's threads, forty times slower on a busy machine.
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # The largest logit is settled long before the last digits of the weights.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_ITERATIONS, tol=_TOLERANCE).fit(vectors, classes)
    weights, bias = np.asarray(fitted.coef_, np.float32).T, np.asarray(fitted.intercept_, np.float32)
    if bias.size == 1:  # two classes share one row of weights
        weights, bias = np.concatenate([-weights, weights], axis=1), np.concatenate([-bias, bias])
        weights, bias = weights * np.float32(0.5), bias * np.float32(0.5)
    return np.ascontiguousarray(weights), bias
