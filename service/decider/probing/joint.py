"""Drift and lost canaries of one model are one trouble: what pages later joins what paged earlier, and says so.

Who is woken by an incident at level page:

- the earlier of the two has the severity that it would have alone; what has joined it only warns, except for suites of safety and
  capability, which stay critical whatever they are part of;
- probes of severity ``joint`` only warn until the drift of the model pages too: then the smaller of the two evidences has crossed.

So a joint page needs a crossing of its probe's own part of the budget, and there are at most as many of these as that part allows.
"""

from collections.abc import Callable, Mapping

from service.decider.budget import StreamKey
from service.decider.explain import moment
from service.decider.incidents import Incidents, Place
from service.decider.probing.layout import Planned
from service.records import Incident


class Joint:
    """Keeps what is open for drift and for probes in step. Earlier is what the log told earlier: event time and clocks differ."""

    def __init__(self, drift: Incidents, probes: Incidents, planned: Callable[[StreamKey], Planned | None]) -> None:
        self._drift, self._probes, self._planned = drift, probes, planned
        self._order: list[str] = []

    def settle(self) -> None:
        """After every step: join, release, and set severities."""
        self._arrange()
        for model in sorted(self._drift.models() | self._probes.models()):
            self._settle(model)

    def _arrange(self) -> None:
        """Put what is open at level page in the order in which it was told; of one step drift comes first."""
        sides = (self._drift, self._probes)
        pages = {_at(side, place).id: None for side in sides for place in side.places() if place.level == "page"}
        known = [id_ for id_ in self._order if id_ in pages]
        self._order = [*known, *(id_ for id_ in pages if id_ not in known)]

    def _settle(self, model: str) -> None:
        pages = {
            (at, place): _at(side, place)
            for at, side in enumerate((self._drift, self._probes))
            for place in side.places(model)
            if place.level == "page"
        }
        open_ = {incident.id for incident in pages.values()}
        for key, incident in pages.items():  # a host that is gone lets go
            if incident.part_of is not None and incident.part_of not in open_:
                self._side(key).revise(key[1], part_of=None)
                pages[key] = _at(self._side(key), key[1])
        joined = {incident.part_of for incident in pages.values()}
        first = min(pages, key=lambda key: (pages[key].id not in joined, self._order.index(pages[key].id)), default=None)
        for key, incident in pages.items():
            if first is not None and key[0] != first[0] and incident.part_of is None:
                self._join(first, key)
        for key in pages:
            self._set_severity(key, {other: _at(self._side(other), other[1]) for other in pages})

    def _side(self, key: tuple[int, Place]) -> Incidents:
        return (self._drift, self._probes)[key[0]]

    def _join(self, host: tuple[int, Place], guest: tuple[int, Place]) -> None:
        to, joined = _at(self._side(host), host[1]), _at(self._side(guest), guest[1])
        told = f"{to.explanation}; joined at {moment(joined.opened)} UTC by {self._name(guest)}: {joined.explanation}"
        self._side(host).revise(host[1], explanation=told)
        self._side(guest).revise(guest[1], part_of=to.id)

    def _name(self, key: tuple[int, Place]) -> str:
        planned = self._planned(StreamKey(*key[1][:3]))
        return planned.title if planned is not None else key[1].stream

    def _set_severity(self, key: tuple[int, Place], open_: Mapping[tuple[int, Place], Incident]) -> None:
        side, place = self._side(key), key[1]
        planned = self._planned(StreamKey(*place[:3])) if key[0] else None
        usual, incident = side.usual(place), open_[key]
        if planned is not None and planned.of.severity == "joint" and not any(at == 0 for at, _ in open_):
            usual = "warning"
        if incident.part_of is not None and not (planned is not None and planned.on_its_own):
            usual = "warning"
        side.revise(place, severity=usual)

    def to_json(self) -> list[str]:
        """Everything needed to go on."""
        return self._order

    def load(self, state: list[str]) -> None:
        """Inverse of :meth:`to_json`."""
        self._order = list(state)


def _at(side: Incidents, place: Place) -> Incident:
    incident = side.at(place)
    assert incident is not None
    return incident
