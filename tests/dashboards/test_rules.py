"""The alert rules: a runbook for each, known metrics only, and promtool's own cases."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.overview import UID
from parts import require
from service.metrics import DEFINITIONS, KINDS, names

FOLDER = Path(__file__).resolve().parents[2] / "dashboards" / "rules"
ROOT = FOLDER.parents[1]
ALL: list[dict[str, Any]] = [
    rule for path in sorted(FOLDER.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
]
RULES = [rule for rule in ALL if "alert" in rule]
RECORDED = {rule["record"]: rule for rule in ALL if "record" in rule}
CASES = sorted((FOLDER / "tests").glob("*.yaml"))
VERDICTS, HOLD, PROBES = (FOLDER / "tests" / f"{name}_test.yaml" for name in ("verdicts", "hold", "probes"))
OF_KIND = {match[1]: rule["alert"] for rule in RULES if (match := re.search(r'tiltmeter_severity:max\{kind="(\w+)"', rule["expr"]))}

OLDER = {"TiltmeterBlind", "TiltmeterUndecided", "TiltmeterDown", "TiltmeterWatchdog"}
"""Alerts whose runbooks have fewer headings: there is nothing to accept or to acknowledge."""

FLOW, REFERENCE, OBJECTIVE = (FOLDER / "tests" / f"{name}_test.yaml" for name in ("flow", "reference", "objective"))
FRESH = "max without (instance, pod, container, endpoint) (tiltmeter_last_verdict_timestamp_seconds) < 300"
BLIND = 'tiltmeter_stream_state{state="blind"} == 1\n                  and'


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        require.lacking("prometheus", "no promtool on the path (Debian: prometheus)")
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_is_complete(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert re.fullmatch(r"Tiltmeter([A-Z][a-z]+)+", name)
    base, runbook_url = rule["annotations"]["runbook_url"].split(" }}")
    assert base == "{{ $externalLabels.tiltmeter_runbooks_url"
    runbook = ROOT / runbook_url
    assert runbook == ROOT / "docs" / "runbooks" / f"{name}.md"
    assert runbook.read_text().startswith(f"# {name}\n")
    links = {"runbook_url", "dashboard_url"} | ({"incident_url"} if name in OF_KIND.values() else set())
    assert set(rule["annotations"]) == {"summary", "description"} | links
    assert rule["annotations"]["dashboard_url"].startswith(f"{{{{ $externalLabels.tiltmeter_grafana_url }}}}d/{UID}")
    assert rule["annotations"]["summary"].endswith(".")
    assert "$" not in rule["annotations"]["summary"]
    assert rule.get("labels", {"severity": "warning"}) == {"severity": "none" if name == "TiltmeterWatchdog" else "warning"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_uses_known_metrics_and_labels(rule: dict[str, Any]) -> None:
    labels = {definition.name: definition.labels for definition in DEFINITIONS}
    expr = rule["expr"]
    assert set(re.findall(r"\w+:\w+:\w+", expr)) <= set(RECORDED)
    expr = re.sub(r"\w+:(\w+):\w+", r"\1", expr)
    used = re.findall(r"(?<![:\w])(tiltmeter_\w+)(?:\{(\w+)=)?", expr)
    assert used or "up{" in rule["expr"]
    for metric, label in used:
        assert metric in labels
        assert not label or label in labels[metric]
    told = " ".join(rule["annotations"].values())
    for metric, given in re.findall(r"(?<![:\w'-])(tiltmeter_\w+)\{([^}]*)\}", told):
        assert set(re.findall(r"(\w+)(?:=|!=|=~)", given)) <= {"job", "namespace", *labels[metric]}
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]):
        assert label in {"job", "instance", "namespace"} or any(label in labels[metric] for metric, _ in used)


def test_every_kind_of_trouble_has_one_alert_and_its_severity_is_that_of_the_metric() -> None:
    assert set(OF_KIND) == set(KINDS)
    for rule in RULES:
        of_metric = rule["alert"] in OF_KIND.values()
        assert ("labels" in rule) != of_metric, rule["alert"]
        assert ("for" in rule) != (of_metric or rule["alert"] == "TiltmeterWatchdog"), rule["alert"]


def test_recorded_series_are_named_by_level_metric_and_operation() -> None:
    known = {definition.name for definition in DEFINITIONS}
    for name, rule in RECORDED.items():
        level, metric, operation = name.split(":")
        assert level
        assert operation
        assert {metric, *re.findall(r"(?<![:\w])tiltmeter_\w+", re.sub(r"\w+:\w+:\w+", "", rule["expr"]))} <= known


def test_alerts_can_be_left_out_where_grafana_has_them_and_what_they_read_stays() -> None:
    kinds = {
        path.stem: {
            key
            for group in yaml.safe_load(path.read_text())["groups"]
            for rule in group["rules"]
            for key in ("alert", "record")
            if key in rule
        }
        for path in FOLDER.glob("*.yaml")
    }
    assert kinds == {"alerts": {"alert"}, "recording": {"record"}}
    read = {name for rule in RULES for name in re.findall(r"\w+:\w+:\w+", rule["expr"])}
    assert read <= set(RECORDED)


def test_every_runbook_has_an_alert_and_every_alert_a_case() -> None:
    alerts = {rule["alert"] for rule in RULES}
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"how-to-read-a-page"} == alerts
    tested = {
        case["alertname"]
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case.get("exp_alerts")
    }
    assert tested == alerts


def test_every_alert_has_six_cases() -> None:
    """Those of verdicts have drift's (test_every_kind_is_told_as_drift_is)."""
    told = [str(test) for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]
    cases = {rule["alert"]: sum(rule["alert"] in test for test in told) for rule in RULES if rule["alert"] not in OF_KIND.values()}
    assert sum(OF_KIND["drift"] in test for test in told) >= 6
    assert {alert: count for alert, count in cases.items() if count < 6} == {}


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES if rule["alert"] not in OLDER])
def test_a_runbook_says_what_to_look_at_what_to_do_and_when_it_ends(alert: str) -> None:
    text = (ROOT / "docs" / "runbooks" / f"{alert}.md").read_text()
    assert re.findall(r"^\*\*Severity (\w+)", text, re.MULTILINE)[-1] == "warning"
    headings = re.findall(r"^## ([A-Z][\w ,]+?)(?: \(.*\))?$", text, re.MULTILINE)
    assert [heading.replace("baseline", "record") for heading in headings] == [
        "First look",
        "Causes, and what to do",
        "Acknowledge",
        "When it ends",
        "When to accept a new record",
    ]
    assert len(re.findall(r"^\| .* \|$", text, re.MULTILINE)) >= 4


