"""Every stream of a model and its slices: what it sees, what it says, that it recovers, and that a restart changes nothing."""

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from decider_log import Log, history, settings, sketch, watched

from benchmarks.decider import BUNDLE, MODEL, MONDAY, World
from detectors.features import FEATURES
from detectors.sketch import BINS, Sketch
from service.config import Config
from service.decider.budget import MIXES, PAGING, SLICED, TICKETS, full_rates, layout, shares
from service.decider.closed import Closed
from service.decider.decider import Decider, Watched
from service.records import DeltaKey, Entry, Incident, Progress, Report

HOUR = 3600
TOPICS = 12
SLICES = ("tenant-0", "tenant-1", "tenant-2")
NULLS = {"strange": 0.06, "far": 0.015}
PROMPTS = 2000
LANDMARKS = np.zeros((TOPICS, FEATURES), np.float32)
"""Of the topics 3 and 5 alone: where a moved embedding goes, and what it leaves."""
LANDMARKS[3] = np.cos(np.arange(FEATURES))
LANDMARKS[5] = -LANDMARKS[3]
Change = Callable[[DeltaKey, Sketch], Sketch]


def config(**sections: Any) -> Config:
    given: dict[str, Any] = {
        "models": {MODEL: {"bundle": "bundle", "slices": {"values": list(SLICES)}}},
        "windows": {"clock": "event", "length": HOUR, "grace": 0},
    }
    return settings(**{**given, **sections})


class Production:
    """Hours of one model with three slices, and the decider that sees them."""

    def __init__(self, seed: int = 3) -> None:
        self.world = World(len(SLICES), TOPICS, seed)
        self.log = Log()
        self.start = MONDAY
        self.decider = self.fresh()

    def fresh(self) -> Decider:
        return Decider({MODEL: Watched(BUNDLE, NULLS, self.world.topics, "team", 1.0, SLICES, landmarks=LANDMARKS)}, config())

    def entries(self, hours: int, change: Change | None = None, prompts: int = PROMPTS, **world: Any) -> list[Entry]:
        for _ in range(hours):
            for key, made in self.world.window(prompts, self.start, **world).items():
                self.log.add((key, change(key, made) if change else made))
            self.start += HOUR
            self.log.add(Report("w", {}, {"file": Progress(float(self.start))}, frozenset(["file"]), float(self.start)))
        return self.log.drain()

    def play(self, hours: int, change: Change | None = None, **world: Any) -> list[Closed]:
        self.decider.absorb(self.entries(hours, change, **world))
        return list(self.decider.close_due(None))

    def command(self, kind: str, **arguments: Any) -> list[Closed]:
        self.decider.absorb(self.log.command(kind, float(self.start), model=MODEL, **arguments).drain())
        return list(self.decider.close_due(None))


@pytest.fixture(scope="module")
def learned() -> tuple[int, bytes]:
    """Thirty days learned live and accepted: the time, and the state."""
    production = Production()
    production.play(30 * 24)
    [step] = production.command("baseline.accept", reason="thirty days", anyway=True)
    assert step.audit[0].outcome.startswith("accepted live"), step.audit[0].outcome
    return production.start, production.decider.snapshot()


@pytest.fixture
def production(learned: tuple[int, bytes]) -> Production:
    made = Production(seed=4)
    made.start, state = learned
    made.decider.restore(state)
    return made


def last(steps: Sequence[Closed]) -> dict[tuple[str, str, str], Incident]:
    return {(i.slice, i.stream, i.level): i for step in steps for i in step.incidents}


def counts(key: DeltaKey, made: Sketch, **changed: Any) -> Sketch:
    values = {name: getattr(made, name) for name in made.__slots__}
    return Sketch(**{**values, **changed})


def test_every_stream_is_tested_once_a_baseline_is_accepted(production: Production) -> None:
    new = Production()
    new.play(1)
    before = new.decider.picture(active=True, now=0).streams
    assert [(s.slice, s.stream) for s in before] == [("", stream) for stream in (*PAGING, *TICKETS)] + [
        (slice_, stream) for slice_ in SLICES for stream in SLICED
    ]
    assert {s.stream for s in before if s.state == "learning"} == {
        *MIXES,
        "embedding_shift",
        "combined",
        "new_topic",
        "truncation",
        "volume",
    }
    steps = production.play(48)
    assert {level for _, _, level in last(steps)} <= {"ticket"}
    picture = production.decider.picture(active=True, now=0).streams
    assert {s.state for s in picture} <= {"ok", "ticket"}
    paging = {(s.slice, s.stream) for s in picture if s.thresholds["page"] is not None}
    assert paging == {("", stream) for stream in PAGING} | {(slice_, stream) for slice_ in SLICES for stream in SLICED}
    assert all(s.series.n.size and s.latest and s.counted and s.share is not None for s in picture)
    assert len([verdict for step in steps for verdict in step.verdicts]) == 48 * len(picture)


