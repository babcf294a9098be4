"""The detectors of all streams of all models: one array each, stream axis first, in the order of :func:`service.decider.budget.layout`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.change import Change, ChangePoint
from detectors.contract import Evidence, State, Windows
from detectors.flag_rate import FlagRate
from detectors.likelihood import RISE
from detectors.recovery import Recovery
from detectors.sketch import Sketch
from service.config import Config
from service.decider.budget import PAGING, RATES, RECOVERY, StreamKey, Weighted, full_rates, layout
from service.decider.calendar import HOURS
from service.decider.encoding import decode_state, encode_state
from service.decider.learning import Learning
from service.decider.mixes import Carried, Mixes
from service.decider.views import Views, rate_counts
from service.records import WHOLE

LEVELS = ("ticket", "page")

Place = tuple[str, str]
"""Model and slice."""


@dataclass(frozen=True, slots=True)
class Step:
    """One closed window: ``evidence`` as the detectors gave it, (S,), ``recovered`` (2, S) bool, ticket and page."""

    evidence: Evidence
    recovered: NDArray[np.bool_]


class Streams:
    """State of S streams."""

    def __init__(self, models: Mapping[str, Weighted], learning: Mapping[str, Learning], config: Config) -> None:
        self.keys = layout(models)
        self.index = {key: i for i, key in enumerate(self.keys)}
        self.full = full_rates(config, models)
        with np.errstate(divide="ignore"):
            self._thresholds = [(ticket, page) for ticket, page in (-np.log10(self.full)).T.tolist()]
        self._min_effect, self._length = config.detection.min_effect, config.windows.length
        self._rated = np.array([i for i, key in enumerate(self.keys) if key.stream in RATES])
        self._rate = {int(i): r for r, i in enumerate(self._rated)}
        self._places: dict[Place, list[int]] = {}
        for i in self._rated.tolist():
            self._places.setdefault(self.keys[i][:2], []).append(i)
        self.nulls = [learning[self.keys[i].model_name].null(*self.keys[i][1:]) for i in self._rated.tolist()]
        self.mixes = {name: self._mixes(name) for name in models}
        self._hour = 0
        self._weeks()
        bound, effect, ticket, page = self._parameters()
        self.flags = FlagRate.fit(null=bound, design_effect=effect, ticket_rate=ticket, page_rate=page)
        self.change = ChangePoint.fit(self._rated.size)
        self.views = Views(self.keys, self.mixes)
        nothing = np.full(2 * len(self), 0.5)
        self.recovery = Recovery.fit(null=nothing, design_effect=2 * nothing, threshold=RECOVERY / config.windows.length)
        for name in models:
            self._renew_mixes(name, learning[name])
        self._aim()

    def __len__(self) -> int:
        return len(self.keys)

    def _mixes(self, name: str) -> Mixes:
        rates = {key.stream: (self.full[0, i], self.full[1, i]) for i, key in enumerate(self.keys) if key[:2] == (name, WHOLE)}
        return Mixes({stream: (float(ticket), float(page)) for stream, (ticket, page) in rates.items()}, self._min_effect)

    def _weeks(self) -> None:
        """Reference and bound by hour of the week, (R, 168), and a token that tells each null from another."""
        self.reference_week, self.bound_week = (
            np.array([np.broadcast_to(getattr(null, name), HOURS) for null in self.nulls]) for name in ("reference", "bound")
        )
        self._tokens = [blake2b(repr(tuple(null[:-1])).encode(), digest_size=8).hexdigest() for null in self.nulls]

    def _parameters(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Null of the hour with the minimum effect, design effect, ticket rate, page rate: (R,) each."""
        ticket, page = self.full[:, self._rated] * np.array([[null.ticket, null.page] for null in self.nulls]).T
        return self._bound(self._hour), np.array([null.design_effect for null in self.nulls]), ticket, page

    def _bound(self, hour: int) -> NDArray[np.float64]:
        return np.asarray(np.clip(self.bound_week[:, hour] + self._min_effect, 1e-9, 0.999))

    def _aim(self) -> None:
        """Tell the views what the rate streams are tested against this hour."""
        self.views.aim(self._rated, self.flags.null, self.flags.design_effect, self.reference_week[:, self._hour], self._hour)

    def is_rate(self, stream: int) -> bool:
        """Whether this stream counts one kind of prompt."""
        return stream in self._rate

    def allowed(self, stream: int) -> dict[str, bool]:
        """Level -> whether this stream may reach it now."""
        key = self.keys[stream]
        if stream in self._rate:
            null = self.nulls[self._rate[stream]]
            ticket, page = null.ticket, null.page
        else:
            ticket, page = self.mixes[key.model_name].has(key.stream), self.mixes[key.model_name].may_page(key.stream)
        return {"ticket": ticket, "page": page and bool(self.full[1, stream] > 0)}

    def why(self, stream: int) -> str | None:
        """What keeps a stream from paging that could."""
        if not self.full[1, stream] or self.allowed(stream)["page"]:
            return None
        if stream in self._rate:
            return self.nulls[self._rate[stream]].why
        key = self.keys[stream]
        return self.mixes[key.model_name].why(key.stream)

    def thresholds(self, stream: int) -> tuple[float, float]:
        """log10 evidence at which ticket and page cross; inf for a level that the configuration never allows."""
        return self._thresholds[stream]

    def renew(self, model: str, learning: Learning) -> list[int]:
        """Put what is learned in force; the streams whose null changed, which begin again."""
        changed = np.zeros(self._rated.size, bool)
        for i, r in self._rate.items():
            if self.keys[i].model_name == model:
                null = learning.null(*self.keys[i][1:])
                changed[r] = null[:-1] != self.nulls[r][:-1]
                self.nulls[r] = null
        if changed.any():
            self._weeks()
            self._restart(changed)
        begun = self._renew_mixes(model, learning)
        self._aim()
        return [*self._rated[changed].tolist(), *begun]

    def _renew_mixes(self, model: str, learning: Learning) -> list[int]:
        rated = {}
        for i in self._places[model, WHOLE]:
            null = self.nulls[self._rate[i]]
            if null.page and self.full[1, i] > 0:
                rated[self.keys[i].stream] = (self._tokens[self._rate[i]], np.full(RISE.size, 1 / RISE.size))
        mixes = {stream: learning.mix(stream) for stream in ("topic_mix", "language", "length")}
        broken = {stream: why for stream in PAGING if (why := learning.broken(stream))}
        renewed = self.mixes[model].renew(mixes, learning.shift(), learning.volume(), rated, broken)
        begun = [self.index[StreamKey(model, WHOLE, stream)] for stream in sorted(renewed)]
        self._forget_recovery(begun)
        return begun

    def _restart(self, changed: NDArray[np.bool_]) -> None:
        bound, effect, ticket, page = self._parameters()
        self.flags.reset(changed, null=bound, design_effect=effect, ticket_rate=ticket, page_rate=page)
        self.change.reset(changed)
        self._forget_recovery(self._rated[changed].tolist())

    def _forget_recovery(self, streams: Sequence[int]) -> None:
        where = np.zeros(2 * len(self), bool)
        where[[at + i for i in streams for at in (0, len(self))]] = True
        self.recovery.reset(where)

    def update(self, start: int, hour: int, found: Mapping[Place, Sketch]) -> Step:
        """One closed window, its start and hour of the week; sketches with prompts of models and slices."""
        if hour != self._hour:
            self._hour = hour
            self.flags.move(self._bound(hour))
            self._aim()
        n, x = np.zeros((2, len(self)), np.int64)
        for place, sketch in found.items():
            for i in self._places.get(place, ()):
                n[i], x[i] = sketch.n, rate_counts(sketch, self.keys[i].stream)
        windows = Windows(n=n[self._rated], x=x[self._rated])
        ratio, elapsed = self.flags.increments(windows)
        said = self.flags.recursion.update(ratio, elapsed)
        self.change.update(windows, self.flags.null, self.flags.design_effect)
        evidence = _spread(said, self._rated, len(self))
        for (name, slice_), sketch in found.items():
            if slice_ == WHOLE:
                steps = {
                    self.keys[i].stream: (ratio[:, self._rate[i]], np.repeat(elapsed[self._rate[i]], RISE.size))
                    for i in self._places[name, WHOLE]
                }
                for stream, one in self.mixes[name].update(sketch, hour, steps).items():
                    _put(evidence, self.index[StreamKey(name, WHOLE, stream)], one)
        for name, mixes in self.mixes.items():
            prompts = found[name, WHOLE].n if (name, WHOLE) in found else 0
            if (traffic := mixes.traffic(start, hour, int(prompts), self._length)) is not None:
                _put(evidence, self.index[StreamKey(name, WHOLE, "volume")], traffic)
        self.views.take(found, n, x)
        recovered = np.zeros(2 * len(self), bool)
        if self.recovery.running.any():
            self.recovery.move(np.tile(self.views.null, 2), np.tile(self.views.effect, 2))
            recovered = self.recovery.update(Windows(n=np.tile(self.views.n, 2), x=np.tile(self.views.bet, 2)))
        return Step(evidence, recovered.reshape(2, -1))

    def estimate(self, stream: int) -> Change | None:
        """When the newest change of a rate stream began, in windows in which any model had prompts; None for other streams."""
        return self.change.estimate(self._rate[stream]) if stream in self._rate else None

    def counts(self, stream: int, windows: int) -> tuple[int, int]:
        """Prompts and flagged among them of a rate stream in its newest windows."""
        return self.change.counts(self._rate[stream], windows)

    def null_at(self, model: str, carried: Carried, hours: NDArray[np.int64]) -> NDArray[np.float64]:
        """(W,) null of what a stream is about at these hours of the week, as it is bet against."""
        if carried.member in RATES:
            bound = self.bound_week[self._rate[self.index[StreamKey(model, WHOLE, carried.member)]]]
            return np.asarray(np.clip(bound[hours] + self._min_effect, 1e-9, 0.999))
        return self.mixes[model].null_at(carried, hours)

    def watch_recovery(self, stream: int, level: str, on: bool) -> None:
        """Start the recovery test of one incident, or stop it."""
        where = np.zeros(2 * len(self), bool)
        where[LEVELS.index(level) * len(self) + stream] = True
        (self.recovery.start if on else self.recovery.stop)(where)

    def forget_change(self, stream: int) -> None:
        """Its incident is over: the next change begins later."""
        if stream in self._rate:
            where = np.zeros(self._rated.size, bool)
            where[self._rate[stream]] = True
            self.change.reset(where)

    def to_json(self) -> dict[str, Any]:
        """Detector states with the names and parameters they belong to."""
        change = self.change.snapshot()
        return {
            "keys": [list(key) for key in self.keys],
            "history": int(change["length"].max()),
            "hour": self._hour,
            "nulls": self._tokens,
            "full": self.full.tolist(),
            "flags": encode_state(self.flags.snapshot()),
            "recovery": encode_state(self.recovery.snapshot()),
            "change": encode_state(change),
            "mixes": {name: mixes.to_json() for name, mixes in self.mixes.items()},
            "pinned": [[i, *carried] for i, carried in self.views.pinned.items()],
        }

    def load(self, state: Mapping[str, Any], kept: Sequence[str]) -> None:
        """Take over the streams of the models ``kept``; one whose null or share of a budget changed meanwhile starts again."""
        keys = [StreamKey(*key) for key in state["keys"]]
        old = {key: i for i, key in enumerate(keys)}
        pairs = [(i, old[key]) for i, key in enumerate(self.keys) if key in old and key.model_name in kept]
        to, of = np.array(pairs, np.int64).reshape(-1, 2).T
        twice = np.concatenate([to, to + len(self)]), np.concatenate([of, of + len(keys)])
        was = {i: r for r, i in enumerate(i for i, key in enumerate(keys) if key.stream in RATES)}
        rates = [(self._rate[new], was[before]) for new, before in pairs if new in self._rate]
        rate_to, rate_of = np.array(rates, np.int64).reshape(-1, 2).T
        flags, change, recovery = (decode_state(state[name]) for name in ("flags", "change", "recovery"))
        self._hour = state["hour"]
        self.flags.move(self._bound(self._hour))
        self.flags = FlagRate.restore(_moved(self.flags.snapshot(), flags, rate_to, rate_of, len(was)))
        self.recovery = Recovery.restore(_moved(self.recovery.snapshot(), recovery, *twice, 2 * len(keys)))
        self.change = ChangePoint.restore(change).moved(self._rated.size, rate_to, rate_of)
        place = {before: new for new, before in pairs}
        self.views.pinned = {place[i]: Carried(*carried) for i, *carried in state["pinned"] if i in place}
        changed = np.ones(self._rated.size, bool)
        for new, before in pairs:
            if new in self._rate:
                r = self._rate[new]
                same_rates = all(math.isclose(self.full[level, new], state["full"][level][before], rel_tol=1e-12) for level in range(2))
                changed[r] = self._tokens[r] != state["nulls"][was[before]] or not same_rates
        if changed.any():
            self._restart(changed)
        for name in kept:
            begun = self.mixes[name].load(state["mixes"][name])
            self._forget_recovery([self.index[StreamKey(name, WHOLE, stream)] for stream in sorted(begun)])
        self._aim()


def _spread(said: Evidence, rated: NDArray[np.int64], size: int) -> Evidence:
    """Evidence of the rate streams at their places among all streams."""
    made = Evidence(np.zeros(size), np.zeros(size), np.zeros(size, bool), np.zeros(size, bool))
    _put(made, rated, said)
    return made


def _put(evidence: Evidence, at: int | NDArray[np.int64], said: Evidence) -> None:
    for name in ("log10_ticket", "log10_page", "ticket", "page"):
        values = getattr(said, name)
        getattr(evidence, name)[at] = values if isinstance(at, np.ndarray) else values[0]


def _moved(fresh: State, saved: State, to: NDArray[np.int64], of: NDArray[np.int64], size: int) -> State:
    """The fresh state with the rows ``of`` of the saved one at ``to``, in every array that has one row a stream (``size`` of them)."""
    result = dict(fresh)
    for name, array in saved.items():
        if array.shape[:1] != (size,):
            result[name] = array
        elif name in fresh and fresh[name].shape[1:] == array.shape[1:]:
            result[name] = fresh[name].copy()
            result[name][to] = array[of]
    return result
