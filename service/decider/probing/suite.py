"""One suite at one target: its newest round, and what its answers cost and how long they took under each model that answered."""

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from service.decider.probing.record import TALLIES
from service.records.probes import Round

TIMES = 200
"""Rounds whose times are kept of each model that answered."""


@dataclass(slots=True)
class Era:
    """Complete rounds under one key and revision. ``only_live``, ``only_other``: role of the other -> items only one of them got wrong."""

    key: str
    revision: str
    since: float
    last: float
    rounds: int = 0
    calls: int = 0
    money: float = 0.0
    only_live: dict[str, int] = field(default_factory=dict)
    only_other: dict[str, int] = field(default_factory=dict)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=TIMES))

    @property
    def cost(self) -> float | None:
        """Money a call; None where nothing was spent."""
        return self.money / self.calls if self.calls and self.money else None

    @property
    def seconds95(self) -> float | None:
        """Middle of the rounds' 95% times."""
        return statistics.median(self.times) if self.times else None


@dataclass(slots=True)
class Suite:
    """``last``: end of the newest round, ``complete`` whether it could be judged and else ``reason``; ``rounds`` complete ones so far."""

    last: float | None = None
    complete: bool = True
    reason: str = ""
    rounds: int = 0
    incomplete: int = 0
    eras: list[Era] = field(default_factory=list)

    @property
    def now(self) -> Era | None:
        """Of the model that answers now."""
        return max(self.eras, key=lambda era: era.last, default=None)

    def of(self, key: str, revision: str) -> Era | None:
        """Of a record's model."""
        return next((era for era in self.eras if (era.key, era.revision) == (key, revision)), None)

    def inconclusive(self, told: Round, reason: str) -> None:
        """A round that updates nothing."""
        self.last, self.complete, self.reason, self.incomplete = told.ended, False, reason, self.incomplete + 1

    def take(self, told: Round) -> None:
        """A complete round."""
        self.last, self.complete, self.reason, self.rounds = told.ended, True, "", self.rounds + 1
        era = self.of(told.key, told.revision)
        if era is None:
            era = Era(told.key, told.revision, told.started, told.ended)
            self.eras.append(era)
            if len(self.eras) > TALLIES:
                self.eras.remove(min(self.eras, key=lambda each: each.last))
        era.last, era.rounds = max(era.last, told.ended), era.rounds + 1
        era.calls, era.money = era.calls + told.calls, era.money + told.money
        if told.seconds95 is not None:
            era.times.append(told.seconds95)
        for counts in told.counts.values():
            era.only_live[told.beside] = era.only_live.get(told.beside, 0) + counts.worse
            era.only_other[told.beside] = era.only_other.get(told.beside, 0) + counts.better

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {**asdict(self), "eras": [{**asdict(era), "times": list(era.times)} for era in self.eras]}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Suite":
        """Inverse of :meth:`to_json`."""
        eras = [Era(**{**values, "times": deque(values["times"], TIMES)}) for values in state["eras"]]
        return cls(**{**state, "eras": eras})
