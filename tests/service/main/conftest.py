"""A real bundle, small enough to be fitted in a test session."""

import json
import logging
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import tiny_encoder

from service.fit import fit

KNOWN = ("account", "balance", "card", "transfer", "help", "my", "what", "is", "the")
STRANGE = ("a", "b", "c", "d", "e", "f", "g", "h", "##s")


def sentence(rng: random.Random, words: Iterable[str] = KNOWN) -> str:
    return " ".join(rng.choices(list(words), k=rng.randint(3, 8)))


def write(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command sets logging up for its process; its stream is closed when the runner has read it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted on 600 sentences of known words by a tiny encoder of random weights."""
    folder = tmp_path_factory.mktemp("fit")
    rng = random.Random(0)
    data = write(folder / "finetune.jsonl", ({"text": text} for text in dict.fromkeys(sentence(rng) for _ in range(600))))
    fit([data], folder / "bundle", encoder=str(tiny_encoder.write(folder / "encoder")))
    return folder / "bundle"


@pytest.fixture(scope="session")
def second(bundle: Path) -> Path:
    """Fitted on other sentences, which the first bundle finds strange, with the same encoder."""
    folder, rng = bundle.parent, random.Random(1)
    texts = dict.fromkeys(sentence(rng, STRANGE) for _ in range(600))
    data = write(folder / "second.jsonl", ({"text": text} for text in texts))
    fit([data], folder / "second", encoder=str(folder / "encoder"))
    return folder / "second"
