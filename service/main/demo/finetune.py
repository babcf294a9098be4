"""The fine-tuning set of the example: chat rows with an intent and the conversation that each belongs to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from service.main.demo.grammar import STYLES, Grammar

ROWS = 5000
SEED = 20260101
SYSTEM = "You are the support assistant of Fernhill Bank. Answer briefly, in plain English."
STYLE_SHARES = (0.50, 0.20, 0.18, 0.12)


def finetune_rows(grammar: Grammar, rows: int = ROWS, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yield rows with distinct prompts, in conversations of one to three turns about one intent each.

    Intents are weighted by the square root of what production asks, as a team would balance such a set. Under a second for 5,000 rows.
    """
    rng = np.random.default_rng(seed)
    names = list(grammar.intents)
    weights = np.sqrt(list(grammar.intents.values()))
    seen: set[str] = set()
    conversation = 0
    while len(seen) < rows:
        conversation += 1
        intent = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        for _ in range(min(int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])), rows - len(seen))):
            text = grammar.say(intent, STYLES[int(rng.choice(len(STYLES), p=STYLE_SHARES))], rng)
            if text in seen:
                continue
            seen.add(text)
            yield {
                "conversation": f"c{conversation:05d}",
                "intent": intent,
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": text},
                    {"role": "assistant", "content": grammar.reply(intent)},
                ],
            }


def write_finetune(path: Path, rows: int = ROWS, seed: int = SEED) -> None:
    """Write the set as JSONL."""
    with path.open("w", encoding="utf-8") as out:
        for row in finetune_rows(Grammar.load(), rows, seed):
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
