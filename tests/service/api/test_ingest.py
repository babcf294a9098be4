"""POST /v1/prompts and /v1/score over the real HTTP source, with the pipeline played by the test."""

import asyncio
import gzip
import json
import logging
from typing import Any

import httpx
import pytest
from web import AUTH, NOW, Stage, connected, make

pytestmark = pytest.mark.asyncio

RECORD = {"text": "how do I reset my pin", "model": "support-bot"}


async def arrived(stage: Stage, prompts: int) -> None:
    while stage.source.waiting < prompts:
        await asyncio.sleep(0.005)


async def post(client: httpx.AsyncClient, stage: Stage, *, counted: bool = True, **request: Any) -> httpx.Response:
    """Post while the test plays the pipeline."""
    headers = {**AUTH, **request.pop("headers", {})}
    answer = asyncio.create_task(client.post("/v1/prompts", headers=headers, **request))
    while counted and not answer.done():
        await asyncio.sleep(0.005)
        stage.count()
    return await answer


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(RECORD).encode(),
        json.dumps([RECORD]).encode(),
        json.dumps(RECORD, indent=2).encode(),
        (json.dumps(RECORD) + "\n").encode(),
    ],
)
async def test_one_record_in_every_shape(client: httpx.AsyncClient, stage: Stage, content: bytes) -> None:
    answer = await post(client, stage, content=content)
    assert answer.status_code == 200
    assert answer.json() == {"counted": 1, "late": 0, "duplicate": False}


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
async def test_lines(client: httpx.AsyncClient, stage: Stage, kind: str) -> None:
    content = "\n".join(json.dumps(RECORD) for _ in range(3)).encode() + b"\n\n"
    assert (await post(client, stage, content=content, headers={"Content-Type": kind})).json()["counted"] == 3


async def test_gzip(client: httpx.AsyncClient, stage: Stage) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert (await post(client, stage, content=gzip.compress(json.dumps(RECORD).encode()), headers=headers)).json()["counted"] == 1
    bomb = await post(client, stage, content=gzip.compress(b" " * 10_000_000), headers=headers)
    assert bomb.status_code == 413
    cut = await post(client, stage, content=gzip.compress(json.dumps(RECORD).encode())[:-4], headers=headers)
    assert (cut.status_code, cut.json()["detail"]) == (400, "body: the gzip stream is cut off")


async def test_nothing_is_answered_before_the_ledger_has_it(client: httpx.AsyncClient, stage: Stage) -> None:
    answer = asyncio.create_task(client.post("/v1/prompts", json=RECORD, headers=AUTH))
    await arrived(stage, 1)
    await asyncio.sleep(0.05)
    assert not answer.done()
    assert stage.count() == 1
    assert (await answer).status_code == 200


async def test_late_prompts_are_counted_as_late(client: httpx.AsyncClient, stage: Stage) -> None:
    answer = asyncio.create_task(client.post("/v1/prompts", json=RECORD, headers=AUTH))
    while not answer.done():
        await asyncio.sleep(0.005)
        stage.count(watermark=NOW + 1000)
    assert (await answer).json() == {"counted": 1, "late": 1, "duplicate": False}


async def test_a_retry_with_its_key_waits_for_the_same_count(client: httpx.AsyncClient, stage: Stage) -> None:
    headers = {**AUTH, "Idempotency-Key": "k1"}
    first = asyncio.create_task(client.post("/v1/prompts", json=RECORD, headers=headers))
    second = asyncio.create_task(client.post("/v1/prompts", json=RECORD, headers=headers))
    await arrived(stage, 1)
    await asyncio.sleep(0.3)
    assert stage.count() == 1
    assert sorted([(await first).json()["duplicate"], (await second).json()["duplicate"]]) == [False, True]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (
            json.dumps([RECORD, {"txt": "canary-text", "model": "support-bot"}]),
            "record 1: no_text: expected 'text', 'prompt' or a user turn",
        ),
        (json.dumps({"text": "canary-text", "model": "other"}), "record 0: unknown_model: 'model' is missing or is no configured name"),
        (json.dumps([RECORD, 7]), "record 1: not_an_object: expected a JSON object, not a number"),
        (json.dumps([RECORD, {"model": "support-bot"}, 7, None]), "record 1: no_text"),
        (json.dumps([RECORD, None, {"model": "support-bot"}, 7]), "record 1: not_an_object: expected a JSON object, not null"),
        (
            '{"text": "a", "model": "support-bot"}\n\n"canary-text"\n{canary-text',
            "record 1: not_an_object: expected a JSON object, not a string",
        ),
        (json.dumps(RECORD) + "\n{canary-text\n", "record 1: not_json: line 1 column 2"),
        ("canary-text", "body: not JSON: Expecting value at line 1, column 1"),
        ("[" * 3000, "body: nested too deeply"),
        (b'{"text": "canary-text \xff"}', "body: not UTF-8 at byte 22"),
        ("9" * 3900, "record 0: not_an_object"),
    ],
)
async def test_a_bad_record_is_named_and_never_quoted(client: httpx.AsyncClient, stage: Stage, content: str | bytes, detail: str) -> None:
    answer = await post(client, stage, content=content, counted=False)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)
    assert "canary-text" not in answer.text
    assert stage.source.waiting == 0


