"""`tiltmeter probe`, what check-config says of canaries, and the plan behind both; against the toy endpoint in this process."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import uvicorn
import yaml
from typer.testing import CliRunner

from parts.process import free_port
from probe_rows import round_
from service.config import load
from service.errors import ConfigError
from service.main import app, check, check_probes
from service.main.canaries import Canaries
from service.main.demo.toy_endpoint import create_app
from service.main.demo.toy_model import Behaviour, ToyModel
from service.main.probe_command import Asked
from service.main.run import build
from service.records.probes import Counts
from service.store import Store
from stub import StubScoring

GOLDEN = [{"id": f"sum-{i}", "prompt": f"What is {i} + {2 * i}?", "expected": str(3 * i), "category": "sums"} for i in range(1, 21)]


@pytest.fixture(scope="module")
def toy() -> Iterator[tuple[str, ToyModel]]:
    model, port = ToyModel(Behaviour()), free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(model), host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/v1", model
    server.should_exit = True
    thread.join(10)


def write(folder: Path, url: str, target: dict[str, Any] | None = None, **changes: Any) -> Path:
    (folder / "golden.jsonl").write_text("\n".join(map(json.dumps, GOLDEN)))
    live = {"url": url, "monitors": "bot", "model": "toy-1", "rate": {"per_minute": 60_000, "concurrency": 8}} | (target or {})
    probes = {"packs": ["golden"], "golden": str(folder / "golden.jsonl")} | changes.pop("probes", {})
    config = {
        "source": {"kind": "http"},
        "store": f"sqlite:///{folder}/history.db",
        "ledger": {"kind": "sql", "url": f"sqlite:///{folder}/ledger.db"},
        "models": {"bot": {"bundle": "none"}},
        "targets": {"live": live},
        "probes": probes,
    }
    path = folder / "tiltmeter.yaml"
    path.write_text(yaml.safe_dump(config | changes))
    return path


def tiltmeter(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


def test_a_good_model_passes_and_is_written_down(toy: tuple[str, ToyModel], tmp_path: Path) -> None:
    out, junit = tmp_path / "out.jsonl", tmp_path / "junit.xml"
    done = tiltmeter("probe", "--config", write(tmp_path, toy[0]), "--out", out, "--junit", junit)
    assert done.exit_code == 0, done.output
    assert "golden/own" in done.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["outcome"] for row in rows} == {"pass"}
    assert len(rows) == 20
    assert {row["output"] for row in rows} == {None}
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("live/golden/own", "20", "0")
    assert len(suite) == 20
    assert not (tmp_path / "history.db").exists()


def test_a_model_that_forgets_leaves_with_status_3(toy: tuple[str, ToyModel], tmp_path: Path) -> None:
    url, model = toy
    before, model.behaviour = model.behaviour, Behaviour(forgets=1.0)
    try:
        done = tiltmeter("probe", "--config", write(tmp_path, url), "--junit", tmp_path / "j.xml")
    finally:
        model.behaviour = before
    assert done.exit_code == 3, done.output
    assert "there is no record (0 of 400 answers), so every bad answer counts" in done.output
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()[0]
    assert int(suite.get("failures", "0")) == len(suite.findall("testcase/failure")) > 10


def test_an_endpoint_that_answers_nothing_leaves_with_status_1(toy: tuple[str, ToyModel], tmp_path: Path) -> None:
    done = tiltmeter("probe", "--config", write(tmp_path, f"{toy[0]}/nowhere"), "--junit", tmp_path / "j.xml")
    assert done.exit_code == 1, done.output
    assert "inconclusive: errors" in done.output
    assert "inconclusive" in (tmp_path / "j.xml").read_text()


def test_connecting_tries_every_target_and_judge(toy: tuple[str, ToyModel], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    judges = {"away": {"url": f"http://127.0.0.1:{free_port()}/v1", "timeouts": {"connect": 1}}}
    answers = check_probes.answers(Canaries.load(load(write(tmp_path, toy[0], judges=judges))))
    assert [(each.ok, each.text) for each in answers] == [
        (True, "targets.live answers as toy-1"),
        (False, "judges.away does not answer: connect"),
    ]
    assert capfd.readouterr().err == ""


def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(toy: tuple[str, ToyModel], tmp_path: Path) -> None:
    done = tiltmeter("probe", "--config", write(tmp_path, toy[0]), "--junit", tmp_path / "nowhere" / "j.xml")
    assert done.exit_code == 2
    assert "--junit: " in done.output
    assert "golden/own" not in done.output


def test_the_record_decides_what_is_too_much(toy: tuple[str, ToyModel], tmp_path: Path) -> None:
    assert not Asked(round_(), "sums", Counts(20, 2), (400, 20)).beyond
    assert Asked(round_(), "sums", Counts(20, 8), (400, 20)).beyond
    assert Asked(round_(), "sums", Counts(20, 1), None).beyond
    assert not Asked(round_(complete=False), "sums", Counts(20, 20), None).beyond
    url, model = toy
    path = write(tmp_path, url)
    out = tmp_path / "out.jsonl"
    tiltmeter("probe", "--config", path, "--out", out)
    key = json.loads(out.read_text().splitlines()[0])["key"]
    store = Store.open(f"sqlite:///{tmp_path}/history.db")
    known = {"suite": "golden/own", "key": key, "counts": {"sums": Counts(20, 20)}}
    store.probes.end([round_(number, id=f"r{number}", **known) for number in range(25)], "ended", 0.0)
    store.close()
    before, model.behaviour = model.behaviour, Behaviour(forgets=1.0)
    try:
        done = tiltmeter("probe", "--config", path)
    finally:
        model.behaviour = before
    assert done.exit_code == 0, done.output  # it was always like that
    assert "100.0% of 400" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--suite", "golden/nothing"), "expected suites golden/own"),
        (("--target", "other"), "targets live"),
        (("--pack", "golde"), "did you mean 'golden'?"),
        (("--pack", "injection"), "probes.acknowledge_attacks is not set"),
        (("--out", "/nowhere/out.jsonl"), "cannot be written"),
    ],
)
def test_mistakes_are_told_with_status_2(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = tiltmeter("probe", "--config", write(tmp_path, "http://127.0.0.1:9/v1"), *words)
    assert done.exit_code == 2, done.output
    assert said in done.output


@pytest.mark.parametrize(
    ("target", "changes", "said"),
    [
        ({"monitors": "nobody"}, {}, "targets.live.monitors: no such model 'nobody'; expected one of bot"),
        ({"role": "base"}, {}, "expected one of role live"),
        ({"through_gateway": True}, {}, "expected a key that signs canaries"),
        ({"key_env": "NOBODY_SETS_THIS"}, {}, "NOBODY_SETS_THIS"),
        ({"system_prompt_file": "/nowhere/system.txt"}, {}, "system_prompt_file"),
        (
            {},
            {"probes": {"every": {"golden/other": "1h"}}},
            "probes.every.golden/other: no such suite; did you mean 'golden/own'? expected one of golden/own",
        ),
        ({}, {"probes": {"every": {"golden/own": "1s"}}}, "expected at least 2s"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    monkeypatch.delenv("TILTMETER_CANARY_KEY", raising=False)
    with pytest.raises(ConfigError, match=said.replace("(", r"\(").replace("?", r"\?")):
        Canaries.load(load(write(tmp_path, "http://127.0.0.1:9/v1", target, **changes)))


def test_every_built_in_pack_stays_within_the_default_budget(tmp_path: Path) -> None:
    from service.probes.loading import built_in

    packs = {"packs": list(built_in()), "acknowledge_attacks": True, "allowed_hosts": ["127.0.0.1"]}
    canaries = Canaries.load(load(write(tmp_path, "http://127.0.0.1:9/v1", probes=packs)))
    assert not [watch.name for watch in canaries.watches if watch.blocked]
    load_ = check_probes.loads(canaries)["targets.live"]
    assert 0 < load_.calls < 500
    assert {stream.kind for stream in canaries.streams} >= {"golden", "injection", "safety", "fairness", "robustness", "fingerprint"}


def test_a_small_budget_asks_less_often_and_attacks_stay_at_home(tmp_path: Path) -> None:
    packs = {"packs": ["golden", "injection", "capability"]}
    canaries = Canaries.load(load(write(tmp_path, "http://127.0.0.1:9/v1", {"daily": {"calls": 30}}, probes=packs)))
    by_name = {watch.suite_name: watch for watch in canaries.watches}
    assert by_name["golden/own"].stretch == 1
    assert "acknowledge_attacks" in str(by_name["injection/planted"].blocked)
    assert "no room" in str(by_name["capability/general"].blocked) or by_name["capability/general"].stretch > 1
    assert check_probes.loads(canaries)["targets.live"].calls <= 27
    text = _printed(check_probes.suites(canaries))
    assert "acknowledge_attacks" in text
    nothing = Canaries.load(load(write(tmp_path, "http://127.0.0.1:9/v1", {"daily": {"calls": 0}})))
    assert nothing.streams == ()


def test_what_probes_may_page_and_judges_of_themselves_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILTMETER_CANARY_KEY", raising=False)
    url = "http://127.0.0.1:9/v1"
    config = load(write(tmp_path, url, judges={"main": {"url": url, "model": "toy-1"}}))
    canaries = Canaries.load(config)
    said = "\n".join(check_probes.notes(canaries, check._weights(config, canaries)))
    assert "probes of bot have 30.0% of both budgets: 3 streams, 1 of them may page" in said
    assert "judge main is the model of target live" in said
    assert "no key signs canaries" in said
    assert "targets.live" in _printed(check_probes.endpoints(canaries))


def test_a_worker_needs_no_packs_and_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTMETER_CANARY_KEY", "0123456789abcdef")
    config = load(write(tmp_path, "http://127.0.0.1:9/v1", {"key_env": "NOBODY_SETS_THIS"}))
    service = build(config, "worker", watched={}, scoring=StubScoring())
    assert service.probing is None
    assert service._returns is not None
    service.stop()
    with pytest.raises(ConfigError, match="NOBODY_SETS_THIS"):
        build(config, "decider", watched={})


def _printed(table: Any) -> str:
    from rich.console import Console

    console = Console(width=300, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()
