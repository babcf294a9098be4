"""What is probed of a model, as the page gets it, in the situations that there are."""

from dataclasses import replace
from typing import Any

import numpy as np
from web import NOW, incident, status

from service.api.probe_view import Answers, EndpointCard, GateCard, Left, ProbeCard, ProbesCard, SuiteCard
from service.api.stream_view import History
from service.api.view import Deployed, Status

HOUR = 3600.0
KINDS = (
    "golden", "ood", "capability", "adversarial", "injection", "safety", "overrefusal", "robustness", "faithfulness", "fairness",
    "toolcall", "latency", "fingerprint",
)  # fmt: skip


def rounds(number: int = 40) -> History:
    n = np.full(number, 20, np.int64)
    x = np.where(np.arange(number) < number - 6, 1, 9).astype(np.int64)
    evidence = np.where(np.arange(number) < number - 6, 0.1, 4.0).astype(np.float32)
    return History((NOW - HOUR * np.arange(number)[::-1]).astype(np.int64), n, x, evidence, evidence)


def probe(category: str = "facts", suite: str = "golden/own", **changes: Any) -> ProbeCard:
    values: dict[str, Any] = {
        "stream": "probe",
        "category": category,
        "state": "ok",
        "n": 100,
        "bad": 5,
        "share": 0.05,
        "low": 0.016,
        "high": 0.113,
        "null": 0.142,
        "record": Answers(400, 22, NOW - 20 * 86_400, "llama-41"),
        "slice": f"prod/{suite}/{category}",
        "evidence": {"ticket": 0.2, "page": 0.1},
        "thresholds": {"ticket": 3.9, "page": 4.8},
    }
    return ProbeCard(**(values | changes))


WORSE: dict[str, Any] = {"state": "page", "bad": 45, "share": 0.45, "low": 0.35, "high": 0.553, "history": rounds()}


def suite(*streams: ProbeCard, **changes: Any) -> SuiteCard:
    values: dict[str, Any] = {
        "target": "prod",
        "suite": "golden/own",
        "kind": "golden",
        "streams": streams or (probe(),),
        "interval": HOUR,
        "last": NOW - 600,
        "rounds": 31,
        "next": NOW + 3000,
    }
    return SuiteCard(**(values | changes))


def endpoint(name: str = "prod", role: str = "live", **changes: Any) -> EndpointCard:
    left = {"calls": Left(88, 500), "tokens": Left(120_000, 200_000), "money": Left(0.25, 1.0)}
    return EndpointCard(**({"name": name, "role": role, "model": "llama-41", "answers": True, "paused": 0.0} | left | changes))


def probed(*suites: SuiteCard, severity: str = "none", kind: str = "behaviour", **changes: Any) -> Status:
    """A status whose model is probed; ``severity`` of ``kind``."""
    given = {name: changes.pop(name) for name in ("endpoints", "gates") if name in changes}
    shown = status(**changes)
    model = replace(shown.models[0], severity={"drift": "none", kind: severity}, probes=ProbesCard(suites or (suite(),), **given))
    return replace(shown, models=(model, *shown.models[1:]))


def many() -> Status:
    """Thirteen suites of five categories: one pages, one has a ticket, one is blind, one is not asked, one learns; with everything else."""
    suites = []
    for number, kind in enumerate(KINDS):
        name = f"{kind}/a-suite-of-some-name"
        attack = kind in ("adversarial", "injection", "safety")
        streams = [probe(f"category-{i}", name, attack=attack, base=0.04 if number % 2 else None) for i in range(5)]
        changes: dict[str, Any] = {}
        if kind == "injection":
            streams[2] = replace(streams[2], **WORSE, trial=Answers(60, 27, NOW - 2 * 86_400, "llama-42"))
            changes = {"beside": {"base": (21, 2), "previous": (9, 1)}}
        elif kind == "toolcall":
            streams[0] = replace(streams[0], state="ticket", history=rounds(), why="the record has 220 of 400 answers")
        elif kind == "golden":
            streams = [replace(stream, state="blind") for stream in streams]
            changes = {"blind": "no round for 3 intervals", "last": NOW - 9 * HOUR}
        elif kind == "ood":
            streams = [replace(stream, state="learning", null=None, record=None, thresholds={}) for stream in streams]
        elif kind == "safety":
            streams, changes = [], {"blocked": "prod: attacks are not acknowledged", "last": None, "next": None, "rounds": 0}
        suites.append(suite(*streams, suite=name, kind=kind, **changes))
        if kind == "safety":
            suites[-1] = replace(suites[-1], streams=())
    place = "prod/injection/a-suite-of-some-name/category-2"
    page = incident(id="p", kind="safety", stream="probe", slice=place, value=0.45, reference=0.055)
    gates = (GateCard("rollout", "B", "fail", "injection/a-suite-of-some-name: 27 of 60 wrong, record 5.5%: worse", NOW - 2 * 86_400),)
    judge = endpoint("grader", "judge", answers=False, money=Left(0.0, None))
    deployed = Deployed("support-bot", "llama-42", NOW - 2 * 86_400, "ada", "new adapter")
    more = {"endpoints": (endpoint(), endpoint("base-8b", "base", paused=90.0), judge), "gates": gates, "deployments": (deployed,)}
    return probed(*suites, severity="critical", kind="safety", incidents=(page,), **more)
