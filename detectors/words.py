"""What a new topic is about: counts of prompts by word and session that add exactly, and the words that stand out.

A prompt counts under ``code(word, bucket)`` for each different word in it that may be shown, and once under ``code(-1, bucket)`` for
itself; ``bucket`` is the hash of its session. Counts add, bitmaps of sessions do not. A word with counts in five buckets comes from five
sessions at least, whatever the hash: sessions that share a bucket are taken for one.
"""

import numpy as np
from numpy.typing import NDArray

SESSIONS = 16
"""Buckets that sessions are hashed into."""

FEWEST_PROMPTS, FEWEST_SESSIONS = 20, 5
"""A word of fewer prompts or sessions is not shown."""

SHOWN = 5
"""Words shown at most."""

STANDS_OUT = 4.0
"""Standard errors by which a word must be more frequent than usual: with 2,000 words chance reaches it in one new topic of 16."""

LEAST_RATIO = 2.0
"""Least ratio of the odds: a word that is a little more frequent tells nothing."""

PRIOR = 50
"""Usual prompts that the reference stands for beside those seen: what lay outside all topics before tells more than what lay inside."""

NO_WORDS = np.zeros((2, 0), np.int64)
NO_WORDS.flags.writeable = False
"""Counts of nothing."""


def code(word: int, bucket: int) -> int:
    """Number of a word (-1: the prompt itself) and a bucket."""
    return (word + 1) * SESSIONS + bucket


def count_codes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(2, M) int64: different codes, ascending, and how often each stands in ``codes``."""
    found, counts = np.unique(codes, return_counts=True)
    return np.stack((found, counts.astype(np.int64))) if found.size else NO_WORDS


def add_counts(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Exact sum of two (2, M) arrays of :func:`count_codes`, which does not depend on the order."""
    if not (one.shape[1] and other.shape[1]):
        return one if one.shape[1] else other
    both = np.concatenate((one, other), axis=1)
    codes, place = np.unique(both[0], return_inverse=True)
    counts = np.zeros(codes.size, np.int64)
    np.add.at(counts, place, both[1])
    return np.stack((codes, counts))


def table(counts: NDArray[np.int64], words: int) -> NDArray[np.int64]:
    """(words + 1, SESSIONS) int64: prompts by word and bucket, the first row all prompts. A code may stand in ``counts`` more than once,
    and one that is no word of the list is left out.
    """
    known = counts[:, (counts[0] >= 0) & (counts[0] < (words + 1) * SESSIONS)]
    dense = np.zeros((words + 1) * SESSIONS, np.int64)
    np.add.at(dense, known[0], known[1])
    return dense.reshape(words + 1, SESSIONS)


def telling(after: NDArray[np.int64], before: NDArray[np.int64], rows: NDArray[np.int64], total: int) -> list[int]:
    """The words that tell new prompts from usual ones, most telling first: at most :data:`SHOWN`, none that may not be shown.

    The odds that a prompt holds the word, new against usual, as a log ratio over its standard error (Woolf 1955, with Haldane's half).
    Usual are the prompts seen before, joined by :data:`PRIOR` like the reference as an informative prior (after Monroe, Colaresi &
    Quinn 2008, "Fightin' words").

    Args:
        after: (V + 1, SESSIONS), :func:`table` of the prompts since the change.
        before: (V + 1,), prompts before it that hold each word, the first entry all.
        rows: (V,), reference rows that hold each word; total: reference rows.
    """
    prompts, sessions = after.sum(axis=1), (after > 0).sum(axis=1)
    n, y = float(prompts[0]), prompts[1:].astype(np.float64)
    share = (rows + 0.5) / (max(total, 1) + 1)
    usual, held = float(before[0]) + PRIOR, before[1:] + PRIOR * share
    odds = np.log((y + 0.5) / np.maximum(n - y + 0.5, 0.5)) - np.log(held / np.maximum(usual - held, 0.5))
    error = np.sqrt(1 / (y + 0.5) + 1 / np.maximum(n - y + 0.5, 0.5) + 1 / (before[1:] + rows + 0.5))
    score = odds / error
    allowed = (prompts[1:] >= FEWEST_PROMPTS) & (sessions[1:] >= FEWEST_SESSIONS)
    found = np.flatnonzero(allowed & (odds >= np.log(LEAST_RATIO)) & (score >= STANDS_OUT))
    order: list[int] = found[np.argsort(-score[found], kind="stable")][:SHOWN].tolist()
    return order
