"""Words that name a topic, from an allow-list that keeps rare words, names and numbers out of pages and incidents."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.redaction import GIVEN_NAMES
from service.vocabulary import WORD, Vocabulary

WORDS = 5
_FEWEST_ROWS = 10
_FEWEST_SHARE = 0.0005
_NAME_SHARE = 0.5
_SENTENCE_END = ".!?:\n\"'"
_FILLERS = frozenset(
    """
    able did does doing got just know let like look make need okay please really right say sure tell thank thanks things " "think
    try use using want way yes
    """.split()  # noqa: SIM905 - a hundred words are read more easily as text
)


class TopicWords(NamedTuple):
    """Words that name each topic, and the allow-list they come from."""

    topics: list[tuple[str, ...]]
    allowed: Vocabulary


def topic_words(
    texts: Sequence[str], topic: NDArray[np.int64], topics: int, source: NDArray[np.int64], in_vocabulary: Callable[[str], bool]
) -> TopicWords:
    """The allow-list, and up to five words of it for each topic by c-TF-IDF (Grootendorst 2022): share in the topic times
    log(1 + mean topic length / frequency).

    A word is allowed when the encoder's vocabulary has it whole, it occurs in at least 10 rows (0.05% of large sets) that come from at
    least 10
    different sources, and it is neither usually capitalised inside a sentence nor a common given name. It may still be a rare allowed word.

    Args:
        texts: N reference texts.
        topic: (N,) int64.
        topics: K.
        source: (N,) int64, group or cluster of each row.
        in_vocabulary: whether the encoder knows a lower-case word as one token.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    rows: Counter[str] = Counter()
    sources: dict[str, set[int]] = {}
    capitals: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    per_topic: list[Counter[str]] = [Counter() for _ in range(topics)]
    for text, of_topic, origin in zip(texts, topic.tolist(), source.tolist(), strict=True):
        found = _words(text, capitals, inside)
        rows.update(set(found))
        per_topic[of_topic].update(found)
        for word in set(found):
            seen = sources.setdefault(word, set())
            if len(seen) < _FEWEST_ROWS:
                seen.add(origin)
    fewest = max(_FEWEST_ROWS, int(_FEWEST_SHARE * len(texts)))
    allowed = {
        word
        for word, count in rows.items()
        if count >= fewest
        and len(sources[word]) >= _FEWEST_ROWS
        and word not in ENGLISH_STOP_WORDS
        and word not in _FILLERS
        and word not in GIVEN_NAMES
        and capitals[word] <= _NAME_SHARE * inside[word]
        and in_vocabulary(word)
    }
    return TopicWords(_telling(per_topic, allowed), Vocabulary.fit({word: rows[word] for word in allowed}, len(texts)))


def _words(text: str, capitals: Counter[str], inside: Counter[str]) -> list[str]:
    """Lower-case words; counts how often each stands inside a sentence, and how often it is capitalised there."""
    found = []
    for match in WORD.finditer(text):
        word = match.group()
        lower = word.lower()
        found.append(lower)
        before = (
            text[: match.start()].rstrip(" ")[-1:] if match.start() < 200 else text[match.start() - 20 : match.start()].rstrip(" ")[-1:]
        )
        if before and before not in _SENTENCE_END and not word.isupper():
            inside[lower] += 1
            capitals[lower] += word[0].isupper()
    return found


def _telling(per_topic: Sequence[Counter[str]], allowed: set[str]) -> list[tuple[str, ...]]:
    total: Counter[str] = Counter()
    for counts in per_topic:
        total.update(counts)
    mean_length = sum(total.values()) / max(len(per_topic), 1)
    named = []
    for counts in per_topic:
        length = max(sum(counts.values()), 1)
        weight = {word: count / length * np.log1p(mean_length / total[word]) for word, count in counts.items() if word in allowed}
        named.append(tuple(sorted(weight, key=lambda word: (-weight[word], word))[:WORDS]))
    return named
