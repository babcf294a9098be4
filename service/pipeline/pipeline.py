"""The worker's loop: poll, score, sketch, flush.

Unflushed work is thrown away whole whenever the input may have changed hands or the outcome of a flush is unknown; the source then
goes back to what the ledger holds. Counting twice or losing a prompt would need a flush that half succeeds, and there is none.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from service import config
from service.errors import ConfigError, Rewound
from service.ledger.contract import Ledger, Unavailable
from service.ledger.watchdog import FLUSH_LIMIT, Watchdog
from service.metrics import Timing
from service.pipeline.pending import Pending
from service.pipeline.scoring import Scoring
from service.pipeline.snapshot import PipelineSnapshot
from service.records import Batch, Partition, Prompt, Scores

_log = logging.getLogger(__name__)

FLUSH_EVERY = 5.0
"""Seconds after which what is sketched is flushed."""
FLUSH_PROMPTS = 50_000
"""Prompts after which it is flushed earlier."""
HEARTBEAT = 15.0
"""Longest silence of a worker that has nothing to flush, in seconds; less with short windows, which would be long over before it."""
POLL_LIMIT = 8192
_POLL_TIMEOUT = 0.25
_WATERMARK_EVERY = 0.25
_RETRY = (0.5, 30.0)


class Source(Protocol):
    """Where prompts come from.

    May also have ``pause(partitions)``: hold back exactly these, until the next call; ``leave()``: take in nothing more, and tell the
    last progress of partitions that end with this process; and ``trouble``: why nothing can be read now.
    """

    def poll(self, limit: int, timeout: float) -> Batch:
        """Up to ``limit`` prompts, waiting up to ``timeout`` seconds. Raises Rewound after an assignment change, and Unavailable
        when it needs the ledger's positions and cannot have them."""
        ...

    def rewind(self) -> None:
        """Go back to what the ledger holds."""
        ...

    def committed(self, batch: Batch, repeats: frozenset[str], watermark: float) -> None:
        """The ledger holds this batch now (handed over without its prompts), but for the parts with these keys.

        ``watermark``: event time up to which windows are closed; what lies before is late."""
        ...

    def close(self) -> None:
        """Let go of the input."""
        ...


