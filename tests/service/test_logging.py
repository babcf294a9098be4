"""One line per event, with its fields; errors that may quote a prompt do not."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from service.errors import ConfigError
from service.logging import describe, fields, setup


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield io.StringIO()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_lines_when_nobody_looks(out: io.StringIO) -> None:
    setup(stream=out)
    logging.getLogger("service.x").info("window closed late", extra=fields(model_name="support-bot", windows=3, share=0.1))
    logging.getLogger("service.x").warning("two\nlines %d", 2)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "service.x",
        "event": "window closed late",
        "model_name": "support-bot",
        "windows": 3,
        "share": 0.1,
    }
    assert second["event"] == "two\nlines 2"


def test_short_lines_on_a_terminal() -> None:
    terminal = Terminal()
    setup(stream=terminal)
    logging.getLogger("service.x").warning("window closed late", extra=fields(model_name="support bot", share=0.123456789))
    assert terminal.getvalue().endswith('window closed late  model_name="support bot" share=0.123457\n')
    assert "\x1b[33mwarning" in terminal.getvalue()


def test_libraries_are_quiet_below_a_warning(out: io.StringIO) -> None:
    setup("json", "debug", out)
    logging.getLogger("kafka.conn").info("chatter")
    logging.getLogger("kafka.net.selector").warning("a busy machine")
    logging.getLogger("service.y").debug("shown")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["shown"]


def test_a_traceback_stays_in_its_line(out: io.StringIO) -> None:
    setup(stream=out)
    try:
        raise ConfigError("x.yaml: nope")
    except ConfigError:
        logging.getLogger("service.x").exception("failed")
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["error"] == "ConfigError"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("x.yaml: nope"), "ConfigError: x.yaml: nope"),
        (FileNotFoundError(2, "No such file", "a.db"), "FileNotFoundError: [Errno 2] No such file: 'a.db'"),
        (sa.exc.ArgumentError("bad url"), "ArgumentError: bad url"),
        (ValueError("canary-text"), "ValueError"),
        (KeyError("canary-text"), "KeyError"),
    ],
)
def test_errors_that_may_quote_a_prompt_tell_class_and_place_only(error: Exception, said: str) -> None:
    try:
        raise error
    except Exception as caught:
        told = describe(caught)
    assert told.startswith(f"{said} at ")
    assert "test_logging.py" in told
    assert "canary-text" not in told
