"""What one model's production looks like when nothing is wrong, and which nulls follow from it.

A model begins in *first contact* (learn and report only) and goes on against the *reference*, the PAC bound of the fine-tuning set, until a
person accepts a *baseline*. The reference opens tickets; it pages once 14 days are learned, if the learned share lies within the bound.
Nothing puts a baseline in force but a command: an alarm never changes what is normal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import BLOCK_WINDOWS, PAGING_DAYS, UNLEARNED_EFFECT
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.seasonal import SeasonalBaseline, block_hours
from detectors.sketch import Sketch
from detectors.topic_baseline import TopicBaseline
from detectors.volume_baseline import VolumeBaseline
from detectors.words import NO_WORDS
from service.config import Config
from service.decider import baselines, fitting, payload
from service.decider.baselines import STREAMS, TICKET_RATES, Baseline, Null, Place
from service.decider.calendar import Calendar
from service.decider.encoding import decode_sketch, encode_sketch
from service.decider.expectations import Expectation, Expectations, Refused, Topic, find_topic
from service.decider.history import History
from service.decider.promises import Counts
from service.records import WHOLE

__all__ = ["OVERRIDE", "STREAMS", "Baseline", "BaselineView", "Learning", "Null", "Phase", "Purpose", "Refused"]

OVERRIDE = " (--anyway accepts it all the same)"

Phase = Literal["first_contact", "reference", "baseline"]
Purpose = Literal["service", "replay", "history"]


@dataclass(frozen=True, slots=True)
class BaselineView:
    """What is learned of one model, for people.

    Attributes:
        phase: first_contact, reference or baseline.
        asks: why a person should accept a baseline now; None when nothing is to do.
        days, prompts, windows: learned so far outside incidents, and windows of the last 28 days.
        rates: (slice, stream) -> what accepting now would put in force.
        contact: sums over first contact, for its report; None before the first window. since: start of the first window learned.
        accepted, candidate: in force; learned from history and waiting to be accepted.
        expectations: announced changes that still hold.
    """

    phase: Phase
    asks: str | None
    days: int
    prompts: int
    windows: int
    rates: Mapping[Place, SeasonalBaseline]
    contact: Sketch | None
    since: float | None
    accepted: Baseline | None
    candidate: Baseline | None
    expectations: tuple[Expectation, ...] = ()


class Learning:
    """The learning state of one model. All times are event times."""

    def __init__(
        self,
        nulls: Mapping[str, float],
        config: Config,
        purpose: Purpose,
        *,
        slices: Sequence[str] = (),
        topics: Sequence[Topic] = (),
        page_rates: Mapping[Place, float] | None = None,
    ) -> None:
        """Begin anew.

        Args:
            nulls: "strange" and "far" -> PAC bound of the fine-tuning set.
            config: first contact, windows, time zone and minimum effect.
            purpose: as of the decider.
            slices: values counted apart.
            topics: of the bundle.
            page_rates: (slice, stream) -> false pages per window, for the replay of the promise; 0 where pages are switched off.
        """
        self._nulls, self._settings, self._purpose = nulls, config.detection.first_contact, purpose
        self._length, self._min_effect = config.windows.length, config.detection.min_effect
        self._slices, self._topics, self._page_rates = tuple(slices), tuple(topics), dict(page_rates or {})
        self._zone, self._calendar = config.windows.time_zone, Calendar(config.windows.time_zone)
        self._block = block_hours(self._length)
        self.expectations = Expectations()
        self.restart()

    def restart(self) -> None:
        """Forget everything learned and accepted."""
        contact = self._purpose == "service" and (self._settings.duration > 0 or self._settings.prompts > 0)
        self.phase: Phase = "first_contact" if contact else "reference"
        self.accepted: Baseline | None = None
        self.candidate: Baseline | None = None
        self._since: float | None = None
        self._latest: float | None = None
        self._contact: Sketch | None = None
        self._history = History(self._calendar, self._slices, self._length)
        self._rates: Mapping[Place, SeasonalBaseline] = {}
        self._frozen: Mapping[Place, Null] | None = None
        self._given: NDArray[np.int64] | None = None
        self._saved: dict[str, tuple[Baseline, str]] = {}

    def take(self, start: int, sketches: Mapping[str, Sketch], clean: bool) -> bool:
        """Learn one closed window unless an incident is open (``clean`` False); True when the nulls may have changed with it.

        ``sketches`` by slice; "" is the whole model, and a window without it is not learned.
        """
        sketch = sketches.get(WHOLE)
        if sketch is None or sketch.n == 0:
            return False
        if self._since is None:
            self._since = float(start)
        self._latest = float(start)
        self.expectations.expire(start)
        changed = False
        if (clean or self.phase == "first_contact" or self.asks()) and self._history.add(start, sketches):
            self._roll_over()
            changed = True
        if self.phase == "first_contact":
            sketch = replace(sketch, words=NO_WORDS)  # a day of words would be most of the state
            self._contact = sketch if self._contact is None else self._contact + sketch
            if start + self._length - self._since >= self._settings.duration and self._contact.n >= self._settings.prompts:
                self.phase, changed = "reference", True
                self._refit()
        return changed

    def _roll_over(self) -> None:
        """A day is complete: decide whether the reference null may page from here on."""
        self._refit()
        learned = min(self._rates[WHOLE, stream].days for stream in STREAMS) >= PAGING_DAYS
        if self.phase == "reference" and self._purpose == "service" and self._frozen is None and learned:
            self._frozen = {
                place: self._reference(place[1], rate.design_effect, rate.rate)
                for place, rate in self._rates.items()
                if place[1] in STREAMS and rate.days >= PAGING_DAYS
            }

    def _reference(self, stream: str, effect: float, rate: float) -> Null:
        bound = self._nulls[STREAMS[stream]]
        within = rate <= bound
        why = None if within else f"{rate:.2%} of production is {STREAMS[stream]}, the fine-tuning set explains at most {bound:.2%}"
        return Null((bound,), (bound,), effect, True, within, why)

    def _refit(self) -> None:
        self._rates = fitting.fit_rates(self._history, self._slices, self._block)

    def null(self, slice_: str, stream: str) -> Null:
        """What a rate stream is tested against now; ``slice_`` "" is the whole model."""
        if self.accepted is not None:
            return self.accepted.null(slice_, stream)
        if stream in TICKET_RATES:
            return Null((0.0,), (1.0,), UNLEARNED_EFFECT, False, False, "no baseline is accepted")
        bound = (self._nulls[STREAMS[stream]],)
        if self._purpose == "history" or self.phase == "first_contact":
            return Null(bound, bound, UNLEARNED_EFFECT, False, False, "first contact")
        if self._frozen is not None and (frozen := self._frozen.get((slice_, stream))):
            return frozen
        return Null(bound, bound, UNLEARNED_EFFECT, True, False, f"no baseline is accepted, and fewer than {PAGING_DAYS} days are learned")

    def mix(self, stream: str) -> TopicBaseline | None:
        """Accepted shares of the categories that ``stream`` (topic_mix, language, length) watches; None while they are learned."""
        return self.accepted.mixes.get(stream) if self.accepted else None

    def shift(self) -> EmbeddingBaseline | None:
        """What embedding_shift is tested against; None while it is learned."""
        return self.accepted.shift if self.accepted else None

    def broken(self, stream: str) -> str | None:
        """Why the replay of the accepted windows keeps a stream of the whole model from paging; None where it does not."""
        return self.accepted.broken(WHOLE, stream) if self.accepted else None

    def volume(self) -> VolumeBaseline | None:
        """What volume is tested against; None while it is learned."""
        return self.accepted.volume if self.accepted else None

    def expected(self, slice_: str, stream: str, topic: int | None, time: float) -> str | None:
        """Who announced a crossing of this stream that ``topic`` carries, and why: it opens a ticket at most. None: nobody did."""
        return self.expectations.expected(slice_, stream, topic, time)

    def announce(self, *, id_: str, topic: str | None, slice_: str | None, until: float, actor: str, reason: str) -> Expectation:
        """``expect.add``: a change of one topic or slice that nobody is to be woken for. Raises Refused for what cannot be meant."""
        if self._latest is not None and until <= self._latest:
            raise Refused("until lies in the past")
        index, name = find_topic(topic, self._topics) if topic is not None else (None, f"slice {slice_}")
        if topic is None and slice_ not in self._slices:
            raise Refused(f"no slice is called {slice_!r}; configured are: {', '.join(self._slices) or 'none'}")
        announced = Expectation(id_, index, slice_, name, until, actor, reason)
        self.expectations.add(announced)
        return announced

    @property
    def topics(self) -> NDArray[np.int64] | None:
        """Prompts of each topic that were learned, the last for none of them; None before the first."""
        counts = self._history.table("topic_mix").sum(axis=0) if self._history.rows.size else None
        return counts if counts is not None and counts.any() else self._given

    def asks(self) -> str | None:
        """Why a baseline should be accepted now."""
        if self.phase == "baseline":
            rates = self.accepted.rates.values() if self.accepted else ()
            short = any(rate.stage == "short" for rate in rates) and any(rate.stage != "short" for rate in self._rates.values())
            return "the accepted baseline is shorter than 14 days and more is learned by now" if short else None
        if self.phase == "reference":
            for stream, flag in STREAMS.items():
                rate = self._rates.get((WHOLE, stream))
                if rate is not None and rate.rate > self._nulls[flag]:
                    return f"{rate.rate:.2%} of production is {flag}, the fine-tuning set explains at most {self._nulls[flag]:.2%}"
        return None

    def learn(self, arguments: Mapping[str, Any]) -> str:
        """``baseline.learn``: make a candidate from a history. Raises Refused for one that makes no sense."""
        source = str(arguments.get("source", "history"))
        if "history" in arguments:
            ours = self._calendar, self._zone, self._slices, self._length, len(self._topics), self._min_effect
            told = payload.opened(arguments["history"], *ours)
            found, hours = self._fit(told, source)[0], float(told.history.rows.size)
        else:
            blocks = payload.blocks(arguments, list(STREAMS.values()))
            try:
                found = fitting.of_blocks(blocks, source)
            except ValueError as error:
                raise Refused(f"no baseline can be made of these blocks: {error}") from error
            hours = int((next(iter(blocks.values())).n > 0).sum()) * BLOCK_WINDOWS * self._length / 3600
        self.candidate = fitting.judged(found, hours, len(self._slices))
        topics = arguments.get("topics")
        if topics and len(topics) == len(self._topics) + 1:
            self._given = np.array(topics, np.int64)
        against = f"; not enough to be accepted: {self.candidate.objection}" if self.candidate.objection else ""
        return f"candidate from {source}: {fitting.told(self.candidate)}{against}"

    def accept(self, actor: str, time: float, reason: str, *, anyway: bool = False) -> str:
        """``baseline.accept``: put the candidate, else what was learned live, in force.

        Raises Refused when there is neither, and when something speaks against it, unless ``anyway``. Cost: see :func:`fitting.fit`.
        """
        chosen = self.candidate
        if chosen is None:
            if not self._history.rows.size:
                raise Refused("nothing is learned yet: there is no baseline to accept")
            self._refit()
            found, _ = self._fit(self._lived(), "live")
            chosen = fitting.judged(found, self._history.rows.size, len(self._slices))
        if chosen.objection and not anyway:
            raise Refused(f"not enough is learned from {chosen.source}: {chosen.objection}{OVERRIDE}")
        self.accepted = replace(chosen, accepted=time, actor=actor, reason=reason)
        self.candidate, self.phase = None, "baseline"
        against = f" anyway, although {chosen.objection}" if chosen.objection else ""
        return f"accepted {chosen.source}{against}: {fitting.told(chosen)}"

    def _lived(self) -> payload.Told:
        """What was learned live; not replayed yet."""
        history, delta = self._history, fitting.share_of_delta(len(self._slices))
        return payload.Told(history, history.embedding(delta), history.volume(delta), None)

    def _fit(self, told: payload.Told, source: str) -> tuple[Baseline, Counts]:
        settings: dict[str, Any] = {"page_rates": self._page_rates, "min_effect": self._min_effect, "source": source}
        return fitting.fit(told, self._slices, self._block, **settings)

    def payload(self, source: str) -> dict[str, Any]:
        """What was learned, as the arguments of a ``baseline.learn`` command (without ``model``)."""
        told = self._lived()
        counts: Counts = self._fit(told, source)[1] if self._history.rows.size else {}
        packed = payload.packed(told._replace(counts=counts), self._zone, self._length, self._min_effect)
        return {"history": packed, "source": source, "prompts": self._history.prompts, "days": self._history.days}

    def view(self) -> BaselineView:
        """For people; cheap, because rates are refitted once a day."""
        return BaselineView(
            self.phase,
            self.asks(),
            self._history.days,
            self._history.prompts,
            self._history.windows,
            self._rates,
            self._contact,
            self._since,
            self.accepted,
            self.candidate,
            self.expectations.listed(),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "phase": self.phase,
            "since": self._since,
            "latest": self._latest,
            "contact": self._contact and encode_sketch(self._contact),
            "history": self._history.to_json(),
            "given": None if self._given is None else self._given.tolist(),
            "rates": baselines.rates_to_json(self._rates),
            "frozen": self._frozen and [[*place, list(null)] for place, null in self._frozen.items()],
            "accepted": self._encoded("accepted", self.accepted),
            "candidate": self._encoded("candidate", self.candidate),
            "expectations": self.expectations.to_json(),
        }

    def _encoded(self, name: str, baseline: Baseline | None) -> str | None:
        """A baseline never changes: it is encoded once."""
        if baseline is None:
            return None
        if name not in self._saved or self._saved[name][0] is not baseline:
            self._saved[name] = baseline, baseline.to_json()
        return self._saved[name][1]

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self.phase, self._since, self._latest = state["phase"], state["since"], state["latest"]
        self._contact = state["contact"] and decode_sketch(state["contact"])
        self._history.load(state["history"])
        self._given = None if state["given"] is None else np.array(state["given"], np.int64)
        self._rates = baselines.rates_from_json(state["rates"])
        self._frozen = state["frozen"] and {(slice_, stream): Null.from_json(null) for slice_, stream, null in state["frozen"]}
        self.accepted, self.candidate = (state[name] and Baseline.from_json(state[name]) for name in ("accepted", "candidate"))
        self.expectations.load(state["expectations"])
