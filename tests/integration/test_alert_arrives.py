"""From prompts to the on-call: an incident of the service fires an alert, which reaches a webhook with all it has to say, and ends."""

import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tiny_encoder
import yaml

from parts.monitoring import Alertmanager, Prometheus
from parts.process import as_child, free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "only-for-this-test"
KNOWN = ("account", "balance", "card", "transfer", "help", "my", "what", "is", "the")
STRANGE = ("a", "b", "c", "d", "e", "f", "g", "h", "##s")

pytestmark = pytest.mark.slow


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


class Webhook:
    """Keeps what an Alertmanager posts: (when, alert), without the watchdog."""

    def __init__(self) -> None:
        self.alerts: list[tuple[float, dict[str, Any]]] = []
        keep = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                keep.extend((time.time(), each) for each in body["alerts"] if each["labels"]["severity"] != "none")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def of(self, status: str, alertname: str) -> list[tuple[float, dict[str, Any]]]:
        return [(when, each) for when, each in self.alerts if (each["status"], each["labels"]["alertname"]) == (status, alertname)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Service:
    """`tiltmeter run` with windows of one second, over HTTP and SQLite."""

    def __init__(self, folder: Path) -> None:
        from service.fit import fit

        rng = random.Random(0)
        rows = "".join(json.dumps({"text": text}) + "\n" for text in dict.fromkeys(self._text(rng, KNOWN) for _ in range(600)))
        (folder / "finetune.jsonl").write_text(rows)
        fit([folder / "finetune.jsonl"], folder / "bundle", encoder=str(tiny_encoder.write(folder / "encoder")))
        self.port, self.rng = free_port(), rng
        self.url = f"http://127.0.0.1:{self.port}"
        config = {
            "source": {"kind": "http"},
            "ledger": {"kind": "sql", "url": f"sqlite:///{folder}/ledger.db"},
            "store": f"sqlite:///{folder}/history.db",
            "models": {"support-bot": {"bundle": str(folder / "bundle"), "owner": "team-a"}},
            "windows": {"length": "1s", "grace": "1s", "max_skew": "0.5s", "idle_after": "2s"},
            "detection": {"first_contact": {"duration": "0s", "prompts": 0}},
            "http": {"port": self.port},
            "compute": {"threads": 1},
        }
        (folder / "tiltmeter.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-c", "from service.main import app; app()", "run", "--config", str(folder / "tiltmeter.yaml")]
        self.log = folder / "log"
        with self.log.open("w") as log:
            environment = {**os.environ, "TILTMETER_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(as_child(command), stderr=log, env=environment, cwd=ROOT)

    @staticmethod
    def _text(rng: random.Random, words: tuple[str, ...]) -> str:
        return " ".join(rng.choices(words, k=rng.randint(3, 8)))

    def ask(self, path: str, body: object = None) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, None if body is None else json.dumps(body).encode(), timeout=10) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith(("{", "[")) else text

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.ask("/readyz"))
        except OSError:
            return False

    def post(self, words: tuple[str, ...], count: int = 60) -> None:
        self.ask("/v1/prompts", [{"text": self._text(self.rng, words), "model": "support-bot"} for _ in range(count)])

    def incidents(self) -> list[dict[str, Any]]:
        return [row for row in self.ask("/v1/incidents")["incidents"] if row["closed"] is None]