@pytest.mark.parametrize(
    ("request_of", "reason"),
    [
        ({"json": [RECORD, {"model": "support-bot"}, 7]}, "no_text"),
        ({"json": [RECORD, 7, {"model": "support-bot"}]}, "not_an_object"),
        ({"json": {"text": " ", "model": "support-bot"}}, "empty_text"),
        ({"json": {"text": "a", "model": "other"}}, "unknown_model"),
        ({"content": b"nonsense"}, "not_json"),
        ({"content": b"1" * 3999}, "not_an_object"),
        ({"content": b'{"text": "\xff"}'}, "not_utf8"),
        ({"content": b"[" * 3000}, "too_deep"),
        ({"content": b" " * 4001}, "too_large"),
        ({"json": [{"text": "a", "model": "support-bot"}] * 21}, "too_large"),
        ({"content": b"plain", "headers": {"Content-Encoding": "gzip"}}, "not_gzip"),
        ({"content": gzip.compress(b"{}")[:-4], "headers": {"Content-Encoding": "gzip"}}, "not_gzip"),
    ],
)
async def test_every_post_that_is_no_prompts_is_counted_by_its_reason(request_of: dict[str, Any], reason: str) -> None:
    refused: list[str] = []
    stage = make(refused=refused.append)
    async with connected(stage) as client:
        assert (await post(client, stage, counted=False, **request_of)).status_code in (400, 413)
    assert refused == [reason]


async def test_too_large_is_refused_while_it_streams(client: httpx.AsyncClient, stage: Stage) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1000
            yield b" " * 1000

    streamed = await asyncio.wait_for(client.post("/v1/prompts", content=endless(), headers=AUTH), 5)
    assert streamed.status_code == 413
    assert sent <= 6000
    assert (await post(client, stage, content=b" " * 4001, counted=False)).status_code == 413


async def test_too_many_records_and_a_full_queue(client: httpx.AsyncClient, stage: Stage) -> None:
    many = await post(client, stage, json=[{"text": "a", "model": "support-bot"}] * 21, counted=False)
    assert many.status_code == 413
    waiting = asyncio.create_task(client.post("/v1/prompts", json=[{"text": "a", "model": "support-bot"}] * 20, headers=AUTH))
    await arrived(stage, 20)
    full = await post(client, stage, json=RECORD, counted=False)
    assert full.status_code == 429
    assert int(full.headers["retry-after"]) > 0
    stage.count()
    assert (await waiting).status_code == 200


async def test_a_pipeline_that_ends_answers_503_to_what_waits_and_what_comes(client: httpx.AsyncClient, stage: Stage) -> None:
    waiting = asyncio.create_task(client.post("/v1/prompts", json=RECORD, headers=AUTH))
    await arrived(stage, 1)
    stage.source.close()
    assert (await waiting).status_code == 503
    assert (await post(client, stage, json=RECORD, counted=False)).status_code == 503


async def test_patience_ends() -> None:
    stage = make(patience=0.05)
    async with connected(stage) as client:
        answer = await client.post("/v1/prompts", json=RECORD, headers=AUTH)
    assert answer.status_code == 503
    assert "Idempotency-Key" in answer.json()["detail"]


async def test_prompts_of_a_service_that_reads_elsewhere_are_refused() -> None:
    async with connected(make(source="kafka", ingest=lambda: None)) as client:
        answer = await client.post("/v1/prompts", json=RECORD, headers=AUTH)
    assert answer.status_code == 409
    assert "kafka" in answer.json()["detail"]


async def test_a_starting_service_asks_to_come_again() -> None:
    async with connected(make(ingest=lambda: None)) as client:
        answer = await client.post("/v1/prompts", json=RECORD, headers=AUTH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_the_demonstration_takes_writes_without_a_token() -> None:
    stage = make(token=None, open_writes=True)
    async with connected(stage) as client:
        answer = asyncio.create_task(client.post("/v1/prompts", json=RECORD))
        while not answer.done():
            await asyncio.sleep(0.005)
            stage.count()
        assert (await answer).status_code == 200


async def test_a_score_is_words_and_numbers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/score", json={"text": "canary-text of five words", "model": "support-bot"}, headers=AUTH)
    assert answer.json()["p_value"] == 0.03
    assert answer.json()["topic"] == ["refund", "card"]
    assert "canary-text" not in answer.text


@pytest.mark.parametrize("content", [b"[]", b"nonsense", b"[{}, {}]"])
async def test_a_score_needs_one_object(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await client.post("/v1/score", content=content, headers=AUTH)).status_code == 400


async def test_no_text_in_logs_metrics_or_page(client: httpx.AsyncClient, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    canary = "xylophone-canary-7719"
    with caplog.at_level(logging.DEBUG):
        await post(client, stage, json={"text": canary, "model": "support-bot"})
        await post(client, stage, json={"nothing": canary, "model": "support-bot"}, counted=False)
        await post(client, stage, json={"text": "x", "model": canary}, counted=False)
        await client.post("/v1/score", json={"text": canary}, headers=AUTH)
        seen = [(await client.get(path)).text for path in ("/", "/metrics", "/docs", "/v1/incidents", "/v1/baseline", "/readyz")]
    logged = [str(record.__dict__) for record in caplog.records if record.name.startswith(("service", "uvicorn", "fastapi"))]
    assert canary not in " ".join(seen + logged)
