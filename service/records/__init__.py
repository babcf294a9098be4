"""The nouns that travel between rooms: frozen, typed, without behaviour of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import Sketch

Partition = str
"""Name of one ordered input: ``prompts/3`` (Kafka topic/partition), ``http/<instance>``, ``file``."""

WHOLE = ""
"""The slice that stands for the model as a whole."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One production prompt. ``time`` is event time in seconds since the epoch, a function of the record alone.

    ``session`` tells prompts of one conversation or user from those of others; empty where the record names none.
    """

    id: str
    text: str
    time: float
    model_name: str
    slice: str = WHOLE
    session: str = ""


class Span(NamedTuple):
    """Input positions ``start <= p < stop`` of one partition."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition has got.

    Attributes:
        time: event time reached, seconds since the epoch; -inf before the first record.
        idle: read to its end and silent for ``idle_after``: leaves the minimum of the watermark.
        ended: nothing will ever follow (end of a file): leaves the minimum too, and closes what is open once all have ended.
    """

    time: float
    idle: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Rows ``start:stop`` of a batch that are counted, or dropped as a repeat, together (one HTTP POST; everything for Kafka)."""

    start: int
    stop: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll of a source returned.

    Attributes:
        prompts: decoded prompts in input order; may be empty.
        positions: partition -> span covered by this batch, rejected records included; for partitions that moved only.
        progress: partition -> progress, for every partition this source reads now.
        partitions: every partition of the input known from metadata, read here or elsewhere.
        rejected: reason -> records that could not be decoded.
        lease: what the ledger needs to know that the input is still ours (Kafka: group metadata taken right after the poll).
        parts: how rows are grouped; empty means one part without a key.
        urgent: somebody waits for this batch: flush at once.
    """

    prompts: Sequence[Prompt] = ()
    positions: Mapping[Partition, Span] = field(default_factory=dict)
    progress: Mapping[Partition, Progress] = field(default_factory=dict)
    partitions: frozenset[Partition] = frozenset()
    rejected: Mapping[str, int] = field(default_factory=dict)
    lease: Any = None
    parts: Sequence[Part] = ()
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Scores:
    """Row-aligned results for B prompts, all arrays of shape (B,).

    Attributes:
        score: float32, higher is stranger.
        p_value: float32, split-conformal.
        strange: bool, p <= 0.05; far: bool, p <= 0.01.
        topic: int32, index of the nearest reference topic, -1 for none of them.
        tokens: int32, tokens after truncation; truncated: bool.
        fourier: int16, (B, F), random Fourier features of the embedding times detectors.sketch.FIXED_POINT.
    """

    score: NDArray[np.float32]
    p_value: NDArray[np.float32]
    strange: NDArray[np.bool_]
    far: NDArray[np.bool_]
    topic: NDArray[np.int32]
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    fourier: NDArray[np.int16]


class DeltaKey(NamedTuple):
    """What a sketch belongs to; sketches add only under equal keys. ``window`` is its start, in whole seconds since the epoch."""

    bundle: str
    model_name: str
    slice: str
    window: int


@dataclass(frozen=True, slots=True)
class Deltas:
    """Sketches counted together or not at all; ``key`` makes a repeat within 24 h count for nothing."""

    sketches: Mapping[DeltaKey, Sketch]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How far one worker has got, sent with every flush and at least every heartbeat.

    Attributes:
        worker: instance name.
        positions: partition -> span moved since the last flush (what the ledger commits with the deltas).
        progress: partition -> progress, for the partitions this worker reads.
        partitions: every partition of the input known from metadata.
        sent: wall clock of the worker, seconds since the epoch.
        canaries: target -> time of the newest of its canaries' records that came back at this worker's source.
    """

    worker: str
    positions: Mapping[Partition, Span]
    progress: Mapping[Partition, Progress]
    partitions: frozenset[Partition]
    sent: float
    canaries: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """What a person or a tool asked for; ordered with the deltas, applied by the decider alone, once per ``id``.

    ``kind`` is one of ``incident.ack``, ``incident.close``, ``baseline.accept``, ``baseline.learn``, ``baseline.reset``,
    ``expect.add``, ``expect.remove``, ``bundle.promote``, ``bundle.rollback``, ``probe.round``, ``probe.accept``,
    ``deployment.add``.
    """

    id: str
    kind: str
    actor: str
    time: float
    arguments: Mapping[str, Any]


