"""The witness names the topics that gained and lost prompts, and none when nothing has changed."""

import numpy as np

from detectors.features import Fourier
from detectors.witness import MOST, directions

DIMENSIONS, TOPICS = 32, 12


def world(seed: int = 0) -> tuple[np.random.Generator, np.ndarray, Fourier]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(TOPICS, DIMENSIONS))
    centres = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
    return rng, centres, Fourier.fit(prompts(rng, centres, np.full(TOPICS, 1 / TOPICS), 2000), seed)


def prompts(rng: np.random.Generator, centres: np.ndarray, shares: np.ndarray, n: int) -> np.ndarray:
    vectors = centres[rng.choice(len(centres), n, p=shares)] + 0.12 * rng.normal(size=(n, DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def mean(fourier: Fourier, vectors: np.ndarray) -> np.ndarray:
    return fourier.features(vectors).mean(axis=0, dtype=np.float64)


def test_a_tenth_of_the_prompts_that_moves_from_one_topic_to_another_is_named_from_both_ends() -> None:
    rng, centres, fourier = world()
    usual = np.full(TOPICS, 1 / TOPICS)
    before = mean(fourier, prompts(rng, centres, usual, 100_000))
    shares = usual.copy()
    shares[3] += 0.06
    shares[8] -= 0.06
    right = 0
    for _ in range(20):
        towards, away = directions(before, mean(fourier, prompts(rng, centres, shares, 3000)), 3000, fourier.features(centres))
        right += towards[:1] == [3] and away[:1] == [8]
    assert right == 20


def test_nothing_is_named_where_nothing_has_moved() -> None:
    rng, centres, fourier = world(1)
    usual = np.full(TOPICS, 1 / TOPICS)
    before = mean(fourier, prompts(rng, centres, usual, 200_000))
    named = [directions(before, mean(fourier, prompts(rng, centres, usual, 2000)), 2000, fourier.features(centres)) for _ in range(100)]
    assert sum(bool(towards or away) for towards, away in named) <= 40  # twelve topics, two sides, two standard errors
    shifted = mean(fourier, prompts(rng, centres, np.eye(TOPICS)[2], 2000))
    towards, away = directions(before, shifted, 2000, fourier.features(centres))
    assert towards == [2]
    assert len(away) <= 1  # all others lost a little alike, which is not worth a name; one may be blurred into the list
    halves = np.where(np.arange(TOPICS) < 6, 1 / 6, 0.0)
    towards, away = directions(before, mean(fourier, prompts(rng, centres, halves, 20_000)), 20_000, fourier.features(centres))
    assert len(towards) == len(away) == MOST
    assert max(towards) < 6 <= min(away)


def test_without_prompts_or_places_nothing_is_said() -> None:
    _, centres, fourier = world()
    at = fourier.features(centres)
    assert directions(np.zeros(at.shape[1]), np.ones(at.shape[1]), 0, at) == ([], [])
    assert directions(np.zeros(at.shape[1]), np.ones(at.shape[1]), 10, at[:0]) == ([], [])
