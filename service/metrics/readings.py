"""What one scrape is made of: immutable readings of plain numbers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from service.metrics.asking import AskedReading
from service.metrics.probes import ProbeReading
from service.metrics.timing import Timing


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
class IncidentReading:
    """An open incident: its id, its words as they were when it opened, and the estimated start of the change."""

    id: str
    what: str
    change: float


@dataclass(frozen=True, slots=True)
class SeverityReading:
    """How bad one kind of trouble is for one model.

    ``joined``: an incident of another kind tells of all that is open of it. ``incident``: the one that sets the severity.
    """

    model_name: str
    kind: str
    owner: str
    severity: str
    joined: bool = False
    incident: IncidentReading | None = None


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

    ``incidents``: (model, level) -> open ones; ``opened``: (model, slice, stream, level) -> how many opened since the state began;
    ``ended``: (model, level, verdict) -> how many closed; ``budgets``: level -> seconds that one false incident is worth;
    ``deployed``: model -> revision and time of the last announced deployment; ``wanted``: models of which a baseline should be accepted.
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
    ended: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    deployed: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    wanted: Collection[str] = ()
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
    """Everything one scrape shows. ``worker``, ``decider``, ``asked`` or ``annotations`` is None where this process has no such part."""

    models: Sequence[ModelReading] = ()
    reasons: Sequence[str] = ()
    inference: Sequence[tuple[str, str]] = ()
    worker: WorkerReading | None = None
    decider: DeciderReading | None = None
    asked: AskedReading | None = None
    annotations: AnnotationReading | None = None
