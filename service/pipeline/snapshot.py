"""What the pipeline has done, as one immutable value between the pipeline's thread and whoever asks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.metrics import WorkerCounts
from service.records import Partition, Progress


@dataclass(frozen=True, slots=True)
class PipelineSnapshot(WorkerCounts):
    """Counts as of the last batch or flush, and how far the input was read.

    Attributes:
        progress: how far each partition read here has got; paused: those held back because they are too far ahead.
        ledger_up: whether the last flush succeeded.
        watermark: event time up to which the decider has closed windows, as last seen here.
    """

    progress: Mapping[Partition, Progress] = field(default_factory=dict)
    paused: frozenset[Partition] = frozenset()
    ledger_up: bool = True
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
