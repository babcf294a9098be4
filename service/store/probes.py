"""Canary probes in the history: graded answers as they come, rounds with their state, spend, fingerprints.

An answer is written before it is counted, and once: what was recorded when a process was killed is neither lost nor asked again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from service.records.probes import Counts, Print, ProbeResult, Round, Spent
from service.store.tables import PROBE_PRINTS, PROBE_RESULTS, PROBE_ROUNDS, PROBE_SPEND

State = Literal["open", "ended", "told", "manual"]

_ROWS = 500
_PRUNED = 2000  # rows of one transaction of pruning


class KeptRound(NamedTuple):
    """A round with what the runner must know of it: until when it may go on, and how far it has got."""

    round: Round
    deadline: float
    state: State


class ProbeHistory:
    """Reads and writes the tables of the probes. Safe to use from several threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, round: Round, deadline: float) -> bool:
        """Note that a round has begun; False when this id is there already."""
        with self._engine.begin() as connection:
            row = _round_row(round) | {"deadline": deadline, "state": "open"}
            statement = self._insert(PROBE_ROUNDS).on_conflict_do_nothing().returning(PROBE_ROUNDS.c.id)
            return connection.execute(statement, row).scalar() is not None

    def record(self, results: Sequence[ProbeResult], prints: Sequence[Print] = ()) -> None:
        """Write answers, all or none; one that is there stays as it is."""
        with self._engine.begin() as connection:
            for table, rows in ((PROBE_RESULTS, results), (PROBE_PRINTS, prints)):
                values = [asdict(row) for row in rows]
                for start in range(0, len(values), _ROWS):
                    connection.execute(self._insert(table).on_conflict_do_nothing(), values[start : start + _ROWS])

    def end(self, rounds: Sequence[Round], state: Literal["ended", "manual"], deadline: float) -> None:
        """Write what rounds came to."""
        statement = self._insert(PROBE_ROUNDS)
        keep = ("id",)
        statement = statement.on_conflict_do_update(
            index_elements=["id"], set_={each.name: statement.excluded[each.name] for each in PROBE_ROUNDS.columns if each.name not in keep}
        )
        with self._engine.begin() as connection:
            connection.execute(statement, [_round_row(each) | {"deadline": deadline, "state": state} for each in rounds])

    def tell(self, id: str) -> None:
        """Note that the decider has been told of a round."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(PROBE_ROUNDS).where(PROBE_ROUNDS.c.id == id).values(state="told"))

    def unfinished(self) -> list[KeptRound]:
        """Rounds that are open, or ended and not told, in the order of their schedule."""
        query = sa.select(PROBE_ROUNDS).where(PROBE_ROUNDS.c.state.in_(("open", "ended")))
        return self._rounds(query.order_by(PROBE_ROUNDS.c.scheduled, PROBE_ROUNDS.c.id))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that have begun."""
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(PROBE_ROUNDS.c.id).where(PROBE_ROUNDS.c.id.in_(ids))).scalars())

    def rounds(
        self, target: str | None = None, suite: str | None = None, since: float | None = None, limit: int = 100, key: str | None = None
    ) -> list[KeptRound]:
        """The newest rounds, oldest first."""
        table = PROBE_ROUNDS
        query = _equal(sa.select(table), table, target=target, suite=suite, key=key)
        if since is not None:
            query = query.where(table.c.scheduled >= since)
        return self._rounds(query.order_by(table.c.scheduled.desc(), table.c.id.desc()).limit(limit))[::-1]

    def results(
        self, round: str | None = None, target: str | None = None, suite: str | None = None, since: float | None = None, limit: int = 10_000
    ) -> list[ProbeResult]:
        """The newest answers, oldest first."""
        table = PROBE_RESULTS
        query = _equal(sa.select(table), table, round=round, target=target, suite=suite)
        if since is not None:
            query = query.where(table.c.time >= since)
        order = (table.c.time, table.c.item, table.c.variant, table.c.group, table.c.repeat, table.c.role)
        query = query.order_by(*(column.desc() for column in order)).limit(limit)
        with self._engine.connect() as connection:
            return [ProbeResult(**row) for row in connection.execute(query).mappings()][::-1]

    def record_counts(self, target: str, suite: str, key: str, fewest: int) -> Mapping[str, tuple[int, int]]:
        """Category -> answers and bad ones of the oldest complete rounds of a key, as many rounds as ``fewest`` answers need."""
        query = sa.select(PROBE_ROUNDS).where(PROBE_ROUNDS.c.complete.is_(True))
        query = _equal(query, PROBE_ROUNDS, target=target, suite=suite, key=key).order_by(PROBE_ROUNDS.c.scheduled)
        totals: dict[str, tuple[int, int]] = {}
        for kept in self._rounds(query.limit(fewest)):
            for category, counts in kept.round.counts.items():
                n, bad = totals.get(category, (0, 0))
                if n < fewest:
                    totals[category] = n + counts.n, bad + counts.bad
        return totals

    def prints(self, target: str, suite: str, since: float, limit: int, newest: bool = False) -> list[Print]:
        """Fingerprints of a target from a moment on, the first so many or the ``newest``; oldest first."""
        query = _equal(sa.select(PROBE_PRINTS), PROBE_PRINTS, target=target, suite=suite).where(PROBE_PRINTS.c.time >= since)
        order = [column.desc() if newest else column.asc() for column in (PROBE_PRINTS.c.time, PROBE_PRINTS.c.item, PROBE_PRINTS.c.repeat)]
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query.order_by(*order).limit(limit)).mappings()]
        found = [Print(**row | {"logprobs": tuple((str(token), float(value)) for token, value in row["logprobs"])}) for row in rows]
        return found[::-1] if newest else found

    def spent(self, day: int) -> dict[str, Spent]:
        """Endpoint -> what it has cost on a UTC day, counted from the epoch."""
        query = sa.select(PROBE_SPEND).where(PROBE_SPEND.c.day == day)
        with self._engine.connect() as connection:
            return {row.endpoint: Spent(row.calls, row.tokens, row.money) for row in connection.execute(query)}

    def spend(self, day: int, endpoint: str, spent: Spent) -> None:
        """Write what an endpoint has cost on a day so far."""
        statement = self._insert(PROBE_SPEND)
        statement = statement.on_conflict_do_update(
            index_elements=["day", "endpoint"], set_={name: statement.excluded[name] for name in Spent._fields}
        )
        with self._engine.begin() as connection:
            connection.execute(statement, {"day": day, "endpoint": endpoint, **spent._asdict()})

    def prune(self, before: float) -> Iterator[int]:
        """Delete answers, rounds and fingerprints older than ``before``, a few thousand in each transaction; yields the rows that went."""
        for table, column in ((PROBE_RESULTS, "time"), (PROBE_ROUNDS, "scheduled"), (PROBE_PRINTS, "time")):
            keys = [*table.primary_key]
            old = sa.select(*keys).where(table.c[column] < before).limit(_PRUNED)
            while True:
                with self._engine.begin() as connection:
                    gone = connection.execute(sa.delete(table).where(sa.tuple_(*keys).in_(old))).rowcount
                if gone:
                    yield gone
                if gone < _PRUNED:
                    break

    def _rounds(self, query: sa.Select[Any]) -> list[KeptRound]:
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [_kept(row) for row in rows]

    def _insert(self, table: sa.Table) -> Any:
        return (sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert)(table)


def _round_row(round: Round) -> dict[str, Any]:
    return asdict(round) | {"counts": {category: list(counts) for category, counts in round.counts.items()}}


def _kept(row: dict[str, Any]) -> KeptRound:
    deadline, state = row.pop("deadline"), row.pop("state")
    return KeptRound(Round(**row | {"counts": {category: Counts(*counts) for category, counts in row["counts"].items()}}), deadline, state)


def _equal(query: sa.Select[Any], table: sa.Table, **equal: str | None) -> sa.Select[Any]:
    for name, value in equal.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    return query
