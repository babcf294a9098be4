"""The detectors of all streams of all models: one array each, stream axis first; two streams a model, in the order of ``STREAMS``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.change import Change, ChangePoint
from detectors.contract import Evidence, State, Windows
from detectors.flag_rate import FlagRate
from detectors.recovery import Recovery
from service.config import Config
from service.decider.encoding import decode_state, encode_state
from service.decider.learning import STREAMS, Null
from service.errors import ConfigError

LEVELS = ("ticket", "page")

RECOVERY = 6 * 3600.0
"""A false closing is expected once in this many seconds (event time) spent exactly at the bound."""

PER_MODEL = len(STREAMS)


@dataclass(frozen=True, slots=True)
class Step:
    """One closed window: ``evidence`` as the detectors gave it, ``recovered`` (2, S) bool, ticket and page."""

    evidence: Evidence
    recovered: NDArray[np.bool_]


def full_rates(config: Config, weights: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected false tickets and pages per window of each stream, (S,) each: both budgets split by model weight, then evenly.

    Raises:
        ConfigError: a budget of more than one alarm per window and stream, or windows too long for a recovery test.
    """
    share = np.repeat(np.asarray(weights, np.float64) / sum(weights) / PER_MODEL, PER_MODEL)
    ticket = share * config.windows.length / config.budgets.ticket
    page = share * config.windows.length / config.budgets.page * config.detection.paging
    for key, rate in (("ticket", ticket), ("page", page)):
        if (rate >= 1).any():
            raise ConfigError(f"budgets.{key}: expected less than one alarm per window and stream")
    if config.windows.length >= RECOVERY:
        raise ConfigError(f"windows.length: expected less than {RECOVERY / 3600:.0f} hours")
    return ticket, page


class Streams:
    """State of S = 2 x models streams."""

    def __init__(self, models: Sequence[str], nulls: Sequence[Null], config: Config, weights: Sequence[float]) -> None:
        self.models = tuple(models)
        self.full = full_rates(config, weights)
        self._min_effect = config.detection.min_effect
        self.nulls = list(nulls)
        bound, effect, ticket, page = self._parameters()
        self.flags = FlagRate.fit(null=bound, design_effect=effect, ticket_rate=ticket, page_rate=page)
        self.recovery = Recovery.fit(null=np.tile(bound, 2), design_effect=np.tile(effect, 2), threshold=RECOVERY / config.windows.length)
        self.change = ChangePoint.fit(bound.size)

    def __len__(self) -> int:
        return len(self.nulls)

    def _parameters(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Null with the minimum effect, design effect, ticket rate, page rate: (S,) each."""
        nulls = self.nulls
        self.bound = np.clip(np.array([null.bound[0] for null in nulls]) + self._min_effect, 1e-9, 0.999)
        self.reference = np.array([null.reference[0] for null in nulls])
        self.effect = np.array([null.design_effect for null in nulls])
        ticket = self.full[0] * np.array([null.ticket for null in nulls])
        return self.bound, self.effect, ticket, self.full[1] * np.array([null.page for null in nulls])

    def allowed(self, stream: int) -> dict[str, bool]:
        """Level -> whether this stream may reach it now."""
        null = self.nulls[stream]
        return {"ticket": null.ticket, "page": null.page and bool(self.full[1][stream] > 0)}

    def thresholds(self, stream: int) -> tuple[float, float]:
        """log10 evidence at which ticket and page cross; inf for a level that the configuration never allows."""
        with np.errstate(divide="ignore"):
            return float(-np.log10(self.full[0][stream])), float(-np.log10(self.full[1][stream]))

    def renew(self, first: int, nulls: Sequence[Null]) -> bool:
        """Put new nulls in force from stream ``first`` on; a stream whose null changed starts again. True when one did."""
        changed = np.zeros(len(self), bool)
        for i, null in enumerate(nulls, first):
            changed[i] = null != self.nulls[i]
            self.nulls[i] = null
        if changed.any():
            self._restart(changed)
        return bool(changed.any())

    def _restart(self, changed: NDArray[np.bool_]) -> None:
        bound, effect, ticket, page = self._parameters()
        self.flags.reset(changed, null=bound, design_effect=effect, ticket_rate=ticket, page_rate=page)
        self.recovery.reset(np.tile(changed, 2), null=np.tile(bound, 2), design_effect=np.tile(effect, 2))
        self.change.reset(changed)

    def update(self, n: NDArray[np.int64], x: NDArray[np.int64]) -> Step:
        """One closed window; n and x are (S,), 0 where a model had none."""
        windows = Windows(n=n, x=x)
        evidence = self.flags.update(windows)
        self.change.update(windows, self.bound, self.effect)
        recovered = np.zeros(2 * n.size, bool)
        if self.recovery.running.any():
            recovered = self.recovery.update(Windows(n=np.tile(n, 2), x=np.tile(x, 2)))
        return Step(evidence, recovered.reshape(2, -1))

    def estimate(self, stream: int) -> Change:
        """When the newest change of this stream began, in windows in which any model had prompts."""
        return self.change.estimate(stream)

    def watch_recovery(self, stream: int, level: str, on: bool) -> None:
        """Start the recovery test of one incident, or stop it."""
        where = np.zeros(2 * len(self), bool)
        where[LEVELS.index(level) * len(self) + stream] = True
        (self.recovery.start if on else self.recovery.stop)(where)

    def forget_change(self, stream: int) -> None:
        """Its incident is over: the next change begins later."""
        where = np.zeros(len(self), bool)
        where[stream] = True
        self.change.reset(where)

    def to_json(self) -> dict[str, Any]:
        """Detector states with the names and parameters they belong to."""
        change = self.change.snapshot()
        return {
            "models": self.models,
            "history": int(change["length"].max()),
            "nulls": [list(null) for null in self.nulls],
            "full": [rate.tolist() for rate in self.full],
            "flags": encode_state(self.flags.snapshot()),
            "recovery": encode_state(self.recovery.snapshot()),
            "change": encode_state(change),
        }

    def load(self, state: Mapping[str, Any], kept: Sequence[str]) -> None:
        """Take over the streams of the models ``kept``; one whose null or share of a budget changed meanwhile starts again."""
        old = {name: i for i, name in enumerate(state["models"])}
        pairs = [(self.models.index(name) * PER_MODEL + k, old[name] * PER_MODEL + k) for name in kept for k in range(PER_MODEL)]
        to, of = np.array(pairs, np.int64).reshape(-1, 2).T
        size, twice = PER_MODEL * len(old), (np.concatenate([to, to + len(self)]), np.concatenate([of, of + PER_MODEL * len(old)]))
        flags, change, recovery = (decode_state(state[name]) for name in ("flags", "change", "recovery"))
        self.flags = FlagRate.restore(_moved(self.flags.snapshot(), flags, to, of, size))
        self.recovery = Recovery.restore(_moved(self.recovery.snapshot(), recovery, *twice, 2 * size))
        self.change = ChangePoint.restore(change).moved(len(self), to, of)
        changed = np.ones(len(self), bool)
        for new, was in pairs:
            same_rates = all(math.isclose(self.full[level][new], state["full"][level][was], rel_tol=1e-12) for level in range(2))
            changed[new] = Null.from_json(state["nulls"][was]) != self.nulls[new] or not same_rates
        if changed.any():
            self._restart(changed)


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
