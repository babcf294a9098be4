"""What the history takes and gives, beside the records of :mod:`service.records`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from detectors.sketch import Sketch
from service.records import AuditEntry, BaselineEntry, DeltaKey, Incident, Verdict


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One closed window of one bundle, model and slice: a sketch with its key.

    ``lengths`` and ``languages`` are None for windows written before they were kept.
    """

    bundle: str
    model_name: str
    slice: str
    window_start: int
    n: int
    strange: int
    far: int
    truncated: int
    tokens: int
    characters: int
    histogram: Sequence[int]
    topics: Sequence[int]
    lengths: Sequence[int] | None = None
    languages: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One strange prompt kept for labelling; ``text`` is redacted, ``time`` is event time, ``stored`` when it was kept (both seconds).

    ``topic``: index of the nearest reference topic, -1 for none of them; None for texts kept before topics were.
    """

    model_name: str
    digest: str
    bundle: str
    slice: str
    time: float
    stored: float
    p_value: float
    far: bool
    text: str
    topic: int | None = None


class Step(Protocol):
    """One step of the decider, as far as the history keeps it."""

    @property
    def sketches(self) -> Mapping[DeltaKey, Sketch]:
        """Sums of the closed window."""
        ...

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """One per stream."""
        ...

    @property
    def incidents(self) -> Sequence[Incident]:
        """Those that changed, as they are now."""
        ...

    @property
    def baselines(self) -> Sequence[BaselineEntry]:
        """Accepted in this step."""
        ...

    @property
    def audit(self) -> Sequence[AuditEntry]:
        """Commands of this step."""
        ...
