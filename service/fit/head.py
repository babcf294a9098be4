"""The linear heads and the topics: scikit-learn, imported when a bundle is fitted and never at run time."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from detectors.scores import LABEL_DENSITY_WEIGHT, LABEL_WEIGHT, TOPIC_WEIGHT, Head, Standard
from service.fit.collect import NONE
from service.fit.progress import Advance

FOLDS = 5
TOPIC_HEADS = 3
_INVERSE_PENALTY = 30.0
_ITERATIONS = 300
_TOLERANCE = 1e-5
_FEWEST_TOPICS, _MOST_TOPICS = 2, 300
_ROWS_FOR_CONSTANTS = 1_000
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


def fit_topics(vectors: Vectors, seed: int, count: int | None = None) -> Topics:
    """k-means on unit vectors; ``count`` None is topic_count. One thread: the order of additions must not depend on timing."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than topics
        drawn = vectors[_drawn(len(vectors), seed)]
        fitted = KMeans(count or topic_count(len(vectors)), n_init=1, random_state=seed).fit(drawn)
    centroids = np.asarray(fitted.cluster_centers_, np.float32)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    used, topic = np.unique((vectors @ centroids.T).argmax(axis=1), return_inverse=True)
    return Topics(np.ascontiguousarray(centroids[used]), topic)


def fit_label_head(vectors: Vectors, classes: NDArray[np.int64], nearest: NDArray[np.int64], seed: int, advance: Advance) -> Head:
    """Multinomial logistic regression on class labels; what is usual for a reference row is the largest logit of a fit without it.

    Args:
        vectors: (N, d) reference rows.
        classes: (N,) class of each row, at least two different ones; -1 for none.
        nearest: (N, k) each row's nearest others.
        seed: of the folds.
        advance: told after each of the FOLDS + 1 fits.

    Cost: about 20 s at 12,000 rows and 110 classes.
    """
    labelled = np.flatnonzero(classes != NONE)
    drawn = labelled[_drawn(labelled.size, seed)]
    unseen = _unseen(vectors[drawn], classes[drawn], FOLDS, seed, advance)
    weights, bias = _logistic(vectors[drawn], classes[drawn])
    advance(1)
    expected = np.asarray((vectors @ weights + bias).max(axis=1), np.float32)
    expected[drawn] = unseen  # the others were never seen
    standard = Standard.fit(LABEL_DENSITY_WEIGHT * expected[nearest].mean(axis=1) - expected)
    return Head(weights, bias, expected, LABEL_DENSITY_WEIGHT, standard, LABEL_WEIGHT)


def topic_folds(n: int) -> int:
    """Folds that give a mean and a deviation from about 1,000 of n rows.

    >>> [topic_folds(n) for n in (160, 1_600, 12_000)]
    [5, 4, 1]
    """
    return min(math.ceil(_ROWS_FOR_CONSTANTS * FOLDS / n), FOLDS)


def fit_topic_heads(vectors: Vectors, topics: Topics, seed: int, advance: Advance) -> tuple[Head, ...]:
    """Logistic regression on three partitions: the topics, k-means from another start, and k-means with twice as many clusters.

    One partition's borders lie where chance put them; the mean of three depends on it less.

    Args:
        vectors: (N, d) reference rows.
        topics: of these rows.
        seed: of the partitions and folds.
        advance: told after each of the TOPIC_HEADS * (topic_folds + 1) fits.

    Returns: no head at all where the rows do not fall into two topics.

    Cost: about 20 s at 12,000 rows, k-means included.
    """
    drawn = _drawn(len(vectors), seed)
    others = fit_topics(vectors, seed + 1), fit_topics(vectors, seed, 2 * topic_count(len(vectors)))
    partitions = [found.topic[drawn] for found in (topics, *others) if len(found.centroids) > 1]
    heads = []
    for classes in partitions:
        unseen = _unseen(vectors[drawn], classes, topic_folds(drawn.size), seed, advance)
        weights, bias = _logistic(vectors[drawn], classes)
        advance(1)
        heads.append(Head(weights, bias, None, 0.0, Standard.fit(-unseen[np.isfinite(unseen)]), TOPIC_WEIGHT / len(partitions)))
    return tuple(heads)


def _unseen(vectors: Vectors, classes: NDArray[np.int64], folds: int, seed: int, advance: Advance) -> Vectors:
    """(N,) largest logit of each row by a fit without its fold; NaN for the rows of the folds left out."""
    fold = np.random.default_rng(seed).permutation(len(vectors)) % FOLDS
    largest = np.full(len(vectors), np.nan, np.float32)
    for number in range(folds):
        inside, outside = fold != number, fold == number
        weights, bias = _logistic(vectors[inside], classes[inside])
        largest[outside] = (vectors[outside] @ weights + bias).max(axis=1)
        advance(1)
    return largest


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
