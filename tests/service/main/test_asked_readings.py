"""From the runner's counters and each endpoint's budget to /metrics."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from service import metrics
from service.canary.runner import Runner
from service.canary.seams import Seams
from service.config import load
from service.main import asked_readings
from service.main.canaries import Canaries
from service.main.clients import Opened
from service.metrics import AskedReading, Reading
from service.probes.budget import Cost
from service.records.probes import Counts, Reply

NOW = 1_772_409_600.0
LIVE = {"model_name": "bot", "target": "live", "role": "live"}
SUITE = ("bot", "live", "formats/structured")
JUDGED = ("bot", "main", "judge/main")

PACK = """
schema: tiltmeter.pack/v1
id: judged
version: 1
license: Apache-2.0
suites:
  - {id: kind, kind: golden, graders: [{type: llm_judge, judge: main, rubric: "Is it kind?"}], items: [{id: one, prompt: Hello}]}
"""


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    url = "http://127.0.0.1:9/v1"
    (tmp_path / "judged.yaml").write_text(PACK)
    raw = {
        "source": {"kind": "http"},
        "models": {"bot": {"bundle": str(tmp_path), "owner": "team"}},
        "targets": {
            "live": {"monitors": "bot", "url": url, "daily": {"calls": 500, "money": 7}, "price": {"input": 100, "output": 200}},
            "base": {"monitors": "bot", "role": "base", "url": url},
            "old": {"monitors": "bot", "role": "previous", "url": url, "daily": {"calls": 0}},
        },
        "judges": {"main": {"url": url, "daily": {"calls": None}}},
        "probes": {"packs": ["formats", "injection", str(tmp_path / "judged.yaml")]},
    }
    (tmp_path / "tiltmeter.yaml").write_text(yaml.safe_dump(raw))
    return Canaries.load(load(tmp_path / "tiltmeter.yaml"))


@pytest.fixture
def opened(canaries: Canaries) -> Iterator[Opened]:
    opened = Opened(canaries)
    yield opened
    asyncio.run(opened.aclose())


def runner(opened: Opened) -> Runner:
    return opened.runner(None, Seams(lambda round: None, lambda: True, lambda: NOW))  # type: ignore[arg-type]


def exported(reading: AskedReading) -> CollectorRegistry:
    return metrics.registry(lambda: Reading(asked=reading))


def test_every_suite_and_endpoint_is_there_before_anything_was_asked(canaries: Canaries, opened: Opened) -> None:
    reading = asked_readings.reading(canaries, None, opened, {}, NOW, NOW)
    assert set(reading.suites) == {SUITE, ("bot", "live", "judged/kind"), JUDGED}  # attacks are not acknowledged
    found = exported(reading)
    for verdict in metrics.asking.VERDICTS:
        labels = dict(zip(("model_name", "target", "suite"), SUITE, strict=True)) | {"verdict": verdict}
        assert found.get_sample_value("tiltmeter_probe_ended_rounds_total", labels) == 0
    assert found.get_sample_value("tiltmeter_probe_request_errors_total", {**LIVE, "error": "server"}) == 0
    assert found.get_sample_value("tiltmeter_probe_request_errors_total", {**LIVE, "error": "budget"}) is None
    assert found.get_sample_value("tiltmeter_probe_answer_seconds_count", LIVE) == 0
    judge = {"model_name": "", "target": "main", "role": "judge"}
    assert found.get_sample_value("tiltmeter_probe_requests_total", judge) == 0
    assert found.get_sample_value("tiltmeter_probe_judge_unparsed_total", {"judge": "main"}) == 0


def test_what_an_endpoint_cost_is_told_by_direction_and_what_is_left_by_limit(canaries: Canaries, opened: Opened) -> None:
    opened.traffic["targets.live"].add(Reply(text="a", seconds=0.3, first_token=0.02, tokens_in=500, tokens_out=100))
    budget = opened.clients["targets.live"].budget
    assert budget.reserve(Cost(1, 600, 0.7))
    budget.settle(Cost(1, 600, 0.7), Cost(1, 600, 0.7))
    found = exported(asked_readings.reading(canaries, None, opened, {}, NOW, NOW))
    tokens, money = (
        [found.get_sample_value(f"tiltmeter_probe_{name}_total", {**LIVE, "direction": each}) for each in ("input", "output")]
        for name in ("tokens", "money")
    )
    assert tokens == [500, 100]
    assert money == pytest.approx([0.05, 0.02])
    left = {
        each: found.get_sample_value("tiltmeter_probe_budget_remaining_ratio", {**LIVE, "budget": each})
        for each in ("calls", "tokens", "money")
    }
    assert left == {"calls": 0.998, "tokens": None, "money": pytest.approx(0.9)}
    assert found.get_sample_value("tiltmeter_probe_first_token_seconds_bucket", {**LIVE, "le": "0.02"}) == 1
    old = {"model_name": "bot", "target": "old", "role": "previous", "budget": "calls"}
    assert found.get_sample_value("tiltmeter_probe_budget_remaining_ratio", old) is None  # switched off, not nearly spent


def test_rounds_are_missed_since_the_newest_that_was_told_or_since_the_start(canaries: Canaries, opened: Opened) -> None:
    day = 86_400.0
    schedule = dict(asked_readings._schedules(canaries, None))[SUITE]
    assert schedule.interval == day
    fresh = asked_readings.reading(canaries, None, opened, {}, NOW, NOW + 3600)
    assert set(fresh.missed.values()) == {0}
    never = asked_readings.reading(canaries, None, opened, {}, NOW, NOW + 5 * day)
    assert set(never.missed) == {SUITE, ("bot", "live", "judged/kind"), JUDGED}
    assert min(never.missed.values()) >= 3
    told = asked_readings.reading(canaries, None, opened, {SUITE: NOW + 4.8 * day}, NOW, NOW + 5 * day)
    assert told.missed[SUITE] <= 1
    restarted = asked_readings.reading(canaries, None, opened, {SUITE: NOW}, NOW + 5 * day, NOW + 5 * day)
    assert restarted.missed[SUITE] >= 3  # a process that restarts each day must not look as if it asked
    assert restarted.missed[JUDGED] == 0


def test_a_standby_tells_no_missing_round_and_no_budget(canaries: Canaries, opened: Opened) -> None:
    reading = asked_readings.reading(canaries, runner(opened), opened, None, NOW, NOW + 1e6)
    assert not reading.missed
    assert not any(end.left for end in reading.endpoints)
    assert "tiltmeter_probe_missed_rounds" not in {sample.name for family in exported(reading).collect() for sample in family.samples}


def test_counters_of_the_runner_come_out_with_all_outcomes_of_a_category(canaries: Canaries, opened: Opened) -> None:
    asks = runner(opened)
    place = "bot", "live", "live", "formats/structured", "capability"
    asks.totals.outcomes[*place, "json", "fail"] += 2
    asks.totals.failures[*place, "format"] += 2
    asks.totals.skipped["bot", "live", "formats/structured", "budget"] += 26
    asks.totals.unparsed["main"] += Counts(unscored=3).unscored
    found = exported(asked_readings.reading(canaries, asks, opened, {}, NOW, NOW))
    labels = dict(zip(("model_name", "target", "role", "suite", "kind"), place, strict=True))
    outcomes = [
        found.get_sample_value("tiltmeter_probe_results_total", {**labels, "category": "json", "outcome": each})
        for each in ("pass", "fail", "unscored", "error")
    ]
    assert outcomes == [0, 2, 0, 0]
    assert found.get_sample_value("tiltmeter_probe_failures_total", {**labels, "failure_kind": "format"}) == 2
    suite = {"model_name": "bot", "target": "live", "suite": "formats/structured"}
    assert found.get_sample_value("tiltmeter_probe_skipped_questions_total", {**suite, "reason": "budget"}) == 26
    assert found.get_sample_value("tiltmeter_probe_judge_unparsed_total", {"judge": "main"}) == 3
