"""A history on its way from who learned it to the decider: what a ``baseline.learn`` command carries, packed and checked."""

import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from detectors.baseline import Blocks
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.volume_baseline import VolumeBaseline
from service.decider import promises
from service.decider.baselines import shift_from_json, shift_to_json
from service.decider.calendar import Calendar
from service.decider.encoding import decode_packed, decode_state, encode_packed, encode_state
from service.decider.expectations import Refused
from service.decider.history import History

LARGEST = 3_000_000
"""Characters of a packed history; a month with 100 topics has about a tenth of them."""


class Told(NamedTuple):
    """What travels: hours of counts, what the embedding and the volume did, and what the replay of the windows counted, None before."""

    history: History
    shift: EmbeddingBaseline | None
    volume: VolumeBaseline | None
    counts: promises.Counts | None


def packed(told: Told, zone: str, length: float, min_effect: float) -> str:
    """What :func:`opened` reads. The embedding travels as it was learned, without the sums behind it; windows stay where they are."""
    state = {**told.history.to_json(), "embedding": None, "recording": None}
    counted = {"time_zone": zone, "window": length, "min_effect": min_effect}
    shift = told.shift and shift_to_json(told.shift)
    volume = told.volume and encode_state(told.volume.snapshot())
    return encode_packed({"history": state, "shift": shift, "volume": volume, "promises": promises.to_json(told.counts or {}), **counted})


def opened(value: Any, calendar: Calendar, zone: str, slices: Sequence[str], length: float, topics: int, min_effect: float) -> Told:
    """What was packed. Raises Refused for what is none, or was counted otherwise than this service counts."""
    if not isinstance(value, str) or len(value) > LARGEST:
        raise Refused("history must be what `tiltmeter baseline learn` makes")
    history = History(calendar, slices, length)
    try:
        state = decode_packed(value)
        theirs = state["time_zone"], state["window"], state["min_effect"]
        history.load(state["history"])
        shift = state["shift"] and shift_from_json(state["shift"])
        volume = state["volume"] and VolumeBaseline.restore(decode_state(state["volume"]))
        counts = promises.from_json(state["promises"])
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise Refused(f"the history cannot be read: {type(error).__name__}") from error
    ours = zone, length, min_effect
    if theirs != ours:
        said = [f"{zone}, windows of {length:g} s and a minimum effect of {effect:g}" for zone, length, effect in (theirs, ours)]
        raise Refused(f"learned with time zone {said[0]}, this service has {said[1]}: give --config")
    if not history.prompts:
        raise Refused("the history holds no prompts")
    if topics and history.table("topic_mix").shape[1] != topics + 1:
        raise Refused(f"learned with another bundle: it has {history.table('topic_mix').shape[1] - 1} topics, this service's {topics}")
    return Told(history, shift, volume, counts)


def blocks(arguments: Mapping[str, Any], flags: Sequence[str]) -> dict[str, Blocks]:
    """Rows of [day, n, x] by flag. Raises Refused."""
    return {flag: _checked(flag, arguments.get("blocks")) for flag in flags}


def _checked(flag: str, given: Any) -> Blocks:
    try:
        table = np.array(given[flag], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"blocks.{flag} must be a list of [day, n, x]") from error
    shaped = table.ndim == 2 and table.shape[1:] == (3,) and table.size > 0 and bool(np.isfinite(table).all())
    if not shaped or (table != np.floor(table)).any() or not (table[:, 2] >= 0).all() or not (table[:, 2] <= table[:, 1]).all():
        raise Refused(f"blocks.{flag} must be rows of whole numbers [day, n, x] with 0 <= x <= n")
    rows = table.astype(np.int64)
    return Blocks(day=rows[:, 0].copy(), n=rows[:, 1].copy(), x=rows[:, 2].copy())
