from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.features import FEATURES
from service.encoder import Encoded
from service.encoder.encoder import VectorPart
from service.pipeline.bundle_scoring import BundleScoring, LoadedModel, Memo, take
from service.records import Prompt, Scores
from stub import StubScoring


class LengthEncoder:
    """Vectors that hold the text's length and first letter; counts its calls and texts."""

    def __init__(self, digest):
        self.digest = digest
        self.calls = []

    def encode(self, texts):
        self.calls.append(list(texts))
        vectors = np.array([[len(t), ord(t[0]) if t else 0] for t in texts], np.float32).reshape(-1, 2)
        order = np.arange(len(texts))[::-1]  # a real encoder sorts by length
        return Encoded([VectorPart(order, vectors[order])], vectors[:, 0].astype(np.int32), vectors[:, 0] > 20, 2)


class LetterScorer:
    """Scores from the vectors alone, shifted so that two bundles differ."""

    def __init__(self, shift):
        self.shift = shift

    def score(self, encoded):
        vectors = encoded.vectors
        score = vectors[:, 0] + 1000 * vectors[:, 1] + self.shift
        p = (1 + score % 97) / 98
        return Scores(
            score,
            p,
            p <= 0.05,
            p <= 0.01,
            (score % 5 - 1).astype(np.int32),
            encoded.tokens,
            encoded.truncated,
            np.zeros((score.size, FEATURES), np.int16),
        )


def prompts(*pairs):
    return [Prompt(str(i), text, 0.0, model) for i, (model, text) in enumerate(pairs)]


@pytest.fixture
def models():
    shared, other = LengthEncoder("e1"), LengthEncoder("e2")
    return {
        "a": LoadedModel("bundle-a", 4, shared, LetterScorer(0)),
        "b": LoadedModel("bundle-b", 4, shared, LetterScorer(7)),
        "c": LoadedModel("bundle-c", 9, other, LetterScorer(0)),
    }


def direct(models, batch):
    """Each prompt on its own."""
    return [models[p.model_name].scorer.score(models[p.model_name].encoder.encode([p.text])) for p in batch]


FIELDS = ("score", "p_value", "strange", "far", "topic", "tokens", "truncated", "fourier")
BATCHES = st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.text("xyz", min_size=1, max_size=4)), max_size=12), max_size=6)


@settings(max_examples=60, deadline=None)
@given(BATCHES, st.sampled_from([1, 8, 1000]))
def test_scores_do_not_depend_on_batches_models_or_memo(batches, memo):
    shared, other = LengthEncoder("e1"), LengthEncoder("e2")
    models = {
        "a": LoadedModel("bundle-a", 4, shared, LetterScorer(0)),
        "b": LoadedModel("bundle-b", 4, shared, LetterScorer(7)),
        "c": LoadedModel("bundle-c", 9, other, LetterScorer(0)),
    }
    scoring = BundleScoring(models, memo_bytes=memo)
    for pairs in batches:
        batch = prompts(*pairs)
        found = scoring.score(batch)
        for row, alone in enumerate(direct(models, batch)):
            for name in FIELDS:
                assert (getattr(found, name)[row] == getattr(alone, name)[0]).all()
        for name in FIELDS:
            assert getattr(found, name).shape[:1] == (len(batch),)
            assert getattr(found, name).dtype == getattr(StubScoring().score(batch), name).dtype


def test_one_encode_call_a_batch_and_encoder_and_none_for_what_is_known(models):
    scoring = BundleScoring(models)
    scoring.score(prompts(("a", "one"), ("b", "one"), ("b", "two"), ("c", "one"), ("a", "one")))
    assert models["a"].encoder.calls == [["one", "two"]]
    assert models["c"].encoder.calls == [["one"]]
    scoring.score(prompts(("a", "one"), ("b", "two"), ("b", "three")))
    assert models["a"].encoder.calls[1:] == [["three"]]
    assert len(models["c"].encoder.calls) == 1


def test_bundle_and_topics_are_the_models_own(models):
    scoring = BundleScoring(models)
    assert (scoring.bundle("b"), scoring.topics("b"), scoring.topics("c")) == ("bundle-b", 4, 9)


def test_the_memo_is_bounded_and_keeps_what_is_asked_for():
    memo, row = Memo(100), np.zeros(1, [("score", "f4")])[0]
    memo.put("kept".ljust(10), row)
    for i in range(1000):
        memo.put(f"{i:010d}", row)
        assert memo.get("kept".ljust(10)) is not None
        assert sum(map(len, memo._young)) <= 100
        assert sum(map(len, memo._old)) <= 100
    assert memo.get(f"{0:010d}") is None


def test_taking_all_rows_leaves_them_where_they_are():
    encoded = LengthEncoder("e").encode(["one", "three"])
    assert take(encoded, np.array([0, 1])) is encoded
    part = take(encoded, np.array([1]))
    assert part.vectors.tolist() == [[5.0, ord("t")]]
    assert replace(part, parts=()).tokens.tolist() == [5]


def with_shadow(models, name="a", encoder=None):
    model = models[name]
    second = LoadedModel("bundle-n", 2, encoder or model.encoder, LetterScorer(3))
    return {**models, name: replace(model, shadow=second)}, second


def test_a_shadow_with_the_same_encoder_costs_no_encoding(models):
    both, second = with_shadow(models)
    scoring, batch = BundleScoring(both), prompts(("a", "one"), ("b", "two"), ("a", "three"), ("a", "one"))
    first, found = scoring.score(batch), scoring.shadow.score(batch)
    assert models["a"].encoder.calls == [["one", "two", "three"]]
    for row, prompt in enumerate(batch):
        own = second if prompt.model_name == "a" else models[prompt.model_name]
        alone = own.scorer.score(own.encoder.encode([prompt.text]))
        for name in FIELDS:
            assert (getattr(found, name)[row] == getattr(alone, name)[0]).all()
    assert (first.score != found.score).tolist() == [True, False, True, True]
    assert (scoring.shadow.bundle("a"), scoring.shadow.topics("a"), scoring.shadow.bundle("b")) == ("bundle-n", 2, "bundle-b")


def test_a_shadow_with_its_own_encoder_is_encoded_once_by_it(models):
    other = LengthEncoder("e3")
    both, _ = with_shadow(models, encoder=other)
    scoring, batch = BundleScoring(both), prompts(("a", "one"), ("b", "two"), ("a", "one"))
    for _ in range(2):
        scoring.score(batch)
        scoring.shadow.score(batch)
    assert (models["a"].encoder.calls, other.calls) == ([["one", "two"]], [["one"]])


def test_scores_of_a_shadow_do_not_depend_on_the_memo(models):
    both, _ = with_shadow(models)
    batch = prompts(*[("a", f"text {i}") for i in range(50)])
    roomy, tight = BundleScoring(both), BundleScoring(both, memo_bytes=1)
    for scoring in (roomy, tight):
        scoring.score(batch)
    assert (roomy.shadow.score(batch).score == tight.shadow.score(batch).score).all()


def test_without_shadows_there_is_no_second_scoring(models):
    assert BundleScoring(models).shadow is None
