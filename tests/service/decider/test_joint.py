"""Drift and lost canaries of one model are one incident; what needs both; what is critical on its own; promotes touch no probes."""

from dataclasses import replace

from decider_log import NULLS, START, TOPICS, history, settings, watched
from probe_log import LIVE, Rounds, stream

from service.decider.decider import Decider, Watched
from service.records import Incident
from service.records.probes import ProbeStream

FACTS = stream()


class Both(Rounds):
    """Production beside the probes: a window follows each round, and the baseline of the prompts is accepted."""

    def __init__(self, *streams: ProbeStream, seed: int = 0, **sections: object) -> None:
        super().__init__(*streams, seed=seed, **sections)
        self.at = START
        self.strange = 3
        self.log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
        self.absorb()

    def drift(self, windows: int = 8, strange: int = 60) -> "Both":
        for _ in range(windows):
            self.log.window(self.at, n=100, strange=strange)
            self.at += 60
        self.absorb()
        return self

    def severity(self) -> dict[str, str]:
        return dict(self.picture().models[0].severity)

    def page(self, of: ProbeStream | None = None) -> Incident:
        assert self.until("page", rate=0.6, most=20) < 20
        return next(each for each in self.open() if each.stream == "probe" and each.level == "page")


def _pages(both: Both) -> list[Incident]:
    return [incident for incident in both.picture().incidents if incident.level == "page"]


def test_canaries_that_are_lost_while_drift_pages_join_its_incident() -> None:
    both = Both(FACTS).run(20, 0.05)
    both.drift()
    before = {incident.id for incident in _pages(both)}
    assert both.severity() == {"drift": "critical", "behaviour": "none", "safety": "none"}
    guest = both.page()
    assert {incident.id for incident in _pages(both)} == before
    host = next(incident for incident in _pages(both) if incident.id == guest.part_of)
    assert "; joined at" in host.explanation
    assert "golden/facts/capitals" in host.explanation
    assert guest in both.picture().joined
    assert both.severity() == {"drift": "critical", "behaviour": "warning", "safety": "none"}
    assert both.history[guest.id].part_of == host.id


def test_drift_that_pages_while_canaries_are_lost_joins_their_incident() -> None:
    both = Both(FACTS).run(20, 0.05)
    host = both.page()
    both.drift()
    assert [incident.id for incident in _pages(both)] == [host.id]
    assert "ood_share" in _pages(both)[0].explanation
    assert both.severity() == {"drift": "warning", "behaviour": "critical", "safety": "none"}


def test_what_has_joined_stands_alone_again_when_the_other_recovers() -> None:
    both = Both(FACTS).run(20, 0.05)
    host = both.page()
    both.drift()
    both.run(30, 0.02)
    assert both.history[host.id].closed_by == "recovery"
    drift = _pages(both)
    assert drift
    assert all(incident.part_of is None for incident in drift)
    assert both.severity()["drift"] == "critical"


def test_safety_and_capability_stay_critical_on_their_own() -> None:
    for kind, trouble in (("injection", "safety"), ("capability", "behaviour")):
        both = Both(stream(kind=kind)).run(20, 0.05)
        both.drift()
        guest = both.page()
        assert guest.part_of is not None
        assert guest.kind == trouble
        assert both.severity()[trouble] == "critical"


def test_a_joint_stream_warns_alone_and_wakes_somebody_with_drift() -> None:
    both = Both(replace(FACTS, severity="joint")).run(20, 0.05)
    host = both.page()
    assert (host.level, host.severity) == ("page", "warning")
    assert both.severity()["behaviour"] == "warning"
    both.drift()
    assert both.severity() == {"drift": "warning", "behaviour": "critical", "safety": "none"}
    assert [incident.id for incident in _pages(both)] == [host.id]


def test_a_person_closes_all_that_is_one_incident() -> None:
    both = Both(FACTS).run(20, 0.05)
    host = both.page()
    both.drift()
    both.log.command("incident.ack", incident=host.id)
    both.log.command("incident.close", time=both.now, incident=host.id, verdict="real", reason="a bad release")
    both.absorb()
    assert _pages(both) == []
    assert {incident.verdict for incident in both.history.values() if incident.level == "page"} == {"real"}


def test_a_promoted_bundle_touches_no_probe() -> None:
    models = watched()
    shadows = {"bot": Watched("C", NULLS, TOPICS, "team")}
    given = settings(targets={"live": LIVE})
    both = Both(FACTS)
    both.decider = Decider(models, given, shadows=shadows, probes=[FACTS])
    both.log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
    both.run(20, 0.05)
    both.drift()
    guest = both.page()
    view = both.view()
    both.log.command("bundle.promote", model="bot", anyway=True, reason="better")
    both.absorb()
    assert both.picture().models[0].bundle == "C"
    assert both.view() == view
    (left,) = _pages(both)
    assert (left.id, left.part_of, left.severity) == (guest.id, None, "critical")
    assert both.severity() == {"drift": "none", "behaviour": "critical", "safety": "none"}


def test_a_restart_keeps_what_is_one_incident() -> None:
    both = Both(FACTS).run(20, 0.05)
    both.drift()
    both.page()
    saved, seen = both.decider.snapshot(), both.picture()
    both.decider = Decider(watched(), both.config, probes=both.streams)
    both.decider.restore(saved)
    again = both.picture()
    assert (again.incidents, again.joined) == (seen.incidents, seen.joined)
    assert both.decider.snapshot() == saved
