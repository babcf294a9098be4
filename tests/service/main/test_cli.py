"""The command line itself: help, exit statuses, documentation, and the commands that talk to a service."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import uvicorn
from typer.testing import CliRunner, Result
from web import NOW, TOKEN, Stage, incident, make, status

from service.api.view import Answers, Baseline, Deployed, InForce, ProbeRecord
from service.main import app
from service.records import AuditEntry, Command

ROOT = Path(__file__).parents[3]


def tiltmeter(*arguments: object, **environment: str) -> Result:
    return CliRunner(env={"TILTMETER_TOKEN": TOKEN, **environment}).invoke(app, [str(argument) for argument in arguments])


def commands() -> dict[str, typer.core.TyperCommand]:
    found: dict[str, typer.core.TyperCommand] = {}

    def walk(path: str, command: object) -> None:
        inner = getattr(command, "commands", None)
        if inner is None or command.invoke_without_command:
            found[path] = command  # type: ignore[assignment]
        for name, child in (inner or {}).items():
            walk(f"{path} {name}", child)

    walk("tiltmeter", typer.main.get_command(app))
    return found


def test_every_command_of_the_design_is_there() -> None:
    listed = "fit run demo replay report curate expect deployed check-config probe gate"
    listed += "|bundle show,verify,list,promote,rollback|topics list,rename|baseline show,learn,accept,reset|incident list,show,ack,close"
    listed += "|pack check,import|probe accept|grafana push"
    expected = {f"tiltmeter {name}" for name in listed.split("|")[0].split()}
    expected |= {f"tiltmeter {group.split()[0]} {name}" for group in listed.split("|")[1:] for name in group.split()[1].split(",")}
    assert set(commands()) == expected


@pytest.mark.parametrize("path", sorted(commands()))
def test_help_teaches_with_an_example(path: str) -> None:
    result = tiltmeter(*path.split()[1:], "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert re.search(rf"{path}\b", result.output)


def test_docs_hold_every_command_and_option_and_no_other() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    sections = dict(re.findall(r"^## `(tiltmeter [^`]+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(commands())
    for path, command in commands().items():
        rows = re.findall(r"^\| (.+?) \| ", sections[path], re.MULTILINE)
        documented = set(re.findall(r"`(-[^`]+)`", " ".join(rows)))
        real = {name for p in command.params if p.name != "help" for name in (*p.opts, *p.secondary_opts) if name.startswith("-")}
        assert documented == real, path


def test_help_comes_within_a_second_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from service.main import app\n"
        "heavy = {'numpy', 'scipy', 'sklearn', 'onnxruntime', 'fastapi', 'sqlalchemy', 'kafka', 'pydantic', 'httpx'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_version() -> None:
    assert re.fullmatch(r"tiltmeter \S+\n", tiltmeter("--version").output)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["run", "--config", "{tmp}/none.yaml"], 2, "none.yaml"),
        (["run"], 2, "--config"),
        (["run", "--config", "{tmp}/bad.yaml"], 2, "unknown key; did you mean 'source'"),
        (["run", "--config", "{tmp}/files.yaml", "--role", "worker"], 2, "read by one process"),
        (["check-config", "{tmp}/secret.yaml"], 2, "secrets are not written here"),
        (["check-config", "{tmp}/files.yaml"], 2, "expected a directory made by `tiltmeter fit`"),
        (["bundle", "show", "{tmp}"], 2, "manifest.json: no such file"),
        (["fit", "{tmp}/none.jsonl", "--out", "{tmp}/b"], 1, "none.jsonl"),
        (["incident", "list", "--url", "http://127.0.0.1:9"], 1, "is `tiltmeter run` listening there?"),
        (["incident", "list", "--url", "nonsense"], 1, "nonsense"),
        (["baseline", "accept", "m", "--reason", "r", "--token-file", "{tmp}/none"], 2, "cannot read the token"),
        (["incident", "close", "x", "--verdict", "maybe", "--reason", "r"], 2, "maybe"),
        (["run", "--config", "{tmp}/files.yaml", "--log-level", "loud"], 2, "loud"),
        (["replay", "x.jsonl", "--bundle", "b", "--rate", "0"], 2, "above 0"),
        (["dance"], 2, "dance"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_status(tmp_path: Path, arguments: list[str], exit_code: int, message: str) -> None:
    (tmp_path / "bad.yaml").write_text("sorce: {kind: http}\nmodels: {m: {bundle: b}}\n")
    (tmp_path / "files.yaml").write_text(f"source: {{kind: file, paths: [x.jsonl]}}\nmodels: {{m: {{bundle: {tmp_path}/b}}}}\n")
    (tmp_path / "secret.yaml").write_text(
        "source: {kind: kafka, topic: t, options: {sasl_plain_password: hunter2}}\nmodels: {m: {bundle: b}}\n"
    )
    result = tiltmeter(*[argument.format(tmp=tmp_path) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    assert message in " ".join(result.output.split())
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_bundle_show(bundle: Path) -> None:
    result = tiltmeter("bundle", "show", bundle)
    assert result.exit_code == 0
    assert "reference" in result.output
    manifest = json.loads(tiltmeter("bundle", "show", bundle, "--json").output)
    assert manifest["schema"] == 2


def test_bundle_verify(bundle: Path, tmp_path: Path) -> None:
    digest = re.search(r"[0-9a-f]{64}", tiltmeter("bundle", "show", bundle).output)
    assert digest is not None
    shutil.copytree(bundle, copy := tmp_path / "support=bot")
    same = tiltmeter("bundle", "verify", f"{bundle}={digest[0]}", f"{copy}={digest[0]}")
    assert same.exit_code == 0, same.output
    (copy / "topics.json").write_text("[]")
    for pair, message in (
        (f"{bundle}={'0' * 64}", f"holds bundle {digest[0]}, expected {'0' * 64}"),
        (f"{copy}={digest[0]}", "changed since it was fitted"),
        (f"{tmp_path}={digest[0]}", "no such file"),
        (str(bundle), "expected DIRECTORY=DIGEST"),
    ):
        result = tiltmeter("bundle", "verify", pair)
        assert result.exit_code == 2
        assert message in " ".join(result.output.split())


def test_a_renamed_topic_is_shown_by_its_name(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    listed = tiltmeter("topics", "list", copy).output.splitlines()
    assert len(listed) == json.loads(tiltmeter("bundle", "show", copy, "--json").output)["topics"]
    largest = max(range(len(listed)), key=lambda i: float(listed[i].split()[1].rstrip("%")))
    renamed = tiltmeter("topics", "rename", copy, largest, "  cards,   lost ")
    assert renamed.exit_code == 0, renamed.output
    assert f"topic {largest} is now shown as: cards, lost" in renamed.output
    now = tiltmeter("topics", "list", copy).output.splitlines()
    assert "cards, lost  (fitted:" in now[largest]
    assert [*now[:largest], *now[largest + 1 :]] == [*listed[:largest], *listed[largest + 1 :]]
    assert "cards, lost" in tiltmeter("bundle", "show", copy).output
    assert tiltmeter("bundle", "show", copy, "--json").output == tiltmeter("bundle", "show", bundle, "--json").output
    refused = tiltmeter("topics", "rename", copy, 999, "nothing")
    assert refused.exit_code == 2
    assert "topic 999 does not exist" in refused.output
    assert tiltmeter("topics", "rename", copy, largest, "").exit_code == 0
    assert tiltmeter("topics", "list", copy).output.splitlines() == listed


def test_check_config_prints_who_got_what(bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"source: {{kind: http}}\nstore: 'sqlite:///{tmp_path}/h.db'\nledger: {{kind: sql, url: 'sqlite:///{tmp_path}/l.db'}}\n"
        f"models:\n  one: {{bundle: {bundle}, owner: team-a, weight: 3, slices: {{values: [a, b]}}}}\n  two: {{bundle: {bundle}}}\n"
    )
    result = CliRunner(env={"TILTMETER_TOKEN": ""}).invoke(app, ["check-config", str(config), "--connect"])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    # three quarters of the budgets, a fifth of that for the slices, the rest over 10 streams, of which 5 may page
    assert "one ood_share team-a 6.0% 117 days 10^5.23 12.0% 750 days 10^6.03" in said
    assert "one truncation team-a 6.0% 117 days 10^5.23 - never -" in said
    assert "one 2 slices, 2 streams each team-a 15.0% 47 days 10^5.43 15.0% 600 days 10^6.54" in said
    assert "two combined unowned 2.5% 280 days 10^5.61 5.0% 1,800 days 10^6.41" in said
    assert "model two has no owner" in said
    assert "everything that writes over HTTP is refused" in said
    assert "ledger answers" in said
    assert "length: 60.0" not in said
    assert "length: 60.0" in tiltmeter("check-config", config, "--show").output


def test_check_config_fails_when_a_database_does_not_answer(bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"source: {{kind: http}}\nstore: 'sqlite:///{tmp_path}/h.db'\nmodels: {{one: {{bundle: {bundle}}}}}\n"
        "ledger: {kind: sql, url: 'postgresql://nobody@127.0.0.1:9/none?connect_timeout=2'}\n"
    )
    result = tiltmeter("check-config", config, "--connect")
    assert result.exit_code == 1, result.output
    assert "ledger: " in result.output
    assert "history answers" in result.output


@pytest.fixture
def served() -> Iterator[tuple[Stage, str]]:
    """A running web application whose decider applies every command at once."""
    stage = make()

    def apply(command: Command) -> None:
        stage.commands.append(command)
        outcome = "refused: nothing is learned yet" if command.kind == "baseline.accept" else f"done: {command.kind}"
        stage.rows.entries.append(AuditEntry(command.id, NOW, command.actor, command.kind, {}, outcome))

    stage = make(submit=apply)
    stage.state["status"] = status("critical", incidents=(incident(),))
    server = uvicorn.Server(uvicorn.Config(stage.app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield stage, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_incidents_and_baselines_of_a_running_service(served: tuple[Stage, str], tmp_path: Path) -> None:
    stage, url = served
    listed = tiltmeter("incident", "list", "--url", url).output
    assert incident().id in listed
    assert "critical" in listed
    assert "no open incidents" in tiltmeter("incident", "list", "--model", "other", TILTMETER_URL=url).output
    acknowledged = tiltmeter("incident", "ack", incident().id, "--url", url)
    assert "done: incident.ack" in acknowledged.output
    closed = tiltmeter("incident", "close", incident().id, "--verdict", "benign", "--reason", "campaign", "--url", url)
    assert closed.exit_code == 0, closed.output
    assert dict(stage.commands[1].arguments) == {"incident": incident().id, "verdict": "benign", "reason": "campaign"}
    shown = tiltmeter("baseline", "show", "--url", url).output
    assert re.search(r"support-bot +ood_share", shown)
    assert "never told from chance" in shown
    assert tiltmeter("baseline", "show", "other", "--url", url).exit_code == 1
    assert "done: baseline.reset" in tiltmeter("baseline", "reset", "support-bot", "--reason", "r", "--url", url).output
    refused = tiltmeter("baseline", "accept", "support-bot", "--reason", "r", "--url", url)
    assert refused.exit_code == 1
    assert "nothing is learned yet" in refused.output
    tiltmeter("baseline", "accept", "support-bot", "--reason", "r", "--anyway", "--url", url)
    assert [c.arguments.get("anyway") for c in stage.commands if c.kind == "baseline.accept"] == [None, True]


def test_a_change_is_announced_and_listed(served: tuple[Stage, str]) -> None:
    stage, url = served
    assert "nothing is expected" in tiltmeter("expect", "--list", "--url", url).output
    given = ("expect", "support-bot", "--until", "2026-03-02T00:00", "--reason", "campaign", "--url", url)
    announced = tiltmeter(*given, "--topic", "roaming")
    assert announced.exit_code == 0, announced.output
    assert dict(stage.commands[0].arguments) == {
        "model": "support-bot", "topic": "roaming", "until": 1772409600.0, "reason": "campaign"
    }  # fmt: skip
    for mistaken in (given, ("expect", "--url", url), ("expect", "support-bot", "--slice", "a", "--url", url)):
        assert tiltmeter(*mistaken).exit_code == 2


def test_a_deployment_is_announced_and_listed(served: tuple[Stage, str]) -> None:
    stage, url = served
    assert "nothing was announced" in tiltmeter("deployed", "--list", "--url", url).output
    announced = tiltmeter("deployed", "support-bot", "--revision", "r7", "--reason", "weekly", "--url", url)
    assert announced.output == "support-bot: done: deployment.add\n"
    assert dict(stage.commands[0].arguments) == {"model": "support-bot", "revision": "r7", "reason": "weekly"}
    told = [Deployed("support-bot", "r7", NOW - 9000, "ci", "weekly"), Deployed("quiet-bot", "q1", NOW, "ada", "hotfix")]
    stage.state["status"] = status("critical", incidents=(incident(),), deployments=told)
    listed = tiltmeter("deployed", "--list", "--url", url).output
    assert listed.index("q1") < listed.index("r7")
    assert "q1" not in tiltmeter("deployed", "support-bot", "--list", "--url", url).output
    assert "  deployed  r7, Wed 31 Dec 21:30 UTC by ci: weekly" in tiltmeter("incident", "show", incident().id, "--url", url).output
    for mistaken in (["--url", url], ["support-bot", "--reason", "r", "--url", url], ["support-bot", "--revision", "r", "--url", url]):
        assert tiltmeter("deployed", *mistaken).exit_code == 2
    assert tiltmeter("deployed", "other", "--revision", "r", "--reason", "r", "--url", url).exit_code == 1


def test_what_would_be_accepted_of_probes_is_shown_first(served: tuple[Stage, str]) -> None:
    stage, url = served
    record, now = Answers("k1", "m1", 400, 20, NOW - 9000, 0.09, "learned"), Answers("k2", "m2", 40, 9, NOW - 60)
    rows = [
        ProbeRecord("support-bot", "live", f"p/{suite}", "sums", "probe", "ok", record, now, on_trial=trial, acceptable=trial)
        for suite, trial in (("old", False), ("new", True))
    ]
    judge = ProbeRecord("support-bot", "main", "judge/main", "", "probe_judge", "ticket", record, now, on_trial=False, acceptable=True)
    stage.state["status"] = status(probe_records=(*rows, judge))
    looked = tiltmeter("probe", "accept", "support-bot", "--dry-run", "--url", url)
    assert looked.exit_code == 0, looked.output
    for said in ("p/new", "sums", "ok, on trial", "20 of 400 (5.0%)", "learned", "9 of 40 (22.5%)", "m2"):
        assert said in looked.output
    assert "p/old" not in looked.output
    assert "judge/main" not in looked.output
    assert "judge/main" in tiltmeter("probe", "accept", "support-bot", "--suite", "judge/main", "--dry-run", "--url", url).output
    assert stage.commands == []
    accepted = tiltmeter("probe", "accept", "support-bot", "--suite", "p/new", "--reason", "wanted", "--url", url)
    assert accepted.output.endswith("support-bot: done: probe.accept\n")
    assert dict(stage.commands[0].arguments) == {"model": "support-bot", "suite": "p/new", "reason": "wanted"}
    assert "no answers wait" in tiltmeter("probe", "accept", "quiet-bot", "--dry-run", "--url", url).output
    assert tiltmeter("probe", "accept", "support-bot", "--url", url).exit_code == 2
    assert tiltmeter("probe", "--suite", "p/new", "accept", "support-bot", "--dry-run", "--url", url).exit_code == 2
    assert "--config: needed" in tiltmeter("probe").output


def test_a_wrong_token_is_refused_in_the_services_words(served: tuple[Stage, str], tmp_path: Path) -> None:
    stage, url = served
    file = tmp_path / "token"
    file.write_text("sesame-shut\n")
    ack = ("incident", "ack", incident().id, "--url", url)
    result = tiltmeter(*ack, "--token-file", file)
    assert result.exit_code == 1
    assert f"401: this is not the token of this service; it came from {file}" in result.output
    assert "sesame-shut" not in result.output
    assert "it came from TILTMETER_TOKEN" in tiltmeter(*ack, TILTMETER_TOKEN="other").output
    missing = tiltmeter(*ack, TILTMETER_TOKEN="")
    assert missing.exit_code == 1
    assert "this needs the header 'Authorization: Bearer TOKEN'; set TILTMETER_TOKEN or give --token-file" in missing.output
    assert stage.commands == []


def test_history_becomes_a_candidate(served: tuple[Stage, str], bundle: Path, tmp_path: Path) -> None:
    stage, url = served
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps({"time": NOW + 60 * minute, "text": "help my card"}) + "\n" for minute in range(3000)))
    result = tiltmeter("baseline", "learn", "support-bot", "--from", history, "--bundle", bundle, "--url", url)
    assert result.exit_code == 0, result.output
    assert "3,000 prompts of 3 days" in result.output
    arguments = stage.commands[0].arguments
    assert {"model", "history", "source"} == arguments.keys()
    assert arguments["source"] == "history.jsonl"


def test_bundles_of_a_running_service(served: tuple[Stage, str]) -> None:
    stage, url = served
    assert tiltmeter("bundle", "list", "--url", url).exit_code == 1
    would = {"ticket": 2, "page": 1}
    row = InForce("support-bot", "ab12" * 16, None, 0.03, "cd34" * 16, 0.051, "full", 28, 70_000, "ada", would)
    rows = (Baseline("support-bot", "ood_share", "baseline: full", 0.0612),)
    stage.state["status"] = status(bundles=(row,), shadow_baselines=rows)
    listed = tiltmeter("bundle", "list", "--url", url).output
    for said in ("ab12ab12ab12", "3.0%", "cd34cd34cd34", "5.1%", "full", "28", "ada", "2 tickets, 1 page"):
        assert said in listed
    assert "0.0612" in tiltmeter("baseline", "show", "--shadow", "--url", url).output
    assert "0.0612" not in tiltmeter("baseline", "show", "--url", url).output
    assert "no shadow of other" in tiltmeter("baseline", "show", "other", "--shadow", "--url", url).output
    about = ("support-bot", "--reason", "r", "--url", url)
    assert tiltmeter("bundle", "promote", *about, "--anyway").output == "support-bot: done: bundle.promote\n"
    assert tiltmeter("bundle", "rollback", *about).output == "support-bot: done: bundle.rollback\n"
    tiltmeter("baseline", "reset", *about, "--shadow")
    assert tiltmeter("bundle", "promote", "nobody", "--reason", "r", "--url", url).exit_code == 1
    assert [(c.kind, c.arguments) for c in stage.commands] == [
        ("bundle.promote", {"model": "support-bot", "reason": "r", "anyway": True}),
        ("bundle.rollback", {"model": "support-bot", "reason": "r"}),
        ("baseline.reset", {"model": "support-bot", "reason": "r", "shadow": True}),
    ]
