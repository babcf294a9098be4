"""``tiltmeter bundle``: look into what ``fit`` made, and switch which of two a running service judges with."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from service.errors import ConfigError
from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console

app = typer.Typer(no_args_is_help=True, help="Look into a bundle; list, promote and roll back the bundles of a running service.")

Model = Annotated[str, typer.Argument(help="Stable name of the model.", show_default=False)]
Reason = Annotated[str, typer.Option(help="One line for whoever reads this later.", show_default=False)]


@app.command()
def show(
    directory: Annotated[Path, typer.Argument(help="Directory made by `tiltmeter fit`.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="The manifest as JSON.")] = False,
) -> None:
    """What was fitted: counts, settings, nulls, topics, which rise pages after how long; every digest is checked on the way.

    Example:

        tiltmeter bundle show bundle
    """
    from service.bundle import Bundle

    bundle = Bundle.load(directory)
    typer.echo(bundle.manifest.model_dump_json(by_alias=True, indent=1) if as_json else bundle.describe())


@app.command()
def verify(
    expected: Annotated[list[str], typer.Argument(metavar="DIRECTORY=DIGEST...", help="Bundles and their digests.", show_default=False)],
) -> None:
    """Check that each directory holds the bundle of this digest, whole; status 2 and the reason when one does not.

    A step before a service starts, where bundles come from elsewhere. Digests are those that `bundle show` prints.

    Example:

        tiltmeter bundle verify bundle=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    from service.bundle import Bundle

    for pair in expected:
        directory, equals, digest = pair.rpartition("=")
        if not equals or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ConfigError(f"{pair}: expected DIRECTORY=DIGEST with 64 hexadecimal digits")
        found = Bundle.load(directory).digest
        if found != digest:
            raise ConfigError(f"{directory}: holds bundle {found}, expected {digest}")
        typer.echo(f"{directory}: {digest}")


@app.command("list")
def listed(
    model: Annotated[str | None, typer.Argument(help="Only this model.", show_default=False)] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Which bundle judges each model, and how its shadow does beside it.

    Example:

        tiltmeter bundle list
    """
    from rich.table import Table

    rows = [row for row in call("GET", url, "/v1/bundles")["bundles"] if model in (None, row["model_name"])]
    if not rows:
        typer.echo(f"no such model: {model}" if model else "no models")
        raise typer.Exit(1)
    titles = ("model", "in force", "strange", "shadow", "strange", "stage", "days", "accepted", "would have opened", "rollback to")
    table = Table(*titles, box=None, header_style="bold")
    for row in rows:
        would = ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in row["would_open"].items()) or "-"
        shadow = (_short(row["shadow"]), _share(row["shadow_share"]), row["stage"] or "-", _text(row["days"]), row["accepted_by"] or "-")
        table.add_row(row["model_name"], _short(row["in_force"]), _share(row["share"]), *shadow, would, _short(row["former"]))
    console().print(table)


@app.command()
def promote(
    model: Model,
    reason: Reason,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also when no baseline of the shadow is accepted.")] = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Put the shadow in force, with the baseline it learned; the bundle that was in force becomes the shadow and keeps its record.

    Open incidents of the model are closed and evidence begins from nothing.

    Example:

        tiltmeter bundle promote support-bot --reason "fitted with the spring data"
    """
    body = {"action": "promote", "model": model, "reason": reason, **({"anyway": True} if anyway else {})}
    typer.echo(f"{model}: {carry_out(url, '/v1/bundles', token_file, body)}")


@app.command()
def rollback(model: Model, reason: Reason, url: Url = DEFAULT_URL, token_file: TokenFile = None) -> None:
    """Take the last promotion back: the former bundle is in force again, with the baseline it had.

    Example:

        tiltmeter bundle rollback support-bot --reason "pages about nothing"
    """
    typer.echo(f"{model}: {carry_out(url, '/v1/bundles', token_file, {'action': 'rollback', 'model': model, 'reason': reason})}")


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "-"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
