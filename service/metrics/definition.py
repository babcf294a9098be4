"""What one metric is, and one sample of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Sample = tuple[Sequence[str], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as documented in docs/metrics.md. ``name`` is what Prometheus stores (histograms add _bucket, _sum and _count)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
