"""What is learned of one model, and what is in force."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from decider_log import NULLS, TOPICS, settings

from detectors.features import FEATURES
from detectors.promise import Counted
from detectors.sketch import BINS, FIXED_POINT, LENGTHS, Sketch
from service.decider import promises
from service.decider.budget import PAGING
from service.decider.history import DAYS
from service.decider.learning import Learning, Phase, Refused

DAY = 86400
MONDAY = 1_699_833_600  # 13 November 2023, midnight in UTC
PAGE_RATES = {("", "ood_share"): 1 / 648_000, ("", "far_share"): 1 / 648_000}


run = promises.Replay.run


def sketch(n: int = 100, strange: int = 5, far: int = 1, *, topics: Any = None, fourier: Any = None, truncated: int = 0) -> Sketch:
    counts = np.array((n, 0, 0, 0, 0) if topics is None else topics, np.int64)
    languages, lengths = np.array([n, 0], np.int64), np.zeros(LENGTHS, np.int64)
    lengths[3] = n
    sums = np.zeros(0, np.int64) if fourier is None else np.asarray(fourier, np.int64)
    return Sketch(n, strange, far, truncated, 10 * n, 40 * n, np.zeros(BINS, np.int64), counts, lengths, languages, sums)


def learning(purpose: str = "service", slices: tuple[str, ...] = (), **windows: Any) -> Learning:
    config = settings(windows={"clock": "event", **windows})
    return Learning(NULLS, config, purpose, slices=slices, topics=TOPICS, page_rates=PAGE_RATES)  # type: ignore[arg-type]


def traffic(days: int, rng: np.random.Generator, step: int = 1800, n: int = 600, swing: float = 0.0) -> Iterator[tuple[int, Sketch]]:
    """A window every ``step`` seconds; the strange share swings over the hours of the day."""
    mean = rng.normal(0, 0.1, FEATURES)
    for start in range(MONDAY, MONDAY + days * DAY, step):
        share = 0.03 * (1 + swing * np.sin(2 * np.pi * (start % DAY) / DAY))
        strange = int(rng.binomial(n, share))
        fourier = np.rint(FIXED_POINT * (n * mean + rng.normal(0, 0.7 * np.sqrt(n), FEATURES)))
        topics = rng.multinomial(n, [0.4, 0.3, 0.2, 0.06, 0.04])
        yield start, sketch(n, strange, int(rng.binomial(strange, 0.2)), topics=topics, fourier=fourier)


def taught(days: int, seed: int = 0, **kinds: Any) -> Learning:
    learned = learning()
    for start, each in traffic(days, np.random.default_rng(seed), **kinds):
        learned.take(start, {"": each}, clean=True)
    return learned


def blocks(days: int = 20) -> dict[str, Any]:
    rows = [[day, 1000, 30] for day in range(days) for _ in range(6)]
    return {"blocks": {"strange": rows, "far": [[d, n, 5] for d, n, _ in rows]}, "source": "june"}


def saved(learned: Learning) -> str:
    return json.dumps(learned.to_json())


def test_learning_is_bounded_to_the_newest_days() -> None:
    learned = learning()
    sizes = []
    for day in range(200):
        for hour in range(24):
            learned.take(DAY * day + 3600 * hour, {"": sketch(10, 1, 0)}, clean=True)
        sizes.append(len(saved(learned)))
    view = learned.view()
    assert view.days == DAYS + 1
    assert view.prompts == 240 * (DAYS + 1)
    assert view.windows <= 24 * 29
    assert max(sizes[100:]) < 1.05 * sizes[100] < 30_000


def test_what_is_not_clean_is_not_learned() -> None:
    learned = learning()
    learned.take(0, {"": sketch(100, 3)}, clean=True)
    learned.take(60, {"": sketch(100, 90)}, clean=False)
    assert learned.view().prompts == 100


def test_a_window_without_the_whole_model_or_without_prompts_is_not_learned() -> None:
    learned = learning(slices=("a",))
    assert not learned.take(0, {"a": sketch()}, clean=True)
    assert not learned.take(0, {"": sketch(0, 0, 0)}, clean=True)
    assert learned.view().prompts == 0


def test_a_candidate_is_not_in_force_until_it_is_accepted() -> None:
    learned = learning()
    before = learned.null("", "ood_share")
    learned.learn(blocks())
    assert learned.null("", "ood_share") == before
    assert learned.view().candidate is not None
    learned.accept("ada", 5.0, "fine")
    assert learned.null("", "ood_share").reference == (pytest.approx(0.03),)
    assert learned.view().candidate is None
    assert learned.phase == "baseline"
    assert learned.mix("topic_mix") is learned.shift() is None


def test_nothing_learned_cannot_be_accepted() -> None:
    with pytest.raises(Refused, match="nothing is learned yet"):
        learning().accept("ada", 5.0, "fine")


def test_a_live_baseline_that_grew_past_14_days_asks_to_be_accepted_again() -> None:
    learned = learning()
    for i, (start, each) in enumerate(traffic(20, np.random.default_rng(1))):
        learned.take(start, {"": each}, clean=True)
        if i == 3 * 48 + 1:
            learned.accept("ada", 5.0, "early")
            assert learned.asks() is None
            assert not learned.null("", "ood_share").page
            assert "3 of the 14 whole days that paging needs are learned" in str(learned.null("", "ood_share").why)
    assert learned.asks() is not None
    learned.accept("ada", 6.0, "again")
    assert learned.asks() is None
    assert learned.null("", "ood_share").page


def test_four_weeks_with_a_rhythm_put_every_stream_in_force_by_hour_of_the_week() -> None:
    learned = taught(28, swing=0.5)
    outcome = learned.accept("ada", 5.0, "a month that looked right")
    null = learned.null("", "ood_share")
    assert len(null.bound) == len(null.reference) == 168
    assert max(null.bound) > 1.5 * min(null.bound)
    assert (np.array(null.bound) > np.array(null.reference)).all()
    assert null.page
    assert null.why is None
    assert learned.null("", "truncation")[3:5] == (True, False)
    assert learned.null("", "new_topic").reference[0] == pytest.approx(0.04, abs=0.01)
    mixes = [learned.mix(stream) for stream in ("topic_mix", "language", "length")]
    assert [mix.stage if mix else None for mix in mixes] == ["full"] * 3
    shift = learned.shift()
    assert shift is not None
    assert shift.stage == "full"
    assert "learned from 2023-11-13 to 2023-12-10" in outcome
    accepted = learned.view().accepted
    assert accepted is not None
    assert {place: kept.kept for place, kept in accepted.promises.items()} == {("", stream): True for stream in PAGING}
    assert accepted.promises["", "ood_share"].reason.startswith("consistent with the promise")


def test_days_that_differ_too_much_cost_the_page_not_the_ticket() -> None:
    rng, learned = np.random.default_rng(2), learning()
    factor = rng.uniform(0.4, 1.6, 28)
    for start, each in traffic(28, rng):
        strange = int(rng.binomial(600, 0.04 * factor[(start - MONDAY) // DAY]))
        learned.take(start, {"": sketch(600, strange, each.far)}, clean=True)
    outcome = learned.accept("ada", 5.0, "as it is", anyway=True)
    null = learned.null("", "ood_share")
    assert null[3:5] == (True, False)
    assert "its days differ by" in str(null.why)
    assert f"ood_share opens tickets only: {null.why}" in outcome
    assert learned.null("", "far_share").page


@pytest.mark.parametrize("stream", ["ood_share", "topic_mix", "embedding_shift", "combined"])
def test_a_promise_that_the_replay_breaks_costs_the_page_of_that_stream_alone(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    many = Counted(np.array([60, 50, 40, 30]), 700)  # the promise allows 0.7 at one in 1000
    monkeypatch.setattr(promises.Replay, "run", lambda self, *learned: {**run(self, *learned), ("", stream): many})
    learned = taught(16)
    outcome = learned.accept("ada", 5.0, "as it is")
    accepted = learned.view().accepted
    assert accepted is not None
    assert [place for place, kept in accepted.promises.items() if not kept.kept] == [("", stream)]
    assert f"{stream} opens tickets only: 30 crossings at one in 1000 windows" in outcome
    assert "no budget would hold" in str(learned.broken(stream))
    assert learned.null("", "ood_share").page == (stream != "ood_share")
    assert learned.null("", "far_share").page


def test_hours_without_their_windows_are_not_promised() -> None:
    """Of rows that come without them."""
    state, again = json.loads(saved(taught(28))), learning()
    state["history"]["recording"] = None
    again.load(state)
    outcome = again.accept("ada", 5.0, "as it is")
    for stream in PAGING:
        assert f"{stream} opens tickets only: not replayed: 0 whole days are too few to check, 14 are needed" in outcome
    assert not again.null("", "ood_share").page


def test_a_slice_is_replayed_on_its_own() -> None:
    learned, rng = learning(slices=("calm", "wild")), np.random.default_rng(3)
    for start, each in traffic(28, rng):
        week = (start - MONDAY) // (7 * DAY)
        wild = sketch(200, int(rng.binomial(200, 0.05 if week != 2 else 0.09)), 0)
        learned.take(start, {"": each, "calm": sketch(200, int(rng.binomial(200, 0.05)), 0), "wild": wild}, clean=True)
    learned.accept("ada", 5.0, "as it is")
    assert learned.null("calm", "ood_share").page
    assert learned.null("", "ood_share").page
    assert learned.null("wild", "ood_share")[3:5] == (True, False)


def test_a_slice_has_a_baseline_of_its_own_and_one_without_prompts_is_not_tested() -> None:
    learned, rng = learning(slices=("shop", "new")), np.random.default_rng(3)
    for start, each in traffic(16, rng):
        shop = sketch(50, int(rng.binomial(50, 0.2)), 1)
        learned.take(start, {"": each, "shop": shop, "other": sketch()}, clean=True)
    assert learned.null("shop", "ood_share").ticket
    learned.accept("ada", 5.0, "fine")
    null = learned.null("shop", "ood_share")
    assert np.mean(null.reference) == pytest.approx(0.2, abs=0.01)
    assert null.page
    assert learned.null("new", "ood_share")[3:5] == (False, False)
    assert "no prompts of new" in str(learned.null("new", "ood_share").why)


def test_slices_may_come_and_go_between_two_starts() -> None:
    learned = learning(slices=("a", "b"))
    for start, each in traffic(2, np.random.default_rng(4)):
        learned.take(start, {"": each, "a": sketch(10, 1, 0), "b": sketch(20, 1, 0)}, clean=True)
    again = learning(slices=("b", "c"))
    again.load(json.loads(saved(learned)))
    start = MONDAY + 2 * DAY
    again.take(start, {"": sketch(), "b": sketch(20, 1, 0), "c": sketch(5, 1, 0)}, clean=True)
    again.accept("ada", 5.0, "fine", anyway=True)
    assert again.null("b", "ood_share").reference == (pytest.approx(0.05),)
    assert again.null("c", "ood_share").reference == (pytest.approx(0.2),)


@pytest.mark.parametrize("days", [1, 16])
def test_learning_survives_json_at_any_point(days: int) -> None:
    learned, again = learning(), learning()
    windows = list(traffic(days + 1, np.random.default_rng(5), step=3600))
    for i, (start, each) in enumerate(windows):
        learned.take(start, {"": each}, clean=True)
        if i == days * 24 - 1:
            learned.learn(blocks())
            if days > 14:
                learned.accept("ada", 1.0, "fine")
        if i >= days * 24 and i % 7 == 0:
            again = learning()
            again.load(json.loads(saved(learned)))
            assert saved(again) == saved(learned)
    for each_of in (learned, again):
        each_of.take(MONDAY + (days + 2) * DAY, {"": sketch(fourier=np.ones(FEATURES))}, clean=True)
    for _ in range(2):  # the candidate, then what was learned live
        learned.accept("ada", 2.0, "fine", anyway=True)
    restored = learning()
    restored.load(json.loads(saved(learned)))
    for stream in ("ood_share", "far_share", "new_topic", "truncation"):
        assert restored.null("", stream) == learned.null("", stream)
    mix, same = learned.mix("topic_mix"), restored.mix("topic_mix")
    assert mix is not None
    assert same is not None
    assert np.array_equal(mix.upper, same.upper)
    assert set(get_args(Phase)) == {"first_contact", "reference", "baseline"}


def test_a_history_travels_as_a_command_and_gives_the_same_baseline() -> None:
    teacher, student = taught(15), learning()
    arguments = json.loads(json.dumps(teacher.payload("last month")))
    assert "candidate from last month" in student.learn(arguments)
    student.accept("ada", 1.0, "fine")
    teacher.accept("ada", 1.0, "fine")
    for stream in ("ood_share", "far_share", "new_topic"):
        assert student.null("", stream) == teacher.null("", stream)
    theirs, ours = teacher.shift(), student.shift()
    assert theirs is not None
    assert ours is not None
    assert np.array_equal(theirs.threshold, ours.threshold)
    assert (arguments["prompts"], arguments["days"]) == (15 * 48 * 600, 15)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"time_zone": "Asia/Tokyo"}, "learned with time zone UTC, windows of 60 s"),
        ({"length": 30}, "time zone UTC, windows of 60 s .* this service has UTC, windows of 30 s"),
    ],
)
def test_a_history_counted_otherwise_is_refused(windows: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        learning(**windows).learn(taught(1).payload("yesterday"))


@pytest.mark.parametrize("history", [7, "nonsense", "eJw=", ""])
def test_what_is_no_history_is_refused(history: Any) -> None:
    with pytest.raises(Refused, match="history"):
        learning().learn({"history": history})


def test_hours_are_those_of_the_clock_when_summer_time_ends() -> None:
    """Berlin, 29 October 2023: two o'clock comes twice, the day has 25 hours, and noon stays noon."""
    learned, zone = learning(time_zone="Europe/Berlin"), ZoneInfo("Europe/Berlin")
    first = int(datetime(2023, 10, 28, tzinfo=zone).astimezone(UTC).timestamp())
    for hour in range(24 + 25 + 24):
        local = datetime.fromtimestamp(first + 3600 * hour, zone)
        learned.take(first + 3600 * hour, {"": sketch(100, 50 if local.hour == 12 else 2, 1)}, clean=True)
    hours = learned._history.hours("", "ood_share").merged()
    assert learned.view().days == 3
    assert sorted(hours.n.tolist())[-1] == 200
    assert hours.hour[hours.n == 200].tolist() == [6 * 24 + 2]
    assert (hours.hour[hours.x >= 50] % 24).tolist() == [12, 12, 12]


