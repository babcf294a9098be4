"""Sketches: exact, whoever adds first."""

import functools
import operator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sketch import BINS, LENGTHS, P_VALUE_EDGES, TOKEN_EDGES, Sketch, sketch_groups
from detectors.words import SESSIONS, code, count_codes

TOPICS = 3
LANGUAGES = 2
ROW = st.tuples(
    st.integers(0, 3),
    st.sampled_from([*P_VALUE_EDGES.tolist(), 0.0004, 0.03, 0.77, 1.0]),
    st.integers(-1, TOPICS - 1),
    st.integers(0, 256),
    st.booleans(),
)


def sketch(rows, groups=4):
    group, p, topic, tokens, truncated = (np.array(c) for c in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 5
    p = p.astype(np.float32)
    return sketch_groups(
        group.astype(np.int64),
        groups,
        p_value=p,
        strange=p <= 0.05,
        far=p <= 0.01,
        topic=topic.astype(np.int32),
        tokens=tokens.astype(np.int32),
        characters=5 * tokens.astype(np.int64),
        truncated=truncated.astype(bool),
        language=(tokens % LANGUAGES).astype(np.int8),
        fourier=np.stack([tokens - 128, -topic], axis=1).astype(np.int16) if rows else np.zeros((0, 2), np.int16),
        whole=np.arange(groups) % 2 == 0,
        topics=TOPICS,
        languages=LANGUAGES,
    )


def plain(s: Sketch):
    tables = (s.histogram, s.topics, s.lengths, s.languages, s.fourier)
    return s.n, s.strange, s.far, s.truncated, s.tokens, s.characters, *(table.tolist() for table in tables)


def spoken(rows):
    """The same sketches with the words of their prompts outside all topics, as workers put them in."""
    made = sketch(rows)
    for group in range(4):
        codes = [code(tokens % 5, tokens % SESSIONS) for g, _, topic, tokens, _ in rows if g == group and topic < 0]
        made[group] = replace(made[group], words=count_codes(np.array(codes, np.int64)))
    return made


@given(st.lists(ROW, max_size=60))
def test_counts_are_those_of_a_plain_loop(rows):
    for group, made in enumerate(sketch(rows)):
        mine = [r for r in rows if r[0] == group]
        p = [np.float32(r[1]) for r in mine]
        histogram, topics = [0] * BINS, [0] * (TOPICS + 1)
        for (_, _, topic, _, _), value in zip(mine, p, strict=True):
            histogram[sum(value > np.float32(edge) for edge in P_VALUE_EDGES)] += 1
            topics[topic] += 1  # -1 is the last
        lengths, languages, tokens = [0] * LENGTHS, [0] * LANGUAGES, sum(r[3] for r in mine)
        for row in mine:
            lengths[sum(row[3] > edge for edge in TOKEN_EDGES)] += 1
            languages[row[3] % LANGUAGES] += 1
        fourier = [] if group % 2 else [sum(r[3] - 128 for r in mine), sum(-r[2] for r in mine)]
        expected = (
            len(mine),
            sum(v <= np.float32(0.05) for v in p),
            sum(v <= np.float32(0.01) for v in p),
            sum(r[4] for r in mine),
            tokens,
            5 * tokens,
        )
        assert plain(made) == (*expected, histogram, topics, lengths, languages, fourier)


@given(st.lists(ROW, max_size=60))
def test_flags_agree_with_the_histogram(rows):
    for made in sketch(rows):
        assert made.far == made.histogram[:3].sum()
        assert made.strange == made.histogram[:5].sum()
        assert made.n == made.histogram.sum() == made.topics.sum() == made.lengths.sum() == made.languages.sum()


@given(st.lists(st.lists(ROW, max_size=20), min_size=1, max_size=5), st.randoms())
def test_the_sum_does_not_depend_on_who_adds_first(parts, random):
    whole = [(*plain(s), s.words.tolist()) for s in spoken([row for part in parts for row in part])]
    sketches = [spoken(part) for part in parts]
    random.shuffle(sketches)
    left = [functools.reduce(operator.add, column) for column in zip(*sketches, strict=True)]
    right = [functools.reduce(lambda a, b: b + a, column[::-1]) for column in zip(*sketches, strict=True)]
    assert [(*plain(s), s.words.tolist()) for s in left] == [(*plain(s), s.words.tolist()) for s in right] == whole


def test_sketches_of_different_bundles_never_add():
    with pytest.raises(ValueError, match="4 and 3 topics"):
        sketch([])[0] + Sketch(
            0, 0, 0, 0, 0, 0, np.zeros(BINS, np.int64), *(np.zeros(size, np.int64) for size in (3, LENGTHS, LANGUAGES, 2))
        )


@pytest.mark.parametrize(
    ("row", "message"), [((4, 0.5, 0, 1, False), "group"), ((-1, 0.5, 0, 1, False), "group"), ((0, 0.5, 3, 1, False), "topic")]
)
def test_what_is_out_of_range_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        sketch([row])
