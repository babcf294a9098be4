"""The examples of gates do what they say: conditions and paths against what the API answers, the workflow's script as a runner runs it."""

import functools
import re
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from probe_log import Rounds, stream
from typer.main import get_command
from web import make

from service.main import app, gate, gates

ROOT = Path(__file__).parents[2]
GATES = ROOT / "examples" / "gates"
VERDICTS, PHASES = ("pass", "fail", "inconclusive"), ("Successful", "Failed", "Inconclusive")


@functools.cache
def answering(verdict: str) -> TestClient:
    """The API over a decider that has seen a record of 400 answers, and then a release."""
    rate, rounds = {"pass": (0.1, 30), "fail": (0.5, 12), "inconclusive": (0.1, 2)}[verdict]
    seen = Rounds(stream(), seed=1, gates={"scale": {"model": "bot", "stage": "A"}}).run(20, 0.1).run(rounds, rate, key="key-2").picture()
    return TestClient(make(gates=lambda: gates.rows(replace(seen, published=time.time()))).app)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((GATES / "argo-rollouts.yaml").read_text()))
    assert [document["kind"] for document in documents] == ["AnalysisTemplate", "Rollout"]
    used = [step["analysis"] for step in documents[1]["spec"]["strategy"]["canary"]["steps"] if "analysis" in step]
    known = {argument["name"] for argument in documents[0]["spec"]["args"]}
    for analysis in used:
        assert analysis["templates"] == [{"templateName": documents[0]["metadata"]["name"]}]
        assert {argument["name"] for argument in analysis["args"]} <= known
    found: dict[str, Any] = documents[0]["spec"]
    return found


def asked(template: dict[str, Any], **arguments: str) -> str:
    """The URL as Argo fills it in."""
    values = {argument["name"]: argument.get("value") for argument in template["args"]} | arguments
    return re.sub(r"\{\{\s*args\.([\w-]+)\s*\}\}", lambda found: values[found[1]], template["metrics"][0]["provider"]["web"]["url"])


def measured(metric: dict[str, Any], body: Any) -> str:
    """A measurement as Argo makes it: Kubernetes' JSONPath in braces, then both conditions. Only what the example uses is known here."""
    keys = re.fullmatch(r"\{\$((?:\.\w+)+)\}", metric["provider"]["web"]["jsonPath"])
    assert keys is not None
    for key in keys[1].strip(".").split("."):
        body = body[key]

    def holds(condition: str) -> bool:
        compared = re.fullmatch(r'result == "(\w+)"', condition)
        assert compared is not None
        return bool(body == compared[1])

    if holds(metric["failureCondition"]):
        return "Failed"
    return "Successful" if holds(metric["successCondition"]) else "Inconclusive"


@pytest.mark.parametrize(("verdict", "phase"), list(zip(VERDICTS, PHASES, strict=True)))
def test_argo_measures_what_the_gate_says(template: dict[str, Any], verdict: str, phase: str) -> None:
    (metric,) = template["metrics"]
    url = asked(template, gate="scale")
    assert url.startswith("http://tiltmeter.monitoring:9108/v1/gates/scale")
    answer = answering(verdict).get(url)
    assert answer.status_code == 200
    assert measured(metric, answer.json()) == phase
    early = answering(verdict).get(asked(template, gate="scale", since="2100-01-01T00:00:00Z"))
    assert measured(metric, early.json()) == "Inconclusive"
    assert answering(verdict).get(asked(template, gate="pilot")).status_code == 404


def test_argo_never_calls_an_inconclusive_gate_a_success(template: dict[str, Any]) -> None:
    """A metric with a count is successful when the count is reached and no limit was passed."""
    (metric,) = template["metrics"]
    assert "count" not in metric
    assert (metric["failureLimit"], metric["consecutiveSuccessLimit"]) == (0, 1)
    assert metric["inconclusiveLimit"] > 0


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GATES / "github-workflow.yaml").read_text())["jobs"]
    return found


def test_the_workflow_goes_a_way_of_its_own_for_each_verdict(jobs: dict[str, Any]) -> None:
    conditions = {name: job["if"] for name, job in jobs.items() if "if" in job}
    assert conditions == {
        "promote": "needs.gate.outputs.verdict == 'pass'",
        "promote-by-hand": "needs.gate.outputs.verdict == 'inconclusive'",
        "roll-back": "needs.gate.outputs.verdict == 'fail'",
    }
    assert "environment" in jobs["promote-by-hand"]
    for job in jobs.values():
        assert set([job["needs"]] if "needs" in job else []) <= set(jobs)
        for output in job.get("outputs", {}).values():
            step = re.search(r"steps\.(\w+)\.outputs\.(\w+)", output)
            assert step is not None
            assert any(each.get("id") == step[1] and f"{step[2]}=" in each["run"] for each in job["steps"])


def test_the_workflows_command_is_one(jobs: dict[str, Any]) -> None:
    step = next(step for step in jobs["gate"]["steps"] if step.get("id") == "ask")
    line = next(line for line in step["run"].splitlines() if line.startswith("tiltmeter "))
    words = shlex.split(line.partition(" >")[0])
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert set(re.findall(r"\$([A-Z]+)\b", line)) <= step["env"].keys()


@pytest.mark.parametrize(("status", "verdict"), [(0, "pass"), (3, "fail"), (4, "inconclusive"), (1, None), (2, None), (137, None)], ids=str)
def test_the_workflows_script_tells_the_verdict_or_ends(jobs: dict[str, Any], tmp_path: Path, status: int, verdict: str | None) -> None:
    """Run as GitHub runs a step that names no shell: bash -e, without pipefail."""
    (tmp_path / "tiltmeter").write_text(f"#!/bin/sh\necho the table\nexit {status}\n")
    (tmp_path / "tiltmeter").chmod(0o755)
    step = next(step for step in jobs["gate"]["steps"] if step.get("id") == "ask")
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    given = {name: "x" for name in step["env"]} | {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_OUTPUT": str(outputs)}
    done = subprocess.run(["bash", "-e", "-c", step["run"]], env=given | {"GITHUB_STEP_SUMMARY": str(summary)}, cwd=tmp_path)
    assert done.returncode == (0 if verdict else status)
    assert (outputs.read_text() if outputs.exists() else None) == (f"verdict={verdict}\n" if verdict else None)
    assert "the table" in summary.read_text()


def test_the_statuses_of_the_script_are_those_of_the_command() -> None:
    script = (GATES / "github-workflow.yaml").read_text()
    assert {verdict: int(status) for status, verdict in re.findall(r"(\d)\) verdict=(\w+)", script)} == gate._STATUS
