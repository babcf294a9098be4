"""What is wrong with each model, by kind of trouble: the severities that alerts are made of.

The decider knows three kinds (drift, behaviour, safety). Of behaviour, what is wrong with the endpoint, with the graders, or with which
model answers is told apart here: another person puts that right, in another way.
"""

from collections.abc import Iterator, Sequence

from service.decider.explain import short
from service.decider.snapshot import DeciderSnapshot, ModelView
from service.metrics import SEVERITIES, IncidentReading, SeverityReading
from service.records import Incident

OF_PROBES = ("behaviour", "swap", "endpoint", "grading")
"""What the decider's kind behaviour is told apart into."""

_OF_STREAM = {"probe_errors": "endpoint", "probe_unscored": "grading", "probe_judge": "grading"}


def severities(snapshot: DeciderSnapshot) -> Iterator[SeverityReading]:
    """One for each model and kind; the last three only of a model with probes."""
    prints = {
        (view.model_name, "/".join(part for part in (view.target, view.suite, view.category) if part))
        for view in snapshot.probes
        if view.kind == "fingerprint" and view.stream == "probe"
    }
    opened: dict[tuple[str, str], list[Incident]] = {}
    for incident in (*snapshot.incidents, *snapshot.joined):
        swapped = incident.stream == "probe" and (incident.model_name, incident.slice) in prints
        kind = "swap" if swapped else _OF_STREAM.get(incident.stream, incident.kind)
        opened.setdefault((incident.model_name, kind), []).append(incident)
    silent = _silent(snapshot)
    for model in snapshot.models:
        for kind in _kinds(model):
            mine = opened.get((model.model_name, kind), [])
            worst = max((incident.severity for incident in mine), key=SEVERITIES.index, default="none")
            if kind == "endpoint" and model.model_name in silent and worst == "none":
                worst = "warning"
            yield SeverityReading(model.model_name, kind, model.owner, worst, joined=_joined(mine), incident=_told(mine))


def _kinds(model: ModelView) -> Iterator[str]:
    for kind in model.severity:
        yield from OF_PROBES if kind == "behaviour" else (kind,)


def _silent(snapshot: DeciderSnapshot) -> set[str]:
    """Models of which a target or judge answers so little that no suite's newest round could be judged: that needs no record."""
    reasons: dict[tuple[str, str], set[str]] = {}
    for suite in snapshot.suites:
        if suite.last is not None:
            reasons.setdefault((suite.model_name, suite.target), set()).add(suite.reason)
    return {model for (model, _), found in reasons.items() if found == {"errors"}}


def _joined(incidents: Sequence[Incident]) -> bool:
    """Whether another kind's incident tells of all of these: each has joined one, or is the ticket of a stream whose page has."""
    pages = {(each.slice, each.stream) for each in incidents if each.part_of is not None and each.severity != "critical"}
    return bool(incidents) and all((each.slice, each.stream) in pages and each.severity != "critical" for each in incidents)


def _told(incidents: Sequence[Incident]) -> IncidentReading | None:
    """The worst of these, of several the one that is part of no other, then the oldest: it sets the severity."""
    if not incidents:
        return None
    first = min(incidents, key=lambda each: (-SEVERITIES.index(each.severity), each.part_of is not None, each.opened, each.id))
    return IncidentReading(first.id, short(first.explanation), first.change_start)
