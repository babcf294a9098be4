"""Deployments that were announced: a model that answers otherwise just after one was not swapped silently."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

ANNOUNCED = 86400.0
"""Seconds after an announcement in which fingerprints that changed are no news."""

KEPT = 50


@dataclass(frozen=True, slots=True)
class Deployment:
    """What somebody said is deployed; ``time``: seconds since the epoch."""

    model_name: str
    revision: str
    time: float
    actor: str
    reason: str = ""


class Deployments:
    """The newest of all models."""

    def __init__(self) -> None:
        self.all: list[Deployment] = []

    def add(self, deployment: Deployment) -> None:
        """Remember one."""
        self.all = [*self.all, deployment][-KEPT:]

    def announced(self, model: str, time: float) -> bool:
        """Whether one of this model was announced lately."""
        return any(each.model_name == model and 0 <= time - each.time <= ANNOUNCED for each in self.all)

    def to_json(self) -> list[dict[str, Any]]:
        """Everything needed to go on."""
        return [asdict(each) for each in self.all]

    def load(self, state: Sequence[dict[str, Any]]) -> None:
        """Inverse of :meth:`to_json`."""
        self.all = [Deployment(**values) for values in state]
