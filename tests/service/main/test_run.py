"""``tiltmeter run`` as a process of its own: HTTP source, SQLite ledger, a real bundle."""

import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from service.ledger import wire

TOKEN = "only-for-this-test"
CANARY = "xylophone-canary-7719"
RUN = "from service.main import app; app()"


@dataclass
class Running:
    """One process; ``log`` is what it has written so far."""

    process: subprocess.Popen[str]
    file: Path
    url: str = ""
    client: httpx.Client = field(default_factory=lambda: httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30))

    @property
    def log(self) -> str:
        return self.file.read_text()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def wait(self, condition: Callable[[], Any], seconds: float = 40) -> Any:
        until = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.1)
        return found

    def listening(self) -> "Running":
        self.url = self.wait(lambda: next((e["url"].rstrip("/") for e in self.events() if e["event"] == "listening"), None))
        return self

    def ready(self) -> "Running":
        self.listening().wait(lambda: self.get("/readyz").status_code == 200)
        return self

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.url + path)

    def post(self, rows: object, **headers: str) -> httpx.Response:
        return self.client.post(self.url + "/v1/prompts", json=rows, headers=headers)

    def counted(self) -> int:
        """Prompts in closed windows."""
        return sum(row["n"] for row in self.get("/v1/windows?slice=").json()["windows"])

    def metric(self, name: str, **labels: str) -> float | None:
        for family in parse(self.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


Start = Callable[..., Running]


@pytest.fixture
def config(bundle: Path, tmp_path: Path) -> Path:
    """Windows of one second, so that they close while the test looks."""
    path = tmp_path / "tiltmeter.yaml"
    path.write_text(
        f"source: {{kind: http}}\nledger: {{kind: sql, url: 'sqlite:///{tmp_path}/ledger.db'}}\nstore: 'sqlite:///{tmp_path}/history.db'\n"
        f"models: {{support-bot: {{bundle: {bundle}, owner: team-a}}}}\n"
        "windows: {length: 1s, grace: 1s, max_skew: 0.5s, idle_after: 2s}\nhttp: {port: 0}\ncompute: {threads: 1}\n"
    )
    return path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Running] = []

    def begin(config: Path, *arguments: str, **environment: str) -> Running:
        file = tmp_path / f"log-{len(running)}"
        variables = {**os.environ, "TILTMETER_TOKEN": TOKEN, "OMP_NUM_THREADS": "1", **environment}
        command = [sys.executable, "-c", RUN, "run", "--config", str(config), *arguments]
        with file.open("w") as log:
            process = subprocess.Popen(command, stderr=log, text=True, env=variables, cwd=Path(__file__).parents[3])
        running.append(Running(process, file))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.wait()
        one.client.close()


def prompts(count: int, text: str = "help my card") -> list[dict[str, str]]:
    return [{"text": text, "model": "support-bot"}] * count


