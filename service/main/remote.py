"""How the commands for baselines and incidents talk to a running service."""

import getpass
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import Console

Url = Annotated[str, typer.Option(envvar="TILTMETER_URL", help="Address of a running service.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(envvar="TILTMETER_TOKEN_FILE", help="File holding the bearer token; otherwise TILTMETER_TOKEN.", show_default=False),
]
DEFAULT_URL = "http://127.0.0.1:9108"

PATIENCE = 10.0
"""Seconds to wait for the decider."""

_PAUSE = 0.25


class Refused(DataError):
    """The service answered, and said no. ``status``: of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def console() -> "Console":
    """Standard output; as wide as a log line where it is no terminal, so that tables are not folded."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 200)


def token(file: Path | None) -> str | None:
    """The bearer token from the file or the environment. Raises ConfigError when the file cannot be read."""
    if file is None:
        return os.environ.get("TILTMETER_TOKEN") or None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the token: {error.strerror}") from error


def call(method: str, url: str, path: str, token_file: Path | None = None, body: dict[str, Any] | None = None) -> Any:
    """One request, answered as JSON. Raises DataError when it cannot be reached, Refused with the service's own words when it says no."""
    import httpx

    secret = token(token_file)
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    try:
        answer = httpx.request(method, url.rstrip("/") + path, json=body, headers=headers, timeout=30.0)
    except httpx.HTTPError as error:
        raise DataError(f"{url}: no answer ({type(error).__name__}); is `tiltmeter run` listening there?") from error
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ConfigError(f"--url {url}: expected something like {DEFAULT_URL}") from error
    if answer.is_success:
        try:
            return answer.json()
        except ValueError:
            raise DataError(f"{url}{path}: the answer is not JSON; is this `tiltmeter run`?") from None
    try:
        reason = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        reason = answer.reason_phrase
    if answer.status_code == 401:
        came = f"it came from {token_file or 'TILTMETER_TOKEN'}"
        reason = f"{reason}; {came if secret else 'set TILTMETER_TOKEN or give --token-file'}"
    raise Refused(f"{url}{path}: {answer.status_code}: {reason}", answer.status_code)


def carry_out(url: str, path: str, token_file: Path | None, body: dict[str, Any]) -> str:
    """Submit a command and wait until the decider has applied it; what became of it.

    Raises DataError when it was refused. After :data:`PATIENCE` seconds the command is on its way, and that is said.
    """
    command = call("POST", url, path, token_file, {"actor": getpass.getuser(), **body})["command"]
    for _ in range(round(PATIENCE / _PAUSE)):
        entry = _outcome(url, command)
        if entry is not None:
            outcome = str(entry["outcome"])
            if outcome.startswith("refused"):
                raise DataError(outcome)
            return outcome
        time.sleep(_PAUSE)
    return f"accepted as command {command}; the decider has not applied it yet"


def _outcome(url: str, command: str) -> dict[str, Any] | None:
    import httpx

    answer = httpx.get(f"{url.rstrip('/')}/v1/commands/{command}", timeout=30.0)
    return answer.json() if answer.is_success else None
