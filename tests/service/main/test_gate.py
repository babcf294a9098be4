"""`tiltmeter gate` against a running web application, and what a process hands on of its decider's picture."""

import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from probe_log import Rounds, stream
from typer.testing import CliRunner, Result
from web import make

from service.decider.snapshot import DeciderSnapshot
from service.main import app, gate, gates
from service.records import Advice


@dataclass
class Served:
    """A web application that answers ``says`` one after the other, the last one for ever."""

    url: str = ""
    says: list[Any] = field(default_factory=list)
    asked: int = 0

    def rows(self) -> Any:
        self.asked += 1
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    server = uvicorn.Server(uvicorn.Config(make(gates=found.rows).app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    found.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield found
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def picture() -> DeciderSnapshot:
    """A model of a record of 400 answers, then a release that is worse."""
    given = {name: {"model": "bot", "stage": stage} for name, stage in (("pilot", "A"), ("production", "C"))}
    seen: DeciderSnapshot = Rounds(stream(), seed=1, gates=given).run(20, 0.1).run(12, 0.4, key="key-2").picture()
    return replace(seen, published=time.time())


def row(verdict: str, *reasons: str, **changes: Any) -> list[dict[str, Any]]:
    given = {"name": "release", "model_name": "bot", "stage": "B", "since": 1.8e9, "last": None, "streams": {"live/[p]/s": verdict}}
    given["began"] = {"live/[p]/s": 1.8e9}
    return [{**given, "verdict": verdict, "reasons": reasons, "judged": 1.0, "advice": {"fallback": False, "reason": "calm"}, **changes}]


def tiltmeter(*words: object) -> Result:
    return CliRunner(env={"TILTMETER_URL": None}).invoke(app, ["gate", *map(str, words)])


@pytest.mark.parametrize(("verdict", "status"), [("pass", 0), ("fail", 3), ("inconclusive", 4)])
def test_each_verdict_has_its_status(served: Served, verdict: str, status: int) -> None:
    served.says = [row(verdict, "[p]/s: 1 of 9 wrong: better", "a page is open: probe x")]
    done = tiltmeter("release", "--url", served.url)
    assert done.exit_code == status, done.output
    for said in (f"release: {verdict}", "stage B of bot", "[p]/s: 1 of 9 wrong: better", "a page is open: probe x", "live/[p]/s"):
        assert said in done.output
    assert "since 2027-01-15 08:00 UTC, newest round none yet" in done.output
    assert "\x1b" not in done.output
    told = tiltmeter("release", "--url", served.url, "--json")
    assert (told.exit_code, json.loads(told.stdout)["verdict"]) == (status, verdict)


def test_it_waits_until_it_is_known_and_over_what_passes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PAUSE", 0.01)
    served.says = [row("inconclusive", "no round yet"), "starting", row("inconclusive", "no round yet"), row("pass", "fine")]
    assert tiltmeter("release", "--url", served.url, "--wait", "60s").exit_code == 0
    assert served.asked == 4
    served.says, served.asked = [row("inconclusive", "no round yet")], 0
    began = time.monotonic()
    assert tiltmeter("release", "--url", served.url, "--wait", "0.2").exit_code == 4
    assert 0.2 <= time.monotonic() - began < 5
    assert served.asked > 2


def test_a_release_that_has_not_answered_yet_is_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PAUSE", 0.01)
    served.says = [row("pass")]
    early = tiltmeter("release", "--url", served.url, "--since", "2027-01-15T08:00:01Z")
    assert (early.exit_code, "what answers began at 2027-01-15 08:00:00 UTC" in early.output) == (4, True)
    served.says = [row("pass"), row("fail", began={"live/[p]/s": 1.8e9 + 1})]
    assert tiltmeter("release", "--url", served.url, "--since", "2027-01-15T08:00:01Z", "--wait", "60s").exit_code == 3
    assert tiltmeter("release", "--url", served.url, "--since", "soon").exit_code == 2


def test_a_bar_only_on_a_terminal(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(gate, "PAUSE", 0.01)
    for shown, kind in ((False, io.StringIO), (True, Terminal)):
        monkeypatch.setattr(sys, "stderr", kind())
        served.says = [row("inconclusive", "no round yet"), row("pass", "fine")]
        assert gate._settled("release", served.url, "/v1/gates/release", 60.0)["verdict"] == "pass"
        assert ("release" in sys.stderr.getvalue()) is shown  # type: ignore[attr-defined]


def test_what_cannot_be_read_is_no_verdict(served: Served, tmp_path: Path) -> None:
    away = tiltmeter("release", "--url", "http://127.0.0.1:9")
    assert (away.exit_code, "is `tiltmeter run` listening there?" in away.output) == (1, True)
    served.says = ["another process is the active decider"]
    standby = tiltmeter("release", "--url", served.url)
    assert (standby.exit_code, "another process is the active decider" in standby.output) == (1, True)
    served.says = [row("pass")]
    unknown = tiltmeter("releese", "--url", served.url, "--wait", "1h")
    assert (unknown.exit_code, "known: release" in unknown.output) == (2, True)
    assert tiltmeter("release", "--url", served.url, "--wait", "soon").exit_code == 2
    served.says = [row("maybe")]
    assert tiltmeter("release", "--url", served.url).exit_code == 1


def test_the_configuration_names_address_and_gates(served: Served, tmp_path: Path) -> None:
    served.says = [row("pass")]
    port = served.url.rpartition(":")[2]
    config = tmp_path / "c.yaml"
    written = "source: {kind: http}\nmodels: {bot: {bundle: b}}\ngates: {release: {model: bot}}\n"
    config.write_text(f"{written}http: {{host: 0.0.0.0, port: {port}}}\n")
    assert tiltmeter("release", "--config", config).exit_code == 0
    other = tiltmeter("pilot", "--config", config, "--url", served.url)
    assert (other.exit_code, "known: release" in other.output) == (2, True)
    config.write_text(f"{written}http: {{port: 0}}\n")
    assert tiltmeter("release", "--config", config).exit_code == 2
    assert tiltmeter("release", "--config", config, "--url", served.url).exit_code == 0


def test_a_picture_that_is_not_ours_or_too_old_is_not_handed_on(picture: DeciderSnapshot) -> None:
    now = picture.published
    assert isinstance(gates.rows(picture), list)
    standby, old = replace(picture, active=False), replace(picture, published=now - gates.STALE - 1)
    for seen, why in ((None, "does not decide"), (standby, "another process"), (old, "has said nothing for 121 s")):
        assert why in str(gates.rows(seen))
        told = gates.advise(seen, "bot", now=now)
        assert (told.fallback, why in told.reason) == (None, True)


def test_a_gate_and_a_score_are_given_the_same_advice(picture: DeciderSnapshot) -> None:
    pilot, production = gates.rows(picture)
    assert (pilot["verdict"], production["verdict"]) == ("fail", "fail")  # type: ignore[index]
    told = gates.advise(picture, "bot")
    assert (told.fallback, pilot["advice"]) == (True, {"fallback": True, "reason": told.reason})  # type: ignore[index]
    assert gates.advise(picture, "nobody").fallback is None


def test_advice_of_a_slice_counts_where_there_is_none_for_the_whole(picture: DeciderSnapshot) -> None:
    calm, page = Advice(False, "calm"), Advice(True, "a page of drift is open: ood_share acme")
    seen = replace(picture, advice={("bot", ""): calm, ("bot", "acme"): page})
    assert [gates.advise(seen, "bot", slice_) for slice_ in ("", "acme", "other")] == [calm, page, calm]
    worse = Advice(True, "a page of safety is open")
    assert gates.advise(replace(seen, advice={**seen.advice, ("bot", ""): worse}), "bot", "acme") == worse
