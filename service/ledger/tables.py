"""Tables of the SQL ledger, and how its engine is opened."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from service.errors import ConfigError
from service.ledger.contract import Unavailable, Unusable

SCHEMA = 1
"""Version of the tables; a database of another version is refused."""

_META = sa.MetaData()
# SQLite numbers rows by itself only in a column of type INTEGER.
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

LOG = sa.Table(
    "tiltmeter_log",
    _META,
    sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
    sa.Column("created", sa.Float(53), nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
POSITIONS = sa.Table(
    "tiltmeter_positions",
    _META,
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
KEYS = sa.Table(
    "tiltmeter_keys",
    _META,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("created", sa.Float(53), nullable=False, index=True),
)
CHECKPOINTS = sa.Table(
    "tiltmeter_checkpoints",
    _META,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("watermark", sa.Float(53)),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
# One row. The epoch grows with every new decider: whoever holds an older one is fenced.
DECIDER = sa.Table(
    "tiltmeter_decider",
    _META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

_JOURNAL_ROOM = 16 * 1024 * 1024
"""Bytes of a limited SQLite ledger that are left to its write-ahead log."""

_FULL = re.compile(r"database or disk is full", re.IGNORECASE)
_MAY_PASS = re.compile(r"database is locked|database table is locked|busy", re.IGNORECASE)


class Full(Unavailable):
    """A SQLite ledger has reached its limit: nothing can be appended until what has been judged is let go."""


class Database:
    """The ledger's database. It is connected to, and its tables are made, at the first use.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database; its password is never shown.
        durable: False leaves SQLite's writes to the operating system, for a private file that dies with the process (replay).
        limit: bytes at which a SQLite file stops to grow, its write-ahead log included; a full file then raises Full.

    Raises:
        ConfigError: a URL that cannot work.
    """

    def __init__(self, url: str, *, durable: bool = True, limit: int | None = None) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError("ledger.url: not a database URL; expected sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ConfigError(f"ledger.url: {backend} is not supported; expected sqlite or postgresql")
        self.postgresql = backend == "postgresql"
        self.engine = _postgresql(parsed) if self.postgresql else _sqlite(parsed, durable, limit)
        self._limit = limit
        self._made = False

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction, committed at the end. Raises as :meth:`translated`, and ConfigError for tables of another version."""
        with self.translated():
            self._make()
            with self.engine.begin() as connection:
                yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection for reading: on SQLite it neither takes nor waits for the write lock."""
        with self.translated():
            self._make()
            with self.engine.connect().execution_options(tiltmeter_read=True) as connection:
                yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's operational errors into Unavailable or Unusable; anything else is a bug and passes.

        Only the driver's own first line is kept: the statement's parameters stay out of logs.
        """
        try:
            yield
        except sa.exc.DBAPIError as error:
            if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError | sa.exc.DataError | sa.exc.NotSupportedError):
                raise
            line = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
            url = self.engine.url
            if self.postgresql:
                raise Unavailable(f"ledger {url.render_as_string(hide_password=True)}: {line}") from None
            if _MAY_PASS.search(line):
                raise Unavailable(f"ledger {url.database}: {line}") from None
            if self._limit is not None and _FULL.search(line):
                raise Full(f"ledger {url.database}: no room below ledger.max_bytes until more is judged or old keys expire") from None
            advice = "put this right (free space, permissions) and start again: what was acknowledged is kept"
            raise Unusable(f"ledger {url.database}: {line}; {advice}") from None

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    def _make(self) -> None:
        if not self._made:
            with self.engine.begin() as connection:
                _create(connection)
            self._made = True


def _sqlite(url: URL, durable: bool, limit: int | None) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("ledger.url: SQLite needs a file, expected sqlite:///FILE")
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise ConfigError(f"ledger.url: the folder {folder} does not exist")
    engine = sa.create_engine(url, connect_args={"timeout": 15, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        if limit is not None:
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA max_page_count={(limit - _JOURNAL_ROOM) // page}")
            connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_ROOM}")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A reader that turns into a writer half-way can fail with SQLITE_BUSY at once; so writers say so from the start.
        if not connection.get_execution_options().get("tiltmeter_read"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> sa.Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    alive = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}
    return sa.create_engine(url, pool_pre_ping=True, connect_args=alive)


def _create(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Two processes may start at once; CREATE TABLE IF NOT EXISTS alone races.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7461726469)"))
    _META.create_all(connection)
    schema = connection.scalar(sa.select(DECIDER.c.schema))
    if schema is None:
        connection.execute(sa.insert(DECIDER).values(id=1, schema=SCHEMA, epoch=0))
    elif schema != SCHEMA:
        raise ConfigError(f"ledger.url: the database has schema {schema}, this build needs {SCHEMA}")


def wait_for(condition: Callable[[], bool], timeout: float, pause: float) -> bool:
    """Try ``condition`` until it is true or ``timeout`` seconds have passed."""
    end = time.monotonic() + timeout
    while not condition():
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
    return True
