"""What the history takes and gives. ``Verdict`` and ``Incident`` are those of :mod:`service.records`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from detectors.sketch import Sketch
from service.records import DeltaKey, Incident, Verdict


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One closed window of one bundle, model and slice: a sketch with its key."""

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


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """One flag of a baseline somebody accepted; times in seconds since the epoch."""

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


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command, who gave it, and what became of it."""

    id: str
    time: float
    actor: str
    kind: str
    arguments: Mapping[str, Any]
    outcome: str


class Step(Protocol):
    """One step of the decider, as far as the history keeps it. Baselines and audit are dataclasses with the fields of the entries above."""

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
    def baselines(self) -> Sequence[Any]:
        """Accepted in this step."""
        ...

    @property
    def audit(self) -> Sequence[Any]:
        """Commands of this step."""
        ...
