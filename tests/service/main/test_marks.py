"""From incidents and the audit to marks in Grafana, by a thread that nothing waits for."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from decider_log import Log, settings, watched
from grafana_server import TOKEN, Fault, Grafana, serving
from web import NOW, incident

from service.decider.decider import Decider
from service.decider.snapshot import DeciderSnapshot
from service.errors import ConfigError
from service.main import marks
from service.main.marks import Marks, commands, incidents
from service.records import AuditEntry

ENTRIES = [
    AuditEntry(
        "c4", NOW + 4, "eve", "bundle.promote", {"model": "bot", "reason": "private"}, "bundle abc is in force instead of def; its baseline"
    ),
    AuditEntry("c3", NOW + 3, "bob", "baseline.accept", {"model": "bot", "reason": "private"}, "accepted"),
    AuditEntry("c2", NOW + 2, "bob", "baseline.accept", {"model": "bot"}, "refused: too short"),
    AuditEntry("c1", NOW + 1, "ann", "deployment.add", {"model": "bot", "revision": "<r2>", "reason": "private"}, "announced"),
    AuditEntry("c0", NOW, "ann", "incident.ack", {"incident": "x"}, "acknowledged"),
]


def snapshot(**changes: Any) -> DeciderSnapshot:
    return replace(Decider(watched(), settings()).picture(active=True, now=NOW), **changes)


class Audit:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.broken = False

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        if self.broken:
            raise OSError("the database is away")
        return self.entries[:limit]


def test_what_is_marked_of_incidents() -> None:
    closed = incident(id="b", closed=NOW, closed_by="ann <a@b>", verdict="real", reason="private")
    joined = incident(id="c", closed=NOW, closed_by="recovery", verdict="recovered", part_of="b")
    found = {mark.id: mark for mark in incidents(snapshot(incidents=(incident(id="a", slice="acme"),), recent=(closed, joined)))}
    assert found["a"].text.startswith("page, support-bot acme: 9.83% strange")
    assert (found["a"].time, found["a"].end, found["a"].make) == (NOW - 1600, None, True)
    assert found["b"].text.endswith("Closed as real by ann &lt;a@b&gt;.")
    assert found["b"].end == NOW
    assert "private" not in str(found)
    assert not found["c"].make


def test_what_is_marked_of_commands() -> None:
    found = commands(ENTRIES)
    assert [(mark.id, mark.what, mark.time, mark.text) for mark in found] == [
        ("c1", "deployment", NOW + 1, "bot: revision &lt;r2&gt; deployed, by ann"),
        ("c3", "baseline", NOW + 3, "bot: baseline accepted, by bob"),
        ("c4", "bundle", NOW + 4, "bot: bundle abc is in force instead of def, by eve"),
    ]
    assert "private" not in str(found)
    assert {mark.tags for mark in found} == {("change", "model:bot")}


def test_every_kind_of_command_that_is_marked_exists() -> None:
    known = Decider(watched(), settings())._commands._kinds
    assert set(marks._WHAT) <= set(known)


@pytest.fixture
def served() -> Iterator[tuple[Grafana, str]]:
    with serving() as found:
        yield found


@pytest.fixture
def running(served: tuple[Grafana, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    monkeypatch.setattr(marks, "LOOK", 0.01)
    monkeypatch.setattr(marks, "AUDIT_EVERY", 0.1)
    monkeypatch.setenv("TILTMETER_GRAFANA_TOKEN", TOKEN)
    stop, threads = threading.Event(), []

    def start(decider: Callable[[], DeciderSnapshot | None], audit: Callable[[], Audit | None]) -> Marks:
        made = Marks(settings(grafana={"url": served[1], "annotations": True, "timeout": 1}))
        threads.append(threading.Thread(target=made.run, args=(stop, decider, audit), daemon=True))
        threads[-1].start()
        return made

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def wait(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_only_the_active_decider_marks(served: tuple[Grafana, str], running: Callable[..., Marks]) -> None:
    grafana, audit = served[0], Audit()
    audit.entries = ENTRIES
    seen = [snapshot(incidents=(incident(),), active=False)]
    made = running(lambda: seen[0], lambda: audit)
    time.sleep(0.2)
    assert not grafana.requests
    seen[0] = replace(seen[0], active=True)
    wait(lambda: len(grafana.notes) == 4)
    seen[0] = replace(seen[0], incidents=(), recent=(incident(closed=NOW, closed_by="recovery", verdict="recovered"),))
    wait(lambda: any(note["timeEnd"] == 1000 * NOW for note in grafana.notes.values()))
    wait(lambda: made.annotator.counts.waiting == 0)
    assert (len(grafana.notes), made.annotator.counts.failures) == (4, 0)


def test_a_fail_over_doubles_nothing(served: tuple[Grafana, str], running: Callable[..., Marks]) -> None:
    grafana, audit = served[0], Audit()
    first = [snapshot(incidents=(incident(),))]
    running(lambda: first[0], lambda: None)
    wait(lambda: grafana.notes)
    second = [replace(first[0], active=False)]
    made = running(lambda: second[0], lambda: audit)
    first[0], second[0] = replace(first[0], active=False), first[0]
    wait(lambda: made.annotator.counts.sent)
    assert len(grafana.notes) == 1


def test_a_history_that_is_away_keeps_nobody_from_marking_incidents(served: tuple[Grafana, str], running: Callable[..., Marks]) -> None:
    audit = Audit()
    audit.entries, audit.broken = ENTRIES, True
    running(lambda: snapshot(incidents=(incident(),)), lambda: audit)
    wait(lambda: len(served[0].notes) == 1)
    audit.broken = False
    wait(lambda: len(served[0].notes) == 4)


def test_a_grafana_that_hangs_is_waited_for_by_nobody(served: tuple[Grafana, str], running: Callable[..., Marks]) -> None:
    served[0].faults += [("*", "", Fault(seconds=0.7))] * 2
    seen = [snapshot()]
    made = running(lambda: seen[0], lambda: None)
    log, slowest = Log(), 0.0
    decider = Decider(watched(), settings())
    for n in range(100):
        began = time.perf_counter()
        log.window(60 * n)
        decider.absorb(log.drain())
        seen[0] = replace(decider.picture(active=True, now=NOW), incidents=(incident(id=f"i-{n}"),))
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 0.5
    assert made.annotator.counts.sent == 0


@pytest.mark.parametrize(
    ("token", "told"),
    [(None, "expected the token of a service account: set TILTMETER_GRAFANA_TOKEN or grafana.token_file"), ("a\nb", "printable ASCII")],
)
def test_no_token_is_a_mistake_in_the_configuration(monkeypatch: pytest.MonkeyPatch, token: str | None, told: str) -> None:
    monkeypatch.delenv("TILTMETER_GRAFANA_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("TILTMETER_GRAFANA_TOKEN", token)
    with pytest.raises(ConfigError, match=told):
        Marks(settings(grafana={"url": "http://127.0.0.1:9", "annotations": True}))


def test_the_token_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    Marks(settings(grafana={"url": "http://127.0.0.1:9", "annotations": True, "token_file": tmp_path / "token"}))
    with pytest.raises(ConfigError, match=r"nowhere: the file that should hold TILTMETER_GRAFANA_TOKEN cannot be read"):
        Marks(settings(grafana={"url": "http://127.0.0.1:9", "annotations": True, "token_file": tmp_path / "nowhere"}))
