"""The generated dashboard: up to date, complete, and asking only for metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from dashboards import build
from dashboards import queries as queries_module
from service.metrics import DEFINITIONS, names

DASHBOARD: dict[str, Any] = json.loads((build.FOLDER / "overview.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
# What prometheus-client exports for every process on Linux, as far as the dashboard uses it.
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def _plain(expression: str) -> str:
    return expression.replace("$__rate_interval", "5m").replace("$__interval", "1m").replace("${slice:pipe}", "^$")


def _selectors(node: promql_parser.Expr) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "args"):
        child = getattr(node, name, None)
        for part in child if isinstance(child, list) else [child]:
            if part is not None:
                yield from _selectors(part)


def test_committed_json_is_what_the_code_says() -> None:
    for path, text in build.rendered().items():
        assert path.read_text() == text, f"{path.name} is stale: run `make dashboards`"
    assert {*build.FOLDER.glob("*.json"), build.ALERTS} == set(build.rendered())


def test_check_tells_a_stale_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "dashboards" / "json"
    folder.mkdir(parents=True)
    monkeypatch.setattr(build, "FOLDER", folder)
    monkeypatch.setattr(build, "ALERTS", folder.parent / "alerting" / "tiltmeter.yaml")
    monkeypatch.setattr("sys.argv", ["build"])
    assert build.main() == 0
    monkeypatch.setattr("sys.argv", ["build", "--check"])
    assert build.main() == 0
    (folder / "overview.json").write_text("{}\n")
    assert build.main() == 1
    assert "make dashboards" in capsys.readouterr().out


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_is_complete(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 40
    assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS, ids=[f"{title}-{i}" for i, (title, _) in enumerate(EXPRESSIONS)])
def test_expression_asks_for_known_metrics_of_the_chosen_target(title: str, expression: str) -> None:
    expression = _plain(expression)
    selectors = list(_selectors(promql_parser.parse(expression)))
    assert len(selectors) == expression.count("{") > 0, title
    for selector in selectors:
        assert selector.name in names() | PROCESS
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert {"job", "instance"} <= matched
        labels = next((d.labels for d in DEFINITIONS if d.name == selector.name), ())
        for label in ("model_name", "slice"):
            assert (label in matched) == (label in labels), f"{selector.name} in {title}"
    for counter in re.findall(r"(\w+_total)\{", expression):
        assert f"rate({counter}" in expression, f"{counter} in {title} is not inside rate()"


def test_page_is_stable_and_read_only() -> None:
    assert DASHBOARD["uid"] == "tiltmeter-overview"
    assert DASHBOARD["editable"] is False
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    for variable in DASHBOARD["templating"]["list"][1:]:
        assert variable["refresh"] == 2
        assert variable["allValue"] == (".*" if variable["name"] == "slice" else ".+")


def test_the_whole_model_is_shown_unless_slices_are_chosen() -> None:
    variable = DASHBOARD["templating"]["list"][-1]
    assert variable["name"] == "slice"
    assert variable["multi"]
    assert variable["includeAll"]
    assert variable["current"]["text"] == ["whole model"]
    (pattern,) = variable["current"]["value"]
    assert re.fullmatch(pattern, "")
    assert not re.fullmatch(pattern, "acme")
    promql_parser.parse(variable["query"].removeprefix("query_result(")[:-1])


def test_an_unknown_metric_cannot_be_asked_for() -> None:
    with pytest.raises(KeyError, match="tiltmeter_nonsense is not a metric"):
        queries_module.series("tiltmeter_nonsense")
