"""Strange prompts kept for labelling: taken from the worker's batches, redacted, written by a thread of their own, deleted in time.

Only where ``curation.store_text`` is switched on. Keeping is beside the counting: when the history does not answer, texts are dropped
and counted in the log, never the prompts' counts.
"""

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from service.config import Config
from service.logging import fields
from service.pipeline.scoring import Scoring
from service.records import Prompt, Scores
from service.redaction import redact
from service.store import Example

_log = logging.getLogger(__name__)

WAITING = 2000
"""Most texts that wait to be written; more are dropped."""

_WRITE_EVERY = 5.0
_FORGET_EVERY = 600.0
_WINDOWS = 500
"""Windows whose texts are counted; a later one takes the place of the oldest."""


class Kept(Protocol):
    """The history, as far as texts go; see service.store.Store."""

    def keep(self, examples: Sequence[Example]) -> None:
        """Write texts."""
        ...

    def forget(self, before: float) -> int:
        """Delete what was kept before."""
        ...


def judged(
    prompts: Sequence[Prompt], scores: Scores, scoring: Scoring, in_force: Callable[[str], str | None]
) -> tuple[Scores, Callable[[str], str]]:
    """Scores of a batch by the bundles in force, and model name -> digest of that bundle."""
    shadow: Scoring | None = getattr(scoring, "shadow", None)
    if shadow is None:
        return scores, scoring.bundle
    bundles = {name: shadow.bundle(name) for name in {prompt.model_name for prompt in prompts}}
    promoted = {name for name, digest in bundles.items() if digest != scoring.bundle(name) and digest == in_force(name)}
    if not promoted:
        return scores, scoring.bundle
    second = shadow.score(prompts)  # remembered from a moment ago
    mine = np.array([prompt.model_name in promoted for prompt in prompts])
    changed = {name: np.where(mine, getattr(second, name), getattr(scores, name)) for name in ("p_value", "strange", "far", "topic")}
    return replace(scores, **changed), lambda name: bundles[name] if name in promoted else scoring.bundle(name)


class Keeper:
    """Takes scored batches in the pipeline's thread, and writes and deletes in its own.

    Args:
        config: bounds and how long texts are kept.
        clock: wall clock in seconds.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._length = config.curation, config.windows.length
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[Example] = []
        self._taken: Counter[tuple[str, float]] = Counter()
        self._dropped = 0

    def take(self, prompts: Sequence[Prompt], scores: Scores, bundle: Callable[[str], str]) -> None:
        """Keep the strange ones of a batch, at most ``per_window`` of a model and window. About 0.1 ms a text kept.

        ``bundle``: model name -> digest of its bundle.
        """
        for row in np.flatnonzero(scores.strange).tolist():
            prompt = prompts[row]
            place = (prompt.model_name, prompt.time // self._length)
            if self._taken[place] >= self._settings.per_window:
                continue
            self._taken[place] += 1
            while len(self._taken) > _WINDOWS:
                del self._taken[next(iter(self._taken))]
            self._put(prompt, bundle(prompt.model_name), float(scores.p_value[row]), bool(scores.far[row]), int(scores.topic[row]))

    def _put(self, prompt: Prompt, bundle: str, p_value: float, far: bool, topic: int) -> None:
        # What no database takes: NUL, and halves of surrogate pairs.
        text = redact(prompt.text).replace("\0", "").encode("utf-8", "replace").decode().strip()
        digest = hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()
        made = Example(prompt.model_name, digest, bundle, prompt.slice, prompt.time, self._clock(), p_value, far, text, topic)
        with self._lock:
            if len(self._waiting) < WAITING:
                self._waiting.append(made)
            else:
                self._dropped += 1

    def run(self, kept: Kept, stop: threading.Event) -> None:
        """Write what waits and delete what is old until ``stop`` is set, then write what is left."""
        forgotten = -np.inf
        while not stop.wait(_WRITE_EVERY):
            self.write(kept)
            if time.monotonic() - forgotten >= _FORGET_EVERY:
                forgotten = time.monotonic()
                self.forget(kept)
        self.write(kept)

    def write(self, kept: Kept) -> None:
        """Write what waits; where that fails it is dropped, and said without a word of it."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            dropped, self._dropped = self._dropped, 0
        try:
            kept.keep(waiting)
        except Exception as error:  # whatever a database may raise, counting goes on; its message may quote a text
            dropped += len(waiting)
            _log.warning("texts for labelling could not be written", extra=fields(error=type(error).__name__))
        if dropped:
            _log.warning("texts for labelling were dropped", extra=fields(texts=dropped))

    def forget(self, kept: Kept) -> None:
        """Delete what was kept longer than it may be."""
        try:
            gone = kept.forget(self._clock() - self._settings.keep)
        except Exception as error:
            _log.warning("old texts could not be deleted", extra=fields(error=type(error).__name__))
        else:
            if gone:
                _log.info("old texts deleted", extra=fields(texts=gone))
