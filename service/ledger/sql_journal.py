"""The decider's side of the SQL ledger.

Who decides is settled twice. A lock says who may start: on PostgreSQL a session advisory lock, which the server lets go of when the
connection breaks; on SQLite a lock of the operating system on a file beside the database, let go of when the process ends. An
epoch, one higher with every new decider and checked in the checkpoint's transaction, says who may still write: a decider that was
frozen past its lock is fenced.
"""

import fcntl
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import IO

import sqlalchemy as sa

from service.errors import Fenced
from service.ledger import wire
from service.ledger.contract import Unavailable, UnknownVersion
from service.ledger.tables import CHECKPOINTS, DECIDER, LOG, Database, wait_for
from service.ledger.watchdog import Watchdog
from service.records import Checkpoint, Entry

_log = logging.getLogger(__name__)

_LOCK = "CAST(CAST('tiltmeter_log' AS regclass) AS oid)::bigint + 1099511627776"
_POLL = 0.1


class SqlJournal:
    """See :class:`service.ledger.contract.Journal`. Waiting looks at the log every 0.1 s: one query, about 0.2 ms on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock: IO[bytes] | sa.Connection | None = None
        self._epoch = 0
        self._watchdog: Watchdog | None = None

    @classmethod
    def open(cls, url: str, *, durable: bool = True, limit: int | None = None) -> "SqlJournal":
        """A journal of its own; raises as :class:`service.ledger.tables.Database`. Connects at the first use."""
        return cls(Database(url, durable=durable, limit=limit))

    def acquire(self, timeout: float) -> bool:
        """See the contract. A database that is away leaves us standby; whoever reads on is told."""
        try:
            if self._lock is None and not wait_for(self._try_lock, timeout, _POLL):
                return False
            with self._database.transaction() as connection:
                connection.execute(sa.update(DECIDER).values(epoch=DECIDER.c.epoch + 1))
                self._epoch = connection.scalar(sa.select(DECIDER.c.epoch)) or 0
        except Unavailable as error:
            _log.debug("ledger unavailable, decider stays standby: %s", error)
            self._release()
            time.sleep(timeout)
            return False
        return True

    def restore(self) -> Checkpoint | None:
        """See the contract."""
        with self._database.snapshot() as connection:
            rows = {row.version: row for row in connection.execute(sa.select(CHECKPOINTS))}
        if not rows:
            return None
        version = max(wire.READABLE & rows.keys(), default=None)
        if version is None:
            raise UnknownVersion(f"checkpoint of version {max(rows)}; this build reads {sorted(wire.READABLE)}: upgrade the decider")
        row = rows[version]
        return Checkpoint(row.position, -float("inf") if row.watermark is None else row.watermark, bytes(row.state))

    def read(self, after: int, limit: int, timeout: float) -> Sequence[Entry]:
        """See the contract."""
        entries: list[Entry] = []

        def some() -> bool:
            entries.extend(self._entries(after, limit))
            return bool(entries)

        wait_for(some, timeout, _POLL)
        return entries

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See the contract."""
        watermark = None if checkpoint.watermark == -float("inf") else checkpoint.watermark
        values = {"position": checkpoint.position, "watermark": watermark, "state": checkpoint.state}
        with self._watched("checkpoint"), self._database.transaction() as connection:
            # A row lock on the epoch until commit: a new decider's acquire waits for us or is seen here.
            held = connection.execute(sa.update(DECIDER).where(DECIDER.c.epoch == self._epoch).values(epoch=self._epoch)).rowcount
            if self._lock is None or held != 1:
                raise Fenced("another decider has taken over")
            if connection.execute(sa.update(CHECKPOINTS).where(CHECKPOINTS.c.version == wire.VERSION).values(**values)).rowcount == 0:
                connection.execute(sa.insert(CHECKPOINTS).values(version=wire.VERSION, **values))

    def close(self) -> None:
        """See the contract."""
        self._release()
        self._database.close()
        if self._watchdog is not None:
            self._watchdog.__exit__()
            self._watchdog = None

    def _entries(self, after: int, limit: int) -> list[Entry]:
        first = after // wire.BLOCK_ENTRIES
        query = sa.select(LOG.c.seq, LOG.c.body).where(LOG.c.seq >= first).order_by(LOG.c.seq).limit(max(2, min(limit, 200)))
        entries: list[Entry] = []
        for seq, block in self._rows(query):
            entries.extend(wire.entries(seq, block, after))
            if len(entries) >= limit:
                break
        return entries[:limit]

    def _rows(self, query: sa.Select[int, bytes]) -> Sequence[sa.Row[int, bytes]]:
        if self._lock is None:
            raise Fenced("this decider is standby")
        if not isinstance(self._lock, sa.Connection):
            with self._database.snapshot() as connection:
                self._check(connection)
                return connection.execute(query).all()
        try:
            # On the connection that holds the lock: if it answers, the lock is ours.
            with self._watched("reading the log"), self._database.translated():
                return self._lock.execute(query).all()
        except Unavailable as error:
            self._release()
            raise Fenced(f"the connection that held the decider's lock is gone: {error}") from None

    def _watched(self, what: str) -> AbstractContextManager[None]:
        """A server that is there but does not answer would be waited for without limit."""
        if not self._database.postgresql:
            return nullcontext()
        if self._watchdog is None:
            self._watchdog = Watchdog().__enter__()
        return self._watchdog.limit(what)

    def _check(self, connection: sa.Connection) -> None:
        if connection.scalar(sa.select(DECIDER.c.epoch)) != self._epoch:
            self._release()
            raise Fenced("another decider has taken over")

    def _try_lock(self) -> bool:
        self._lock = self._lock_session() if self._database.postgresql else self._lock_file()
        return self._lock is not None

    def _lock_file(self) -> IO[bytes] | None:
        # Held open until released: the lock belongs to the open file.
        file = open(f"{self._database.engine.url.database}.decider.lock", "ab")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def _lock_session(self) -> sa.Connection | None:
        with self._database.snapshot():
            pass  # the lock is named after a table, which has to be there
        with self._database.translated():
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.scalar(sa.text(f"SELECT pg_try_advisory_lock({_LOCK})")):
                return connection
            connection.close()
        return None

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if isinstance(lock, sa.Connection):
            # Not back to the pool: the server lets go of the lock with the session.
            with suppress(sa.exc.SQLAlchemyError):
                lock.invalidate()
            with suppress(sa.exc.SQLAlchemyError):
                lock.close()
        elif lock is not None:
            lock.close()
