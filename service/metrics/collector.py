"""From one reading to metric families, at each scrape."""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.metrics import asking, probes
from service.metrics.catalogue import CLOSED_AS, DEFINITIONS, LEVELS, SEVERITIES, SHADOW_STAGES, STAGES, STATES, VERSION
from service.metrics.definition import Definition, Sample
from service.metrics.readings import DeciderReading, Reading, ShadowReading, WorkerReading
from service.metrics.timing import Timing

_PER_STREAM = (
    "tiltmeter_flagged_share_ratio",
    "tiltmeter_reference_share_ratio",
    "tiltmeter_promise_kept",
    "tiltmeter_evidence_log10",
    "tiltmeter_evidence_threshold_log10",
    "tiltmeter_stream_state",
    "tiltmeter_incidents_total",
)

Timings = Mapping[tuple[str, ...], Timing]
"""One histogram: by the values of its labels."""


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
                if timings.get(definition.name):
                    yield _histogram(definition, timings[definition.name])
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


def _family(definition: Definition, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    family = kind(definition.name, definition.help, labels=definition.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(definition: Definition, timings: Timings) -> Metric:
    family = HistogramMetricFamily(definition.name, definition.help, labels=definition.labels)
    for labels, timing in timings.items():
        edges = [*(repr(edge) for edge in timing.edges), "+Inf"]
        family.add_metric(labels, list(zip(edges, map(float, accumulate(timing.counts)), strict=True)), timing.seconds)
    return family


def _samples(reading: Reading) -> tuple[dict[str, list[Sample]], dict[str, Timings]]:
    """Samples and histograms by metric name."""
    models = [model.name for model in reading.models]
    samples: dict[str, list[Sample]] = {
        "tiltmeter_build_info": [((VERSION, platform.python_version()), 1.0)],
        "tiltmeter_model_info": [((model.name, model.bundle, model.owner, model.encoder), 1.0) for model in reading.models],
        "tiltmeter_inference_info": [(pair, 1.0) for pair in reading.inference],
    }
    stages: dict[tuple[str, ...], Timing] = {}
    if reading.worker:
        samples |= _worker(reading.worker, models, reading.reasons)
        stages |= {(stage,): reading.worker.stages.get(stage, Timing()) for stage in STAGES[:4]}
    if reading.decider:
        samples["tiltmeter_decider_active"] = [((), float(reading.decider.active))]
        if reading.decider.active:
            samples |= _decider(reading.decider, models)
            stages |= {(stage,): reading.decider.stages.get(stage, Timing()) for stage in STAGES[4:]}
    timings: dict[str, Timings] = {"tiltmeter_batch_seconds": stages}
    if reading.asked:
        samples |= asking.samples(reading.asked)
        timings |= asking.timings(reading.asked)
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
        **probes.samples(decider.probes),
        "tiltmeter_watermark_timestamp_seconds": _single(decider.watermark),
        "tiltmeter_last_checkpoint_timestamp_seconds": _single(decider.last_checkpoint),
        "tiltmeter_baseline_wanted": [((model,), float(model in decider.wanted)) for model in models],
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
        "tiltmeter_closed_incidents_total": [
            ((model, level, verdict), float(decider.ended.get((model, level, verdict), 0)))
            for model in models
            for level in LEVELS
            for verdict in CLOSED_AS
        ],
        "tiltmeter_budget_seconds": [((level,), seconds) for level, seconds in decider.budgets.items()],
        "tiltmeter_incident_info": [
            ((s.model_name, s.kind, s.owner, s.incident.id, s.incident.what), 1.0) for s in decider.severities if s.incident
        ],
        "tiltmeter_incident_change_timestamp_seconds": [
            ((s.model_name, s.kind), s.incident.change) for s in decider.severities if s.incident
        ],
        "tiltmeter_deployment_timestamp_seconds": [((model, revision), time) for model, (revision, time) in decider.deployed.items()],
        "tiltmeter_joined": [((s.model_name, s.kind), float(s.joined)) for s in decider.severities],
        "tiltmeter_incidents_open": [
            ((model, level), float(decider.incidents.get((model, level), 0))) for model in models for level in LEVELS
        ],
    }
