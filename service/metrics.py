"""Every metric: name, help, labels and buckets in one file; read at scrape time from immutable readings, never per prompt.

The rooms above publish snapshots of plain numbers; ``service.main`` turns them into a :class:`Reading`, and :class:`ReadingCollector` turns
one reading into metric families. Nothing here is a global: every process (and every test) makes its own registry.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service import probe_metrics
from service.probe_metrics import ProbeReading

try:
    VERSION = version("tiltmeter")
except PackageNotFoundError:
    VERSION = "uninstalled"
"""Version of the installed distribution; a bare source tree has none."""

STATES = ("blind", "page", "ticket", "learning", "idle", "insufficient", "ok")
SEVERITIES = ("none", "warning", "critical")
LEVELS = ("ticket", "page")
KINDS = ("drift", "behaviour", "safety")

SHADOW_STAGES = ("first_contact", "reference", "short", "unpromised", "paging", "full")
"""Before a baseline is accepted the phase of learning, then how much the accepted one carries."""

STAGES = ("poll", "score", "sketch", "flush", "close", "checkpoint")
"""Stages that are timed: the first four in the worker, the last two in the decider."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper edges of ``tiltmeter_batch_seconds``, in seconds."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as documented in docs/metrics.md. ``name`` is what Prometheus stores (histograms add _bucket, _sum and _count)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


