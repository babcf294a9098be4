import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.scores import DensityKnn, Head, Standard, combine, neighbours


def unit(rng: np.random.Generator, n: int, d: int = 16) -> np.ndarray:
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 4), (300, 5), (2_500, 12), (12_000, 27), (14_400, 30), (1_000_000, 30)])
def test_neighbours_follow_the_rule(n: int, k: int) -> None:
    assert neighbours(n) == k


def naive(reference: np.ndarray, x: np.ndarray, k: int, weight: float) -> float:
    """The definition, row by row."""

    def mean_distance(v: np.ndarray, others: np.ndarray) -> tuple[float, np.ndarray]:
        order = np.argsort(-(others @ v), kind="stable")[:k]
        return float(np.mean(1 - others[order] @ v)), order

    distance, nearest = mean_distance(x, reference)
    density = [mean_distance(reference[i], np.delete(reference, i, axis=0))[0] for i in nearest]
    return distance - weight * float(np.mean(density))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), n=st.integers(8, 60), weight=st.sampled_from([0.0, 0.5, 0.7]))
def test_score_is_distance_minus_weighted_density_of_the_neighbours(seed: int, n: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    reference, x = unit(rng, n), unit(rng, 3)
    knn = DensityKnn.fit(reference, weight=weight)
    expected = [naive(reference, row, knn.k, weight) for row in x]
    np.testing.assert_allclose(knn.score(x), expected, atol=2e-6)


def test_constants_are_leave_one_out() -> None:
    reference = unit(np.random.default_rng(1), 50)
    knn = DensityKnn.fit(reference)
    left_out = []
    for i in range(50):
        others = np.delete(reference, i, axis=0)
        order = np.argsort(-(others @ reference[i]))[: knn.k]
        numbers = np.delete(np.arange(50), i)[order]
        left_out.append(float(np.mean(1 - others[order] @ reference[i])) - knn.weight * float(knn.density[numbers].mean()))
    assert knn.standard.mean == pytest.approx(np.mean(left_out), abs=1e-6)
    assert knn.standard.deviation == pytest.approx(np.std(left_out), abs=1e-6)
    # Scored as if it were new, a reference row finds itself and looks closer than it is.
    assert knn.score(reference).mean() < np.mean(left_out)


def test_density_forgives_distance_where_the_reference_is_sparse() -> None:
    rng = np.random.default_rng(2)
    axis = np.eye(16, dtype=np.float32)
    dense = axis[0] + 0.05 * rng.normal(size=(60, 16)).astype(np.float32)
    sparse = axis[1] + 0.35 * rng.normal(size=(60, 16)).astype(np.float32)
    reference = np.concatenate([dense, sparse])
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    x = np.stack([axis[0] + 0.35 * rng.normal(size=16), axis[1] + 0.35 * rng.normal(size=16)]).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    corrected = DensityKnn.fit(reference, weight=0.6).score(x)
    assert corrected[0] > corrected[1]


def test_progress_counts_every_row_once() -> None:
    done: list[int] = []
    DensityKnn.fit(unit(np.random.default_rng(3), 2_500), progress=done.append)
    assert sum(done) == 2_500


def test_one_row_has_no_neighbours() -> None:
    with pytest.raises(ValueError, match="at least 2 are needed"):
        DensityKnn.fit(unit(np.random.default_rng(0), 1))


def test_identical_rows_do_not_divide_by_zero() -> None:
    reference = np.repeat(unit(np.random.default_rng(0), 1), 20, axis=0)
    knn = DensityKnn.fit(reference)
    assert np.isfinite(knn.standard(knn.score(unit(np.random.default_rng(1), 4)))).all()


def test_head_score_is_what_is_usual_around_there_minus_the_largest_logit() -> None:
    x, nearest = np.array([[1, 2, 0], [0, 0, 5]], np.float32), np.array([[0, 1], [1, 2]])
    weights, bias = np.eye(3, dtype=np.float32), np.array([0, 0, 1], np.float32)
    assert Head(weights, bias, None, 0.0, Standard(0, 1), 0.4).score(x, nearest).tolist() == [-2, -6]
    expected = np.array([2, 4, 8], np.float32)
    assert Head(weights, bias, expected, 0.5, Standard(0, 1), 0.4).score(x, nearest).tolist() == [1.5 - 2, 3 - 6]


def test_combination_weighs_the_standardised_parts() -> None:
    rng = np.random.default_rng(4)
    knn = DensityKnn.fit(unit(rng, 40))
    weights, usual = rng.normal(size=(2, 16, 3)).astype(np.float32), rng.normal(size=40).astype(np.float32)
    one = Head(weights[0], np.zeros(3, np.float32), usual, 0.4, Standard(-1.0, 2.0), 0.25)
    other = Head(weights[1], np.zeros(3, np.float32), None, 0.0, Standard(0.5, 1.0), 0.15)
    x = unit(rng, 5)
    nearest = np.argsort(-(x @ knn.reference.T), axis=1)[:, : knn.k]
    expected = 0.6 * knn.standard(knn.score(x)) + 0.25 * (one.score(x, nearest).astype(float) + 1) / 2
    expected += 0.15 * (other.score(x, nearest).astype(float) - 0.5)
    np.testing.assert_allclose(combine(knn, (one, other), x), expected, atol=1e-6)
    np.testing.assert_allclose(combine(knn, (), x), knn.standard(knn.score(x)))
    assert combine(knn, (one, other), x[:0]).shape == (0,)


def test_nearest_of_a_reference_row_leaves_it_out() -> None:
    reference = unit(np.random.default_rng(5), 30)
    similarity = reference @ reference.T
    np.fill_diagonal(similarity, -np.inf)
    knn = DensityKnn.fit(reference)
    np.testing.assert_array_equal(np.sort(knn.nearest), np.sort(np.argsort(-similarity, axis=1)[:, : knn.k]))