def test_prompts_that_gather_in_one_topic_page_with_its_name_and_recover(production: Production) -> None:
    production.play(10)
    steps = production.play(12, topic=5)
    page = last(steps)["", "topic_mix", "page"]
    assert "about word5 (" in page.explanation
    assert "grew: word5 " in page.explanation
    assert page.severity == "critical"
    assert page.value > page.reference + 0.05
    assert abs(page.change_start - (production.start - 12 * HOUR)) <= HOUR
    assert ("", "ood_share", "ticket") not in last(steps)
    assert ("", "combined", "page") in last(steps)
    shown = next(s for s in production.decider.picture(active=True, now=0).streams if s.stream == "topic_mix")
    assert (shown.state, shown.counted) == ("page", "about word5")
    closed = last(production.play(60))
    assert closed["", "topic_mix", "page"].closed_by == "recovery"
    assert closed["", "combined", "page"].closed_by == "recovery"


@pytest.mark.parametrize(("prompts", "said"), [(900, "fewer"), (4500, "more")])
def test_a_change_of_volume_is_a_ticket_in_prompts_a_minute_and_recovers(production: Production, prompts: int, said: str) -> None:
    production.play(10)
    steps = production.play(8, prompts=prompts)
    assert {(stream, level) for _, stream, level in last(steps)} == {("volume", "ticket")}
    ticket = last(steps)["", "volume", "ticket"]
    began = production.start - 8 * HOUR
    assert ticket.explanation.startswith(f"{said} prompts than usual at this hour: {prompts // 60} a minute instead of 33, since ")
    assert (ticket.severity, ticket.change_start, ticket.change_low, ticket.change_high) == ("warning", began, began - HOUR, began + HOUR)
    assert ticket.opened - began <= 4 * HOUR
    shown = next(s for s in production.decider.picture(active=True, now=0).streams if s.stream == "volume")
    assert (shown.state, shown.share, shown.thresholds["page"]) == ("ticket", 1.0, None)
    assert shown.counted == "of blocks with unusually few or many prompts"
    middle = production.decider.snapshot()
    entries = production.entries(40)
    production.decider.absorb(entries)
    steps = list(production.decider.close_due(None))
    assert last(steps)["", "volume", "ticket"].closed_by == "recovery"
    again = production.fresh()
    again.restore(middle)
    again.absorb(entries)
    assert list(again.close_due(None)) == steps


def test_hours_in_which_nothing_came_are_told_when_something_comes(production: Production) -> None:
    production.play(10)
    production.start += 7 * HOUR
    steps = production.play(1)
    assert ": 0.0 a minute instead of 33, since" in last(steps)["", "volume", "ticket"].explanation


def test_a_topic_that_vanishes_is_told_as_a_fall(production: Production) -> None:
    def without(key: DeltaKey, made: Sketch) -> Sketch:
        topics = made.topics.copy()
        topics[0] = 0
        return counts(key, made, topics=topics, n=int(topics.sum()), strange=made.strange, far=made.far) if key.slice == "" else made

    production.play(5)
    steps = production.play(12, change=without)
    mix = last(steps)["", "topic_mix", "page"]
    assert "about word" in mix.explanation
    assert "fell: word0 " in mix.explanation


def test_a_moved_embedding_pages(production: Production) -> None:
    def moved(key: DeltaKey, made: Sketch) -> Sketch:
        shift = np.rint(0.1 * 4096 * made.n * np.cos(np.arange(made.fourier.size))).astype(np.int64)
        return counts(key, made, fourier=made.fourier + shift)

    production.play(5)
    steps = production.play(24, change=moved)
    page = last(steps)["", "embedding_shift", "page"]
    assert "of windows unlike their hour" in page.explanation
    assert "the mean prompt moved towards word3 and away from word5" in page.explanation
    assert {(slice_, stream) for slice_, stream, _ in last(steps)} == {("", "embedding_shift"), ("", "combined")}
    assert last(production.play(80))["", "embedding_shift", "page"].closed_by == "recovery"


