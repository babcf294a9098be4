"""The heads of the score, on clusters whose answers are known."""

import numpy as np
import pytest

from detectors.scores import LABEL_DENSITY_WEIGHT, LABEL_WEIGHT, TOPIC_WEIGHT, DensityKnn, Standard
from service.fit import head
from service.fit.head import FOLDS, TOPIC_HEADS, fit_label_head, fit_topic_heads, fit_topics, topic_folds


def clusters(rows: int, spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(rows, 12) unit vectors around six axes, and the axis of each."""
    rng = np.random.default_rng(seed)
    classes = np.arange(rows) % 6
    vectors = (np.eye(12)[classes] + spread * rng.normal(size=(rows, 12))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), classes


def test_expected_logits_are_those_of_a_fit_without_the_row() -> None:
    vectors, classes = clusters(120, spread=0.6)
    done: list[int] = []
    nearest = DensityKnn.fit(vectors).nearest
    fitted = fit_label_head(vectors, classes, nearest, 3, done.append)
    assert sum(done) == FOLDS + 1
    assert fitted.expected is not None
    for number in range(FOLDS):
        outside = np.random.default_rng(3).permutation(120) % FOLDS == number
        weights, bias = head._logistic(vectors[~outside], classes[~outside])
        np.testing.assert_allclose(fitted.expected[outside], (vectors[outside] @ weights + bias).max(axis=1), rtol=1e-5)
    raw = LABEL_DENSITY_WEIGHT * fitted.expected[nearest].mean(axis=1) - fitted.expected
    assert fitted.standard == Standard.fit(raw)
    assert fitted.share == LABEL_WEIGHT


def test_rows_without_a_label_train_nothing_and_are_still_expected() -> None:
    vectors, classes = clusters(120)
    classes[60:] = -1
    nearest = DensityKnn.fit(vectors).nearest
    fitted = fit_label_head(vectors, classes, nearest, 0, lambda done: None)
    alone = fit_label_head(vectors[:60], classes[:60], DensityKnn.fit(vectors[:60]).nearest, 0, lambda done: None)
    np.testing.assert_array_equal(fitted.weights, alone.weights)
    assert fitted.expected is not None
    np.testing.assert_allclose(fitted.expected[60:], (vectors[60:] @ fitted.weights + fitted.bias).max(axis=1), rtol=1e-5)


def test_where_classes_overlap_a_low_logit_says_little() -> None:
    rng = np.random.default_rng(1)
    axes = np.eye(12)[[0, 1, 2, 2]] + 0.2 * np.eye(12)[[0, 1, 3, 4]]
    classes = np.arange(400) % 4
    vectors = (axes[classes] + 0.15 * rng.normal(size=(400, 12))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = DensityKnn.fit(vectors[:300])
    fitted = fit_label_head(vectors[:300], classes[:300], knn.nearest, 0, lambda done: None)
    score = fitted.score(vectors[300:], knn.search(vectors[300:])[1])
    plain = -(vectors[300:] @ fitted.weights + fitted.bias).max(axis=1)
    overlapping = classes[300:] > 1

    def gap(scores: np.ndarray) -> float:
        return float((scores[overlapping].mean() - scores[~overlapping].mean()) / scores.std())

    assert 0 < gap(score) < gap(plain) - 0.2


@pytest.mark.parametrize("rows", [120, 2_400])
def test_topic_heads_are_three_that_share_one_weight(rows: int) -> None:
    vectors, _ = clusters(rows, spread=0.3)
    done: list[int] = []
    heads = fit_topic_heads(vectors, fit_topics(vectors, 0), 0, done.append)
    assert sum(done) == TOPIC_HEADS * (topic_folds(rows) + 1)
    assert len(heads) == TOPIC_HEADS
    assert sum(one.share for one in heads) == pytest.approx(TOPIC_WEIGHT)
    assert heads[2].bias.size > heads[0].bias.size
    assert not np.array_equal(heads[0].weights, heads[1].weights)
    fresh, _ = clusters(rows, spread=0.3, seed=9)
    for one in heads:  # constants of rows not seen in training
        assert abs(one.standard(one.score(fresh, np.zeros((rows, 1), np.int64))).mean()) < 0.5


def test_rows_that_are_all_alike_have_no_topic_head() -> None:
    vectors = np.repeat(clusters(1)[0], 50, axis=0)
    assert fit_topic_heads(vectors, fit_topics(vectors, 0), 0, lambda done: None) == ()
