"""Canaries that pass the gateway must come back at the source, or the model is not seen."""

from dataclasses import replace

from decider_log import START, watched
from probe_log import HOUR, LIVE, Rounds, stream

from service.decider.decider import Decider
from service.decider.snapshot import DeciderSnapshot
from service.ledger.wire import decode, encode
from service.records import Progress, Report
from service.records.probes import Counts

FACTS = stream()


class Gateway(Rounds):
    def __init__(self, *, wall: bool = True) -> None:
        clock = {"clock": "wall" if wall else "event"}
        super().__init__(FACTS, targets={"live": {**LIVE, "through_gateway": True}}, windows=clock)

    def heartbeat(self, time: float, **canaries: float) -> "Gateway":
        self.log.add(Report("w", {}, {"file": Progress(time)}, frozenset(["file"]), time, canaries))
        self.absorb()
        return self

    def at(self, hours: float) -> DeciderSnapshot:
        """The picture with a worker that is up to date."""
        time = START + hours * HOUR
        self.heartbeat(time)
        return self.decider.picture(active=True, now=time)


def test_a_report_carries_its_canaries_over_the_wire_and_an_older_one_has_none() -> None:
    plain = Report("w", {}, {}, frozenset(), 5.0)
    for report in (plain, replace(plain, canaries={"live": 4.0})):
        assert decode(encode(report)) == (report, None)
    assert b"canaries" not in encode(plain)


def test_canaries_that_do_not_come_back_within_two_intervals_blind_the_model() -> None:
    gateway = Gateway()
    gateway.run(1)
    assert gateway.at(1.9).blind == ()
    seen = gateway.at(2.1)
    assert seen.blind == ("tap: canaries of live have not come back for 7560 s",)
    assert {each.state for each in (*seen.streams, *seen.probes)} == {"blind"}
    gateway.heartbeat(START + 2.1 * HOUR, live=START + 1.0)
    assert gateway.at(2.2).blind == ()


def test_a_canary_that_came_back_says_nothing_of_later_ones() -> None:
    gateway = Gateway()
    gateway.run(4)
    gateway.heartbeat(gateway.now, live=START + HOUR + 30.0)
    assert gateway.at(3.9).blind == ()
    seen = gateway.at(4.1)
    assert seen.blind
    saved = gateway.decider.snapshot()
    again = Decider(watched(), gateway.config, probes=[FACTS])
    again.restore(saved)
    assert again.picture(active=True, now=START + 4.1 * HOUR).blind == seen.blind


def test_rounds_without_an_answer_and_replayed_time_blind_nothing() -> None:
    gateway = Gateway()
    gateway.tell({"capitals": Counts(0, 0, 0, 20)}, complete=False, reason="errors")
    assert gateway.at(5.0).blind == ()
    assert Gateway(wall=False).run(1).decider.picture(active=True, now=START + 99 * HOUR).blind == ()


def test_a_suite_that_is_not_asked_any_more_is_blind_and_never_fine() -> None:
    gateway = Gateway()
    gateway.run(20)
    gateway.heartbeat(gateway.now, live=gateway.now)
    assert gateway.at(22.0).probes[0].state == "ok"
    assert gateway.at(22.5).probes[0].state == "blind"


def test_a_canary_without_a_time_stays_at_home() -> None:
    wire = encode(Report("w", {}, {}, frozenset(), 5.0, {"live": 4.0, "unknown": float("-inf")}))
    report, _ = decode(wire)
    assert isinstance(report, Report)
    assert report.canaries == {"live": 4.0}
