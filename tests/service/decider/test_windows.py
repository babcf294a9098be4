"""Event time: what closes a window, what holds it open, what is late, and what can never fill the memory."""

import math

import pytest
from decider_log import LENGTH, START, Log, settings, sketch, watched
from hypothesis import given
from hypothesis import strategies as st

from service.decider import windows as module
from service.decider.decider import Decider
from service.decider.windows import OpenWindows
from service.records import DeltaKey, Progress, Report

CLOSES = START + LENGTH + 30


def wall(**changes: float) -> OpenWindows:
    return OpenWindows(settings(windows={"clock": "wall", **changes}).windows)


def report(sent: float, worker: str = "w", names: tuple[str, ...] = (), **progress: Progress) -> Report:
    """Partitions written ``prompts_0`` are named ``prompts/0``."""
    reached = {name.replace("_", "/"): value for name, value in progress.items()}
    return Report(worker, {}, reached, frozenset({*reached, *names}), sent)


def add(windows: OpenWindows, start: int = START, n: int = 100, slice: str = "") -> None:
    windows.add(DeltaKey("B", "bot", slice, start), sketch(n, 0, 0))


def test_a_window_closes_when_the_slowest_partition_has_passed_its_end_by_grace() -> None:
    windows = wall()
    add(windows)
    windows.report(report(CLOSES + 50, prompts_0=Progress(CLOSES + 50), prompts_1=Progress(CLOSES - 0.001)))
    assert windows.due() is None
    windows.report(report(CLOSES + 50, prompts_1=Progress(CLOSES)))
    due = windows.due()
    assert due is not None
    assert due[0] == START
    assert windows.due() is None


def test_windows_close_in_the_order_of_their_start_and_deltas_add() -> None:
    windows = wall()
    for start in (START + 120, START, START + 60, START):
        add(windows, start)
    windows.report(report(CLOSES + 500, prompts_0=Progress(CLOSES + 500)))
    closed = [windows.due() for _ in range(3)]
    assert [due and due[0] for due in closed] == [START, START + 60, START + 120]
    assert [due and sum(s.n for s in due[1].values()) for due in closed] == [200, 100, 100]


def test_bundles_and_slices_are_kept_apart() -> None:
    windows = wall()
    keys = [DeltaKey(bundle, "bot", slice_, START) for bundle in "AB" for slice_ in ("", "tenant")]
    for key in keys:
        windows.add(key, sketch())
    windows.report(report(CLOSES, prompts_0=Progress(CLOSES)))
    due = windows.due()
    assert due is not None
    assert set(due[1]) == set(keys)


def test_what_comes_after_its_window_has_closed_is_counted_once_for_the_whole_and_left_out() -> None:
    windows = wall()
    windows.report(report(CLOSES, prompts_0=Progress(CLOSES)))
    add(windows, START, n=7)
    add(windows, START, n=4, slice="tenant")
    add(windows, START + 60, n=5)
    assert windows.late == {"bot": 7}
    assert len(windows) == 1


@pytest.mark.parametrize("gone", ["idle", "ended"])
def test_an_idle_or_ended_partition_leaves_the_minimum(gone: str) -> None:
    windows = wall()
    windows.report(report(CLOSES, prompts_0=Progress(CLOSES), prompts_1=Progress(START, **{gone: True})))
    assert windows.watermark == CLOSES


def test_a_partition_known_but_never_reported_holds_windows_open_and_is_named() -> None:
    windows = wall()
    add(windows)
    windows.report(report(CLOSES, names=("prompts/1",), prompts_0=Progress(CLOSES)))
    assert windows.due() is None
    assert windows.blind(CLOSES + 1000) == ("no worker has reported for 1000 s",)
    windows.report(report(CLOSES + 999, names=("prompts/1",), prompts_0=Progress(CLOSES + 999)))
    assert windows.blind(CLOSES + 1000) == ("partition prompts/1 is read by no worker",)


def test_when_all_are_idle_the_workers_clocks_move_time_with_clock_wall_only() -> None:
    idle = Progress(START + 10, idle=True)
    moving, standing = wall(), OpenWindows(settings().windows)
    for windows in (moving, standing):
        add(windows)
        windows.report(report(CLOSES + 60, prompts_0=idle))
    assert moving.watermark == CLOSES
    assert standing.watermark == -math.inf


def test_the_end_of_everything_closes_what_is_open_without_claiming_the_future() -> None:
    windows = OpenWindows(settings().windows)
    add(windows)
    windows.report(report(0, file=Progress(START + 10, ended=True)))
    assert windows.due() is not None
    add(windows, START + 60)
    assert windows.late == {}


