"""Durations in buckets, as a histogram exports them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper edges of ``tiltmeter_batch_seconds``, in seconds."""

ANSWER_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Upper edges for answers of language models, in seconds: those of OpenTelemetry's gen_ai.client.operation.duration."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations: ``counts`` per bucket of ``edges``, plus one for what is longer (not cumulative); and their sum."""

    counts: Sequence[int] = (0,) * (len(BUCKETS) + 1)
    seconds: float = 0.0
    edges: Sequence[float] = BUCKETS

    def add(self, seconds: float) -> "Timing":
        """One more duration."""
        counts = list(self.counts)
        counts[bisect_left(self.edges, seconds)] += 1
        return Timing(tuple(counts), self.seconds + seconds, self.edges)


OF_ANSWERS = Timing((0,) * (len(ANSWER_BUCKETS) + 1), edges=ANSWER_BUCKETS)
"""No answer yet."""
