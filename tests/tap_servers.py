"""Tiltmeters for taps to talk to: one that counts as the real one does, and one that misbehaves as it is told."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn
import web

from service.config import Fields, HttpSource, Model, Windows
from service.probes.tags import Returns
from service.source.decode import Decoder
from service.source.http import HttpSource as Source


@dataclass
class Fake:
    """Answers of a Tiltmeter, scripted: statuses in turn, then 200 for ever; None hangs. Keeps every post."""

    script: list[tuple[int, str, dict[str, str]] | None] = field(default_factory=list)
    posts: list[tuple[str, list[dict[str, Any]], str]] = field(default_factory=list)
    url: str = ""
    delay: float = 0.0
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        lines = [json.loads(line) for line in body.splitlines()]
        self.posts.append((handler.headers["Idempotency-Key"], lines, handler.headers.get("Authorization", "")))
        step = self.script.pop(0) if self.script else (200, "", {})
        time.sleep(self.delay)
        if step is None:
            self.released.wait(30)
            handler.close_connection = True
            return
        status, detail, headers = step
        said = json.dumps({"detail": detail} if status != 200 else {"counted": len(lines), "late": 0, "duplicate": False}).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    @property
    def texts(self) -> list[str]:
        return [line["text"] for _, lines, _ in self.posts for line in lines]


@contextlib.contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            with contextlib.suppress(OSError):
                fake.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def mute() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def uvicorn_of(app: Any) -> Iterator[str]:
    """A real server for an ASGI application."""
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it every small answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


KEY = b"0123456789abcdef"


@dataclass
class Real:
    """The service's own HTTP interface over its own queue and decoder; the test plays the pipeline and keeps what was counted."""

    url: str
    stage: web.Stage
    returns: Returns
    token: str = web.TOKEN
    counted: list[Any] = field(default_factory=list)
    posts: list[tuple[str | None, int]] = field(default_factory=list)

    def count(self) -> None:
        batch = self.stage.source.poll(100_000, 0.02)
        self.counted += batch.prompts
        self.posts += [(part.key, part.stop - part.start) for part in batch.parts]
        self.stage.source.committed(batch)


@contextlib.contextmanager
def real() -> Iterator[Real]:
    returns = Returns(KEY)
    models = {"support-bot": Model(bundle="bundle"), "other-bot": Model(bundle="bundle")}
    decoder = Decoder(Fields(), models, 20.0, returns)
    source = Source(HttpSource(), decoder, Windows(), instance="one", ledger=None)
    stage = web.make(ingest=lambda: source, max_body_bytes=8_000_000)
    stage.source = source
    with uvicorn_of(stage.app) as url:
        found, over = Real(url, stage, returns), threading.Event()

        def pipeline() -> None:
            while not over.is_set():
                found.count()

        thread = threading.Thread(target=pipeline)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()


def until(true: Any, within: float = 8.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)
