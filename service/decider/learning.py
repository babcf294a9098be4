"""What one model's production looks like when nothing is wrong, and which null follows from it.

A model begins in *first contact* (learn and report only) and goes on against the *reference*, the PAC bound of the fine-tuning set, until a
person accepts a *baseline*. The reference opens tickets; it pages once 14 days are learned, if the learned share lies within the bound.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import BLOCK_WINDOWS, PAGING_DAYS, UNLEARNED_EFFECT, Blocks, RateBaseline
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.sketch import Sketch
from detectors.topic_baseline import TopicBaseline
from service.config import FirstContact
from service.decider.acceptance import objection
from service.decider.encoding import decode_array, decode_sketch, encode_array, encode_sketch
from service.records import WHOLE

STREAMS: Mapping[str, str] = {"ood_share": "strange", "far_share": "far"}
"""Stream -> the count of a sketch it tests."""

FLAGS = tuple(STREAMS.values())

DAYS = 60
"""Days of blocks kept; the oldest go first."""

DELTA = 0.01 / len(STREAMS)
"""Probability that a baseline's bound is too low: .01 a bundle, split over its streams."""

OVERRIDE = " (--anyway accepts it all the same)"

Phase = Literal["first_contact", "reference", "baseline"]
Purpose = Literal["service", "replay", "history"]


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
class Baseline:
    """Rates per flag ("strange", "far") learned from ``source``; ``accepted`` and ``actor`` are set once a person said yes.

    ``objection``: what speaks against it; one that is accepted all the same keeps it.
    """

    rates: Mapping[str, RateBaseline]
    source: str
    prompts: int
    accepted: float | None = None
    actor: str | None = None
    reason: str | None = None
    objection: str | None = None


@dataclass(frozen=True, slots=True)
class BaselineView:
    """What is learned of one model, for people.

    Attributes:
        phase: first_contact, reference or baseline.
        asks: why a person should accept a baseline now; None when nothing is to do.
        days, prompts: learned so far, from windows outside incidents; rates: flag -> what accepting now would put in force.
        contact: sums over first contact, for its report; None before the first window. since: start of the first window learned.
        accepted, candidate: in force; learned from history and waiting to be accepted.
    """

    phase: Phase
    asks: str | None
    days: int
    prompts: int
    rates: Mapping[str, RateBaseline]
    contact: Sketch | None
    since: float | None
    accepted: Baseline | None
    candidate: Baseline | None


class Refused(Exception):
    """A command that cannot be applied; the text is for its author."""