class Pipeline:
    """Sole user of its source, scoring and ledger, in one thread.

    Args:
        source: where prompts come from.
        ledger: where counts and positions go, together.
        scoring: what turns prompts into numbers.
        windows: lengths of windows, and how far a partition may run ahead.
        worker: name of this instance, in every report.
        observe: gets a new snapshot after every batch and flush.
        scored: gets every scored batch, before it is counted; a batch may come again after a rewind.
        canaries: target -> time of the newest of our own probes that came back here, for every report.
        clock, monotonic: wall clock and a clock for intervals, in seconds.
        flush_limit: seconds after which a flush that does not come back ends the process.
    """

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        scoring: Scoring,
        *,
        windows: config.Windows,
        worker: str,
        observe: Callable[[PipelineSnapshot], None] = lambda snapshot: None,
        scored: Callable[[Sequence[Prompt], Scores], None] = lambda prompts, scores: None,
        canaries: Callable[[], Mapping[str, float]] = dict,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        flush_limit: float = FLUSH_LIMIT,
    ) -> None:
        if windows.length < 1 or windows.length != int(windows.length):
            raise ConfigError(f"windows.length: {windows.length} s, expected whole seconds")
        self._source, self._ledger, self._scoring = source, ledger, scoring
        self._windows, self._worker = windows, worker
        self._observe, self._scored, self._clock, self._monotonic = observe, scored, clock, monotonic
        self._canaries = canaries
        self._heartbeat = min(HEARTBEAT, max(FLUSH_EVERY, windows.length))
        self._pending = Pending(windows.length)
        self._totals: Counter[tuple[str, str]] = Counter()
        self._rejected: Counter[str] = Counter()
        self._stages = dict.fromkeys(("poll", "score", "sketch", "flush"), Timing())
        self._repeats = self._rewinds = 0
        self._ledger_up = True
        self._last_flush: float | None = None
        self._flushed_at = self._marked_at = -math.inf
        self._watermark = -math.inf
        self._paused: frozenset[Partition] = frozenset()
        self._flags: dict[Partition, tuple[bool, bool]] = {}
        self._held: dict[Partition, int] = {}
        self._held_lease: object = None
        self._watchdog = Watchdog(flush_limit)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, then flush what is left. Any error that is not about the connection ends the loop."""
        pause = _RETRY[0]
        self._flushed_at = self._monotonic()
        with self._watchdog:
            while not stop.is_set():
                try:
                    self._step()
                    pause = _RETRY[0]
                except Rewound as reason:
                    _log.info("rewinding: %s", reason)
                    self._rewind(stop)
                except Unavailable as reason:
                    self._note_away(reason)
                    self._publish()
                    stop.wait(pause)
                    pause = min(2 * pause, _RETRY[1])
                    self._rewind(stop)
            self._last_words()

    def _step(self) -> None:
        """One poll, and a flush when it is due."""
        started = self._monotonic()
        limit = min(POLL_LIMIT, max(1, FLUSH_PROMPTS - self._pending.count))
        batch = self._source.poll(limit, self._timeout())
        self._time("poll", started)
        if batch.prompts:
            self._take(batch)
        else:
            self._pending.add(batch, None, self._scoring)
        self._rejected.update(batch.rejected)
        self._hold_back()
        if self._due():
            self._flush()
        self._publish()

    def _take(self, batch: Batch) -> None:
        started = self._monotonic()
        scores, second = self._scoring.score(batch.prompts), getattr(self._scoring, "shadow", None)
        shadow = (second.score(batch.prompts), second) if second else None
        started = self._time("score", started)
        self._scored(batch.prompts, scores)
        self._pending.add(batch, scores, self._scoring, shadow)
        self._time("sketch", started)

    def _timeout(self) -> float:
        """How long a poll may wait: never past the next flush."""
        if not self._pending.moved:
            return _POLL_TIMEOUT
        return min(_POLL_TIMEOUT, max(0.0, self._flushed_at + FLUSH_EVERY - self._monotonic()))

    def _due(self) -> bool:
        pending, waited = self._pending, self._monotonic() - self._flushed_at
        if pending.flags() != self._flags:
            # Assigned, idle or ended partitions are news that may close windows.
            return True
        if not pending.moved:
            return waited >= self._heartbeat
        # A paused partition waits for the decider, and the decider for this flush.
        return waited >= FLUSH_EVERY or pending.count >= FLUSH_PROMPTS or pending.urgent or bool(self._paused)

    def _flush(self) -> None:
        started, pending = self._monotonic(), self._pending
        # A partition that has not moved is reported at its last position, so that a reader that lost it is fenced here too: what it
        # says about idleness may be out of date. Only under the same lease is that position known to be ours.
        held = self._held if pending.lease == self._held_lease else {}
        report = replace(pending.report(self._worker, self._clock(), held), canaries=self._canaries())
        with self._watchdog.limit("flush"):
            repeats = self._ledger.append(pending.deltas(), report, pending.lease)
        self._held = held | {name: span.stop for name, span in report.positions.items()}
        self._held_lease = pending.lease
        self._flushed_at = self._time("flush", started)
        self._last_flush = self._clock()
        self._note_back()
        self._totals.update(pending.totals(repeats))
        self._repeats += pending.repeats + len(repeats)
        self._flags = pending.flags()
        self._pending = Pending(self._windows.length)
        self._pending.progress = pending.progress
        self._look_at_watermark()
        for batch in pending.batches:
            self._source.committed(batch, repeats, self._watermark)

    def _rewind(self, stop: threading.Event) -> None:
        """Drop what is unflushed and go back to what the ledger holds, however often that takes."""
        self._pending = Pending(self._windows.length)
        self._flags, self._held = {}, {}
        self._rewinds += 1
        pause = _RETRY[0]
        while True:
            try:
                self._source.rewind()
                break
            except Unavailable as reason:
                self._note_away(reason)
                if stop.wait(pause):
                    break
                pause = min(2 * pause, _RETRY[1])
        self._flushed_at = self._monotonic()
        self._publish()

    def _hold_back(self) -> None:
        """Pause partitions more than ``max_open`` windows ahead of the watermark, or of our slowest before there is one."""
        pause = getattr(self._source, "pause", None)
        if pause is None:
            return
        if self._monotonic() - self._marked_at >= _WATERMARK_EVERY:
            self._look_at_watermark()
        running = {name: p.time for name, p in self._pending.progress.items() if not (p.idle or p.ended) and math.isfinite(p.time)}
        behind = self._watermark if math.isfinite(self._watermark) else min(running.values(), default=-math.inf)
        limit = behind + self._windows.grace + self._windows.max_open * self._windows.length
        paused = frozenset(name for name, reached in running.items() if reached > limit)
        if paused != self._paused:
            pause(paused)
            self._paused = paused

    def _look_at_watermark(self) -> None:
        self._marked_at = self._monotonic()
        try:
            self._watermark = self._ledger.watermark()
        except Unavailable as reason:
            _log.debug("watermark unknown: %s", reason)

    def _note_away(self, reason: Unavailable) -> None:
        if self._ledger_up:
            _log.warning("%s; trying again until it is back", reason)
        self._ledger_up = False

    def _note_back(self) -> None:
        if not self._ledger_up:
            _log.info("the ledger is back")
        self._ledger_up = True

    def _last_words(self) -> None:
        """Flush what is left, and that no window need wait for us; what cannot be flushed is read again by whoever comes next."""
        leave = getattr(self._source, "leave", None)
        if leave is not None:
            self._pending.progress = leave()
        if self._pending.moved or leave is not None:
            try:
                self._flush()
            except (Rewound, Unavailable) as reason:
                _log.warning("last flush failed, its prompts will be read again: %s", reason)
        self._publish()

    def _time(self, stage: str, started: float) -> float:
        now = self._monotonic()
        self._stages[stage] = self._stages[stage].add(now - started)
        return now

    def _publish(self) -> None:
        by = {what: {model: n for (kind, model), n in self._totals.items() if kind == what} for what in ("prompts", "tokens", "truncated")}
        self._observe(
            PipelineSnapshot(
                prompts=by["prompts"],
                tokens=by["tokens"],
                truncated=by["truncated"],
                rejected=dict(self._rejected),
                stages=dict(self._stages),
                repeats=self._repeats,
                rewinds=self._rewinds,
                pending=self._pending.count,
                progress=dict(self._pending.progress),
                paused=self._paused,
                source_up=getattr(self._source, "trouble", None) is None,
                ledger_up=self._ledger_up,
                last_flush=self._last_flush,
                watermark=self._watermark,
            )
        )
