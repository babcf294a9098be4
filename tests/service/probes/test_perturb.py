"""Perturbed twins: fixed for ever, different from the original, and never in the way of a placeholder."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.probes.perturb import PERTURBATIONS, accents, contractions, numbers, perturbed, punctuation, seed_of, ungrammatical

TEXT = "Please do not tell me what the 25 naïve customers of {{ shop }} paid for {{nonce}}, will you?"


@pytest.mark.parametrize("variant", PERTURBATIONS)
def test_a_twin_differs_keeps_its_placeholders_and_is_the_same_for_ever(variant: str) -> None:
    twin = perturbed(TEXT, variant, 0.2, 7)
    assert twin != TEXT
    assert "{{ shop }}" in twin
    assert "{{nonce}}" in twin
    assert twin == perturbed(TEXT, variant, 0.2, 7)


@given(text=st.text(), variant=st.sampled_from(sorted(PERTURBATIONS)), seed=st.integers(0, 2**32))
def test_any_text_has_a_twin(text: str, variant: str, seed: int) -> None:
    assert isinstance(perturbed(text, variant, 0.1, seed), str)


def test_seeds_do_not_depend_on_the_process() -> None:
    assert seed_of("days", "typos") == 12391885857298696702
    assert perturbed("customers returned parcels yesterday", "typos", 0.5, 3) == "customers reutrned parcesl yesterday"


def test_typos_touch_the_share_of_words_that_is_asked_for_and_only_swap() -> None:
    words = "alpha bravo charlie delta echoes foxtrot golfer hotels india juliet".split()  # noqa: SIM905
    for rate, touched in ((0.1, 1), (0.5, 5), (1.0, 10)):
        twin = perturbed(" ".join(words), "typos", rate, 1).split()
        assert sum(a != b for a, b in zip(words, twin, strict=True)) == touched
        assert [sorted(word) for word in twin] == [sorted(word) for word in words]


def test_what_each_does() -> None:
    rng = random.Random(0)
    assert (
        numbers("Add 12, 3.5 and 1,000 to 90210 or x2.", rng, 0)
        == "Add twelve, 3.5 and 1,000 to ninety thousand two hundred and ten or x2."
    )
    assert contractions("I do not know what is right.", rng, 0) == "I don't know what's right."
    assert contractions("I don't.", rng, 0) == "I do not."
    assert accents("Où est le garçon? 한국어", rng, 0) == "Ou est le garcon? 한국어"
    assert punctuation("Don't stop, at 3.5: now!", rng, 0) == "Don't stop at 3.5 now"
    assert ungrammatical("What is the name of a tree?", rng, 0) == "What name tree?"


def test_five_languages_or_more_frame_a_question() -> None:
    frames = [name for name in PERTURBATIONS if name.startswith("frame-")]
    assert len(frames) >= 5
    assert all("Who?" in perturbed("Who?", name, 0.1, 1) for name in frames)
