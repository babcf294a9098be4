"""``tiltmeter gate``: what a gate of a running service says, for people and as an exit status for CI."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from service.errors import ConfigError, DataError
from service.main.remote import DEFAULT_URL, Refused, call, console

FAILS, INCONCLUSIVE = 3, 4
"""Exit statuses of a gate that was read; 0 is a pass, 1 that it could not be read, 2 usage or configuration."""

PAUSE = 5.0
"""Seconds between two looks with --wait."""

SHOWN = 100
"""Characters of a reason beside the bar."""

_STATUS = {"pass": 0, "fail": FAILS, "inconclusive": INCONCLUSIVE}
_STYLE = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def gate(
    name: Annotated[str, typer.Argument(help="Name of the gate: a key of `gates` in the configuration.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="Configuration of the service: its gates, and its address where --url is not given.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(envvar="TILTMETER_URL", help=f"Address of a running service. Default: {DEFAULT_URL}", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Start of the release, ISO 8601: inconclusive until a model that began later answers every suite.")
    ] = None,
    wait: Annotated[str | None, typer.Option(help="Ask again while it is inconclusive, for so long: 90s, '30 min', 6h.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer of the service as JSON.")] = False,
) -> None:
    """Ask a running service what a gate says.

    Status 0: pass. 3: fail. 4: inconclusive, also after --wait. 1: it could not be read. 2: usage, or no gate of this name.

    Examples:

        tiltmeter gate release --url http://tiltmeter:9108

        tiltmeter gate release --config tiltmeter.yaml --since 2026-03-05T10:00Z --wait 6h --json
    """
    seconds = _seconds(wait) if wait is not None else 0.0
    path = f"/v1/gates/{quote(name, safe='')}" + (f"?{urlencode({'since': since})}" if since else "")
    configured = DEFAULT_URL if config is None else _address(name, config, needed=url is None)
    answer = _settled(name, url or configured, path, seconds)
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _show(answer)
    if status := _STATUS[answer["verdict"]]:
        raise typer.Exit(status)


def _seconds(wait: str) -> float:
    from pydantic import TypeAdapter, ValidationError

    from service.config.base import Seconds

    try:
        seconds = TypeAdapter(Seconds).validate_python(wait)
    except ValidationError:
        raise ConfigError(f"--wait {wait}: expected a duration such as '30s', '5 min' or '2 h'") from None
    return float(seconds)


def _address(name: str, config: Path, *, needed: bool) -> str:
    """Where the service of this configuration listens. Raises ConfigError, also for a gate that is not in it."""
    from service.config import load

    found = load(config)
    if name not in found.gates:
        known = f"known: {', '.join(found.gates)}" if found.gates else "it has no gates"
        raise ConfigError(f"{config}: gates: no gate is called {name!r}; {known}")
    if needed and not found.http.port:
        raise ConfigError(f"{config}: http.port: 0 takes a free port, so --url is needed")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(found.http.host, found.http.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{found.http.port}"


def _settled(name: str, url: str, path: str, seconds: float) -> dict[str, Any]:
    """The first answer that is not inconclusive, or the last one in time. A service that is away is waited for. Raises DataError."""
    began = time.monotonic()
    with _progress(name, seconds) as told:
        while True:
            over = time.monotonic() - began >= seconds
            try:
                answer = _read(url, path)
            except DataError as error:
                if over:
                    raise
                told(time.monotonic() - began, str(error))
            else:
                if over or answer["verdict"] != "inconclusive":
                    return answer
                told(time.monotonic() - began, "; ".join(answer["reasons"]))
            time.sleep(max(0.0, min(PAUSE, began + seconds - time.monotonic())))


@contextmanager
def _progress(name: str, seconds: float) -> Iterator[Callable[[float, str], None]]:
    """A bar of the time that is left and why it is waited, on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not (seconds and sys.stderr.isatty()))
    with bar:
        task = bar.add_task(escape(name), total=seconds)
        yield lambda elapsed, why: bar.update(task, completed=elapsed, description=escape(f"{name}: {why[:SHOWN]}"))


def _show(answer: Mapping[str, Any]) -> None:
    """Verdict, what it rests on, and a row for each reason."""
    from rich.markup import escape
    from rich.table import Table

    verdict, out = answer["verdict"], console()
    of = escape(f"stage {answer['stage']} of {answer['model_name']}")
    out.print(f"{escape(answer['name'])}: [bold {_STYLE[verdict]}]{verdict}[/]  ({of})")
    out.print(f"since {_moment(answer['since'])}, newest round {_moment(answer['last'])}", markup=False)
    reasons = Table("", "why" if verdict == "pass" else "what stands against a pass", box=None, header_style="bold")
    for number, reason in enumerate(answer["reasons"], 1):
        reasons.add_row(str(number), escape(reason))
    suites = Table("suite", "says", box=None, header_style="bold")
    for suite, outcome in answer["streams"].items():
        suites.add_row(escape(suite), f"[{_STYLE.get(outcome, 'default')}]{outcome}[/]")
    for table in (reasons, suites):
        if table.row_count:
            out.print(table)
    if answer["advice"]["fallback"]:
        out.print(f"advice to gateways: fall back ({answer['advice']['reason']})", markup=False)


def _moment(seconds: float | None) -> str:
    return "none yet" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _read(url: str, path: str) -> dict[str, Any]:
    try:
        answer = call("GET", url, path)
    except Refused as refused:
        if refused.status < 500 and refused.status != 429:  # asking again would not help
            raise ConfigError(str(refused)) from None
        raise
    if not isinstance(answer, dict) or answer.get("verdict") not in _STATUS:
        raise DataError(f"{url}{path}: the answer holds no verdict; is this `tiltmeter run`?")
    return answer
