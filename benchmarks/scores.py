"""Scores of others, for the same texts and embeddings: all fitted on every train row, higher is stranger.

Mean cosine distance to the 10 nearest rows, after Sun et al., ICML 2022. Mahalanobis distance, Lee et al., NeurIPS 2018, to the nearest
class mean with one covariance, or to the overall mean. Relative Mahalanobis: Ren et al., 2021. LOF: Breunig et al., SIGMOD 2000. Energy:
Liu et al., NeurIPS 2020, of a linear head like ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import hstack
from scipy.special import logsumexp
from sklearn.covariance import empirical_covariance
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import normalize

NEIGHBOURS, TFIDF_NEIGHBOURS, LOF_NEIGHBOURS = 10, 5, 20
RIDGE = 1e-6

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One set: train texts, vectors and labels, then texts and vectors of the usual rows and of each kind of strange ones."""

    texts: list[str]
    vectors: Vectors
    labels: NDArray[np.str_]
    asked: tuple[list[str], ...]
    queries: tuple[Vectors, ...]


Found = tuple[NDArray[np.floating], ...]


def knn(case: Case) -> Found:
    """Mean cosine distance to the nearest rows."""
    index = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine", algorithm="brute").fit(case.vectors)
    return tuple(index.kneighbors(query)[0].mean(axis=1) for query in case.queries)


def tfidf(case: Case) -> Found:
    """The same on words, pairs of words and pieces of three to five letters."""
    parts = [
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(case.texts),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit(case.texts),
    ]

    def rows(texts: list[str]) -> object:
        return normalize(hstack([part.transform(texts) for part in parts]).tocsr())

    index = NearestNeighbors(n_neighbors=TFIDF_NEIGHBOURS, metric="cosine", algorithm="brute").fit(rows(case.texts))
    return tuple(index.kneighbors(rows(texts))[0].mean(axis=1) for texts in case.asked)


def lof(case: Case) -> Found:
    """Local outlier factor."""
    fitted = LocalOutlierFactor(n_neighbors=LOF_NEIGHBOURS, novelty=True).fit(case.vectors)
    return tuple(-fitted.score_samples(query) for query in case.queries)


def mahalanobis(case: Case) -> Found:
    """Distance to the overall mean."""
    return tuple(_squares(query, case.vectors.mean(axis=0)[None], _whitening(case.vectors))[:, 0] for query in case.queries)


def class_mahalanobis(case: Case) -> Found:
    """Distance to the nearest class mean."""
    means, within = _classes(case)
    return tuple(_squares(query, means, within).min(axis=1) for query in case.queries)


def relative_mahalanobis(case: Case) -> Found:
    """Distance to the nearest class mean less that to the overall mean."""
    return tuple(a - b for a, b in zip(class_mahalanobis(case), mahalanobis(case), strict=True))


def energy(case: Case) -> Found:
    """Minus the log-sum-exp of a linear head's logits."""
    head = LogisticRegression(C=30.0, max_iter=300, tol=1e-5).fit(case.vectors, case.labels)
    return tuple(-logsumexp(head.decision_function(query), axis=1) for query in case.queries)


OTHERS: Mapping[str, tuple[bool, Callable[[Case], Found]]] = {
    "kNN": (False, knn),
    "TF-IDF kNN": (False, tfidf),
    "LOF": (False, lof),
    "Mahalanobis": (False, mahalanobis),
    "Mahalanobis by class": (True, class_mahalanobis),
    "relative Mahalanobis": (True, relative_mahalanobis),
    "energy of a linear head": (True, energy),
}
"""Name -> whether it needs labels, and the score."""


def _classes(case: Case) -> tuple[Vectors, NDArray[np.float64]]:
    names, index = np.unique(case.labels, return_inverse=True)
    means = np.stack([case.vectors[index == i].mean(axis=0) for i in range(names.size)])
    return means, _whitening(case.vectors - means[index])


def _whitening(vectors: Vectors) -> NDArray[np.float64]:
    """(d, d) W with W W' the inverse covariance."""
    covariance = empirical_covariance(vectors.astype(np.float64))
    return np.linalg.inv(np.linalg.cholesky(covariance + RIDGE * np.eye(len(covariance)))).T


def _squares(vectors: Vectors, means: Vectors, whitening: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, C) squared distances."""
    rows, centres = vectors @ whitening, means @ whitening
    return np.asarray((rows**2).sum(axis=1)[:, None] - 2 * rows @ centres.T + (centres**2).sum(axis=1))
