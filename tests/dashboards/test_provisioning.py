"""Grafana's provisioning files: only keys that its file provisioning knows, and alerts that are those of the Prometheus rules."""

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from dashboards import build

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = ROOT / "dashboards" / "grafana" / "provisioning"
FILE: dict[str, Any] = yaml.safe_load(build.ALERTS.read_text())
RULES = [rule for group in FILE["groups"] for rule in group["rules"]]
PROMETHEUS = {
    rule["alert"]: rule
    for path in sorted((ROOT / "dashboards" / "rules").glob("*.yaml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
RULE_KEYS = {
    "uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for", "keepFiringFor",
    "missing_series_evals_to_resolve", "annotations", "labels", "isPaused", "notification_settings", "record",
}  # fmt: skip
DURATION = re.compile(r"(\d+[smhd])+")

each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["title"])


def test_the_file_has_what_grafana_reads_and_no_policy() -> None:
    assert set(FILE) == {"apiVersion", "groups"}
    assert FILE["apiVersion"] == 1
    for group in FILE["groups"]:
        assert set(group) == {"orgId", "name", "folder", "interval", "rules"}
        assert DURATION.fullmatch(group["interval"])
    uids = [rule["uid"] for rule in RULES]
    assert len(set(uids)) == len(uids) > 0
    assert all(re.fullmatch(r"[a-z0-9_-]{1,40}", uid) for uid in uids)


@each
def test_a_rule_has_known_keys_and_values(rule: dict[str, Any]) -> None:
    assert set(rule) <= RULE_KEYS
    assert rule["noDataState"] in {"OK", "NoData", "Alerting", "KeepLast"}
    assert rule["execErrState"] in {"OK", "Error", "Alerting", "KeepLast"}
    assert all(DURATION.fullmatch(rule[name]) for name in ("for", "keepFiringFor") if name in rule)
    assert rule.get("missing_series_evals_to_resolve", 2) >= 2
    query, threshold = rule["data"]
    for part in (query, threshold):
        assert set(part) == {"refId", "relativeTimeRange", "datasourceUid", "model"}
        assert part["model"]["refId"] == part["refId"]
        assert part["model"]["datasource"]["uid"] == part["datasourceUid"]
    assert rule["condition"] == threshold["refId"]
    assert threshold["model"]["expression"] == query["refId"]
    assert threshold["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [0]}
    assert (query["model"]["instant"], query["model"]["range"]) == (True, False)


def test_both_say_the_same_alerts() -> None:
    assert {rule["title"] for rule in RULES} == set(PROMETHEUS)


@each
def test_a_rule_agrees_with_its_twin_in_prometheus(rule: dict[str, Any]) -> None:
    twin = PROMETHEUS[rule["title"]]
    found = promql_parser.parse(rule["data"][0]["model"]["expr"])
    assert (str(found.op), found.rhs.val) == ("+", 1)
    assert (str(found.lhs.op), found.lhs.rhs.val) == ("*", 0)
    assert found.lhs.lhs.expr.prettify() == promql_parser.parse(twin["expr"]).prettify()
    assert (rule["for"], rule.get("keepFiringFor")) == (twin.get("for", "0s"), twin.get("keep_firing_for"))
    assert rule["annotations"] == {name: re.sub(r"{{ \$externalLabels\.\w+ }}", "", text) for name, text in twin["annotations"].items()}
    assert not any("$externalLabels" in text for text in rule["annotations"].values())
    assert {name: value.replace("$$", "$") for name, value in rule["labels"].items()} == twin.get("labels", {})


@each
def test_nothing_is_taken_for_an_environment_variable(rule: dict[str, Any]) -> None:
    for name in ("title", "uid"):
        assert "$" not in rule[name]
    assert not any(re.search(r"(?<!\$)\$(?!\$)", value) for value in rule["labels"].values())
    assert not any("${" in value for value in rule["annotations"].values())


def test_prometheus_being_away_is_told_by_a_ticket_only() -> None:
    told = [rule for rule in RULES if rule["execErrState"] == "Error"]
    assert told
    assert {rule["labels"]["severity"] for rule in told} == {"warning"}


def test_the_folders_and_the_data_source_are_the_same_everywhere() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "tiltmeter.yaml").read_text())["providers"]
    assert {part["datasourceUid"] for rule in RULES for part in rule["data"]} == {source["uid"], "__expr__"}
    assert {group["folder"] for group in FILE["groups"]} == {provider["folder"]}


@pytest.mark.parametrize(
    ("name", "top", "known"),
    [
        (
            "datasources/prometheus.yaml",
            {"apiVersion", "prune", "datasources"},
            {"name", "uid", "type", "access", "orgId", "url", "isDefault", "jsonData", "version", "editable"},
        ),
        (
            "dashboards/tiltmeter.yaml",
            {"apiVersion", "providers"},
            {"name", "orgId", "folder", "folderUid", "type", "disableDeletion", "allowUiUpdates", "updateIntervalSeconds", "options"},
        ),
    ],
)
def test_other_files_have_known_keys(name: str, top: set[str], known: set[str]) -> None:
    text = (PROVISIONING / name).read_text()
    found = yaml.safe_load(text)
    assert set(found) == top
    assert found["apiVersion"] == 1
    (entry,) = found["datasources" if "datasources" in found else "providers"]
    assert set(entry) <= known
    assert "$" not in text


def test_alerts_are_not_where_compose_would_load_them_beside_those_of_prometheus() -> None:
    assert sorted(path.name for path in PROVISIONING.iterdir()) == ["dashboards", "datasources"]