class Learning:
    """The learning state of one model. All times are event times."""

    def __init__(self, nulls: Mapping[str, float], settings: FirstContact, length: float, purpose: Purpose) -> None:
        self._nulls, self._settings, self._length, self._purpose = nulls, settings, length, purpose
        self._slots = max(1, round(86400 / (BLOCK_WINDOWS * length)))
        self.restart()

    def restart(self) -> None:
        """Forget everything learned and accepted."""
        contact = self._purpose == "service" and (self._settings.duration > 0 or self._settings.prompts > 0)
        self.phase: Phase = "first_contact" if contact else "reference"
        self.accepted: Baseline | None = None
        self.candidate: Baseline | None = None
        self.topics: NDArray[np.int64] | None = None
        self._since: float | None = None
        self._contact: Sketch | None = None
        self._blocks: dict[tuple[int, int], list[int]] = {}
        self._day: int | None = None
        self._rates: Mapping[str, RateBaseline] = {}
        self._frozen: Mapping[str, Null] | None = None

    def take(self, start: int, sketches: Mapping[str, Sketch], clean: bool) -> bool:
        """Learn one closed window unless an incident is open (``clean`` False); True when the nulls may have changed with it.

        ``sketches`` by slice; "" is the whole model, and a window without it is not learned.
        """
        sketch = sketches.get(WHOLE)
        if sketch is None or sketch.n == 0:
            return False
        if self._since is None:
            self._since = float(start)
        changed = False
        if clean or self.phase == "first_contact" or self.asks():
            changed = self._count(start, sketch)
        if self.phase == "first_contact":
            self._contact = sketch if self._contact is None else self._contact + sketch
            if start + self._length - self._since >= self._settings.duration and self._contact.n >= self._settings.prompts:
                self.phase, changed = "reference", True
                self._refit()
        return changed

    def _count(self, start: int, sketch: Sketch) -> bool:
        day, second = divmod(start, 86400)
        key = (day, int(second * self._slots // 86400))
        rollover = self._day is not None and day > self._day
        if rollover:
            self._roll_over()
        self._day = day
        block = self._blocks.setdefault(key, [0, 0, 0])
        for i, number in enumerate((sketch.n, sketch.strange, sketch.far)):
            block[i] += int(number)
        self.topics = sketch.topics.copy() if self.topics is None else self.topics + sketch.topics
        return rollover

    def _roll_over(self) -> None:
        """A day is complete: forget what is too old and decide whether the reference null may page from here on."""
        days = sorted({day for day, _ in self._blocks})
        for key in [key for key in self._blocks if key[0] not in set(days[-DAYS:])]:
            del self._blocks[key]
        self._refit()
        learned = min(rate.days for rate in self._rates.values()) >= PAGING_DAYS
        if self.phase == "reference" and self._purpose == "service" and self._frozen is None and learned:
            self._frozen = {
                flag: Null((self._nulls[flag],), (self._nulls[flag],), rate.design_effect, True, rate.rate <= self._nulls[flag])
                for flag, rate in self._rates.items()
            }

    def _refit(self) -> None:
        self._rates = {flag: RateBaseline.fit(self.blocks(flag), DELTA) for flag in FLAGS} if self._blocks else {}

    def blocks(self, flag: str) -> Blocks:
        """Everything learned of one flag, in order of time."""
        rows = sorted((day, n, (strange, far)[FLAGS.index(flag)]) for (day, _), (n, strange, far) in sorted(self._blocks.items()))
        return _blocks(rows)

    def null(self, slice: str, stream: str) -> Null:
        """What a rate stream is tested against now; ``slice`` "" is the whole model."""
        flag = STREAMS[stream]
        bound = (self._nulls[flag],)
        if self.accepted is not None:
            rate = self.accepted.rates[flag]
            return Null((rate.rate,), (rate.bound,), rate.design_effect, True, rate.may_page)
        if self._purpose == "history" or self.phase == "first_contact":
            return Null(bound, bound, UNLEARNED_EFFECT, False, False)
        if self._frozen is not None:
            return self._frozen[flag]
        return Null(bound, bound, UNLEARNED_EFFECT, True, False)

    def mix(self, stream: str) -> TopicBaseline | None:
        """Accepted shares of the categories that ``stream`` (topic_mix, language, length) watches; None while they are learned."""
        return None

    def shift(self) -> EmbeddingBaseline | None:
        """What embedding_shift is tested against; None while it is learned."""
        return None

    def asks(self) -> str | None:
        """Why a baseline should be accepted now."""
        if self.phase == "baseline":
            rates = self.accepted.rates.values() if self.accepted else ()
            short = any(rate.stage == "short" for rate in rates) and any(rate.stage != "short" for rate in self._rates.values())
            return "the accepted baseline is shorter than 14 days and more is learned by now" if short else None
        if self.phase == "reference":
            for flag, rate in self._rates.items():
                if rate.rate > self._nulls[flag]:
                    return f"{rate.rate:.2%} of production is {flag}, the fine-tuning set explains at most {self._nulls[flag]:.2%}"
        return None

    def learn(self, arguments: Mapping[str, Any]) -> str:
        """``baseline.learn``: make a candidate from the blocks of a history. Raises Refused for blocks that make no sense."""
        given = {flag: _checked(flag, arguments.get("blocks")) for flag in FLAGS}
        try:
            rates = {flag: RateBaseline.fit(blocks, DELTA) for flag, blocks in given.items()}
        except ValueError as error:
            raise Refused(f"no baseline can be made of these blocks: {error}") from error
        self.candidate = self._baseline(rates, str(arguments.get("source", "history")), given[FLAGS[0]].n)
        topics = arguments.get("topics")
        if topics and (self.topics is None or len(topics) == self.topics.size):
            self.topics = np.array(topics, np.int64)
        against = f"; not enough to be accepted: {self.candidate.objection}" if self.candidate.objection else ""
        return f"candidate from {self.candidate.source}: {_describe(rates)}{against}"

    def accept(self, actor: str, time: float, reason: str, *, anyway: bool = False) -> str:
        """``baseline.accept``: put the candidate, else what was learned live, in force.

        Raises Refused when there is neither, and when something speaks against it, unless ``anyway``.
        """
        chosen = self.candidate
        if chosen is None:
            self._refit()
            if not self._rates:
                raise Refused("nothing is learned yet: there is no baseline to accept")
            chosen = self._baseline(self._rates, "live", self.blocks(FLAGS[0]).n)
        if chosen.objection and not anyway:
            raise Refused(f"not enough is learned from {chosen.source}: {chosen.objection}{OVERRIDE}")
        self.accepted = replace(chosen, accepted=time, actor=actor, reason=reason)
        self.candidate, self.phase = None, "baseline"
        against = f" anyway, although {chosen.objection}" if chosen.objection else ""
        return f"accepted {chosen.source}{against}: {_describe(chosen.rates)}"

    def _baseline(self, rates: Mapping[str, RateBaseline], source: str, prompts: NDArray[np.int64]) -> Baseline:
        """What is learned of blocks with these prompts (N,), and what speaks against accepting it."""
        hours = int((prompts > 0).sum()) * 24 / self._slots
        return Baseline(rates, source, int(prompts.sum()), objection=objection(rates, int(prompts.sum()), hours, DELTA))

    def payload(self, source: str) -> dict[str, Any]:
        """What was learned, as the arguments of a ``baseline.learn`` command (without ``model``)."""
        blocks = {flag: np.stack([b.day, b.n, b.x], axis=1).tolist() for flag in FLAGS for b in [self.blocks(flag)]}
        return {"blocks": blocks, "source": source, "topics": [] if self.topics is None else self.topics.tolist()}

    def view(self) -> BaselineView:
        """For people; cheap, because rates are refitted once a day."""
        days = len({day for day, _ in self._blocks})
        prompts = sum(n for n, _, _ in self._blocks.values())
        return BaselineView(self.phase, self.asks(), days, prompts, self._rates, self._contact, self._since, self.accepted, self.candidate)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "phase": self.phase,
            "since": self._since,
            "contact": self._contact and encode_sketch(self._contact),
            "blocks": [[*key, *counts] for key, counts in self._blocks.items()],
            "topics": None if self.topics is None else encode_array(self.topics),
            "rates": {flag: asdict(rate) for flag, rate in self._rates.items()},
            "frozen": self._frozen and {flag: list(null) for flag, null in self._frozen.items()},
            "accepted": self.accepted and asdict(self.accepted),
            "candidate": self.candidate and asdict(self.candidate),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self.phase, self._since = state["phase"], state["since"]
        self._contact = state["contact"] and decode_sketch(state["contact"])
        self._blocks = {(day, slot): counts for day, slot, *counts in state["blocks"]}
        self._day = max((day for day, _ in self._blocks), default=None)
        self.topics = None if state["topics"] is None else decode_array(state["topics"])
        self._rates = _rates(state["rates"])
        self._frozen = state["frozen"] and {flag: Null.from_json(null) for flag, null in state["frozen"].items()}
        self.accepted, self.candidate = _baseline(state["accepted"]), _baseline(state["candidate"])


def _blocks(rows: Iterable[Iterable[int]]) -> Blocks:
    table = np.array(list(rows), np.int64).reshape(-1, 3)
    return Blocks(day=table[:, 0].copy(), n=table[:, 1].copy(), x=table[:, 2].copy())


def _checked(flag: str, blocks: Any) -> Blocks:
    """Rows of [day, n, x] from a command, or Refused."""
    try:
        table = np.array(blocks[flag], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"blocks.{flag} must be a list of [day, n, x]") from error
    shaped = table.ndim == 2 and table.shape[1:] == (3,) and table.size > 0 and bool(np.isfinite(table).all())
    if not shaped or (table != np.floor(table)).any() or not (table[:, 2] >= 0).all() or not (table[:, 2] <= table[:, 1]).all():
        raise Refused(f"blocks.{flag} must be rows of whole numbers [day, n, x] with 0 <= x <= n")
    return _blocks(table.astype(np.int64))


def _describe(rates: Mapping[str, RateBaseline]) -> str:
    shown = ((flag, rate, "day" if rate.days == 1 else "days") for flag, rate in rates.items())
    return ", ".join(f"{flag} {rate.rate:.2%} (bound {rate.bound:.2%}, {rate.days} {days}, {rate.stage})" for flag, rate, days in shown)


def _rates(state: Mapping[str, Any]) -> dict[str, RateBaseline]:
    return {flag: RateBaseline(**rate) for flag, rate in state.items()}


def _baseline(state: Mapping[str, Any] | None) -> Baseline | None:
    return state and Baseline(**{**state, "rates": _rates(state["rates"])})  # type: ignore[return-value]
