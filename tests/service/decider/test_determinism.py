"""Killed anywhere and restored from any checkpoint, the decider decides what it would have decided."""

from collections.abc import Sequence

import numpy as np
import pytest
from decider_log import START, Log, history, settings, sketch, spoken, watched
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.decider.closed import Closed
from service.decider.decider import Decider
from service.records import Entry, Incident, Progress, Report, Verdict

MODELS = {"bot": 2.0, "small": 1.0}


def fresh() -> Decider:
    config = settings(windows={"clock": "wall", "length": 60}, detection={"first_contact": {"duration": 300, "prompts": 100}})
    return Decider(watched(MODELS), config)


def production(seed: int) -> list[Entry]:
    """Two models, two workers, keys, repeats, late deltas, commands, a rise and its end: 90 windows of a few hundred entries."""
    rng, log = np.random.default_rng(seed), Log()
    log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot")
    for i in range(90):
        start = START + 60 * i
        share = 0.3 if 20 <= i < 45 else 0.03
        for worker in range(2):
            n = int(rng.integers(20, 200))
            strange = int(rng.binomial(n, share))
            topics = tuple(rng.multinomial(n, [0.15, 0.15, 0.15, 0.15, 0.4] if 20 <= i < 45 else [0.2] * 5).tolist())
            key = f"post-{i}-{worker}" if rng.random() < 0.3 else None
            words = spoken(topics[-1], i, card=topics[-1] // 2, refund=topics[-1] // (2 if 20 <= i < 45 else 50))
            log.delta(start, sketch(n, strange, strange // 4, topics, words), key=key)
            if rng.random() < 0.5:
                log.delta(start, sketch(n, n // 20, 0, topics), model="small")
            if rng.random() < 0.1:
                log.delta(start - 600, sketch(5, 0, 0, (5, 0, 0, 0, 0)))
            if key and rng.random() < 0.5:
                log.report(start + 20, partition=f"prompts/{worker}", worker=f"w{worker}", sent=start + 20)
                log.delta(start, sketch(n, strange, strange // 4, topics, words), key=key)
            log.report(start + 100 + 10 * worker, partition=f"prompts/{worker}", worker=f"w{worker}", sent=start + 100)
        if i == 30:
            log.command("incident.ack", start, incident=f"bot-ood_share-ticket-{START + 60 * 23}")
        if i == 60:
            log.command("baseline.accept", start, model="small", reason="live", anyway=True)
    return log.drain()


ENTRIES = production(7)


def outcome(steps: Sequence[Closed]) -> tuple[list[Verdict], dict[str, Incident]]:
    """Verdicts in order, and the last word on every incident: what a store with upserts holds."""
    verdicts = {(v.model_name, v.stream, v.window_start): v for step in steps for v in step.verdicts}
    return list(verdicts.values()), {incident.id: incident for step in steps for incident in step.incidents}


def undisturbed(entries: Sequence[Entry]) -> tuple[list[Verdict], dict[str, Incident]]:
    decider = fresh()
    decider.absorb(entries)
    return outcome(decider.close_due(None))


EXPECTED = undisturbed(ENTRIES)


def test_the_story_is_worth_testing() -> None:
    verdicts, incidents = EXPECTED
    assert len(verdicts) > 250
    assert {incident.level for incident in incidents.values()} == {"ticket", "page"}
    assert any(incident.closed_by == "recovery" for incident in incidents.values())
    assert any("a new topic about: refund" in incident.explanation for incident in incidents.values())
    decider = fresh()
    decider.absorb(ENTRIES)
    picture = decider.picture(active=True, now=0)
    assert picture.repeats > 0
    assert picture.late["bot"] > 0


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(ENTRIES)), st.integers(0, 60)), min_size=1, max_size=5))
def test_killed_at_any_entry_after_a_checkpoint_the_verdicts_are_the_same(kills: list[tuple[int, int]]) -> None:
    """Each pair: a checkpoint after so many entries, and how many more were absorbed (and their steps written) before the kill."""
    steps: list[Closed] = []
    state: bytes | None = None
    position = 0
    for checkpoint, lost in [*sorted(kills), (len(ENTRIES), 0)]:
        decider = fresh()
        decider.restore(state)
        assert decider.position == position
        checkpoint = max(checkpoint, position)
        decider.absorb(ENTRIES[position:checkpoint])
        steps.extend(decider.close_due(None))
        state, position = decider.snapshot(), checkpoint
        decider.absorb(ENTRIES[checkpoint : checkpoint + lost])
        steps.extend(decider.close_due(None))
    assert outcome(steps) == EXPECTED


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 80), min_size=1, max_size=30))
def test_batches_do_not_matter(sizes: list[int]) -> None:
    decider, steps, position = fresh(), [], 0
    for size in [*sizes, len(ENTRIES)]:
        decider.absorb(ENTRIES[position : position + size])
        steps.extend(decider.close_due(None))
        position += size
    assert outcome(steps) == EXPECTED


def test_restoring_a_snapshot_gives_the_same_snapshot() -> None:
    decider = fresh()
    decider.absorb(ENTRIES[: len(ENTRIES) // 2])
    decider.close_due(None)
    again = fresh()
    again.restore(decider.snapshot())
    assert again.snapshot() == decider.snapshot()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_of_workers_within_a_window_does_not_matter(order: tuple[int, int]) -> None:
    decider, log = fresh(), Log()
    for i in range(30):
        parts = [sketch(50, 2, 1, (50, 0, 0, 0, 0)), sketch(70, 30, 2, (0, 70, 0, 0, 0))]
        for which in order:
            log.delta(START + 60 * i, parts[which])
        log.add(Report("w", {}, {"p": Progress(START + 60 * i + 90)}, frozenset(["p"]), START + 60 * i + 90.0))
    decider.absorb(log.drain())
    states = {v.value for step in decider.close_due(None) for v in step.verdicts if v.stream == "ood_share"}
    assert states == {32 / 120}
