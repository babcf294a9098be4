"""Words of a new topic: counts that add exactly, and nothing shown that few prompts or sessions hold."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.words import (
    FEWEST_PROMPTS,
    FEWEST_SESSIONS,
    NO_WORDS,
    SESSIONS,
    SHOWN,
    add_counts,
    code,
    count_codes,
    table,
    telling,
)

WORDS = 6
CODES = st.lists(st.builds(code, st.integers(-1, WORDS - 1), st.integers(0, SESSIONS - 1)), max_size=40)


def counted(codes):
    return count_codes(np.array(codes, np.int64))


@given(st.lists(CODES, max_size=6), st.randoms())
def test_counts_of_any_parts_in_any_order_are_those_of_the_whole(parts, random):
    whole = counted([one for part in parts for one in part])
    made = [counted(part) for part in parts]
    random.shuffle(made)
    for order in (made, made[::-1]):
        assert np.array_equal(functools.reduce(add_counts, order, NO_WORDS), whole)


@given(CODES)
def test_a_table_holds_every_prompt_and_word(codes):
    dense = table(counted(codes), WORDS)
    assert dense.shape == (WORDS + 1, SESSIONS)
    assert {(w, b): codes.count(code(w - 1, b)) for w in range(WORDS + 1) for b in range(SESSIONS)} == {
        (w, b): dense[w, b] for w in range(WORDS + 1) for b in range(SESSIONS)
    }
    assert np.array_equal(table(np.concatenate((counted(codes), counted(codes)), axis=1), WORDS), 2 * dense)


def test_words_that_are_not_of_the_list_are_left_out():
    assert table(counted([code(0, 3), code(9, 3), -5]), 2).sum() == 1


def after(*words, prompts=200):
    """A table of (prompts, sessions) of each word."""
    made = np.zeros((len(words) + 1, SESSIONS), np.int64)
    for row, (count, sessions) in enumerate([(prompts, SESSIONS), *words]):
        made[row, :sessions] = count // sessions
        made[row, 0] += count - made[row].sum()
    return made


ROWS = np.array([20, 20, 4000, 30])
BEFORE = np.array([10_000, 20, 20, 4000, 30])


def test_words_more_frequent_than_usual_are_told_the_surest_first():
    found = telling(after((40, 9), (90, 9), (80, 16), (0, 1)), BEFORE, ROWS, 10_000)
    assert found == [1, 0], "the third is as frequent as it always was, the fourth is not there"


@pytest.mark.parametrize(
    ("prompts", "sessions", "shown"),
    [
        (FEWEST_PROMPTS, FEWEST_SESSIONS, True),
        (FEWEST_PROMPTS - 1, FEWEST_SESSIONS, False),
        (FEWEST_PROMPTS, FEWEST_SESSIONS - 1, False),
        (150, FEWEST_SESSIONS - 1, False),
    ],
)
def test_a_word_of_few_prompts_or_sessions_is_not_told(prompts, sessions, shown):
    assert (telling(after((prompts, sessions), (0, 1), (0, 1), (0, 1)), BEFORE, ROWS, 10_000) == [0]) is shown


def test_without_anything_seen_before_the_reference_is_what_is_usual():
    assert telling(after((60, 9), (0, 1), (80, 16), (0, 1)), np.zeros(5, np.int64), ROWS, 10_000) == [0]


def test_at_most_a_few_words_and_none_of_no_prompts():
    many = after(*[(50 + i, 9) for i in range(12)])
    assert telling(many, np.zeros(13, np.int64), np.full(12, 10), 10_000) == [11, 10, 9, 8, 7][:SHOWN]
    assert telling(np.zeros((5, SESSIONS), np.int64), np.zeros(5, np.int64), ROWS, 10_000) == []


def test_of_usual_prompts_chance_tells_no_word():
    rng = np.random.default_rng(3)
    share = 0.3 / np.arange(1, 501)
    told = 0
    for _ in range(200):
        words = [np.concatenate(([n], rng.binomial(n, share))) for n in (400, 4000)]
        spread = rng.multinomial(words[0], np.full(SESSIONS, 1 / SESSIONS))
        told += bool(telling(spread, words[1], rng.binomial(20_000, share), 20_000))
    assert told <= 4


@given(st.data())
def test_any_counts_give_words_that_may_be_shown(data):
    size = data.draw(st.integers(0, 5))
    cells = st.integers(0, 10**6)
    spread = np.array(data.draw(st.lists(cells, min_size=size * SESSIONS, max_size=size * SESSIONS)), np.int64).reshape(size, SESSIONS)
    spread = np.concatenate((spread.max(axis=0, keepdims=True) if size else np.zeros((1, SESSIONS), np.int64), spread))
    before = np.array(data.draw(st.lists(cells, min_size=size, max_size=size)), np.int64)
    before = np.concatenate(([before.max(initial=0)], before))
    rows = np.array(data.draw(st.lists(st.integers(0, 1000), min_size=size, max_size=size)), np.int64)
    with np.errstate(all="raise", under="ignore"):
        found = telling(spread, before, rows, 1000)
    assert all(spread[1 + word].sum() >= FEWEST_PROMPTS and (spread[1 + word] > 0).sum() >= FEWEST_SESSIONS for word in found)
