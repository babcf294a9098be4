"""Prompts posted over HTTP: taken in by the event loop, counted by the pipeline, answered when the ledger holds them."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from service.config import HttpSource as HttpSettings
from service.config import Windows
from service.errors import ConfigError, Rewound, TiltmeterError
from service.records import Batch, Part, Partition, Progress, Prompt, Span
from service.source.decode import Decoder, Reason, Rejection

EPOCH_BITS = 40
"""A post's number is ``epoch << EPOCH_BITS`` plus its place among the posts of one process: a million a second for 12 days."""


class Ledger(Protocol):
    """A ledger that keeps input positions."""

    def positions(self) -> Mapping[Partition, int]:
        """Committed positions. Raises Unavailable."""
        ...

    def claim(self, partition: Partition, span: Span) -> None:
        """Move a position from the start to the stop of a span. Raises Rewound when it is not at the start, and Unavailable."""
        ...


class Full(TiltmeterError):
    """Too many prompts are waiting to be counted; ask again later."""


class Closed(TiltmeterError):
    """Nothing is taken in any more: the pipeline has ended."""


class TooMany(TiltmeterError):
    """One post holds more records than may ever wait; it has to be split."""


class BadRecord(TiltmeterError):
    """A record of a post cannot be decoded, so none of the post is counted. ``index`` counts from 0."""

    def __init__(self, index: int, rejection: Rejection) -> None:
        super().__init__(f"record {index}: {rejection.reason}: {rejection.detail}")
        self.index = index
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of a post: its records, how many of them came after their window closed, whether its key was known already."""

    counted: int
    late: int = 0
    duplicate: bool = False


@dataclass(slots=True)
class _Post:
    prompts: Sequence[Prompt]
    key: str | None
    received: float
    number: int
    answers: list[Future[Counted]]


class HttpSource:
    """A bounded queue between the event loop (:meth:`offer`) and the pipeline thread (everything else).

    A post waits until the ledger holds it, so an answer is a promise. Its number is its input position: after a flush whose
    outcome is unknown, :meth:`rewind` asks the ledger how far it got, answers what is counted and hands the rest over again.

    The numbers of a process begin at an epoch that no other has: it claims one in the ledger when it is made, and a process of the
    same name that is still there is fenced by that, as Kafka's transactional ids do. So a position is never taken for our own that
    somebody else has moved.

    Args:
        settings: bounds.
        decoder: used by :meth:`offer` only.
        windows: for the skew of progress and for what counts as late.
        instance: name of this process; positions are kept under ``http/<instance>``.
        ledger: where positions are; None for a ledger that keeps none (Kafka), where every post gets a key instead.
        clock: wall clock, seconds since 1970.
    """

    def __init__(
        self,
        settings: HttpSettings,
        decoder: Decoder,
        windows: Windows,
        *,
        instance: str,
        ledger: Ledger | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.partition: Partition = f"http/{instance}"
        self._instance = instance
        self._settings = settings
        self._decoder = decoder
        self._windows = windows
        self._ledger = ledger
        self._clock = clock
        self._changed = threading.Condition()
        self._canaries = 0
        self._queue: deque[_Post] = deque()
        self._flying: deque[_Post] = deque()
        self._waiting: dict[str, _Post] = {}
        self._receiving: dict[int, float] = {}
        self._prompts = 0
        self._reached = float("-inf")
        self._next = _claim_epoch(ledger, self.partition) if ledger is not None else 0
        self._epoch = self._next >> EPOCH_BITS
        self._over: Exception | None = None

    @property
    def waiting(self) -> int:
        """Prompts taken in and not yet counted."""
        return self._prompts

    @property
    def replaced_times(self) -> int:
        """Records whose own time was not believed."""
        return self._decoder.replaced_times

    def offer(self, records: Sequence[object], key: str | None = None) -> Future[Counted]:
        """Take in one post; the future is done when the ledger holds all of it. Safe to call from any thread.

        Our own probes are left out. Raises BadRecord, Full, TooMany or Closed; then none of the post is counted.
        """
        token = object()
        with self._changed:
            # From here on progress does not pass what this post may carry.
            received = self._receiving[id(token)] = self._clock()
        try:
            prompts = self._decode(records, received)
            with self._changed:
                return self._take(prompts, key, received)
        finally:
            with self._changed:
                del self._receiving[id(token)]

    def _decode(self, records: Sequence[object], received: float) -> list[Prompt]:
        if len(records) > self._settings.max_waiting:
            raise TooMany(f"{len(records)} records in one post; at most {self._settings.max_waiting} may wait: split it")
        prompts = []
        canaries = 0
        for index, record in enumerate(records):
            prompt = self._decoder.decode(record, received, f"{self.partition}@{uuid.uuid4().hex}")
            if isinstance(prompt, Prompt):
                prompts.append(prompt)
            elif prompt.reason is Reason.CANARY:
                # A gateway posts our own probes with the rest: it has done nothing wrong.
                canaries += 1
            else:
                raise BadRecord(index, prompt)
        with self._changed:
            self._canaries += canaries
        return prompts

    def _take(self, prompts: Sequence[Prompt], key: str | None, received: float) -> Future[Counted]:
        if self._over is not None:
            raise Closed("the pipeline has ended") from self._over
        answer: Future[Counted] = Future()
        # A client that hangs up does not undo its post.
        answer.set_running_or_notify_cancel()
        if not prompts:
            answer.set_result(Counted(0))
            return answer
        if key is not None and (same := self._waiting.get(key)):
            same.answers.append(answer)
            return answer
        if self._prompts + len(prompts) > self._settings.max_waiting:
            raise Full(f"{self._prompts} prompts are waiting to be counted")
        if key is None and self._ledger is None:
            key = f"post-{uuid.uuid4().hex}"
        post = _Post(prompts, key, received, self._next, [answer])
        self._next += 1
        if key is not None:
            self._waiting[key] = post
        self._prompts += len(prompts)
        self._queue.append(post)
        self._changed.notify_all()
        return answer

    def poll(self, limit: int, timeout: float) -> Batch:
        """Whole posts of at most ``limit`` prompts together, but at least one post where one waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._over, timeout)
            posts: list[_Post] = []
            size = 0
            while self._queue and (not posts or size + len(self._queue[0].prompts) <= limit):
                posts.append(self._queue.popleft())
                size += len(posts[-1].prompts)
            self._flying.extend(posts)
            progress = {self.partition: Progress(self._progress())}
            rejected = {Reason.CANARY.value: self._canaries} if self._canaries else {}
            self._canaries = 0
        prompts: list[Prompt] = []
        parts = []
        for post in posts:
            parts.append(Part(len(prompts), len(prompts) + len(post.prompts), post.key))
            prompts.extend(post.prompts)
        positions = {self.partition: Span(posts[0].number, posts[-1].number + 1)} if posts else {}
        return Batch(prompts, positions, progress, frozenset((self.partition,)), rejected, parts=parts, urgent=bool(posts))

    def _progress(self) -> float:
        """Nothing that is still to come is older than this: not what waits, not what is being read, not what is yet to be received."""
        oldest = min([self._clock(), *self._receiving.values(), *(post.received for post in self._queue)])
        self._reached = max(self._reached, oldest - self._windows.max_skew)
        return self._reached

    def rewind(self) -> None:
        """Answer what the ledger turned out to hold; everything else that was handed over is handed over again.

        Raises ConfigError when another process of this name has taken our place: what waits can only be failed.
        """
        done = 0 if self._ledger is None else self._ledger.positions().get(self.partition, 0)
        if done >> EPOCH_BITS != self._epoch:
            raise ConfigError(
                f"instance: another process named {self._instance} has taken over {self.partition} in this ledger, so this one ends; "
                "give every process a name of its own"
            )
        with self._changed:
            while self._flying and self._flying[0].number < done:
                self._answer(self._flying.popleft(), frozenset(), float("-inf"))
            self._queue.extendleft(reversed(self._flying))
            self._flying.clear()
            # What was told of them did not reach the ledger; they are older than it.
            self._reached = float("-inf")

    def committed(self, batch: Batch, repeats: frozenset[str] = frozenset(), watermark: float = float("-inf")) -> None:
        """Answer the posts of this batch.

        Args:
            batch: what the ledger holds now.
            repeats: keys that were known already; their posts were left out.
            watermark: event time up to which windows are closed, to tell how much came late.
        """
        span = batch.positions.get(self.partition)
        with self._changed:
            while span is not None and self._flying and self._flying[0].number < span.stop:
                self._answer(self._flying.popleft(), repeats, watermark)

    def _answer(self, post: _Post, repeats: frozenset[str], watermark: float) -> None:
        length, grace = self._windows.length, self._windows.grace
        late = sum(prompt.time // length * length + length + grace <= watermark for prompt in post.prompts)
        self._forget(post)
        for position, answer in enumerate(post.answers):
            duplicate = position > 0 or post.key in repeats
            answer.set_result(Counted(len(post.prompts), 0 if duplicate else late, duplicate))

    def _forget(self, post: _Post) -> None:
        self._prompts -= len(post.prompts)
        if post.key is not None:
            self._waiting.pop(post.key, None)

    def leave(self) -> Mapping[Partition, Progress]:
        """Take in nothing more; what was handed over may still be counted. Last progress: an idle partition holds no window open."""
        with self._changed:
            self._over = self._over or Closed("shutting down")
            self._give_up(self._queue)
            return {self.partition: Progress(self._reached, idle=True)}

    def fail(self, error: Exception) -> None:
        """Answer everything that waits with this error and take in nothing more. Whether it was counted is then unknown."""
        with self._changed:
            self._over = self._over or error
            self._give_up(self._flying)
            self._give_up(self._queue)
            self._changed.notify_all()

    def _give_up(self, posts: deque[_Post]) -> None:
        unknown = Closed("not known to be counted, the pipeline has ended: send it again with the same Idempotency-Key")
        while posts:
            post = posts.popleft()
            self._forget(post)
            for answer in post.answers:
                answer.set_exception(unknown)

    def close(self) -> None:
        """Take in nothing more."""
        self.fail(Closed("shutting down"))


def _claim_epoch(ledger: Ledger, partition: Partition) -> int:
    """First number of an epoch that is ours alone."""
    while True:
        held = ledger.positions().get(partition, 0)
        first = ((held >> EPOCH_BITS) + 1) << EPOCH_BITS
        try:
            ledger.claim(partition, Span(held, first))
        except Rewound:
            continue  # a process of our name moved it in between
        return first