DEFINITIONS: tuple[Definition, ...] = (
    Definition("tiltmeter_build_info", "gauge", "Version of this process; always 1.", ("version", "python_version")),
    Definition("tiltmeter_model_info", "gauge", "Bundle a model is compared with; always 1.", ("model_name", "bundle", "owner", "encoder")),
    Definition("tiltmeter_inference_info", "gauge", "Runtime and device the graphs run on; always 1.", ("runtime", "device")),
    Definition("tiltmeter_prompts_total", "counter", "Prompts scored and counted in the ledger by this worker.", ("model_name",)),
    Definition("tiltmeter_rejected_total", "counter", "Records that are no prompt, by reason; canary is a probe of ours.", ("reason",)),
    Definition("tiltmeter_replaced_times_total", "counter", "Records whose own time was not believed: the transport's counted instead."),
    Definition("tiltmeter_lost_records_total", "counter", "Records that were gone from the topic before they were read."),
    Definition("tiltmeter_lost_dead_letters_total", "counter", "Records that the dead-letter topic would not take."),
    Definition("tiltmeter_tokens_total", "counter", "Tokens encoded, after truncation.", ("model_name",)),
    Definition("tiltmeter_truncated_prompts_total", "counter", "Prompts cut at the encoder's length limit.", ("model_name",)),
    Definition("tiltmeter_repeated_posts_total", "counter", "Posts left out because their idempotency key was already counted."),
    Definition("tiltmeter_rewinds_total", "counter", "Times unflushed work was dropped and read again after an assignment change."),
    Definition("tiltmeter_batch_seconds", "histogram", "Time one batch spent in a stage.", ("stage",)),
    Definition("tiltmeter_pending_prompts", "gauge", "Prompts sketched and waiting for the next flush."),
    Definition("tiltmeter_queued_prompts", "gauge", "Prompts taken in over HTTP and not yet polled by the pipeline."),
    Definition("tiltmeter_open_windows", "gauge", "Windows the decider holds open."),
    Definition("tiltmeter_source_lag_records", "gauge", "Records in the input behind which this worker is, where the source knows."),
    Definition("tiltmeter_source_timestamp_seconds", "gauge", "Event time of the slowest partition this worker reads."),
    Definition("tiltmeter_source_up", "gauge", "1 when the last poll of the source succeeded."),
    Definition("tiltmeter_last_flush_timestamp_seconds", "gauge", "Wall clock of the last flush that the ledger accepted."),
    Definition("tiltmeter_decider_active", "gauge", "1 on the decider that decides, 0 on a standby; absent on a pure worker."),
    Definition("tiltmeter_watermark_timestamp_seconds", "gauge", "Event time up to which everything is known; active decider only."),
    Definition("tiltmeter_last_checkpoint_timestamp_seconds", "gauge", "Wall clock of the decider's last checkpoint; active decider only."),
    Definition(
        "tiltmeter_last_verdict_timestamp_seconds",
        "gauge",
        "End of the newest window with a verdict; active decider only.",
        ("model_name",),
    ),
    Definition(
        "tiltmeter_late_prompts_total", "counter", "Prompts that came after their window had closed and were left out.", ("model_name",)
    ),
    Definition("tiltmeter_refused_prompts_total", "counter", "Prompts stamped impossibly far ahead, left out.", ("model_name",)),
    Definition(
        "tiltmeter_dropped_repeats_total",
        "counter",
        "Posts that the decider left out because their idempotency key was already counted (Kafka ledger).",
    ),
    Definition("tiltmeter_closed_windows_total", "counter", "Windows closed since the decider's state began, with at least one prompt."),
    Definition("tiltmeter_lost_partitions_total", "counter", "Partitions that left the watermark because their worker fell silent."),
    Definition(
        "tiltmeter_unknown_bundle_prompts_total",
        "counter",
        "Prompts scored with a bundle that this decider has not loaded: stored, not judged.",
    ),
    Definition(
        "tiltmeter_flagged_share_ratio",
        "gauge",
        "Share that the stream is about in the newest closed window that had prompts.",
        ("model_name", "slice", "stream"),
    ),
    Definition(
        "tiltmeter_reference_share_ratio",
        "gauge",
        "Share the detector tests against, minimum effect included.",
        ("model_name", "slice", "stream"),
    ),
    Definition(
        "tiltmeter_promise_kept",
        "gauge",
        "1 when the replay of the accepted baseline is consistent with the budget of pages, 0 when not; absent before one is accepted.",
        ("model_name", "slice", "stream"),
    ),
    Definition(
        "tiltmeter_evidence_log10", "gauge", "Evidence for a change, log10(max(M, 1)), now.", ("model_name", "slice", "stream", "level")
    ),
    Definition(
        "tiltmeter_evidence_threshold_log10",
        "gauge",
        "Evidence at which the level is reached; absent when it may not be.",
        ("model_name", "slice", "stream", "level"),
    ),
    Definition(
        "tiltmeter_stream_state",
        "gauge",
        "1 for the state the stream is in, 0 for the others.",
        ("model_name", "slice", "stream", "state"),
    ),
    Definition(
        "tiltmeter_severity",
        "gauge",
        "1 for the severity of this kind of trouble, 0 for the others.",
        ("model_name", "kind", "owner", "severity"),
    ),
    Definition(
        "tiltmeter_incidents_total",
        "counter",
        "Incidents opened since the decider's state began.",
        ("model_name", "slice", "stream", "level"),
    ),
    Definition("tiltmeter_incidents_open", "gauge", "Open incidents, those of slices included.", ("model_name", "level")),
    Definition("tiltmeter_shadow_info", "gauge", "Second bundle that judges beside the one in force; always 1.", ("model_name", "bundle")),
    Definition("tiltmeter_shadow_stage", "gauge", "1 for how much the shadow's record carries, 0 for the others.", ("model_name", "stage")),
    Definition(
        "tiltmeter_shadow_strange_share_ratio",
        "gauge",
        "Share that the shadow finds strange in the newest closed window that had prompts.",
        ("model_name",),
    ),
    Definition(
        "tiltmeter_shadow_promise_kept",
        "gauge",
        "As tiltmeter_promise_kept, of the shadow's accepted baseline.",
        ("model_name", "stream"),
    ),
    Definition(
        "tiltmeter_shadow_incidents_total",
        "counter",
        "Incidents the shadow would have opened since it is one, those of slices included.",
        ("model_name", "level"),
    ),
    *(Definition(name, "gauge", help_, labels) for name, help_, labels in probe_metrics.DEFINITIONS),
    Definition("tiltmeter_annotations_sent_total", "counter", "Annotations that stand in Grafana as they should, sent by this process."),
    Definition("tiltmeter_annotation_failures_total", "counter", "Annotations that Grafana did not take; most are tried again."),
    Definition("tiltmeter_annotations_dropped_total", "counter", "Annotations given up: refused for good, or too many waited."),
    Definition("tiltmeter_annotations_waiting", "gauge", "Annotations that wait to be sent."),
)
"""In the order in which they are exported and documented."""

