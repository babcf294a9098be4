"""A scoring that depends on the text alone, so that verdicts are the same whatever the batches were.

A text may ask for a flag: ``strange 17`` is flagged strange and far, ``plain 17`` never; any other text is flagged by its hash,
strange in one of 20 and far in one of 100.
"""

import time
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from service.records import Prompt, Scores
from service.vocabulary import Vocabulary

TOPICS = 7


class StubScoring:
    """Implements ``service.pipeline.scoring.Scoring``. ``delay``: seconds of pretended work per batch."""

    def __init__(self, bundles: Mapping[str, str] | None = None, delay: float = 0.0) -> None:
        self._bundles = dict(bundles or {})
        self._delay = delay

    def bundle(self, model_name: str) -> str:
        return self._bundles.get(model_name, f"bundle-of-{model_name}")

    def topics(self, model_name: str) -> int:
        return TOPICS

    def vocabulary(self, model_name: str) -> Vocabulary | None:
        return None

    def score(self, prompts: Sequence[Prompt]) -> Scores:
        if self._delay:
            time.sleep(self._delay)
        digest = np.fromiter((zlib.crc32(p.text.encode()) for p in prompts), np.int64, len(prompts))
        p_value = (1 + digest % 10_000) / 10_001
        p_value = np.where([p.text.startswith("strange") for p in prompts], 0.001, p_value)
        p_value = np.where([p.text.startswith("plain") for p in prompts], np.maximum(p_value, 0.5), p_value).astype(np.float32)
        return Scores(
            score=1 - p_value,
            p_value=p_value,
            strange=p_value <= 0.05,
            far=p_value <= 0.01,
            topic=(digest // 10_000 % (TOPICS + 1) - 1).astype(np.int32),
            tokens=np.fromiter((1 + len(p.text.split()) for p in prompts), np.int32, len(prompts)),
            truncated=digest % 97 == 0,
            fourier=np.stack([digest % 8192 - 4096, digest // 8192 % 8192 - 4096], axis=1).astype(np.int16),
        )
