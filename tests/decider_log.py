"""A model, a configuration in event time, and entries of the ledger made by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import BINS, LENGTHS, Sketch
from detectors.words import NO_WORDS, SESSIONS, code, count_codes
from service.config import Config
from service.decider.decider import Watched
from service.records import Command, DeltaKey, Entry, Progress, Report
from service.vocabulary import Vocabulary

LENGTH = 60
START = 1_699_920_000  # midnight in UTC
NULLS = {"strange": 0.0537, "far": 0.0125}


@dataclass(frozen=True)
class Words:
    words: tuple[str, ...]
    share: float


TOPICS = tuple(Words((name,), 0.25) for name in ("billing", "roaming", "sim", "contract"))


VOCABULARY = Vocabulary(("card", "refund", "wallet", "loan"), (800, 90, 80, 70), 10_000)


def spoken(prompts: int, first: int = 0, **words: int) -> NDArray[np.int64]:
    """Words of prompts of as many sessions, numbered from ``first``: each word is held by so many of them, evenly."""
    codes = [code(-1, (first + i) % SESSIONS) for i in range(prompts)]
    for word, count in words.items():
        codes += [code(VOCABULARY.words.index(word), (first + i) % SESSIONS) for i in range(count)]
    return count_codes(np.array(codes, np.int64))


def sketch(
    n: int = 100, strange: int = 5, far: int = 1, topics: tuple[int, ...] | None = None, words: NDArray[np.int64] = NO_WORDS
) -> Sketch:
    counts = np.array(topics if topics is not None else (n, 0, 0, 0, 0), np.int64)
    return Sketch(
        n,
        strange,
        far,
        0,
        10 * n,
        40 * n,
        np.zeros(BINS, np.int64),
        counts,
        np.zeros(LENGTHS, np.int64),
        np.zeros(2, np.int64),
        np.zeros(0, np.int64),
        words,
    )


def settings(**sections: Any) -> Config:
    given: dict[str, Any] = {
        "source": {"kind": "http"},
        "models": {"bot": {"bundle": "bundle"}},
        "windows": {"clock": "event"},
        "detection": {"first_contact": {"duration": 0, "prompts": 0}},
    }
    return Config.model_validate({**given, **sections})


class Log:
    """Builds entries with growing positions; every window is followed by a report that reaches ``grace`` past its end."""

    def __init__(self) -> None:
        self.position = 0
        self.entries: list[Entry] = []

    def add(self, body: Any, key: str | None = None) -> "Log":
        self.entries.append(Entry(self.position, body, key))
        self.position += 1
        return self

    def delta(
        self, start: int, body: Sketch | None = None, *, model: str = "bot", bundle: str = "B", slice: str = "", key: str | None = None
    ) -> "Log":
        return self.add((DeltaKey(bundle, model, slice, start), sketch() if body is None else body), key)

    def report(self, time: float, *, partition: str = "file", worker: str = "w", sent: float | None = None, **progress: bool) -> "Log":
        reached = {partition: Progress(time, **progress)}
        return self.add(Report(worker, {}, reached, frozenset([partition]), time if sent is None else sent))

    def window(self, start: int, n: int = 100, strange: int = 5, far: int = 1, topics: tuple[int, ...] | None = None) -> "Log":
        return self.delta(start, sketch(n, strange, far, topics)).report(start + LENGTH + 30)

    def command(self, kind: str, time: float = 0.0, id: str | None = None, **arguments: Any) -> "Log":
        return self.add(Command(id or f"command-{self.position}", kind, "ada", time, arguments))

    def drain(self) -> list[Entry]:
        entries, self.entries = self.entries, []
        return entries


def watched(models: Mapping[str, float] | None = None) -> dict[str, Watched]:
    return {name: Watched("B", NULLS, TOPICS, "team", weight, vocabulary=VOCABULARY) for name, weight in (models or {"bot": 1.0}).items()}


def history(days: int, rate: float = 0.03, n: int = 24_000) -> dict[str, Any]:
    """Arguments of baseline.learn: quiet days of six blocks; flags alternate a little around the rate, as binomial counts do."""
    swing = [-1, 1, 0, 1, -1, 0]
    wobble = int((rate * n) ** 0.5)
    rows = [[day, n, round(rate * n) + swing[block] * wobble] for day in range(days) for block in range(6)]
    return {"model": "bot", "source": "history", "blocks": {"strange": rows, "far": [[d, n, x // 5] for d, n, x in rows]}}
