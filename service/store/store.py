"""Upserts and queries on the history; SQLite or PostgreSQL, whichever the URL says."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from detectors.sketch import Sketch
from service.errors import ConfigError
from service.records import AuditEntry, BaselineEntry, DeltaKey, Incident, Verdict
from service.store import retention
from service.store.probes import ProbeHistory
from service.store.rows import Example, Step, WindowRow
from service.store.tables import AUDIT, BASELINES, EXAMPLES, INCIDENTS, METADATA, VERDICTS, WINDOWS

_ROWS = 500


class Store:
    """The history. One instance may be used from several threads: every call takes a connection of its own from the pool.

    ``probes``: what the canaries answered.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        METADATA.create_all(engine)
        _add_columns(engine)
        _add_slice(engine)
        self.probes = ProbeHistory(engine)

    @classmethod
    def open(cls, url: str, password: str | None = None) -> "Store":
        """Connect and make the tables.

        Raises:
            ConfigError: not a URL of SQLite or PostgreSQL, or its directory is missing.
            sqlalchemy.exc.OperationalError: the database does not answer, or the file cannot be written.
        """
        try:
            address = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError("store: expected an SQLAlchemy URL such as sqlite:///tiltmeter-history.db") from None
        backend = address.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ConfigError(f"store: expected a sqlite or postgresql URL, got {backend}")
        if backend == "postgresql":
            address = address.set(drivername="postgresql+psycopg", password=password or address.password)
        elif address.database and address.database != ":memory:" and not Path(address.database).absolute().parent.is_dir():
            raise ConfigError(f"store: the directory of {address.database} does not exist")
        engine = sa.create_engine(address, pool_pre_ping=True, hide_parameters=True)
        if backend == "sqlite":
            sa.event.listen(engine, "connect", _tune)
        return cls(engine)

    def upsert(self, steps: Sequence[Step]) -> None:
        """Write what the decider decided, all of it or nothing; again is harmless. About 60 microseconds a row on SQLite.

        Of quiet slices a verdict an hour is written; see :func:`service.store.retention.is_kept`.
        """
        rows = {
            VERDICTS: [_finite(asdict(verdict)) for step in steps for verdict in step.verdicts if retention.is_kept(verdict)],
            WINDOWS: [_window(key, sketch) for step in steps for key, sketch in step.sketches.items()],
            INCIDENTS: [_finite(asdict(incident)) for step in steps for incident in step.incidents],
            BASELINES: [asdict(row) for step in steps for row in step.baselines],
            AUDIT: [asdict(row) for step in steps for row in step.audit],
        }
        if not any(rows.values()):
            return
        with self._engine.begin() as connection:
            for table, values in rows.items():
                self._write(connection, table, values)

    def verdicts(
        self, model: str | None = None, stream: str | None = None, since: float | None = None, limit: int = 1000, slice: str | None = None
    ) -> list[Verdict]:
        """The newest verdicts, oldest first; ``since``: windows that start then or later. ``slice``: as in :meth:`windows`."""
        query = sa.select(VERDICTS).order_by(VERDICTS.c.window_start.desc(), VERDICTS.c.model_name, VERDICTS.c.slice, VERDICTS.c.stream)
        query = _where(query, VERDICTS, since, model_name=model, stream=stream, slice=slice)
        return [Verdict(**_infinite(row, "log10_threshold", "log10_ticket_threshold")) for row in reversed(self._rows(query, limit))]

    def windows(
        self, model: str | None = None, slice: str | None = None, since: float | None = None, limit: int = 1000, bundle: str | None = None
    ) -> list[WindowRow]:
        """The newest closed windows, oldest first. ``slice=""`` is the model as a whole, None every slice."""
        query = sa.select(WINDOWS).order_by(WINDOWS.c.window_start.desc(), WINDOWS.c.model_name, WINDOWS.c.slice, WINDOWS.c.bundle)
        query = _where(query, WINDOWS, since, model_name=model, slice=slice, bundle=bundle)
        return [WindowRow(**row) for row in reversed(self._rows(query, limit))]

    def period(self, model: str, slice: str, since: float, until: float) -> Iterator[WindowRow]:
        """Every window that starts in [since, until), of whichever bundle, in the order of time; read piece by piece."""
        query = sa.select(WINDOWS).where(WINDOWS.c.window_start < until).order_by(WINDOWS.c.window_start, WINDOWS.c.bundle)
        query = _where(query, WINDOWS, since, model_name=model, slice=slice)
        with self._engine.connect().execution_options(yield_per=_ROWS) as connection:
            for row in connection.execute(query).mappings():
                yield WindowRow(**row)

    def incidents(
        self,
        open_only: bool = False,
        model: str | None = None,
        limit: int = 100,
        stream: str | None = None,
        slice: str | None = None,
    ) -> list[Incident]:
        """Incidents, newest first. ``slice``: as in :meth:`windows`."""
        query = sa.select(INCIDENTS).order_by(INCIDENTS.c.opened.desc(), INCIDENTS.c.id)
        query = _where(query, INCIDENTS, None, model_name=model, stream=stream, slice=slice)
        if open_only:
            query = query.where(INCIDENTS.c.closed.is_(None))
        return [_incident(row) for row in self._rows(query, limit)]

    def incident(self, id: str) -> Incident | None:
        """One incident by id."""
        rows = self._rows(sa.select(INCIDENTS).where(INCIDENTS.c.id == id), 1)
        return _incident(rows[0]) if rows else None

    def baselines(self, model: str | None = None, limit: int = 100) -> list[BaselineEntry]:
        """Every baseline ever accepted, newest first."""
        query = _where(sa.select(BASELINES).order_by(BASELINES.c.accepted.desc(), BASELINES.c.flag), BASELINES, None, model_name=model)
        return [BaselineEntry(**row) for row in self._rows(query, limit)]

    def audit(self, limit: int = 100, kinds: Sequence[str] = (), model: str | None = None) -> list[AuditEntry]:
        """Commands and what became of them, newest first; of these kinds, and about this model."""
        query = sa.select(AUDIT).order_by(AUDIT.c.time.desc(), AUDIT.c.id)
        if kinds:
            query = query.where(AUDIT.c.kind.in_(kinds))
        if model is not None:
            query = query.where(AUDIT.c.arguments["model"].as_string() == model)
        return [AuditEntry(**row) for row in self._rows(query, limit)]

    def prune(self, before: float) -> Iterator[int]:
        """Delete verdicts, windows and answers to probes from before ``before``; one short transaction for each step taken."""
        yield from retention.prune(self._engine, before)
        yield from self.probes.prune(before)

    def fold(self, since: float, before: float) -> Iterator[int]:
        """Sum the windows of slices in [since, before) by the hour; one short transaction for each step taken."""
        return retention.fold(self._engine, since, before)

    def keep(self, examples: Sequence[Example]) -> None:
        """Keep redacted texts; an equal text of a model replaces the one that is there."""
        if examples:
            with self._engine.begin() as connection:
                self._write(connection, EXAMPLES, [asdict(example) for example in {(e.model_name, e.digest): e for e in examples}.values()])

    def examples(
        self,
        model: str,
        since: float,
        until: float,
        stored_after: float,
        limit: int,
        *,
        slice: str | None = None,
        topics: Sequence[int] | None = None,
    ) -> list[Example]:
        """Kept texts of prompts in [since, until), the strangest first, then the newest; none that was kept before ``stored_after``.

        ``slice`` None and ``topics`` None: of any.
        """
        query = sa.select(EXAMPLES).order_by(EXAMPLES.c.p_value, EXAMPLES.c.time.desc(), EXAMPLES.c.digest)
        query = query.where(EXAMPLES.c.model_name == model, EXAMPLES.c.time >= since, EXAMPLES.c.time < until)
        query = _where(query, EXAMPLES, None, slice=slice)
        if topics is not None:
            query = query.where(EXAMPLES.c.topic.in_(topics))
        return [Example(**row) for row in self._rows(query.where(EXAMPLES.c.stored >= stored_after), limit)]

    def forget(self, before: float) -> int:
        """Delete texts kept before ``before``; how many went."""
        with self._engine.begin() as connection:
            return connection.execute(sa.delete(EXAMPLES).where(EXAMPLES.c.stored < before)).rowcount

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _rows(self, query: sa.Select[Any], limit: int) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]

    def _write(self, connection: sa.Connection, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
        insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        keys = [column.name for column in table.primary_key]
        statement: Any = insert(table)
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
        )
        for start in range(0, len(values), _ROWS):
            connection.execute(statement, values[start : start + _ROWS])


