"""What people ask for, applied in the order of the log, once per command."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from service.decider.acceptance import entries
from service.decider.incidents import VERDICTS, Incidents
from service.decider.judge import Judge
from service.decider.learning import Learning, Refused
from service.records import AuditEntry, BaselineEntry, Command

REMEMBERED = 10_000
"""Command ids kept, so that a repeat does nothing."""

_BULKY = ("blocks", "topics", "history")
"""Arguments that the audit leaves out."""


class Commands:
    """Applies commands and keeps what became of them for the audit."""

    def __init__(self, judge: Judge, incidents: Incidents, learning: Mapping[str, Learning]) -> None:
        self._judge, self._incidents, self._learning = judge, incidents, learning
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._audit: list[AuditEntry] = []
        self._baselines: list[BaselineEntry] = []
        self._kinds: Mapping[str, Callable[[Command], str]] = {
            "incident.ack": self._acknowledge,
            "incident.close": self._close,
            "baseline.learn": self._learn,
            "baseline.accept": self._accept,
            "baseline.reset": self._reset,
            "expect.add": self._expect,
            "expect.remove": self._unexpect,
        }

    def apply(self, command: Command) -> None:
        """Apply one command; what cannot be applied is refused, with the reason in the audit, and never fatal."""
        if command.id in self._seen:
            return
        self._seen[command.id] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        kind = self._kinds.get(command.kind)
        try:
            outcome = kind(command) if kind else f"refused: unknown command {command.kind}"
        except Refused as refused:
            outcome = f"refused: {refused}"
        shown = {key: value for key, value in command.arguments.items() if key not in _BULKY}
        self._audit.append(AuditEntry(command.id, command.time, command.actor, command.kind, shown, outcome))

    def drain(self) -> tuple[tuple[BaselineEntry, ...], tuple[AuditEntry, ...]]:
        """Accepted baselines and audit since the last call."""
        rows = tuple(self._baselines), tuple(self._audit)
        self._baselines, self._audit = [], []
        return rows

    def _acknowledge(self, command: Command) -> str:
        place = self._incidents.acknowledge(_text(command, "incident"), command.actor, command.time)
        return _found(place is not None, "acknowledged")

    def _close(self, command: Command) -> str:
        verdict = _text(command, "verdict")
        if verdict not in VERDICTS:
            raise Refused(f"verdict must be one of {', '.join(VERDICTS)}")
        reason = str(command.arguments.get("reason") or "")
        place = self._incidents.close(_text(command, "incident"), command.actor, command.time, verdict, reason)
        if place is not None:
            self._judge.watch(place, on=False)
        return _found(place is not None, f"closed as {verdict}")

    def _learn(self, command: Command) -> str:
        return self._of(command).learn(command.arguments)

    def _accept(self, command: Command) -> str:
        model, learning = _text(command, "model"), self._of(command)
        reason = str(command.arguments.get("reason", ""))
        outcome = learning.accept(command.actor, command.time, reason, anyway=command.arguments.get("anyway") is True)
        self._judge.end_all(model, command.actor, command.time, "monitor", "a baseline was accepted")
        self._judge.renew(model)
        if learning.accepted:
            self._baselines += entries(model, learning.accepted)
        return outcome

    def _reset(self, command: Command) -> str:
        model, learning = _text(command, "model"), self._of(command)
        learning.restart()
        self._judge.end_all(model, command.actor, command.time, "monitor", "the baseline was reset")
        self._judge.renew(model)
        return "back to learning"

    def _expect(self, command: Command) -> str:
        until, topic, slice_ = (command.arguments.get(name) for name in ("until", "topic", "slice"))
        if isinstance(until, bool) or not isinstance(until, int | float) or not math.isfinite(until):
            raise Refused("until must be seconds since the epoch")
        if (topic is None) == (slice_ is None):
            raise Refused("either topic or slice must be given")
        announced = self._of(command).announce(
            id_=command.id,
            topic=None if topic is None else str(topic),
            slice_=None if slice_ is None else str(slice_),
            until=float(until),
            actor=command.actor,
            reason=_text(command, "reason"),
        )
        return f"expected until {announced.ends()}: {announced.name} opens tickets at most"

    def _unexpect(self, command: Command) -> str:
        gone = self._of(command).expectations.remove(_text(command, "expectation"))
        if gone is None:
            raise Refused("nothing of this id is expected")
        return f"{gone.name} is no longer expected"

    def _of(self, command: Command) -> Learning:
        model = _text(command, "model")
        if model not in self._learning:
            raise Refused(f"no model is called {model!r}")
        return self._learning[model]

    def to_json(self) -> list[str]:
        """Ids already applied."""
        return list(self._seen)

    def load(self, state: list[str]) -> None:
        """Inverse of :meth:`to_json`."""
        self._seen = OrderedDict.fromkeys(state)


def _text(command: Command, name: str) -> str:
    value: Any = command.arguments.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(f"{name} must be given")
    return value


def _found(found: bool, outcome: str) -> str:
    if not found:
        raise Refused("no such incident is open")
    return outcome
