"""From the snapshots of pipeline and decider to what the page shows and what Prometheus reads."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from detectors.topic_baseline import TopicBaseline
from service.api.stream_view import History
from service.api.view import Baseline, Expected, MedianTopic, ModelCard, Monitor, Status, StreamCard
from service.api.words import LONGEST
from service.bundle import Manifest
from service.config import Config
from service.decider.learning import Baseline as AcceptedBaseline
from service.decider.snapshot import DeciderSnapshot, ModelView, StreamView
from service.main import probe_cards, probe_readings, probe_records, severities, shadows
from service.main.extraction import differences
from service.main.probing import Asking
from service.metrics import (
    VERSION,
    AskedReading,
    DeciderReading,
    ModelReading,
    Reading,
    StreamReading,
    WorkerCounts,
    WorkerReading,
)
from service.pipeline.snapshot import PipelineSnapshot
from service.source.decode import Reason


@dataclass(frozen=True, slots=True)
class Process:
    """What is known of this process beside its snapshots.

    Attributes:
        decider: active, standby, starting or absent.
        models: identity of every configured model, shadows: of every second bundle; inference: (runtime, device) pairs.
        blind: reasons why we cannot see that no snapshot holds yet.
        queued, lag, replaced_times, lost_records, lost_dead_letters: of the source, where it knows.
        refused: posts turned away for a record that is no prompt, by reason.
        manifests: digest of a bundle -> how its rows were read. budgets: level -> seconds that one false incident is worth.
    """

    role: str
    instance: str
    started: float
    decider: str = "starting"
    models: Sequence[ModelReading] = ()
    shadows: Sequence[ModelReading] = ()
    inference: Sequence[tuple[str, str]] = ()
    reasons: Sequence[str] = ()
    blind: Sequence[str] = ()
    queued: int | None = None
    lag: int | None = None
    replaced_times: int | None = None
    lost_records: int | None = None
    lost_dead_letters: int | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)


def status(
    config: Config,
    process: Process,
    decider: DeciderSnapshot | None,
    worker: PipelineSnapshot | None,
    now: float,
    asking: Asking | None = None,
) -> Status:
    """The page. Before the decider's first snapshot every model is shown without streams; ``asking``: None where no probes are asked."""
    monitor = Monitor(
        role=process.role,
        decider=process.decider,
        started=process.started,
        watermark=_finite(decider.watermark) if decider else None,
        last_flush=worker.last_flush if worker else None,
        checkpointed=decider.checkpointed if decider else None,
        lag=process.lag,
        prompts=sum(worker.prompts.values()) if worker else 0,
        rejected=sum(process.refused.values()) + (sum(worker.rejected.values()) - worker.rejected.get(Reason.CANARY, 0) if worker else 0),
        lost=process.lost_records or 0,
        late=sum(decider.late.values()) if decider else 0,
        # A standby looks at an old picture: whether the active decider is blind is not its to say.
        blind=tuple(dict.fromkeys((*process.blind, *(decider.blind if decider and decider.active else ())))),
        event_clock=config.windows.clock == "event",
        device=", ".join(f"{runtime} on {device}" for runtime, device in process.inference),
        version=VERSION,
    )
    if decider is None:
        cards = [ModelCard(name, model.owner, "", {"drift": "none"}, ()) for name, model in config.models.items()]
        return Status(now, cards, (), monitor, window=config.windows.length)
    return Status(
        now=now,
        models=[
            replace(
                _held_against_the_set(_card(model, decider, config), model, process.manifests),
                probes=probe_cards.card(model.model_name, config, decider, asking, now),
            )
            for model in decider.models
        ],
        incidents=decider.incidents,
        joined=decider.joined,
        monitor=monitor,
        recent=decider.recent,
        baselines=[
            row for model in decider.models for row in baselines(model, decider.streams, config.windows.length, config.detection.min_effect)
        ],
        expectations=[
            Expected(model.model_name, each.id, each.name, each.until, each.actor, each.reason)
            for model in decider.models
            for each in model.baseline.expectations
        ],
        window=config.windows.length,
        shadow_baselines=[
            row
            for model in decider.shadows
            for row in baselines(model, decider.shadow_streams, config.windows.length, config.detection.min_effect)
        ],
        bundles=shadows.in_force(decider),
        deployments=probe_records.deployments(decider),
        probe_records=probe_records.records(decider),
    )


def reading(
    process: Process, decider: DeciderSnapshot | None, worker: PipelineSnapshot | None, asked: AskedReading | None = None
) -> Reading:
    """One scrape."""
    return Reading(
        models=shadows.identities(process.models, process.shadows, decider),
        reasons=process.reasons,
        inference=process.inference,
        worker=None if process.role == "decider" else _worker(process, worker or PipelineSnapshot()),
        decider=None if process.role == "worker" else _decider(decider, process.decider == "active", process.budgets),
        asked=asked,
    )


