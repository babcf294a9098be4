"""Simulated traffic for the promises of the detectors: independent prompts, sessions inside one window, sessions that span windows.

A session has 10 to 20 prompts and a flag rate of its own, drawn from a Beta law; sessions start as a Poisson process, 200 prompts a
window on average. Sessions are drawn from a bank of half a million made once; the bank's own flag share is the true rate, exactly.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import BLOCK_WINDOWS, Blocks

PROMPTS = 200
SHORTEST, LONGEST = 10, 20
DAY = 1440
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


class World(Protocol):
    """Traffic of S streams; ``rate`` is the true long-run share of flagged prompts."""

    rate: float

    def draw(self, windows: int) -> Counts:
        """n and x of the next ``windows`` windows, (windows, S) each."""
        ...


@dataclass(frozen=True)
class Bank:
    """Sessions: length (N,), and the positions of their flags, flat, with ``first`` and ``flags`` of each session."""

    length: NDArray[np.int64]
    flags: NDArray[np.int64]
    first: NDArray[np.int64]
    position: NDArray[np.int64]

    @classmethod
    def make(
        cls,
        rng: np.random.Generator,
        mean: float,
        concentration: float,
        strange: float = 0.0,
        sensitivity: float = 0.8,
        size: int = 1 << 19,
    ) -> Self:
        """Draw sessions; a share ``strange`` of them has the flag rate ``sensitivity`` instead of one drawn from the Beta law."""
        length = rng.integers(SHORTEST, LONGEST + 1, size)
        theta = rng.beta(mean * concentration, (1 - mean) * concentration, size)
        theta[rng.random(size) < strange] = sensitivity
        flagged = (rng.random((size, LONGEST)) < theta[:, None]) & (np.arange(LONGEST) < length[:, None])
        flags = flagged.sum(axis=1)
        return cls(length, flags, np.cumsum(flags) - flags, np.nonzero(flagged)[1])

    @property
    def rate(self) -> float:
        """Share of flagged prompts."""
        return float(self.flags.sum() / self.length.sum())


class Independent:
    """Every prompt on its own: exactly 200 in a window."""

    def __init__(self, rng: np.random.Generator, streams: int, rate: float) -> None:
        self.rng, self.streams, self.rate = rng, streams, rate

    def draw(self, windows: int) -> Counts:
        """See :class:`World`."""
        x = self.rng.binomial(PROMPTS, self.rate, (windows, self.streams))
        return np.full(x.shape, PROMPTS), x


class Sessions:
    """Sessions, one prompt a window when ``spanning``, otherwise all prompts in the window in which the session starts."""

    def __init__(self, rng: np.random.Generator, streams: int, bank: Bank, spanning: bool) -> None:
        self.rng, self.streams, self.spanning = rng, streams, spanning
        self._ahead = np.zeros((2, LONGEST, streams), np.int64)  # what sessions already begun bring to later windows: change of n, and x
        self._active = np.zeros(streams, np.int64)
        self.change(bank)
        if spanning:
            self.draw(LONGEST)

    def change(self, bank: Bank) -> None:
        """Draw the sessions that start from now on from another bank."""
        self.bank, self.rate = bank, bank.rate
        self._starts = PROMPTS / bank.length.mean()

    def draw(self, windows: int) -> Counts:
        """See :class:`World`."""
        bank, cells = self.bank, windows * self.streams
        started = self.rng.poisson(self._starts, cells)
        cell = np.repeat(np.arange(cells), started)
        session = self.rng.integers(0, bank.length.size, cell.size)
        hit = np.flatnonzero(bank.flags[session])
        flags = bank.flags[session[hit]]
        begin = np.cumsum(flags) - flags
        flagged = np.repeat(cell[hit], flags)
        if not self.spanning:
            n = np.bincount(cell, weights=bank.length[session], minlength=cells).astype(np.int64)
            return n.reshape(windows, -1), np.bincount(flagged, minlength=cells).reshape(windows, -1)
        inside = np.arange(flagged.size) - np.repeat(begin, flags)
        flagged += self.streams * bank.position[np.repeat(bank.first[session[hit]], flags) + inside]
        room = cells + LONGEST * self.streams
        x = np.bincount(flagged, minlength=room).reshape(-1, self.streams)
        step = -np.bincount(cell + self.streams * bank.length[session], minlength=room + self.streams)[:room].reshape(-1, self.streams)
        step = step.astype(np.int64)
        step[:windows] += started.reshape(windows, -1)
        return self._carry(step, x, windows)

    def _carry(self, step: NDArray[np.int64], x: NDArray[np.int64], windows: int) -> Counts:
        step[:LONGEST] += self._ahead[0]
        x[:LONGEST] += self._ahead[1]
        self._ahead = np.stack([step[windows:], x[windows:]])
        n = self._active + np.cumsum(step[:windows], axis=0)
        self._active = n[-1]
        return n, x[:windows]


def blocks(world: World, days: int) -> list[Blocks]:
    """Draw ``days`` days and count them in blocks, as a baseline is learned: one :class:`Blocks` a stream."""
    each, n, x = DAY // BLOCK_WINDOWS, [], []
    for _ in range(days * each):
        parts = [tuple(a.sum(axis=0) for a in world.draw(BLOCK_WINDOWS // 4)) for _ in range(4)]
        n.append(sum(part[0] for part in parts))
        x.append(sum(part[1] for part in parts))
    day = np.repeat(np.arange(days), each)
    return [Blocks(day, a, b) for a, b in zip(np.array(n).T, np.array(x).T, strict=True)]
