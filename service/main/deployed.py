"""``tiltmeter deployed``: announce a deployment, so that it is no silent swap."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import typer

from service.errors import ConfigError
from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console


def deployed(
    model: Annotated[str | None, typer.Argument(help="Stable name of the model.", show_default=False)] = None,
    revision: Annotated[str | None, typer.Option(help="What is deployed, as your release names it.")] = None,
    reason: Annotated[str | None, typer.Option(help="One line for whoever reads this later.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="What was announced, newest first.")] = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Announce a deployment: for a day fingerprints that change are no news, then what answers is their new reference.

    It silences nothing else: another model is on trial against the last accepted record, announced or not. Say it when the rollout begins;
    said afterwards it closes the ticket of the change.

    Examples:

        tiltmeter deployed support-bot --revision 2026-07-14 --reason "weekly release"

        tiltmeter deployed --list
    """
    if listed:
        _list(url, model)
        return
    if model is None:
        raise ConfigError("MODEL: needed unless --list is given")
    if not revision or not reason:
        raise ConfigError("--revision, --reason: both are needed")
    typer.echo(f"{model}: {carry_out(url, '/v1/deployments', token_file, {'model': model, 'revision': revision, 'reason': reason})}")


def _list(url: str, model: str | None) -> None:
    from rich.table import Table

    query = f"?{urlencode({'model': model})}" if model is not None else ""
    rows = call("GET", url, f"/v1/deployments{query}")["deployments"]
    if not rows:
        typer.echo("nothing was announced")
        return
    table = Table("announced (UTC)", "model", "revision", "by", "reason", box=None, header_style="bold")
    for row in rows:
        time = f"{datetime.fromtimestamp(row['time'], UTC):%Y-%m-%d %H:%M}"
        table.add_row(time, row["model_name"], row["revision"], row["actor"], row["reason"])
    console().print(table)
