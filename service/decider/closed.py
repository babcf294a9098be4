"""What the decider hands over after each step: rows for the history, in natural keys, so that writing them twice changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from detectors.sketch import Sketch
from service.records import AuditEntry, BaselineEntry, DeltaKey, Incident, Verdict


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
    baselines: tuple[BaselineEntry, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
