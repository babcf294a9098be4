"""Whether the model behind a target is still the same, from what fixed questions tell."""

import numpy as np

from service.canary.fingerprint import REFERENCE, compare, reference_of
from service.records.probes import Counts, Print

ITEMS = 6


def rounds(
    count: int, seed: int, *, model: str = "m1", shift: float = 0.0, noise: float = 0.01, answers: str = "", tokens: int = 7
) -> list[Print]:
    """Rounds of six questions with noisy log probabilities, or with answers drawn from letters."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        for item in range(ITEMS):
            told = () if answers else tuple((token, float(-i + shift * (i == 1) + noise * draw.normal())) for i, token in enumerate("abc"))
            answer = str(draw.choice(list(answers))) if answers else ""
            made.append(Print(f"r{seed}-{number}", f"q{item}", 0, "live", "p/s", float(number), model, "fp", tokens, answer, told))
    return made


def test_the_same_model_is_rarely_called_another() -> None:
    called = [compare(rounds(5, 1000 + i), rounds(5, i), REFERENCE)["logprobs"] for i in range(20)]
    assert sum(counts.n for counts in called) == 20 * ITEMS
    assert sum(counts.bad for counts in called) <= 4  # 2 of 252 splits are as far apart by chance


def test_a_small_change_of_the_weights_shows_in_the_log_probabilities() -> None:
    found = compare(rounds(5, 1), rounds(5, 2, shift=0.1), REFERENCE)
    assert found["logprobs"] == Counts(ITEMS, ITEMS)
    assert found["identity"] == found["tokens"] == Counts(ITEMS, 0)


def test_without_log_probabilities_answers_to_border_inputs_tell() -> None:
    assert compare(rounds(5, 1, answers="xy"), rounds(5, 2, answers="xy"), 5)["answers"].bad <= 1
    assert compare(rounds(5, 1, answers="x"), rounds(5, 2, answers="y"), 5)["answers"] == Counts(ITEMS, ITEMS)


def test_what_is_passive_needs_one_round() -> None:
    assert compare(rounds(1, 1), rounds(1, 2, model="m2", tokens=8), 1) == {
        "identity": Counts(ITEMS, ITEMS),
        "tokens": Counts(ITEMS, ITEMS),
    }
    assert compare([], rounds(1, 2), 5) == {}
    assert set(compare(rounds(5, 1), rounds(4, 2), REFERENCE)) == {"identity", "tokens"}
    assert set(compare(rounds(5, 1), rounds(9, 2), REFERENCE + 1)) == {"identity", "tokens"}


def test_a_model_swapped_while_the_reference_fills_is_no_part_of_it() -> None:
    one, two, again = rounds(2, 1), rounds(2, 2, model="m2"), rounds(3, 3)
    assert reference_of([*one, *two, *again]) == [*one, *again[:ITEMS]]
    assert reference_of([]) == []
    assert compare(reference_of([*one, *two]), two, 1)["identity"] == Counts(ITEMS, ITEMS)
