"""Hands prompts to Tiltmeter from a thread of its own: one file to copy beside your service; standard library only.

    sender = Sender("http://tiltmeter:9108", token=os.environ["TILTMETER_TOKEN"])
    sender.put({"text": "How do I reset my PIN?", "model": "support-bot"})

Whatever Tiltmeter does, `put` returns at once and raises nothing. What cannot be delivered is dropped and counted (`stats`).
"""

import contextlib
import functools
import http.client
import json
import logging
import os
import random
import re
import socket
import threading
import time
import urllib.parse
import uuid
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("tiltmeter.tap")

ENQUEUE = 0.05
"""Seconds after which `put` gives up and drops; the lock it waits for is held for microseconds."""
RECORD = 1_000_000
"""Bytes of the longest record, and of the longest body of several; Tiltmeter takes 8 MB."""
IDLE = 2.0
"""Seconds after which a connection is not used again; servers hang up after 5."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Stats:
    """What became of what was put: `put` = `accepted` + `skipped` + all of `dropped` + `queued` + `sending`.

    `dropped` by reason: `full` (the oldest goes first), `late` (not delivered within `keep`), `refused` (Tiltmeter says that it is no
    prompt), `too_large`, `unreadable`, `busy` (the lock), `closed`, `no_thread`, `error`. `skipped`: held no prompt, such as an embedding.
    """

    put: int = 0
    accepted: int = 0
    skipped: int = 0
    queued: int = 0
    queued_bytes: int = 0
    sending: int = 0
    retries: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    last_error: str = ""
    last_accepted: float | None = None


@dataclass(frozen=True)
class _Answer:
    status: int
    detail: str = ""
    retry_after: float = 0.0


class Sender:
    """A bounded queue and a daemon thread that posts batches to `/v1/prompts`, each under an Idempotency-Key of its own.

    Safe to share between threads. The thread starts with the first `put`, so a process may fork before it (gunicorn's `preload_app`)
    or after: a child begins with an empty queue, counters at 0 and a thread of its own; the parent goes on with what it had.

    Args:
        url: of Tiltmeter, without a path.
        token: bearer token for `/v1/prompts`.
        max_records: records that wait at most; then the oldest is dropped, so that what is delivered is of now.
        max_bytes: bytes that wait at most, likewise.
        batch: records in one post at most.
        linger: seconds between two looks into the queue.
        timeout: seconds for one post, from connecting to the last byte of the answer.
        keep: seconds after which a record is no longer worth delivering; a batch is tried again until then.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        max_records: int = 10_000,
        max_bytes: int = 16_000_000,
        batch: int = 500,
        linger: float = 0.25,
        timeout: float = 5.0,
        keep: float = 120.0,
    ) -> None:
        self._url = urllib.parse.urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname or self._url.port == 0:
            raise ValueError("url: expected http://HOST:PORT or https://HOST:PORT")
        self._token = token
        self._max_records, self._max_bytes, self._batch = max_records, max_bytes, batch
        self._linger, self._timeout, self._keep = linger, timeout, keep
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=functools.partial(_begin_again, weakref.ref(self)))

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[tuple[float, int, Record | Callable[[], Record | None]]] = deque()
        self._bytes = self._put = self._accepted = self._skipped = self._sending = self._retries = 0
        self._dropped: Counter[str] = Counter()
        self._last_error = ""
        self._last_accepted: float | None = None
        self._told: tuple[float, int] = (0.0, 0)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def put(self, record: Record | Callable[[], Record | None], size: int | None = None) -> bool:
        """Leave a record to be sent, and go on. False where it was dropped.

        Args:
            record: as `/v1/prompts` takes it; or a function that makes one (None: there is nothing to send), called by the thread.
            size: bytes it keeps alive; counted from its text where None.
        """
        if size is None:
            size = len(str(record.get("text", ""))) if isinstance(record, Mapping) else 0
        if not self._lock.acquire(timeout=ENQUEUE):
            self._put += 1
            self._dropped["busy"] += 1
            return False
        try:
            self._put += 1
            if reason := self._why_not(size):
                self._dropped[reason] += 1
                return False
            while self._queue and (len(self._queue) >= self._max_records or self._bytes + size > self._max_bytes):
                self._bytes -= self._queue.popleft()[1]
                self._dropped["full"] += 1
            self._queue.append((time.monotonic(), size, record))
            self._bytes += size
            return True
        finally:
            self._lock.release()

    def _why_not(self, size: int) -> str | None:
        if self._closing.is_set():
            return "closed"
        if size > self._max_bytes:
            return "too_large"
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="tiltmeter-tap", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                return "no_thread"
            self._thread = thread
        return None

    def count_drop(self, reason: str) -> None:
        """For taps: a prompt came by that could not even be put."""
        if self._lock.acquire(timeout=ENQUEUE):
            self._put += 1
            self._dropped[reason] += 1
            self._lock.release()

    def stats(self) -> Stats:
        """Counts since the process began."""
        with self._lock:
            return Stats(
                put=self._put,
                accepted=self._accepted,
                skipped=self._skipped,
                queued=len(self._queue),
                queued_bytes=self._bytes,
                sending=self._sending,
                retries=self._retries,
                dropped=dict(self._dropped),
                last_error=self._last_error,
                last_accepted=self._last_accepted,
            )

    def close(self, timeout: float = 5.0) -> Stats:
        """Take nothing more, send what waits if that takes no longer than so many seconds, and say what became of it.

        For a shutdown hook. Without it the thread dies with the process, and what waits is lost.
        """
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._lock:
            if self._queue:
                self._dropped["closed"] += len(self._queue)
            self._queue.clear()
            self._bytes = 0
        return self.stats()

    def _run(self) -> None:
        while True:
            last = self._closing.wait(self._linger)
            try:
                while self._send_some():
                    self._tell()
            except Exception as error:  # a mistake of ours must not end the thread
                with self._lock:
                    self._dropped["error"] += self._sending
                    self._sending = 0
                    self._last_error = type(error).__name__
            self._tell()
            if last:
                return self._hang_up()

    def _send_some(self) -> bool:
        """Send one batch, if anything waits."""
        with self._lock:
            taken = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            self._bytes -= sum(size for _, size, _ in taken)
            self._sending = len(taken)
        lines: list[bytes] = []
        length, oldest = 0, 0.0
        for at, _, record in taken:
            if time.monotonic() - at > self._keep:
                self._settle("late")
            elif line := self._line(record):
                if lines and length + len(line) > RECORD:
                    self.deliver(lines, oldest)
                    lines, length = [], 0
                oldest = oldest if lines else at
                lines.append(line)
                length += len(line)
        if lines:
            self.deliver(lines, oldest)
        return bool(taken)

    def _line(self, record: Record | Callable[[], Record | None]) -> bytes | None:
        try:
            made = record() if callable(record) else record
            if made is None:
                self._settle("")
                return None
            line = json.dumps(made).encode()
        except Exception:  # whatever an application hands over
            self._settle("unreadable")
            return None
        if len(line) > RECORD:
            self._settle("too_large")
            return None
        return line

    def _arrived(self, count: int) -> None:
        with self._lock:
            self._accepted += count
            self._sending -= count
            self._last_accepted = time.time()

    def _settle(self, dropped: str, count: int = 1) -> None:
        """Records that are no longer being sent, and why; an empty reason: there was nothing to send."""
        with self._lock:
            self._sending -= count
            if dropped:
                self._dropped[dropped] += count
            else:
                self._skipped += count

    def deliver(self, lines: list[bytes], oldest: float) -> None:
        """Post until it is counted, refused, or too old; the key stays the same as long as the lines do.

        Args:
            lines: records as JSON, at most 1 MB together.
            oldest: when the first was put, by the monotonic clock.
        """
        key, pause = uuid.uuid4().hex, 0.5
        while lines:
            answer = self._post(b"\n".join(lines), key)
            if answer.status == 200:
                return self._arrived(len(lines))
            with self._lock:
                self._last_error = f"{answer.status or 'no answer'} {answer.detail}".strip()
            if answer.status == 413 and len(lines) > 1:
                middle = len(lines) // 2
                self.deliver(lines[:middle], oldest)
                return self.deliver(lines[middle:], oldest)
            if answer.status in (400, 413, 415):
                # One record that cannot be read turns the post away, and is named: the others go again, as a new post.
                named = re.match(r"record (\d+):", answer.detail)
                gone = [int(named[1])] if named and int(named[1]) < len(lines) else range(len(lines))
                self._settle("refused", len(gone))
                lines, key = [line for i, line in enumerate(lines) if i not in gone], uuid.uuid4().hex
                continue
            delay = max(answer.retry_after, pause * random.uniform(0.5, 1.0))
            if self._closing.is_set() or time.monotonic() + delay - oldest > self._keep:
                return self._settle("closed" if self._closing.is_set() else "late", len(lines))
            with self._lock:
                self._retries += 1
            self._closing.wait(delay)
            pause = min(pause * 2, 15.0)

    def _post(self, body: bytes, key: str) -> _Answer:
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if time.monotonic() - self._used > IDLE:
            self._hang_up()
        connection = self._connection = self._connection or self._connect()
        # A socket's timeout begins again with every byte; the watchdog's does not.
        watchdog = threading.Timer(self._timeout, _cut, [connection])
        watchdog.daemon = True
        try:
            watchdog.start()
            connection.request("POST", f"{self._url.path.rstrip('/')}/v1/prompts", body, headers)
            response = connection.getresponse()
            told = response.read(2000)
            self._used = time.monotonic()
            if response.will_close or not response.isclosed():
                self._hang_up()
            after = response.headers.get("Retry-After", "")
            return _Answer(response.status, _detail(told), min(float(after), 30.0) if after.isdecimal() else 0.0)
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            self._hang_up()
            return _Answer(0, type(error).__name__)
        finally:
            watchdog.cancel()

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return kind(str(self._url.hostname), self._url.port, timeout=self._timeout)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self) -> None:
        """One line a minute in the log while prompts are being dropped; never a word of them."""
        now, dropped = time.monotonic(), sum(self._dropped.values())
        if dropped > self._told[1] and now - self._told[0] >= 60:
            log.warning("%d prompts not delivered to Tiltmeter so far: %s; last: %s", dropped, dict(self._dropped), self._last_error)
            self._told = now, dropped


def _begin_again(sender: "weakref.ref[Sender]") -> None:
    if (mine := sender()) is not None:
        mine._begin()


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _detail(body: bytes) -> str:
    """What Tiltmeter says is wrong; it names places and fields, never their content."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("detail", ""))[:200] if isinstance(found, dict) else ""