def _worker(process: Process, snapshot: PipelineSnapshot) -> WorkerReading:
    counts = {each.name: getattr(snapshot, each.name) for each in fields(WorkerCounts)}
    counts["rejected"] = dict(Counter(snapshot.rejected) + Counter(process.refused))
    return WorkerReading(
        **counts,
        queued=process.queued,
        lag=process.lag,
        source_time=snapshot.source_time,
        replaced_times=process.replaced_times,
        lost_records=process.lost_records,
        lost_dead_letters=process.lost_dead_letters,
    )


def _decider(snapshot: DeciderSnapshot | None, active: bool, budgets: Mapping[str, float]) -> DeciderReading:
    if snapshot is None:
        return DeciderReading(active=False)
    incidents = Counter((incident.model_name, incident.level) for incident in snapshot.incidents)
    return DeciderReading(
        active=active,
        watermark=_finite(snapshot.watermark),
        last_checkpoint=snapshot.checkpointed,
        open_windows=snapshot.open_windows,
        closed_windows=snapshot.closed_windows,
        late=snapshot.late,
        refused=snapshot.refused,
        repeats=snapshot.repeats,
        unknown_bundle=sum(snapshot.unknown_bundle.values()),
        lost_partitions=snapshot.lost_partitions,
        last_verdict={model.model_name: model.last_verdict for model in snapshot.models if model.last_verdict is not None},
        streams=list(_stream_readings(snapshot)),
        severities=list(severities.severities(snapshot)),
        incidents=incidents,
        opened=snapshot.opened,
        ended=snapshot.ended,
        budgets=budgets,
        deployed={each.model_name: (each.revision[:LONGEST], each.time) for each in snapshot.deployments},
        wanted=[model.model_name for model in snapshot.models if model.baseline.asks],
        shadows=shadows.readings(snapshot),
        probes=probe_readings.readings(snapshot),
        stages={"close": snapshot.closing, "checkpoint": snapshot.saving},
    )


def _stream_readings(snapshot: DeciderSnapshot) -> Iterator[StreamReading]:
    accepted = {model.model_name: model.baseline.accepted for model in snapshot.models}
    for stream in snapshot.streams:
        known = stream.counted and stream.series.n.size  # a stream without a baseline has no share and no reference
        yield StreamReading(
            model_name=stream.model_name,
            stream=stream.stream,
            state=stream.state,
            share=float(stream.series.x[-1] / stream.series.n[-1]) if known else None,
            reference=stream.null if stream.counted else None,
            evidence=stream.evidence,
            thresholds=stream.thresholds,
            slice=stream.slice,
            promise=_promise(accepted[stream.model_name], stream),
        )


def _promise(accepted: AcceptedBaseline | None, stream: StreamView) -> bool | None:
    """Whether the replay at acceptance was consistent with the budget of pages; None where the stream was not covered."""
    replayed = accepted.promises.get((stream.slice, stream.stream)) if accepted else None
    return None if replayed is None else replayed.kept


def _card(model: ModelView, decider: DeciderSnapshot, config: Config) -> ModelCard:
    streams = [_stream(stream) for stream in decider.streams if stream.model_name == model.model_name]
    note = "; ".join((*_notes(model, config, decider.watermark), *shadows.notes(model, decider)))
    return ModelCard(model.model_name, model.owner, model.bundle, model.severity, streams, model.since, model.last_verdict, note)


def _held_against_the_set(card: ModelCard, model: ModelView, manifests: Mapping[str, Manifest]) -> ModelCard:
    """Until a baseline says what is usual: with what first contact saw and the fine-tuning set does not explain."""
    manifest, seen = manifests.get(model.bundle), model.baseline.contact
    if manifest is None or seen is None or model.baseline.phase == "baseline":
        return card
    return replace(card, note="; ".join(part for part in (differences(manifest, seen), card.note) if part))


def _stream(stream: StreamView) -> StreamCard:
    latest, series = stream.latest, stream.series
    card = StreamCard(
        stream=stream.stream,
        state=stream.state,
        normal=stream.reference,
        null=stream.null,
        evidence=stream.evidence,
        thresholds=stream.thresholds,
        history=History(series.start, series.n, series.x, series.ticket, series.page),
        slice=stream.slice,
        counted=stream.counted,
        why=stream.why,
    )
    if latest is None:
        return card
    return replace(card, share=stream.share, low=stream.low, high=stream.high, explanation=latest.explanation)


