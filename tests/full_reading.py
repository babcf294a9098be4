"""What a service exports that has everything switched on: slices, a shadow, probes of all kinds, a judge, gates, marks in Grafana."""

import time
from dataclasses import dataclass, replace

from service.metrics import (
    OF_ANSWERS,
    SHADOW_STAGES,
    STAGES,
    AnnotationReading,
    AskedReading,
    DeciderReading,
    EndpointReading,
    GateReading,
    IncidentReading,
    ModelReading,
    ProbeReading,
    ProbeStreamReading,
    ProbeSuiteReading,
    Reading,
    SeverityReading,
    ShadowReading,
    StreamReading,
    Timing,
    WorkerReading,
)

MODEL = "support-bot"
SLICES = ("acme", "globex (trial)")
SUITES = ("skills/skills", "jailbreak/dan", "fairness/groups")
_TIMED = {stage: Timing().add(0.02) for stage in STAGES}


@dataclass
class Exporter:
    """Readings that a test sets; counters grow with every scrape.

    Attributes:
        severity: of drift. state: of every stream of prompts while the severity is none; probed: of every stream of probes.
    """

    severity: str = "none"
    state: str = "ok"
    probed: str = "ok"
    scrapes: int = 0

    def read(self) -> Reading:
        """The next one."""
        self.scrapes += 1
        models = [ModelReading(MODEL, "0123", "support", "4567")]
        runtimes = [("onnxruntime", "cpu")]
        return Reading(
            models, ["not_json"], runtimes, self._worker(), self._decider(), self._asked(), AnnotationReading(self.scrapes, 1, 0, 2)
        )

    def _worker(self) -> WorkerReading:
        now, grown = time.time(), 100 * self.scrapes
        return WorkerReading(
            prompts={MODEL: grown},
            tokens={MODEL: 30 * grown},
            truncated={MODEL: self.scrapes},
            rejected={"not_json": self.scrapes},
            stages={stage: replace(timing, counts=[self.scrapes * n for n in timing.counts]) for stage, timing in _TIMED.items()},
            queued=0,
            lag=0,
            replaced_times=self.scrapes,
            lost_records=self.scrapes,
            lost_dead_letters=self.scrapes,
            source_time=now - 5,
            last_flush=now - 2,
        )

    def _decider(self) -> DeciderReading:
        now, bad = time.time(), self.severity == "critical"
        streams = [
            StreamReading(MODEL, name, "ok", 0.04, 0.055, {"page": 0.3, "ticket": 0.4}, {"page": 5.4, "ticket": 4.3}, promise=True)
            for name in ("ood_share", "far_share")
        ]
        streams += [replace(streams[0], slice=name) for name in SLICES]
        open_one = IncidentReading("support-bot-ood_share-page-1", "strange prompts 4% -> 12%", now - 600) if bad else None
        return DeciderReading(
            active=True,
            watermark=now - 40,
            last_checkpoint=now - 10,
            last_verdict={MODEL: now - 60},
            deployed={MODEL: ("r7", now - 900)},
            streams=[replace(stream, state="page" if bad else self.state) for stream in streams],
            severities=[
                SeverityReading(MODEL, "drift", "support", self.severity, incident=open_one),
                SeverityReading(MODEL, "safety", "support", "none"),
            ],
            incidents={(MODEL, "page"): int(bad)},
            ended={(MODEL, "page", "benign"): 1},
            budgets={"page": 90 * 86400.0, "ticket": 7 * 86400.0},
            shadows=[ShadowReading(MODEL, "89ab", SHADOW_STAGES[-1], 0.05, {"ood_share": True}, {"ticket": 1})],
            probes=self._probes(),
            stages=_TIMED,
        )

    def _probes(self) -> ProbeReading:
        thresholds = {"page": 5.1, "ticket": 4.0}
        stream = ProbeStreamReading(
            MODEL, "live", SUITES[0], "all", "probe", self.probed, 0.08, 0.05, 0.12, 0.07, False, 0.06, 900, 40, 0.09,
            {"page": 0.2, "ticket": 0.3}, thresholds, 12,
        )  # fmt: skip
        attack = replace(stream, suite=SUITES[1], category="dan", attack=True)
        whole = replace(stream, category="", stream="probe_errors", base=None)
        return ProbeReading(
            [stream, attack, whole],
            [ProbeSuiteReading(MODEL, "live", suite, time.time() - 300, 0.03 if suite == SUITES[2] else None) for suite in SUITES],
            [GateReading(MODEL, "release", "canary", "pass")],
            {"judge-a": 0.97},
        )

    def _asked(self) -> AskedReading:
        items = (MODEL, "live", "live", SUITES[1], "adversarial")
        timing = replace(OF_ANSWERS.add(0.3), counts=[self.scrapes * n for n in OF_ANSWERS.add(0.3).counts])
        end = EndpointReading(
            MODEL, "live", "live", 10 * self.scrapes, self.scrapes, 0, {"input": 500 * self.scrapes}, {"input": 0.01 * self.scrapes},
            {"timeout_first": self.scrapes}, timing, timing, {"calls": 0.6, "tokens": 0.7},
        )  # fmt: skip
        return AskedReading(
            suites=[(MODEL, "live", suite) for suite in SUITES],
            results={(*items, "dan", "fail"): self.scrapes},
            failures={(*items, "obeyed"): self.scrapes},
            missed={(MODEL, "live", suite): 0 for suite in SUITES},
            endpoints=[end, replace(end, model_name="", target="judge-a", role="judge")],
            unparsed={"judge-a": self.scrapes},
        )
