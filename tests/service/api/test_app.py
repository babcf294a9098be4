"""Routes as a client sees them: health, metrics, history, access, and what never leaks."""

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from web import AUTH, NOW, TOKEN, Stage, connected, incident, make, status

from service.errors import TiltmeterError
from service.records import AuditEntry, Verdict
from service.store import WindowRow

pytestmark = pytest.mark.asyncio


async def test_health_follows_the_threads(client: httpx.AsyncClient, stage: Stage) -> None:
    assert (await client.get("/healthz")).status_code == 200
    stage.state["alive"] = {"pipeline": False, "decider": True}
    answer = await client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["threads"] == {"pipeline": False, "decider": True}


async def test_readiness_names_what_is_wrong(client: httpx.AsyncClient, stage: Stage) -> None:
    assert (await client.get("/readyz")).json() == {"ready": True, "problems": {}}
    stage.state["ready"] = {"source": "broker:9092: NoBrokersAvailable", "ledger": None}
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {"source": "broker:9092: NoBrokersAvailable"}


async def test_metrics_in_both_formats(client: httpx.AsyncClient) -> None:
    plain = await client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "tiltmeter_build_info{" in plain.text
    assert list(parse(plain.text))
    open_metrics = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert list(parse_openmetrics(open_metrics.text))


async def test_pages_allow_no_request_to_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text
        assert 'http-equiv="refresh" content="15"' in answer.text or path == "/docs"


async def test_docs_name_every_route_and_every_field_of_a_body(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    schema = (await client.get("/openapi.json")).json()
    for path in schema["paths"]:
        assert f"<code>{path}</code>" in page
    for field in ("verdict", "reason", "action", "idempotency-key", "text"):
        assert f"<code>{field}</code>" in page


async def test_every_route_and_status_of_ingest_is_in_the_documentation(client: httpx.AsyncClient, root: Path) -> None:
    text = (root / "docs" / "http.md").read_text()
    paths = (await client.get("/openapi.json")).json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert set(re.findall(r"^\| `(\S+ \S+)`", text, re.MULTILINE)) == routes | {"GET /", "GET /docs"}
    assert set(paths["/v1/prompts"]["post"]["responses"]) - {"422"} <= set(re.findall(r"^\| (\d+) \|", text, re.MULTILINE))


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/prompts", {"text": "hi", "model": "support-bot"}),
    ("/v1/score", {"text": "hi"}),
    ("/v1/incidents/x/ack", {}),
    ("/v1/incidents/x/close", {"verdict": "real", "reason": "r"}),
    ("/v1/baseline", {"action": "reset", "model": "support-bot", "reason": "r"}),
    ("/v1/probes", {"suite": "golden/own"}),
    ("/v1/expectations", {"model": "support-bot", "topic": "1", "until": "2026-03-02T00:00:00Z", "reason": "r"}),
    ("/v1/bundles", {"action": "promote", "model": "support-bot", "reason": "r"}),
    ("/v1/deployments", {"model": "support-bot", "revision": "r", "reason": "r"}),
    ("/v1/probes/accept", {"model": "support-bot", "reason": "r"}),
]


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_writing_needs_the_token(client: httpx.AsyncClient, stage: Stage, path: str, body: dict[str, Any]) -> None:
    missing, wrong = "this needs the header 'Authorization: Bearer TOKEN'", "this is not the token of this service"
    for given, said in ((None, missing), ("Bearer wrong", wrong), (f"Basic {TOKEN}", missing)):
        answer = await client.post(path, json=body, headers={"Authorization": given} if given else {})
        assert (answer.status_code, answer.json()["detail"]) == (401, said)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text
    assert stage.commands == []
    assert stage.source.waiting == 0


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_without_a_token_configured_nothing_can_be_written(path: str, body: dict[str, Any]) -> None:
    stage = make(token=None)
    async with connected(stage) as client:
        answer = await client.post(path, json=body, headers=AUTH)
    assert answer.status_code == 403
    assert "http.token_file" in answer.json()["detail"]
    assert stage.commands == []