def strange_bins(key: DeltaKey, made: Sketch) -> Sketch:
    """A tenth of all prompts, and a quarter of one slice's, among the strangest."""
    more = {"tenant-1": made.n // 4, "": made.n // 10}.get(key.slice, 0)
    strangest = np.bincount([0], minlength=BINS) * more
    return counts(
        key, made, strange=min(made.n, made.strange + more), histogram=made.histogram - made.histogram * more // made.n + strangest
    )


def test_an_incident_holds_the_p_values_before_and_since_and_so_do_verdicts_while_it_is_open(production: Production) -> None:
    quiet = production.play(3)
    assert all(v.p_values_after is None and v.p_values_before is None for step in quiet for v in step.verdicts)
    steps = production.play(6, change=strange_bins)
    whole, part = last(steps)["", "ood_share", "page"], last(steps)["tenant-1", "ood_share", "page"]
    for incident, rise in ((whole, 0.1), (part, 0.25)):
        assert incident.p_values_before is not None
        assert incident.p_values_after is not None
        assert sum(incident.p_values_before) == pytest.approx(1, abs=1e-3)
        assert sum(incident.p_values_after) == pytest.approx(1, abs=1e-3)
        assert incident.p_values_before[0] == pytest.approx(1 / BINS, abs=0.02)
        assert incident.p_values_after[0] == pytest.approx(1 / BINS + rise, abs=0.03)
    told = {(v.slice, v.stream): v for v in steps[-1].verdicts}
    now = {i.id: i for i in production.decider.picture(active=True, now=0).incidents}
    assert told["", "ood_share"].p_values_after == now[whole.id].p_values_after
    assert "mostly in tenant-1" in told["", "ood_share"].explanation
    assert told["tenant-0", "ood_share"].p_values_after is None
    assert whole.grew == []


def test_a_slice_has_incidents_of_its_own_and_carries_those_of_the_model(production: Production) -> None:
    def rises(key: DeltaKey, made: Sketch) -> Sketch:
        more = {"tenant-1": made.n // 4, "": PROMPTS // 12}.get(key.slice, 0)
        return counts(key, made, strange=made.strange + more)

    production.play(5)
    incidents = last(production.play(12, change=rises))
    page = incidents["tenant-1", "ood_share", "page"]
    assert page.id == f"{MODEL}-tenant-1-ood_share-page-{page.opened:.0f}"
    assert page.slice == "tenant-1"
    assert "mostly in tenant-1 (" in incidents["", "ood_share", "page"].explanation
    assert not any(slice_ in ("tenant-0", "tenant-2") for slice_, _, _ in incidents)


def test_a_slice_names_the_topics_that_grew_in_it(production: Production) -> None:
    def rises(key: DeltaKey, made: Sketch) -> Sketch:
        if key.slice != "tenant-1":
            return made
        topics = np.rint(0.7 * made.topics).astype(np.int64)
        topics[3] += made.n - topics.sum()
        return counts(key, made, strange=made.strange + made.n // 4, topics=topics)

    production.play(60)
    steps = production.play(6, change=rises)
    assert {name for name, stream, _ in last(steps) if stream == "ood_share"} == {"tenant-1"}
    for incident in (i for (name, _, _), i in last(steps).items() if name == "tenant-1"):
        assert "grew: word3 " in incident.explanation
        assert "a new topic" not in incident.explanation
    told = incident.explanation.partition("grew: word3 ")[2]
    assert abs(float(told.partition("%")[0]) / 100 - production.world.shares[3]) < 0.03, told
    state = production.decider.snapshot()
    production.decider.restore(state)
    assert production.decider.snapshot() == state


def test_truncation_opens_a_ticket_and_makes_others_look_like_a_data_problem(production: Production) -> None:
    def cut(key: DeltaKey, made: Sketch) -> Sketch:
        if key.slice:
            return made
        return counts(key, made, truncated=made.truncated + made.n // 5, strange=made.strange + made.n // 10)

    production.play(5)
    incidents = last(production.play(12, change=cut))
    assert ("", "truncation", "ticket") in incidents
    assert ("", "truncation", "page") not in incidents
    page = incidents["", "ood_share", "page"]
    assert page.explanation.startswith("looks like a data problem: more prompts are cut off; ")
    assert "cut off (" in incidents["", "truncation", "ticket"].explanation


def test_an_announced_change_opens_a_ticket_at_most(production: Production) -> None:
    production.play(5)
    production.command("expect.add", topic=5, until=production.start + 40 * HOUR, reason="a campaign")
    incidents = last(production.play(12, topic=5))
    assert {(stream, level) for _, stream, level in incidents} == {(s, "ticket") for s in ("topic_mix", "embedding_shift", "combined")}
    assert incidents["", "topic_mix", "ticket"].severity == "warning"
    assert {stream for _, stream, level in last(production.play(8, strange=0.2)) if level == "page"} >= {"ood_share"}


def test_a_restart_at_any_point_changes_nothing(learned: tuple[int, bytes]) -> None:
    start, state = learned
    story = Production(seed=9)
    story.start = start
    entries = [*story.entries(4), *story.entries(8, topic=3), *story.entries(8, strange=0.1), *story.entries(12)]
    story.decider.restore(state)
    first = story.decider.position
    entries = [entry._replace(position=first + i) for i, entry in enumerate(entries)]
    story.decider.absorb(entries)
    expected = list(story.decider.close_due(None))
    assert {i.stream for step in expected for i in step.incidents} >= {"topic_mix", "ood_share", "combined", "embedding_shift"}
    found: list[Closed] = []
    for at in range(0, len(entries), 7):
        again = story.fresh()
        again.restore(state)
        assert again.snapshot() == state
        again.absorb(entries[at : at + 7])
        found += again.close_due(None)
        state = again.snapshot()
    assert [step.verdicts for step in found if step.verdicts] == [step.verdicts for step in expected if step.verdicts]
    assert last(found) == last(expected)
    assert state == story.decider.snapshot()


def test_a_slice_that_is_added_keeps_what_is_known_and_begins_with_another_budget(learned: tuple[int, bytes]) -> None:
    _, state = learned
    other = Decider(
        {MODEL: Watched(BUNDLE, NULLS, Production().world.topics, "team", 1.0, (*SLICES, "new"))},
        config(models={MODEL: {"bundle": "bundle", "slices": {"values": [*SLICES, "new"]}}}),
    )
    other.restore(state)
    streams = {(s.slice, s.stream): s for s in other.picture(active=True, now=0).streams}
    saved = json.loads(zlib.decompress(state))["streams"]
    assert [*MODEL_KEYS] == [key for key in saved["keys"] if not key[1]]
    assert streams["", "topic_mix"].thresholds["page"] is not None
    assert streams["new", "ood_share"].series.n.size == 0
    assert streams["tenant-0", "ood_share"].series.n.size > 0


def test_incidents_of_a_slice_that_is_gone_are_closed(production: Production) -> None:
    def rises(key: DeltaKey, made: Sketch) -> Sketch:
        return counts(key, made, strange=made.n // 3) if key.slice == "tenant-2" else made

    assert ("tenant-2", "ood_share", "page") in last(production.play(6, change=rises))
    other = Decider({MODEL: Watched(BUNDLE, NULLS, production.world.topics, "team", 1.0, SLICES[:2])}, config())
    other.restore(production.decider.snapshot())
    closed = last(list(other.close_due(None)))
    assert {(key[0], i.closed_by, i.reason) for key, i in closed.items()} == {
        ("tenant-2", "configuration", "the slice is no longer configured")
    }
    assert other.picture(active=True, now=0).incidents == ()


MODEL_KEYS = [[MODEL, "", stream] for stream in (*PAGING, *TICKETS)]


def test_the_budget_is_split_by_weight_and_never_spent_twice() -> None:
    models = {
        "a": Watched("B", NULLS, weight=3.0, slices=("x", "y"), slices_weight=0.4),
        "b": Watched("B", NULLS),
    }
    keys, part = layout(models), shares(models)
    assert part.sum(axis=1) == pytest.approx([1, 1])
    by = {key: part[:, i] for i, key in enumerate(keys)}
    assert by["a", "", "ood_share"] == pytest.approx([0.75 * 0.6 / 10, 0.75 * 0.6 / 5])
    assert by["a", "y", "far_share"] == pytest.approx([0.75 * 0.4 / 4] * 2)
    assert by["b", "", "language"] == pytest.approx([0.25 / 10, 0])
    rates = full_rates(settings(), models)
    assert rates.sum(axis=1) == pytest.approx([60 / (7 * 86400), 60 / (90 * 86400)])


def test_without_a_baseline_only_the_bounded_streams_are_judged() -> None:
    decider, log = Decider(watched(), settings()), Log()
    decider.absorb(log.window(MONDAY, topics=(0, 0, 0, 0, 100)).drain())
    [step] = decider.close_due(None)
    assert {verdict.stream for verdict in step.verdicts} == set(SLICED)
    decider.absorb(log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot").window(MONDAY + 60).drain())
    *_, step = decider.close_due(None)
    assert {verdict.stream for verdict in step.verdicts} == {*SLICED, "combined"}
    assert sketch().fourier.size == 0
