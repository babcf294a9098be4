"""Which kept texts to label first: clusters by how much of what is strange they stand for (greedy facility location).

Nemhauser, Wolsey & Fisher 1978: picking what covers most of the rest, again and again, is within 1 - 1/e of the best choice. Similarity is
the cosine of TF-IDF over character n-grams of the redacted texts: no encoder is at hand in a decider, and no vector is stored.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.store import Example

CLUSTERS = 100
"""Most clusters looked for."""

# Cosines: near duplicates of each other, and alike enough to be one cluster.
_SAME = 0.85
_COVERED = 0.3
_LEAST_P = 1e-4


def ranked(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """One row a text: ``text``, ``label`` (null, to be filled in), where it is from, its cluster (1: label it first), the cluster's size.

    ``gain`` is the share of all strangeness (-log10 p, summed) that the cluster adds to those before it. Within a cluster the most typical
    text comes first; near duplicates of a text before them are left out and counted in ``repeats``. Cost: about 2 s for 1,500 texts.
    """
    if not examples:
        return []
    similar = _similarity([example.text for example in examples])
    weight = -np.log10(np.maximum([example.p_value for example in examples], _LEAST_P))
    picked, gains = _pick(similar, weight)
    cluster = np.argmax(similar[picked], axis=0)
    typical = similar[np.asarray(picked)[cluster], np.arange(len(examples))]
    rows: list[dict[str, Any]] = []
    for rank, gain in enumerate(gains):
        members = np.flatnonzero(cluster == rank)
        members = members[np.argsort(-typical[members], kind="stable")]
        shown: dict[int, int] = {}
        for member in members.tolist():
            same = next((other for other in shown if similar[other, member] >= _SAME), None)
            shown[member if same is None else same] = 0 if same is None else shown[same] + 1
        rows += [_row(examples[member], rank + 1, members.size, gain, repeats) for member, repeats in shown.items()]
    return rows


def _row(example: Example, cluster: int, size: int, gain: float, repeats: int) -> dict[str, Any]:
    return {
        "text": example.text,
        "label": None,
        "model_name": example.model_name,
        "slice": example.slice,
        "time": example.time,
        "p_value": example.p_value,
        "far": example.far,
        "cluster": cluster,
        "cluster_size": size,
        "gain": round(gain, 4),
        "repeats": repeats,
    }


def _similarity(texts: Sequence[str]) -> NDArray[np.float32]:
    """(N, N) float32 cosines in [0, 1]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    except ValueError:  # nothing but characters that are no part of words
        return np.eye(len(texts), dtype=np.float32)
    similar = np.asarray((vectors @ vectors.T).todense(), np.float32)
    np.fill_diagonal(similar, 1.0)
    return similar


def _pick(similar: NDArray[np.float32], weight: NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """Texts to stand for the others, and what each adds, as a share of all; until every text is covered or there are enough.

    Only a text that none before it covers is picked: a cluster is not split while another waits.
    """
    covered = np.zeros(weight.size, np.float32)
    picked: list[int] = []
    gains: list[float] = []
    while len(picked) < CLUSTERS and (not picked or (covered < _COVERED).any()):
        gain = np.maximum(similar - covered, 0) @ weight
        best = int(np.argmax(np.where(covered < _COVERED, gain, -1.0)))
        picked.append(best)
        gains.append(float(gain[best] / weight.sum()))
        covered = np.maximum(covered, similar[best])
    return picked, gains
