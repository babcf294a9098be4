"""From a history to a baseline, and what speaks against accepting it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Blocks, RateBaseline
from detectors.seasonal import WEEK_HOURS, SeasonalBaseline
from detectors.topic_baseline import TopicBaseline
from service.decider.acceptance import objection
from service.decider.baselines import STREAMS, TICKET_RATES, Baseline, Place, rounded, shift_from_json, shift_to_json
from service.decider.budget import SLICED, TABLES
from service.decider.history import History
from service.decider.payload import Told
from service.decider.promises import Counts, Replay
from service.decider.promises import judged as promised
from service.records import WHOLE

DELTA = 0.01
"""Probability that any bound of one baseline is too low, split evenly over its streams."""

_MODEL_STREAMS = len(STREAMS) + len(TICKET_RATES) + len(TABLES) + 2


def share_of_delta(slices: int) -> float:
    """Part of :data:`DELTA` of one stream of a model with so many slices."""
    return DELTA / (_MODEL_STREAMS + slices * len(SLICED))


def fit_rates(history: History, slices: Sequence[str], block: int) -> dict[Place, SeasonalBaseline]:
    """Rates of every rate stream that had prompts. Cost: about 1 ms each."""
    delta = share_of_delta(len(slices))
    places = [(WHOLE, stream) for stream in (*STREAMS, *TICKET_RATES)] + [(value, stream) for value in slices for stream in SLICED]
    found = {place: history.hours(*place) for place in places}
    return {place: SeasonalBaseline.fit(hours, delta, block) for place, hours in found.items() if hours.n.any()}


def fit_mixes(history: History, slices: Sequence[str]) -> dict[str, TopicBaseline]:
    """Shares of the categories of every stream that has many. Cost: about 0.1 s each."""
    delta = share_of_delta(len(slices))
    day, hour = history.rows["day"].astype(np.int64), history.rows["hour"].astype(np.int64)
    tables = {stream: history.table(stream) for stream in TABLES}
    return {stream: rounded(TopicBaseline.fit(table, day, hour, delta)) for stream, table in tables.items() if table.any()}


def fit(
    told: Told, slices: Sequence[str], block: int, *, page_rates: Mapping[Place, float], min_effect: float, source: str
) -> tuple[Baseline, Counts]:
    """Everything, and what the replay of the promise counted: here, unless the history was replayed where it was learned.

    Cost: 1 s, and that of :class:`service.decider.promises.Replay`.
    """
    history, shift, counts = told.history, told.shift, told.counts
    rates, mixes, span = fit_rates(history, slices, block), fit_mixes(history, slices), history.span()
    if counts is None:
        replay = Replay(history, slices, page_rates, block=block, delta=share_of_delta(len(slices)), min_effect=min_effect)
        counts = replay.run(rates, mixes.get("topic_mix"), shift)
    p_values = history.p_values().tolist()
    baseline = Baseline(
        rates=rates,
        promises=promised(counts, page_rates),
        mixes=mixes,
        shift=shift and shift_from_json(shift_to_json(shift)),
        volume=told.volume,
        source=source,
        prompts=history.prompts,
        days=history.days,
        first=None if span is None else date.fromordinal(span[0]).isoformat(),
        last=None if span is None else date.fromordinal(span[1]).isoformat(),
        p_values=tuple(p_values) if any(p_values) else None,
    )
    return baseline, counts


def of_blocks(blocks: Mapping[str, Blocks], source: str) -> Baseline:
    """From counts of blocks of 240 windows alone: one rate for all hours, and nothing to replay. Raises ValueError without prompts."""
    delta = share_of_delta(0)
    rates = {(WHOLE, stream): constant(RateBaseline.fit(blocks[flag], delta)) for stream, flag in STREAMS.items()}
    n, days = blocks[STREAMS["ood_share"]].n, blocks[STREAMS["ood_share"]].day
    return Baseline(rates, {}, {}, None, source, int(n.sum()), int(np.unique(days[n > 0]).size))


def constant(one: RateBaseline) -> SeasonalBaseline:
    """One rate for all hours."""
    share, bound = np.full(WEEK_HOURS, one.rate), np.full(WEEK_HOURS, one.bound)
    return SeasonalBaseline(share, bound, one.rate, one.design_effect, one.days, one.day_cv, one.stage, by_hour=False)


def usual_bound(rate: SeasonalBaseline) -> float:
    """The bound of the middle hour of the week."""
    return float(np.median(rate.bound))


def describe(rates: Mapping[Place, SeasonalBaseline]) -> str:
    """Rates of the whole model in words."""
    whole = ((flag, rates[WHOLE, stream]) for stream, flag in STREAMS.items())
    shown = ((flag, rate, "day" if rate.days == 1 else "days") for flag, rate in whole)
    return ", ".join(f"{flag} {rate.rate:.2%} (bound {bounds(rate.bound)}, {rate.days} {days}, {rate.stage})" for flag, rate, days in shown)


def bounds(bound: NDArray[np.float64]) -> str:
    """Lowest to highest bound of the week."""
    low, high = f"{bound.min():.2%}", f"{bound.max():.2%}"
    return low if low == high else f"{low} to {high}"


def judged(baseline: Baseline, hours: float, slices: int) -> Baseline:
    """With what speaks against accepting it; ``hours`` were learned."""
    rates = {flag: baseline.rates[WHOLE, stream] for stream, flag in STREAMS.items()}
    return replace(baseline, objection=objection(rates, baseline.prompts, hours, share_of_delta(slices)))


def told(baseline: Baseline) -> str:
    """Rates, days and what opens tickets only, in words."""
    days = f", learned from {baseline.first} to {baseline.last}" if baseline.first else ""
    places = [(WHOLE, stream) for stream in STREAMS if baseline.rates[WHOLE, stream].stage != "short"]
    reasons = {place: baseline.why(*place) for place in places}
    reasons |= {place: kept.reason for place, kept in baseline.promises.items() if not kept.kept and place not in reasons and places}
    broken = [f"{' '.join(filter(None, place))} opens tickets only: {why}" for place, why in reasons.items() if why]
    return "; ".join([f"{describe(baseline.rates)}{days}", *broken])
