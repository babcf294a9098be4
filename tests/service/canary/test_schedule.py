"""When a suite is asked."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from service.canary.schedule import Schedule
from service.canary.share import Need, stretches
from service.probes.window import Window

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()
names = st.text("abc/", min_size=1, max_size=8)
intervals = st.one_of(st.floats(2, 90), st.sampled_from([60.0, 3600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0]))


@given(names, intervals, st.floats(0, 1), st.floats(1e9, 2e9))
def test_slots_follow_each_other_and_are_the_same_for_everybody(name: str, every: float, jitter: float, now: float) -> None:
    schedule, other = Schedule(name, every, jitter), Schedule(name, every, jitter)
    slot = schedule.current(now)
    assert slot is not None
    assert slot.scheduled <= now < slot.deadline
    assert slot == other.current(now)
    following = schedule.slot(slot.number + 1)
    assert following is not None
    assert slot.scheduled < slot.deadline == following.scheduled
    assert schedule.upcoming(now) == following
    assert schedule.current(slot.scheduled) == schedule.current(slot.deadline - 0.5) == slot


def test_suites_do_not_begin_together_and_a_round_wanders() -> None:
    starts = [Schedule(f"bot/live/pack/{i}", 3600.0).slot(500_000).scheduled for i in range(50)]
    assert len({start // 60 for start in starts}) > 15
    one = [Schedule("a", 3600.0, 0.1).slot(number).scheduled % 3600 for number in range(500_000, 500_200)]
    assert 250 < max(one) - min(one) <= 360


def test_a_window_is_that_of_the_local_clock_also_when_it_changes() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    schedule = Schedule("a", 86_400.0, 0.1, Window.parse("08:00-10:00"), "Europe/Berlin")
    first = schedule.upcoming(NOW).number
    days = [datetime.fromtimestamp(slot.scheduled, berlin) for number in range(first, first + 60) if (slot := schedule.slot(number))]
    assert len(days) == 60  # a daily suite whose own time lies outside is asked when the window opens, on every day
    assert {day.hour for day in days} <= {8, 9}
    hourly = Schedule("b", 3600.0, 0.1, Window.parse("Mon-Fri 08:00-18:00"), "Europe/Berlin")
    assert round(hourly.rounds_a_day() * 7) in range(50, 57)


def test_every_hour_of_a_day_with_25_has_a_round_of_its_own() -> None:
    autumn = datetime(2026, 10, 25, 0, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    schedule = Schedule("a", 3600.0, 0.1, zone="Europe/Berlin")
    seen = {schedule.current(autumn + 60 * minute).scheduled for minute in range(25 * 60)}
    assert len(seen) in (25, 26)


def test_a_closed_window_has_no_slot() -> None:
    schedule = Schedule("a", 600.0, 0.1, Window.parse("Sat-Sun 00:00-24:00"))
    assert schedule.current(NOW) is None  # a Monday
    upcoming = schedule.upcoming(NOW)
    assert upcoming is not None
    assert datetime.fromtimestamp(upcoming.scheduled, UTC).strftime("%a") == "Sat"


def need(name: str, rank: int, part: float, every: float = 3600.0, **more: float) -> Need:
    return Need(name, rank, every, {"live": part, **more}, 86_400 / every)


def test_a_small_budget_stretches_what_matters_least() -> None:
    assert stretches([need("golden", 0, 0.01), need("safety", 1, 0.01)]) == {"golden": 1, "safety": 1}
    found = stretches([need("golden", 0, 0.03), need("a", 2, 0.01), need("b", 2, 0.01)])
    assert found["golden"] == 1
    assert found["a"] == found["b"] == 3  # 0.18 left of 0.9 for 0.48
    assert stretches([need("golden", 0, float("inf"))]) == {"golden": None}
    both = stretches([need("golden", 0, 0.01, base=0.1)])
    assert both == {"golden": 3}  # the base model's budget holds it back


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.0001, 2.0), st.sampled_from([600.0, 3600.0, 86_400.0])), max_size=12))
def test_what_is_planned_never_exceeds_a_day(suites: list[tuple[int, float, float]]) -> None:
    needs = [need(str(i), rank, part, every) for i, (rank, part, every) in enumerate(suites)]
    found = stretches(needs)
    assert set(found) == {each.name for each in needs}
    used = sum(each.round["live"] * each.rounds_a_day / stretch for each in needs if (stretch := found[each.name]))
    assert used <= 0.9 + 1e-9


def test_rounds_that_are_over_and_of_which_nobody_was_told_are_missed() -> None:
    schedule = Schedule("a", 600.0, 0.1)
    slots = [schedule.slot(int(NOW // 600) + i) for i in range(5)]
    first, second, third, fourth, _ = slots
    assert None not in slots
    ended = first.scheduled + 30
    assert schedule.missed(ended, first.deadline) == 0
    assert schedule.missed(ended, second.deadline - 1) == 0  # it may still come
    assert schedule.missed(ended, second.deadline + 1) == 1
    assert schedule.missed(ended, fourth.deadline + 1) == 3
    assert schedule.missed(third.scheduled + 30, fourth.deadline + 1) == 1
    assert schedule.missed(fourth.deadline, ended) == 0  # a clock that went back


def test_a_closed_window_misses_nothing() -> None:
    hourly = Schedule("b", 3600.0, 0.1, Window.parse("Mon-Fri 08:00-18:00"), "Europe/Berlin")
    friday = datetime(2026, 3, 6, 18, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    monday = datetime(2026, 3, 9, 7, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert hourly.missed(friday, monday) == 0
    assert hourly.missed(friday, monday + 4 * 3600.0) in (3, 4)  # the first one may have opened with the window
    minutely = Schedule("c", 60.0, 0.1, Window.parse("Mon-Fri 08:00-18:00"), "Europe/Berlin")
    assert minutely.missed(friday, monday) == 0
