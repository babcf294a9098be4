"""What the history keeps, and for how long: quiet slices by the hour, everything else until it is old.

Fifty slices write sixteen times as many rows as the model they belong to, nearly all of them to say that nothing happened.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa

from service.records import WHOLE, Verdict
from service.store.tables import VERDICTS, WINDOWS

HOUR = 3600

NEAR = 1.0
"""A slice whose evidence is within a factor of 10**NEAR of a ticket is no longer quiet."""

_KEYS = ("bundle", "model_name", "slice")
_SUMS = ("n", "strange", "far", "truncated", "tokens", "characters")
_TABLES = ("histogram", "topics", "lengths", "languages")


def is_kept(verdict: Verdict) -> bool:
    """Whether a verdict is written: all of a whole model and of probes; of a slice the first of an hour, those near a ticket, and while one
    is open.
    """
    first = verdict.window_start % HOUR < verdict.window_end - verdict.window_start
    near = verdict.log10_ticket_threshold - verdict.log10_ticket_evidence <= NEAR
    return verdict.slice == WHOLE or verdict.stream.startswith("probe") or first or near or verdict.state in ("ticket", "page")


def prune(engine: sa.Engine, before: float) -> Iterator[int]:
    """Delete verdicts and windows that start before ``before``, an hour of them in each transaction; yields the rows that went."""
    while (first := _first(engine)) is not None and first < before:
        upto = min(before, (first // HOUR + 1) * HOUR)
        with engine.begin() as connection:
            gone = sum(connection.execute(sa.delete(table).where(table.c.window_start < upto)).rowcount for table in (VERDICTS, WINDOWS))
        yield gone


def _first(engine: sa.Engine) -> float | None:
    with engine.connect() as connection:
        found = [connection.execute(sa.select(sa.func.min(table.c.window_start))).scalar() for table in (VERDICTS, WINDOWS)]
    return min((float(start) for start in found if start is not None), default=None)


def fold(engine: sa.Engine, since: float, before: float) -> Iterator[int]:
    """Sum the windows of slices by the hour, from ``since`` to the last hour that ends by ``before``; yields the rows that went.

    One transaction an hour: a process that ends in between has lost nothing and counted nothing twice.
    """
    until = before // HOUR * HOUR
    sliced = (WINDOWS.c.slice != WHOLE, WINDOWS.c.window_start < until)
    while True:
        finer = sa.select(sa.func.min(WINDOWS.c.window_start)).where(*sliced, WINDOWS.c.window_start >= since)
        with engine.connect() as connection:
            first = connection.execute(finer.where(WINDOWS.c.window_start % HOUR != 0)).scalar()
            if first is None:
                return
            hour = first // HOUR * HOUR
            within = (*sliced, WINDOWS.c.window_start >= hour, WINDOWS.c.window_start < hour + HOUR)
            rows = [dict(row) for row in connection.execute(sa.select(WINDOWS).where(*within)).mappings()]
        made = _summed(rows, hour)
        with engine.begin() as connection:
            connection.execute(sa.delete(WINDOWS).where(*within))
            connection.execute(sa.insert(WINDOWS), made)
        since = hour + HOUR
        yield len(rows) - len(made)


def _summed(rows: list[dict[str, Any]], hour: int) -> list[dict[str, Any]]:
    """One row for each bundle, model and slice; a table that some window does not have is not known of the hour."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in _KEYS), []).append(row)
    made = []
    for key, group in groups.items():
        one: dict[str, Any] = dict(zip(_KEYS, key, strict=True)) | {"window_start": hour}
        one |= {name: sum(row[name] for row in group) for name in _SUMS}
        for name in _TABLES:
            tables = [row[name] for row in group]
            same = all(table is not None for table in tables) and len({len(table) for table in tables}) == 1
            one[name] = np.sum(tables, axis=0).tolist() if same else None
        made.append(one)
    return made
