"""What the decider shows the other threads: one immutable picture, replaced as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.decider.learning import BaselineView
from service.decider.probing.deployments import Deployment
from service.decider.probing.view import GateState, ProbeView, SuiteView
from service.metrics import Timing
from service.records import Advice, Incident, Verdict


@dataclass(frozen=True, slots=True)
class Series:
    """The newest windows of one stream that had prompts, oldest first; at most 1,440 of them, of a slice at most 240.

    Attributes:
        start: (W,) int64, window start, seconds since the epoch.
        n, x: (W,) int64, prompts and what ``StreamView.counted`` says; of embedding_shift windows and of volume blocks (n is 1); of
            topic_mix, language and length the newest 720 windows at most.
        ticket, page: (W,) float32, log10 evidence of the two recursions.
    """

    start: NDArray[np.int64]
    n: NDArray[np.int64]
    x: NDArray[np.int64]
    ticket: NDArray[np.float32]
    page: NDArray[np.float32]


NO_WINDOWS = Series(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
"""Of a stream of which nothing is known yet."""


@dataclass(frozen=True, slots=True)
class StreamView:
    """One stream now.

    Attributes:
        slice: empty for the model as a whole.
        state: blind, page, ticket, learning, idle, insufficient or ok.
        reference: share that is normal here (baseline rate, or the bound against the fine-tuning set); null: what is bet against,
            the bound plus the minimum effect; where a fall is bet on it lies below ``reference``.
        evidence: level -> log10 evidence after the newest window.
        thresholds: level -> log10 evidence at which it crosses; None where the level is not allowed now.
        share, low, high: share with 95% interval over the windows that the latest verdict's words are about; None before the first.
        latest: verdict of the newest window that had prompts.
        counted: what share, series and latest are about, such as "strange" or "about roaming sim"; empty before there is a baseline.
        why: why it may not page; None where it may, and where it never does by its nature.
    """

    model_name: str
    slice: str
    stream: str
    state: str
    reference: float
    null: float
    evidence: Mapping[str, float]
    thresholds: Mapping[str, float | None]
    latest: Verdict | None
    series: Series
    share: float | None = None
    low: float | None = None
    high: float | None = None
    counted: str = ""
    why: str | None = None


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model now.

    Attributes:
        severity: kind -> none, warning or critical: ``drift``, and of a model with probes ``behaviour`` and ``safety``.
        since: opening of the oldest open incident, or None.
        last_verdict: end of the newest window with a verdict.
    """

    model_name: str
    bundle: str
    owner: str
    severity: Mapping[str, str]
    since: float | None
    last_verdict: float | None
    baseline: BaselineView


@dataclass(frozen=True, slots=True)
class DeciderSnapshot:
    """Everything the decider knows. Times in seconds since the epoch.

    Attributes:
        active: this process decides; a standby shows the last checkpoint of the one that does.
        published: wall clock when this was made; checkpointed: wall clock of the last checkpoint written, None before.
        watermark: event time up to which everything is known, -inf before.
        position: ledger position up to which everything is held, exclusive.
        blind: why we cannot see; empty when we can.
        late, refused: model -> prompts that came after their window had closed; that lay impossibly far ahead.
        unknown_bundle: bundle digest -> prompts in closed windows of a bundle not loaded here: stored, not judged.
        repeats: posts left out because their idempotency key was already counted.
        lost_partitions: partitions that left the watermark because their worker fell silent or nobody names them any more.
        opened: (model, slice, stream, level) -> incidents opened since the state began; ended: (model, level, verdict) -> closed ones.
        closed_windows: windows closed since the state began, with at least one prompt.
        closing, saving: time spent on deciding a batch of entries, and on a checkpoint.
        incidents: open ones, oldest first; recent: closed ones, newest first, at most 50.
        joined: open ones that are part of one of these.
        probes, suites, gates: what is known of canary probes; empty without any.
        deployments: those announced, oldest first.
        advice: (model, slice) -> what a gateway is advised; slices only where it differs from that of their model, which is slice "".
        shadows, shadow_streams: the same of the models' second bundles, where they have one.
        shadow_opened: (model, slice, stream, level) -> incidents a shadow would have opened since it is one.
        former: model -> digest of the bundle that was in force before the last promotion, where it was not rolled back.
    """

    active: bool
    published: float
    checkpointed: float | None
    watermark: float
    position: int
    open_windows: int
    closed_windows: int
    blind: Sequence[str]
    streams: Sequence[StreamView]
    models: Sequence[ModelView]
    incidents: Sequence[Incident]
    recent: Sequence[Incident] = ()
    late: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    unknown_bundle: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 0
    lost_partitions: int = 0
    opened: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    ended: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    closing: Timing = field(default_factory=Timing)
    saving: Timing = field(default_factory=Timing)
    shadows: Sequence[ModelView] = ()
    shadow_streams: Sequence[StreamView] = ()
    shadow_opened: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)
    joined: Sequence[Incident] = ()
    probes: Sequence[ProbeView] = ()
    suites: Sequence[SuiteView] = ()
    gates: Sequence[GateState] = ()
    deployments: Sequence[Deployment] = ()
    advice: Mapping[tuple[str, str], Advice] = field(default_factory=dict)
