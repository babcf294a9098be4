"""What Tiltmeter needs of a request in OpenAI's form: to copy beside tiltmeter_sender.py; standard library only."""

import time
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

_SESSIONS = ("session_id", "conversation_id", "conversation", "thread_id", "user", "user_id", "end_user", "safety_identifier")


def prompt_record(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Record | None:
    """Of a request in OpenAI's form what Tiltmeter needs and nothing else; None where nobody asks anything.

    That is the last thing the user said, the model, what names the conversation, and the tag of Tiltmeter's own probes, by which they
    are left out again. System prompts, earlier turns and tools stay here.
    """
    text = _asked(body)
    if not text or text.isspace():
        return None
    record: dict[str, Any] = {"text": text, "time": time.time()}
    for part in (body, body.get("metadata")):
        if isinstance(part, Mapping) and record.keys().isdisjoint(_SESSIONS):
            record |= {name: part[name] for name in _SESSIONS if part.get(name)}
    if isinstance(body.get("model"), str):
        record["model"] = body["model"]
    for name, value in (headers or {}).items():
        if name.lower() == "x-tiltmeter-canary":
            record["canary"] = value
        elif name.lower() == "x-request-id":
            record["id"] = value
    return record


def _asked(body: Mapping[str, Any]) -> str | None:
    """As the service itself looks for it in a whole request."""
    for name in ("text", "prompt", "messages", "input"):
        value = body.get(name)
        text = _last_turn(value) if isinstance(value, list) and _is_chat(value) else _text(value)
        if text is not None:
            return text
    return None


def _is_chat(items: list[Any]) -> bool:
    return any(isinstance(item, Mapping) and "role" in item for item in items)


def _last_turn(turns: list[Any]) -> str | None:
    for turn in reversed(turns):
        if isinstance(turn, Mapping) and turn.get("role") in ("user", "human"):
            content = turn.get("content", turn.get("parts"))
            returned = isinstance(content, list) and content and all("tool" in str(_kind(part)) for part in content)
            if not returned:
                return _text(content)
    return None


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, Mapping) else None


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    found = [part if isinstance(part, str) else _of_part(part) for part in parts]
    texts = [text for text in found if isinstance(text, str)]
    return "\n".join(texts) if texts else None


def _of_part(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return None
    return part.get("text", part.get("content") if part.get("type") == "text" else None)
