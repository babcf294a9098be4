"""Which rise is paged after how long, for the traffic, the baseline and the weights of a running service."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detectors.delay import Delay, detection_table, no_sooner, smallest_rise
from detectors.topic_mix import rise_part

RISES = (0.01, 0.02, 0.05, 0.10, 0.30)
"""Share of strange prompts added to the traffic."""

STREAM = "ood_share"
_RUNS = 100
_DAY = 86400.0

Row = Mapping[str, Any]


def lines(rows: Sequence[Row], model: str, window: float) -> Iterator[tuple[str, ...]]:
    """Cells of the table of one model: who, prompts in a window, each rise, what is never told. Cost: about 0.5 s a line.

    The whole model; the same if there were no slices, which shows what they cost; the slices with the most and the fewest prompts; and
    what moves to the topic of median size, for ``topic_mix``.
    ``rows`` are those of ``/v1/baseline``.
    """
    mine = [row for row in rows if row["model_name"] == model and row["stream"] == STREAM]
    whole = next((row for row in mine if not row["slice"]), None)
    slices = sorted((row for row in mine if row["slice"] and row["prompts"]), key=lambda row: -row["prompts"])
    if whole is None:
        return
    yield _line(model, whole, window, 1.0)
    if slices:
        yield _line(f"{model}, without slices", whole, window, _without_slices(rows, model))
    for row in slices[:1] + slices[1:][-1:]:
        yield _line(f"slice {row['slice']}", row, window, 1.0)
    topics = next((row for row in rows if row["model_name"] == model and row.get("median_topic")), None)
    if topics is not None:
        yield _swap(f"{model}, all of it one topic", topics, window)


def _without_slices(rows: Sequence[Row], model: str) -> float:
    """By what the budget of pages of the whole model's streams would grow if no slice had a part of it."""
    rates = [(row["slice"], 1 / row["false_page_every"]) for row in rows if row["model_name"] == model and row["false_page_every"]]
    whole = sum(rate for slice_, rate in rates if not slice_)
    return sum(rate for _, rate in rates) / whole if whole else 1.0


def _line(name: str, row: Row, window: float, more: float, part: float = 1.0, sensitivity: float = 0.8) -> tuple[str, ...]:
    prompts, rate, null = row["prompts"], row["rate"], row["null"]
    if not prompts or not rate or not 0 < null < 1 or rate >= 0.8:
        return name, "-", *("-" for _ in RISES), "no traffic yet"
    never = smallest_rise(null, flag_rate=rate, sensitivity=sensitivity)
    told = f"{100 * never:.1f} points or less"
    if not row["false_page_every"]:
        return name, f"{prompts:,.0f}", *("ticket" for _ in RISES), told
    page_rate = more * window / row["false_page_every"]
    delays = detection_table(
        null,
        row["design_effect"],
        page_rate=page_rate * part,
        flag_rate=rate,
        prompts_per_window=prompts,
        rises=RISES,
        sensitivity=sensitivity,
        horizon=min(1440, math.ceil(_DAY / window)),
        runs=_RUNS,
    )
    return name, f"{prompts:,.0f}", *(_cell(delay, never, window) for delay in no_sooner(delays, page_rate, part)), told


def _swap(name: str, row: Row, window: float) -> tuple[str, ...]:
    """As :func:`_line`, of prompts that move to the topic of median size, each of which counts; against its share of the bets."""
    median = row["median_topic"]
    rates = {"rate": median["share"], "null": median["null"], "design_effect": median["design_effect"]}
    return _line(name, {**row, **rates}, window, 1.0, part=rise_part(median["categories"]), sensitivity=1.0)


def _cell(delay: Delay, never: float, window: float) -> str:
    """Median and, in brackets, 90% of runs."""
    if delay.rise <= never:
        return "never"
    if math.isinf(delay.median):
        return "over a day"
    return f"{_duration(delay.median * window)} ({_duration(delay.late * window) if math.isfinite(delay.late) else 'over a day'})"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
