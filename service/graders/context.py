"""What a grader is given and what it gives back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.config.graders import GraderSpec
from service.graders.refusal import classify
from service.graders.text import visible
from service.records.probes import Call, Failure, Outcome, Reply

Ask = Callable[[Call], Awaitable[Reply]]
"""Asks a model; a failure is a reply with its ``error``."""

Similar = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to (n, d) unit vectors."""


class Asked(Protocol):
    """A request and what is needed to grade its answer; graders come with everything filled in."""

    @property
    def call(self) -> Call:
        """What was sent."""
        ...

    @property
    def expected(self) -> Any:
        """The right answer, None without one."""
        ...

    @property
    def graders(self) -> tuple[GraderSpec, ...]:
        """Who grades."""
        ...

    @property
    def grading(self) -> str:
        """How their grades become one: all, any or cascade."""
        ...


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that grades.

    Attributes:
        ask: asks it.
        id: of model and sampling; part of the grader's id.
        samples: times it is asked for each answer, an odd number.
    """

    ask: Ask
    id: str
    samples: int = 1


class Finding(NamedTuple):
    """A grade before it has its grader's id."""

    outcome: Outcome
    score: float | None = None
    failure: Failure | None = None
    votes: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Context:
    """One answer to be graded.

    Attributes:
        asked, reply: what was asked and what came.
        twin: answer to the unperturbed item, or of the first group; base: of the base model to the same item.
        judges: by name. similar: the bundle's encoder. allow_code: graders in Python may run.
    """

    asked: Asked
    reply: Reply
    twin: Reply | None = None
    base: Reply | None = None
    judges: Mapping[str, Judge] = field(default_factory=dict)
    similar: Similar | None = None
    allow_code: bool = False


def passed(score: float = 1.0, votes: Mapping[str, str] | None = None) -> Finding:
    """It is right."""
    return Finding("pass", score, None, votes or {})


def failed(failure: Failure, score: float = 0.0, votes: Mapping[str, str] | None = None) -> Finding:
    """It is wrong."""
    return Finding("fail", score, failure, votes or {})


def unscored(failure: Failure | None = None, votes: Mapping[str, str] | None = None) -> Finding:
    """Nobody can tell."""
    return Finding("unscored", None, failure, votes or {})


def says_nothing(reply: Reply) -> bool:
    """Whether there is nothing to be seen: no text, no call, and no word of the provider's."""
    return reply.refusal is None and reply.finish != "content_filter" and not reply.tool_calls and not visible(reply.text).strip()


def wrong(reply: Reply, failure: Failure) -> Finding:
    """Wrong, for the reason that stands behind it: nothing was said, it declined, it was cut off; else ``failure``."""
    verdict = classify(reply)
    if verdict.kind == "empty":
        return failed("empty")
    if verdict.kind == "refusal" and verdict.sure:
        return failed("refusal")
    return failed("truncated" if reply.finish == "length" else failure)
