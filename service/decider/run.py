"""The decider's thread: acquire, restore, read, absorb, write the history, checkpoint, publish; and stand by when fenced."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from service.decider.closed import Closed
from service.decider.decider import Decider, UnknownState
from service.decider.snapshot import DeciderSnapshot
from service.decider.windows import LEASE
from service.errors import Fenced
from service.logging import fields
from service.metrics import Timing
from service.records import AuditEntry, Checkpoint, Entry

_log = logging.getLogger(__name__)

READ = 5_000
"""Entries absorbed between two looks at everything else."""

IDLE_CHECKPOINT = 30.0
"""A position that moved is checkpointed after this many seconds even when no window closed."""

PUBLISH = 0.5
"""Seconds between two pictures at least; with very many streams more, so that pictures take no more than a twentieth of the time."""

SPARE = 10.0
"""A checkpoint waits this many times as long as the last one took: a large state costs no more than a tenth of the time."""


class Journal(Protocol):
    """The decider's side of a ledger."""

    def acquire(self, timeout: float) -> bool:
        """Become the one active decider; False: still standby."""
        ...

    def restore(self) -> Checkpoint | None:
        """The last checkpoint."""
        ...

    def read(self, after: int, limit: int, timeout: float) -> Sequence[Entry]:
        """Entries from position ``after`` on. Raises Fenced."""
        ...

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the state. Raises Fenced."""
        ...

    def close(self) -> None:
        """Give the place to another decider."""
        ...


class Store(Protocol):
    """The history for people, as far as the decider writes it."""

    def upsert(self, steps: Sequence[Closed]) -> None:
        """Write steps; again is harmless."""
        ...


class DeciderLoop:
    """One decider over one journal.

    ``retry`` names the exceptions that mean "the ledger or the database does not answer". They, and a checkpoint of a version that this
    program does not read, are logged when they begin and when they end, shown as ``blind``, and tried again with growing pauses up to
    15 s. Anything else ends :meth:`run`, and with it the process: also a record of the log in a version that this program does not read.
    """

    def __init__(
        self,
        journal: Journal,
        decider: Decider,
        store: Store,
        clock: Callable[[], float],
        publish: Callable[[DeciderSnapshot], None],
        *,
        retry: tuple[type[Exception], ...] = (),
        checkpoint_every: float = 0.1,
    ) -> None:
        self._journal, self._decider, self._store, self._clock, self._publish = journal, decider, store, clock, publish
        self._retry: tuple[type[Exception], ...] = (UnknownState, *retry)
        self._lost: tuple[type[Exception], ...] = (Fenced, *retry)
        self._every = checkpoint_every
        self._stop = threading.Event()
        self._active = False
        self._away = ""
        self._pending: list[Closed] = []
        self._shown: tuple[int, float] | None = None
        self._fresh()

    def stop(self) -> None:
        """Let :meth:`run` return after the current step, with a last checkpoint. Any thread."""
        self._stop.set()

    def run(self) -> None:
        """Until :meth:`stop`; raises what is neither Fenced nor in ``retry``."""
        pause = 0.2
        try:
            while not self._stop.is_set():
                try:
                    self.step()
                    if self._away:
                        _log.info("decider goes on", extra=fields(after=self._away))
                    self._away, pause = "", 0.2
                except Fenced as fenced:
                    _log.warning("decider fenced, standing by", extra=fields(reason=str(fenced)))
                    self._active, self._shown = False, None
                except self._retry as error:
                    self._note_away(error)
                    self._stop.wait(pause)
                    pause = min(15.0, 2 * pause)
            self._finish()
        finally:
            self._journal.close()

    def step(self) -> None:
        """One round: as the active decider read and decide, else try to become it."""
        if self._active or self._take_over():
            self._decide()
        else:
            self._show_standby()

    def _take_over(self) -> bool:
        if not self._journal.acquire(1.0):
            return False
        saved = self._journal.restore()
        self._decider.restore(saved.state if saved else None)
        self._fresh()
        self._saved_position = self._decider.position
        self._active = True
        for note in self._decider.notes:
            _log.warning("bundle in force", extra=fields(note=note))
        _log.info("decider active", extra=fields(position=self._decider.position))
        return True

    def _fresh(self) -> None:
        """Forget what belonged to an earlier time as the active decider."""
        now = time.monotonic()
        self._pending.clear()
        self._heard = self._checkpointed = now
        self._published = -float("inf")
        self._took = self._cost = 0.0
        self._written: float | None = None
        self._shown = None
        self._saved_position = 0
        self._dirty = False
        self._closing, self._saving = Timing(), Timing()

    def _decide(self) -> None:
        if not self._pending:
            self._absorb()
        if self._pending:  # also what could not be written last time
            self._store.upsert(self._pending)
            self._pending = []
            self._dirty = True
        self._checkpoint_due()
        self._show()

    def _absorb(self) -> None:
        entries = self._journal.read(self._decider.position, READ, 0.25)
        began = time.perf_counter()
        if entries:
            self._heard = time.monotonic()
            self._decider.absorb(entries)
        # A slow read must not pass for a silent log: wall time counts only after a worker's lease of silence.
        silent = time.monotonic() - self._heard > LEASE
        self._pending.extend(self._decider.close_due(self._clock() if silent else None))
        if self._pending:
            self._closing = self._closing.add(time.perf_counter() - began)
        for entry in (entry for step in self._pending for entry in step.audit):
            _log_command(entry)

    def _checkpoint_due(self) -> None:
        since = time.monotonic() - self._checkpointed
        moved = self._decider.position != self._saved_position
        if (self._dirty and since >= max(self._every, SPARE * self._cost)) or (moved and since >= IDLE_CHECKPOINT):
            self._checkpoint()

    def _checkpoint(self) -> None:
        began = time.perf_counter()
        decider = self._decider
        self._journal.checkpoint(Checkpoint(decider.position, decider.watermark, decider.snapshot()))
        self._cost = time.perf_counter() - began
        self._saving = self._saving.add(self._cost)
        self._saved_position, self._dirty = decider.position, False
        self._checkpointed, self._written = time.monotonic(), self._clock()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._published >= max(PUBLISH, 20 * self._took):
            self._published = now
            blind = [self._away] if self._away else []
            picture = self._decider.picture(active=True, now=self._clock(), checkpointed=self._written, blind=blind)
            self._took = time.monotonic() - now
            self._publish(replace(picture, closing=self._closing, saving=self._saving))

    def _show_standby(self) -> None:
        """What the active decider saw at its last checkpoint."""
        saved = self._journal.restore()
        if saved is None or (saved.position, saved.watermark) != self._shown:
            self._decider.restore(saved.state if saved else None)
            self._decider.close_due(None)
            self._shown = (saved.position, saved.watermark) if saved else None
        self._publish(self._decider.picture(active=False, now=self._clock()))

    def _note_away(self, error: Exception) -> None:
        self._heard = time.monotonic()  # what comes after an outage was not silence
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]  # without the statement of a database error
        if not self._away:
            _log.warning("decider cannot go on, trying again", extra=fields(error=type(error).__name__, reason=reason))
        self._away = reason
        self._publish(self._decider.picture(active=self._active, now=self._clock(), checkpointed=self._written, blind=[self._away]))

    def _finish(self) -> None:
        """The last word before leaving: what is decided is written, and the next decider goes on from here."""
        if not self._active:
            return
        try:
            self._decide()
            if self._decider.position != self._saved_position or self._dirty:
                self._checkpoint()
        except self._lost as error:
            _log.warning("no last checkpoint, the next decider repeats the newest steps", extra=fields(reason=str(error)))


def _log_command(entry: AuditEntry) -> None:
    """Who asked for what, of which model or incident, why, and what became of it."""
    asked = {name: entry.arguments[name] for name in ("model", "incident", "verdict", "reason", "source") if entry.arguments.get(name)}
    told = fields(command=entry.kind, actor=entry.actor, **asked, outcome=entry.outcome)
    if entry.outcome.startswith("refused"):
        _log.warning("command refused", extra=told)
    else:
        _log.info("command applied", extra=told)
