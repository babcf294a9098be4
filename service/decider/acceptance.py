"""Whether enough is learned for a baseline to be accepted, in words; and what the history keeps of one that was."""

from collections.abc import Iterator, Mapping

import numpy as np

from detectors.baseline import RateBaseline
from detectors.embedding_levels import LEVELS
from detectors.seasonal import SeasonalBaseline
from detectors.volume_baseline import LEVELS as VOLUME_LEVELS
from service.decider.baselines import STREAMS, Baseline
from service.records import BaselineEntry

HOURS = 24.0
"""A baseline shorter than this has not seen both the quiet and the busy hours of a day."""

LARGEST_BOUND = 0.9
"""Above this bound hardly any rise is left to be seen, whatever it was learned from."""


def objection(rates: Mapping[str, SeasonalBaseline], prompts: int, hours: float, delta: float) -> str | None:
    """Why this should not be accepted; None when nothing speaks against it.

    A baseline is the null from then on: what lies below its bound is never reported. So it is refused when it saw less than a day, when
    sampling error rather than production makes its bound (:meth:`detectors.baseline.RateBaseline.prompts_needed`), and when the bound
    leaves next to nothing to be seen. The bound is that of the middle hour of the week: an hour never seen has none.
    """
    reasons = [f"{hours:.0f} of {HOURS:.0f} hours are learned"] if hours < HOURS else []
    for flag, rate in rates.items():
        bound = float(np.median(rate.bound))
        needed = RateBaseline(rate.rate, bound, rate.design_effect, rate.days, rate.day_cv, rate.stage).prompts_needed(delta)
        normal = f"up to {bound:.2%} {flag} would count as normal"
        if prompts < needed:
            missing = (
                f"{prompts:,} prompts, worth {max(1, round(prompts / rate.design_effect)):,} independent; {needed - prompts:,} more needed"
            )
            reasons.append(f"{normal} ({missing})")
        elif bound > LARGEST_BOUND:
            reasons.append(f"{normal}: hardly any rise could be seen")
    return "; ".join(reasons) or None


def entries(model: str, accepted: Baseline, told: str = "") -> Iterator[BaselineEntry]:
    """The null in force of every stream that has one; ``combined`` has that of its members. ``told``: added to the source."""

    def entry(flag: str, rate: float, bound: float, effect: float, days: int, stage: str, why: str | None) -> BaselineEntry:
        time, actor, reason = accepted.accepted or 0.0, accepted.actor or "", accepted.reason or ""
        return BaselineEntry(model, flag, time, actor, reason, accepted.source + told, rate, bound, effect, days, stage, why)

    for (slice_, stream), rate in accepted.rates.items():
        flag, bound = f"{slice_}/{stream}" if slice_ else STREAMS.get(stream, stream), float(np.median(rate.bound))
        yield entry(flag, float(rate.rate), bound, float(rate.design_effect), int(rate.days), rate.stage, accepted.why(slice_, stream))
    for stream, mix in accepted.mixes.items():
        largest = int(mix.share.sum(axis=0).argmax())
        share, upper = (float(np.median(table[:, largest])) for table in (mix.share, mix.upper))
        yield entry(stream, share, upper, float(mix.design_effect[largest]), int(mix.days), mix.stage, accepted.broken("", stream))
    if (shift := accepted.shift) is not None:
        figures = float(LEVELS[0]), float(shift.null[0, 0]), float(shift.design_effect[0]), int(shift.days), shift.stage
        yield entry("embedding_shift", *figures, accepted.broken("", "embedding_shift"))
    if (volume := accepted.volume) is not None:
        figures = float(VOLUME_LEVELS[0]), float(volume.null[:, 0].max()), float(volume.design_effect), int(volume.days), volume.stage
        yield entry("volume", *figures, "this stream opens tickets only")
