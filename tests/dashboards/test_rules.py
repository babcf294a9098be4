"""The alert rules: a runbook for each, known metrics only, and promtool's own cases."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from parts import require
from service.metrics import DEFINITIONS

FOLDER = Path(__file__).resolve().parents[2] / "dashboards" / "rules"
ROOT = FOLDER.parents[1]
RULES: list[dict[str, Any]] = [
    rule for path in sorted(FOLDER.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
]
CASES = sorted((FOLDER / "tests").glob("*.yaml"))


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        require.lacking("prometheus", "no promtool on the path (Debian: prometheus)")
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_is_complete(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert re.fullmatch(r"Tiltmeter[A-Z][a-z]+", name)
    runbook = ROOT / rule["annotations"]["runbook_url"]
    assert runbook == ROOT / "docs" / "runbooks" / f"{name}.md"
    assert runbook.read_text().startswith(f"# {name}\n")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["summary"].endswith(".")
    assert "$" not in rule["annotations"]["summary"]
    assert not any("$value" in str(value) for value in rule["labels"].values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_uses_known_metrics_and_labels(rule: dict[str, Any]) -> None:
    labels = {definition.name: definition.labels for definition in DEFINITIONS}
    used = re.findall(r"\b(tiltmeter_\w+)(?:\{(\w+)=)?", rule["expr"])
    assert used or "up{" in rule["expr"]
    for metric, label in used:
        assert metric in labels
        assert not label or label in labels[metric]
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]):
        assert label in {"job", "instance"} or all(label in labels[metric] for metric, _ in used)


def test_only_drift_that_pages_is_critical() -> None:
    assert [rule["alert"] for rule in RULES if rule["labels"]["severity"] == "critical"] == ["TiltmeterPage"]


def test_every_runbook_has_an_alert_and_every_alert_a_case() -> None:
    alerts = {rule["alert"] for rule in RULES}
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"how-to-read-a-page"} == alerts
    tested = {
        case["alertname"]
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert tested == alerts


def test_promtool_accepts_the_rules(promtool: str) -> None:
    rules = [str(path) for path in sorted(FOLDER.glob("*.yaml"))]
    done = subprocess.run([promtool, "check", "rules", "--lint=all", "--lint-fatal", *rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_promtool_cases(promtool: str, case: Path) -> None:
    done = subprocess.run([promtool, "test", "rules", case.name], cwd=case.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
