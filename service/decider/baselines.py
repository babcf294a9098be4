"""A baseline: everything that is normal for one model, learned from its history, and whether the promise would have held on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import PAGING_DAYS, UNLEARNED_EFFECT
from detectors.contract import State
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.promise import Promise
from detectors.seasonal import WEEK_HOURS, SeasonalBaseline
from detectors.topic_baseline import TopicBaseline
from detectors.volume_baseline import VolumeBaseline
from service.decider.encoding import decode_array, decode_packed, decode_state, encode_array, encode_packed, encode_state

STREAMS: Mapping[str, str] = {"ood_share": "strange", "far_share": "far"}
"""Rate stream that may page -> the count of a sketch it tests."""

TICKET_RATES = ("new_topic", "truncation")
"""Rate streams of a whole model that open tickets at most."""

Place = tuple[str, str]
"""Slice ("" for the whole model) and stream."""


class Null(NamedTuple):
    """What one stream is tested against, without the minimum effect, and which levels it may reach.

    ``reference`` (normal) and ``bound`` have one entry, or 168: one for each hour of the week. ``why``: what keeps it from paging.
    """

    reference: tuple[float, ...]
    bound: tuple[float, ...]
    design_effect: float
    ticket: bool
    page: bool
    why: str | None = None

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> "Null":
        """Inverse of ``list(null)`` after JSON."""
        reference, bound, *rest = values
        return cls(tuple(reference), tuple(bound), *rest)


@dataclass(frozen=True, slots=True)
class Kept:
    """Verdict of the replay of the promise on one stream.

    Attributes:
        kept: False: tickets only. reason: one sentence for people.
        smallest_budget: windows per false page at which, by extrapolation, the promise would hold; None where nothing is wrong or none.
    """

    kept: bool
    reason: str
    smallest_budget: float | None = None

    @classmethod
    def of(cls, promise: Promise) -> "Kept":
        """What is kept of a replay."""
        return cls(bool(promise.kept), promise.reason, promise.smallest_budget and float(promise.smallest_budget))


@dataclass(frozen=True, slots=True)
class Baseline:
    """Learned from ``source``; ``accepted`` and ``actor`` are set once a person said yes.

    Attributes:
        rates: (slice, stream) -> rates by hour of the week, of what had prompts.
        promises: (slice, stream) -> what the replay said of each stream that it covers.
        mixes: topic_mix, language, length -> shares of their categories; without windows to learn from none.
        shift: of the embedding; None where nothing was learned.
        prompts, days: learned; first, last: the days it was learned from, as ISO dates, None where only counts were given.
        volume: how many prompts come when; None where too little was learned.
        objection: what speaks against it; one that is accepted all the same keeps it.
        p_values: prompts by p-value (detectors.sketch.P_VALUE_EDGES); None where only flags were given.
    """

    rates: Mapping[Place, SeasonalBaseline]
    promises: Mapping[Place, Kept]
    mixes: Mapping[str, TopicBaseline]
    shift: EmbeddingBaseline | None
    source: str
    prompts: int
    days: int
    first: str | None = None
    last: str | None = None
    accepted: float | None = None
    actor: str | None = None
    reason: str | None = None
    objection: str | None = None
    p_values: tuple[int, ...] | None = None
    volume: VolumeBaseline | None = None

    def null(self, slice_: str, stream: str) -> Null:
        """What a rate stream is tested against with this in force."""
        rate = self.rates.get((slice_, stream))
        if rate is None:
            nothing = f"no prompts of {slice_ or 'the model'} are in the accepted baseline"
            return Null((0.0,), (1.0,), UNLEARNED_EFFECT, False, False, nothing)
        size = WEEK_HOURS if rate.by_hour else 1
        reference, bound = tuple(rate.share[:size].tolist()), tuple(rate.bound[:size].tolist())
        why = self.why(slice_, stream)
        return Null(reference, bound, float(rate.design_effect), True, why is None, why)

    def why(self, slice_: str, stream: str) -> str | None:
        """What keeps a rate stream from paging; None where nothing does."""
        rate = self.rates[slice_, stream]
        if stream in TICKET_RATES:
            return "this stream opens tickets only"
        if rate.stage == "short":
            return f"{rate.days} of the {PAGING_DAYS} whole days that paging needs are learned"
        if rate.stage == "unpromised":
            return f"its days differ by {rate.day_cv:.0%}, more than a bound could allow for"
        return self.broken(slice_, stream)

    def broken(self, slice_: str, stream: str) -> str | None:
        """Why the replay keeps a stream from paging; None where it does not. A slice that was not replayed goes by its model."""
        promise = self.promises.get((slice_, stream)) or self.promises.get(("", stream))
        return promise.reason if promise is not None and not promise.kept else None

    def to_json(self) -> str:
        """Compressed; encode it once, it never changes."""
        return encode_packed(
            {
                **{name: getattr(self, name) for name in _PLAIN},
                "rates": rates_to_json(self.rates),
                "promises": [[*place, kept.kept, kept.reason, kept.smallest_budget] for place, kept in self.promises.items()],
                "mixes": {stream: _mix_to_json(mix) for stream, mix in self.mixes.items()},
                "shift": self.shift and shift_to_json(self.shift),
                "p_values": self.p_values,
                "volume": self.volume and encode_state(self.volume.snapshot()),
            }
        )

    @classmethod
    def from_json(cls, packed: str) -> "Baseline":
        """Inverse of :meth:`to_json`."""
        state = decode_packed(packed)
        return cls(
            rates=rates_from_json(state["rates"]),
            promises={(slice_, stream): Kept(*kept) for slice_, stream, *kept in state["promises"]},
            mixes={stream: _mix_from_json(mix) for stream, mix in state["mixes"].items()},
            shift=state["shift"] and shift_from_json(state["shift"]),
            p_values=state["p_values"] and tuple(state["p_values"]),
            volume=state["volume"] and VolumeBaseline.restore(decode_state(state["volume"])),
            **{name: state[name] for name in _PLAIN},
        )


_PLAIN = ("source", "prompts", "days", "first", "last", "accepted", "actor", "reason", "objection")


def rates_to_json(rates: Mapping[Place, SeasonalBaseline]) -> list[Any]:
    """JSON values."""
    return [[*place, _rate_to_json(rate)] for place, rate in rates.items()]


def rates_from_json(state: Sequence[Sequence[Any]]) -> dict[Place, SeasonalBaseline]:
    """Inverse of :func:`rates_to_json`."""
    return {(slice_, stream): _rate_from_json(rate) for slice_, stream, rate in state}


def _rate_to_json(rate: SeasonalBaseline) -> list[Any]:
    size = WEEK_HOURS if rate.by_hour else 1
    return [
        encode_array(rate.share[:size]),
        encode_array(rate.bound[:size]),
        *(rate.rate, float(rate.design_effect), rate.days, rate.day_cv, rate.stage, rate.by_hour),
    ]


def _rate_from_json(state: Sequence[Any]) -> SeasonalBaseline:
    share, bound = (np.broadcast_to(decode_array(part), (WEEK_HOURS,)).copy() for part in state[:2])
    return SeasonalBaseline(share, bound, *state[2:])


def _single(state: State) -> State:
    """Arrays of float64 as float32: half the checkpoint, at a relative error of 1e-7."""
    return {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in state.items()}


def _double(arrays: Iterable[tuple[str, NDArray[Any]]]) -> State:
    return {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in arrays}


def shift_to_json(shift: EmbeddingBaseline) -> dict[str, Any]:
    """What is learned of an embedding, in single precision."""
    return encode_state(_single(shift.snapshot()))


def shift_from_json(state: Mapping[str, list[Any]]) -> EmbeddingBaseline:
    """Inverse of :func:`shift_to_json`."""
    return EmbeddingBaseline.restore(_double(decode_state(state).items()))


def rounded(mix: TopicBaseline) -> TopicBaseline:
    """As it is after it was saved."""
    return _mix_from_json(_mix_to_json(mix))


def _mix_to_json(mix: TopicBaseline) -> dict[str, Any]:
    arrays = {name: encode_array(getattr(mix, name).astype(np.float32)) for name in _MIX_ARRAYS}
    return {**arrays, "days": mix.days, "stage": mix.stage}


def _mix_from_json(state: Mapping[str, Any]) -> TopicBaseline:
    arrays = {name: decode_array(state[name]).astype(np.float64) for name in _MIX_ARRAYS}
    return TopicBaseline(**arrays, days=state["days"], stage=state["stage"])


_MIX_ARRAYS = ("share", "upper", "lower", "design_effect", "day_cv")
