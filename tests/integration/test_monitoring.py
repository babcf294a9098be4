"""A real Prometheus scrapes what the service exports: every panel has an answer, and a page reaches a real Alertmanager."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from parts.monitoring import Alertmanager, Prometheus
from service.metrics import (
    STAGES,
    DeciderReading,
    ModelReading,
    Reading,
    SeverityReading,
    StreamReading,
    Timing,
    WorkerReading,
    registry,
)

ROOT = Path(__file__).resolve().parents[2]
MODEL = "support-bot"
SLICES = ("acme", "globex (trial)")


@dataclass
class Exporter:
    """The service's own collector over readings that the test sets; counters grow with every scrape."""

    severity: str = "none"
    scrapes: int = 0

    def read(self) -> Reading:
        self.scrapes += 1
        now, grown = time.time(), 100 * self.scrapes
        timed = {stage: Timing().add(0.02) for stage in STAGES}
        streams = [
            StreamReading(MODEL, name, "ok", 0.04, 0.055, {"page": 0.3, "ticket": 0.4}, {"page": 5.4, "ticket": 4.3})
            for name in ("ood_share", "far_share")
        ]
        streams += [replace(streams[0], slice=name) for name in SLICES]
        worker = WorkerReading(
            prompts={MODEL: grown},
            tokens={MODEL: 30 * grown},
            truncated={MODEL: self.scrapes},
            rejected={"not_json": self.scrapes},
            stages=timed,
            queued=0,
            lag=0,
            replaced_times=self.scrapes,
            lost_records=self.scrapes,
            lost_dead_letters=self.scrapes,
            source_time=now - 5,
            last_flush=now - 2,
        )
        decider = DeciderReading(
            active=True,
            watermark=now - 40,
            last_checkpoint=now - 10,
            last_verdict={MODEL: now - 60},
            streams=[replace(stream, state="page" if self.severity == "critical" else "ok") for stream in streams],
            severities=[SeverityReading(MODEL, "drift", "support", self.severity)],
            incidents={(MODEL, "page"): int(self.severity == "critical")},
            stages=timed,
        )
        return Reading([ModelReading(MODEL, "0123", "support", "4567")], ["not_json"], [("onnxruntime", "cpu")], worker, decider)


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


def _expressions() -> list[tuple[str, str]]:
    dashboard = json.loads((ROOT / "dashboards" / "json" / "overview.json").read_text())
    variables = {"$__rate_interval": "10s", "$job": "tiltmeter", "$instance": ".+", "$model_name": ".+", "${slice:pipe}": ".*"}
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets") or []:
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            found.append((panel["title"], expression))
    return found


@pytest.mark.parametrize(("title", "expression"), _expressions(), ids=[f"{title}-{i}" for i, (title, _) in enumerate(_expressions())])
def test_every_panel_has_an_answer(scraper: Prometheus, title: str, expression: str) -> None:
    result = scraper.query(expression)
    assert result, f"{title} is empty: {expression}"
    assert all(series["value"][1] != "NaN" for series in result if "histogram_quantile" not in expression)


def test_a_slice_is_chosen_by_name_and_the_whole_model_by_its_own(scraper: Prometheus) -> None:
    """Grafana's part is played here: it prints each series, applies the regular expression, and puts the values into the queries."""
    dashboard = json.loads((ROOT / "dashboards" / "json" / "overview.json").read_text())
    variable = dashboard["templating"]["list"][-1]
    asked = variable["query"].removeprefix("query_result(")[:-1]
    for name in ("job", "instance", "model_name"):
        asked = asked.replace(f"${name}", ".+")
    pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    printed = ["{" + ",".join(f'{k}="{v}"' for k, v in series["metric"].items()) + "}" for series in scraper.query(asked)]
    choices = {match["text"]: match["value"] for match in map(pattern.search, printed) if match}
    assert set(choices) == {"whole model", *SLICES}
    assert choices["whole model"] == variable["current"]["value"][0]
    share = next(
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets") or [] if "flagged_share" in target["expr"]
    )
    for name in ("job", "instance", "model_name"):
        share = share.replace(f"${name}", ".+")
    for chosen in ([text] for text in choices):
        found = scraper.query(share.replace("${slice:pipe}", "|".join(choices[text] for text in chosen)))
        assert {series["metric"].get("slice", "whole model") for series in found} == set(chosen)
    both = scraper.query(share.replace("${slice:pipe}", "|".join(choices.values())))
    assert {series["metric"].get("slice", "whole model") for series in both} == set(choices)


def test_states_and_severity_come_out_as_the_panels_map_them(scraper: Prometheus) -> None:
    queries = dict(_expressions())
    assert [series["value"][1] for series in scraper.query(queries["Must somebody get up?"])] == ["0"]
    assert {series["value"][1] for series in scraper.query(queries["State of every stream"])} == {"0"}


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
        queries = dict(_expressions())
        assert [series["value"][1] for series in scraper.query(queries["Must somebody get up?"])] == ["2"]
        assert {series["value"][1] for series in scraper.query(queries["State of every stream"])} == {"5"}
    finally:
        exporter[0].severity = "none"
