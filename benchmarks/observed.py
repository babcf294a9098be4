"""What opponents see of a stream: one number a window and detector, worked out once and judged at any threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.sparse import csr_array
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score

from benchmarks.texts import Pool, Rows
from benchmarks.worlds import DAY

HOUR = 60
BINS, SMALLEST_SHARE = 10, 1e-4
EMBEDDINGS = 1000
FAST, SLOW = 0.0336, 0.0101
"""Forgetting factors that the error bound of NEWMA's authors prefers for windows of 50."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What detectors see of W windows: flagged prompts, mean score, PSI, KS distance, NEWMA's statistic, all (W,); auc (W / 60,).

    ``centre`` (W, d): mean embeddings, (W, 0) where nobody wants them; ``mmd``: their statistic in benchmarks/alibi_mmd.py, 0 before.
    """

    flagged: NDArray[np.int64]
    mean: Values
    psi: Values
    ks: Values
    newma: Values
    auc: Values
    centre: NDArray[np.float32]
    mmd: Values


class Observer:
    """Turns rows into what detectors see, against the reference of a learning period."""

    def __init__(self, pool: Pool, learned: Rows, rng: np.random.Generator, centres: bool = False) -> None:
        self.pool, self._rng, self._centres = pool, rng, centres
        weight = np.bincount(learned.ravel(), minlength=pool.score.size) / learned.size
        order = np.argsort(pool.score, kind="stable")
        self._rank = np.empty(order.size, np.int32)
        self._rank[order] = np.arange(order.size)
        self._upto = np.cumsum(weight[order])
        self._below = self._upto - weight[order]
        self._bin = np.minimum((self._below[self._rank] * BINS).astype(np.int64), BINS - 1)
        self._expected = np.bincount(self._bin, weights=weight, minlength=BINS)
        self._centre = (weight @ pool.features).astype(np.float32)
        self._reference = pool.vectors[rng.choice(learned.ravel(), EMBEDDINGS)]

    def see(self, rows: Rows, auc_from: int = 0) -> Seen:
        """Summaries of (W, 200) rows; NEWMA starts from the reference mean, auc is 0 in the hours before ``auc_from``."""
        parts, state = [], np.repeat(self._centre[None], 2, axis=0)
        for start in range(0, len(rows), DAY):
            piece = rows[start : start + DAY]
            newma, state = self._newma(piece, state)
            parts.append((self.pool.flag[piece].sum(axis=1), self.pool.score[piece].mean(axis=1), self._psi(piece), self._ks(piece), newma))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        auc = np.zeros(len(rows) // HOUR)
        for hour in range(auc_from, auc.size):
            auc[hour] = self._auc(rows[hour * HOUR : (hour + 1) * HOUR])
        return Seen(
            *columns, auc=auc, centre=self.centre(rows) if self._centres else np.zeros((len(rows), 0), np.float32), mmd=0 * columns[1]
        )

    def centre(self, rows: Rows) -> NDArray[np.float32]:
        """(W, d) mean embeddings of (W, 200) rows."""
        return np.asarray(_mean_rows(rows, len(self.pool.score)) @ self.pool.vectors)

    def _psi(self, rows: Rows) -> Values:
        index = np.arange(len(rows))[:, None] * BINS + self._bin[rows]
        share = np.bincount(index.ravel(), minlength=len(rows) * BINS).reshape(-1, BINS) / rows.shape[1]
        share = np.maximum(share, SMALLEST_SHARE)
        return np.asarray(((share - self._expected) * np.log(share / self._expected)).sum(axis=1))

    def _ks(self, rows: Rows) -> Values:
        rank = np.sort(self._rank[rows], axis=1)
        step = np.arange(rows.shape[1] + 1) / rows.shape[1]
        above, below = step[1:] - self._upto[rank], self._below[rank] - step[:-1]
        return np.asarray(np.maximum(above.max(axis=1), below.max(axis=1)))

    def _newma(self, rows: Rows, state: NDArray[np.float32]) -> tuple[Values, NDArray[np.float32]]:
        means = _mean_rows(rows, len(self.pool.score)) @ self.pool.features
        followed = [lfilter([f], [1, f - 1], means, axis=0, zi=((1 - f) * z)[None])[0] for f, z in zip((FAST, SLOW), state, strict=True)]
        return np.linalg.norm(followed[0] - followed[1], axis=1), np.stack([path[-1] for path in followed])

    def _auc(self, rows: Rows) -> float:
        current = self.pool.vectors[self._rng.choice(rows.ravel(), EMBEDDINGS)]
        data = np.concatenate([self._reference, current])
        target = np.repeat([1, 0], EMBEDDINGS)
        order = self._rng.permutation(len(data))
        train, test = order[:EMBEDDINGS], order[EMBEDDINGS:]
        model = SGDClassifier(loss="log_loss", random_state=42).fit(data[train], target[train])
        return float(roc_auc_score(target[test], model.decision_function(data[test])))


def _mean_rows(rows: Rows, size: int) -> csr_array:
    """(W, size) weights that take the mean of each window's rows."""
    start = np.arange(0, rows.size + 1, rows.shape[1])
    return csr_array((np.full(rows.size, 1 / rows.shape[1], np.float32), rows.ravel(), start), shape=(len(rows), size))
