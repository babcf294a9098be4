"""Finding the prompt in a decoded record: plain fields, chat messages, request logs, envelopes."""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

Getter = Callable[[Any], Any]

MISSING = object()
"""What a getter returns when the record has nothing there."""


def pointer(path: str) -> Getter:
    """Reader of a JSON pointer (``/request/body/model``, RFC 6901) or, without a leading slash, of a top-level name."""
    if not path.startswith("/"):
        return lambda record: record.get(path, MISSING)
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]

    def read(record: Any) -> Any:
        for step in steps:
            if isinstance(record, Mapping):
                record = record.get(step, MISSING)
            elif isinstance(record, list) and step.isdecimal() and int(step) < len(record):
                record = record[int(step)]
            else:
                return MISSING
        return record

    return read


def as_text(value: Any) -> str | None:
    """Text of a string, a chat (its last user turn) or a list of content parts; None when there is none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        return None
    if any(isinstance(item, dict) and "role" in item for item in value):
        return last_user_turn(value)
    return _parts(value)


def last_user_turn(messages: list[Any]) -> str | None:
    """Text of the last thing the user said. Turns that only return a tool's result are passed over."""
    for message in reversed(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "human"):
            continue
        content = message.get("content", message.get("parts"))
        if isinstance(content, str):
            return content
        if isinstance(content, list):
            if content and all(isinstance(part, dict) and "tool" in str(part.get("type", "")) for part in content):
                continue
            return _parts(content)
        return None
    return None


def _parts(parts: list[Any]) -> str | None:
    """Text parts joined by line breaks: OpenAI ``text`` and ``input_text``, Anthropic ``text``, OpenTelemetry ``content``."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            text = part.get("text", part.get("content") if part.get("type") == "text" else None)
            if isinstance(text, str):
                texts.append(text)
    return "\n".join(texts) if texts else None


def find_text(body: Mapping[str, Any]) -> str | None:
    """Text at ``text``, ``prompt``, the last user turn of ``messages``, or ``input`` (OpenAI Responses), whichever is first."""
    for name in ("text", "prompt", "messages", "input"):
        if name in body and (text := as_text(body[name])) is not None:
            return text
    return None


_SESSIONS = (
    "session_id",
    "session.id",
    "conversation_id",
    "gen_ai.conversation.id",
    "conversation",
    "thread_id",
    "user",
    "user_id",
    "user.id",
    "end_user",
    "safety_identifier",
)
_ENVELOPES = frozenset(("request", "body", "data", "attributes"))
_SESSION_OR_ENVELOPE = frozenset((*_SESSIONS, "metadata", *_ENVELOPES))

_NEAREST = 3
"""Bodies that are looked into: what a client nests in each other is without bound."""


def find_session(record: dict[str, Any]) -> Any:
    """Name of the conversation, else of the user: in the record, its metadata, or a body that it wraps; MISSING where there is none.

    OpenAI (``conversation``, ``safety_identifier``, ``user``, ``metadata``), LiteLLM (``session_id``, ``end_user``), OpenTelemetry
    (``gen_ai.conversation.id``, ``session.id``, ``user.id``).
    """
    if _SESSION_OR_ENVELOPE.isdisjoint(record):
        return MISSING
    if (found := _session_in(record)) is not MISSING or _ENVELOPES.isdisjoint(record):
        return found
    inside = (*islice(bodies(record), _NEAREST), record.get("attributes"))
    return next((found for body in inside if type(body) is dict and (found := _session_in(body)) is not MISSING), MISSING)


def _session_in(body: dict[str, Any]) -> Any:
    metadata = body.get("metadata")
    for part in (body, metadata) if type(metadata) is dict else (body,):
        for name in _SESSIONS:
            if name in part:
                found = part[name]
                if type(found) is dict:  # OpenAI Responses: {"conversation": {"id": ...}}
                    found = found.get("id")
                if found is not None and found != "":
                    return found
    return MISSING


def bodies(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The request bodies that an envelope may hold, nearest first; the record itself is not among them.

    OpenAI request logs and batch files (``request.body``, ``body``), CloudEvents (``data``), OpenTelemetry GenAI (``attributes``).
    """
    request = record.get("request")
    if isinstance(request, Mapping):
        body = _object(request.get("body"))
        if body is not None:
            yield body
        yield request
    for name in ("body", "data"):
        inner = _object(record.get(name))
        if inner is not None:
            yield inner
            yield from bodies(inner)
    attributes = record.get("attributes")
    if isinstance(attributes, Mapping) and any(str(name).startswith("gen_ai.") for name in attributes):
        yield _from_attributes(attributes)


def _object(value: Any) -> Mapping[str, Any] | None:
    """An object, also when it was logged as a JSON string."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def _from_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """OpenTelemetry GenAI span attributes as a request body."""
    messages = attributes.get("gen_ai.input.messages")
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except ValueError:
            messages = None
    body = {"messages": messages, "prompt": attributes.get("gen_ai.prompt")}
    model = attributes.get("gen_ai.request.model")
    return body if model is None else {**body, "model": model}
