"""What people ask for, applied in the order of the log, once per command."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from service.decider.acceptance import entries
from service.decider.bench import Bench
from service.decider.in_force import Switched
from service.decider.incidents import VERDICTS
from service.decider.learning import Refused
from service.decider.probing.deployments import Deployment
from service.decider.probing.judge import Probing
from service.decider.probing.orders import accept, deployed
from service.records import AuditEntry, BaselineEntry, Command, Incident, Verdict

REMEMBERED = 10_000
"""Command ids kept, so that a repeat does nothing."""

_BULKY = ("blocks", "topics", "history")
"""Arguments that the audit leaves out."""


class Commands:
    """Applies commands and keeps what became of them for the audit.

    Args:
        live, shadow: what judges the bundles in force, and the shadows.
        switched: by model; a command that switches writes here which bundle is to be in force from now on.
        configured: model name -> digest that the configuration names as its bundle.
        probing: what judges the probes.
    """

    def __init__(
        self,
        live: Bench,
        shadow: Bench | None,
        switched: dict[str, Switched],
        configured: Mapping[str, str],
        probing: Probing,
    ) -> None:
        self._live, self._shadow, self._switched, self._configured = live, shadow, switched, configured
        self._probing = probing
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
            "bundle.promote": self._promote,
            "bundle.rollback": self._rollback,
            "probe.accept": lambda command: accept(probing, command),
            "deployment.add": self._deployed,
        }

    def apply(self, command: Command) -> bool:
        """Apply one command; what cannot be applied is refused, with the reason in the audit, and never fatal.

        True: another bundle is to be in force from now on.
        """
        if command.id in self._seen:
            return False
        before = dict(self._switched)
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
        return self._switched != before

    def attempt(self, command: Command, take: Callable[[Command], tuple[Verdict, ...]]) -> tuple[Verdict, ...]:
        """Take what comes far more often than commands: only what is refused goes to the audit."""
        try:
            return take(command)
        except Refused as refused:
            self._audit.append(AuditEntry(command.id, command.time, command.actor, command.kind, {}, f"refused: {refused}"))
            return ()

    def drain(self) -> tuple[tuple[BaselineEntry, ...], tuple[AuditEntry, ...]]:
        """Accepted baselines and audit since the last call."""
        rows = tuple(self._baselines), tuple(self._audit)
        self._baselines, self._audit = [], []
        return rows

    def _acknowledge(self, command: Command) -> str:
        id_ = _text(command, "incident")
        found = [side.acknowledge(id_, command.actor, command.time) for side in (self._live.incidents, self._probing.incidents)]
        return _found(any(place is not None for place in found), "acknowledged")

    def _close(self, command: Command) -> str:
        verdict = _text(command, "verdict")
        if verdict not in VERDICTS:
            raise Refused(f"verdict must be one of {', '.join(VERDICTS)}")
        reason, id_ = str(command.arguments.get("reason") or ""), _text(command, "incident")
        found = False
        for side in (self._live, self._probing):
            for place in [place for place in side.incidents.places() if self._is_meant(side.incidents.at(place), id_)]:
                side.end(place, command.actor, command.time, verdict, reason)
                found = True
        return _found(found, f"closed as {verdict}")

    @staticmethod
    def _is_meant(incident: Incident | None, id_: str) -> bool:
        """An incident, or what is part of it."""
        return incident is not None and id_ in (incident.id, incident.part_of)

    def _learn(self, command: Command) -> str:
        model, bench = self._of(command)
        return bench.learning[model].learn(command.arguments)

    def _accept(self, command: Command) -> str:
        model, bench = self._of(command)
        learning = bench.learning[model]
        reason = str(command.arguments.get("reason", ""))
        outcome = learning.accept(command.actor, command.time, reason, anyway=command.arguments.get("anyway") is True)
        bench.judge.end_all(model, command.actor, command.time, "monitor", "a baseline was accepted")
        bench.judge.renew(model)
        if learning.accepted:
            shadow = "" if bench is self._live else f", of the shadow {bench.models[model].bundle[:12]}"
            self._baselines += entries(model, learning.accepted, shadow)
        return outcome

    def _reset(self, command: Command) -> str:
        model, bench = self._of(command)
        bench.learning[model].restart()
        bench.judge.end_all(model, command.actor, command.time, "monitor", "the baseline was reset")
        bench.judge.renew(model)
        return "back to learning"

    def _expect(self, command: Command) -> str:
        until, topic, slice_ = (command.arguments.get(name) for name in ("until", "topic", "slice"))
        if isinstance(until, bool) or not isinstance(until, int | float) or not math.isfinite(until):
            raise Refused("until must be seconds since the epoch")
        if (topic is None) == (slice_ is None):
            raise Refused("either topic or slice must be given")
        model, bench = self._of(command)
        announced = bench.learning[model].announce(
            id_=command.id,
            topic=None if topic is None else str(topic),
            slice_=None if slice_ is None else str(slice_),
            until=float(until),
            actor=command.actor,
            reason=_text(command, "reason"),
        )
        return f"expected until {announced.ends()}: {announced.name} opens tickets at most"

    def _unexpect(self, command: Command) -> str:
        model, bench = self._of(command)
        gone = bench.learning[model].expectations.remove(_text(command, "expectation"))
        if gone is None:
            raise Refused("nothing of this id is expected")
        return f"{gone.name} is no longer expected"

    def _promote(self, command: Command) -> str:
        model, shadow = self._with_shadow(command)
        if shadow.learning[model].accepted is None and command.arguments.get("anyway") is not True:
            raise Refused("no baseline of the shadow is accepted (--anyway promotes it all the same)")
        return self._switch(command, model, shadow, self._live.models[model].bundle)

    def _rollback(self, command: Command) -> str:
        model = self._model(command)
        former = self._switched[model].former if model in self._switched else None
        if former is None:
            raise Refused("nothing was promoted that could be rolled back")
        if self._shadow is None or model not in self._shadow.models or self._shadow.models[model].bundle != former:
            raise Refused(f"bundle {former[:12]} is not configured any more: name its directory as models.{model}.shadow first")
        return self._switch(command, model, self._shadow, None)

    def _deployed(self, command: Command) -> str:
        model, revision = self._model(command), str(command.arguments.get("revision") or "")
        reason = str(command.arguments.get("reason") or "")
        return deployed(self._probing, Deployment(model, revision, command.time, command.actor, reason))

    def _switch(self, command: Command, model: str, shadow: Bench, former: str | None) -> str:
        """Let the two bundles of a model change places, each with its record; both begin without evidence and incidents."""
        reason, promoted = _text(command, "reason"), shadow.models[model].bundle
        what = f"bundle {promoted[:12]} is in force instead of {self._live.models[model].bundle[:12]}"
        for bench in (self._live, shadow):
            bench.judge.end_all(model, command.actor, command.time, "monitor", f"{what}: {reason}")
        shadow.learning[model].expectations.take_slices(self._live.learning[model].expectations)
        self._switched[model] = Switched(promoted, self._configured[model], former)
        accepted = shadow.learning[model].accepted
        return f"{what}; " + (f"its baseline was accepted by {accepted.actor}" if accepted else "no baseline of it is accepted")

    def _with_shadow(self, command: Command) -> tuple[str, Bench]:
        model = self._model(command)
        if self._shadow is None or model not in self._shadow.models:
            raise Refused(f"{model} has no shadow: name its directory as models.{model}.shadow")
        return model, self._shadow

    def _of(self, command: Command) -> tuple[str, Bench]:
        """The model that is meant, and what judges the bundle that is meant."""
        return self._with_shadow(command) if command.arguments.get("shadow") is True else (self._model(command), self._live)

    def _model(self, command: Command) -> str:
        model = _text(command, "model")
        if model not in self._live.models:
            raise Refused(f"no model is called {model!r}")
        return model

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