def test_a_silent_kafka_worker_holds_windows_open_and_blinds() -> None:
    windows = wall()
    add(windows)
    windows.report(report(START + 70, "one", prompts_0=Progress(START + 70)))
    windows.report(report(START + 70, "two", prompts_1=Progress(START + 70)))
    for sent in range(START + 85, START + 600, 15):
        windows.report(report(sent, "one", ("prompts/1",), prompts_0=Progress(sent)))
    assert windows.due() is None
    assert windows.blind(START + 600) == ("partition prompts/1: worker two silent for 530 s",)


def test_a_silent_http_worker_leaves_the_minimum_after_its_lease_and_is_counted() -> None:
    windows = wall()
    add(windows)
    windows.report(report(START + 70, "two", http_two=Progress(START + 50)))
    windows.report(report(START + 129, "one", http_one=Progress(START + 109)))
    assert windows.due() is None
    windows.report(report(START + 131, "one", http_one=Progress(START + 111)))
    assert windows.due() is not None
    assert windows.lost == 1


def test_a_worker_that_leaves_holds_no_window_and_one_that_comes_back_finds_none_closed_too_early() -> None:
    """What an HTTP worker says when it is stopped; posts that come after its return are at most ``max_skew`` old."""
    windows = wall()
    add(windows)
    names = {"http_w": Progress(START + 10)}
    windows.report(report(START + 30, **names))
    windows.report(report(CLOSES, worker="v", http_v=Progress(CLOSES)))
    assert windows.due() is None
    windows.report(report(START + 31, http_w=Progress(START + 11, idle=True)))
    assert windows.due() is not None
    alone = wall()
    alone.report(report(START + 30, http_w=Progress(START + 11, idle=True)))
    alone.report(report(CLOSES + 1))  # back, before its first progress
    assert alone.watermark < START + 60
    alone.report(report(CLOSES + 500, worker="v"))
    assert alone.lost == 0
    alone.advance(CLOSES + 600)
    assert alone.watermark > CLOSES + 500


def test_a_partition_that_another_worker_takes_over_keeps_its_time() -> None:
    windows = wall()
    windows.report(report(CLOSES, "one", prompts_0=Progress(CLOSES)))
    windows.report(report(CLOSES + 5, "two", prompts_0=Progress(-math.inf)))
    windows.report(report(CLOSES + 6, "three", prompts_1=Progress(CLOSES + 6)))
    assert windows.watermark == CLOSES


def test_a_partition_that_nobody_names_any_more_stops_holding_windows_open() -> None:
    windows = wall()
    add(windows)
    windows.report(report(START, "w", old_0=Progress(START)))
    for sent in range(START, START + 420, 15):
        windows.report(report(sent, "w", new_0=Progress(sent)))
    assert windows.lost == 1
    assert windows.due() is not None


def test_records_of_2099_neither_move_time_nor_stay() -> None:
    windows, future = wall(), 4_080_000_000
    add(windows, future - future % 60, n=3)
    add(windows)
    windows.report(report(START + 20, prompts_0=Progress(float(future))))
    assert windows.watermark == START + 40
    assert windows.refused == {"bot": 3}
    assert len(windows) == 1


def test_records_of_1970_are_late() -> None:
    windows = wall()
    windows.report(report(CLOSES, prompts_0=Progress(CLOSES)))
    for start in range(0, 60_000, 60):
        add(windows, start, n=1)
    assert len(windows) == 0
    assert windows.late == {"bot": 1000}


def test_memory_is_bounded_and_the_oldest_windows_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 50)
    windows = OpenWindows(settings().windows)
    for i in reversed(range(200)):
        add(windows, START + 60 * i, n=1)
    assert len(windows) == 50
    assert windows.refused == {"bot": 150}
    windows.report(report(0, file=Progress(START + 60 * 300)))
    assert [due[0] for due in iter(windows.due, None)] == [START + 60 * i for i in range(50)]


def test_a_flood_of_refused_windows_leaves_nothing_behind() -> None:
    windows = wall()
    add(windows)
    for i in range(2000):
        add(windows, 4_080_000_000 + 60 * (i % 7))
        windows.report(report(START + 20, prompts_0=Progress(START + 20)))
    assert windows.refused == {"bot": 200_000}
    assert len(windows._order) < 200


