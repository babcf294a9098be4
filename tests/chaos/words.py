"""Prompts for a real bundle of the tiny encoder, and what it makes of them in one undisturbed pass."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiny_encoder
from chaos.traffic import Plan

from detectors.sketch import P_VALUE_EDGES
from service.bundle import Bundle
from service.config import Compute
from service.encoder import Encoder, Scorer
from service.fit import fit

KNOWN = "account balance card transfer help my what is the".split()  # noqa: SIM905
OTHER = "a b c d e f g h ##s".split()  # noqa: SIM905
_MARGIN = 1e-4


def sentence(chance: random.Random, words: list[str]) -> str:
    return " ".join(chance.choices(words, k=chance.randint(3, 8)))


def fitted(folder: Path) -> Bundle:
    """A bundle of 600 sentences of known words."""
    chance = random.Random(0)
    rows = folder / "finetune.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in dict.fromkeys(sentence(chance, KNOWN) for _ in range(600))))
    return fit([rows], folder / "bundle", encoder=str(tiny_encoder.write(folder / "encoder")))


@dataclass(frozen=True)
class Words(Plan):
    """A plan of sentences; a third of the way through some of them are made of other words."""

    usual: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()
    strange: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bundle: Bundle, prompts: int, per_window: int) -> "Words":
        """Sentences whose flags and bins do not hang on the last digits of a float: those differ with the batch a text is in."""
        chance = random.Random(1)
        sentences = [list(dict.fromkeys(sentence(chance, words) for _ in range(1_500))) for words in (KNOWN, OTHER)]
        texts = [text for some in sentences for text in some]
        compute = Compute(device="cpu", threads=1)
        scorer, encoder = Scorer.open(bundle, compute), Encoder.open(bundle, compute)
        edges = P_VALUE_EDGES.astype(np.float32)  # the flags' levels are among them
        seen: dict[str, set[tuple[int, ...]]] = {text: set() for text in texts}
        for size in (len(texts), 64, 9, 1):  # neighbours that are equally near come in an order that hangs on the batch as well
            order = chance.sample(texts, len(texts))
            for part in (order[start : start + size] for start in range(0, len(order), size)):
                scores = scorer.score(encoder.encode(part))
                bins = [np.searchsorted(edges, bundle.calibration.p_values(scores.score + shift)) for shift in (_MARGIN, -_MARGIN)]
                for row, text in enumerate(part):
                    seen[text] |= {(int(found[row]), int(scores.topic[row])) for found in bins}
        scores = scorer.score(encoder.encode(texts))
        settled = {text for text, found in seen.items() if len(found) == 1}
        usual, unusual = (tuple(text for text in some if text in settled) for some in sentences)
        strange = frozenset(text for text, flag in zip(texts, scores.strange.tolist(), strict=True) if flag)
        return cls(prompts, per_window, usual=usual, unusual=unusual, strange=strange)

    def text(self, chance: random.Random, number: int, *, changed: bool) -> str:
        return chance.choice(self.unusual if changed and chance.random() < 0.7 else self.usual)

    def is_strange(self, text: str) -> bool:
        return text in self.strange
