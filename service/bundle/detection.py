"""The detection table of a bundle: which rise is paged after how long, before any baseline is accepted, and what slices cost."""

import math
from functools import cache
from typing import NamedTuple

from detectors.calibration import STRANGE
from detectors.delay import Delay, detection_table, smallest_rise

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

_SLICE_STREAMS = 2
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
