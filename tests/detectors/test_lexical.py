import numpy as np

from detectors.lexical import DIMENSION, FEWEST_SOURCES, Lexicon, shared_tokens
from detectors.scores import Lexical


def flat(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([token for row in rows for token in row], np.int32), np.array([len(row) for row in rows], np.int32)


def drawn(rng: np.random.Generator, n: int, tokens: int = 40) -> list[list[int]]:
    return [rng.integers(0, tokens, rng.integers(1, 9)).tolist() for _ in range(n)]


def test_a_token_counts_when_enough_sources_hold_it() -> None:
    rows = [[7, 7, 1], [7, 2], [1, 7], [7], [7, 3], [1], [1, 3], [1]]
    everyone = np.arange(8)
    assert FEWEST_SOURCES == 5
    assert shared_tokens(*flat(rows), everyone, []).tolist() == [1, 7]
    assert shared_tokens(*flat(rows), everyone, [1]).tolist() == [7]
    two_of_one = np.array([0, 0, 2, 3, 4, 5, 6, 7])
    assert shared_tokens(*flat(rows), two_of_one, []).tolist() == [1]
    assert shared_tokens(*flat([[1, 1, 1, 1, 1]]), np.arange(1), []).size == 0


def test_vectors_are_the_definition_row_by_row() -> None:
    rng = np.random.default_rng(0)
    rows, embeddings = drawn(rng, 60), rng.normal(size=(40, 12)).astype(np.float32)
    tokens = np.array([1, 2, 5, 8, 13, 21, 34], np.int32)
    lexicon = Lexicon.fit(embeddings, tokens, *flat(rows))
    assert lexicon.table.shape == (7, 12)
    np.testing.assert_array_equal(lexicon.table, lexicon.table.astype(np.float16))

    def unit(vector: np.ndarray) -> np.ndarray:
        return vector / max(np.linalg.norm(vector), 1e-9)

    # All axes are kept where the embeddings have no more than DIMENSION: the projection is a rotation and changes no angle.
    centred = embeddings - embeddings.mean(axis=0)
    bags = [unit(sum((centred[token] for token in row if token in tokens), np.zeros(12))) for row in rows]
    expected = np.array([unit(bag - np.mean(bags, axis=0)) for bag in bags])
    found = lexicon.vectors(*flat(rows))
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_only_the_tokens_that_count_are_seen_and_their_order_is_not() -> None:
    rng = np.random.default_rng(1)
    lexicon = Lexicon.fit(rng.normal(size=(40, 12)).astype(np.float32), np.array([3, 4, 5], np.int32), *flat(drawn(rng, 50)))
    one, same, other, none, empty = lexicon.vectors(*flat([[3, 4, 4], [39, 4, 0, 3, 4], [3, 4], [0, 39], []]))
    np.testing.assert_allclose(one, same, atol=1e-6)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(none, -lexicon.mean / np.linalg.norm(lexicon.mean), atol=1e-6)
    np.testing.assert_array_equal(none, empty)
    assert lexicon.vectors(*flat([])).shape == (0, 12)


def test_rows_that_share_all_their_words_say_nothing() -> None:
    """What rounding leaves is not taken for a difference: no prompt is strange by it."""
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(40, 12)).astype(np.float32)
    rows = [[3, 4, 5], [5, 4, 3]] * 30
    lexicon = Lexicon.fit(embeddings, np.array([3, 4, 5], np.int32), *flat(rows))
    term = Lexical.fit(lexicon.vectors(*flat(rows)), np.array([rng.permutation(60)[:7] for _ in range(60)]))
    asked = lexicon.vectors(*flat([[3], [4, 4, 5], [3, 4, 5], [0]]))
    assert np.abs(term.weight * term.standard(term.score(asked, np.tile(np.arange(7), (4, 1))))).max() < 0.05


def test_the_projection_keeps_what_differs_most() -> None:
    rng = np.random.default_rng(2)
    rows, width = drawn(rng, 400, tokens=600), DIMENSION + 40
    spread = np.where(np.arange(width) < DIMENSION, 1.0, 0.01)
    embeddings = (rng.normal(size=(600, width)) * spread).astype(np.float32)
    tokens = np.arange(600, dtype=np.int32)
    lexicon = Lexicon.fit(embeddings, tokens, *flat(rows))
    assert lexicon.table.shape == (600, DIMENSION)
    whole = embeddings - embeddings.mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(lexicon.table, axis=1), np.linalg.norm(whole, axis=1), rtol=0.02)
