"""Production traffic in event time, a day at a stroke: a daily rhythm, conversations, users who send in bursts, what is planted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.main.demo.grammar import CHATTER
from service.main.demo.pool import Pool

DAY = 86_400
MINUTES = 1_440
LEAD = 30
"""Minutes before midnight from which conversations are followed into the day, so that the day starts as busy as it should be."""

PROMPTS_PER_MINUTE = 345.0
"""Mean over a weekday."""

_MOST_SESSIONS = 10_000_000
"""More than begin on a day."""

STYLE_SHARES = np.array([0.60, 0.17, 0.18, 0.05])
SWITCH = 0.5
"""Chance that a turn is about something else than the one before."""
DAY_EFFECT = 0.03
"""Standard deviation of the log of each day's share of chatter."""


class Sessions(NamedTuple):
    """How long conversations are: ``least`` turns, then a geometric number, ``most`` at most; seconds between turns are exponential.

    ``extra`` is the mean of the geometric number, ``gap`` that of the seconds.
    """

    least: int
    extra: float
    most: int
    gap: float

    @property
    def turns(self) -> float:
        """Mean number of turns."""
        return self.least + self.extra * (1.0 - (self.extra / (1.0 + self.extra)) ** (self.most - self.least))


ORDINARY = Sessions(least=1, extra=1.6, most=12, gap=40.0)
BURST = Sessions(least=6, extra=6.0, most=20, gap=8.0)
BURST_SHARE = 0.003
"""Share of sessions by users who send very many prompts in a few minutes."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens in the week. Times in seconds since the start of the week.

    Attributes:
        topic: an unseen topic that joins the traffic, or None for more of the same.
        share: what the topic makes of all sessions, from the first to the last moment of ``ramp``; it then stays.
        ramp: seconds over which the share grows.
        volume: factor on ordinary sessions.
        lean: intents that ordinary sessions of this event are about; empty for the usual mix.
        burst: whether it comes in bursts by single users.
    """

    name: str
    start: float
    stop: float
    topic: str | None = None
    share: tuple[float, float] = (0.0, 0.0)
    ramp: float = 1.0
    volume: float = 1.0
    lean: tuple[str, ...] = ()
    burst: bool = False


@dataclass(frozen=True, slots=True)
class Traffic:
    """N prompts in order of time.

    Attributes:
        time: (N,) float64, seconds since the start of the week.
        text: (N,) int64, index into the pool.
        session: (N,) int64, number of the conversation, different on every day.
    """

    time: NDArray[np.float64]
    text: NDArray[np.int64]
    session: NDArray[np.int64]


NOTHING = Traffic(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))


class _Starts(NamedTuple):
    """Sessions that begin, all (M,): second of the day, first topic, whether they stick to it, and whether they are bursts."""

    second: NDArray[np.float64]
    topic: NDArray[np.int64]
    steady: NDArray[np.bool_]
    burst: NDArray[np.bool_]


def rhythm(day: int) -> NDArray[np.float64]:
    """(LEAD + 1440,) float64: factor on the volume of every minute, from LEAD minutes before midnight; day 0 is a Monday.

    Quietest at 3:30, busiest at 15:30, weekends at 94%.
    """
    minute = np.arange(-LEAD, MINUTES)
    return (1.0 - 0.25 * np.cos(2 * np.pi * (minute - 210) / MINUTES)) * (0.94 if day % 7 >= 5 else 1.0)


def play_day(pool: Pool, seed: int, day: int, events: Sequence[Event] = ()) -> Traffic:
    """All prompts of one day, day 0 being the first Monday; negative days are history. A function of its arguments. About 0.1 s.

    What is said after midnight belongs to the next day, whose conversations are drawn anew.
    """
    rng = np.random.default_rng([seed, 11, day + 10_000])
    shares = pool.weights.copy()
    shares[pool.topics.index(CHATTER)] *= np.exp(rng.normal(0.0, DAY_EFFECT))
    shares /= shares.sum()
    rate: NDArray[np.float64] = PROMPTS_PER_MINUTE / ((1 - BURST_SHARE) * ORDINARY.turns + BURST_SHARE * BURST.turns) * rhythm(day)
    seconds = (day * MINUTES + np.arange(-LEAD, MINUTES)) * 60.0
    groups = [_ordinary(rate, shares, rng)]
    for event in events:
        active = (seconds >= event.start) & (seconds < event.stop)
        if active.any():
            groups.append(_planted(event, pool, np.where(active, rate, 0.0), seconds, shares, rng))
    return _turns(_Starts(*(np.concatenate(columns) for columns in zip(*groups, strict=True))), pool, shares, day, rng)


def _begin(rate: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
    minute = np.repeat(np.arange(-LEAD, MINUTES), rng.poisson(rate))
    return (minute + rng.random(minute.size)) * 60.0


def _ordinary(rate: NDArray[np.float64], shares: NDArray[np.float64], rng: np.random.Generator) -> _Starts:
    second = _begin(rate, rng)
    topic = rng.choice(shares.size, size=second.size, p=shares)
    return _Starts(second, topic, np.zeros(second.size, np.bool_), rng.random(second.size) < BURST_SHARE)


def _planted(
    event: Event,
    pool: Pool,
    rate: NDArray[np.floating],
    seconds: NDArray[np.floating],
    shares: NDArray[np.float64],
    rng: np.random.Generator,
) -> _Starts:
    if event.topic is None:
        second = _begin(rate * (event.volume - 1.0), rng)
        lean = np.array([pool.topics.index(name) for name in event.lean] or np.arange(shares.size))
        topic = rng.choice(lean, size=second.size, p=shares[lean] / shares[lean].sum())
    else:
        grown = np.clip((seconds - event.start) / event.ramp, 0.0, 1.0)
        share = event.share[0] + (event.share[1] - event.share[0]) * grown
        turns = BURST.turns / ORDINARY.turns if event.burst else 1.0
        second = _begin(rate * share / (1.0 - share) / turns, rng)
        topic = np.full(second.size, pool.topics.index(event.topic))
    return _Starts(second, topic, np.full(second.size, event.topic is not None), np.full(second.size, event.burst))


def _length(burst: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    least, extra, most, _ = (np.where(burst, *pair) for pair in zip(BURST, ORDINARY, strict=True))
    return np.minimum(least + rng.geometric(1.0 / (1.0 + extra)) - 1, most).astype(np.int64)


def _turns(starts: _Starts, pool: Pool, shares: NDArray[np.float64], day: int, rng: np.random.Generator) -> Traffic:
    length = _length(starts.burst, rng)
    session = np.repeat(np.arange(length.size), length)
    first = np.cumsum(length) - length
    waited = np.cumsum(rng.exponential(np.where(starts.burst, BURST.gap, ORDINARY.gap)[session]))
    second = starts.second[session] + waited - waited[first][session]
    switched = (rng.random(session.size) < SWITCH) & ~starts.steady[session]
    switched[first] = False
    topic = starts.topic[session]
    topic[switched] = rng.choice(shares.size, size=int(switched.sum()), p=shares)
    style = rng.choice(STYLE_SHARES.size, size=length.size, p=STYLE_SHARES)[session]
    text = pool.draw(topic, style, rng)
    order = np.argsort(second, kind="stable")
    order = order[(second[order] >= 0.0) & (second[order] < DAY)]
    return Traffic(day * DAY + second[order], text[order], day * _MOST_SESSIONS + session[order])
