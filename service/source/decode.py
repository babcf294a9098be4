"""One decode step for every source: bytes or a row become a :class:`Prompt`, or a reason why not."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import translate
from typing import Any, Protocol

from service.config import Fields, Model
from service.records import WHOLE, Prompt
from service.source.text import MISSING, as_text, bodies, find_session, find_text, pointer

MAX_BYTES = 8 * 1024 * 1024
"""Longer records are not parsed: no prompt is that long, and parsing takes many times the memory."""

OTHER = "other"
"""Slice of every value that is not configured."""

_NAMES_KEPT = 10_000


class Reason(StrEnum):
    """Why a record is not a prompt; label of the rejection counter."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_GZIP = "not_gzip"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    NO_TEXT = "no_text"
    EMPTY_TEXT = "empty_text"
    UNKNOWN_MODEL = "unknown_model"
    BAD_TIME = "bad_time"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that is not a prompt. ``detail`` names the field, never its content."""

    reason: Reason
    detail: str


_NO_TEXT = "expected 'text', 'prompt' or a user turn in 'messages'"


class Canaries(Protocol):
    """Recognises our own probes among the records."""

    def tagged(self, record: bytes | Mapping[str, Any], at: float | None) -> bool:
        """Whether the record carries a valid tag; ``at`` is its transport's time."""

    def asked(self, text: str, at: float | None) -> bool:
        """Whether this is the text of a probe whose target loses tags."""


class Decoder:
    """Turns records into prompts. Not shared between threads.

    Args:
        fields: where a record keeps what we read.
        models: stable name -> model; its ``wire_names`` are what may stand in the record.
        max_skew: seconds by which a record's own time may differ from the transport's and still be believed.
        canaries: our own probes, which are rejected so that they count in no statistics; None where there are none.

    Attributes:
        reads_time: whether the mapping names a time field.
        replaced_times: records whose own time was unreadable or too far off, so that the transport's was used.

    Cost: about 3 microseconds for a small record beyond ``json.loads`` (benchmarks/decode.py).
    """

    def __init__(self, fields: Fields, models: Mapping[str, Model], max_skew: float, canaries: Canaries | None = None) -> None:
        self.replaced_times = 0
        self._canaries = canaries
        self.reads_time = fields.time is not None
        self._max_skew = max_skew
        self._text = pointer(fields.text) if fields.text else None
        self._text_name = fields.text
        self._time = pointer(fields.time) if fields.time else None
        self._time_name = fields.time
        self._model_name_at = fields.model
        self._model = pointer(fields.model) if fields.model else None
        self._id = pointer(fields.id) if fields.id else None
        self._slice = pointer(fields.slice) if fields.slice else None
        self._session = pointer(fields.session) if fields.session else find_session
        self._only = next(iter(models)) if len(models) == 1 else None
        self._slices = {name: frozenset(model.slices.values) for name, model in models.items() if model.slices.values}
        self._names: dict[str, str | None] = {}
        patterns: list[tuple[str, str]] = []
        for name, model in models.items():
            for wire in (name, *model.wire_names):
                if "*" in wire:
                    patterns.append((wire, name))
                else:
                    self._names[wire] = name
        # The longest pattern is the most specific one.
        patterns.sort(key=lambda pair: -len(pair[0]))
        self._patterns = [(re.compile(translate(wire.replace("[", "[[]").replace("?", "[?]"))), name) for wire, name in patterns]

    def decode(self, raw: object, transport_time: float | None, default_id: str) -> Prompt | Rejection:
        """A prompt, or the reason why this record is none.

        Args:
            raw: JSON bytes, or a row already parsed (a dict, or it is rejected).
            transport_time: when the transport got it, seconds since the epoch; None where only the record knows.
            default_id: identity of a record that carries none.
        """
        record = _parse(raw) if isinstance(raw, bytes) else raw
        if not isinstance(record, dict):
            return record if isinstance(record, Rejection) else _not_an_object(record)
        if self._canaries is not None and self._canaries.tagged(raw if isinstance(raw, bytes) else record, transport_time):
            return Rejection(Reason.CANARY, "a signed tag of ours")
        text = self._find_text(record)
        if text is None:
            return Rejection(Reason.NO_TEXT, f"nothing readable at '{self._text_name}'" if self._text_name else _NO_TEXT)
        if not text or text.isspace():
            return Rejection(Reason.EMPTY_TEXT, self._text_name or "text")
        if self._canaries is not None and self._canaries.asked(text, transport_time):
            return Rejection(Reason.CANARY, "the text of a probe")
        name = self._model_name(record)
        if name is None:
            return Rejection(Reason.UNKNOWN_MODEL, f"'{self._model_name_at}' is missing or is no configured name")
        time = transport_time if self._time is None else self._event_time(self._time(record), transport_time)
        if time is None:
            return Rejection(Reason.BAD_TIME, f"no time at '{self._time_name}'" if self._time_name else "no time")
        identity = default_id
        if self._id is not None:
            found = self._id(record)
            if isinstance(found, str | int) and found != "":
                identity = _encodable(str(found))
        slice_ = WHOLE if self._slice is None else self._slice_of(record, name)
        session = self._session(record)
        if type(session) is not str:
            session = str(session) if type(session) is int else ""
        return Prompt(identity, _encodable(text), time, name, slice_, session)

    def _find_text(self, record: Mapping[str, Any]) -> str | None:
        if self._text is not None:
            return as_text(self._text(record))
        text = find_text(record)
        return text if text is not None else next((text for body in bodies(record) if (text := find_text(body)) is not None), None)

    def _model_name(self, record: Mapping[str, Any]) -> str | None:
        wire = MISSING if self._model is None else self._model(record)
        if wire is MISSING and self._model_name_at == "model":
            wire = next((body["model"] for body in bodies(record) if "model" in body), MISSING)
        if wire is MISSING or wire is None:
            return self._only
        if not isinstance(wire, str):
            return None
        try:
            return self._names[wire]
        except KeyError:
            name = next((name for pattern, name in self._patterns if pattern.match(wire)), None)
            # What a client writes is without bound; what we remember is not.
            if len(self._names) < _NAMES_KEPT:
                self._names[wire] = name
            return name

    def _event_time(self, value: Any, transport_time: float | None) -> float | None:
        own = parse_time(value)
        if transport_time is None:
            return own
        if own is not None and abs(own - transport_time) <= self._max_skew:
            return own
        if value is not MISSING:
            self.replaced_times += 1
        return transport_time

    def _slice_of(self, record: Mapping[str, Any], model_name: str) -> str:
        known = self._slices.get(model_name)
        if known is None or self._slice is None:
            return WHOLE
        value = self._slice(record)
        value = value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool | int | float) else OTHER
        return value if value in known else OTHER