_PER_STREAM = (
    "tiltmeter_flagged_share_ratio",
    "tiltmeter_reference_share_ratio",
    "tiltmeter_promise_kept",
    "tiltmeter_evidence_log10",
    "tiltmeter_evidence_threshold_log10",
    "tiltmeter_stream_state",
    "tiltmeter_incidents_total",
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of one stage: ``counts`` per bucket of :data:`BUCKETS`, plus one for what is longer (not cumulative); and their sum."""

    counts: Sequence[int] = (0,) * (len(BUCKETS) + 1)
    seconds: float = 0.0

    def add(self, seconds: float) -> "Timing":
        """One more duration."""
        counts = list(self.counts)
        counts[bisect_left(BUCKETS, seconds)] += 1
        return Timing(tuple(counts), self.seconds + seconds)


@dataclass(frozen=True, slots=True)
class ModelReading:
    """Identity of one monitored model."""

    name: str
    bundle: str
    owner: str
    encoder: str


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """What the pipeline has done since the process started. Times in seconds since the epoch; None for never.

    Attributes:
        prompts, tokens, truncated: by model name, counted once the ledger holds them.
        rejected: records that could not be decoded, by reason.
        stages: timings of poll, score, sketch and flush, one per batch or flush and never per prompt.
        repeats: parts left out because their key was already counted.
        rewinds: times unflushed work was dropped.
        pending: prompts sketched and not yet flushed.
        source_up: whether the last poll succeeded.
        last_flush: wall clock of the last flush that the ledger accepted.
    """

    prompts: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    truncated: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, Timing] = field(default_factory=dict)
    repeats: int = 0
    rewinds: int = 0
    pending: int = 0
    source_up: bool = True
    last_flush: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerReading(WorkerCounts):
    """What a worker exports: the counts of its pipeline, and what its source knows. None where unknown.

    Attributes:
        queued: prompts taken in over HTTP and not yet polled; lag: records behind the end of the input.
        replaced_times, lost_records, lost_dead_letters: of the source, None where it has no such thing.
        source_time: event time of the slowest partition read here.
    """

    queued: int | None = None
    lag: int | None = None
    replaced_times: int | None = None
    lost_records: int | None = None
    lost_dead_letters: int | None = None
    source_time: float | None = None


@dataclass(frozen=True, slots=True)
class StreamReading:
    """The newest word on one stream; what is None is not exported.

    ``slice`` is empty for the whole model. ``promise``: whether the replay at acceptance was consistent with the budget of pages.
    """

    model_name: str
    stream: str
    state: str
    share: float | None = None
    reference: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    slice: str = ""
    promise: bool | None = None


@dataclass(frozen=True, slots=True)
class SeverityReading:
    """How bad one kind of trouble is for one model."""

    model_name: str
    kind: str
    owner: str
    severity: str


@dataclass(frozen=True, slots=True)
class ShadowReading:
    """The second bundle of one model. ``promises``: stream -> whether kept; ``opened``: level -> incidents it would have opened."""

    model_name: str
    bundle: str
    stage: str
    share: float | None = None
    promises: Mapping[str, bool] = field(default_factory=dict)
    opened: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeciderReading:
    """What the decider knows; everything but ``active`` is exported by the active decider only.

    ``incidents``: (model, level) -> open ones; ``opened``: (model, slice, stream, level) -> how many opened since the state began.
    """

    active: bool
    watermark: float | None = None
    last_checkpoint: float | None = None
    open_windows: int = 0
    closed_windows: int = 0
    lost_partitions: int = 0
    late: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 0
    unknown_bundle: int = 0
    last_verdict: Mapping[str, float] = field(default_factory=dict)
    streams: Sequence[StreamReading] = ()
    severities: Sequence[SeverityReading] = ()
    incidents: Mapping[tuple[str, str], int] = field(default_factory=dict)
    opened: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    shadows: Sequence[ShadowReading] = ()
    probes: ProbeReading = field(default_factory=ProbeReading)
    stages: Mapping[str, Timing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnnotationReading:
    """Since the process started: annotations that stand in Grafana, attempts that failed, annotations given up; and those waiting now."""

    sent: int = 0
    failures: int = 0
    dropped: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything one scrape shows. ``worker``, ``decider`` or ``annotations`` is None where this process has no such part."""

    models: Sequence[ModelReading] = ()
    reasons: Sequence[str] = ()
    inference: Sequence[tuple[str, str]] = ()
    worker: WorkerReading | None = None
    decider: DeciderReading | None = None
    annotations: AnnotationReading | None = None


Sample = tuple[Sequence[str], float]


class ReadingCollector(Collector):
    """Builds all families from one reading, so that a scrape never mixes two states. Cost: some microseconds a sample."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families that have a sample, in the order of :data:`DEFINITIONS`."""
        samples, timings = _samples(self._read())
        for definition in DEFINITIONS:
            if definition.kind == "histogram":
                if timings:
                    yield _histogram(definition, timings)
            elif definition.name in samples:
                yield _family(definition, samples[definition.name])


def registry(read: Callable[[], Reading]) -> CollectorRegistry:
    """A registry with our metrics and those of the process and the interpreter."""
    result = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=result)
    PlatformCollector(registry=result)
    GCCollector(registry=result)
    result.register(ReadingCollector(read))
    return result


