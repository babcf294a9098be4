"""What each stream shows of a window: prompts, those it is about, and the null they are held against.

A rate stream shows its own counts. A stream of many categories shows the category that carries its evidence, ``embedding_shift`` whether
the window was flagged (n = 1), ``volume`` whether the block was that it completed, ``combined`` what its member shows that carries.
While an incident is open that choice is pinned, so that recovery and shares are about what was told.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import Sketch
from service.decider.budget import COUNTED, MIXES, RATES, StreamKey
from service.decider.mixes import Carried, Mixes, counts
from service.records import WHOLE


def rate_counts(sketch: Sketch, stream: str) -> int:
    """The prompts that a rate stream counts."""
    return int(getattr(sketch, COUNTED[stream]) if stream in COUNTED else sketch.topics[-1])


class Views:
    """Arrays (S,) of the newest window.

    ``n`` prompts and ``x`` among them; ``reference`` the normal share of x. ``bet`` is x, or n - x where a fall is bet on (``falling``):
    what lies above ``null`` (minimum effect included) is news, with design effect ``effect``.
    """

    def __init__(self, keys: Sequence[StreamKey], mixes: Mapping[str, Mixes]) -> None:
        self._mixes = mixes
        self._index = {key: i for i, key in enumerate(keys)}
        self._others = {
            name: [(key.stream, i) for i, key in enumerate(keys) if key.model_name == name and key.stream not in RATES] for name in mixes
        }
        self._hour = 0
        self.pinned: dict[int, Carried] = {}
        self.n, self.x = np.zeros((2, len(keys)), np.int64)
        self.falling = np.zeros(len(keys), bool)
        self.null, self.effect, self.reference = np.full(len(keys), 0.5), np.ones(len(keys)), np.zeros(len(keys))

    @property
    def bet(self) -> NDArray[np.int64]:
        """(S,) int64."""
        return np.where(self.falling, self.n - self.x, self.x)

    def aim(
        self, rated: NDArray[np.int64], null: NDArray[np.float64], effect: NDArray[np.float64], reference: NDArray[np.float64], hour: int
    ) -> None:
        """Rate streams at the places ``rated`` are held against these from here on, in this hour of the week."""
        self.null[rated], self.effect[rated], self.reference[rated], self._hour = null, effect, reference, hour
        for name in self._mixes:
            self._look(name)

    def carried(self, key: StreamKey) -> Carried:
        """What a stream is about now."""
        i = self._index[key]
        mixes = self._mixes[key.model_name]
        if key.stream in RATES or not mixes.has(key.stream):
            return Carried(key.stream)
        pinned = self.pinned.get(i)
        return pinned if pinned is not None and mixes.knows(pinned) else mixes.carried(key.stream)

    def take(self, found: Mapping[tuple[str, str], Sketch], n: NDArray[np.int64], x: NDArray[np.int64]) -> None:
        """One closed window: ``n`` and ``x`` (S,) of the rate streams, 0 elsewhere."""
        self.n, self.x = n.copy(), x.copy()
        for name in self._mixes:
            if sketch := found.get((name, WHOLE)):
                self._look(name)
                self._count(name, sketch)
            at, flag = self._index[StreamKey(name, WHOLE, "volume")], self._mixes[name].unusual()
            self.n[at], self.x[at] = flag >= 0, flag > 0

    def _look(self, name: str) -> None:
        mixes = self._mixes[name]
        for stream, i in self._others[name]:
            if not mixes.has(stream):
                self.null[i], self.effect[i], self.reference[i], self.falling[i] = 0.5, 1.0, 0.0, False
                continue
            carried = self.carried(StreamKey(name, WHOLE, stream))
            if carried.member in RATES:
                member = self._index[StreamKey(name, WHOLE, carried.member)]
                self.null[i], self.effect[i], self.reference[i] = self.null[member], self.effect[member], self.reference[member]
                self.falling[i] = False
            else:
                self.null[i], self.effect[i], self.reference[i] = mixes.parameters(carried, self._hour)
                self.falling[i] = not carried.rising

    def _count(self, name: str, sketch: Sketch) -> None:
        mixes = self._mixes[name]
        for stream, i in self._others[name]:
            if not mixes.has(stream) or stream == "volume":
                continue
            carried = self.carried(StreamKey(name, WHOLE, stream))
            if carried.member in RATES:
                member = self._index[StreamKey(name, WHOLE, carried.member)]
                self.n[i], self.x[i] = self.n[member], self.x[member]
            elif carried.member in MIXES:
                table = counts(sketch, carried.member)
                self.n[i], self.x[i] = table.sum(), table[carried.category]
            else:
                flag = mixes.flag(sketch)
                self.n[i], self.x[i] = flag >= 0, flag > 0
