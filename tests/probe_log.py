"""A target with suites, and rounds of them as entries of the ledger."""

from typing import Any

import numpy as np
from decider_log import START, Log, settings, watched

from service.config import Config
from service.decider.closed import Closed
from service.decider.decider import Decider
from service.decider.probing.view import GateState, ProbeView, SuiteView
from service.records import Incident, Verdict
from service.records.probes import Counts, ProbeStream, Round
from service.records.probes_json import round_command

HOUR = 3600.0
LIVE = {"url": "http://model.test/v1", "monitors": "bot"}


def stream(suite: str = "golden/facts", category: str = "capitals", kind: str = "golden", **changes: Any) -> ProbeStream:
    given: dict[str, Any] = {"items": 20, "interval": HOUR, **changes}
    return ProbeStream("bot", given.pop("target", "live"), suite, category, kind, **given)  # type: ignore[arg-type]


def config(**sections: Any) -> Config:
    return settings(**{"targets": {"live": LIVE}, **sections})


class Rounds:
    """A decider that is told rounds, one an hour; draws bad answers at random."""

    def __init__(self, *streams: ProbeStream, seed: int = 0, **sections: Any) -> None:
        self.streams, self.config = streams, config(**sections)
        self.decider = Decider(watched(), self.config, probes=streams)
        self.rng = np.random.default_rng(seed)
        self.log = Log().report(START)
        self.hour = 0
        self.verdicts: list[Verdict] = []
        self.history: dict[str, Incident] = {}
        self.told: list[Incident] = []

    @property
    def now(self) -> float:
        return START + self.hour * HOUR

    def absorb(self) -> "Rounds":
        self.decider.absorb(self.log.drain())
        for step in self.decider.close_due(None):
            self._note(step)
        return self

    def _note(self, step: Closed) -> None:
        self.verdicts += step.verdicts
        self.told += step.incidents
        self.history |= {incident.id: incident for incident in step.incidents}

    def tell(self, counts: dict[str, Counts], of: ProbeStream | None = None, **changes: Any) -> "Rounds":
        """One round of the suite of ``of`` at this hour."""
        of = of or self.streams[0]
        given: dict[str, Any] = {
            "id": f"bot/{of.target}/{of.suite}/{self.now:.0f}",
            "role": "live",
            "items": of.items,
            "scheduled": self.now,
            "started": self.now,
            "ended": self.now + 60,
            "key": "key-1",
            "revision": "",
            "complete": True,
            "reason": "",
            **changes,
        }
        told = Round(model_name="bot", target=of.target, suite=of.suite, kind=of.kind, counts=counts, **given)
        command = round_command(told)
        self.log.add(command)
        return self.absorb()

    def run(self, rounds: int, rate: float = 0.05, of: ProbeStream | None = None, base: float | None = None, **changes: Any) -> "Rounds":
        """Hourly rounds with bad answers at this rate, of ``of`` or of every suite."""
        for _ in range(rounds):
            for each in (of,) if of else self.streams:
                bad = self.rng.random(each.items) < rate
                beside = self.rng.random(each.items) < base if base is not None else bad
                worse, better = int((bad & ~beside).sum()), int((beside & ~bad).sum())
                self.tell({each.category: Counts(each.items, int(bad.sum()), 0, 0, worse, better)}, each, **changes)
            self.hour += 1
        return self

    def until(self, level: str, most: int = 400, stream: str = "probe", **changes: Any) -> int:
        """Rounds until an incident of the level opens; ``most`` when none does."""
        for rounds in range(most):
            if any((incident.level, incident.stream) == (level, stream) for incident in self.open()):
                return rounds
            self.run(1, **changes)
        return most

    def open(self) -> list[Incident]:
        seen = self.picture()
        return [*seen.incidents, *seen.joined]

    def picture(self) -> Any:
        return self.decider.picture(active=True, now=self.now)

    def view(self, stream: str = "probe", category: str | None = None) -> ProbeView:
        found = [each for each in self.picture().probes if each.stream == stream and category in (None, each.category)]
        assert len(found) == 1, [(each.stream, each.category) for each in found]
        return found[0]

    def suite(self) -> SuiteView:
        return self.picture().suites[0]  # type: ignore[no-any-return]

    def gate(self, name: str = "release") -> GateState:
        return next(each for each in self.picture().gates if each.name == name)

    def pages(self) -> list[Incident]:
        return [incident for incident in self.history.values() if incident.level == "page"]