def names() -> frozenset[str]:
    """Every series name that may be queried, histogram suffixes included."""
    plain = {definition.name for definition in DEFINITIONS if definition.kind != "histogram"}
    timed = [definition.name for definition in DEFINITIONS if definition.kind == "histogram"]
    parts = {name + suffix for name in timed for suffix in ("_bucket", "_sum", "_count")}
    return frozenset(plain | parts)


def _family(definition: Definition, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    family = kind(definition.name, definition.help, labels=definition.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(definition: Definition, timings: Mapping[str, Timing]) -> Metric:
    family = HistogramMetricFamily(definition.name, definition.help, labels=definition.labels)
    edges = [*(repr(edge) for edge in BUCKETS), "+Inf"]
    for stage, timing in timings.items():
        family.add_metric([stage], list(zip(edges, map(float, accumulate(timing.counts)), strict=True)), timing.seconds)
    return family


def _samples(reading: Reading) -> tuple[dict[str, list[Sample]], dict[str, Timing]]:
    """Samples by metric name, and timings by stage."""
    models = [model.name for model in reading.models]
    samples: dict[str, list[Sample]] = {
        "tiltmeter_build_info": [((VERSION, platform.python_version()), 1.0)],
        "tiltmeter_model_info": [((model.name, model.bundle, model.owner, model.encoder), 1.0) for model in reading.models],
        "tiltmeter_inference_info": [(pair, 1.0) for pair in reading.inference],
    }
    timings: dict[str, Timing] = {}
    if reading.worker:
        samples |= _worker(reading.worker, models, reading.reasons)
        timings |= {stage: reading.worker.stages.get(stage, Timing()) for stage in STAGES[:4]}
    if reading.decider:
        samples["tiltmeter_decider_active"] = [((), float(reading.decider.active))]
        if reading.decider.active:
            samples |= _decider(reading.decider, models)
            timings |= {stage: reading.decider.stages.get(stage, Timing()) for stage in STAGES[4:]}
    if counts := reading.annotations:
        samples["tiltmeter_annotations_sent_total"] = _single(counts.sent)
        samples["tiltmeter_annotation_failures_total"] = _single(counts.failures)
        samples["tiltmeter_annotations_dropped_total"] = _single(counts.dropped)
        samples["tiltmeter_annotations_waiting"] = _single(counts.waiting)
    return {name: rows for name, rows in samples.items() if rows}, timings


def _per_model(models: Sequence[str], counts: Mapping[str, int]) -> list[Sample]:
    """Every configured model, from the first scrape on."""
    return [((model,), float(counts.get(model, 0))) for model in models]


def _single(value: float | None) -> list[Sample]:
    return [] if value is None else [((), float(value))]


def _worker(worker: WorkerReading, models: Sequence[str], reasons: Sequence[str]) -> dict[str, list[Sample]]:
    known = dict.fromkeys([*reasons, *worker.rejected])
    return {
        "tiltmeter_prompts_total": _per_model(models, worker.prompts),
        "tiltmeter_tokens_total": _per_model(models, worker.tokens),
        "tiltmeter_truncated_prompts_total": _per_model(models, worker.truncated),
        "tiltmeter_rejected_total": [((reason,), float(worker.rejected.get(reason, 0))) for reason in known],
        "tiltmeter_replaced_times_total": _single(worker.replaced_times),
        "tiltmeter_lost_records_total": _single(worker.lost_records),
        "tiltmeter_lost_dead_letters_total": _single(worker.lost_dead_letters),
        "tiltmeter_repeated_posts_total": _single(worker.repeats),
        "tiltmeter_rewinds_total": _single(worker.rewinds),
        "tiltmeter_pending_prompts": _single(worker.pending),
        "tiltmeter_queued_prompts": _single(worker.queued),
        "tiltmeter_source_lag_records": _single(worker.lag),
        "tiltmeter_source_timestamp_seconds": _single(worker.source_time),
        "tiltmeter_source_up": _single(worker.source_up),
        "tiltmeter_last_flush_timestamp_seconds": _single(worker.last_flush),
    }


def _streams(decider: DeciderReading) -> dict[str, list[Sample]]:
    """Everything that has one row a stream, in one pass: 50 slices are 110 streams and 1,900 samples."""
    samples: dict[str, list[Sample]] = {name: [] for name in _PER_STREAM}
    share, reference, promise, evidence, threshold, state, opened = samples.values()
    for stream in decider.streams:
        place = stream.model_name, stream.slice, stream.stream
        for rows, value in ((share, stream.share), (reference, stream.reference), (promise, stream.promise)):
            if value is not None:
                rows.append((place, float(value)))
        evidence += [((*place, level), value) for level, value in stream.evidence.items()]
        threshold += [((*place, level), value) for level, value in stream.thresholds.items() if value is not None]
        state += [((*place, name), float(stream.state == name)) for name in STATES]
        opened += [((*place, level), float(decider.opened.get((*place, level), 0))) for level in LEVELS]
    for probe in decider.probes.streams:
        opened += [((*probe.place, level), float(decider.opened.get((*probe.place, level), 0))) for level in LEVELS]
    return samples


def _shadows(shadows: Sequence[ShadowReading]) -> dict[str, list[Sample]]:
    return {
        "tiltmeter_shadow_info": [((each.model_name, each.bundle), 1.0) for each in shadows],
        "tiltmeter_shadow_stage": [((each.model_name, stage), float(each.stage == stage)) for each in shadows for stage in SHADOW_STAGES],
        "tiltmeter_shadow_strange_share_ratio": [((each.model_name,), each.share) for each in shadows if each.share is not None],
        "tiltmeter_shadow_promise_kept": [
            ((each.model_name, stream), float(kept)) for each in shadows for stream, kept in each.promises.items()
        ],
        "tiltmeter_shadow_incidents_total": [
            ((each.model_name, level), float(each.opened.get(level, 0))) for each in shadows for level in LEVELS
        ],
    }


def _decider(decider: DeciderReading, models: Sequence[str]) -> dict[str, list[Sample]]:
    return {
        **_streams(decider),
        **_shadows(decider.shadows),
        **probe_metrics.samples(decider.probes),
        "tiltmeter_watermark_timestamp_seconds": _single(decider.watermark),
        "tiltmeter_last_checkpoint_timestamp_seconds": _single(decider.last_checkpoint),
        "tiltmeter_open_windows": _single(decider.open_windows),
        "tiltmeter_last_verdict_timestamp_seconds": [((model,), time) for model, time in decider.last_verdict.items()],
        "tiltmeter_late_prompts_total": _per_model(models, decider.late),
        "tiltmeter_refused_prompts_total": _per_model(models, decider.refused),
        "tiltmeter_dropped_repeats_total": _single(decider.repeats),
        "tiltmeter_closed_windows_total": _single(decider.closed_windows),
        "tiltmeter_lost_partitions_total": _single(decider.lost_partitions),
        "tiltmeter_unknown_bundle_prompts_total": _single(decider.unknown_bundle),
        "tiltmeter_severity": [
            ((s.model_name, s.kind, s.owner, severity), float(s.severity == severity))
            for s in decider.severities
            for severity in SEVERITIES
        ],
        "tiltmeter_incidents_open": [
            ((model, level), float(decider.incidents.get((model, level), 0))) for model in models for level in LEVELS
        ],
    }
