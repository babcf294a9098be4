"""How the commands for baselines and incidents talk to a running service."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from service.errors import ConfigError, DataError

Url = Annotated[str, typer.Option(envvar="TILTMETER_URL", help="Address of a running service.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(envvar="TILTMETER_TOKEN_FILE", help="File holding the bearer token; otherwise TILTMETER_TOKEN.", show_default=False),
]
DEFAULT_URL = "http://127.0.0.1:9108"


def token(file: Path | None) -> str | None:
    """The bearer token from the file or the environment. Raises ConfigError when the file cannot be read."""
    if file is None:
        return os.environ.get("TILTMETER_TOKEN") or None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the token: {error.strerror}") from error


def call(method: str, url: str, path: str, token_file: Path | None = None, body: dict[str, Any] | None = None) -> Any:
    """One request, answered as JSON. Raises DataError with the service's own words when it refuses or cannot be reached."""
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
        return answer.json()
    try:
        reason = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        reason = answer.reason_phrase
    raise DataError(f"{url}{path}: {answer.status_code}: {reason}")
