"""What the page shows of canary probes: plain immutable values that ``service.main`` fills from the snapshots of decider and runner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from service.api.stream_view import History, Tested

WORST = ("page", "ticket", "blind", "insufficient", "learning", "ok")
"""States, the one that is told first at the front."""


class Answers(NamedTuple):
    """``bad`` of ``n`` answers that one model (``revision``, as reported) gave since ``since``."""

    n: int
    bad: int
    since: float
    revision: str = ""


@dataclass(frozen=True, slots=True)
class ProbeCard(Tested):
    """One stream of probes now.

    Attributes:
        stream: ``probe``, ``probe_paired``, ``probe_errors``, ``probe_unscored`` or ``probe_judge``.
        category: empty where all of the suite's are counted together; slice: as in incidents.
        n, bad: answers over the period, or since the change of an open incident began; ``share`` None without any.
        counted: what the share is a share of; attack: it is an attack success rate.
        null: share held against, minimum effect included; None while nothing is known.
        base: share of bad answers of the base model in the same rounds; None where it was not asked.
        record: in force; trial: what answers now, if that is another model.
        why: what keeps it from paging.
        history: its rounds, filled while an incident is open.
    """

    stream: str
    category: str
    state: str
    n: int = 0
    bad: int = 0
    share: float | None = None
    low: float | None = None
    high: float | None = None
    counted: str = "wrong"
    attack: bool = False
    null: float | None = None
    base: float | None = None
    record: Answers | None = None
    trial: Answers | None = None
    why: str | None = None
    slice: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    history: History = field(default_factory=History.empty)

    @property
    def normal(self) -> float:
        """Share of the record; without one what is held against."""
        return self.record.bad / self.record.n if self.record and self.record.n else self.null or 0.0

    @property
    def trouble(self) -> tuple[int, bool, float]:
        """How bad it is: state; bad answers before what is beside them; evidence."""
        return -WORST.index(self.state) if self.state in WORST else -len(WORST), self.stream == "probe", self.nearness


class Gap(NamedTuple):
    """Difference of the bad shares of two groups with 95% interval, and who they are."""

    gap: float
    low: float
    high: float
    worse: str
    better: str


@dataclass(frozen=True, slots=True)
class SuiteCard:
    """One suite at one target now; of the runner: ``next``, ``running``, ``blocked``, which are None in a process that does not ask.

    Attributes:
        last: end of the newest round; complete: whether it could be judged, else ``reason``.
        rounds, incomplete: judged and other rounds so far.
        next: when it is asked next; running: questions done, of all; blocked: why it is not asked at all.
        blind: why its answers cannot be seen now; empty where they can.
        beside: role of another model -> items only this one got wrong, and only the other.
    """

    target: str
    suite: str
    kind: str
    streams: Sequence[ProbeCard] = ()
    interval: float | None = None
    last: float | None = None
    complete: bool = True
    reason: str = ""
    rounds: int = 0
    incomplete: int = 0
    next: float | None = None
    running: tuple[int, int] | None = None
    blocked: str | None = None
    blind: str = ""
    gap: Gap | None = None
    beside: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The worst of its streams; ``blocked`` where it is not asked."""
        if not self.streams:
            return "blocked" if self.blocked else "insufficient"
        worst = min((stream.state for stream in self.streams), key=lambda state: WORST.index(state) if state in WORST else len(WORST))
        if worst in ("page", "ticket"):
            return worst
        return "blind" if self.blind else worst

    @property
    def lead(self) -> ProbeCard | None:
        """The stream to speak of first: of those with an answer, where there are any."""
        known = [stream for stream in self.streams if stream.share is not None] or self.streams
        return max(known, key=lambda stream: stream.trouble, default=None)


class Left(NamedTuple):
    """What a day has spent, and its limit; None is no limit."""

    spent: float
    limit: float | None


@dataclass(frozen=True, slots=True)
class EndpointCard:
    """A target or judge of a model: ``role`` of a judge is ``judge``. ``answers``: whether it did when last tried; ``paused``: seconds."""

    name: str
    role: str
    model: str
    answers: bool
    paused: float
    calls: Left
    tokens: Left
    money: Left


@dataclass(frozen=True, slots=True)
class GateCard:
    """One gate now: pass, fail or inconclusive, and its first reason."""

    name: str
    stage: str
    verdict: str
    reason: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class ProbesCard:
    """Everything that is probed of one model; ``period``: seconds that shares are of."""

    suites: Sequence[SuiteCard]
    endpoints: Sequence[EndpointCard] = ()
    gates: Sequence[GateCard] = ()
    period: float = 86_400.0

    @property
    def streams(self) -> Sequence[ProbeCard]:
        """Of all suites."""
        return [stream for suite in self.suites for stream in suite.streams]

    @property
    def blind(self) -> Sequence[SuiteCard]:
        """Suites whose answers cannot be seen."""
        return [suite for suite in self.suites if suite.blind]
