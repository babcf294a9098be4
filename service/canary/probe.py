"""What the runner works with: a suite at a target, the questions of a round, and whom they are put to."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.canary.schedule import Schedule
from service.canary.turnstile import Priority, Turnstile
from service.records.probes import ATTACKS, Call, Grade, Kind, ProbeResult, Reply, Role

OTHERS_EVERY = 4
"""Every so many rounds a fallback or previous release takes the place of the base model."""


class Asked(Protocol):
    """One rendered item; implemented by service.probes.render.Asked."""

    @property
    def item(self) -> str:
        """Id of the item."""
        ...

    @property
    def variant(self) -> str:
        """Name of the perturbation; empty for the item as it is."""
        ...

    @property
    def group(self) -> str:
        """Name of the group that was swapped in; empty without groups."""
        ...

    @property
    def repeat(self) -> int:
        """From 0."""
        ...

    @property
    def category(self) -> str:
        """Category that it counts for."""
        ...

    @property
    def call(self) -> Call:
        """What is sent."""
        ...


class Grading(Protocol):
    """Grades one answer; made by service.graders."""

    async def __call__(self, asked: Any, reply: Reply, twin: Reply | None = None, base: Reply | None = None) -> Grade:
        """Judge ``reply``; ``twin``: the answer to the same item unperturbed, ``base``: of the model beside it."""
        ...


Question = tuple[str, str, str, int]
"""Tells a question from the others of its round: item, variant, group, repeat."""


def question(of: Asked | ProbeResult) -> Question:
    """Of what is asked, or of a recorded answer."""
    return of.item, of.variant, of.group, of.repeat


@dataclass(frozen=True, slots=True)
class Side:
    """One endpoint that a round asks.

    Attributes:
        target: its name; role: what it is to the model.
        ask: sends a call of a round (named by its id) and never raises for what the endpoint does.
        turnstile: whose turn it is there.
        model: id that it is asked for, as far as known.
        room: whether the day's budget has room for so many requests.
        can: whether the endpoint can do something (``tools``), as far as known.
        settings: what else of the target is part of a baseline key: digests of the system prompt and of the sampling.
    """

    target: str
    role: Role
    ask: Callable[[Call, str], Awaitable[Reply]]
    turnstile: Turnstile
    model: Callable[[], str] = lambda: ""
    room: Callable[[int], bool] = lambda calls: True
    can: Callable[[str], bool] = lambda capability: True
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """One suite asked at one target on a schedule.

    Attributes:
        suite: ``<pack>/<suite>``.
        live: the target; beside: endpoints that are asked the same in the same round, one of them in each (see :meth:`other`).
        pack: digest of all in the pack that a record depends on; graders: ids of who grades.
        questions: of a round's id: always the same for the same one.
        size: questions of a round at most. sensitive: texts of answers are never kept.
        blocked: why it may not be asked at all; None where it may. needs: capabilities without which it proves nothing.
    """

    model_name: str
    suite: str
    pack: str
    kind: Kind
    schedule: Schedule
    live: Side
    graders: str
    grade: Grading
    questions: Callable[[str], Sequence[Asked]]
    size: int
    beside: tuple[Side, ...] = ()
    sensitive: bool = True
    blocked: str | None = None
    needs: tuple[str, ...] = ()

    def why_not(self) -> str | None:
        """Why it is not asked now; None where it is."""
        missing = next((name for name in self.needs if not self.live.can(name)), None)
        return self.blocked or (f"{self.live.target}: the endpoint takes no {missing}" if missing else None)

    @property
    def rank(self) -> int:
        """Golden suites first, then those of safety, then the rest."""
        return 0 if self.kind == "golden" else 1 if self.kind in ATTACKS else 2

    @property
    def name(self) -> str:
        """``<model>/<target>/<suite>``."""
        return f"{self.model_name}/{self.live.target}/{self.suite}"

    def other(self, number: int) -> Side | None:
        """Who is asked beside the live model in the slot of this number: the first of ``beside``, every fourth time one of the rest."""
        first, rest = self.beside[:1], self.beside[1:]
        if rest and number % OTHERS_EVERY == OTHERS_EVERY - 1:
            return rest[number // OTHERS_EVERY % len(rest)]
        return first[0] if first else None

    def priority(self, scheduled: float) -> Priority:
        """Of its questions at a turnstile."""
        return self.rank, scheduled

    def round_id(self, side: Side, scheduled: float, manual: bool = False) -> str:
        """Natural, so that a round told twice counts once."""
        return f"{self.model_name}/{side.target}/{self.suite}/{'now-' if manual else ''}{scheduled:.0f}"

    def key(self, side: Side, reported: str | None) -> str:
        """Baseline key: what must be the same for two rounds to be compared as one record.

        The model that a fingerprint suite asks is what it is to find out, so there it is the one asked for.
        """
        model = side.model() if self.kind == "fingerprint" else reported or side.model()
        parts = {"model": model, "pack": self.pack, "suite": self.suite, "graders": self.graders, **side.settings}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