def test_an_announced_change_of_a_topic_covers_the_mix_that_it_carries_and_nothing_else() -> None:
    learned = learning(slices=("shop",))
    learned.take(1000, {"": sketch()}, clean=True)
    learned.announce(id_="1", topic="roaming", slice_=None, until=5000.0, actor="ada", reason="campaign")
    learned.announce(id_="2", topic=None, slice_="shop", until=3000.0, actor="ada", reason="new tenant")
    assert learned.expected("", "topic_mix", 1, 2000.0) == "expected by ada: campaign"
    assert learned.expected("", "topic_mix", 0, 2000.0) is None
    assert learned.expected("", "ood_share", 1, 2000.0) is None
    assert learned.expected("", "topic_mix", 1, 5001.0) is None
    assert learned.expected("shop", "far_share", None, 2000.0) == "expected by ada: new tenant"
    assert learned.expected("shop", "far_share", None, 3001.0) is None
    again = learning(slices=("shop",))
    again.load(json.loads(saved(learned)))
    assert again.view().expectations == learned.view().expectations
    learned.take(4000, {"": sketch()}, clean=False)
    assert [each.id for each in learned.view().expectations] == ["1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"topic": "9"}, "no topic is called '9'"),
        ({"topic": "weather"}, "no topic is called"),
        ({"slice_": "shop"}, "configured are: none"),
        ({"topic": "1", "until": 999.0}, "lies in the past"),
    ],
)
def test_what_cannot_be_expected_is_refused(given: dict[str, Any], message: str) -> None:
    learned = learning()
    learned.take(1000, {"": sketch()}, clean=True)
    with pytest.raises(Refused, match=message):
        learned.announce(**{"id_": "1", "topic": None, "slice_": None, "until": 5000.0, "actor": "ada", "reason": "r", **given})
