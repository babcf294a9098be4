"""What the pipeline has done, as one immutable value between the pipeline's thread and whoever asks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.metrics import Timing, WorkerReading
from service.records import Partition, Progress


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """Totals since the process started, as of the last batch or flush. Times in seconds since the epoch; None for never.

    Attributes:
        prompts, tokens, truncated: by model name, counted once the ledger holds them.
        rejected: records that could not be decoded, by reason.
        stages: timings of poll, score, sketch and flush, one per batch or flush and never per prompt.
        repeats: parts left out because their key was already counted.
        rewinds: times unflushed work was dropped.
        pending: prompts sketched and not yet flushed.
        progress: how far each partition read here has got; paused: those held back because they are too far ahead.
        source_up, ledger_up: whether the last poll and the last flush succeeded.
        last_flush: wall clock of the last flush that the ledger accepted.
        watermark: event time up to which the decider has closed windows, as last seen here.
    """

    prompts: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    truncated: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, Timing] = field(default_factory=dict)
    repeats: int = 0
    rewinds: int = 0
    pending: int = 0
    progress: Mapping[Partition, Progress] = field(default_factory=dict)
    paused: frozenset[Partition] = frozenset()
    source_up: bool = True
    ledger_up: bool = True
    last_flush: float | None = None
    watermark: float = -math.inf

    @property
    def ended(self) -> bool:
        """Everything was read and the ledger holds it: nothing will ever follow."""
        return bool(self.progress) and all(p.ended for p in self.progress.values()) and self.pending == 0

    @property
    def source_time(self) -> float | None:
        """Event time of the slowest partition read here that is not idle."""
        times = [p.time for p in self.progress.values() if not p.idle and not p.ended and math.isfinite(p.time)]
        return min(times, default=None)

    def reading(self, queued: int | None = None, lag: int | None = None) -> WorkerReading:
        """The same as metrics; queue length and lag are the source's to know."""
        return WorkerReading(
            prompts=self.prompts,
            tokens=self.tokens,
            truncated=self.truncated,
            rejected=self.rejected,
            stages=self.stages,
            repeats=self.repeats,
            rewinds=self.rewinds,
            pending=self.pending,
            queued=queued,
            lag=lag,
            source_time=self.source_time,
            source_up=self.source_up,
            last_flush=self.last_flush,
        )
