"""ASGI middleware: prompts of a service in OpenAI's form go to Tiltmeter, beside the request and not before it.

    from asgi_middleware import TiltmeterTap
    from tiltmeter_sender import Sender

    sender = Sender("http://tiltmeter:9108", token=os.environ["TILTMETER_TOKEN"])
    app.add_middleware(TiltmeterTap, sender=sender)        # FastAPI, Starlette; others: app = TiltmeterTap(app, sender)

It never reads a body: it keeps the pieces that the application itself reads, and hands them over when the last one has come. Answers
are not looked at, streamed or not. Bodies are parsed by the sender's thread.
"""

import functools
import gzip
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from tiltmeter_record import Record, prompt_record
from tiltmeter_sender import Sender

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")


class TiltmeterTap:
    """Wraps an application.

    Args:
        app: the application.
        sender: shared by all requests of the process.
        paths: ends of the paths whose POSTs carry prompts.
        max_body: bytes of the longest body that is kept; a longer one is counted as `too_large`.
    """

    def __init__(self, app: App, sender: Sender, paths: Collection[str] = PATHS, max_body: int = 4_000_000) -> None:
        self.app = app
        self.sender = sender
        self.paths = tuple(paths)
        self.max_body = max_body

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass the request on; of POSTs to our paths keep what the application reads."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(self.paths):
            receive = _Copy(receive, scope["headers"], self.sender, self.max_body)
        await self.app(scope, receive, send)


class _Copy:
    """Receives for the application, and keeps what it receives until the body is whole."""

    def __init__(self, receive: Receive, headers: list[tuple[bytes, bytes]], sender: Sender, longest: int) -> None:
        self._receive, self._headers, self._sender, self._longest = receive, headers, sender, longest
        self._pieces: list[bytes] = []
        self._size = 0
        self._whole = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not self._whole:
            piece = message.get("body", b"")
            self._size += len(piece)
            if self._size <= self._longest:
                self._pieces.append(piece)
            else:
                self._pieces.clear()
            if not message.get("more_body", False):
                self._whole = True
                self._hand_over()
        return message

    def _hand_over(self) -> None:
        if self._size > self._longest:
            self._sender.count_drop("too_large")
        else:
            self._sender.put(functools.partial(_record, self._pieces, self._headers), self._size)


def _record(pieces: list[bytes], raw_headers: list[tuple[bytes, bytes]]) -> Record | None:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw_headers}
    body = b"".join(pieces)
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    found = json.loads(body)
    return prompt_record(found, headers) if isinstance(found, dict) else None
