"""Rules, dashboards and monitors as the chart brings them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from parts import require
from parts.helm import of_kind, refused, render

ROOT = Path(__file__).resolve().parents[2]
GROUPS = [group for path in sorted((ROOT / "dashboards" / "rules").glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]
ALERTS = [rule["alert"] for group in GROUPS for rule in group["rules"] if "alert" in rule]


def groups(*more):
    return of_kind(render("sqlite", "--set", "prometheusRule.enabled=true", *more), "PrometheusRule")["tiltmeter"]["spec"]["groups"]


def alerts(*more):
    return {rule["alert"]: rule for group in groups(*more) for rule in group["rules"] if "alert" in rule}


def test_the_rules_are_those_of_the_repository():
    assert groups() == GROUPS


def test_promtool_takes_what_is_rendered(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        require.lacking("prometheus", "no promtool on the path (Debian: prometheus)")
    rules = of_kind(render("kafka"), "PrometheusRule")["tiltmeter"]["spec"]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    done = subprocess.run([promtool, "check", "rules", "--lint=all", "--lint-fatal", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_can_be_changed_by_name():
    first, second, *rest = ALERTS
    given = {
        first: {
            "severity": "info",
            "for": "7m",
            "keep_firing_for": "1h",
            "labels": {"tier": "one"},
            "annotations": {"note": "{{ $labels.owner }}"},
        },
        second: {"enabled": False},
    }
    found = alerts("--set-json", f"prometheusRule.overrides={json.dumps(given)}")
    assert set(found) == {first, *rest}
    assert found[first]["labels"]["severity"] == "info"
    assert (found[first]["for"], found[first]["keep_firing_for"]) == ("7m", "1h")
    assert found[first]["labels"]["tier"] == "one"
    assert found[first]["annotations"]["note"] == "{{ $labels.owner }}"
    before = alerts()
    assert found[first]["expr"] == before[first]["expr"]
    assert all(found[name] == before[name] for name in rest)


def test_labels_and_links_of_all_alerts():
    more = ("--set", "prometheusRule.additionalRuleLabels.team=support,prometheusRule.runbookUrl=https://wiki.example/runbooks/")
    for name, rule in alerts(*more).items():
        assert rule["labels"]["team"] == "support"
        assert rule["labels"].get("severity") == alerts()[name].get("labels", {}).get("severity")
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example/runbooks/{name}.md"


def test_links_lead_to_the_status_page_and_to_grafana():
    more = ("--set", "prometheusRule.statusUrl=https://tiltmeter.example/,prometheusRule.grafanaUrl=https://grafana.example/grafana")
    for name, rule in alerts(*more).items():
        told, plain = rule["annotations"], alerts()[name]["annotations"]
        assert told["dashboard_url"].startswith("https://grafana.example/grafana/d/tiltmeter-")
        assert told.get("incident_url", "https://tiltmeter.example/{{").startswith("https://tiltmeter.example/{{")
        assert plain["dashboard_url"].startswith("{{ $externalLabels.tiltmeter_grafana_url }}d/tiltmeter-")
        assert {key: told[key] for key in ("summary", "description")} == {key: plain[key] for key in ("summary", "description")}


def test_an_unknown_alert_is_refused_with_those_there_are():
    told = refused("sqlite", "--set", "prometheusRule.enabled=true,prometheusRule.overrides.Nothing.enabled=false")
    assert "prometheusRule.overrides.Nothing: no such alert" in told
    assert all(name in told for name in ALERTS)


def test_dashboards_reach_grafana_unchanged():
    found = {
        name: each
        for name, each in of_kind(render("kafka"), "ConfigMap").items()
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
    }
    sent = {name.removeprefix("tiltmeter-"): text for each in found.values() for name, text in each["data"].items()}
    origin = {path.name: path.read_text() for path in (ROOT / "dashboards" / "json").glob("*.json")}
    assert sent == origin
    assert len(found) == len(origin)
    for each in found.values():
        assert each["metadata"]["annotations"] == {"grafana_folder": "Tiltmeter"}
        assert len(json.dumps(each)) < 1_000_000
    other = ("--set", "grafanaDashboards.sidecarLabel=board,grafanaDashboards.sidecarLabelValue=yes,grafanaDashboards.namespace=grafana")
    moved = [each for each in render("kafka", *other) if each["metadata"]["labels"].get("board") == "yes"]
    assert len(moved) == len(origin)
    assert {each["metadata"]["namespace"] for each in moved} == {"grafana"}


def test_scraped_under_the_job_that_rules_and_dashboards_ask_for():
    for case, kind, where in (("kafka", "ServiceMonitor", "endpoints"), ("postgres", "PodMonitor", "podMetricsEndpoints")):
        objects = render(case)
        monitor = of_kind(objects, kind)["tiltmeter"]
        (endpoint,) = monitor["spec"][where]
        assert endpoint["relabelings"][0] == {"action": "replace", "targetLabel": "job", "replacement": "tiltmeter"}
        assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("http", "/metrics", "30s")
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        targets = [each["metadata"]["labels"] for each in of_kind(objects, "Service").values()]
        if kind == "PodMonitor":
            targets = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind(objects, "Deployment").values()]
        assert [wanted <= labels.items() for labels in targets] == [True, True]
    monitor = of_kind(render("kafka"), "ServiceMonitor")["tiltmeter"]
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["spec"]["endpoints"][0]["metricRelabelings"] == [{"action": "labeldrop", "regex": "pod"}]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["monitoring"]}


def test_no_operator_is_needed_unless_asked_for():
    kinds = {each["apiVersion"] for each in render("sqlite")}
    assert not [version for version in kinds if "coreos" in version]


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_objects_of_the_operator_may_live_elsewhere(kind):
    key = kind[0].lower() + kind[1:]
    assert of_kind(render("kafka", "--set", f"{key}.namespace=prometheus"), kind)["tiltmeter"]["metadata"]["namespace"] == "prometheus"