def test_from_a_post_to_a_verdict_and_over_a_restart(start: Start, config: Path) -> None:
    service = start(config).ready()
    assert service.post(prompts(7)).json() == {"counted": 7, "late": 0, "duplicate": False}
    assert service.post(prompts(3, CANARY), **{"Idempotency-Key": "k1"}).json()["counted"] == 3
    assert service.post(prompts(3, CANARY), **{"Idempotency-Key": "k1"}).json()["duplicate"] is True
    bad = service.post([*prompts(1), {"question": CANARY, "model": "support-bot"}])
    assert (bad.status_code, CANARY in bad.text) == (400, False)
    scored = service.client.post(service.url + "/v1/score", json=prompts(1, CANARY)[0]).json()
    assert 0 < scored["p_value"] <= 1
    assert scored["advice"] == {"fallback": False, "reason": "no page that wakes people is open, no gate of stage C fails"}
    service.wait(lambda: service.counted() == 10)
    rows = service.get("/v1/windows?slice=").json()["windows"]
    assert {row["model_name"] for row in rows} == {"support-bot"}
    assert service.get("/v1/verdicts").json()["verdicts"][-1]["state"] == "learning"
    assert service.metric("tiltmeter_prompts_total", model_name="support-bot") == 10
    assert service.metric("tiltmeter_repeated_posts_total") == 1
    assert service.metric("tiltmeter_rejected_total", reason="no_text") == 1
    assert service.metric("tiltmeter_decider_active") == 1
    pages = "".join(service.get(path).text for path in ("/", "/metrics", "/docs", "/v1/incidents", "/v1/baseline", "/v1/verdicts"))
    assert service.end() == 0
    assert CANARY not in pages + service.log
    assert TOKEN not in pages + service.log
    assert [e["event"] for e in service.events()][-4:] == ["signal: ending in order", "pipeline stopped", "decider stopped", "stopped"]

    again = start(config).ready()
    assert again.counted() == 10
    assert again.post(prompts(3, CANARY), **{"Idempotency-Key": "k1"}).json()["duplicate"] is True
    assert again.end(signal.SIGINT) == 0


def test_what_is_posted_right_before_the_end_is_counted(start: Start, config: Path) -> None:
    service = start(config).ready()
    assert service.post(prompts(5)).status_code == 200
    assert service.end() == 0
    again = start(config).ready()
    again.wait(lambda: again.counted() == 5)


def test_windows_do_not_wait_for_a_killed_process_whose_place_is_taken_again(start: Start, config: Path) -> None:
    service = start(config).ready()
    assert service.post(prompts(5)).status_code == 200
    assert service.end(signal.SIGKILL) != 0
    again = start(config).ready()
    again.wait(lambda: again.counted() == 5)


def test_a_sqlite_ledger_has_one_worker(start: Start, config: Path) -> None:
    first = start(config).ready()
    for arguments in ([], ["--role", "worker"]):
        second = start(config, *arguments)
        assert second.process.wait(60) == 2
        [said] = second.log.splitlines()
        assert re.search(rf"ledger.url: \S+/ledger.db is in use by process {first.process.pid} on \S+; SQLite is for one process", said)
    assert first.post(prompts(1)).status_code == 200
    check = [sys.executable, "-c", RUN, "check-config", str(config), "--connect"]
    assert subprocess.run(check, cwd=Path(__file__).parents[3]).returncode == 0
    first.end(signal.SIGKILL)
    assert start(config).ready().post(prompts(1)).status_code == 200


def test_a_second_decider_stands_by_and_exports_no_verdict(start: Start, config: Path) -> None:
    first = start(config).ready()
    first.post(prompts(5))
    second = start(config, "--role", "decider").ready()
    assert second.metric("tiltmeter_decider_active") == 0
    assert not re.search(r"tiltmeter_(severity|evidence|stream_state)", second.get("/metrics").text)
    assert "Another process decides" in second.get("/").text
    assert second.post(prompts(1)).status_code == 409
    assert "another process is the active decider" in second.get("/v1/gates").text
    assert first.get("/v1/gates").json() == {"gates": []}
    assert first.end() == 0
    second.wait(lambda: second.metric("tiltmeter_decider_active") == 1)
    assert second.metric("tiltmeter_severity", severity="none") == 1
    assert second.end() == 0


def test_a_worker_has_no_verdicts(start: Start, config: Path) -> None:
    worker = start(config, "--role", "worker").ready()
    assert worker.post(prompts(4)).json()["counted"] == 4
    assert worker.get("/v1/verdicts").status_code == 404
    assert worker.get("/v1/gates").status_code == 503
    advice = worker.client.post(worker.url + "/v1/score", json=prompts(1)[0]).json()["advice"]
    assert (advice["fallback"], "does not decide" in advice["reason"]) == (None, True)
    assert worker.metric("tiltmeter_decider_active") is None
    assert worker.metric("tiltmeter_prompts_total", model_name="support-bot") == 4
    assert worker.end() == 0


