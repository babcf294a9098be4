"""One request and its answer over HTTP: every way in which it can go wrong is a value."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import cycle
from typing import Any

import httpx

from service.config import Timeouts
from service.probes.forms import Answer, Form, Reader
from service.probes.sse import EventReader
from service.records.probes import Error

LARGEST = 2_000_000
"""Bytes of an answer that are read; no model answers as much."""

_LARGEST_PROBLEM = 65_536
_ENCODINGS = frozenset(("identity", "gzip", "deflate"))
"""We ask for none. In other encodings a few bytes can stand for gigabytes before anybody has counted them."""

_AFTER_THE_END = 0.2
"""Seconds that a stream may take to close after it said that it is done; a connection that closes properly is used again."""

_FILTERED = (
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "content management policy",
    "moderation_blocked",
)


@dataclass(slots=True)
class Attempt:
    """What came of one request. Times in seconds from its start.

    Attributes:
        answer: what could be read of it, also before it broke off. error: None when it is complete.
        streamed: whether it came as a stream. first: time of the first piece of the model's.
        filtered: the provider's filter would not pass the question: a refusal, not an error.
        again: nothing of an answer was seen and another attempt may go better. wait: what Retry-After asks for.
        problem: what a 4xx says, lower case, for finding out what the endpoint refuses; it may repeat the request: not to be logged.
    """

    answer: Answer = field(default_factory=Answer)
    error: Error | None = None
    status: int | None = None
    streamed: bool = False
    first: float | None = None
    seconds: float = 0.0
    filtered: bool = False
    again: bool = False
    wait: float | None = None
    problem: str = ""

    def fail(self, error: Error, again: bool = False) -> None:
        """It ends with this error."""
        self.error, self.again = error, again


class _Stop(Exception):
    """Ends the reading of a body; the attempt says why."""


class Exchange:
    """Asks one endpoint, by each of the clients in turn; they are opened and closed by the caller."""

    def __init__(self, clients: Sequence[httpx.AsyncClient], form: Form, timeouts: Timeouts) -> None:
        self._clients, self._form, self._timeouts = cycle(clients), form, timeouts

    async def post(self, url: httpx.URL, body: Any, headers: Mapping[str, str]) -> Attempt:
        """One request. Raises nothing but CancelledError."""
        attempt, reader = Attempt(), self._form.reader()
        clock = asyncio.get_running_loop().time
        start = clock()
        first, total = self._timeouts.first_token, self._timeouts.total
        try:
            async with asyncio.timeout_at(start + min(first, total)) as limit:
                await self._post(url, body, headers, attempt, reader, limit, start)
        except TimeoutError:
            if not reader.answer().ended or attempt.error is not None:
                early = attempt.first is None and first <= total
                attempt.fail("timeout_first" if early else "timeout_total")
        except _Stop:
            pass
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _explain(error, attempt, reader)
        attempt.seconds = clock() - start
        attempt.answer = reader.answer()
        if attempt.filtered:
            attempt.answer.refusal = attempt.answer.finish = "content_filter"
        return attempt

    async def _post(
        self, url: httpx.URL, body: Any, headers: Mapping[str, str], attempt: Attempt, reader: Reader, limit: asyncio.Timeout, start: float
    ) -> None:
        client = next(self._clients)
        request = client.build_request("POST", url, json=body, headers=headers)
        response = await client.send(request, stream=True)
        try:
            attempt.status = response.status_code
            if response.status_code >= 300:
                await _refused(response, attempt)
            elif not _readable(response):
                attempt.fail("not_json")
            elif response.headers.get("content-type", "").lower().startswith("text/event-stream"):
                attempt.streamed = True
                await self._read_stream(response, attempt, reader, limit, start)
            else:
                attempt.first = asyncio.get_running_loop().time() - start
                limit.reschedule(start + self._timeouts.total)
                await _read_whole(response, attempt, reader)
                attempt.first = None
        finally:
            # Closing waits for nobody: an endpoint that hangs cannot hold us here.
            await response.aclose()

    async def _read_stream(self, response: httpx.Response, attempt: Attempt, reader: Reader, limit: asyncio.Timeout, start: float) -> None:
        events, size, done = EventReader(), 0, False
        clock = asyncio.get_running_loop().time
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > LARGEST:
                attempt.fail("too_large")
                raise _Stop
            for event in events.feed(chunk):
                done = done or _take(event, attempt, reader)
                if attempt.first is None and reader.grew:
                    attempt.first = clock() - start
                    limit.reschedule(start + self._timeouts.total)
            if done:
                limit.reschedule(clock() + _AFTER_THE_END)
        for event in events.finish():
            done = done or _take(event, attempt, reader)
        _judge(attempt, reader, done)


def _take(event: str, attempt: Attempt, reader: Reader) -> bool:
    """One event of a stream; whether it was the last."""
    if event.strip() == "[DONE]":
        return True
    try:
        reader.take(json.loads(event))
    except (ValueError, RecursionError):
        attempt.fail("not_json")
        raise _Stop from None
    return False


def _readable(response: httpx.Response) -> bool:
    return response.headers.get("content-encoding", "identity").lower() in _ENCODINGS


async def _read_whole(response: httpx.Response, attempt: Attempt, reader: Reader) -> None:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            attempt.fail("too_large")
            raise _Stop
    try:
        reader.take(json.loads(body))
    except (ValueError, RecursionError):
        attempt.fail("not_json")
        return
    _judge(attempt, reader, done=True)


def _judge(attempt: Attempt, reader: Reader, done: bool) -> None:
    """Whether what was read to its end is an answer."""
    answer = reader.answer()
    if answer.broken:
        attempt.fail("server")
    elif not answer.found:
        attempt.fail("no_answer")
    elif not done and not answer.ended:
        attempt.fail("cut_off")


async def _refused(response: httpx.Response, attempt: Attempt) -> None:
    """An answer that is none: what the status says, what the body says where that matters, whether to ask again."""
    status = response.status_code
    body = bytearray()
    if 400 <= status < 500 and _readable(response):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST_PROBLEM:
                break
    attempt.problem = body[:_LARGEST_PROBLEM].decode(errors="replace").lower()
    attempt.wait = retry_after(response.headers)
    if status == 429:
        attempt.fail("rate_limited", again=True)
    elif status == 408 or status >= 500:
        attempt.fail("server", again=True)
    elif status == 400 and any(word in attempt.problem for word in _FILTERED):
        attempt.filtered = True
    else:
        attempt.fail("client")


def _explain(error: httpx.HTTPError | httpx.InvalidURL, attempt: Attempt, reader: Reader) -> None:
    """What a broken connection means: before the first byte it may be tried again, after it it may not."""
    if isinstance(error, httpx.ConnectTimeout):
        attempt.fail("timeout_connect", again=True)
    elif isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol):
        attempt.fail("connect", again=isinstance(error, httpx.ConnectError))
    elif isinstance(error, httpx.DecodingError):
        attempt.fail("not_json")
    elif isinstance(error, httpx.InvalidURL | httpx.LocalProtocolError):
        attempt.fail("client")
    elif attempt.status is None:
        attempt.fail("reset", again=True)
    elif attempt.status >= 400:
        # Only what it said was lost; its status stands.
        attempt.fail("rate_limited" if attempt.status == 429 else "client", again=attempt.status in (408, 429))
    elif not reader.answer().ended:
        attempt.fail("cut_off" if isinstance(error, httpx.RemoteProtocolError) else "reset")


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that Retry-After asks for, as a number or as a date of HTTP; None where it says nothing that can be read."""
    said = headers.get("retry-after", "")
    with suppress(ValueError):
        seconds = float(said)
        return max(seconds, 0.0) if seconds == seconds else None
    with suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(said)
        reference = parsedate_to_datetime(headers["date"]).timestamp() if now is None and "date" in headers else now
        return max(moment.timestamp() - reference, 0.0) if reference is not None else None
    return None
