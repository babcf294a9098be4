"""Counting crossings at several budgets, and replaying streams part by part."""

import numpy as np
import pytest

from detectors.crossings import BUDGETS, Crossings
from detectors.embedding_baseline import EmbeddingLearner
from detectors.embedding_levels import BLOCKS
from detectors.embedding_shift import EmbeddingShift
from detectors.features import FEATURES
from detectors.recursion import Recursion
from detectors.replay import Embedding, Parts, Topics, count
from detectors.sketch import FIXED_POINT
from detectors.topic_baseline import TopicBaseline
from detectors.topic_mix import TopicMix

DAYS, EVERY = 28, 4
HOUR = np.arange(24 * DAYS * EVERY) // EVERY
DAY, HOUR = HOUR // 24, HOUR % 168
DELTA = 0.001


def test_crossings_are_those_of_the_recursion() -> None:
    rng, weights = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    crossings, streams = Crossings(np.repeat(weights[:, None], 2, axis=1)), 2
    recursions = [Recursion.fit(ticket_rate=np.zeros(streams), page_rate=np.full(streams, 1 / b), weights=weights) for b in BUDGETS]
    counted = np.zeros((BUDGETS.size, streams), np.int64)
    for _ in range(3000):
        elapsed = rng.choice([0, 1, 5], (3, streams))
        ratio = np.where(elapsed > 0, rng.normal(-0.4, 1.0, (3, streams)), 0.0)
        crossings.step(ratio, elapsed)
        counted += np.array([recursion.update(ratio, elapsed).page for recursion in recursions])
    assert crossings.count.tolist() == counted.tolist()
    assert counted[-1].min() > 0


def tables(weeks: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Counts of five topics and none; the first has this share in each week."""
    rng = np.random.default_rng(seed)
    first = np.array(weeks)[DAY // 7]
    shares = np.stack([first, *(np.full(first.size, share) for share in (0.2, 0.1, 0.05, 0.02))], axis=1)
    return rng.multinomial(200, np.append(shares, 1 - shares.sum(axis=1, keepdims=True), axis=1))


def test_topics_are_replayed_against_what_the_other_weeks_teach() -> None:
    parts = Parts.cut(DAY, HOUR, 7)
    table = tables((0.1, 0.1, 0.2, 0.1))
    [found] = count([Topics(parts, table, DELTA, 0.0)], parts)
    counts = np.zeros(BUDGETS.size, np.int64)
    for span in parts.spans:
        kept = parts.others(span)
        learned = TopicBaseline.fit(table[kept], DAY[kept], HOUR[kept], DELTA)
        for level, budget in enumerate(BUDGETS):
            mix = TopicMix.fit(learned, ticket_rate=[0.0], page_rate=[1 / budget], min_effect=0.0)
            counts[level] += sum(int(mix.update(table[w : w + 1], int(HOUR[w])).page[0]) for w in range(span.start, span.stop))
    assert found[:, 0].tolist() == counts.tolist()
    assert counts[-1] > 20
    [calm] = count([Topics(parts, tables((0.1, 0.1, 0.1, 0.1)), DELTA, 0.0)], parts)
    assert calm.sum() < 20


def strayed(days: int, moved: int | None) -> tuple[np.ndarray, EmbeddingLearner]:
    """U of every window of a stream whose mean is another one in the week ``moved``."""
    rng, learner = np.random.default_rng(1), EmbeddingLearner()
    mean, other = rng.normal(0, 0.1, (2, FEATURES))
    found = []
    for day, hour in zip(DAY[: 24 * days * EVERY].tolist(), HOUR.tolist(), strict=False):
        about = mean + (0.25 * other if day // 7 == moved and day % 7 in (1, 4) else 0.0)
        sums = np.rint(FIXED_POINT * (200 * about + rng.normal(0, 0.7 * np.sqrt(200), FEATURES))).astype(np.int64)
        found.append(learner.add(day // 7, hour, 200, sums))
    return np.stack(found), learner


def test_the_embedding_is_replayed_with_the_bets_in_force() -> None:
    u, learner = strayed(DAYS, None)
    assert not np.isfinite(u[DAY == 0]).any(), "the first week has no weeks before it"
    assert [int(np.isfinite(u[:, b]).sum()) for b in range(len(BLOCKS))] == [21 * 24 * EVERY // length for length in BLOCKS]
    parts = Parts.cut(DAY + 1, HOUR, 7)
    made = Embedding(parts, u, DELTA)
    assert made.windows == 21 * 24 * EVERY
    shift = EmbeddingShift.fit(learner.fit(DELTA), 0.0, 0.001)
    assert made.weights.shape == (shift.weights.size, 4)
    [calm] = count([made], parts)
    odd, _ = strayed(DAYS, 2)
    [moved] = count([Embedding(parts, odd, DELTA)], parts)
    assert calm[-1, 0] <= 2
    assert moved[-1, 0] > calm[-1, 0] + 3


def test_the_last_count_is_the_average_of_the_recursions() -> None:
    parts = Parts.cut(DAY, HOUR, 7)
    wild, calm = (Topics(parts, tables(weeks), DELTA, 0.0) for weeks in ((0.1, 0.1, 0.2, 0.1), (0.1, 0.1, 0.1, 0.1)))
    first, second, together = (one[:, 0] for one in count([wild, calm], parts))
    assert second.sum() < together.sum() <= first.sum()
    [alone, same, both] = (one[:, 0] for one in count([wild, wild], parts))
    assert alone.tolist() == same.tolist() == both.tolist()


@pytest.mark.parametrize(("size", "many"), [(7, 4), (1, 28), (5, 6)])
def test_parts_hold_every_window_once(size: int, many: int) -> None:
    parts = Parts.cut(DAY, HOUR, size)
    at, here = parts.table()
    assert len(parts.spans) == many
    assert sorted(at[here].tolist()) == list(range(DAY.size))
    for span in parts.spans:
        assert not np.isin(DAY[parts.others(span)], DAY[span]).any()