def _parse(raw: bytes) -> Mapping[str, Any] | Rejection:
    if len(raw) > MAX_BYTES:
        return Rejection(Reason.TOO_LARGE, f"{len(raw)} bytes, at most {MAX_BYTES} are read")
    try:
        record = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        return Rejection(Reason.NOT_UTF8, f"byte {error.start}")
    except RecursionError:
        return Rejection(Reason.TOO_DEEP, "nested too deeply")
    except ValueError as error:
        if raw.startswith(b"\xef\xbb\xbf"):
            return _parse(raw[3:])
        place = f"line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else "a number has too many digits"
        return Rejection(Reason.NOT_JSON, place)
    return record if isinstance(record, dict) else _not_an_object(record)


def _not_an_object(record: object) -> Rejection:
    return Rejection(Reason.NOT_AN_OBJECT, f"expected a JSON object, not {_JSON_NAMES.get(type(record), 'a number')}")


_JSON_NAMES: dict[type, str] = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def _encodable(text: str) -> str:
    """Text without lone surrogates, which JSON can carry (a backslash and ud800) and UTF-8 cannot."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def parse_time(value: Any) -> float | None:
    """Seconds since the epoch of ISO 8601 text (UTC unless it says otherwise) or of epoch seconds, milli-, micro- or nanoseconds.

    The unit of a number is told by its size: seconds up to the year 5138, then each unit a thousand times further.
    None for everything else.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _parse_iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    if not math.isfinite(seconds):
        return None
    for _ in range(3):
        if abs(seconds) < 1e11:
            break
        seconds /= 1000.0
    return seconds if abs(seconds) < 1e11 else None


def _parse_iso(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None