def close_all(service: Service) -> list[dict[str, Any]]:
    """Close what is open; what that was."""
    found = service.incidents()
    for row in found:
        try:
            service.ask(f"/v1/incidents/{row['id']}/close", {"actor": "ada", "verdict": "benign", "reason": "a test"})
        except urllib.error.HTTPError as error:
            if error.code != 404:  # one may just have ended by itself
                raise
    return found


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def parts(
    prometheus: type[Prometheus], alertmanager: type[Alertmanager], service: Service, webhook: Webhook, tmp_path: Path
) -> Iterator[tuple[Prometheus, Alertmanager]]:
    """With the routes' timing of a page, shortened, and the links' bases of the example."""
    hook = f"http://127.0.0.1:{webhook.server.server_address[1]}/"
    times = {"group_wait": "1s", "group_interval": "1s"}
    route = {"receiver": "pager", "group_by": ["alertname", "model_name", "kind"], **times}
    receivers = [{"name": "pager", "webhook_configs": [{"url": hook, "send_resolved": True}]}]
    (tmp_path / "alertmanager").mkdir()
    pager = alertmanager(tmp_path / "alertmanager", {"route": route, "receivers": receivers})
    config = yaml.safe_load((ROOT / "dashboards" / "prometheus" / "prometheus.yaml").read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["global"]["external_labels"] = {
        "tiltmeter_url": f"{service.url}/",
        "tiltmeter_grafana_url": "https://grafana.example/",
        "tiltmeter_runbooks_url": f"{ROOT.as_uri()}/",
    }
    config["rule_files"] = [str(ROOT / "dashboards" / "rules" / "*.yaml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [pager.url.removeprefix("http://")]}]}]
    (tmp_path / "prometheus").mkdir()
    server = prometheus(tmp_path / "prometheus", config)
    pager.start()
    server.start()
    yield server, pager
    server.stop()
    pager.stop()


def test_an_incident_reaches_the_webhook_with_all_it_says_and_ends(
    service: Service, parts: tuple[Prometheus, Alertmanager], webhook: Webhook
) -> None:
    until(service.is_ready, 60, "the service is not ready")
    service.ask("/v1/deployments", {"model": "support-bot", "revision": "2026-07-14", "reason": "a release"})

    def opened() -> list[dict[str, Any]]:
        service.post(STRANGE)
        return service.incidents()

    until(opened, 60, "no incident opened")
    began = time.time()
    arrived, alert = until(lambda: webhook.of("firing", "TiltmeterDrift"), 30, "no alert came")[0]
    # A scrape, two evaluations and the grouping are a second each.
    assert arrived - began < 12
    labels, said = alert["labels"], alert["annotations"]
    assert {name: labels[name] for name in ("model_name", "kind", "owner", "severity")} == {
        "model_name": "support-bot",
        "kind": "drift",
        "owner": "team-a",
        "severity": "warning",
    }
    assert not {"instance", "what", "incident"} & set(labels)
    assert not [name for name in labels if name.endswith("url")]
    incident = said["incident_url"].removeprefix(f"{service.url}/#")
    assert incident in {row["id"] for row in service.incidents()}
    assert f'id="{incident}"' in service.ask("/")
    lines = dict(line.split(": ", 1) for line in said["description"].splitlines())
    what = lines["support-bot (owner team-a)"]
    assert "% " in what
    assert "normal " in what
    assert not set(what.lower().split()) & set(STRANGE) - {"a"}, "words of prompts"
    assert lines["Since"].startswith("about 20")
    assert lines["Slices with an alarm of their own"] == "none."
    assert lines["Canaries"] == "this model has none."
    assert lines["Last announced deployment"].startswith("revision 2026-07-14, 20")
    assert lines["Monitor"].startswith("well, newest verdict ")
    assert lines["First"].endswith(f"Acknowledge: tiltmeter incident ack '{incident}'")
    assert said["dashboard_url"].startswith("https://grafana.example/d/tiltmeter-overview?var-model_name=support-bot&from=1")
    runbook = Path(said["runbook_url"].removeprefix("file://"))
    assert runbook.read_text().startswith("# TiltmeterDrift\n")

    # What was posted last may open another incident while these are closed.
    _, ended = until(lambda: not close_all(service) and webhook.of("resolved", "TiltmeterDrift"), 60, "the alert did not end")[0]
    assert ended["labels"] == labels
    assert service.incidents() == []
    assert parts[0].query("tiltmeter_incident_info") == []
    assert parts[0].query('ALERTS{alertname="TiltmeterWatchdog"}'), "the watchdog went away"
