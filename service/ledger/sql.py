"""The ledger in one SQL database: SQLite for one process, PostgreSQL for many.

One append is one transaction: a log row that packs its entries, input positions and idempotency keys. Positions are moved with
``UPDATE ... WHERE position = from``; one row that does not match aborts everything, so that a stalled reader of the same input is
fenced whatever its source is. On PostgreSQL appends take one advisory lock first, because a sequence hands out numbers in the order
of asking and not of committing: without it a reader would pass a row that is not committed yet, and never see it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from service.errors import Rewound
from service.ledger import wire
from service.ledger.contract import KEY_RETENTION
from service.ledger.tables import CHECKPOINTS, KEYS, LOG, POSITIONS, Database, Full
from service.logging import fields
from service.records import Command, Deltas, Partition, Report, Span

_log = logging.getLogger(__name__)

_PRUNE_EVERY = 600.0


class SqlLedger:
    """The worker's side; see :class:`service.ledger.contract.Ledger`. An append of 100 deltas takes about 5 ms on SQLite."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._pruned = -float("inf")

    @classmethod
    def open(cls, url: str, *, durable: bool = True, limit: int | None = None) -> "SqlLedger":
        """A ledger of its own; raises as :class:`service.ledger.tables.Database`. Connects at the first use.

        ``limit``: bytes of a SQLite file. Appends stop an eighth before it, so that the decider can always write its checkpoint.
        """
        return cls(Database(url, durable=durable, limit=None if limit is None else limit - limit // 8))

    def append(self, parts: Sequence[Deltas], report: Report, lease: Any = None) -> frozenset[str]:
        """See the contract. ``lease`` is not needed: the positions fence by themselves."""
        try:
            return self._append(parts, report)
        except Full:
            self._make_room()
            raise

    def _append(self, parts: Sequence[Deltas], report: Report) -> frozenset[str]:
        now = self._clock()
        with self._database.transaction() as connection:
            _serialise(connection)
            self._prune(connection, now)
            repeats = _claim(connection, [part.key for part in parts if part.key is not None], now)
            for partition, span in report.positions.items():
                _move(connection, partition, span)
            _write(connection, wire.append(parts, report, repeats), now)
        return repeats

    def positions(self) -> Mapping[Partition, int]:
        """See the contract."""
        with self._database.snapshot() as connection:
            return {row.partition: row.position for row in connection.execute(sa.select(POSITIONS))}

    def claim(self, partition: Partition, span: Span) -> None:
        """Move one position alone; see :class:`service.source.http.HttpSource`. Raises Rewound when it is not at ``span.start``."""
        with self._database.transaction() as connection:
            _serialise(connection)
            _move(connection, partition, span)

    def submit(self, command: Command) -> None:
        """See the contract."""
        now = self._clock()
        with self._database.transaction() as connection:
            _serialise(connection)
            if not _claim(connection, [f"command/{command.id}"], now):
                _write(connection, [wire.encode(command)], now)

    def watermark(self) -> float:
        """See the contract. One primary-key look-up; the last known value is not kept when the database is away."""
        query = sa.select(CHECKPOINTS.c.watermark).where(CHECKPOINTS.c.version == wire.VERSION)
        with self._database.snapshot() as connection:
            watermark = connection.scalar(query)
        return -float("inf") if watermark is None else float(watermark)

    def close(self) -> None:
        """Close all pooled connections."""
        self._database.close()

    def _make_room(self) -> None:
        """Forget what lies below the checkpoint however young it is: the next attempt may find room."""
        with self._database.transaction() as connection:
            gone = connection.execute(sa.delete(LOG).where(LOG.c.seq < _judged())).rowcount
        if gone:
            _log.info("the ledger was full, so what has been judged was let go early", extra=fields(rows=gone))

    def _prune(self, connection: sa.Connection, now: float) -> None:
        """Forget keys after 24 h, and log rows below the checkpoint after 24 h."""
        if now - self._pruned < _PRUNE_EVERY:
            return
        self._pruned = now
        connection.execute(sa.delete(KEYS).where(KEYS.c.created < now - KEY_RETENTION))
        connection.execute(sa.delete(LOG).where(LOG.c.seq < _judged(), LOG.c.created < now - KEY_RETENTION))


def _judged() -> sa.ColumnElement[int]:
    """Row of the log below which no decider reads again."""
    return sa.select(sa.func.coalesce(sa.func.min(CHECKPOINTS.c.position), 0)).scalar_subquery() // wire.BLOCK_ENTRIES


def _write(connection: sa.Connection, bodies: Sequence[bytes], now: float) -> None:
    for block in wire.blocks(bodies):
        connection.execute(sa.insert(LOG).values(created=now, body=block))


def _serialise(connection: sa.Connection) -> None:
    """One appender at a time, until commit. SQLite's BEGIN IMMEDIATE has done it already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(CAST(CAST('tiltmeter_log' AS regclass) AS oid)::bigint)"))


def _claim(connection: sa.Connection, keys: Sequence[str], now: float) -> frozenset[str]:
    """Remember the keys that are new; return those that are not. A key older than 24 h counts as new."""
    if not keys:
        return frozenset()
    query = sa.select(KEYS.c.key).where(KEYS.c.key.in_(keys), KEYS.c.created >= now - KEY_RETENTION)
    known = set(connection.scalars(query))
    fresh = [key for key in dict.fromkeys(keys) if key not in known]
    if fresh:
        connection.execute(sa.delete(KEYS).where(KEYS.c.key.in_(fresh)))
        connection.execute(sa.insert(KEYS), [{"key": key, "created": now} for key in fresh])
    return frozenset(known)


def _move(connection: sa.Connection, partition: Partition, span: Span) -> None:
    moved = sa.update(POSITIONS).where(POSITIONS.c.partition == partition, POSITIONS.c.position == span.start).values(position=span.stop)
    if connection.execute(moved).rowcount == 1:
        return
    held = connection.scalar(sa.select(POSITIONS.c.position).where(POSITIONS.c.partition == partition))
    if held is not None:
        raise Rewound(f"{partition}: the ledger is at {held}, this flush begins at {span.start}")
    connection.execute(sa.insert(POSITIONS).values(partition=partition, position=span.stop))
