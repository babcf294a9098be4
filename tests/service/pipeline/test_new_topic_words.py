"""What the worker counts of prompts that no topic claims, and what never leaves it."""

import dataclasses
import functools
import itertools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.words import SESSIONS, code, table
from service.ledger import wire
from service.pipeline.pending import Pending
from service.records import Batch, Part, Progress, Prompt, Span
from service.vocabulary import Vocabulary, bucket_of
from stub import StubScoring

ALLOWED = Vocabulary.fit({"refund": 90, "wallet": 80, "card": 70}, 500)


class Scoring(StubScoring):
    """A text with ``new`` in it belongs to no topic; all others to the first."""

    def vocabulary(self, model_name):
        return None if model_name == "old" else ALLOWED

    def score(self, prompts):
        outside = ["new" in prompt.text for prompt in prompts]
        return dataclasses.replace(super().score(prompts), topic=np.where(outside, -1, 0).astype(np.int32))


def prompt(text, session="s", time=0.0, slice="", model="bot"):
    return Prompt("id", text, time, model, slice, session)


def pending(prompts, parts=()):
    made, scoring = Pending(60), Scoring()
    batch = Batch(prompts, {"in/0": Span(0, len(prompts))}, {"in/0": Progress(0.0)}, parts=parts)
    made.add(batch, scoring.score(prompts) if prompts else None, scoring)
    return made


def sketches(made):
    return {key: sketch for delta in made.deltas() for key, sketch in delta.sketches.items()}


def test_only_prompts_outside_all_topics_that_name_a_session_count():
    found = sketches(
        pending(
            [
                prompt("new refund for my wallet, refund", "a"),
                prompt("new refund", "b"),
                prompt("refund of a known topic", "c"),
                prompt("new refund of nobody", ""),
                prompt("new wallet a minute later", "a", 60.0),
                prompt("new wallet of an old bundle", "a", model="old"),
            ]
        )
    )
    first, second, old = (
        next(s for k, s in found.items() if (k.model_name, k.window) == at) for at in (("bot", 0), ("bot", 60), ("old", 0))
    )
    expected = np.zeros((4, SESSIONS), np.int64)
    for word in (-1, 0, 1):
        expected[word + 1, bucket_of("a")] += 1
    for word in (-1, 0):
        expected[word + 1, bucket_of("b")] += 1
    assert np.array_equal(table(first.words, 3), expected)
    assert second.words.tolist() == [[code(-1, bucket_of("a")), code(1, bucket_of("a"))], [1, 1]]
    assert old.words.shape == (2, 0)


def test_slices_carry_no_words():
    found = sketches(pending([prompt("new refund", slice="acme"), prompt("new refund", slice="acme")]))
    assert {key.slice: sketch.words.shape[1] for key, sketch in found.items()} == {"": 2, "acme": 0}


TEXTS = st.lists(st.sampled_from(["new refund", "new wallet card", "card", "new", "new card refund"]), min_size=1, max_size=24)


@given(TEXTS, st.data())
def test_any_batches_and_parts_add_to_the_same_words(texts, data):
    prompts = [prompt(text, f"s{i % 7}", 40.0 * i) for i, text in enumerate(texts)]
    cut = sorted(data.draw(st.lists(st.integers(0, len(prompts)), max_size=4)))
    bounds = [0, *cut, len(prompts)]
    pieces = [prompts[a:b] for a, b in itertools.pairwise(bounds) if b > a]
    parts = [Part(a, b, f"post {a}") for a, b in itertools.pairwise(bounds) if b > a]
    whole = {key: sketch.words.tolist() for key, sketch in sketches(pending(prompts)).items()}
    apart = [sketches(pending(piece)) for piece in reversed(pieces)]
    keyed = [dict(delta.sketches) for delta in pending(prompts, parts).deltas()]
    for made in (apart, keyed):
        total = {key: functools.reduce(operator.add, [one[key] for one in made if key in one]).words.tolist() for key in whole}
        assert total == whole


@pytest.mark.parametrize("word", ["zorblatt", "4111222233334444", "anna@example.org", "wallets"])
def test_a_word_outside_the_list_never_leaves_the_worker(word):
    made = pending([prompt(f"new {word} refund", f"{word}-session {i}") for i in range(50)])
    written = b"".join(wire.append(made.deltas(), made.report("w", 0.0, {})))
    assert b'"words"' in written
    assert word.encode() not in written
    assert b"session" not in written
    assert b"refund" not in written, "even words of the list travel as numbers"
