"""Is the model behind a target still the one it was? Fixed tiny questions, compared with a reference: the first rounds of a release.

What is passive costs nothing: the model id and system fingerprint that replies report, and how many tokens fixed texts are counted as.
What is active needs no access either: the log probabilities of a first token (arXiv 2512.03816), and, where an endpoint tells none, the
answers to border inputs, whose likeliest tokens nearly tie (arXiv 2602.11083). Those two vary a little by themselves, so a block of
rounds is compared with the reference by an exact permutation test, question by question; blocks do not overlap.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.records.probes import Counts, Print

REFERENCE = 5
"""Rounds that others are compared with; as many make a block."""

LEVEL = 0.01
"""A question has changed where fewer splits of both blocks than this part are as far apart: at most 2 of the 252 of 5 and 5."""

Question = tuple[str, int]


def reference_of(prints: Sequence[Print]) -> list[Print]:
    """Of the first :data:`REFERENCE` rounds those in which a model answered that answered in the first of them, too.

    A model that is swapped while the reference fills does not become part of it. That holds for model ids: system fingerprints may take
    turns, as those of several servers do, and all of the first rounds count as known.
    """
    rounds = _by_round(prints)[:REFERENCE]
    first = {each.model for each in rounds[0]} if rounds else set()
    return [each for round in rounds if first & {each.model for each in round} for each in round]


def compare(reference: Sequence[Print], recent: Sequence[Print], number: int) -> dict[str, Counts]:
    """What the newest round says, as changed questions of so many.

    Args:
        reference: prints of the first :data:`REFERENCE` rounds, or as many as there are before the newest.
        recent: prints of the newest rounds after those, oldest first.
        number: of the newest round's slot; each :data:`REFERENCE`-th ends a block.

    Returns:
        Counts of ``identity`` and ``tokens``, at the end of a block also of ``logprobs`` or ``answers``.
    """
    before, after = _by_round(reference), _by_round(recent)
    if not before or not after:
        return {}
    newest = after[-1]
    names = {(each.model, each.fingerprint) for each in reference}
    lengths = {(_question(each), each.tokens_in) for each in reference}
    found = {
        "identity": _count((each.model, each.fingerprint) not in names for each in newest),
        "tokens": _count((_question(each), each.tokens_in) not in lengths for each in newest if each.tokens_in),
    }
    if number % REFERENCE == 0 and min(len(before), len(after)) >= REFERENCE:
        found |= _blocks(before, after[-REFERENCE:])
    return {category: counts for category, counts in found.items() if counts.n}


def _count(changed: Iterable[bool]) -> Counts:
    answers = list(changed)
    return Counts(len(answers), sum(answers))


def _blocks(before: Sequence[Sequence[Print]], after: Sequence[Sequence[Print]]) -> dict[str, Counts]:
    """Questions that every round of both blocks has asked, tested one by one."""
    rounds = [{_question(each): each for each in round} for round in (*before, *after)]
    common = [question for question in rounds[0] if all(question in round for round in rounds)]
    found: dict[str, list[bool]] = {"logprobs": [], "answers": []}
    for question in common:
        prints = [round[question] for round in rounds]
        told = all(each.logprobs for each in prints)
        distance = _logprob_distance(prints) if told else _answer_distance([each.answer for each in prints])
        found["logprobs" if told else "answers"].append(_p_value(len(before), len(prints), distance) <= LEVEL)
    return {category: _count(changed) for category, changed in found.items()}


def _logprob_distance(prints: Sequence[Print]) -> Callable[[NDArray[np.intp], NDArray[np.intp]], float]:
    """Mean distance of the mean log probabilities of the tokens that any round listed; a token not listed is at its list's end."""
    tokens = sorted({token for each in prints for token, _ in each.logprobs})
    table = np.array([_row(dict(each.logprobs), tokens) for each in prints])

    def distance(one: NDArray[np.intp], two: NDArray[np.intp]) -> float:
        return float(np.abs(table[one].mean(axis=0) - table[two].mean(axis=0)).mean())

    return distance


def _row(listed: Mapping[str, float], tokens: Sequence[str]) -> list[float]:
    least = min(listed.values())
    return [listed.get(token, least) for token in tokens]


def _answer_distance(answers: Sequence[Hashable]) -> Callable[[NDArray[np.intp], NDArray[np.intp]], float]:
    """Total variation between the answers of two blocks."""

    def distance(one: NDArray[np.intp], two: NDArray[np.intp]) -> float:
        first, second = Counter(answers[i] for i in one), Counter(answers[i] for i in two)
        return sum(abs(first[each] / len(one) - second[each] / len(two)) for each in first | second) / 2

    return distance


def _p_value(split: int, rounds: int, distance: Callable[[NDArray[np.intp], NDArray[np.intp]], float]) -> float:
    """Part of all splits of the rounds into blocks of these sizes that are at least as far apart as the one that was."""
    every = np.arange(rounds)
    observed = distance(every[:split], every[split:])
    splits = [np.array(chosen) for chosen in itertools.combinations(range(rounds), split)]
    return float(np.mean([distance(chosen, np.setdiff1d(every, chosen)) >= observed - 1e-12 for chosen in splits]))


def _question(each: Print) -> Question:
    return each.item, each.repeat


def _by_round(prints: Sequence[Print]) -> list[list[Print]]:
    """Rounds in the order in which they came."""
    rounds: dict[str, list[Print]] = {}
    for each in prints:
        rounds.setdefault(each.round, []).append(each)
    return list(rounds.values())
