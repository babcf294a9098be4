"""What the decider hands over after each step: rows for the history, in natural keys, so that writing them twice changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detectors.sketch import Sketch
from service.records import DeltaKey, Incident, Verdict


@dataclass(frozen=True, slots=True)
class Audit:
    """One command and what became of it. Natural key: ``id``."""

    id: str
    time: float
    actor: str
    kind: str
    arguments: Mapping[str, Any]
    outcome: str


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One flag of a baseline that was accepted. Natural key: model, flag, time of acceptance."""

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
class Closed:
    """One step of the log: a closed window, or a command (``window`` is None).

    Attributes:
        window: start of the closed window, seconds since the epoch.
        sketches: its sums, of every bundle, model and slice.
        verdicts: one per stream of every model that had prompts.
        incidents: those that opened, changed or closed in this step, as they are now.
    """

    window: int | None
    sketches: Mapping[DeltaKey, Sketch]
    verdicts: tuple[Verdict, ...] = ()
    incidents: tuple[Incident, ...] = ()
    baselines: tuple[BaselineRow, ...] = ()
    audit: tuple[Audit, ...] = ()
