"""What the stream benchmarks work out side by side is what the detectors say one by one."""

import numpy as np
import pytest

from benchmarks.embedding_nulls import DAY, RATES, Bets, Recursions
from detectors.embedding_baseline import HOURS, EmbeddingLearner
from detectors.embedding_shift import EmbeddingShift
from detectors.features import FEATURES
from detectors.sketch import FIXED_POINT

HOUR = 60


def windows(rng: np.random.Generator, count: int, apart: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    n = rng.integers(150, 250, count)
    mean = 0.2 * np.sin(np.arange(FEATURES)) + apart * np.cos(np.arange(FEATURES))
    noise = np.sqrt(n / 2)[:, None] * rng.normal(size=(count, FEATURES))
    return n, np.rint(FIXED_POINT * (n[:, None] * mean + noise)).astype(np.int64)


@pytest.mark.parametrize("apart", [0.0, 0.05])
def test_days_of_embeddings_give_the_evidence_of_the_detector(apart):
    rng, learner = np.random.default_rng(1), EmbeddingLearner()
    for week in range(3):
        for hour in range(HOURS):
            for n, sums in zip(*windows(rng, 15), strict=True):
                learner.add(week, hour, int(n), sums)
    baseline = learner.fit(0.002)
    hour = np.arange(DAY) // HOUR
    n, sums = windows(rng, DAY, apart)
    bets, shift = Bets(baseline), EmbeddingShift.fit(baseline, *RATES)
    ratios, recursions = bets.increments(hour, n, sums), Recursions(bets.weights[None])
    crossings = 0
    for minute in range(DAY):
        said = shift.update(int(hour[minute]), int(n[minute]), sums[minute])
        loose, page = recursions.update(minute, ratios[minute][None])[:, 0]
        assert (bool(loose), bool(page)) == (bool(said.ticket[0]), bool(said.page[0])), minute
        crossings += int(said.ticket[0])
    assert (crossings > 10) == (apart > 0)
