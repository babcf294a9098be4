"""``tiltmeter bundle``: look into what ``fit`` made."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look into a bundle.")


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
