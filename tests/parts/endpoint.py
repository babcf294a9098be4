"""An endpoint that fails in every way an endpoint can: a real server on a real socket, one fault a request, as the test asks."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

FAULTS = (
    "rate_limited",
    "server_error",
    "reset",
    "hang",
    "half_stream",
    "cut_body",
    "not_json",
    "no_choices",
    "empty",
    "huge",
    "drip",
    "drip_stream",
    "error_in_stream",
    "filtered",
)


def mixed(share: float, seed: int) -> Iterator[str]:
    """Faults of every kind in turn for ``share`` of the requests, at random places."""
    draw = random.Random(seed)
    kinds = list(FAULTS)
    while True:
        draw.shuffle(kinds)
        for kind in kinds:
            while draw.random() >= share:
                yield ""
            yield kind


class Endpoint:
    """Chat completions. Each request takes the next fault; without one it is answered with the last word it was sent."""

    def __init__(self, faults: Iterator[str], retry_after: str = "0") -> None:
        self.requests = 0
        self.sent: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.seen: list[tuple[dict[str, str], dict[str, object]]] = []
        self._faults = faults
        self._retry_after = retry_after
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Endpoint":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        if head.startswith("GET"):
            await _send(writer, {"data": [{"id": "m"}]})
            return True
        fault = next(self._faults)
        self.requests += 1
        self.sent[fault] += 1
        said = body["messages"][-1]["content"]
        self.asked[said] += 1
        self.seen.append((headers, body))
        if fault in _BROKEN:
            await _BROKEN[fault](writer)
            return False
        if fault == "rate_limited":
            await _send(writer, {"error": "slow down"}, "429 Too Many Requests", f"Retry-After: {self._retry_after}\r\n")
        elif fault == "server_error":
            await _send(writer, {"error": "oops"}, "500 Internal Server Error")
        elif fault == "filtered":
            await _send(writer, {"error": {"code": "content_filter", "message": "filtered"}}, "400 Bad Request")
        elif fault == "not_json":
            await _raw(writer, b"<html>busy</html>", "200 OK", "Content-Type: application/json\r\n")
        elif fault == "no_choices":
            await _send(writer, {"choices": []})
        elif fault == "error_in_stream":
            await _raw(writer, b'data: {"error": {"message": "out of memory"}}\n\n', "200 OK", "Content-Type: text/event-stream\r\n")
        else:
            await _answer(writer, "" if fault == "empty" else said.rsplit(" ", 1)[-1], bool(body.get("stream")))
        return True


async def _raw(writer: asyncio.StreamWriter, body: bytes, status: str, headers: str = "") -> None:
    writer.write(f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


async def _send(writer: asyncio.StreamWriter, body: object, status: str = "200 OK", headers: str = "") -> None:
    await _raw(writer, json.dumps(body).encode(), status, f"Content-Type: application/json\r\n{headers}")


def _event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'model': 'm-1', 'choices': [choice]})}\n\n".encode()


async def _answer(writer: asyncio.StreamWriter, text: str, stream: bool) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    if not stream:
        await _send(writer, {"model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage})
        return
    last = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode()
    await _raw(writer, _event(text) + _event("", "stop") + last, "200 OK", "Content-Type: text/event-stream\r\n")


def _begin(writer: asyncio.StreamWriter, kind: str, length: int) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode())


async def _reset(writer: asyncio.StreamWriter) -> None:
    # Closing with unread linger: the peer sees a reset.
    transport = writer.transport
    transport.abort()


async def _hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _half_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + _event("half an ans"))
    await writer.drain()


async def _cut_body(writer: asyncio.StreamWriter) -> None:
    _begin(writer, "application/json", 1000)
    writer.write(b'{"choices": [')
    await writer.drain()


async def _huge(writer: asyncio.StreamWriter) -> None:
    _begin(writer, "application/json", 10_000_000)
    for _ in range(100):
        writer.write(b" " * 100_000)
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter) -> None:
    _begin(writer, "application/json", 1000)
    for _ in range(100):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _drip_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for _ in range(100):
        writer.write(_event("drip "))
        await writer.drain()
        await asyncio.sleep(0.1)


_BROKEN: dict[str, Callable[[asyncio.StreamWriter], Awaitable[None]]] = {
    "reset": _reset,
    "hang": _hang,
    "half_stream": _half_stream,
    "cut_body": _cut_body,
    "huge": _huge,
    "drip": _drip,
    "drip_stream": _drip_stream,
}
