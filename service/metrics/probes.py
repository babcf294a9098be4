"""What is exported of canary probes: names, labels, and the samples of one reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.metrics.definition import Definition, Sample

STATES = ("blind", "page", "ticket", "learning", "insufficient", "ok")
VERDICTS = ("pass", "fail", "inconclusive")

_SUITE = ("model_name", "target", "suite")
_CATEGORY = (*_SUITE, "category")
_STREAM = (*_CATEGORY, "stream")

DEFINITIONS: tuple[Definition, ...] = tuple(
    Definition(name, "gauge", help_, labels)
    for name, help_, labels in (
        ("tiltmeter_probe_bad_share_ratio", "Share of bad answers over probes.period, or since an open incident's change began.", _STREAM),
        ("tiltmeter_probe_bad_share_lower_ratio", "Lower end of its 95% interval.", _STREAM),
        ("tiltmeter_probe_bad_share_upper_ratio", "Upper end of its 95% interval.", _STREAM),
        ("tiltmeter_probe_attack_success_ratio", "The same of suites of attacks: attacks that succeeded.", _CATEGORY),
        ("tiltmeter_probe_base_share_ratio", "Share of bad answers of the base model on the same items in the same rounds.", _CATEGORY),
        ("tiltmeter_probe_record_share_ratio", "Share of bad answers of the accepted record.", _STREAM),
        ("tiltmeter_probe_record_answers", "Answers of the accepted record.", _STREAM),
        ("tiltmeter_probe_trial_answers", "Answers of a model that is on trial; absent when none is.", _STREAM),
        ("tiltmeter_probe_null_ratio", "Share the detector tests against, minimum effect included.", _STREAM),
        ("tiltmeter_probe_evidence_log10", "Evidence for a change, log10(max(M, 1)), now.", (*_STREAM, "level")),
        (
            "tiltmeter_probe_evidence_threshold_log10",
            "Evidence at which the level is reached; absent when it may not be.",
            (*_STREAM, "level"),
        ),
        ("tiltmeter_probe_state", "1 for the state the stream is in, 0 for the others.", (*_STREAM, "state")),
        ("tiltmeter_probe_rounds", "Complete rounds since the model that answers now began to.", _STREAM),
        ("tiltmeter_probe_group_gap_ratio", "Largest difference of bad shares between two groups of a fairness suite.", _SUITE),
        ("tiltmeter_probe_last_round_timestamp_seconds", "End of the newest round, complete or not.", _SUITE),
        ("tiltmeter_probe_judge_agreement_ratio", "Share of a judge's labelled answers that it got right over probes.period.", ("judge",)),
        ("tiltmeter_gate_verdict", "1 for the verdict of the gate, 0 for the others.", ("model_name", "gate", "stage", "verdict")),
    )
)
"""All are gauges of the active decider."""


@dataclass(frozen=True, slots=True)
class ProbeStreamReading:
    """One stream of probes; what is None is not exported. ``attack``: the share is an attack success rate."""

    model_name: str
    target: str
    suite: str
    category: str
    stream: str
    state: str
    share: float | None = None
    low: float | None = None
    high: float | None = None
    base: float | None = None
    attack: bool = False
    record: float | None = None
    answers: int | None = None
    trial: int | None = None
    null: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    rounds: int = 0

    @property
    def place(self) -> tuple[str, str, str]:
        """Model, slice and stream of its incidents."""
        return self.model_name, "/".join(part for part in (self.target, self.suite, self.category) if part), self.stream


@dataclass(frozen=True, slots=True)
class ProbeSuiteReading:
    """One suite at one target."""

    model_name: str
    target: str
    suite: str
    last: float | None = None
    gap: float | None = None


@dataclass(frozen=True, slots=True)
class GateReading:
    """One gate."""

    model_name: str
    gate: str
    stage: str
    verdict: str


@dataclass(frozen=True, slots=True)
class ProbeReading:
    """Everything the decider exports of probes. ``agreement``: judge -> share of its labelled answers that it got right."""

    streams: Sequence[ProbeStreamReading] = ()
    suites: Sequence[ProbeSuiteReading] = ()
    gates: Sequence[GateReading] = ()
    agreement: Mapping[str, float] = field(default_factory=dict)


def samples(reading: ProbeReading) -> dict[str, list[Sample]]:
    """Samples by metric name."""
    found: dict[str, list[Sample]] = {definition.name: [] for definition in DEFINITIONS}
    for stream in reading.streams:
        _stream(found, stream)
    for suite in reading.suites:
        labels = suite.model_name, suite.target, suite.suite
        _put(found, "tiltmeter_probe_last_round_timestamp_seconds", labels, suite.last)
        _put(found, "tiltmeter_probe_group_gap_ratio", labels, suite.gap)
    found["tiltmeter_probe_judge_agreement_ratio"] = [((judge,), share) for judge, share in reading.agreement.items()]
    found["tiltmeter_gate_verdict"] = [
        ((gate.model_name, gate.gate, gate.stage, verdict), float(gate.verdict == verdict))
        for gate in reading.gates
        for verdict in VERDICTS
    ]
    return found


def _stream(found: dict[str, list[Sample]], stream: ProbeStreamReading) -> None:
    category = stream.model_name, stream.target, stream.suite, stream.category
    labels = *category, stream.stream
    for name, value in (
        ("bad_share_ratio", stream.share),
        ("bad_share_lower_ratio", stream.low),
        ("bad_share_upper_ratio", stream.high),
        ("record_share_ratio", stream.record),
        ("record_answers", stream.answers),
        ("trial_answers", stream.trial),
        ("null_ratio", stream.null),
        ("rounds", stream.rounds),
    ):
        _put(found, f"tiltmeter_probe_{name}", labels, value)
    _put(found, "tiltmeter_probe_attack_success_ratio", category, stream.share if stream.attack else None)
    _put(found, "tiltmeter_probe_base_share_ratio", category, stream.base)
    for level, evidence in stream.evidence.items():
        _put(found, "tiltmeter_probe_evidence_log10", (*labels, level), evidence)
    for level, threshold in stream.thresholds.items():
        _put(found, "tiltmeter_probe_evidence_threshold_log10", (*labels, level), threshold)
    found["tiltmeter_probe_state"] += [((*labels, state), float(stream.state == state)) for state in STATES]


def _put(found: dict[str, list[Sample]], name: str, labels: Sequence[str], value: float | None) -> None:
    if value is not None:
        found[name].append((labels, float(value)))
