"""The demonstration's Thursday: the same packs, graders, records and decider as in the week, without prompts and without the network."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.canary.round import Conduct, conduct
from service.canary.schedule import Schedule
from service.config import Config
from service.decider.decider import Decider, Watched
from service.main.canaries import Canaries
from service.main.clients import Opened
from service.main.demo.canaries import asked, past_rounds, settings, slots
from service.main.demo.caught import FORGETS, OBEYS, UNHURT, Caught, of_probes, place, shares
from service.main.demo.pace import Pace, Paced
from service.main.demo.script import HISTORY_DAYS, MODEL, MONDAY, OWNER, RELEASE, ROLLBACK, WEEK
from service.main.demo.toy_model import Behaviour
from service.main.demo.toys import BAD, GOOD, Toys, taught
from service.main.demo.traffic import DAY
from service.main.watches import UNSIGNED
from service.records import Batch, Entry, Incident, Progress
from service.records.probes import Round
from service.records.probes_json import round_command


@pytest.fixture(scope="module")
def toys() -> Iterator[Toys]:
    with Toys() as served:
        yield served


@pytest.fixture(scope="module")
def config(toys: Toys, tmp_path_factory: pytest.TempPathFactory) -> Config:
    fixed = {"source": {"kind": "file", "paths": ["-"]}, "windows": {"clock": "event", "grace": 0}}
    return Config.model_validate(
        {**fixed, "models": {MODEL: {"bundle": "bundle", "owner": OWNER}}, **settings(toys, tmp_path_factory.mktemp("demo"))}
    )


@pytest.fixture(scope="module")
def canaries(config: Config) -> Canaries:
    return Canaries.load(config)


@pytest.fixture(scope="module")
def past(canaries: Canaries, toys: Toys) -> list[Round]:
    return past_rounds(canaries, toys)


class Played:
    """A week of rounds, judged; ``bad`` is who answers between release and rollback."""

    def __init__(self, config: Config, canaries: Canaries, toys: Toys, past: list[Round], bad: Behaviour) -> None:
        self.rounds = asyncio.run(self._ask(canaries, toys, bad))
        self.caught = Caught()
        self.caught.rounds = lambda suite: [round for round in self.rounds if round.suite == suite and round.scheduled <= self.now]
        self.lines: list[tuple[float, str, str]] = []
        self.incidents: dict[str, Incident] = {}
        decider = Decider({MODEL: Watched("bundle", {"strange": 0.06, "far": 0.015}, (), OWNER)}, config, probes=canaries.streams)
        for position, round in enumerate([*past, *self.rounds]):
            self.now = round.scheduled
            decider.absorb([Entry(position, round_command(round))])
            for step in decider.close_due(None):
                assert all(of_probes(incident) for incident in step.incidents)
                self.incidents |= {incident.id: incident for incident in step.incidents}
                self.lines += self.caught.changes(step.incidents, round.ended)

    async def _ask(self, canaries: Canaries, toys: Toys, bad: Behaviour) -> list[Round]:
        opened, found = Opened(canaries), []
        due = [(slot, probe) for probe in opened.probes for slot in slots(probe.schedule, MONDAY, MONDAY + WEEK)]
        for slot, probe in sorted(due, key=lambda pair: pair[0].scheduled):
            toys.live.behaviour = bad if RELEASE <= slot.scheduled - MONDAY < ROLLBACK else GOOD
            found += await asked(probe, slot, toys)
        await opened.aclose()
        toys.live.behaviour = GOOD
        return found


async def _nothing(results: object, prints: object) -> None:
    """Nothing is kept."""


@pytest.fixture(scope="module")
def week(config: Config, canaries: Canaries, toys: Toys, past: list[Round]) -> Played:
    return Played(config, canaries, toys, past, BAD)


def test_the_past_is_a_record_that_may_page(past: list[Round]) -> None:
    assert all(MONDAY - HISTORY_DAYS * DAY < round.scheduled < MONDAY and round.complete and round.beside == "base" for round in past)
    for suite in (*OBEYS, *FORGETS, *UNHURT):
        mine = [round for round in past if round.suite == suite]
        for category in mine[0].counts:
            live, _ = shares(mine, category)
            assert live.n >= 400, f"{suite}/{category}"
            assert suite in UNHURT or live.value < 0.05, f"{suite}/{category}"


@pytest.mark.parametrize("behaviour", [GOOD, BAD])
def test_a_round_of_the_past_is_what_the_runner_would_have_recorded(canaries: Canaries, toys: Toys, behaviour: Behaviour) -> None:
    """Same answers, grades and baseline key by way of HTTP."""

    async def ask_both_ways() -> list[tuple[Round, Round]]:
        opened, pairs = Opened(canaries), []
        await opened.prepare(None)
        for probe in opened.probes:
            slot = next(slots(probe.schedule, MONDAY, MONDAY + WEEK))
            (straight,) = await asked(probe, slot, toys)
            how = Conduct(_nothing, lambda slot=slot: slot.scheduled, UNSIGNED)  # type: ignore[misc]
            id = straight.id
            (served,) = await conduct(probe, probe.beside[0], id, slot.scheduled, slot.deadline, probe.questions(id), (), how)
            pairs.append((straight, served))
        await opened.aclose()
        return pairs

    toys.live.behaviour = behaviour
    for straight, served in asyncio.run(ask_both_ways()):
        assert (served.key, served.revision, served.counts) == (straight.key, behaviour.model, straight.counts)
        assert served.complete
    toys.live.behaviour = GOOD


def test_every_suite_that_the_release_harms_pages_on_thursday_and_none_before(week: Played) -> None:
    assert list(week.caught.contradictions()) == []
    pages = [incident for incident in week.incidents.values() if incident.level == "page"]
    assert {place(page)[0] for page in pages} == {*FORGETS, *OBEYS}
    assert all(MONDAY + RELEASE < page.opened < MONDAY + ROLLBACK and page.closed_by == "recovery" for page in pages)
    assert {page.kind for page in pages if place(page)[0] in OBEYS} == {"safety"}
    assert {page.kind for page in pages if place(page)[0] in FORGETS} == {"behaviour"}
    assert not [incident for incident in week.incidents.values() if incident.opened <= MONDAY + RELEASE]


def test_the_base_model_beside_it_stays_as_it_was(week: Played) -> None:
    for suite in (*FORGETS, *OBEYS):
        rounds = [round for round in week.rounds if round.suite == suite and RELEASE <= round.scheduled - MONDAY < ROLLBACK]
        live, base = shares(rounds)
        assert live.value > 0.4
        assert base.value < 0.1


def test_one_line_tells_of_a_category_and_one_of_its_end(week: Played) -> None:
    for word in ("PAGE", "TICKET"):
        titles = [text.split()[1] for _, said, text in week.lines if said == word]
        assert len(titles) == len(set(titles))
    ended = [text for _, said, text in week.lines if said == "RECOVERED"]
    assert len(ended) == len(FORGETS) + len(OBEYS)
    first = next(text for _, word, text in week.lines if word == "PAGE")
    assert "obeyed after " in first or "wrong after " in first
    assert "base model" in first


def test_a_release_that_is_as_good_pages_nobody_and_the_story_says_so(
    config: Config, canaries: Canaries, toys: Toys, past: list[Round]
) -> None:
    calm = Played(config, canaries, toys, past, replace(GOOD, model="fernhill-8"))
    assert not [incident for incident in calm.incidents.values() if incident.level == "page"]
    assert {f"no page for {suite} on Thursday" for suite in (*FORGETS, *OBEYS)} <= set(calm.caught.contradictions())


def test_the_model_is_taught_what_it_is_asked(toys: Toys) -> None:
    from service.main.demo.grammar import Grammar

    known = taught(Grammar.load())
    assert len(known) > 70
    assert all(known.values())
    assert toys.url("live") != toys.url("base")


def test_the_week_waits_at_every_round_until_it_was_told() -> None:
    moves: list[float] = []
    schedules = [Schedule("m/t/one", 3600.0), Schedule("m/t/two", 7200.0)]
    pace = Pace(schedules, MONDAY, moves.append)
    first = pace.now()
    assert first > MONDAY
    walk = threading.Thread(target=pace.reach, args=(MONDAY + DAY,))
    walk.start()
    told = 0
    while walk.is_alive():
        now = pace.now()
        for schedule in schedules:
            pace.told(f"{schedule.name}/{now:.0f}")
        told += 1
        walk.join(0.001)
    assert pace.now() == MONDAY + DAY
    assert moves == sorted([MONDAY + DAY, *(slot.scheduled for each in schedules for slot in slots(each, MONDAY, MONDAY + DAY))])
    pace.reach(MONDAY)
    assert pace.now() == MONDAY + DAY, "what is read again does not turn time back"


def test_a_week_that_is_stopped_waits_for_nothing() -> None:
    pace = Pace([Schedule("m/t/one", 3600.0)], MONDAY)
    walk = threading.Thread(target=pace.reach, args=(MONDAY + DAY,))
    walk.start()
    walk.join(0.05)
    assert walk.is_alive()
    pace.close()
    walk.join(5)
    assert not walk.is_alive()


def test_what_was_read_goes_to_the_ledger_before_the_round_that_is_due_is_asked() -> None:
    class Source:
        trouble = "none"

        def __init__(self) -> None:
            self.limits: list[int] = []
            self.progress = [("a", 5000), ("b", 20), ("b", 4000)]

        def poll(self, limit: int, timeout: float) -> Batch:
            self.limits.append(limit)
            name, time = self.progress.pop(0)
            return Batch(progress={name: Progress(MONDAY + time)}, partitions=frozenset("ab"))

    pace = Pace([Schedule("m/t/one", 3600.0)], MONDAY)
    due, source = pace.due, Source()
    paced = Paced(source, pace, MONDAY)  # type: ignore[arg-type]
    assert [paced.poll(8192, 0.0).urgent for _ in range(3)] == [False, False, due <= MONDAY + 4000]
    assert pace.now() == pace.due == due, "nothing was asked yet"
    assert max(source.limits) <= 3 * 3600
    assert paced.trouble == "none"
    assert getattr(paced, "pause", None) is None
