"""Every mark ends up in Grafana once: after a restart, a fail-over, a lost answer, an hour without Grafana."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from grafana_server import TOKEN, Fault, Grafana

from service.errors import ConfigError
from service.grafana.annotations import WAITING, Annotator, Mark
from service.grafana.client import Client

Clients = Callable[..., Client]
MARK = Mark("bot-ood_share-page-600", "incident", 600.0, "page, bot: more strange prompts.", tags=("model:bot", "level:page"))
CLOSED = replace(MARK, end=900.5, text="page, bot: more strange prompts. Closed as real by ann.")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def annotator(clients: Clients, clock: Clock) -> Annotator:
    return Annotator(lambda: clients(tries=1), clock)


def settle(annotator: Annotator, clock: Clock, seconds: float = 120.0) -> None:
    until = clock.now + seconds
    while annotator.counts.waiting and clock.now < until:
        annotator.step()
        clock.now += 1.0


def test_opened_then_a_region_when_closed(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    annotator.want([MARK])
    settle(annotator, clock)
    (note,) = grafana.notes.values()
    assert (note["time"], note["timeEnd"], note["text"]) == (600_000, 600_000, MARK.text)
    assert note["tags"] == ["tiltmeter", "incident", "model:bot", "level:page", "tiltmeter_id:bot-ood_share-page-600"]
    annotator.want([CLOSED])
    settle(annotator, clock)
    (note,) = grafana.notes.values()
    assert (note["time"], note["timeEnd"], note["text"]) == (600_000, 900_500, CLOSED.text)
    assert note["tags"] == list(MARK.all_tags)
    assert annotator.counts.sent == 2


def test_what_is_there_costs_nothing(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    annotator.want([MARK])
    settle(annotator, clock)
    grafana.requests.clear()
    for _ in range(100):
        annotator.want([MARK, replace(MARK, text="page, bot: said otherwise.")])
        annotator.step()
    assert grafana.requests == []


@pytest.mark.parametrize("marks", [[MARK], [CLOSED]])
def test_a_restart_doubles_nothing(grafana: Grafana, clients: Clients, clock: Clock, marks: list[Mark]) -> None:
    for _ in range(3):
        one = Annotator(lambda: clients(tries=1), clock)
        one.want(marks)
        settle(one, clock)
    assert len(grafana.notes) == 1
    assert [method for method, _ in grafana.wrote()] == ["POST"]


def test_closed_while_nobody_was_there(grafana: Grafana, annotator: Annotator, clients: Clients, clock: Clock) -> None:
    annotator.want([MARK])
    settle(annotator, clock)
    later = Annotator(lambda: clients(tries=1), clock)
    later.want([CLOSED])
    settle(later, clock)
    (note,) = grafana.notes.values()
    assert note["timeEnd"] == 900_500


def test_what_was_changed_by_hand_in_grafana_is_left_alone(grafana: Grafana, annotator: Annotator, clients: Clients, clock: Clock) -> None:
    annotator.want([MARK])
    settle(annotator, clock)
    grafana.notes[1]["text"] = "ours, and what ann found out"
    later = Annotator(lambda: clients(tries=1), clock)
    later.want([MARK])
    settle(later, clock)
    assert grafana.notes[1]["text"] == "ours, and what ann found out"


def test_a_lost_answer_doubles_nothing(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    grafana.faults.append(("POST", "/annotations", Fault(lost=True)))
    annotator.want([MARK])
    settle(annotator, clock)
    assert len(grafana.notes) == 1
    assert (annotator.counts.sent, annotator.counts.failures) == (1, 1)


def test_two_that_make_it_at_once_leave_one(grafana: Grafana, clients: Clients, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = clients(tries=1), clients(tries=1)
    make = first.annotate
    other = Annotator(lambda: second, clock)
    other.want([MARK])

    def late(*arguments: Any) -> None:
        other.step()  # the new active decider, while the old one has already looked
        make(*arguments)

    monkeypatch.setattr(first, "annotate", late)
    one = Annotator(lambda: first, clock)
    one.want([MARK])
    one.step()
    assert list(grafana.notes) == [1]


def test_an_hour_without_grafana(grafana: Grafana, clients: Clients, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    asked = 0

    def connect() -> Client:
        nonlocal asked
        asked += 1
        if clock.now < 3600:
            raise OSError("away")
        return clients(tries=1)

    annotator = Annotator(connect, clock)
    marks = [replace(MARK, id=f"bot-ood_share-page-{n}", time=float(n)) for n in range(50)]
    with caplog.at_level(logging.INFO):
        while clock.now < 3600:
            annotator.want(marks[: 1 + int(clock.now // 72)])
            annotator.step()
            clock.now += 0.5
        assert not grafana.requests
        assert 60 <= annotator.counts.failures == asked <= 70
        annotator.want(marks)
        settle(annotator, clock)
    assert sorted(note["time"] for note in grafana.notes.values()) == [1000 * n for n in range(50)]
    assert annotator.counts.dropped == 0
    assert [record.getMessage() for record in caplog.records] == ["annotations cannot be sent, trying again", "annotations are sent again"]


def test_more_than_may_wait_drops_the_oldest_once(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    grafana.token = "another"
    marks = [replace(MARK, id=f"m-{n}") for n in range(WAITING + 100)]
    for _ in range(20):
        annotator.want(marks)
        annotator.step()
    assert (annotator.counts.waiting, annotator.counts.dropped) == (WAITING, 100)
    grafana.token = TOKEN
    settle(annotator, clock, 5000)
    kept = {tag for note in grafana.notes.values() for tag in note["tags"] if tag.startswith("tiltmeter_id")}
    assert kept == {f"tiltmeter_id:m-{n}" for n in range(100, WAITING + 100)}


def test_a_token_replaced_in_its_file_is_taken_up(grafana: Grafana, clients: Clients, clock: Clock) -> None:
    now = ["old"]
    annotator = Annotator(lambda: clients(token=now[0], tries=1), clock)
    annotator.want([MARK])
    settle(annotator, clock, 10)
    assert not grafana.notes
    now[0] = TOKEN
    settle(annotator, clock)
    assert len(grafana.notes) == 1


def test_a_missing_right_is_waited_for(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    grafana.forbidden.add("annotations:write")
    annotator.want([MARK])
    settle(annotator, clock, 300)
    assert (annotator.counts.sent, annotator.counts.dropped) == (0, 0)
    grafana.forbidden.clear()
    settle(annotator, clock)
    assert len(grafana.notes) == 1


def test_what_is_refused_for_good_is_dropped_and_the_rest_goes_on(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    annotator.want([replace(MARK, id="empty", text=""), MARK])
    settle(annotator, clock)
    assert len(grafana.notes) == 1
    assert (annotator.counts.sent, annotator.counts.failures, annotator.counts.dropped) == (1, 1, 1)


def test_one_that_grafana_cannot_stomach_does_not_hold_up_the_others(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    grafana.faults += [("GET", "poison", Fault(500))] * 30
    annotator.want([replace(MARK, id="poison"), *(replace(MARK, id=f"m-{n}") for n in range(5))])
    settle(annotator, clock, 30)
    assert len(grafana.notes) == 5


def test_grafana_says_when_to_come_back(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    grafana.faults.append(("GET", "/annotations", Fault(429, "{}", {"Retry-After": "30"})))
    annotator.want([MARK])
    settle(annotator, clock, 29)
    assert len(grafana.requests) == 1
    settle(annotator, clock)
    assert len(grafana.notes) == 1


def test_a_joined_incident_ends_where_it_is_and_is_not_made(grafana: Grafana, annotator: Annotator, clock: Clock) -> None:
    annotator.want([replace(CLOSED, make=False)])
    settle(annotator, clock)
    assert not grafana.notes
    annotator.forget()
    annotator.want([MARK])
    settle(annotator, clock)
    annotator.want([replace(CLOSED, make=False)])
    settle(annotator, clock)
    assert grafana.notes[1]["timeEnd"] == 900_500


def test_a_standby_sends_nothing_of_what_waited(grafana: Grafana, annotator: Annotator) -> None:
    annotator.want([MARK])
    annotator.forget()
    annotator.step()
    assert not grafana.requests
    assert annotator.counts.waiting == 0


@pytest.mark.parametrize("id_", ["x" * 300, "a bot: with, signs-page-1", "größe-page-1"])
def test_any_identity_fits_into_a_tag(grafana: Grafana, annotator: Annotator, clock: Clock, id_: str) -> None:
    annotator.want([replace(MARK, id=id_)])
    settle(annotator, clock)
    annotator.forget()
    annotator.want([replace(MARK, id=id_)])
    settle(annotator, clock)
    assert len(grafana.notes) == 1


def test_every_kind_is_found_by_its_tags(grafana: Grafana, annotator: Annotator, clock: Clock, client: Client) -> None:
    annotator.want([MARK, Mark("c-1", "deployment", 1.0, "bot: revision 2 deployed", tags=("model:bot",))])
    settle(annotator, clock)
    assert len(client.annotations("tiltmeter")) == 2
    assert [each.time for each in client.annotations("deployment")] == [1000]
    assert [each.time for each in client.annotations("model:bot")] == [600_000, 1000]


def test_why_is_told_once_and_never_the_token(grafana: Grafana, clients: Clients, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> Client:
        raise ConfigError("/run/token: the file that should hold TILTMETER_GRAFANA_TOKEN is empty")

    annotator = Annotator(connect, clock)
    annotator.want([MARK])
    settle(annotator, clock, 30)
    (record,) = caplog.records
    assert "is empty" in str(record.__dict__)
