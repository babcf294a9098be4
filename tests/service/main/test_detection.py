"""The detection table of a running service."""

from typing import Any

from service.main.detection import RISES, lines

DAY = 86400.0


def row(slice_: str = "", **more: Any) -> dict[str, Any]:
    usual = {"rate": 0.05, "null": 0.0575, "design_effect": 1.0, "prompts": 200.0, "false_page_every": 450 * DAY}
    return {"model_name": "bot", "slice": slice_, "stream": "ood_share", **usual, **more}


def test_larger_rises_are_paged_sooner_and_slices_cost_delay() -> None:
    rows = [row(), *(row(name, prompts=n, false_page_every=45_000 * DAY) for name, n in (("a", 20.0), ("b", 5.0), ("c", 9.0)))]
    table = list(lines(rows, "bot", 60.0))
    assert [cells[0] for cells in table] == ["bot", "bot, without slices", "slice a", "slice b"]
    assert all(len(cells) == 3 + len(RISES) for cells in table)
    assert table[0][2] == "never"
    assert table[0][-1] == "1.0 points or less"
    minutes = [int(cells[-2].split(" min")[0].split(" s")[0]) for cells in table]
    assert minutes[0] >= minutes[1]
    assert table[3][3] == "over a day"


def test_what_may_not_page_or_has_no_traffic_is_not_simulated() -> None:
    [cells] = lines([row(false_page_every=None)], "bot", 60.0)
    assert set(cells[2:-1]) == {"ticket"}
    [cells] = lines([row(prompts=None)], "bot", 60.0)
    assert cells[-1] == "no traffic yet"
    assert list(lines([row()], "other", 60.0)) == []


def test_what_moves_to_one_topic_is_told_from_the_learned_parameters() -> None:
    topic = row(stream="topic_mix", median_topic={"share": 0.008, "null": 0.014, "design_effect": 1.2, "categories": 101})
    table = list(lines([row(), topic], "bot", 60.0))
    assert [cells[0] for cells in table] == ["bot", "bot, all of it one topic"]
    assert table[1][5].startswith(("5 min", "6 min")), "10% of 200 prompts, as benchmarks/topic_mix.py measured"
    assert table[1][-1] == "0.6 points or less"
    [_, slow] = lines([row(), {**topic, "median_topic": {**topic["median_topic"], "design_effect": 15.0}}], "bot", 60.0)
    assert int(slow[5].split(" min")[0]) > 10, "sessions make it slower"
