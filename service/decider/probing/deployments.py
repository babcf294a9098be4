"""Deployments that were announced: a model that answers otherwise just after one was not swapped silently."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

ANNOUNCED = 86400.0
"""Seconds after an announcement in which fingerprints that changed are no news; what answers after them is the new reference."""

KEPT = 10
"""Of each model."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What somebody said is deployed; ``time``: seconds since the epoch."""

    model_name: str
    revision: str
    time: float
    actor: str
    reason: str = ""


class Deployments:
    """The newest of every model, oldest first."""

    def __init__(self) -> None:
        self.all: list[Deployment] = []

    def add(self, deployment: Deployment) -> None:
        """Remember one."""
        mine = [each for each in (*self.all, deployment) if each.model_name == deployment.model_name]
        others = [each for each in self.all if each.model_name != deployment.model_name]
        self.all = sorted((*others, *sorted(mine, key=lambda each: each.time)[-KEPT:]), key=lambda each: each.time)

    def announced(self, model: str, time: float) -> bool:
        """Whether one of this model was announced lately."""
        return any(each.model_name == model and 0 <= time - each.time <= ANNOUNCED for each in self.all)

    def to_json(self) -> list[dict[str, Any]]:
        """Everything needed to go on."""
        return [asdict(each) for each in self.all]

    def load(self, state: Sequence[dict[str, Any]]) -> None:
        """Inverse of :meth:`to_json`."""
        self.all = [Deployment(**values) for values in state]
