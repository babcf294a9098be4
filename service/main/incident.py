"""``tiltmeter incident``: list, show, acknowledge and close."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console

app = typer.Typer(no_args_is_help=True, help="List, show, acknowledge and close incidents of a running service.")

Id = Annotated[str, typer.Argument(help="Id as printed by `tiltmeter incident list`.", show_default=False)]


class Verdict(StrEnum):
    """What an incident turned out to be."""

    real = "real"
    benign = "benign"
    monitor = "monitor"


@app.command("list")
def list_incidents(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    slice_: Annotated[str | None, typer.Option("--slice", help="Only this slice; '' is the model as a whole.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only this stream, such as topic_mix.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Open incidents, newest first.

    Examples:

        tiltmeter incident list

        tiltmeter incident list --all --model support-bot --slice acme
    """
    from rich.table import Column, Table

    asked = {"model": model, "slice": slice_, "stream": stream}
    query = {"open": str(not everything).lower(), **{name: value for name, value in asked.items() if value is not None}}
    rows = call("GET", url, f"/v1/incidents?{urlencode(query)}")["incidents"]
    if not rows:
        typer.echo("no incidents" if everything else "no open incidents")
        return
    screen = console()
    # An id is typed or copied into the next command: it is never cut, and in one piece where there is room.
    longest = max(len(row["id"]) for row in rows)
    identity = Column("id", overflow="fold", min_width=longest if longest <= screen.width // 2 else None)
    titles = ("opened (UTC)", "level", "severity", "model", "slice", "stream", "what", "state")
    table = Table(*titles, identity, box=None, header_style="bold")
    for row in rows:
        state = f"closed: {row['verdict']}" if row["closed"] else ("acknowledged" if row["acknowledged"] else "open")
        opened = f"{datetime.fromtimestamp(row['opened'], UTC):%Y-%m-%d %H:%M}"
        place = row["model_name"], row["slice"], row["stream"]
        table.add_row(opened, row["level"], row["severity"], *place, row["explanation"], state, row["id"])
    screen.print(table)


@app.command()
def show(
    incident: Id,
    examples: Annotated[bool, typer.Option("--examples", help="Also the redacted prompts behind it; needs the token.")] = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """One incident, a line for each thing that is known of it.

    Examples:

        tiltmeter incident show support-bot-ood_share-page-1767225600

        tiltmeter incident show support-bot-ood_share-page-1767225600 --examples
    """
    from service.main.incident_text import details, texts

    place = f"/v1/incidents/{quote(incident, safe='')}"
    for line in details(call("GET", url, place)):
        typer.echo(line)
    if examples:
        for line in texts(call("GET", url, f"{place}/examples", token_file)):
            typer.echo(line)


@app.command()
def ack(incident: Id, url: Url = DEFAULT_URL, token_file: TokenFile = None) -> None:
    """Say that somebody is looking at it. It stays open until recovery or `close`.

    Example:

        tiltmeter incident ack support-bot-ood_share-page-1767225600
    """
    typer.echo(carry_out(url, f"/v1/incidents/{quote(incident, safe='')}/ack", token_file, {}))


@app.command()
def close(
    incident: Id,
    verdict: Annotated[
        Verdict, typer.Option(help="real: the change matters. benign: it does not. monitor: the monitor was wrong.", show_default=False)
    ],
    reason: Annotated[str, typer.Option(help="One line for whoever reads this later.", show_default=False)],
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Close an incident with a verdict and a reason.

    Example:

        tiltmeter incident close support-bot-ood_share-page-1767225600 --verdict benign --reason "spring campaign"
    """
    body = {"verdict": verdict.value, "reason": reason}
    typer.echo(carry_out(url, f"/v1/incidents/{quote(incident, safe='')}/close", token_file, body))
