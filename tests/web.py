"""A web application over fakes at its seams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from service.api.app import create_app
from service.api.state import Answer, AppState
from service.api.view import Baseline, History, ModelCard, Monitor, Status, StreamCard
from service.config import Fields, HttpSource, Model, Windows
from service.metrics import Reading, WorkerReading
from service.records import AuditEntry, Command, Incident, Verdict
from service.source.decode import Decoder
from service.source.http import HttpSource as Source
from service.store import WindowRow

NOW = 1_767_225_600.0
TOKEN = "opensesame"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def incident(**changes: Any) -> Incident:
    values: dict[str, Any] = {
        "id": f"support-bot-ood_share-page-{NOW - 1600:.0f}",
        "model_name": "support-bot",
        "stream": "ood_share",
        "level": "page",
        "severity": "critical",
        "owner": "team-assist",
        "opened": NOW - 1600,
        "explanation": "9.83% strange (7.10% to 13.0%) since 31 Dec 23:20 UTC; normal 5.36%; grew: refund card +2.1 points",
        "value": 0.098,
        "reference": 0.0536,
        "log10_evidence": 7.2,
        "log10_threshold": 5.4,
        "change_start": NOW - 2300,
        "change_low": NOW - 3000,
        "change_high": NOW - 2100,
    }
    return Incident(**(values | changes))


def history(seed: int = 1, windows: int = 300) -> History:
    rng = np.random.default_rng(seed)
    n = rng.poisson(90, windows).astype(np.int64).clip(1)
    x = rng.binomial(n, 0.05).astype(np.int64)
    evidence = rng.exponential(0.4, windows).astype(np.float32)
    return History((NOW - 60 * windows + 60 * np.arange(windows)).astype(np.int64), n, x, evidence / 2, evidence)


def stream(**changes: Any) -> StreamCard:
    values: dict[str, Any] = {
        "stream": "ood_share",
        "state": "ok",
        "normal": 0.0536,
        "null": 0.0586,
        "share": 0.051,
        "low": 0.04,
        "high": 0.06,
        "evidence": {"ticket": 1.2, "page": 0.7},
        "thresholds": {"ticket": 4.3, "page": 5.4},
        "explanation": "5.10% strange in the last 60 windows",
        "history": history(),
    }
    return StreamCard(**(values | changes))


def whole_model(*, learned: bool = True) -> list[StreamCard]:
    """Every stream of a model; those that need a baseline have none unless ``learned``."""
    tickets = {"ticket": 4.9, "page": None}
    said: dict[str, dict[str, Any]] = {
        "ood_share": {"counted": "strange"},
        "far_share": {"counted": "far off", "normal": 0.01, "null": 0.018, "share": 0.011, "low": 0.006, "high": 0.02},
        "topic_mix": {"counted": "about roaming sim abroad", "explanation": "6.1% about roaming sim abroad (5.2% to 7.1%); normal 4.9%"},
        "embedding_shift": {"counted": "of windows unlike their hour", "explanation": "5.1% of windows unlike their hour; normal 5.0%"},
        "combined": {"counted": "about roaming sim abroad", "why": "fewer than two streams may page", "thresholds": tickets},
        "new_topic": {"counted": "in no known topic", "thresholds": tickets},
        "language": {"counted": "in german", "state": "ticket", "thresholds": tickets, "evidence": {"ticket": 0.0}},
        "length": {"counted": "of 65 to 96 tokens", "thresholds": tickets},
        "truncation": {"counted": "cut off", "thresholds": tickets, "share": 0.0004, "low": 0.0, "high": 0.002, "normal": 0.0003},
        "volume": {"counted": "of blocks with unusually few or many prompts", "thresholds": tickets, "share": 0.0, "low": 0.0},
    }
    nothing = {"state": "learning", "thresholds": {"ticket": None, "page": None}, "share": None, "low": None, "high": None, "counted": ""}
    waits = {} if learned else nothing
    return [stream(**({"stream": name, **values} | (waits if i > 1 else {}))) for i, (name, values) in enumerate(said.items())]


def slices(number: int) -> list[StreamCard]:
    """Two streams for each of so many slices; the fourth pages, the eighth has a ticket, the last has no prompts."""
    rng, found = np.random.default_rng(3), []
    for i in range(number):
        state = {3: "page", 7: "ticket", number - 1: "idle"}.get(i, "insufficient" if i % 9 == 8 else "ok")
        for name, counted in (("ood_share", "strange"), ("far_share", "far off")):
            loud = state in ("page", "ticket") and name == "ood_share"
            values: dict[str, Any] = {
                "stream": name,
                "slice": f"tenant-{i:02d}" if i % 10 else f"a tenant with a long name, number {i} (emea)",
                "counted": counted,
                "state": state if loud or state not in ("page", "ticket") else "ok",
                "evidence": {"ticket": float(rng.exponential(0.4)), "page": float(rng.exponential(0.4))},
                "thresholds": {"ticket": 6.3, "page": 7.4},
                "share": 0.11 if loud else 0.05,
                "history": history(i, 40 + i),
            }
            found.append(stream(**values))
    return found


def status(severity: str = "none", *, streams: Sequence[StreamCard] | None = None, **changes: Any) -> Status:
    monitor = Monitor("all", "active", NOW - 86_400, NOW - 95, NOW - 3, NOW - 8, prompts=1200, device="onnxruntime on cpu")
    model = ModelCard("support-bot", "team-assist", "ab12" * 16, {"drift": severity}, streams or (stream(),), last_verdict=NOW - 60)
    values: dict[str, Any] = {
        "now": NOW,
        "models": (model,),
        "incidents": (),
        "monitor": monitor,
        "baselines": (Baseline("support-bot", "ood_share", "reference", 0.0586),),
    }
    return Status(**(values | changes))


@dataclass
class Rows:
    """A history in memory."""

    windows_of: list[WindowRow] = field(default_factory=list)
    told: list[Verdict] = field(default_factory=list)
    past: list[Incident] = field(default_factory=list)
    entries: list[AuditEntry] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def verdicts(
        self, model: str | None, stream: str | None, since: float | None, limit: int, slice: str | None = None
    ) -> Sequence[Verdict]:
        self.asked.append((model, stream, since, limit, slice))
        return self.told

    def windows(self, model: str | None, slice: str | None, since: float | None, limit: int) -> Sequence[WindowRow]:
        self.asked.append((model, slice, since, limit))
        return self.windows_of

    def incidents(
        self, open_only: bool, model: str | None, limit: int, stream: str | None = None, slice: str | None = None
    ) -> Sequence[Incident]:
        self.asked.append((model, limit, stream, slice))
        return self.past

    def audit(self, limit: int) -> Sequence[AuditEntry]:
        return self.entries


@dataclass
class Stage:
    """What the fakes hold, for tests to set and to look at."""

    app: FastAPI
    source: Source
    rows: Rows
    commands: list[Command]
    state: dict[str, Any]

    def count(self, watermark: float = float("-inf")) -> int:
        """Play the pipeline once: everything that waits is in the ledger now."""
        batch = self.source.poll(100_000, 0.0)
        self.source.committed(batch, frozenset(), watermark)
        return len(batch.prompts)


def make(**changes: Any) -> Stage:
    models = {"support-bot": Model(bundle="bundle"), "quiet-bot": Model(bundle="bundle")}
    settings = HttpSource(max_waiting=20, max_body_bytes=4000)
    source = Source(settings, Decoder(Fields(), models, 20.0), Windows(), instance="one", ledger=None, clock=lambda: NOW)
    rows, commands = Rows(), []
    held: dict[str, Any] = {"status": status(), "alive": {"pipeline": True, "decider": True}, "ready": {"source": None, "ledger": None}}
    values: dict[str, Any] = {
        "status": lambda: held["status"],
        "read": lambda: Reading(worker=WorkerReading(prompts={"support-bot": 3})),
        "alive": lambda: held["alive"],
        "ready": lambda: held["ready"],
        "submit": commands.append,
        "queries": lambda: rows,
        "ingest": lambda: source,
        "score": score,
        "token": TOKEN,
        "max_body_bytes": settings.max_body_bytes,
        "clock": lambda: NOW,
    }
    return Stage(create_app(AppState(**(values | changes))), source, rows, commands, held)


def score(record: Mapping[str, Any]) -> Answer:
    return Answer("support-bot", "ab12", 0.4, 0.03, True, False, ("refund", "card"), len(str(record["text"]).split()), False)


def connected(stage: Stage) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(stage.app), base_url="http://tiltmeter")
