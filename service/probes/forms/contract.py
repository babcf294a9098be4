"""What the client needs of a form of endpoint: how a call is written, how an answer is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from service.records.probes import Call, TokenLogprob, ToolCall


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint can do, found out by asking it; what it cannot is left out of the requests.

    Attributes:
        stream, logprobs, seed, usage, json_schema, tools: as named; ``usage``: it counts tokens, in a stream too.
        model: id sent with each request. models: those that it lists.
        user, salt: it takes the field that carries the tag; the one that parts caches (vLLM, SGLang).
        limit: name of the field that bounds an answer's tokens.
        reached: whether it answered at all; ``reason`` says why not, or what it answered instead.
    """

    stream: bool = True
    logprobs: bool = True
    seed: bool = True
    usage: bool = True
    json_schema: bool = True
    tools: bool = True
    model: str = ""
    models: tuple[str, ...] = ()
    user: bool = True
    salt: bool = False
    limit: str = "max_tokens"
    reached: bool = True
    reason: str = ""


@dataclass(slots=True)
class Answer:
    """What an answer says, gathered from one body or from the pieces of a stream.

    ``found``: there was an answer in it, perhaps an empty one. ``ended``: the endpoint said that it is complete. ``broken``: it reported
    an error of its own instead.
    """

    text: str = ""
    refusal: str | None = None
    finish: str = ""
    model: str | None = None
    fingerprint: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    found: bool = False
    ended: bool = False
    broken: bool = False


class Reader(Protocol):
    """Gathers one answer. ``take`` raises nothing, whatever the body holds."""

    grew: bool
    """Whether the last piece added something of the model's."""

    def take(self, body: Any) -> None:
        """A whole answer, or the next piece of a stream, as parsed JSON."""

    def answer(self) -> Answer:
        """All of it so far."""


class Form(Protocol):
    """One kind of endpoint."""

    path: str
    """Added to the base URL."""

    streams: bool

    def body(self, call: Call, can: Capabilities, tag: str) -> Any:
        """The request's JSON; ``tag`` goes where such a request has a place for it."""

    def reader(self) -> Reader:
        """For one answer."""


def usage(answer: Answer, body: Mapping[str, Any]) -> None:
    """Token counts of OpenAI's ``usage`` into the answer, where they are numbers."""
    found = body.get("usage")
    if not isinstance(found, Mapping):
        return
    sent, got = count(found.get("prompt_tokens")), count(found.get("completion_tokens"))
    answer.tokens_in = answer.tokens_in if sent is None else sent
    answer.tokens_out = answer.tokens_out if got is None else got
    details = found.get("prompt_tokens_details")
    if isinstance(details, Mapping):
        answer.tokens_cached = count(details.get("cached_tokens")) or 0


def identity(answer: Answer, body: Mapping[str, Any]) -> None:
    """What the endpoint says of itself into the answer."""
    answer.model = text(body.get("model")) or answer.model
    answer.fingerprint = text(body.get("system_fingerprint")) or answer.fingerprint


def count(value: Any) -> int | None:
    """A whole number that is not negative; None for everything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def number(value: Any) -> float | None:
    """A finite number; None for everything else."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if good else None


def text(value: Any) -> str:
    """Text as it is, else an empty one."""
    return value if isinstance(value, str) else ""


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; empty for everything else."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
