"""One structured line per event on standard error: JSON for machines, short and coloured on a terminal.

An event is a lower-case sentence without data in it, and its data are fields::

    log.info("window closed late", extra=fields(model_name="support-bot", windows=3))

Fields are numbers, names and reasons. Prompt text is never a field; what a library logs below WARNING is not shown.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

Form = Literal["auto", "json", "human"]

_NOISY = ("kafka.net.selector", "kafka.coordinator.assignors")
"""Libraries whose warnings are about a busy machine or a topic that is just being made, and need nobody."""

_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def fields(**values: Any) -> dict[str, Mapping[str, Any]]:
    """The data of one event, for ``extra=`` of a logging call."""
    return {"fields": values}


def setup(form: Form = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every event of this process to ``stream`` (standard error). Calling it again replaces the earlier choice."""
    stream = stream or sys.stderr
    human = form == "human" or (form == "auto" and stream.isatty())
    sink = logging.StreamHandler(stream)
    sink.setFormatter(HumanFormatter(colour=stream.isatty()) if human else JsonFormatter())
    logging.root.handlers[:] = [sink]
    logging.root.setLevel(logging.WARNING)
    for name in ("service", "detectors", "tiltmeter"):
        logging.getLogger(name).setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


_QUOTABLE = ("kafka", "onnxruntime", "psycopg", "requests", "service", "sqlalchemy", "sqlite3", "uvicorn")


def describe(error: BaseException) -> str:
    """Class, message where it cannot quote a prompt (ours, the system's, those of databases and brokers), and the line it came from.

    A ``KeyError`` or ``ValueError`` from somewhere may carry the text it stumbled over, so of those only class and place are told.
    """
    kind = type(error)
    quotable = isinstance(error, OSError | MemoryError) or kind.__module__.split(".")[0] in _QUOTABLE
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{kind.__name__}{f': {error}' if quotable else ''}{place}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, then the fields; ``error`` and ``traceback`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break in it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[0]:
            line |= {"error": record.exc_info[0].__name__, "traceback": self.formatException(record.exc_info)}
        return json.dumps(line, default=str, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """``14:05:02 warning  window closed late  model_name=support-bot windows=3``."""

    def __init__(self, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows on lines of its own."""
        level = f"{record.levelname.lower():8}"
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        data = " ".join(f"{key}={_short(value)}" for key, value in _fields(record).items())
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S} {level} {record.getMessage()}{'  ' if data else ''}{data}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info and record.exc_info[0] else line


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    values = getattr(record, "fields", {})
    return values if isinstance(values, Mapping) else {}


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
