"""Streams of real texts: CLINC150 questions scored once by a real bundle, then drawn in windows of exactly 200.

Usual prompts are those of the validation and test splits, strange ones the out-of-scope questions. Four null worlds:

- ``iid``: every prompt on its own.
- ``inside``: sessions of 10 to 20 prompts of one intent, all within one window.
- ``spanning``: 200 users, each asking one question a window; a session is 10 to 20 questions of one intent.
- ``daily``: prompts on their own; the share of flagged ones among the usual ones swings by 40% with the hour.

In a changed stream a share of the prompts (of the sessions, where there are sessions) is strange.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds import DAY, LONGEST, PROMPTS, SHORTEST
from detectors.sketch import FIXED_POINT
from service.bundle import Bundle
from service.config import Compute
from service.encoder import Encoder, Scorer
from service.fit import Lines, fit

KINDS = ("iid", "inside", "spanning", "daily")
SWING = 0.4
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Scored texts, the usual ones first.

    Attributes:
        score: (N,) float64; flag: (N,) bool, strange at 5%; features: (N, 2D) float32, random Fourier features; vectors: (N, d) float32.
        intents: (I, M) int64, M usual rows of each intent.
        usual: rows before this number are usual.
    """

    score: NDArray[np.float64]
    flag: NDArray[np.bool_]
    features: NDArray[np.float32]
    vectors: NDArray[np.float32]
    intents: Rows
    usual: int


def make_pool(data: Path, bundle: Bundle) -> Pool:
    """Score the texts that the bundle was not fitted on."""
    splits = json.loads((data / "clinc_oos" / "data_full.json").read_text())
    usual, strange = [*splits["val"], *splits["test"]], [*splits["oos_val"], *splits["oos_test"]]
    compute = Compute(device="cpu")
    encoded = Encoder.open(bundle, compute).encode([text for text, _ in usual + strange])
    scores = Scorer.open(bundle, compute).score(encoded)
    assert scores.fourier is not None
    names, intent = np.unique([name for _, name in usual], return_inverse=True)
    order = np.argsort(intent, kind="stable")
    fewest = int(np.bincount(intent).min())
    rows = np.stack([order[intent[order] == i][:fewest] for i in range(names.size)])
    features = scores.fourier.astype(np.float32) / FIXED_POINT
    return Pool(scores.score.astype(np.float64), scores.strange, features, encoded.vectors, rows, len(usual))


def fitted(data: Path, folder: Path) -> Bundle:
    """A bundle fitted on the train split, without labels."""
    train = folder / "train.jsonl"
    rows = json.loads((data / "clinc_oos" / "data_full.json").read_text())["train"]
    train.write_text("".join(json.dumps({"text": text}) + "\n" for text, _ in rows))
    return fit([train], folder / "bundle", compute=Compute(device="cpu"), progress=Lines(sys.stderr))


class TextStream:
    """One endless stream; ``draw`` goes on where it ended, ``strange`` is the share of strange prompts in what starts from now on."""

    def __init__(self, pool: Pool, kind: str, rng: np.random.Generator) -> None:
        self.pool, self.kind, self.rng, self.now = pool, kind, rng, 0
        self._left = np.zeros(PROMPTS, np.int64)
        self._topic = np.zeros(PROMPTS, np.int64)
        flagged = pool.flag[: pool.usual]
        self._by_flag = np.flatnonzero(~flagged), np.flatnonzero(flagged)

    def draw(self, windows: int, strange: float = 0.0) -> Rows:
        """(windows, 200) rows of the pool."""
        made = {"inside": self._inside, "spanning": self._spanning}.get(self.kind, self._independent)(windows, strange)
        self.now += windows
        return made

    def _independent(self, windows: int, strange: float) -> Rows:
        shape = windows, PROMPTS
        rows = self.rng.integers(0, self.pool.usual, shape)
        if self.kind == "daily":
            plain, flagged = self._by_flag
            swing = 1 + SWING * np.sin(2 * np.pi * (self.now + np.arange(windows)) / DAY)
            hit = self.rng.random(shape) < (swing * flagged.size / self.pool.usual)[:, None]
            drawn = self.rng.random(shape)
            rows = np.where(hit, flagged[(drawn * flagged.size).astype(np.int64)], plain[(drawn * plain.size).astype(np.int64)])
        return self._mixed(rows, self.rng.random(shape) < strange) if strange else rows

    def _mixed(self, rows: Rows, where: NDArray[np.bool_]) -> Rows:
        other = self.rng.integers(self.pool.usual, self.pool.score.size, rows.shape)
        return np.where(where, other, rows)

    def _inside(self, windows: int, strange: float) -> Rows:
        zeros = np.zeros(windows, np.int64)
        topic, _ = self._sessions(windows, PROMPTS, zeros, zeros, strange)
        return self._asked(topic)

    def _spanning(self, windows: int, strange: float) -> Rows:
        topic, self._left = self._sessions(PROMPTS, windows, self._left, self._topic, strange)
        self._topic = topic[:, -1]
        return self._asked(topic.T)

    def _sessions(self, lanes: int, steps: int, left: Rows, going: Rows, strange: float) -> tuple[Rows, Rows]:
        """(lanes, steps) topic of each question, -1 strange, and what is left of the last sessions; the first ``left`` go on before."""
        most = steps // SHORTEST + 2
        length = self.rng.integers(SHORTEST, LONGEST + 1, (lanes, most))
        topic = self.rng.integers(0, len(self.pool.intents), (lanes, most))
        topic[self.rng.random(topic.shape) < strange] = -1
        begin = np.concatenate([left[:, None], left[:, None] + np.cumsum(length, axis=1)], axis=1)
        opens = np.zeros((lanes, steps + 1), np.int64)
        lane = np.repeat(np.arange(lanes), begin.shape[1])
        np.add.at(opens, (lane, np.minimum(begin, steps).ravel()), 1)
        number = np.cumsum(opens[:, :steps], axis=1)
        topics = np.concatenate([going[:, None], topic], axis=1)
        ends = np.where(begin >= steps, begin, np.iinfo(np.int64).max).min(axis=1)
        return np.take_along_axis(topics, number, axis=1), ends - steps

    def _asked(self, topic: Rows) -> Rows:
        which = self.rng.integers(0, self.pool.intents.shape[1], topic.shape)
        return self._mixed(self.pool.intents[np.maximum(topic, 0), which], topic < 0)
