"""The generated dashboards: up to date, complete, as the dashboard linter wants them, and asking only for metrics that exist."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import build, overview, panels
from dashboards import queries as queries_module
from service.metrics import DEFINITIONS, SEVERITIES, SHADOW_STAGES, STATES, names
from service.metrics.probes import STATES as PROBE_STATES
from service.metrics.probes import VERDICTS

ROOT = Path(__file__).resolve().parents[2]
UIDS = {"overview": "tiltmeter-overview", "pipeline": "tiltmeter-pipeline", "model": "tiltmeter-model"}
PAGES: dict[str, dict[str, Any]] = {name: json.loads((build.FOLDER / f"{name}.json").read_text()) for name in UIDS}
PANELS = [(name, panel) for name, page in PAGES.items() for panel in page["panels"] if panel["type"] != "row"]
TARGETS = [(name, panel["title"], target["expr"]) for name, panel in PANELS for target in panel["targets"]]
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("__")}
# What prometheus-client exports for every process on Linux, as far as the dashboards use it.
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
MACROS = {"__rate_interval": "5m", "__range": "6h", "__range_s": "21600"}
# The one rule of the linter that is left out (target-rate-interval): these count over all the time shown.
WHOLE_RANGE = {"Benign pages", "Benign tickets"}
# Shows every slice so that one can be chosen.
WHATEVER_SLICE = {"Slices"}

each_page = pytest.mark.parametrize("name", UIDS)
each_panel = pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=[f"{name}-{panel['title']}" for name, panel in PANELS])


def _plain(expression: str) -> str:
    expression = expression.replace("${slice:pipe}", "^$")
    return re.sub(r"\$(\w+)", lambda variable: MACROS.get(variable[1], f"v_{variable[1]}"), expression)


def _selectors(node: promql_parser.Expr) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "args"):
        child = getattr(node, name, None)
        for part in child if isinstance(child, list) else [child]:
            if part is not None:
                yield from _selectors(part)


def _labels(metric: str) -> tuple[str, ...]:
    return next((d.labels for d in DEFINITIONS if metric in (d.name, *(d.name + end for end in ("_bucket", "_sum", "_count")))), ())


def test_committed_json_is_what_the_code_says() -> None:
    for path, text in build.rendered().items():
        assert path.read_text() == text, f"{path.name} is stale: run `make dashboards`"
    assert {*build.FOLDER.glob("*.json"), build.ALERTS} == set(build.rendered())
    assert {path.stem for path in build.FOLDER.glob("*.json")} == set(UIDS)


def test_check_tells_a_stale_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "dashboards" / "json"
    folder.mkdir(parents=True)
    monkeypatch.setattr(build, "FOLDER", folder)
    monkeypatch.setattr(build, "ALERTS", folder.parent / "alerting" / "tiltmeter.yaml")
    monkeypatch.setattr("sys.argv", ["build"])
    assert build.main() == 0
    monkeypatch.setattr("sys.argv", ["build", "--check"])
    assert build.main() == 0
    (folder / "pipeline.json").write_text("{}\n")
    assert build.main() == 1
    assert "make dashboards" in capsys.readouterr().out


@each_page
def test_page_is_classic_stable_and_read_only(name: str) -> None:
    page = PAGES[name]
    assert page["uid"] == UIDS[name]
    assert 39 <= page["schemaVersion"] <= 42
    assert page["editable"] is False
    assert page.get("id") is None
    ids = [panel["id"] for panel in page["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    titles = [panel["title"] for panel in page["panels"]]
    assert len(set(titles)) == len(titles)
    assert "spec" not in page


@each_page
def test_page_is_what_grafanas_own_types_read(name: str) -> None:
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(PAGES[name])))
    assert read == PAGES[name]


@each_page
def test_nothing_lies_on_anything_else(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in PAGES[name]["panels"]]
    for title, at in places:
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, f"{one} and {other}"


@each_page
def test_variables_are_those_of_the_linter_and_of_vllm(name: str) -> None:
    source, *others = PAGES[name]["templating"]["list"]
    assert (source["name"], source["label"], source["type"], source["query"]) == ("datasource", "Data source", "datasource", "prometheus")
    found = [variable["name"] for variable in others]
    assert found[:3] == ["job", "instance", "model_name"]
    assert set(found[3:]) == ({"stream", "target", "suite", "category", "slice"} if name == "model" else {"slice"})
    for variable in others:
        assert variable["label"] == variable["name"]
        assert variable["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        assert variable["refresh"] == 2
        assert variable["multi"]
        assert variable["includeAll"]
        # These labels may be empty: a slice's for the whole model, a category's for a whole suite.
        assert variable["allValue"] == (".*" if variable["name"] in ("slice", "category") else ".+")
        asked = re.sub(r"^(label_values|query_result)\(", "", variable["query"])[:-1]
        promql_parser.parse(_plain(re.sub(r", \w+$", "", asked) if variable["query"].startswith("label_values") else asked))


@each_page
def test_links_keep_time_and_selection(name: str) -> None:
    links = PAGES[name]["links"]
    assert [link["tags"] for link in links] == [["tiltmeter"], ["vllm"]]
    assert all(link["includeVars"] and link["keepTime"] for link in links)
    assert set(PAGES[name]["tags"]) == {"tiltmeter", "vllm"}


def _data_links(panel: dict[str, Any]) -> list[str]:
    overrides = [item for override in panel["fieldConfig"]["overrides"] for item in override["properties"] if item["id"] == "links"]
    found = [*panel["fieldConfig"]["defaults"].get("links", []), *(link for item in overrides for link in item["value"])]
    return [link["url"] for link in found]


def test_a_click_leads_to_a_page_that_knows_what_was_chosen() -> None:
    by_uid = {page["uid"]: {variable["name"] for variable in page["templating"]["list"]} for page in PAGES.values()}
    urls = [(panel, url) for _, panel in PANELS for url in _data_links(panel)]
    assert {panel["title"] for panel, _ in urls} >= {"Must somebody get up?", "Slices", "Suites and categories", "Behind"}
    for panel, url in urls:
        match = re.fullmatch(r"/d/([\w-]+)\?(.+)&\$\{__url_time_range\}", url)
        assert match, url
        kept = re.findall(r"\$\{(\w+):queryparam\}", match[2])
        chosen = dict(re.findall(r"var-(\w+)=\$\{__(?:data\.fields|field\.labels)\.(\w+):percentencode\}", match[2]))
        assert {"datasource", "job", "instance", "model_name"} <= {*kept, *chosen} <= by_uid[match[1]], url
        expressions = " ".join(target["expr"] for target in panel["targets"])
        assert all(re.search(rf'\b{label}\b|"{label}"', expressions) for label in chosen.values())


def test_a_slice_is_led_to_by_the_value_that_chooses_it() -> None:
    (slices,) = (panel for _, panel in PANELS if panel["title"] == "Slices")
    assert len(_data_links(slices)) == 2
    assert all("var-slice=${__data.fields.choice:percentencode}" in url for url in _data_links(slices))
    variable = PAGES["model"]["templating"]["list"][-1]
    written = re.findall(r'"(\S+)", "slice", "\(\.\+\)"', variable["query"])
    for target in slices["targets"]:
        assert f'"choice", "{written[-1].rpartition(chr(34))[2]}", "slice", "(.+)"' in target["expr"]


@each_panel
def test_panel_is_complete(panel: dict[str, Any]) -> None:
    text, _, rest = panel["description"].partition("\n\n")
    assert len(text) > 40
    match = re.fullmatch(r"Runbook: (docs/runbooks/[\w-]+\.md)\. Metrics: (.+)\.", rest)
    assert match
    assert (ROOT / match[1]).is_file()
    assert match[2].split(", ")
    assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
    assert panel["fieldConfig"]["defaults"]["noValue"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    assert {defaults["unit"], *(p["value"] for o in overrides for p in o["properties"] if p["id"] == "unit")} <= UNITS


@each_panel
def test_columns_of_a_table_that_are_spoken_of_are_there(panel: dict[str, Any]) -> None:
    if panel["type"] != "table":
        return
    (organize,) = (step for step in panel["transformations"] if step["id"] == "organize")
    renamed = set(organize["options"]["renameByName"].values())
    by = {label for target in panel["targets"] for labels in re.findall(r"by \(([^)]+)\)", target["expr"]) for label in labels.split(", ")}
    by |= {"choice"} if "choice" in panel["targets"][0]["expr"] else set()
    assert len(renamed) == len(panel["targets"])
    assert not renamed & by
    assert {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]} <= renamed | by
    assert all(target["format"] == "table" and target["instant"] for target in panel["targets"])


@each_panel
def test_only_what_is_judged_and_well_is_green(panel: dict[str, Any]) -> None:
    found = re.findall(r'"color": "(?:[\w-]*green)", "index": (\d+), "text": "(\w+)"', json.dumps(panel, sort_keys=True))
    assert {text for _, text in found} <= {"nobody", "ok", "pass", "full"}
    thresholds = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    assert not any("green" in step["color"] for step in thresholds)


@pytest.mark.parametrize(("page", "title", "expression"), TARGETS, ids=[f"{p}-{t}-{i}" for i, (p, t, _) in enumerate(TARGETS)])
def test_expression_asks_for_known_metrics_of_the_chosen_target(page: str, title: str, expression: str) -> None:
    plain = _plain(expression)
    selectors = list(_selectors(promql_parser.parse(plain)))
    assert len(selectors) == plain.count("{") > 0, title
    for selector in selectors:
        assert selector.name in names() | PROCESS
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert {"job", "instance"} <= matched
        labels = _labels(selector.name)
        assert ("model_name" in matched) == ("model_name" in labels), f"{selector.name} in {title}"
        assert ("slice" in matched) == ("slice" in labels and title not in WHATEVER_SLICE), f"{selector.name} in {title}"
        # A stream of prompts that is chosen must not empty the panels of probes, whose streams have other names.
        deeper = {"target", "suite", "category"} & set(labels) or {"stream"} & set(labels)
        if page == "model" and "model_name" in labels and not selector.name.startswith("tiltmeter_shadow"):
            assert matched & {"stream", "target", "suite", "category"} == deeper, f"{selector.name} in {title}"
    for counter in re.findall(r"(\w+_(?:total|bucket|sum|count))\{", plain):
        assert re.search(rf"\b(rate|increase)\({counter}", plain), f"{counter} in {title} is not inside rate()"
    expected = {"$__range"} if title in WHOLE_RANGE else {"$__rate_interval"}
    assert set(re.findall(r"\[([^]]+)\]", expression)) <= expected, "the linter wants no other range"


def test_the_codes_of_states_are_in_the_order_of_the_metrics() -> None:
    assert tuple(text for text, _ in panels.STATES) == STATES[::-1]
    assert tuple(text for text, _ in panels.PROBE_STATES) == PROBE_STATES[::-1]
    assert tuple(text for text, _ in panels.VERDICTS) == VERDICTS
    (stage,) = (panel for _, panel in PANELS if panel["title"] == "Stage of the shadow")
    options = stage["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert [options[str(code)]["text"] for code in range(len(options))] == list(SHADOW_STAGES)
    assert len(overview.SEVERITIES) == len(SEVERITIES) + 2


def test_no_metric_is_without_a_use() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "dashboards" / "rules").glob("*.yaml"))
    pages = [*(ROOT / "docs").rglob("*.md")]
    # The table of all metrics in docs/metrics.md is no use of one.
    documents = "".join(re.sub(r"^\| `tiltmeter_\w+` \|.*$", "", path.read_text(), flags=re.MULTILINE) for path in pages)
    used = " ".join([rules, documents, *(expression for _, _, expression in TARGETS)])
    unused = {d.name for d in DEFINITIONS if not re.search(rf"\b{d.name}(_bucket|_sum|_count)?\b", used)}
    assert unused == set()


def test_what_runbooks_call_by_name_is_there() -> None:
    titles = {panel["title"] for page in PAGES.values() for panel in page["panels"]}
    for path in (ROOT / "docs" / "runbooks").glob("*.md"):
        for name in re.findall(r'(?:panel|row|tile) "([^"]+)"', path.read_text()):
            assert name in titles, f"{path.name} speaks of {name}"


def test_the_whole_model_is_shown_unless_slices_are_chosen() -> None:
    for page in PAGES.values():
        variable = page["templating"]["list"][-1]
        assert variable["name"] == "slice"
        assert variable["current"]["text"] == ["whole model"]
        (pattern,) = variable["current"]["value"]
        assert re.fullmatch(pattern, "")
        assert not re.fullmatch(pattern, "acme")


def test_marks_of_incidents_and_deployments_are_those_that_the_decider_makes() -> None:
    for page in PAGES.values():
        alerts, incidents, changes = page["annotations"]["list"]
        assert alerts["expr"].startswith("ALERTS{")
        assert [mark["target"]["tags"] for mark in (incidents, changes)] == [["tiltmeter", "incident"], ["tiltmeter", "change"]]


def test_an_unknown_metric_cannot_be_asked_for() -> None:
    with pytest.raises(KeyError, match="tiltmeter_nonsense is not a metric"):
        queries_module.of("tiltmeter_nonsense")


def test_provisioning_and_pushing_find_the_same_files() -> None:
    (provider,) = yaml.safe_load((ROOT / "dashboards/grafana/provisioning/dashboards/tiltmeter.yaml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./dashboards/json:{provider['options']['path']}:ro" in compose