async def test_every_route_that_writes_is_in_the_list_above(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    writing = {path for path, verbs in schema["paths"].items() if set(verbs) - {"get"}}
    assert writing == {path.replace("/x/", "/{incident}/") for path, _ in WRITES}


async def test_history_as_json_has_no_infinity_in_it(client: httpx.AsyncClient, stage: Stage) -> None:
    stage.rows.told = [
        Verdict(0, 60, "support-bot", "", "ood_share", 90, 0.05, 0.06, 0.0, 0.1, 0.0, float("inf"), 0.4, 4.3, "learning", "words")
    ]
    rows = (await client.get("/v1/verdicts", params={"model": "support-bot", "since": "2026-01-01T00:00:00Z", "limit": 5})).json()[
        "verdicts"
    ]
    assert rows[0]["log10_threshold"] is None
    assert rows[0]["log10_ticket_threshold"] == 4.3
    assert stage.rows.asked == [("support-bot", None, 1_767_225_600.0, 5, None)]


async def test_verdicts_and_incidents_of_one_slice_and_stream(client: httpx.AsyncClient, stage: Stage) -> None:
    await client.get("/v1/verdicts", params={"slice": "acme", "stream": "far_share"})
    assert stage.rows.asked.pop() == (None, "far_share", None, 1000, "acme")
    kept = incident(id="kept", slice="acme")
    stage.state["status"] = status("critical", incidents=(kept, incident(id="whole"), incident(id="far", slice="acme", stream="far_share")))
    stage.rows.past = [incident(id="old", slice="acme", closed=NOW - 8e5), incident(id="older", slice="globex", closed=NOW - 9e5)]
    rows = (await client.get("/v1/incidents", params={"slice": "acme", "stream": "ood_share"})).json()["incidents"]
    assert [row["id"] for row in rows] == ["kept", "old"]
    assert rows[0]["slice"] == "acme"
    assert stage.rows.asked.pop() == (None, 100, "ood_share", "acme")
    whole = (await client.get("/v1/incidents", params={"slice": "", "open": True})).json()["incidents"]
    assert [row["id"] for row in whole] == ["whole"]


async def test_windows_carry_their_counts(client: httpx.AsyncClient, stage: Stage) -> None:
    stage.rows.windows_of = [WindowRow("b", "support-bot", "", 60, 90, 5, 1, 0, 900, 5000, [1] * 15, [9, 0])]
    row = (await client.get("/v1/windows", params={"slice": ""})).json()["windows"][0]
    assert (row["n"], row["strange"], row["topics"]) == (90, 5, [9, 0])
    assert stage.rows.asked[0][1] == ""


async def test_limits_are_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/verdicts", params={"limit": 10**9})
    assert answer.status_code == 422
    assert "limit" in answer.json()["detail"]


async def test_open_incidents_come_from_the_decider_and_closed_ones_from_the_history(client: httpx.AsyncClient, stage: Stage) -> None:
    current = incident()
    stage.state["status"] = status("critical", incidents=(current,))
    stage.rows.past = [incident(id="old", opened=NOW - 9e5, closed=NOW - 8e5, verdict="recovered"), incident(severity="none")]
    everything = (await client.get("/v1/incidents")).json()["incidents"]
    assert [row["id"] for row in everything] == [current.id, "old"]
    assert everything[0]["severity"] == "critical"
    only_open = (await client.get("/v1/incidents", params={"open": True})).json()["incidents"]
    assert [row["id"] for row in only_open] == [current.id]


async def test_acknowledging_and_closing_become_commands(client: httpx.AsyncClient, stage: Stage) -> None:
    current = incident()
    stage.state["status"] = status("critical", incidents=(current,))
    answer = await client.post(f"/v1/incidents/{current.id}/ack", json={"actor": "ada"}, headers=AUTH)
    assert answer.status_code == 202
    body = {"actor": "ada", "verdict": "benign", "reason": "campaign"}
    await client.post(f"/v1/incidents/{current.id}/close", json=body, headers=AUTH)
    assert [(c.kind, c.actor, dict(c.arguments)) for c in stage.commands] == [
        ("incident.ack", "ada", {"incident": current.id}),
        ("incident.close", "ada", {"incident": current.id, "verdict": "benign", "reason": "campaign"}),
    ]
    assert answer.json()["command"] == stage.commands[0].id
    assert stage.commands[0].time == NOW


async def test_an_incident_that_is_part_of_another_is_closed_as_any(client: httpx.AsyncClient, stage: Stage) -> None:
    host, part = incident(), replace(incident(), id="part", part_of=incident().id)
    stage.state["status"] = status("critical", incidents=(host,), joined=(part,))
    assert (await client.post("/v1/incidents/part/ack", headers=AUTH)).status_code == 202
    assert stage.commands[0].arguments == {"incident": "part"}


async def test_an_unknown_incident_is_not_found(client: httpx.AsyncClient, stage: Stage) -> None:
    answer = await client.post("/v1/incidents/nope/ack", headers=AUTH)
    assert answer.status_code == 404
    assert stage.commands == []


@pytest.mark.parametrize(
    ("body", "status_code", "named"),
    [
        ({"action": "accept", "model": "nope", "reason": "r"}, 404, "support-bot"),
        ({"action": "accept", "model": "support-bot"}, 422, "reason"),
        ({"action": "learn", "model": "support-bot", "blocks": {"strange": [[1, 2, 0]]}}, 422, "far"),
        ({"action": "reset", "model": "support-bot", "reason": "r", "anyway": True}, 422, "anyway"),
        ({"action": "forget", "model": "support-bot"}, 422, "action"),
        ({"action": "reset", "model": "support-bot", "reason": "r", "resaon": "canary-text"}, 422, "resaon"),
    ],
)
async def test_a_wrong_baseline_change_names_the_field(
    client: httpx.AsyncClient, body: dict[str, Any], status_code: int, named: str
) -> None:
    answer = await client.post("/v1/baseline", json=body, headers=AUTH)
    assert answer.status_code == status_code
    assert named in answer.json()["detail"]
    assert "canary-text" not in answer.text


@pytest.mark.parametrize("more", [{}, {"anyway": True}])
async def test_accepting_passes_on_that_it_shall_be_anyway(client: httpx.AsyncClient, stage: Stage, more: dict[str, bool]) -> None:
    body = {"action": "accept", "model": "support-bot", "reason": "r", **more}
    assert (await client.post("/v1/baseline", json=body, headers=AUTH)).status_code == 202
    assert dict(stage.commands[0].arguments) == {"model": "support-bot", "reason": "r", **more}


async def test_learning_a_baseline_passes_the_blocks_on(client: httpx.AsyncClient, stage: Stage) -> None:
    blocks = {"strange": [[1, 100, 5]], "far": [[1, 100, 1]]}
    body = {"action": "learn", "model": "support-bot", "blocks": blocks, "source": "march.jsonl", "topics": [90, 10]}
    assert (await client.post("/v1/baseline", json=body, headers=AUTH)).status_code == 202
    arguments = stage.commands[0].arguments
    assert stage.commands[0].kind == "baseline.learn"
    assert [list(row) for row in arguments["blocks"]["strange"]] == blocks["strange"]
    assert (arguments["source"], arguments["topics"]) == ("march.jsonl", [90, 10])


async def test_what_became_of_a_command(client: httpx.AsyncClient, stage: Stage) -> None:
    assert (await client.get("/v1/commands/abc")).status_code == 404
    stage.rows.entries = [AuditEntry("abc", NOW, "ada", "baseline.accept", {"model": "support-bot"}, "refused: nothing is learned yet")]
    assert (await client.get("/v1/commands/abc")).json()["outcome"] == "refused: nothing is learned yet"


async def test_a_ledger_that_is_away_is_a_503_that_says_so() -> None:
    def away(command: object) -> None:
        raise TiltmeterError("ledger: not connected yet")

    async with connected(make(submit=away)) as client:
        answer = await client.post("/v1/baseline", json={"action": "reset", "model": "support-bot", "reason": "r"}, headers=AUTH)
    assert answer.status_code == 503
    assert answer.json()["detail"] == "ledger: not connected yet"
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(("part", "status"), [("decider", 503), ("pipeline", 404)])
async def test_a_history_that_is_not_open_yet_is_not_one_that_never_comes(part: str, status: int) -> None:
    async with connected(make(alive=lambda: {part: True}, queries=lambda: None)) as client:
        answer = await client.get("/v1/verdicts")
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_an_unexpected_error_tells_class_and_place_but_not_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def broken(record: object) -> None:
        raise ValueError(f"cannot use {record}")

    async with connected(make(score=broken)) as client:
        with caplog.at_level(logging.DEBUG):
            answer = await client.post("/v1/score", json={"text": "canary-text"}, headers=AUTH)
    assert answer.status_code == 500
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    assert "ValueError" in logged
    assert "test_app.py" in logged
    assert "canary-text" not in answer.text + logged


async def test_an_announced_change_becomes_a_command(client: httpx.AsyncClient, stage: Stage) -> None:
    body = {"model": "support-bot", "slice": "acme", "until": "2026-03-02T00:00:00+01:00", "reason": "new tenant", "actor": "ada"}
    assert (await client.post("/v1/expectations", json=body, headers=AUTH)).status_code == 202
    taken_back = {"action": "remove", "model": "support-bot", "expectation": "7"}
    assert (await client.post("/v1/expectations", json=taken_back, headers=AUTH)).status_code == 202
    assert [(c.kind, c.actor, dict(c.arguments)) for c in stage.commands] == [
        ("expect.add", "ada", {"model": "support-bot", "slice": "acme", "until": 1772406000.0, "reason": "new tenant"}),
        ("expect.remove", "api", {"model": "support-bot", "expectation": "7"}),
    ]
    assert (await client.get("/v1/expectations")).json() == {"expectations": []}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "other", "topic": "1"}, 404, "no model is called 'other'"),
        ({"model": "support-bot"}, 422, "exactly one"),
        ({"model": "support-bot", "topic": "1", "slice": "a"}, 422, "exactly one"),
        ({"model": "support-bot", "topic": "1", "reason": "r"}, 422, "until, reason"),
        ({"model": "support-bot", "topic": "1", "reason": "r", "until": "2026-03-02T00:00:00"}, 422, "until"),
        ({"model": "support-bot", "action": "remove"}, 422, "expectation"),
    ],
)
async def test_what_cannot_be_announced_is_refused(
    client: httpx.AsyncClient, stage: Stage, body: dict[str, Any], status: int, said: str
) -> None:
    answer = await client.post("/v1/expectations", json=body, headers=AUTH)
    assert answer.status_code == status
    assert said in answer.text
    assert stage.commands == []
