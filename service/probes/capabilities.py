"""What an endpoint can do: asked once at the start, so that it is never sent what it refuses."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from service.probes.exchange import Attempt
from service.probes.forms import Capabilities
from service.records.probes import Call, Message

SALTED = frozenset(("vllm", "sglang"))
"""Who lists its models as owned by these takes ``cache_salt``."""

_HELLO = (Message("user", "Say: ok"),)
_ANSWER = 16
"""Tokens of each trial; some hosted models refuse less."""

_TOOL = {
    "name": "add",
    "description": "Adds two numbers.",
    "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
}
_SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}

_FIELDS = {
    "stream_options": "usage",
    "include_usage": "usage",
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
    "seed": "seed",
    "user": "user",
    "cache_salt": "salt",
    "stream": "stream",
}
"""Field of a request -> capability that it needs."""

_ORDER = ("usage", "logprobs", "user", "seed", "salt", "stream")
"""What is left out first where an endpoint does not say what it minds."""

_HOPELESS = frozenset(("connect", "timeout_connect", "budget", "rate_limited"))

Send = Callable[[Call, Capabilities], Awaitable[Attempt]]


async def find_out(send: Send, start: Capabilities, chat: bool) -> Capabilities:
    """Ask three questions or a few more, each of at most 16 tokens.

    Args:
        send: asks once, by the rate and the budget of the target.
        start: what is tried first, model and models filled in.
        chat: whether tools and schemas have a place in such requests.
    """
    can = start
    call = Call(_HELLO, max_tokens=_ANSWER, sampling={"seed": 1}, logprobs=2)
    attempt = await send(call, can)
    for _ in range(len(_ORDER) + 1):
        lesser = _step_down(can, attempt)
        if attempt.error is None or attempt.error in _HOPELESS or lesser == can:
            break
        can = lesser
        attempt = await send(call, can)
    if attempt.error is not None:
        why = attempt.error if attempt.status is None else f"{attempt.error}, status {attempt.status}"
        return replace(start, reached=False, reason=why)
    answer = attempt.answer
    can = replace(
        can,
        stream=can.stream and attempt.streamed,
        usage=can.usage and answer.tokens_out is not None,
        logprobs=can.logprobs and bool(answer.logprobs),
    )
    if not chat:
        return replace(can, tools=False, json_schema=False)
    tools = await send(Call(_HELLO, max_tokens=_ANSWER, tools=(_TOOL,)), can)
    schema = await send(Call((Message("user", "Is water wet? Answer in JSON."),), max_tokens=2 * _ANSWER, schema=_SCHEMA), can)
    return replace(can, tools=tools.error is None, json_schema=schema.error is None and _is_object(schema.answer.text))


def _step_down(can: Capabilities, attempt: Attempt) -> Capabilities:
    """Without what the endpoint names; else without the stream where the stream broke; else without the next in order."""
    if "max_completion_tokens" in attempt.problem and can.limit == "max_tokens":
        return replace(can, limit="max_completion_tokens")
    for name in re.findall(r"['\"`]([a-z_]+)['\"`]", attempt.problem):
        if name in _FIELDS and getattr(can, _FIELDS[name]):
            return _without(can, _FIELDS[name])
    if attempt.error != "client" and can.stream:
        return _without(can, "stream")
    named = next((name for name in _ORDER if getattr(can, name)), None)
    return can if named is None else _without(can, named)


def _without(can: Capabilities, capability: str) -> Capabilities:
    changes: dict[str, Any] = {capability: False}
    return replace(can, **changes)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
