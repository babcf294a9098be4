"""What ``service.main`` hands to the web application; every call here may come from any thread."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from service.api.view import Status
from service.metrics import Reading
from service.records import Advice, AuditEntry, Command, Incident, Verdict
from service.source.http import Counted
from service.store import Example, ProbeHistory, WindowRow


class Ingest(Protocol):
    """Takes posts in; implemented by service.source.http.HttpSource."""

    def offer(self, records: Sequence[object], key: str | None = None) -> Future[Counted]:
        """Take one post. Raises BadRecord, Full, TooMany or Closed."""
        ...


UNADVISED = Advice(None, "nothing in this process decides")


@dataclass(frozen=True, slots=True)
class Answer:
    """Score of one prompt: ``POST /v1/score``. ``topic``: words of the nearest reference topic, empty for none of them.

    ``advice``: about the model that was asked, whatever this prompt is.
    """

    model_name: str
    bundle: str
    score: float
    p_value: float
    strange: bool
    far: bool
    topic: tuple[str, ...]
    tokens: int
    truncated: bool
    advice: Advice = UNADVISED


class UnscorableError(Exception):
    """A record that carries no prompt of a known model; the message names the field, never its content."""


Scorer = Callable[[Mapping[str, Any]], Answer]
"""Scores one record now. Raises UnscorableError."""


class Queries(Protocol):
    """The history for people; implemented by service.store.Store. May raise any error of its database."""

    def verdicts(
        self, model: str | None, stream: str | None, since: float | None, limit: int, slice: str | None = None
    ) -> Sequence[Verdict]:
        """The newest verdicts, oldest first. ``slice=""`` is the model as a whole, None every slice."""
        ...

    def windows(self, model: str | None, slice: str | None, since: float | None, limit: int) -> Sequence[WindowRow]:
        """The newest closed windows, oldest first."""
        ...

    def incidents(
        self, open_only: bool, model: str | None, limit: int, stream: str | None = None, slice: str | None = None
    ) -> Sequence[Incident]:
        """Incidents, newest first."""
        ...

    def audit(self, limit: int) -> Sequence[AuditEntry]:
        """Commands and what became of them, newest first."""
        ...

    def incident(self, id: str) -> Incident | None:
        """One incident by id."""
        ...

    @property
    def probes(self) -> ProbeHistory:
        """What the canaries answered."""
        ...

    def examples(
        self,
        model: str,
        since: float,
        until: float,
        stored_after: float,
        limit: int,
        *,
        slice: str | None = None,
        topics: Sequence[int] | None = None,
    ) -> Sequence[Example]:
        """Redacted texts of strange prompts, the strangest first; of one slice and of these topics where they are given."""
        ...


@dataclass(frozen=True, slots=True)
class AppState:
    """The seams of the web application.

    Attributes:
        status: everything on the page; read: everything in /metrics.
        alive: part -> whether it lives; ready: part -> what is wrong with it, None when nothing is.
        submit: hand a command to the ledger.
        queries: the history; None where this process has none, or not yet.
        ingest: where posts go; None unless the source is http, and before it is open. source: its kind.
        refused: told the reason when a post is turned away for a record that is no prompt; from one thread.
        score: None where this process does not score.
        token: bearer token for everything that writes; open_writes: take writes without one (the demonstration).
        keep_text: seconds that redacted texts are kept; None where storing text is switched off.
        show_examples: whether the texts behind an incident are shown, to who has the token.
        probes: what is asked and what came of it, as plain values; None where nothing is asked by this process.
        gates: every gate as plain values, or why this process cannot say.
        ask_now: asks the suites of a target and a name (None: all); ids of the rounds, None where this is not the active decider.
        patience: seconds a post waits to be counted before it is told to ask again.
    """

    status: Callable[[], Status]
    read: Callable[[], Reading]
    alive: Callable[[], Mapping[str, bool]]
    ready: Callable[[], Mapping[str, str | None]]
    submit: Callable[[Command], None]
    queries: Callable[[], Queries | None] = lambda: None
    ingest: Callable[[], Ingest | None] = lambda: None
    source: str = "http"
    refused: Callable[[str], None] = lambda reason: None
    score: Scorer | None = None
    token: str | None = None
    open_writes: bool = False
    max_body_bytes: int = 8_000_000
    keep_text: float | None = None
    show_examples: bool = False
    probes: Callable[[], Mapping[str, Any] | None] = lambda: None
    gates: Callable[[], Sequence[Mapping[str, Any]] | str] = lambda: UNADVISED.reason
    ask_now: Callable[[str | None, str | None], Sequence[str] | None] = lambda target, suite: None
    patience: float = 60.0
    clock: Callable[[], float] = time.time


def as_json(record: Any) -> dict[str, Any]:
    """A frozen record as plain values; times stay seconds since the epoch, and what is not finite (a level never reached) is null."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in asdict(record).items()}