def _add_slice(engine: sa.Engine) -> None:
    """A history of an earlier version has incidents without a slice."""
    if any(column["name"] == "slice" for column in sa.inspect(engine).get_columns(INCIDENTS.name)):
        return
    absent = "" if engine.dialect.name == "sqlite" else "IF NOT EXISTS "
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {INCIDENTS.name} ADD COLUMN {absent}slice VARCHAR DEFAULT '' NOT NULL"))


def _tune(connection: Any, _: Any) -> None:
    """Readers do not wait for the writer; a lost last second is only history; what is deleted is overwritten."""
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 10000", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _add_columns(engine: sa.Engine) -> None:
    """Give tables of an older history the columns that came since. Another process may be doing the same."""
    inspector = sa.inspect(engine)
    for table in METADATA.sorted_tables:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name in there:
                continue
            kind = column.type.compile(engine.dialect)
            exists = "IF NOT EXISTS " if engine.dialect.name == "postgresql" else ""
            try:
                with engine.begin() as connection:
                    connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {exists}{column.name} {kind}"))
            except sa.exc.OperationalError as error:
                if "duplicate column" not in str(error.orig):
                    raise


def _where(query: sa.Select[Any], table: sa.Table, since: float | None, **equal: str | None) -> sa.Select[Any]:
    for name, value in equal.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    return query if since is None else query.where(table.c.window_start >= since)


def _incident(row: Mapping[str, Any]) -> Incident:
    """One written before incidents had a kind is of drift."""
    return Incident(**{**row, "kind": row["kind"] or "drift"})


def _window(key: DeltaKey, sketch: Sketch) -> dict[str, Any]:
    return {
        "bundle": key.bundle,
        "model_name": key.model_name,
        "slice": key.slice,
        "window_start": key.window,
        "n": int(sketch.n),
        "strange": int(sketch.strange),
        "far": int(sketch.far),
        "truncated": int(sketch.truncated),
        "tokens": int(sketch.tokens),
        "characters": int(sketch.characters),
        "histogram": sketch.histogram.tolist(),
        "topics": sketch.topics.tolist(),
        "lengths": sketch.lengths.tolist(),
        "languages": sketch.languages.tolist(),
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """SQL has no infinity that every database reads: a level that is never reached has no threshold."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()}


def _infinite(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return row | {name: math.inf for name in names if row[name] is None}
