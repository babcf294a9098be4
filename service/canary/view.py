"""What others see of the runner."""

from dataclasses import dataclass
from typing import NamedTuple

from service.records.probes import Kind, Round


class Running(NamedTuple):
    """A round under way: items done, of all."""

    id: str
    done: int
    all: int


@dataclass(frozen=True, slots=True)
class SuiteView:
    """One suite at one target. Times in seconds since the epoch.

    ``interval``: seconds between rounds. ``size``: questions of a round. ``next``: when it is asked next; None while its window is closed
    for long, or where it is ``blocked``. ``last``: the round that ended last.
    """

    model_name: str
    target: str
    suite: str
    kind: Kind
    interval: float
    size: int
    beside: tuple[str, ...]
    next: float | None
    running: Running | None
    last: Round | None
    blocked: str | None
