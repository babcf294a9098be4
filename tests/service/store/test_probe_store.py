"""Answers and rounds of probes in the history, on SQLite and on a real PostgreSQL server."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from probe_rows import exercise, fingerprint, result, round_
from service.records.probes import Spent
from service.store import ProbeHistory, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/history.db")
    yield opened
    opened.close()


def test_what_was_recorded_stays_and_is_found(store: Store) -> None:
    found = exercise(store)
    begun, again, answers, unfinished = found[:4]
    assert (begun, again) == (True, False)
    assert [(row.item, row.outcome, row.output) for row in answers] == [
        ("q1", "pass", "größe"),
        ("q2", "pass", "größe"),
        ("q3", "pass", "größe"),
    ]
    assert answers[0] == result("q1")
    assert [(kept.state, kept.deadline, kept.round.complete) for kept in unfinished] == [("open", 50.0, False)]
    left, known, newest, record, none = found[4:9]
    assert [(kept.round.id, kept.state) for kept in left] == [("bot/live/p/s/1#m2", "ended")]
    assert known == {"bot/live/p/s/1"}
    assert [kept.round for kept in newest] == [round_(number) for number in (27, 28, 29)]
    assert (record, none) == ({"sums": (400, 20)}, {})
    spent, nothing, first, last, later = found[9:14]
    assert (spent, nothing) == ({"targets.live": Spent(4, 120, 0.75)}, {})
    assert [(each.round, each.item) for each in first] == [("r1", "q1"), ("r1", "q2")]
    assert (last, later) == ([fingerprint("r2")], [])
    pruned, rounds, rest, answers_left, rounds_left = found[14:]
    assert (rounds, answers_left, rounds_left) == (20, 0, [])
    assert pruned + rest == 30 + 3 + 3


def test_many_old_rows_go_in_small_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.store import probes

    monkeypatch.setattr(probes, "_PRUNED", 10)
    store.probes.record([result(f"q{i}") for i in range(25)])
    assert list(store.prune(2000.0)) == [10, 10, 5]


def test_a_round_of_two_instances_has_begun_once(store: Store) -> None:
    other = ProbeHistory(store._engine)
    assert sorted([store.probes.begin(round_(5), 9.0), other.begin(round_(5), 9.0)]) == [False, True]


def test_a_round_that_is_told_later_is_still_the_same(store: Store) -> None:
    told = replace(round_(6), beside="fallback", seconds95=1.25)
    store.probes.end([told], "ended", 9.0)
    assert [kept.round for kept in store.probes.unfinished()] == [told]
