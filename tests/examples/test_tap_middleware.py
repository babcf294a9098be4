"""The middleware in real ASGI servers: prompts arrive, and requests do not notice it."""

import asyncio
import gzip
import json
import time
from typing import Any

import httpx
import pytest
from asgi_middleware import TiltmeterTap
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from tap_servers import KEY, Fake, mute, real, serving, until, uvicorn_of
from tiltmeter_sender import Sender

from service.main.demo.toy_endpoint import create_app
from service.main.demo.toy_model import Behaviour, ToyModel
from service.probes.tags import HEADER, sign


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "support-bot", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}], **more}


def test_prompts_of_a_streaming_endpoint_are_counted_and_our_own_probes_are_not() -> None:
    with real() as service:
        sender = Sender(service.url, service.token, linger=0.01)
        tag = sign("live", "round-1", time.time(), KEY)
        with uvicorn_of(TiltmeterTap(create_app(ToyModel(Behaviour())), sender)) as url, httpx.Client(base_url=url, timeout=10) as client:
            plain = client.post("/v1/chat/completions", json=chat("What is 17 + 25?"))
            assert plain.json()["choices"][0]["message"]["content"] == "42"
            with client.stream("POST", "/v1/chat/completions", json=chat("What is 1 + 2?", stream=True, user="u1")) as response:
                events = list(response.iter_lines())
            assert "data: [DONE]" in events
            client.post("/v1/completions", json={"model": "other-bot", "prompt": "an old form"})
            client.post("/v1/chat/completions", json=chat("a probe by header"), headers={HEADER: tag})
            client.post("/v1/chat/completions", json=chat("a probe by field", user=tag))
            client.get("/v1/models")
            until(lambda: sender.stats().accepted == 5)
        assert [(prompt.text, prompt.model_name) for prompt in service.counted] == [
            ("What is 17 + 25?", "support-bot"),
            ("What is 1 + 2?", "support-bot"),
            ("an old form", "other-bot"),
        ]
        assert service.counted[1].session == "u1"
        assert service.returns.seen()["live"].returned == 2
        assert sender.stats().dropped == {}
        sender.close()


def application(read: list[bytes]) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def answer(request: Request) -> PlainTextResponse:
        read.append(await request.body())
        return PlainTextResponse("done")

    @app.post("/late/v1/completions")
    async def stream(request: Request) -> StreamingResponse:
        async def pieces() -> Any:
            # The body is read while the answer is being written.
            async for piece in request.stream():
                read.append(piece)
                yield b"got some\n"

        return StreamingResponse(pieces())

    @app.post("/v1/responses")
    async def deaf() -> PlainTextResponse:
        return PlainTextResponse("did not read")

    return app


def test_the_application_reads_what_was_sent_however_it_was_cut() -> None:
    read: list[bytes] = []
    with serving(Fake()) as fake:
        sender = Sender(fake.url, linger=0.01)
        with uvicorn_of(TiltmeterTap(application(read), sender)) as url, httpx.Client(base_url=url, timeout=10) as client:
            body = json.dumps(chat("in pieces " * 20_000)).encode()

            def cut() -> Any:
                for at in range(0, len(body), 50_000):
                    yield body[at : at + 50_000]

            client.post("/v1/chat/completions", content=cut())
            assert read.pop() == body
            client.post("/late/v1/completions", content=json.dumps({"prompt": "read late"}))
            client.post("/v1/chat/completions", content=gzip.compress(b'{"prompt": "packed"}'), headers={"content-encoding": "gzip"})
            assert client.post("/v1/responses", json={"input": "never read"}).text == "did not read"
            client.post("/v1/chat/completions", content=b"no JSON")
            client.post("/v1/chat/completions", json=[1])
            until(lambda: sender.stats().put == 5 and sender.stats().queued == sender.stats().sending == 0)
        stats = sender.stats()
        assert (stats.accepted, stats.skipped, stats.dropped) == (3, 1, {"unreadable": 1})
        assert [text[:12] for text in fake.texts] == ["in pieces in", "read late", "packed"]
        sender.close()


def test_a_body_that_is_too_long_is_passed_on_and_not_kept() -> None:
    read: list[bytes] = []
    with serving(Fake()) as fake:
        sender = Sender(fake.url, linger=0.01)
        tap = TiltmeterTap(application(read), sender, max_body=1000)
        with uvicorn_of(tap) as url, httpx.Client(base_url=url, timeout=10) as client:
            client.post("/v1/chat/completions", json=chat("x" * 2000))
            assert len(read[0]) > 2000
            assert sender.stats().dropped == {"too_large": 1}
        assert fake.posts == []
        sender.close()


def test_other_protocols_and_clients_that_hang_up_pass_through() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive))
        if scope["type"] == "http":
            seen.append([await receive(), await receive()])

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"} if seen[-1] == "half" else (seen.append("half") or half)

    half = {"type": "http.request", "body": b'{"prompt": "ha', "more_body": True}
    sender = Sender("http://127.0.0.1:1")
    tap = TiltmeterTap(app, sender)

    async def run() -> None:
        await tap({"type": "websocket", "path": "/v1/completions"}, gone, gone)
        assert seen == [("websocket", gone)]
        await tap({"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}, gone, gone)

    asyncio.run(run())
    assert seen[-1] == [half, {"type": "http.disconnect"}]
    assert sender.stats().put == 0


@pytest.mark.parametrize("state", ["killed", "hung", "full"])
def test_every_request_is_answered_whatever_tiltmeter_does(state: str) -> None:
    """That it is no slower is measured by `python -m benchmarks.taps`; here, that it is not wrong."""
    read: list[bytes] = []
    with mute() as hung, serving(Fake([(429, "full", {"Retry-After": "1"})] * 99)) as full:
        url = {"killed": "http://127.0.0.1:1", "hung": hung, "full": full.url}[state]
        sender = Sender(url, timeout=0.3, max_records=50, linger=0.01)
        with uvicorn_of(TiltmeterTap(application(read), sender)) as mine, httpx.Client(base_url=mine, timeout=10) as client:
            for i in range(120):
                assert client.post("/v1/chat/completions", json=chat(f"text {i}")).text == "done"
        stats = sender.stats()
        assert (stats.put, stats.accepted) == (120, 0)
        assert stats.queued <= 50
        assert stats.put == sum(stats.dropped.values()) + stats.queued + stats.sending
        sender.close(0)
