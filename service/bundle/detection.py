"""The detection table of a bundle: which rise is paged after how long, before any baseline is accepted, and what slices cost."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from detectors.calibration import STRANGE
from detectors.delay import Delay, detection_table, no_sooner, smallest_rise
from detectors.topic_baseline import WEEK_HOURS, TopicBaseline
from detectors.topic_mix import rise_part

RATES = (5, 50, 500)
"""Prompts per second of one model."""

RISES = (0.01, 0.02, 0.05, 0.10, 0.30)
"""Share of strange prompts added to the traffic."""

SLICES = 50
"""Slices of equal traffic in the second half of the table."""

SLICE_BUDGET = 0.2
"""Share of the model's budget that the slices have together."""

STREAMS = 5
"""Streams of a model that may page, of equal weight."""

WINDOW = 60.0
"""Seconds of a window."""

UNTOLD = (
    "how large a share of prompts it takes depends on how far these lie from what they replace, which no count tells; "
    "measured figures are in benchmarks/README.md"
)
"""Why embedding_shift has no rows."""

LEARNED_DAYS = 28
"""Days of the baseline that the rows of a topic assume."""

_SLICE_STREAMS = 2
_DELTA = 0.001
_BUDGET = 90 * 86_400.0
_MIN_EFFECT = 0.005
_RUNS = 100


class Reach(NamedTuple):
    """Delays of a page at one rate of prompts, one for each of :data:`RISES`.

    Attributes:
        alone: the whole model, no slices configured.
        beside: the whole model when :data:`SLICES` slices take :data:`SLICE_BUDGET` of its budget.
        inside: one of those slices, when the rise happens in it.
    """

    alone: list[Delay]
    beside: list[Delay]
    inside: list[Delay]


class Detection(NamedTuple):
    """The table; ``never``: a rise of this share or less is never told from chance, however long one waits."""

    rates: dict[int, Reach]
    never: float


@cache
def detection(bound: float) -> Detection:
    """The table against the bound of the strange share that ``fit`` proved, with default windows, budget and minimum effect.

    Simulated with a fixed seed: equal bounds give equal tables. Cost: about 2 s the first time.
    """
    null = bound + _MIN_EFFECT
    rate = WINDOW / _BUDGET

    def delays(page_rate: float, prompts: float) -> list[Delay]:
        return detection_table(null, 1.0, page_rate=page_rate, flag_rate=STRANGE, prompts_per_window=prompts, rises=RISES, runs=_RUNS)

    table = {
        speed: Reach(
            delays(rate / STREAMS, speed * WINDOW),
            delays(rate * (1 - SLICE_BUDGET) / STREAMS, speed * WINDOW),
            delays(rate * SLICE_BUDGET / SLICES / _SLICE_STREAMS, speed * WINDOW / SLICES),
        )
        for speed in RATES
    }
    return Detection(table, smallest_rise(null, flag_rate=STRANGE))


class Swap(NamedTuple):
    """Delays of a page when prompts move to the topic of median size, by prompts per second; ``share``: of that topic.

    ``never``: by prompts per second, a rise of this share or less is never told from chance.
    """

    share: float
    rates: dict[int, list[Delay]]
    never: dict[int, float]


@cache
def swap(topics: tuple[float, ...]) -> Swap | None:
    """What ``topic_mix`` tells of a set with these shares of ``topics``, once four weeks of prompts like it, all days alike, are accepted.

    None without topics. Cost: about 2 s the first time.
    """
    shares = np.maximum(np.append(topics, 1 - sum(topics)), 1e-4)
    shares /= shares.sum()
    if not topics:
        return None
    at = int(np.argsort(shares[:-1])[len(topics) // 2])
    hour, rng = np.arange(LEARNED_DAYS * 24), np.random.default_rng(0)
    rates, never = {}, {}
    for speed in RATES:
        counts = rng.multinomial(speed * 3600, shares, hour.size)
        learned = TopicBaseline.fit(counts, hour // 24, hour % WEEK_HOURS, _DELTA)
        null, share = float(np.median(learned.upper[:, at])) + _MIN_EFFECT, float(shares[at])
        page_rate, part = WINDOW / _BUDGET / STREAMS, rise_part(shares.size)
        delays = detection_table(
            null,
            float(learned.design_effect[at]),
            page_rate=page_rate * part,
            flag_rate=share,
            prompts_per_window=speed * WINDOW,
            rises=RISES,
            sensitivity=1.0,
            runs=_RUNS,
        )
        rates[speed] = no_sooner(delays, page_rate, part)
        never[speed] = smallest_rise(null, flag_rate=share, sensitivity=1.0)
    return Swap(float(shares[at]), rates, never)


def limits(table: Detection) -> str:
    """One sentence: what no wait and no traffic tells from chance."""
    return (
        f"A rise of {100 * table.never:.1f} points or less is never told from chance, however long one waits: the flagged share then "
        "stays within what the fine-tuning set proves plus the minimum effect; an accepted baseline has a tighter bound."
    )


def said(delay: Delay, never: float) -> str:
    """One cell: median and, in brackets, the 90% of runs."""
    if delay.rise <= never:
        return "never"
    if math.isinf(delay.median):
        return "over a day"
    return f"{_duration(delay.median)} ({_duration(delay.late) if math.isfinite(delay.late) else 'over a day'})"


def _duration(windows: float) -> str:
    minutes = windows * WINDOW / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