def _notes(model: ModelView, config: Config, watermark: float) -> Iterator[str]:
    """What the operator of this model should know or do."""
    baseline = model.baseline
    if baseline.phase == "first_contact":
        needed = config.detection.first_contact
        seen = baseline.contact.n if baseline.contact else 0
        hours = max(watermark - baseline.since, 0.0) / 3600 if baseline.since is not None and math.isfinite(watermark) else 0.0
        spent = f"{hours:.1f} of {needed.duration / 3600:.0f} h"
        yield f"First contact, drift pages nobody yet: {spent} and {seen:,} of {needed.prompts:,} prompts seen"
    if baseline.accepted is not None and baseline.accepted.objection:
        yield f"The baseline was accepted anyway by {baseline.accepted.actor}, although {baseline.accepted.objection}"
    if baseline.candidate is not None:
        yield f"A baseline learned from {baseline.candidate.source} waits: tiltmeter baseline accept {model.model_name}"
    elif baseline.asks:
        yield f"Asks for a baseline: {baseline.asks}. tiltmeter baseline accept {model.model_name}"


def baselines(model: ModelView, streams: Sequence[StreamView], window: float, min_effect: float) -> Iterator[Baseline]:
    """One row of ``/v1/baseline`` for each stream of a model and of its slices."""
    view, accepted = model.baseline, model.baseline.accepted
    candidate = view.candidate.source if view.candidate else None
    against = accepted.objection if accepted else None
    note = f"accepted anyway, although {against}" if against else view.asks or ""
    for stream in streams:
        if stream.model_name != model.model_name:
            continue
        row = Baseline(model.model_name, stream.stream, view.phase, stream.null, days=view.days, candidate=candidate, note=note)
        row = replace(row, slice=stream.slice, promise=_promise(accepted, stream), why=stream.why)
        row = replace(row, prompts=float(stream.series.n.mean()) if stream.series.n.size else None)
        if (promise := accepted.promises.get((stream.slice, stream.stream)) if accepted else None) is not None:
            row = replace(row, told=promise.reason, smallest_budget=promise.smallest_budget)
        if (threshold := stream.thresholds.get("page")) is not None:
            row = replace(row, false_page_every=window * 10**threshold)
        learned = (accepted.rates if accepted else view.rates).get((stream.slice, stream.stream))
        if learned is not None:
            row = replace(
                row,
                rate=float(learned.rate),
                bound=float(np.median(learned.bound)),
                bounds=(float(learned.bound.min()), float(learned.bound.max())),
                design_effect=float(learned.design_effect),
                days=int(learned.days),
            )
        if accepted is not None and stream.stream == "topic_mix" and (mix := accepted.mixes.get(stream.stream)) is not None:
            row = replace(row, median_topic=_median_topic(mix, min_effect))
        if accepted is not None:
            stage = ": ".join(part for part in (view.phase, _stage(accepted, stream)) if part)
            row = replace(row, accepted_by=accepted.actor, accepted=accepted.accepted, stage=stage)
        yield row


def _median_topic(mix: TopicBaseline, min_effect: float) -> MedianTopic:
    share = np.median(mix.share, axis=0)
    known = np.argsort(share[:-1])  # the last is none of the topics
    at = int(known[known.size // 2])
    null = float(np.median(mix.upper[:, at])) + min_effect
    return MedianTopic(float(share[at]), min(null, 1.0), float(mix.design_effect[at]), share.size)


def _stage(accepted: AcceptedBaseline, stream: StreamView) -> str | None:
    """How much the learned days carry: short, unpromised, paging or full; None for what has no baseline of its own."""
    learned = accepted.rates.get((stream.slice, stream.stream))
    if learned is None and not stream.slice:
        single = {"embedding_shift": accepted.shift, "volume": accepted.volume}
        other = single[stream.stream] if stream.stream in single else accepted.mixes.get(stream.stream)
        return other.stage if other is not None else None
    return learned.stage if learned is not None else None


def identified(
    process: Process,
    config: Config,
    digests: Mapping[str, tuple[str, str]],
    device: str | None,
    shadow_digests: Mapping[str, tuple[str, str]] | None = None,
) -> Process:
    """With the (bundle digest, encoder digest) of models and shadows, and where the graphs run (None: they do not run here)."""
    models, seconds = (
        [ModelReading(name, each[name][0], model.owner, each[name][1]) for name, model in config.models.items() if name in each]
        for each in (digests, shadow_digests or {})
    )
    runs = [("onnxruntime", device)] if device else []
    return replace(process, models=models, shadows=seconds, inference=runs, budgets=config.budgets.model_dump())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
