"""From what the decider knows to the marks on every plot, and the thread that sends them: never in the decider's way."""

import html
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from service.config import Config, grafana_token
from service.decider.snapshot import DeciderSnapshot
from service.grafana.annotations import Annotator, Mark
from service.grafana.client import Client
from service.logging import fields
from service.records import AuditEntry, Incident

_log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at what the decider knows."""

AUDIT_EVERY = 5.0
"""Seconds between two looks at the audit."""

NEWEST = 200
"""Commands looked at: the newest of all kinds."""

_WHAT = {
    "deployment.add": "deployment",
    "baseline.accept": "baseline",
    "probe.accept": "baseline",
    "bundle.promote": "bundle",
    "bundle.rollback": "bundle",
}


class Audit(Protocol):
    """The history, as far as commands go; see service.store.Store."""

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """Commands and what became of them, newest first."""
        ...


class Marks:
    """Keeps Grafana in step with the active decider. Raises ConfigError where there is no token, or no client for it.

    Attributes:
        annotator: sends them, and counts.
    """

    def __init__(self, config: Config) -> None:
        settings = config.grafana

        def connect() -> Client:
            return Client(settings, grafana_token(settings))

        connect().close()
        self.annotator = Annotator(connect, time.monotonic)
        self._commands: Sequence[Mark] = ()
        self._away = False

    def run(self, stop: threading.Event, decider: Callable[[], DeciderSnapshot | None], audit: Callable[[], Audit | None]) -> None:
        """Until ``stop``; ``audit`` is None until the history is connected."""
        due, pause = 0.0, LOOK
        while not stop.wait(pause):
            seen, pause = decider(), LOOK
            if seen is None or not seen.active:
                self.annotator.forget()
                due = 0.0
                continue
            if time.monotonic() >= due:
                due = time.monotonic() + AUDIT_EVERY
                self._read(audit())
            self.annotator.want([*incidents(seen), *self._commands])
            before = self.annotator.counts.sent
            self.annotator.step()
            if self.annotator.counts.sent > before:  # it goes well: the next at once
                pause = 0.0

    def _read(self, audit: Audit | None) -> None:
        """A history that does not answer is asked again later."""
        if audit is None:
            return
        try:
            self._commands = commands(audit.audit(NEWEST))
        except Exception as error:  # whatever a database may raise
            if not self._away:
                _log.warning("the audit cannot be read for annotations", extra=fields(error=type(error).__name__))
            self._away = True
        else:
            self._away = False


def incidents(seen: DeciderSnapshot) -> Iterator[Mark]:
    """Open ones as points, closed ones as periods. One that joined another is told by that one: its own mark ends, and none is made."""
    for incident in reversed(seen.recent):
        yield _incident(incident, make=incident.part_of is None)
    for incident in seen.incidents:
        yield _incident(incident)


def _incident(incident: Incident, *, make: bool = True) -> Mark:
    where = f"{incident.model_name} {incident.slice}".strip()
    text = f"{incident.level}, {where}: {incident.explanation}"
    if incident.closed is not None:
        text += f" Closed as {incident.verdict} by {incident.closed_by}."
    tags = f"model:{incident.model_name[:90]}", f"level:{incident.level}"
    return Mark(incident.id, "incident", incident.opened, html.escape(text, quote=False), incident.closed, tags, make)


def commands(entries: Sequence[AuditEntry]) -> list[Mark]:
    """Deployments, accepted baselines and switched bundles, oldest first. What a person typed as a reason is not sent."""
    return [_command(entry) for entry in reversed(entries) if entry.kind in _WHAT and not entry.outcome.startswith("refused")]


def _command(entry: AuditEntry) -> Mark:
    what, model = _WHAT[entry.kind], str(entry.arguments.get("model") or "")
    shadow = " of the shadow" if entry.arguments.get("shadow") is True else ""
    said = {
        "deployment": f"revision {entry.arguments.get('revision') or 'unnamed'} deployed",
        "baseline": "record of its probes accepted" if entry.kind == "probe.accept" else f"baseline{shadow} accepted",
        "bundle": entry.outcome.partition(";")[0],
    }[what]
    return Mark(
        entry.id, what, entry.time, html.escape(f"{model}: {said}, by {entry.actor}", quote=False), tags=("change", f"model:{model[:90]}")
    )
