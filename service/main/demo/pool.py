"""The fixed pool of production prompts: written once by the grammar, drawn from again and again, so that each is embedded once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.main.demo.grammar import CHATTER, STYLES, Grammar

TEXTS_PER_CELL = (40, 16, 14, 12)
"""Distinct prompts of one topic in each of the four styles."""

UNSEEN_TEXTS_PER_CELL = (120, 60, 40, 40)


@dataclass(frozen=True, slots=True)
class Pool:
    """Prompts by cell, a cell being one topic in one style.

    Attributes:
        texts: T distinct prompts, those of one cell side by side.
        topics: names of the K topics: the fine-tuned intents first, then chatter, then what is unseen.
        weights: (K,) float64, share of each topic in an ordinary hour; 0 for what is unseen.
        start, size: (K, 4) int64, first text and number of texts of each cell.
    """

    texts: tuple[str, ...]
    topics: tuple[str, ...]
    weights: NDArray[np.float64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def write(cls, grammar: Grammar, seed: int, chatter: float = 0.005) -> "Pool":
        """Let the grammar write the pool; chatter is its share of ordinary sessions. About 0.3 s for 3,900 texts."""
        rng = np.random.default_rng([seed, 7])
        topics = (*grammar.intents, CHATTER, *grammar.unseen)
        weights = np.array([*grammar.intents.values(), 0.0, *(0.0 for _ in grammar.unseen)])
        weights *= (1.0 - chatter) / weights.sum()
        weights[topics.index(CHATTER)] = chatter
        texts: dict[str, None] = {}
        start = np.zeros((len(topics), len(STYLES)), np.int64)
        size = np.zeros_like(start)
        for k, topic in enumerate(topics):
            wanted = UNSEEN_TEXTS_PER_CELL if topic in grammar.unseen else TEXTS_PER_CELL
            for s, style in enumerate(STYLES):
                start[k, s] = len(texts)
                for _ in range(4 * wanted[s]):  # short forms run out of distinct texts: take what there is
                    texts[grammar.say(topic, style, rng)] = None
                    if len(texts) - start[k, s] == wanted[s]:
                        break
                size[k, s] = len(texts) - start[k, s]
        return cls(tuple(texts), topics, weights, start, size)

    def draw(self, topic: NDArray[np.int64], style: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) index of one text for each (topic, style) pair."""
        return self.start[topic, style] + (rng.random(topic.size) * self.size[topic, style]).astype(np.int64)
