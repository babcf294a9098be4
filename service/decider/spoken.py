"""Words of the prompts that no topic claims: the newest windows of a model one by one, and what was usual before them."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.words import NO_WORDS, table
from service.decider.encoding import decode_array, encode_array

KEPT = 720
"""Windows with words that are kept: a change that began earlier is described by these."""

ENTRIES = 100_000
"""Counts kept in them together; the oldest windows go first, and the newest always stays."""

USUAL = 1_000_000
"""Usual prompts beyond which all usual counts are halved: what was usual long ago counts for less."""


class _Window(NamedTuple):
    start: int
    usual: bool
    words: NDArray[np.int64]


class Spoken:
    """Counts of one model over a list of ``size`` words. At most 1 MB of counts; about 0.1 ms a window."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._windows: deque[_Window] = deque()
        self._entries = 0
        self._usual = np.zeros(size + 1, np.int64)

    def append(self, start: int, words: NDArray[np.int64], usual: bool) -> None:
        """Add a closed window; ``usual``: no incident is open."""
        if not words.shape[1]:
            return
        self._windows.append(_Window(start, usual, words))
        self._entries += words.shape[1]
        while len(self._windows) > KEPT or (self._entries > ENTRIES and len(self._windows) > 1):
            gone = self._windows.popleft()
            self._entries -= gone.words.shape[1]
            if gone.usual:
                self._usual += table(gone.words, self._size).sum(axis=1)
        if self._usual[0] > USUAL:
            self._usual //= 2

    def since(self, start: float) -> NDArray[np.int64]:
        """(size + 1, SESSIONS): prompts from ``start`` on, the first row all, then by word; see :func:`detectors.words.table`."""
        return self._table([window for window in self._windows if window.start >= start])

    def before(self, start: float) -> NDArray[np.int64]:
        """(size + 1,): usual prompts before ``start``, all and by word."""
        earlier = [window for window in self._windows if window.start < start and window.usual]
        return np.asarray(self._usual + self._table(earlier).sum(axis=1))

    def _table(self, windows: list[_Window]) -> NDArray[np.int64]:
        words = np.concatenate([NO_WORDS, *(window.words for window in windows)], axis=1)
        return table(words, self._size)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        windows = np.array([(w.start, w.usual, w.words.shape[1]) for w in self._windows], np.int64).reshape(-1, 3)
        words = np.concatenate([w.words for w in self._windows], axis=1) if self._windows else NO_WORDS
        return {"windows": encode_array(windows), "words": encode_array(words.astype(np.uint32)), "usual": encode_array(self._usual)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        words, at = decode_array(state["words"]).astype(np.int64), 0
        self._windows.clear()
        for start, usual, size in decode_array(state["windows"]).tolist():
            self._windows.append(_Window(start, bool(usual), words[:, at : at + size]))
            at += size
        self._entries, self._usual = at, decode_array(state["usual"])
