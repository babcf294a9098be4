"""Simulated traffic for the promises of the detectors: independent prompts, rhythms, sessions inside one window or over many.

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
HEAVY_SHORTEST, HEAVY_LONGEST, HEAVY_EXPONENT = 5, 600, 1.5
DAY = 1440
WEEK = 7 * DAY
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

    @classmethod
    def heavy_tailed(cls, rng: np.random.Generator, mean: float, concentration: float, size: int = 1 << 18) -> Self:
        """Draw sessions of 5 to 600 prompts, Pareto with exponent 1.5; flag rates as in :meth:`make`."""
        length = np.minimum(np.ceil(HEAVY_SHORTEST * (1 - rng.random(size)) ** (-1 / HEAVY_EXPONENT)), HEAVY_LONGEST).astype(np.int64)
        theta = rng.beta(mean * concentration, (1 - mean) * concentration, size)
        start = np.cumsum(length) - length
        hit = np.flatnonzero(rng.random(int(length.sum())) < np.repeat(theta, length))
        session = np.searchsorted(start, hit, side="right") - 1
        flags = np.bincount(session, minlength=size)
        return cls(length, flags, np.cumsum(flags) - flags, hit - start[session])

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
        self._longest = int(bank.length.max())
        self._ahead = np.zeros(
            (2, self._longest, streams), np.int64
        )  # what sessions already begun bring to later windows: change of n, and x
        self._active = np.zeros(streams, np.int64)
        self.change(bank)
        if spanning:
            self.draw(self._longest)

    def change(self, bank: Bank) -> None:
        """Draw the sessions that start from now on from another bank, whose longest session is not longer."""
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
        room = cells + self._longest * self.streams
        x = np.bincount(flagged, minlength=room).reshape(-1, self.streams)
        step = -np.bincount(cell + self.streams * bank.length[session], minlength=room + self.streams)[:room].reshape(-1, self.streams)
        step = step.astype(np.int64)
        step[:windows] += started.reshape(windows, -1)
        return self._carry(step, x, windows)

    def _carry(self, step: NDArray[np.int64], x: NDArray[np.int64], windows: int) -> Counts:
        step[: self._longest] += self._ahead[0]
        x[: self._longest] += self._ahead[1]
        self._ahead = np.stack([step[windows:], x[windows:]])
        n = self._active + np.cumsum(step[:windows], axis=0)
        self._active = n[-1]
        return n, x[:windows]


class Clock:
    """Independent prompts whose share and volume follow the clock; every stream has levels of its own.

    The share of a window is rate * (1 + daily sin) * (1 + weekly sin) * level, the level log-normal with mean 1 and relative deviation
    ``deviation``, drawn anew every ``period`` windows; its prompts are Poisson with mean ``prompts`` * (1 + daily sin) * (1 + growth t),
    t in days.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        streams: int,
        rate: float,
        *,
        prompts: float = PROMPTS,
        daily: float = 0.0,
        weekly: float = 0.0,
        deviation: float = 0.0,
        period: int = DAY,
        growth: float = 0.0,
    ) -> None:
        self.rng, self.streams, self.rate, self.prompts = rng, streams, rate, prompts
        self.daily, self.weekly, self.deviation, self.period, self.growth = daily, weekly, deviation, period, growth
        self._now, self._level = 0, np.ones(streams)

    def draw(self, windows: int) -> Counts:
        """See :class:`World`."""
        time = np.arange(self._now, self._now + windows)
        daily = 1 + self.daily * np.sin(2 * np.pi * time / DAY)
        share = self.rate * daily * (1 + self.weekly * np.sin(2 * np.pi * time / WEEK))
        level = np.empty((windows, self.streams))
        for i, t in enumerate(time):
            if self.deviation and t % self.period == 0:
                self._level = np.exp(self.deviation * self.rng.standard_normal(self.streams) - self.deviation**2 / 2)
            level[i] = self._level
        self._now += windows
        mean = self.prompts * daily * (1 + self.growth * time / DAY)
        n = self.rng.poisson(mean[:, None], level.shape)
        return n, self.rng.binomial(n, np.minimum(share[:, None] * level, 1.0))


class HeavyUser:
    """Independent prompts, and one user a stream who comes for half an hour every three and a half, 40 prompts a window, 15% flagged."""

    PROMPTS, SHARE, STAYS, AWAY = 40, 0.15, 30, 180

    def __init__(self, rng: np.random.Generator, streams: int, rate: float) -> None:
        self.rng, self.streams, self._others = rng, streams, rate
        present = self.STAYS / (self.STAYS + self.AWAY)
        brought = present * self.PROMPTS
        self.rate = (PROMPTS * rate + brought * self.SHARE) / (PROMPTS + brought)
        self._here = rng.random(streams) < present

    def draw(self, windows: int) -> Counts:
        """See :class:`World`."""
        here = np.empty((windows, self.streams), bool)
        turn = self.rng.random(here.shape)
        for i in range(windows):
            self._here ^= turn[i] < np.where(self._here, 1 / self.STAYS, 1 / self.AWAY)
            here[i] = self._here
        own = self.PROMPTS * here
        return PROMPTS + own, self.rng.binomial(PROMPTS, self._others, here.shape) + self.rng.binomial(own, self.SHARE)


def blocks(world: World, days: int) -> list[Blocks]:
    """Draw ``days`` days and count them in blocks, as a baseline is learned: one :class:`Blocks` a stream."""
    each, n, x = DAY // BLOCK_WINDOWS, [], []
    for _ in range(days * each):
        parts = [tuple(a.sum(axis=0) for a in world.draw(BLOCK_WINDOWS // 4)) for _ in range(4)]
        n.append(sum(part[0] for part in parts))
        x.append(sum(part[1] for part in parts))
    day = np.repeat(np.arange(days), each)
    return [Blocks(day, a, b) for a, b in zip(np.array(n).T, np.array(x).T, strict=True)]