def test_a_jump_of_fifty_years_costs_nothing(log: Log) -> None:
    decider = Decider(watched(), settings())
    decider.absorb(log.window(0).window(START).drain())
    assert [step.window for step in decider.close_due(None)] == [0, START]


def test_the_watermark_never_falls() -> None:
    windows = wall()
    windows.report(report(CLOSES, prompts_0=Progress(CLOSES)))
    windows.report(report(CLOSES + 1, "two", ("prompts/1",), prompts_0=Progress(CLOSES)))
    assert windows.watermark == CLOSES


def test_blind_before_the_first_report_and_when_all_workers_fall_silent() -> None:
    windows = wall()
    assert windows.blind(START) == ("no worker has reported yet",)
    windows.report(report(START, prompts_0=Progress(START)))
    assert windows.blind(START + 299) == ()
    assert windows.blind(START + 301) == ("no worker has reported for 301 s",)


def test_a_worker_that_has_not_reached_its_broker_is_blind_and_moves_no_time() -> None:
    windows = wall()
    add(windows)
    for sent in range(START, START + 900, 15):
        windows.report(report(sent))
    assert windows.blind(START + 900) == ("no worker has reached its input yet",)
    assert windows.watermark == -math.inf
    assert windows.due() is None


def test_a_partition_just_assigned_is_said_to_be_unread() -> None:
    windows = wall()
    windows.report(report(START, prompts_0=Progress(-math.inf)))
    assert windows.blind(START + 1) == ("partition prompts/0: nothing read yet",)


def test_a_restart_while_the_broker_is_away_keeps_the_partitions_and_makes_nothing_late() -> None:
    windows = wall()
    windows.report(report(START, prompts_0=Progress(START)))
    for sent in range(START + 15, START + 900, 15):
        windows.report(report(sent, "restarted"))
    assert windows.blind(START + 900) == ("partition prompts/0: worker w silent for 900 s",)
    assert (windows.watermark, windows.lost) == (START, 0)
    windows.report(report(START + 900, "restarted", prompts_0=Progress(START + 30)))
    add(windows)
    assert windows.late == {}


def test_wall_time_stands_in_for_reports_that_do_not_come() -> None:
    windows = wall()
    add(windows)
    windows.report(report(START + 70, http_one=Progress(START + 50)))
    windows.advance(START + 131)
    assert windows.lost == 1
    assert windows.watermark == START + 71
    windows.advance(CLOSES + 60)
    assert windows.due() is not None


def test_state_survives_json() -> None:
    windows = wall()
    add(windows)
    windows.report(report(START + 70, names=("prompts/1",), prompts_0=Progress(START + 50)))
    again = OpenWindows.from_json(settings(windows={"clock": "wall"}).windows, windows.to_json())
    assert again.to_json() == windows.to_json()
    for each in (windows, again):
        each.report(report(CLOSES + 9, prompts_0=Progress(CLOSES), prompts_1=Progress(CLOSES)))
        assert each.due() is not None


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("delta"), st.integers(0, 30), st.integers(1, 50)),
        st.tuples(st.just("report"), st.integers(0, 2), st.integers(0, 40), st.sampled_from(["", "idle", "ended"])),
        st.tuples(st.just("silence"), st.integers(0, 3000)),
    ),
    max_size=80,
)


@given(OPERATIONS, st.sampled_from(["wall", "event"]))
def test_every_prompt_is_closed_once_open_late_or_refused_and_time_never_falls(operations: list[tuple], clock: str) -> None:
    windows = OpenWindows(settings(windows={"clock": clock}).windows)
    given_prompts, closed, seen, watermark = 0, 0, set(), -math.inf
    for name, *values in operations:
        if name == "delta":
            add(windows, START + 60 * values[0], n=values[1])
            given_prompts += values[1]
        elif name == "report":
            time = START + 60.0 * values[1]
            progress = Progress(time, **({values[2]: True} if values[2] else {}))
            windows.report(Report(f"w{values[0]}", {}, {f"http/{values[0]}": progress}, frozenset(), time))
        else:
            windows.advance(START + values[0])
        assert windows.watermark >= watermark
        watermark = windows.watermark
        starts = []
        while due := windows.due():
            starts.append(due[0])
            closed += sum(each.n for each in due[1].values())
            assert due[0] + LENGTH + 30 <= windows.watermark
        assert starts == sorted(starts)
        assert not seen & set(starts), "a window closed twice"
        seen.update(starts)
    left = sum(each.n for held in windows._open.values() for each in held.values())
    assert closed + left + sum(windows.late.values()) + sum(windows.refused.values()) == given_prompts
