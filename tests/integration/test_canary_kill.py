"""The real service probes a real endpoint, is killed in the middle of rounds and started again: every answer is there once."""

import json
import re
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
import yaml

from parts.process import Server, as_child, free_port
from service.store import ProbeHistory

ROOT = Path(__file__).parents[2]
GOLDEN = [{"id": f"sum-{i}", "prompt": f"What is {i} + {2 * i}?", "expected": str(3 * i), "category": "sums"} for i in range(1, 21)]


class Toy(Server):
    """The example endpoint, with a log of what it was asked."""

    name = "toy"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.asked = folder / "asked.jsonl"

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--delay", "0.12", "--obeys", "0.3", "--log", str(self.asked)]
        return as_child(["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "examples.toy_endpoint", *options])

    def is_ready(self) -> bool:
        return _answers(f"http://127.0.0.1:{self.port}/v1/models")


class Service(Server):
    """`tiltmeter run`, with stub scores in place of a bundle."""

    name = "service"

    def __init__(self, folder: Path, config: Path, port: int) -> None:
        super().__init__(folder)
        self.config, self.port = config, port

    def command(self) -> list[str]:
        serve = ROOT / "tests" / "chaos" / "serve.py"
        environment = [f"PYTHONPATH={ROOT}:{ROOT / 'tests'}", "TILTMETER_TOKEN=kill", "TILTMETER_CANARY_KEY=0123456789abcdef-test"]
        return as_child(["env", *environment, sys.executable, str(serve), str(self.config), "all", str(self.folder), "{}"])

    def is_ready(self) -> bool:
        return _answers(f"http://127.0.0.1:{self.port}/healthz")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    server = Toy(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def service(tmp_path: Path, toy: Toy) -> Iterator[Service]:
    port = free_port()
    server = Service(tmp_path, configuration(tmp_path, toy, port), port)
    yield server
    server.kill()


def configuration(folder: Path, toy: Toy, port: int) -> Path:
    (folder / "golden.jsonl").write_text("\n".join(map(json.dumps, GOLDEN)))
    path = folder / "tiltmeter.yaml"
    target = {"monitors": "bot", "rate": {"per_minute": 6000, "concurrency": 2}, "daily": {"calls": 10_000_000}, "model": "toy-1"}
    config = {
        "source": {"kind": "http"},
        "ledger": {"kind": "sql", "url": f"sqlite:///{folder}/ledger.db"},
        "store": f"sqlite:///{folder}/history.db",
        "models": {"bot": {"bundle": "none"}},
        "http": {"port": port},
        "targets": {"live": target | {"url": f"http://127.0.0.1:{toy.port}/v1"}},
        "probes": {
            "packs": ["golden", "injection"],
            "golden": str(folder / "golden.jsonl"),
            "every": {"golden/own": "5s", "injection/planted": "7s"},
            "acknowledge_attacks": True,
            "allowed_hosts": ["127.0.0.1"],
        },
        "budgets": {"page": "1 per 1 days", "ticket": "1 per 1 days"},
    }
    path.write_text(yaml.safe_dump(config))
    return path


def until(wanted: Callable[[], object], within: float) -> None:
    end = time.monotonic() + within
    while not wanted():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_in_rounds_it_loses_and_repeats_nothing(tmp_path: Path, toy: Toy, service: Service) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/history.db")
    history = ProbeHistory(engine)
    before: set[tuple[str, ...]] = set()
    for _ in range(3):
        service.start()
        began = len(before)
        until(lambda began=began: len(_rows(engine)) > began + 15 and _in_a_round(history), within=40)
        service.kill()
        now = _rows(engine)
        assert before <= set(now)  # what was recorded stays
        assert len(now) == len(set(now))
        before = set(now)
    service.start()
    resumed = {kept.round.id for kept in history.unfinished()}
    until(lambda: len([kept for kept in history.rounds() if kept.state == "told" and kept.round.complete]) >= 4, within=40)
    until(lambda: not resumed & {kept.round.id for kept in history.unfinished()}, within=20)
    service.stop()
    assert service.log_text().count("Traceback") == 0
    rounds = [kept.round for kept in history.rounds(limit=1000) if kept.state == "told"]
    per_round = Counter(row[0] for row in _rows(engine))
    for round in rounds:
        graded = sum(sum(counts[:4]) - counts.bad for counts in round.counts.values())
        assert graded == per_round[round.id], round
        assert not round.complete or graded == round.items
    assert {round.id for round in rounds} <= _told(tmp_path)
    # A request in flight when the process was killed is asked again; what was recorded is not.
    asked = _asked(toy)
    assert len(asked) >= len(_rows(engine))
    doubled = sum(count - 1 for count in asked.values())
    assert doubled <= 3 * 2, asked.most_common(8)


def _rows(engine: sa.Engine) -> list[tuple[str, ...]]:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("probe_results"):
            return []
        found = connection.execute(sa.text('SELECT round, item, variant, "group", repeat, role FROM probe_results'))
        return [tuple(map(str, row)) for row in found]


def _in_a_round(history: ProbeHistory) -> bool:
    return any(kept.state == "open" and 0 < len(history.results(kept.round.id)) < kept.round.items for kept in history.unfinished())


def _told(folder: Path) -> set[str]:
    """Rounds that the ledger took; it takes an id once."""
    with sa.create_engine(f"sqlite:///{folder}/ledger.db").connect() as connection:
        keys = connection.execute(sa.text("SELECT key FROM tiltmeter_keys")).scalars()
        return {found[1] for key in keys if (found := re.search(r"round/(.+)$", key))}


def _asked(toy: Toy) -> Counter[str]:
    """Requests by everything that tells two questions of two rounds apart: the salt of a question is its own in every round."""
    found: Counter[str] = Counter()
    for line in toy.asked.read_text().splitlines():
        body = json.loads(line)["request"]["body"]
        said = json.dumps(body["messages"])
        if "(ref " in said:
            found[said] += 1
    return found


@pytest.mark.slow
def test_the_decider_sees_the_rounds(service: Service) -> None:
    verdicts = f"http://127.0.0.1:{service.port}/v1/verdicts?limit=1000"
    seen: dict[str, set[str]] = defaultdict(set)

    def judged() -> bool:
        for row in httpx.get(verdicts).raise_for_status().json()["verdicts"]:
            seen[row["stream"]].add(row["slice"])
        return {"live/golden/own/sums"} <= seen["probe"] and len(seen["probe"]) >= 2

    service.start()
    until(lambda: httpx.get(verdicts).status_code != 503, within=40)
    until(judged, within=40)
    service.stop()
    assert "probe_errors" in seen
