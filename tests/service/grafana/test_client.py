"""What an answer of Grafana means, and what none does; nothing that can go wrong is anything but a Failed."""

import json
from collections.abc import Callable

import pytest
from grafana_server import TOKEN, Fault, Grafana

from service.config import Grafana as Settings
from service.grafana.client import Client, Failed

Clients = Callable[..., Client]
PAGE = "<html>a proxy's page with the word message</html>"


def failure(client: Client) -> Failed:
    with pytest.raises(Failed) as caught:
        client.folders()
    return caught.value


@pytest.mark.parametrize(
    ("fault", "told", "again"),
    [
        (Fault(500, '{"message": "Internal  Server\\nError"}'), "500: Internal Server Error", True),
        (Fault(502, PAGE), "502: no answer of Grafana's API", True),
        (Fault(404, PAGE), "404: no answer of Grafana's API", False),
        (Fault(503, "null"), "503: no answer of Grafana's API", True),
        (Fault(400, '{"message": "bad"}'), "400: bad", False),
        (Fault(200, PAGE), "200: no answer of Grafana's API", False),
        (Fault(200, '[{"name": "of something else"}]'), "200: no answer of Grafana's API", False),
        (Fault(200, '{"folders": 3}'), "200: no answer of Grafana's API", False),
        (Fault(302, "", {"Location": "/login"}), "302: it sends us elsewhere", False),
        (Fault(429, '{"message": "slow down"}', {"Retry-After": "7"}), "429: slow down", True),
        (Fault(lost=True), "no answer (ConnectionError)", True),
    ],
)
def test_whatever_is_answered_is_told_in_few_words(grafana: Grafana, clients: Clients, fault: Fault, told: str, again: bool) -> None:
    grafana.faults.append(("GET", "/folders", fault))
    failed = failure(clients(tries=1))
    assert str(failed).startswith(told)
    assert failed.again is again
    assert failed.after == (7.0 if fault.status == 429 else None)
    assert TOKEN not in str(failed)


def test_what_may_pass_is_tried_again_with_growing_pauses_or_as_long_as_grafana_asks(
    grafana: Grafana, client: Client, slept: list[float]
) -> None:
    grafana.folders["ops"] = "Ops"
    asked = Fault(429, "{}", {"Retry-After": "7"})
    grafana.faults += [("GET", "/folders", Fault(500)), ("GET", "/folders", asked), ("GET", "/folders", Fault(503))]
    assert client.folders() == {"Ops": "ops"}
    assert slept == [1.0, 7.0, 4.0]


def test_it_gives_up_and_says_why(grafana: Grafana, client: Client, slept: list[float]) -> None:
    grafana.faults += [("GET", "/folders", Fault(500, '{"message": "database is locked"}'))] * 9
    assert str(failure(client)) == "500: database is locked"
    assert slept == [1.0, 2.0, 4.0]


def test_a_refused_token_is_not_tried_again_and_never_told(grafana: Grafana, clients: Clients, slept: list[float]) -> None:
    failed = failure(clients(token="glsa_wrong"))
    assert failed.status == 401
    assert "glsa_wrong" not in str(failed)
    assert len(grafana.requests) == 1
    assert not slept


def test_a_slow_answer_is_cut_off(grafana: Grafana, clients: Clients) -> None:
    grafana.faults.append(("GET", "/folders", Fault(seconds=0.4)))
    assert str(failure(clients(tries=1, timeout=0.1))) == "no answer (ReadTimeout)"


def test_nothing_listens_there() -> None:
    client = Client(Settings(url="http://127.0.0.1:9"), "t")
    failed = failure(client)
    client.close()
    assert str(failed) == "no answer (ConnectionError)"
    assert failed.again


def test_a_sub_path_is_kept_and_a_wrong_one_is_a_404(grafana: Grafana, clients: Clients) -> None:
    grafana.prefix = "/grafana"
    assert clients(path="/grafana/").folders() == {}
    assert failure(clients(path="/elsewhere")).status == 404


def test_names_are_escaped_in_addresses(grafana: Grafana, client: Client) -> None:
    tag = "tiltmeter_id:a&b #c+d%20/é"
    client.annotate(1000, None, "text", [tag])
    client.annotate(1000, None, "text", ["tiltmeter_id:a"])
    assert [each.id for each in client.annotations(tag)] == [1]
    assert client.folder("a/../b?c") is None
    assert json.dumps(grafana.requests).count("?c") == 0
