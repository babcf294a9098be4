"""``tiltmeter grafana``: what is put into Grafana by hand or by CI."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.errors import ConfigError, DataError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from service.config import Grafana
    from service.grafana.client import Failed
    from service.grafana.push import Outcome

app = typer.Typer(no_args_is_help=True, help="Put Tiltmeter's dashboards into Grafana.")

FAILED = 1
TRIES = 4

_RIGHTS = {
    "folder": "the token's service account needs the right folders:create, or the role Editor",
    "dashboard": "the token's service account needs the right dashboards:create and dashboards:write in this folder, or the role Editor",
}


@app.command()
def push(
    config: Annotated[Path | None, typer.Option(help="Configuration file; its section `grafana` is used.", show_default=False)] = None,
    url: Annotated[
        str | None, typer.Option(help="Grafana's address, sub-path included, instead of the configuration's.", show_default=False)
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File holding a service account's token; otherwise TILTMETER_GRAFANA_TOKEN.", show_default=False),
    ] = None,
    folder: Annotated[
        str | None, typer.Option(help="Title of the folder. Unset: the configuration's, Tiltmeter without one.", show_default=False)
    ] = None,
    dashboards: Annotated[
        Path | None, typer.Option(help="Folder with dashboards (*.json). Unset: those of this version.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also replace dashboards that somebody changed by hand.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Put the folder and the dashboards into Grafana. What is as it should be is left alone, and so is what was changed by hand.

    Status 1: at least one dashboard could not be pushed. What was kept because somebody changed it is no failure.

    Examples:

        tiltmeter grafana push --config tiltmeter.yaml

        TILTMETER_GRAFANA_TOKEN=... tiltmeter grafana push --url https://grafana.example --dry-run
    """
    settings = _settings(config, url, token_file, folder)
    outcomes = _pushed(settings, dashboards, overwrite, dry_run)
    for outcome in outcomes:
        typer.echo(f"{outcome.did:<10} {outcome.title}" + (f": {outcome.why}" if outcome.why else ""))
    if dry_run:
        typer.echo("nothing was written (--dry-run)")
    if any(outcome.did == "failed" for outcome in outcomes):
        raise typer.Exit(FAILED)


def _settings(config: Path | None, url: str | None, token_file: Path | None, folder: str | None) -> "Grafana":
    """Of the file, with what the command line says instead. Raises ConfigError."""
    from pydantic import ValidationError

    from service.config import Grafana, load

    found = load(config).grafana if config else Grafana()
    said = {"url": url, "token_file": token_file, "folder": folder}
    try:
        settings = Grafana(**{**found.model_dump(), **{name: value for name, value in said.items() if value is not None}})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option}: {first['msg'].removeprefix('Value error, ')}") from None
    if settings.url is None:
        where = f"{config}: grafana.url: missing" if config else "--url or --config: missing"
        raise ConfigError(f"{where}; expected: Grafana's address, such as http://grafana:3000")
    return settings


def _pushed(settings: "Grafana", folder: Path | None, overwrite: bool, dry: bool) -> "list[Outcome]":
    from service.config import grafana_token
    from service.grafana.client import Client, Failed
    from service.grafana.push import Outcome, place, push, read

    if folder is not None:
        boards = read(folder)
    else:
        with as_file(_shipped()) as found:
            boards = read(found)
    client = Client(settings, grafana_token(settings), tries=TRIES)
    try:
        uid, placed = place(client, settings.folder, dry=dry)
        outcomes = push(client, boards, uid, overwrite=overwrite, dry=dry)
    except Failed as failed:
        raise DataError(_told(settings, failed)) from None
    finally:
        client.close()
    rights = [Outcome(o.title, o.did, f"{o.why}; {_RIGHTS['dashboard']}") if o.why.startswith("403") else o for o in outcomes]
    return [Outcome(f"folder {placed.title}", placed.did, placed.why), *rights]


def answers(settings: "Grafana") -> str:
    """For `check-config --connect`: that Grafana takes the token. Raises DataError or ConfigError."""
    from service.config import grafana_token
    from service.grafana.annotations import TAG
    from service.grafana.client import Client, Failed

    client = Client(settings, grafana_token(settings))
    try:
        client.folders()
        client.annotations(TAG)
    except Failed as failed:
        raise DataError(f"grafana: {_told(settings, failed)}") from None
    finally:
        client.close()
    return "Grafana answers, and takes the token"


def _shipped() -> "Traversable":
    """The dashboards that belong to this version: data, of which the service knows no more than the place."""
    try:
        return files("dashboards") / "json"
    except ModuleNotFoundError:
        raise ConfigError("--dashboards: missing, and this installation has none of its own; expected: a folder with *.json") from None


def _told(settings: "Grafana", failed: "Failed") -> str:
    """What the operator can do about it. Never the token."""
    from service.config.secrets import GRAFANA_TOKEN

    hint = {
        None: "is Grafana listening there?",
        401: f"the token came from {settings.token_file or GRAFANA_TOKEN}",
        403: _RIGHTS["folder"],
        404: "is this Grafana's address, sub-path included?",
    }.get(failed.status)
    return f"{settings.url}: {failed}" + (f"; {hint}" if hint else "")
