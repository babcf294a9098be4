"""What the page and the read-only routes show: plain immutable values that ``service.main`` fills from the snapshots of the rooms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.api.probe_view import ProbesCard
from service.api.stream_view import History, Tested
from service.records import Incident

SEVERITY_ORDER = ("none", "warning", "critical")

MAIN = ("ood_share", "far_share")


@dataclass(frozen=True, slots=True)
class StreamCard(Tested):
    """One stream now. ``share`` is None before the first window; a threshold is None where the level is not allowed.

    ``normal`` is the share that counts as normal here, ``null`` the share the detector bets against (normal plus the minimum effect).
    ``slice`` is empty for the whole model; ``counted``: what the share is a share of, such as "strange" or "about roaming sim"; ``why``:
    what keeps it from paging, None where nothing does, or where it never pages by its nature.
    """

    stream: str
    state: str
    normal: float
    null: float
    share: float | None = None
    low: float | None = None
    high: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    explanation: str = ""
    history: History = field(default_factory=History.empty)
    slice: str = ""
    counted: str = ""
    why: str | None = None


@dataclass(frozen=True, slots=True)
class MedianTopic:
    """The topic of median size in an accepted baseline: its share, the null of its rise in the middle hour of the week (minimum effect
    included), its design effect, and how many categories the stream bets on.
    """

    share: float
    null: float
    design_effect: float
    categories: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one stream is tested against and what has been learned: one row of ``/v1/baseline``. None where there is nothing yet.

    ``slice`` is empty for the whole model; ``bound`` is that of an hour in the middle where hours of the week have their own; ``promise``:
    whether the replay at acceptance was consistent with the budget of pages, ``told``: the same in words, ``smallest_budget``: windows per
    false page at which the promise would hold; ``why``: why the stream may not page; ``bounds``: lowest and highest bound of the week;
    ``prompts``: mean number in a window; ``false_page_every``: seconds that one false page of this stream is worth;
    ``median_topic``: of ``topic_mix``.
    """

    model_name: str
    stream: str
    stage: str
    null: float
    rate: float | None = None
    bound: float | None = None
    design_effect: float | None = None
    days: int | None = None
    accepted_by: str | None = None
    accepted: float | None = None
    candidate: str | None = None
    note: str = ""
    slice: str = ""
    promise: bool | None = None
    why: str | None = None
    told: str | None = None
    smallest_budget: float | None = None
    bounds: tuple[float, float] | None = None
    prompts: float | None = None
    false_page_every: float | None = None
    median_topic: MedianTopic | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """An announced change that still holds: one row of ``/v1/expectations``. ``until``: seconds since the epoch, event time."""

    model_name: str
    id: str
    what: str
    until: float
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Deployed:
    """An announced deployment: one row of ``/v1/deployments``. ``time``: seconds since the epoch."""

    model_name: str
    revision: str
    time: float
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Graded answers of one model: ``key`` is the baseline key, ``revision`` what the replies report; ``since``: its first, or accepted.

    ``bound``, ``actor``, ``reason``: of a record in force, what its share of bad answers is at most, who accepted it, and why.
    """

    key: str
    revision: str
    n: int
    bad: int
    since: float
    bound: float | None = None
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """What one stream of probes is held against, and what an acceptance would take: one row of ``/v1/probes/records``.

    ``now``: answers of the model that answers now; ``on_trial``: that is another one than the record's; ``acceptable``: an acceptance would
    take them; ``why``: what keeps the stream from paging.
    """

    model_name: str
    target: str
    suite: str
    category: str
    stream: str
    state: str
    record: Answers | None
    now: Answers | None
    on_trial: bool
    acceptable: bool
    why: str | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """The bundles of one model: one row of ``/v1/bundles``. Bundles are digests; what is None is not there, or not known yet.

    ``former``: what a rollback puts back; ``share``: of strange prompts in the newest window, by the bundle in force and by the shadow;
    ``stage``: how much the shadow's record carries (:data:`service.metrics.SHADOW_STAGES`), from ``days`` and ``prompts``;
    ``would_open``: level -> incidents the shadow would have opened since it is one.
    """

    model_name: str
    in_force: str
    former: str | None = None
    share: float | None = None
    shadow: str | None = None
    shadow_share: float | None = None
    stage: str | None = None
    days: int | None = None
    prompts: int | None = None
    accepted_by: str | None = None
    would_open: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One monitored model now. ``severity`` by kind; ``since``: when the oldest open incident opened; streams of slices come last.

    ``probes``: None where it has none.
    """

    name: str
    owner: str
    bundle: str
    severity: Mapping[str, str]
    streams: Sequence[StreamCard]
    since: float | None = None
    last_verdict: float | None = None
    note: str = ""
    probes: ProbesCard | None = None

    @property
    def worst(self) -> str:
        """The highest severity over all kinds."""
        return max(self.severity.values(), key=SEVERITY_ORDER.index, default="none")

    @property
    def main(self) -> Sequence[StreamCard]:
        """The streams that are tested from the first day on: what they know is what is known of the model."""
        return [stream for stream in self.streams if not stream.slice and stream.stream in MAIN]


@dataclass(frozen=True, slots=True)
class Monitor:
    """Whether the monitor itself is alive. Times in seconds since the epoch, None where unknown or never.

    Attributes:
        role: all, worker or decider; decider: active, standby, starting or absent.
        blind: why we cannot see; empty when we can.
        event_clock: only the data move time (replay, demo), so the age of the watermark means nothing.
        lag: records behind the end of the input; lost: gone from it before they were read; prompts: counted since the process started.
    """

    role: str
    decider: str
    started: float
    watermark: float | None = None
    last_flush: float | None = None
    checkpointed: float | None = None
    lag: int | None = None
    prompts: int = 0
    rejected: int = 0
    lost: int = 0
    late: int = 0
    blind: Sequence[str] = ()
    event_clock: bool = False
    device: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on the page. ``now`` is the wall clock; incidents: open, oldest first; recent: closed, newest first.

    ``shadow_baselines``: rows of the models' shadows; ``bundles``: which bundle is in force; ``deployments``: announced, oldest first;
    ``joined``: open incidents that are part of one of these.
    """

    now: float
    models: Sequence[ModelCard]
    incidents: Sequence[Incident]
    monitor: Monitor
    recent: Sequence[Incident] = ()
    baselines: Sequence[Baseline] = ()
    expectations: Sequence[Expected] = ()
    window: float = 60.0
    shadow_baselines: Sequence[Baseline] = ()
    bundles: Sequence[InForce] = ()
    deployments: Sequence[Deployed] = ()
    probe_records: Sequence[ProbeRecord] = ()
    joined: Sequence[Incident] = ()

    def deployed_before(self, incident: Incident) -> Deployed | None:
        """The last deployment of its model that was announced before an incident opened; None where none is remembered."""
        found = [each for each in self.deployments if each.model_name == incident.model_name and each.time <= incident.opened]
        return max(found, key=lambda each: each.time, default=None)

    @property
    def trouble(self) -> Sequence[Incident]:
        """Open incidents, each as severe as the worst that has joined it."""
        return [replace(each, severity=max((i.severity for i in self.parts(each)), key=SEVERITY_ORDER.index)) for each in self.incidents]

    def parts(self, incident: Incident) -> Sequence[Incident]:
        """An incident and what has joined it."""
        return [incident, *(each for each in self.joined if each.part_of == incident.id)]

    @property
    def worst(self) -> str:
        """The highest severity over all models."""
        return max((model.worst for model in self.models), key=SEVERITY_ORDER.index, default="none")