class Entry(NamedTuple):
    """One record of the ledger's log. ``position`` grows; ``body`` is a delta with its key, a report or a command."""

    position: int
    body: "tuple[DeltaKey, Sketch] | Report | Command"
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The decider's state and the log position up to which it holds everything (exclusive), written together."""

    position: int
    watermark: float
    state: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """One closed window of one stream: a line of the verdicts file (docs/cli.md). Times in seconds since the epoch.

    ``p_values_*``: as in :class:`Incident`, while an incident of the stream is open.
    """

    window_start: float
    window_end: float
    model_name: str
    slice: str
    stream: str
    n: int
    value: float
    reference: float
    effect_low: float
    effect_high: float
    log10_evidence: float
    log10_threshold: float
    log10_ticket_evidence: float
    log10_ticket_threshold: float
    state: str
    explanation: str
    p_values_before: Sequence[float] | None = None
    p_values_after: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether a gateway should ask another model instead. ``fallback``: None where nothing can be said; ``reason``: why, for people."""

    fallback: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class Incident:
    """Something a person should know about, from crossing to recovery.

    Attributes:
        id: ``<model>-<stream>-<level>-<window end, epoch seconds>``, of a slice ``<model>-<slice>-<stream>-...``: natural, so that a
            replayed decision is the same incident.
        level: ``ticket`` or ``page``, which recursion crossed.
        severity: ``warning`` or ``critical`` now, by policy; ``none`` once closed.
        opened: end of the window that crossed; change_start / change_low / change_high: estimated start of the change, with interval.
        crossings: how often the level was crossed while open.
        acknowledged_by, closed_by: actor, or None; ``closed_by`` is ``recovery`` when it closed by itself.
        verdict: ``real``, ``benign``, ``monitor``, ``recovered`` or None while open.
        p_values_before, p_values_after: shares of the prompts by detectors.sketch.P_VALUE_EDGES, 15 each, when nothing was wrong and since
            the start of the change; None where windows kept no such counts.
        grew: topics that grew, by index, most first; -1 stands for none of them.
        kind: ``drift``, ``behaviour`` or ``safety``.
        part_of: id of the earlier incident that it has joined: both are one trouble, told by that one.
    """

    id: str
    model_name: str
    stream: str
    level: str
    severity: str
    owner: str
    opened: float
    explanation: str
    value: float
    reference: float
    log10_evidence: float
    log10_threshold: float
    change_start: float
    change_low: float
    change_high: float
    crossings: int = 1
    acknowledged: float | None = None
    acknowledged_by: str | None = None
    closed: float | None = None
    closed_by: str | None = None
    verdict: str | None = None
    reason: str | None = None
    slice: str = ""
    p_values_before: Sequence[float] | None = None
    p_values_after: Sequence[float] | None = None
    grew: Sequence[int] | None = None
    kind: str = "drift"
    part_of: str | None = None


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """What one stream was tested against from a moment on. Natural key: model, flag, time of acceptance, in seconds since the epoch.

    Attributes:
        flag: ``strange``, ``far``, or the name of another stream; of a slice ``<slice>/<stream>``.
        rate, bound: normal share and the null of the middle hour of the week, minimum effect left out; of a stream of many categories
            those of its largest one, of ``embedding_shift`` and ``volume`` those of blocks of windows that are flagged.
        why: what keeps the stream from paging; None where nothing does.
    """

    model_name: str
    flag: str
    accepted: float
    actor: str
    reason: str
    source: str
    rate: float
    bound: float
    design_effect: float
    days: int
    stage: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command, who gave it, and what became of it. Natural key: ``id``."""

    id: str
    time: float
    actor: str
    kind: str
    arguments: Mapping[str, Any]
    outcome: str
