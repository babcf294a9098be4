"""Scores by real bundles: one encoder call a batch and encoder, one scorer call a batch and bundle, repeated texts remembered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.features import FEATURES
from service.encoder import Encoded
from service.encoder.encoder import VectorPart
from service.records import Prompt, Scores
from service.vocabulary import Vocabulary

MEMO_BYTES = 32_000_000
"""Characters of text and bytes of scores remembered per bundle, in each of two generations."""

_ROW = np.dtype(
    [
        ("score", "f4"),
        ("p_value", "f4"),
        ("strange", "?"),
        ("far", "?"),
        ("topic", "i4"),
        ("tokens", "i4"),
        ("truncated", "?"),
        ("fourier", "i2", (FEATURES,)),
    ]
)


class Encoder(Protocol):
    """Texts to vectors; see service.encoder.Encoder."""

    @property
    def digest(self) -> str:
        """Which bundles may use it."""
        ...

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts, in order."""
        ...


class Scorer(Protocol):
    """Vectors to scores; see service.encoder.Scorer."""

    def score(self, encoded: Encoded) -> Scores:
        """Score encoded texts, in order."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What scores one model: digest of its bundle, number of topics, opened encoder (shared by digest), scorer, words to count, shadow."""

    bundle: str
    topics: int
    encoder: Encoder
    scorer: Scorer
    vocabulary: Vocabulary | None = None
    shadow: "LoadedModel | None" = None


class Memo:
    """Scores of recent texts of one bundle, bounded by bytes.

    Two generations: when the young one is full it becomes the old one, and the old one is forgotten. What is asked for again moves
    to the young. Texts are held in memory only.
    """

    def __init__(self, limit: int = MEMO_BYTES) -> None:
        self._limit = limit
        self._young: dict[str, np.void] = {}
        self._old: dict[str, np.void] = {}
        self._size = 0

    def get(self, text: str) -> np.void | None:
        """The row of this text, or None."""
        row = self._young.get(text)
        if row is None and (row := self._old.get(text)) is not None:
            self.put(text, row)
        return row

    def put(self, text: str, row: np.void) -> None:
        """Remember one row."""
        size = len(text) + _ROW.itemsize
        if self._size + size > self._limit:
            self._old, self._young, self._size = self._young, {}, 0
        self._young[text] = row
        self._size += size


class BundleScoring:
    """Implements :class:`service.pipeline.scoring.Scoring` with opened bundles.

    Args:
        models: model name -> what scores it. Models with equal encoder digest share one encode call a batch, shadows too.
        memo_bytes: bound of the memo of each bundle.

    Attributes:
        shadow: scores with the models' shadows; None where no model has one. What was scored here just now is not encoded again.
    """

    def __init__(self, models: Mapping[str, LoadedModel], memo_bytes: int = MEMO_BYTES) -> None:
        self._models = dict(models)
        shadows = {name: model.shadow for name, model in models.items() if model.shadow}
        self._memos = {model.bundle: Memo(memo_bytes) for model in (*models.values(), *shadows.values())}
        self.shadow: BundleScoring | None = None
        if shadows:
            self.shadow = BundleScoring({**models, **shadows})
            self.shadow._memos = self._memos

    def bundle(self, model_name: str) -> str:
        """See the protocol."""
        return self._models[model_name].bundle

    def topics(self, model_name: str) -> int:
        """See the protocol."""
        return self._models[model_name].topics

    def vocabulary(self, model_name: str) -> Vocabulary | None:
        """See the protocol."""
        return self._models[model_name].vocabulary

    def score(self, prompts: Sequence[Prompt]) -> Scores:
        """See the protocol. A text that stands twice in a batch, or was scored lately, is not encoded again."""
        wanted = [(self._models[prompt.model_name], prompt.text) for prompt in prompts]
        rows: dict[tuple[str, str], np.void] = {}
        missing: dict[tuple[str, str], LoadedModel] = {}
        for model, text in wanted:
            for each in (model, model.shadow):  # a shadow's turn comes next: what both need is encoded once
                if each is None or (key := (each.bundle, text)) in rows or key in missing:
                    continue
                known = self._memos[each.bundle].get(text)
                if known is None:
                    missing[key] = each
                else:
                    rows[key] = known
        rows |= self._compute(missing)
        table = np.array([rows[model.bundle, text] for model, text in wanted], _ROW)
        return Scores(**{name: np.ascontiguousarray(table[name]) for name in _ROW.names or ()})

    def _compute(self, missing: Mapping[tuple[str, str], LoadedModel]) -> dict[tuple[str, str], np.void]:
        by_encoder: dict[str, dict[str, int]] = {}
        by_bundle: dict[str, list[str]] = {}
        models = {model.bundle: model for model in missing.values()}
        for (bundle, text), model in missing.items():
            index = by_encoder.setdefault(model.encoder.digest, {})
            index.setdefault(text, len(index))
            by_bundle.setdefault(bundle, []).append(text)
        encoders = {model.encoder.digest: model.encoder for model in models.values()}
        encoded = {digest: encoders[digest].encode(list(texts)) for digest, texts in by_encoder.items()}
        rows = {}
        for bundle, texts in by_bundle.items():
            model = models[bundle]
            index = by_encoder[model.encoder.digest]
            scores = model.scorer.score(take(encoded[model.encoder.digest], np.array([index[text] for text in texts])))
            table = np.empty(len(texts), _ROW)
            for name in _ROW.names or ():
                table[name] = getattr(scores, name)
            memo = self._memos[bundle]
            for text, row in zip(texts, table, strict=True):
                rows[bundle, text] = row
                memo.put(text, row)
        return rows


def take(encoded: Encoded, rows: NDArray[np.int64]) -> Encoded:
    """Some rows of what was encoded. All of them in order stay where they are, on the device too; otherwise they pass the host."""
    if rows.size == encoded.tokens.size and bool(np.array_equal(rows, np.arange(rows.size))):
        return encoded
    part = VectorPart(np.arange(rows.size), encoded.vectors[rows])
    return Encoded([part], encoded.tokens[rows], encoded.truncated[rows], encoded.dimension)
