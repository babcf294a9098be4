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
        judged: all that belongs to the answer has come.
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
    judged: bool = False
    again: bool = False
    wait: float | None = None
    problem: str = ""

    def fail(self, error: Error, again: bool = False) -> None:
        """It ends with this error."""
        self.error, self.again = error, again


class _Deadline:
    """Until the first token, then until the end; seconds from now. It holds over slow drips, as the timeouts of a client do not."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._clock = asyncio.get_running_loop().time
        self._start = self._clock()
        self._end = self._start + timeouts.total
        self.limit = asyncio.timeout_at(min(self._start + timeouts.first_token, self._end))
        self.missed: Error = "timeout_first" if timeouts.first_token < timeouts.total else "timeout_total"

    def elapsed(self) -> float:
        """Seconds since the request was begun."""
        return self._clock() - self._start

    def began(self) -> None:
        """The answer has begun."""
        self.missed = "timeout_total"
        self.limit.reschedule(self._end)

    def ended(self) -> None:
        """The answer is complete; all that is left is that the connection closes."""
        self.limit.reschedule(min(self._clock() + _AFTER_THE_END, self._end))


class _Stop(Exception):
    """Ends the reading of a body; the attempt says why."""


class Exchange:
    """Asks one endpoint, by each of the clients in turn; they are opened and closed by the caller."""

    def __init__(self, clients: Sequence[httpx.AsyncClient], form: Form, timeouts: Timeouts) -> None:
        self._clients, self._form, self._timeouts = cycle(clients), form, timeouts

    async def post(self, url: httpx.URL, body: Any, headers: Mapping[str, str]) -> Attempt:
        """One request. Raises nothing but CancelledError."""
        attempt, reader = Attempt(), self._form.reader()
        deadline = _Deadline(self._timeouts)
        try:
            async with deadline.limit:
                await self._post(url, body, headers, attempt, reader, deadline)
        except TimeoutError:
            if not attempt.judged:
                _judge(attempt, reader, deadline.missed)
        except _Stop:
            pass
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not attempt.judged:
                _explain(error, attempt, reader)
        attempt.seconds = attempt.seconds or deadline.elapsed()
        attempt.answer = reader.answer()
        if attempt.filtered:
            attempt.answer.refusal = attempt.answer.finish = "content_filter"
        return attempt

    async def _post(
        self, url: httpx.URL, body: Any, headers: Mapping[str, str], attempt: Attempt, reader: Reader, deadline: _Deadline
    ) -> None:
        client = next(self._clients)
        # Escaped, so that no text of a pack can fail to be encoded; packs may hold dates.
        content = json.dumps(body, default=str).encode()
        request = client.build_request("POST", url, content=content, headers={"Content-Type": "application/json", **headers})
        response = await client.send(request, stream=True)
        try:
            attempt.status = response.status_code
            if response.status_code >= 300:
                await _refused(response, attempt)
            elif not _readable(response):
                attempt.fail("not_json")
            elif response.headers.get("content-type", "").lower().startswith("text/event-stream"):
                attempt.streamed = True
                await _read_stream(response, attempt, reader, deadline)
            else:
                deadline.began()
                await _read_whole(response, attempt, reader)
        finally:
            # Closing waits for nobody: an endpoint that hangs cannot hold us here.
            await response.aclose()


async def _read_stream(response: httpx.Response, attempt: Attempt, reader: Reader, deadline: _Deadline) -> None:
    events, size = EventReader(), 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > LARGEST:
            attempt.fail("too_large")
            raise _Stop
        # What follows the end is read, for a moment, so that the connection can be used again.
        for event in [] if attempt.judged else events.feed(chunk):
            if _take(event, attempt, reader):
                attempt.seconds = deadline.elapsed()
                _judge(attempt, reader, "cut_off", done=True)
                deadline.ended()
                break
            if attempt.first is None and reader.grew:
                attempt.first = deadline.elapsed()
                deadline.began()
    if not attempt.judged:
        done = any([_take(event, attempt, reader) for event in events.finish()])
        _judge(attempt, reader, "cut_off", done)


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
    _judge(attempt, reader, "cut_off", done=True)


def _judge(attempt: Attempt, reader: Reader, otherwise: Error, done: bool = False) -> None:
    """Whether what was read is an answer; ``otherwise`` is what became of it when it is not ``done`` and does not say itself that it is."""
    attempt.judged = True
    answer = reader.answer()
    if answer.broken:
        attempt.fail("server")
    elif not done and not answer.ended:
        attempt.fail(otherwise)
    elif not answer.found:
        attempt.fail("no_answer")


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
    else:
        _judge(attempt, reader, "cut_off" if isinstance(error, httpx.RemoteProtocolError) else "reset")


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
