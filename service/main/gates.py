"""From the decider's picture to what the API says of gates and advises gateways."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from service.decider.snapshot import DeciderSnapshot
from service.records import WHOLE, Advice

STALE = 120.0
"""Seconds after which a picture of the active decider is too old to be handed on; it makes one every half second."""


def decided(snapshot: DeciderSnapshot | None, now: float) -> DeciderSnapshot | str:
    """The picture of this process, or why there is none that may be relied on."""
    if snapshot is None:
        return "this process does not decide, or not yet"
    if not snapshot.active:
        return "another process is the active decider"
    if now - snapshot.published > STALE:
        return f"the decider has said nothing for {now - snapshot.published:.0f} s"
    return snapshot


def advise(snapshot: DeciderSnapshot | None, model: str, slice_: str = WHOLE, now: float | None = None) -> Advice:
    """What a gateway is advised about a prompt of this model and slice; two look-ups."""
    seen = decided(snapshot, time.time() if now is None else now)
    if isinstance(seen, str):
        return Advice(None, seen)
    whole = seen.advice.get((model, WHOLE), Advice(None, "the decider does not know this model"))
    return whole if whole.fallback else seen.advice.get((model, slice_), whole)


def rows(snapshot: DeciderSnapshot | None) -> Sequence[Mapping[str, Any]] | str:
    """Every gate as ``GET /v1/gates`` shows it, or why this process cannot say."""
    seen = decided(snapshot, time.time())
    if isinstance(seen, str):
        return seen
    return [
        {**asdict(gate), "judged": seen.published, "advice": asdict(advise(snapshot, gate.model_name, now=seen.published))}
        for gate in seen.gates
    ]