def test_a_ledger_that_is_away_at_the_start_is_waited_for_and_shown(start: Start, config: Path, tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none?connect_timeout=2"
    service = start(config, TILTMETER_LEDGER__URL=url).listening()
    service.wait(lambda: "The monitor cannot see production" in service.get("/").text)
    assert service.get("/healthz").status_code == 200
    service.wait(lambda: "ledger" in service.get("/readyz").json()["problems"])  # it was not yet tried when the page is first there
    assert service.get("/readyz").status_code == 503
    assert service.post(prompts(1)).status_code == 503
    assert len([e for e in service.events() if e["event"] == "cannot connect, trying again"]) <= 3
    assert service.end() == 0


def test_a_thread_that_fails_ends_the_process_and_says_why_once(start: Start, config: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is no database, and long enough to be told from an empty file " * 20)
    service = start(config)
    assert service.process.wait(60) == 1
    said = [e for e in service.events() if e["level"] == "critical"]
    assert said
    assert "file is not a database" in said[0]["error"]
    assert len({e["thread"] for e in said}) == len(said)


def test_a_record_of_a_newer_tiltmeter_ends_the_process_and_is_named_once(start: Start, config: Path, tmp_path: Path) -> None:
    service = start(config, TILTMETER_INSTANCE="one").ready()
    assert service.end() == 0
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute(
            "INSERT INTO tiltmeter_log (seq, body, created) SELECT 1000000, ?, max(created) FROM tiltmeter_log",
            (wire.pack([b'{"kind": "report", "v": 9}']),),
        )
    again = start(config, TILTMETER_INSTANCE="one")
    assert again.process.wait(60) == 1
    [said] = [e for e in again.events() if e["level"] == "critical"]
    assert (said["event"], said["thread"]) == ("thread ended, so the process ends", "decider")
    assert "UnknownVersion: record of kind 'report', version 9" in said["error"]
    assert "upgrade the decider" in said["error"]


@pytest.mark.parametrize(("variable", "key"), [("TILTMETER_LEDGER__URL", "ledger.url"), ("TILTMETER_STORE", "store")])
@pytest.mark.parametrize("folder", ["/proc", "/nowhere"])
def test_a_folder_that_cannot_be_written_is_a_mistake_of_the_configuration(
    start: Start, config: Path, variable: str, key: str, folder: str
) -> None:
    service = start(config, **{variable: f"sqlite:///{folder}/t.db"})
    assert service.process.wait(60) == 2
    [said] = service.log.splitlines()
    assert f"{key}: cannot write in the folder {folder}: " in said


def test_a_taken_port_is_a_mistake_of_the_configuration(start: Start, config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        service = start(config, TILTMETER_HTTP__PORT=str(taken.getsockname()[1]))
        assert service.process.wait(60) == 2
    assert "cannot listen on 127.0.0.1" in service.log


def test_without_a_token_it_says_that_nobody_may_post(start: Start, config: Path) -> None:
    service = start(config, TILTMETER_TOKEN="").ready()
    assert service.post(prompts(1)).status_code == 403
    assert service.end() == 0
    warned = [e for e in service.events() if e["level"] == "warning"]
    assert [(e["event"], e["needs"]) for e in warned] == [
        ("no token is set, so every post is refused", "http.token_file or TILTMETER_TOKEN")
    ]


def test_a_gpu_that_is_asked_for_and_absent_is_refused(start: Start, config: Path) -> None:
    service = start(config, TILTMETER_COMPUTE__DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
    assert service.process.wait(60) == 2
    assert "compute.device: cuda was asked for" in service.log


def test_text_is_stored_only_where_it_is_switched_on_and_redacted(config: Path, start: Start, tmp_path: Path) -> None:
    plain = config.read_text()
    config.write_text(plain + "curation: {store_text: redacted}\n")
    first = start(config).ready()
    # The encoder of the test reads ten words: what comes after them makes nothing less strange.
    rows = [{"text": f"{f'{letter} ' * 10}jane.doe@example.com 4711", "model": "support-bot"} for letter in "abcdefgh"]
    assert first.post(rows).status_code == 200
    asked = "/v1/curation?model=support-bot"
    found = first.wait(lambda: first.get(asked).json()["examples"])
    assert all(row["text"].endswith("[email] [number]") for row in found)
    assert httpx.get(first.url + asked).status_code == 401
    assert first.end() == 0

    def texts() -> int:
        with sqlite3.connect(tmp_path / "history.db") as connection:
            count = connection.execute("SELECT count(*) FROM examples").fetchone()[0]
        connection.close()
        return int(count)

    assert texts() > 0
    for file in tmp_path.iterdir():
        assert b"jane.doe" not in file.read_bytes(), file
    config.write_text(plain)
    second = start(config).ready()
    assert second.get(asked).status_code == 404
    second.wait(lambda: texts() == 0)
    assert second.end() == 0


def test_a_shadow_learns_is_promoted_holds_over_a_restart_and_is_rolled_back(
    start: Start, config: Path, bundle: Path, second: Path
) -> None:
    config.write_text(config.read_text().replace(f"bundle: {bundle}", f"bundle: {bundle}, shadow: {second}"))
    old, new = (hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() for folder in (bundle, second))
    service = start(config).ready()

    def command(*words: str) -> str:
        arguments = [sys.executable, "-c", RUN, *words, "--url", service.url]
        done = subprocess.run(
            arguments, capture_output=True, text=True, cwd=Path(__file__).parents[3], env={**os.environ, "TILTMETER_TOKEN": TOKEN}
        )
        return done.stdout + done.stderr

    def scored_by() -> str:
        return str(service.client.post(service.url + "/v1/score", json=prompts(1)[0]).json()["bundle"])

    assert service.post(prompts(7)).json()["counted"] == 7
    rows = service.wait(lambda: service.get("/v1/windows?slice=").json()["windows"])
    assert {row["bundle"]: row["n"] for row in rows} == {old: 7, new: 7}
    assert service.metric("tiltmeter_prompts_total", model_name="support-bot") == 7
    assert service.metric("tiltmeter_unknown_bundle_prompts_total") == 0
    assert service.metric("tiltmeter_shadow_info", bundle=new) == 1
    assert scored_by() == old
    assert "refused: no baseline of the shadow is accepted" in command("bundle", "promote", "support-bot", "--reason", "r")
    assert "accepted live anyway" in command("baseline", "accept", "support-bot", "--shadow", "--anyway", "--reason", "a trial")
    assert f"bundle {new[:12]} is in force instead of {old[:12]}" in command("bundle", "promote", "support-bot", "--reason", "spring")
    service.wait(lambda: service.metric("tiltmeter_model_info", bundle=new) == 1)
    assert scored_by() == new
    assert service.end() == 0

    service = start(config).ready()
    service.wait(lambda: service.metric("tiltmeter_model_info", bundle=new) == 1)
    [row] = service.get("/v1/bundles").json()["bundles"]
    assert (row["in_force"], row["shadow"], row["former"]) == (new, old, old)
    listed = command("bundle", "list")
    assert new[:12] in listed
    assert "accepted" in command("baseline", "show", "support-bot")
    assert f"Shadow bundle {old[:12]} wakes nobody" in service.get("/").text
    assert f"bundle {old[:12]} is in force" in command("bundle", "rollback", "support-bot", "--reason", "no")
    service.wait(lambda: scored_by() == old)
    assert service.end() == 0
    applied = [e for e in service.events() if e["event"] == "command applied"]
    assert [(e["command"], e["reason"]) for e in applied] == [("bundle.rollback", "no")]
