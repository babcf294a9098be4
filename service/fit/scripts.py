"""A light guess at language: which writing systems the texts are in."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_SHOWN = 6


def script_shares(texts: Sequence[str]) -> dict[str, float]:
    """Share of texts by the writing system of their first letter, largest first; ``NONE`` for texts without letters.

    It says nothing about languages that share one.
    """
    counts = Counter(_script(next((character for character in text if character.isalpha()), "")) for text in texts)
    return {name: round(count / len(texts), 4) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]}


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "OTHER").split()[0] if letter else "NONE"
