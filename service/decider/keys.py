"""Idempotency keys of the last day: what was counted once is not counted again."""

import math
from collections import OrderedDict
from hashlib import blake2b
from typing import Any

DAY = 86400.0

REMEMBERED = 100_000
"""Keys kept at most; beyond that the oldest are forgotten early."""


class Keys:
    """Decides which keyed sketches count.

    All sketches of one post are consecutive entries of one append, which ends with its report; a key that comes back later is a repeat;
    ``repeats`` counts such posts, not their sketches. Keys are kept as 8-byte hashes: the chance that one of a million posts is taken for
    another is below 1e-7.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._run: str | None = None
        self._repeated: str | None = None
        self._fresh: list[str] = []
        self.repeats = 0

    def accepts(self, key: str | None) -> bool:
        """Whether the sketch that carries this key counts."""
        if key is None:
            self._run = self._repeated = None
            return True
        digest = blake2b(key.encode(), digest_size=8).hexdigest()
        if digest == self._run:
            return True
        if digest in self._seen:
            self.repeats += digest != self._repeated
            self._run, self._repeated = None, digest
            return False
        self._seen[digest] = math.inf  # the report that ends this append says when
        self._fresh.append(digest)
        self._run, self._repeated = digest, None
        return True

    def end_append(self, clock: float) -> None:
        """A report closes the append; keys older than a day are forgotten."""
        self._run = self._repeated = None
        self._seen.update(dict.fromkeys(self._fresh, clock))
        self._fresh.clear()
        while self._seen and (len(self._seen) > REMEMBERED or next(iter(self._seen.values())) < clock - DAY):
            self._seen.popitem(last=False)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on, also in the middle of an append."""
        runs = {"run": self._run, "repeated": self._repeated}
        return {"seen": list(self._seen.items()), **runs, "fresh": self._fresh, "repeats": self.repeats}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self._seen = OrderedDict((digest, clock) for digest, clock in state["seen"])
        self._run, self._repeated = state["run"], state["repeated"]
        self._fresh, self.repeats = list(state["fresh"]), state["repeats"]
