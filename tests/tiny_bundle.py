"""A real bundle in a second: 300 sentences, a tiny encoder of random weights."""

import json
import random
from pathlib import Path

import tiny_encoder

from service.fit import fit

_WORDS = ("account", "balance", "card", "transfer", "help", "my", "what", "is", "the")


def tiny_bundle(folder: Path) -> Path:
    rng = random.Random(0)
    texts = dict.fromkeys(" ".join(rng.choices(_WORDS, k=rng.randint(3, 8))) for _ in range(600))
    data = folder / "finetune.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    fit([data], folder / "bundle", encoder=str(tiny_encoder.write(folder / "encoder")))
    return folder / "bundle"
