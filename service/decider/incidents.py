"""Incidents: opened by a crossing, closed by recovery or by a person; and the severity that follows from them."""

from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.decider.budget import StreamKey
from service.records import Incident

VERDICTS = ("real", "benign", "monitor")

RANK = {"none": 0, "warning": 1, "critical": 2}


def severity(level: str, *, paging: bool, backlog: bool) -> str:
    """The policy: who is woken by an open incident.

    - a ticket warns;
    - a page is critical, if drift may page at all;
    - a page about a time long past only warns until the backlog is worked off: whoever is woken must be able to see it happen.
    """
    if level == "page" and paging and not backlog:
        return "critical"
    return "warning"


class Place(NamedTuple):
    """Where at most one incident is open."""

    model_name: str
    slice: str
    stream: str
    level: str


@dataclass(slots=True)
class _Open:
    """An open incident, whether it was opened in a backlog, and counts from the start of its change on: prompts, flagged, by p-value."""

    incident: Incident
    backlog: bool
    n: int
    x: int
    p_values: NDArray[np.int64]

    def now(self) -> Incident:
        """As it is with what was counted since."""
        return replace(self.incident, p_values_after=shares(self.p_values))


class Incidents:
    """All open incidents, and the last closed ones."""

    def __init__(self, paging: bool) -> None:
        self._paging = paging
        self._open: dict[Place, _Open] = {}
        self.recent: deque[Incident] = deque(maxlen=50)
        self.opened: dict[Place, int] = {}
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self.changed: dict[str, Incident] = {}

    def open(self) -> list[Incident]:
        """Open incidents, oldest first."""
        return sorted((entry.now() for entry in self._open.values()), key=lambda incident: (incident.opened, incident.id))

    def levels(self, key: StreamKey) -> list[str]:
        """Levels at which this stream has an open incident."""
        return [level for level in ("page", "ticket") if Place(*key, level) in self._open]

    def at(self, place: Place) -> Incident | None:
        """The open incident there."""
        entry = self._open.get(place)
        return entry.incident if entry else None

    def any_open(self, model: str) -> bool:
        """Whether anything is open for this model."""
        return any(place.model_name == model for place in self._open)

    def begin(self, incident: Incident, n: int, x: int, p_values: NDArray[np.int64], *, backlog: bool) -> None:
        """Open an incident; ``n``, ``x`` and ``p_values`` are counted since the start of its change. The policy sets its severity."""
        place = _place(incident)
        incident = replace(incident, severity=severity(incident.level, paging=self._paging, backlog=backlog))
        self._open[place] = _Open(incident, backlog, n, x, p_values)
        self.opened[place] = self.opened.get(place, 0) + 1
        self._put(place, incident)

    def again(self, place: Place) -> None:
        """The level was crossed once more while open."""
        entry = self._open[place]
        self._put(place, replace(entry.incident, crossings=entry.incident.crossings + 1))

    def add(self, place: Place, n: int, x: int, p_values: NDArray[np.int64] | int) -> None:
        """Count a window to what is open here."""
        entry = self._open[place]
        entry.n, entry.x, entry.p_values = entry.n + n, entry.x + x, entry.p_values + p_values

    def explain(self, place: Place, explanation: str) -> None:
        """Say more about what is open here."""
        self._put(place, replace(self._open[place].incident, explanation=explanation))

    def revise(self, place: Place, **changes: Any) -> None:
        """Say something else about what is open here."""
        incident = replace(self._open[place].incident, **changes)
        if incident != self._open[place].incident:
            self._put(place, incident)

    def usual(self, place: Place) -> str:
        """Severity of what is open here by the policy, as if it were alone."""
        return severity(place.level, paging=self._paging, backlog=self._open[place].backlog)

    def told(self, key: StreamKey) -> Incident | None:
        """What is open here, of the graver level."""
        return next((entry.now() for level in ("page", "ticket") if (entry := self._open.get(Place(*key, level)))), None)

    def since(self, key: StreamKey) -> tuple[float, int, int] | None:
        """Start of the change and counts since then, of the graver level. None when nothing is open here."""
        for level in ("page", "ticket"):
            if entry := self._open.get(Place(*key, level)):
                return entry.incident.change_start, entry.n, entry.x
        return None

    def work_off(self) -> None:
        """The backlog is worked off: what is still open gets the severity it would have had."""
        for place, entry in self._open.items():
            if entry.backlog:
                entry.backlog = False
                self._put(place, replace(entry.incident, severity=severity(place.level, paging=self._paging, backlog=False)))

    def acknowledge(self, id_: str, actor: str, time: float) -> Place | None:
        """Note who has seen it; the first one stays. None when no such incident is open."""
        for place, entry in self._open.items():
            if entry.incident.id == id_:
                if entry.incident.acknowledged is None:
                    self._put(place, replace(entry.incident, acknowledged=time, acknowledged_by=actor))
                return place
        return None

    def end(self, place: Place, actor: str, time: float, verdict: str, reason: str | None) -> None:
        """Close what is open there, at its opening at the earliest."""
        entry = self._open.pop(place)
        closed_at = max(time, entry.incident.opened)
        closed = replace(entry.now(), severity="none", closed=closed_at, closed_by=actor, verdict=verdict, reason=reason)
        self.recent.appendleft(closed)
        self.ended[place.model_name, place.level, verdict] += 1
        self.changed[closed.id] = closed

    def models(self) -> set[str]:
        """Models that have something open."""
        return {place.model_name for place in self._open}

    def places(self, model: str | None = None) -> list[Place]:
        """Where this model, or any, has something open."""
        return [place for place in self._open if model in (None, place.model_name)]

    def worst(self, model: str, kind: str = "drift") -> str:
        """Severity of this kind of trouble of a model now."""
        of = (entry.incident for place, entry in self._open.items() if place.model_name == model)
        found = (incident.severity for incident in of if incident.kind == kind)
        return max(found, key=RANK.__getitem__, default="none")

    def count_only(self, models: Collection[str]) -> None:
        """Forget how many opened for any other model."""
        self.opened = {place: count for place, count in self.opened.items() if place.model_name in models}

    def drain(self) -> tuple[Incident, ...]:
        """Incidents that changed since the last call, as they are now."""
        changed, self.changed = tuple(self.changed.values()), {}
        return changed

    def _put(self, place: Place, incident: Incident) -> None:
        entry = self._open[place]
        entry.incident = incident
        self.changed[incident.id] = entry.now()

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on; call it when nothing is left to drain."""
        return {
            "open": [[asdict(entry.incident), entry.backlog, entry.n, entry.x, entry.p_values.tolist()] for entry in self._open.values()],
            "recent": [asdict(incident) for incident in self.recent],
            "opened": [[*place, count] for place, count in self.opened.items()],
            "ended": [[*what, count] for what, count in self.ended.items()],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        for values, backlog, n, x, p_values in state["open"]:
            incident = Incident(**values)
            self._open[_place(incident)] = _Open(incident, backlog, n, x, np.array(p_values, np.int64))
        self.recent.extend(Incident(**values) for values in state["recent"])
        self.opened = {Place(*place): count for *place, count in state["opened"]}
        # Checkpoints of earlier builds of version 3 have no such counts.
        self.ended = Counter({(model, level, verdict): count for model, level, verdict, count in state.get("ended", ())})


def shares(p_values: NDArray[np.int64]) -> list[float] | None:
    """Counts by p-value as shares, to five decimals: short lines; None where nothing was counted."""
    total = int(p_values.sum())
    return np.round(p_values / total, 5).tolist() if total else None


def _place(incident: Incident) -> Place:
    return Place(incident.model_name, incident.slice, incident.stream, incident.level)
