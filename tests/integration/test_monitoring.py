"""A real Prometheus scrapes what the service exports: every panel has an answer, and a page reaches a real Alertmanager."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from full_reading import MODEL, SLICES, Exporter
from parts.monitoring import Alertmanager, Prometheus
from service.metrics import registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("overview", "pipeline", "model")
SEVERITY = "Must somebody get up?"
NO_ANSWER = {"What is open": "nothing is open until the page of the last test, which asks for it"}


@pytest.fixture(scope="module")
def exporter() -> Iterator[tuple[Exporter, int]]:
    readings = Exporter()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry(readings.read))
    yield readings, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def pager(alertmanager: type[Alertmanager], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    config = {"route": {"receiver": "nobody", "group_wait": "1s"}, "receivers": [{"name": "nobody"}]}
    server = alertmanager(tmp_path_factory.mktemp("alertmanager"), config)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def scraper(
    prometheus: type[Prometheus], exporter: tuple[Exporter, int], pager: Alertmanager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "dashboards" / "rules" / "*.yaml")],
        "scrape_configs": [{"job_name": "tiltmeter", "static_configs": [{"targets": [f"127.0.0.1:{exporter[1]}"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [pager.url.removeprefix("http://")]}]}]},
    }
    server = prometheus(tmp_path_factory.mktemp("prometheus"), config)
    server.start()
    server.wait_for('count_over_time(up{job="tiltmeter"}[1m]) >= 4')
    yield server
    server.stop()


def _dashboard(name: str) -> Any:
    return json.loads((ROOT / "dashboards" / "json" / f"{name}.json").read_text())


def _asked(expression: str, slices: str = ".*") -> str:
    """As Grafana asks it with everything chosen."""
    expression = (
        expression.replace("$__rate_interval", "10s")
        .replace("$__range_s", "21600")
        .replace("$__range", "6h")
        .replace("${slice:pipe}", slices)
        .replace("$job", "tiltmeter")
    )
    return re.sub(r"\$[a-z_]+", lambda variable: ".*" if variable[0] == "$category" else ".+", expression)


def _expressions() -> list[tuple[str, str, str]]:
    panels = [(name, panel) for name in PAGES for panel in _dashboard(name)["panels"]]
    return [(name, panel["title"], _asked(target["expr"])) for name, panel in panels for target in panel.get("targets") or []]


def _answer(scraper: Prometheus, title: str) -> list[str]:
    (expression,) = {expression for _, name, expression in _expressions() if name == title}
    return [series["value"][1] for series in scraper.query(expression)]


IDS = [f"{page}-{title}-{i}" for i, (page, title, _) in enumerate(_expressions())]


@pytest.mark.parametrize(("page", "title", "expression"), _expressions(), ids=IDS)
def test_every_panel_has_an_answer(scraper: Prometheus, page: str, title: str, expression: str) -> None:
    result = scraper.query(expression)
    assert (not result) == (title in NO_ANSWER), f"{title} of {page}: {expression}"
    assert all(series["value"][1] != "NaN" for series in result)


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_has_a_choice(scraper: Prometheus, page: str) -> None:
    for variable in _dashboard(page)["templating"]["list"][1:]:
        asked = _asked(re.sub(r"^(label_values|query_result)\(", "", variable["query"])[:-1])
        selector, _, label = asked.rpartition(", ")
        found = scraper.query(asked) if variable["query"].startswith("query_result") else scraper.query(f"group by ({label}) ({selector})")
        assert found, variable["name"]


def test_a_slice_is_chosen_by_name_and_the_whole_model_by_its_own(scraper: Prometheus) -> None:
    """Grafana's part is played here: it prints each series, applies the regular expression, and puts the values into the queries."""
    dashboard = _dashboard("overview")
    variable = dashboard["templating"]["list"][-1]
    asked = _asked(variable["query"].removeprefix("query_result(")[:-1])
    pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    printed = ["{" + ",".join(f'{k}="{v}"' for k, v in series["metric"].items()) + "}" for series in scraper.query(asked)]
    choices = {match["text"]: match["value"] for match in map(pattern.search, printed) if match}
    assert set(choices) == {"whole model", *SLICES}
    assert choices["whole model"] == variable["current"]["value"][0]
    share = next(
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets") or [] if "flagged_share" in target["expr"]
    )
    for chosen in ([text] for text in choices):
        found = scraper.query(_asked(share, "|".join(choices[text] for text in chosen)))
        assert {series["metric"].get("slice", "whole model") for series in found} == set(chosen)
    (table,) = (panel for panel in dashboard["panels"] if panel["title"] == "Slices")
    for target in table["targets"]:
        rows = [series["metric"] for series in scraper.query(_asked(target["expr"]))]
        assert {(row.get("slice", "whole model"), row["choice"]) for row in rows} == set(choices.items())
    both = scraper.query(_asked(share, "|".join(choices.values())))
    assert {series["metric"].get("slice", "whole model") for series in both} == set(choices)


def test_states_and_severity_come_out_as_the_panels_map_them(scraper: Prometheus) -> None:
    assert _answer(scraper, SEVERITY) == ["0", "0"]
    assert set(_answer(scraper, "State of every stream")) == {"0"}


def test_quiet_is_quiet_and_critical_reaches_the_pager(scraper: Prometheus, exporter: tuple[Exporter, int], pager: Alertmanager) -> None:
    assert scraper.query('ALERTS{alertname=~"Tiltmeter.+", severity!="none"}') == []
    exporter[0].severity = "critical"
    try:
        scraper.wait_for('ALERTS{alertname="TiltmeterDrift", alertstate="firing"}')
        deadline = time.monotonic() + 30
        while not (alerts := [alert for alert in pager.alerts() if alert["labels"]["severity"] != "none"]):
            assert time.monotonic() < deadline, "the alert did not reach Alertmanager"
            time.sleep(0.3)
        labels = alerts[0]["labels"]
        assert labels["alertname"] == "TiltmeterDrift"
        assert (labels["model_name"], labels["owner"], labels["severity"]) == (MODEL, "support", "critical")
        assert "instance" not in labels
        # 2 in service.metrics.SEVERITIES, 5 in the reversed STATES
        assert sorted(_answer(scraper, SEVERITY)) == ["0", "2"]
        assert set(_answer(scraper, "State of every stream")) == {"5"}
        assert [abs(float(began) / 1000 - time.time() + 600) < 60 for began in _answer(scraper, "What is open")] == [True]
    finally:
        exporter[0].severity = "none"


@pytest.mark.parametrize(("state", "code"), [("idle", "4"), ("learning", "4"), ("insufficient", "4"), ("blind", "3")])
def test_nothing_judged_is_not_nobody_must_get_up(scraper: Prometheus, exporter: tuple[Exporter, int], state: str, code: str) -> None:
    """Codes 3 and 4 are not green: tests/dashboards says which text is."""
    exporter[0].state, exporter[0].probed = state, "insufficient" if state == "idle" else state
    try:
        deadline = time.monotonic() + 20
        while (codes := _answer(scraper, SEVERITY)) != [code, code]:
            assert time.monotonic() < deadline, codes
            time.sleep(0.3)
    finally:
        exporter[0].state = exporter[0].probed = "ok"