def _queries() -> list[str]:
    """PromQL in the documents: inline code with a metric of ours and more than its name."""
    pages = [*(ROOT / "docs" / "runbooks").glob("*.md"), ROOT / "docs" / "metrics.md"]
    spans = (span for page in pages for span in re.findall(r"`([^`\n]+)`", page.read_text()))
    return sorted({span.replace("\\|", "|") for span in spans if re.search(r"tiltmeter_\w+", span) and re.search(r"[({ ]", span)})


def test_queries_in_the_documents_are_queries_of_metrics_there_are(promtool: str, tmp_path: Path) -> None:
    queries = _queries()
    assert len(queries) > 20
    known = names()
    for query in queries:
        used = set(re.findall(r"(?<![:\w])tiltmeter_\w+", query))
        assert used <= known, used - known
    rules = [{"record": f"q:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(tmp_path / "queries.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules(promtool: str) -> None:
    rules = [str(path) for path in sorted(FOLDER.glob("*.yaml"))]
    done = subprocess.run([promtool, "check", "rules", "--lint=all", "--lint-fatal", *rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_promtool_cases(promtool: str, case: Path) -> None:
    done = subprocess.run([promtool, "test", "rules", case.name], cwd=case.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [kind for kind in OF_KIND if kind != "drift"])
def test_every_kind_is_told_as_drift_is(promtool: str, tmp_path: Path, kind: str) -> None:
    """Fires, does not, boundary, missing series, restart, two models, fail-over, idle service: the same cases for each kind."""
    text = VERDICTS.read_text().replace(f'"{kind}"', '"other"').replace('"drift"', f'"{kind}"').replace("TiltmeterDrift", OF_KIND[kind])
    (tmp_path / "case.yaml").write_text(text.replace("../", f"{FOLDER}/"))
    done = subprocess.run([promtool, "test", "rules", "case.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _alerts(text: str) -> set[tuple[str, str]]:
    return {(rule["alert"], rule["expr"]) for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if "alert" in rule}


@pytest.mark.parametrize(
    ("case", "said", "instead"),
    [
        (VERDICTS, "unless ignoring (owner, severity) tiltmeter_joined == 1", ""),
        (VERDICTS, "on (job, namespace)\n                max by", "on (job, namespace)\n                0 * max by"),
        (VERDICTS, "without (instance, pod, container, endpoint) (\n                (tilt", "without (pod) (\n                (tilt"),
        (VERDICTS, 'kind="drift", severity!="none"', 'severity!="none"'),
        (VERDICTS, 'kind="drift", severity!="none"', 'kind="drift", severity="critical"'),
        (HOLD, "[6h]", "[8h]"),
        (HOLD, "[6h]", "[4h]"),
        (PROBES, ">= 3", ">= 2"),
        (PROBES, ">= 3", "> 3"),
        (PROBES, "endpoint, target, suite) (tiltmeter_probe_missed", "endpoint) (tiltmeter_probe_missed"),
        (PROBES, "< 0.05", "<= 0.05"),
        (PROBES, "increase(tiltmeter_probe_skipped", "(tiltmeter_probe_skipped"),
        (FLOW, "_watermark_timestamp_seconds) > 900", "_watermark_timestamp_seconds) >= 900"),
        (FLOW, "_watermark_timestamp_seconds) > 900", "_watermark_timestamp_seconds) > 1000"),
        (FLOW, "(tiltmeter_source_lag_records) > 0", "(tiltmeter_source_lag_records) >= 0"),
        (FLOW, "(time() - tiltmeter_last_flush_timestamp_seconds) > 300", "(time() - tiltmeter_last_flush_timestamp_seconds) >= 300"),
        (FLOW, "max without (instance, pod, container, endpoint) (time()", "min without (instance, pod, container, endpoint) (time()"),
        (FLOW, "tiltmeter_source_up >= 0 unless", "tiltmeter_source_up > 0 unless"),
        (FLOW, "_watermark_timestamp_seconds) - 900", "_watermark_timestamp_seconds) - 600"),
        (FLOW, "_watermark_timestamp_seconds) - 900", "_watermark_timestamp_seconds) - 1200"),
        (FLOW, "increase(tiltmeter_prompts_total[15m])", "(tiltmeter_prompts_total)"),
        (REFERENCE, "increase(tiltmeter_unknown_bundle_prompts_total[15m])", "(tiltmeter_unknown_bundle_prompts_total)"),
        (REFERENCE, "(tiltmeter_baseline_wanted) == 1", "(tiltmeter_baseline_wanted) >= 0"),
        (REFERENCE, 'tiltmeter_promise_kept{slice=""}', "tiltmeter_promise_kept"),
        (REFERENCE, "min without (instance, pod, container, endpoint, slice, stream)", "max without (instance, slice, stream)"),
        (OBJECTIVE, FRESH, FRESH.replace("300", "360")),
        (OBJECTIVE, FRESH, FRESH.replace("300", "240")),
        (OBJECTIVE, "increase(tiltmeter_prompts_total[10m])", "0 * (tiltmeter_prompts_total)"),
        (OBJECTIVE, BLIND, BLIND.replace("1", "2")),
        (OBJECTIVE, "late_ratio1h > 14.4 * 0.01", "late_ratio1h > 13 * 0.01"),
        (OBJECTIVE, "late_ratio1h > 14.4 * 0.01", "late_ratio1h > 16 * 0.01"),
        (OBJECTIVE, "late_ratio30m > 6 * 0.01", "late_ratio6h > 6 * 0.01"),
        (OBJECTIVE, "(model_kind:tiltmeter_severity:max) > 0", "(tiltmeter_severity) > 0"),
    ],
)
def test_the_cases_notice_a_rule_that_is_otherwise(promtool: str, tmp_path: Path, case: Path, said: str, instead: str) -> None:
    rules = {path.name: path.read_text() for path in FOLDER.glob("*.yaml")}
    (name,) = [name for name, text in rules.items() if said in text]
    before, rules[name] = rules[name], rules[name].replace(said, instead, 1)
    for file, text in rules.items():
        (tmp_path / file).write_text(text)
    cases = yaml.safe_load(case.read_text().replace("../", ""))
    if changed := _alerts(rules[name]) - _alerts(before):
        # Those of other alerts only take time.
        cases["tests"] = [test for test in cases["tests"] if any(alert in str(test) for alert, _ in changed)]
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(cases))
    done = subprocess.run([promtool, "test", "rules", "case.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED" in done.stdout + done.stderr
