"""``tiltmeter fit``."""

from collections.abc import Sequence
from pathlib import Path

import typer

from service.fit import fit, terminal_progress


def fit_bundle(
    files: Sequence[Path],
    out: Path,
    encoder: str,
    text: str | None,
    label: str | None,
    group: str | None,
    calibration: Sequence[Path],
    seed: int,
    overwrite: bool,
) -> None:
    """Fit, and say what came out and what to do with it."""
    with terminal_progress() as progress:
        bundle = fit(
            files,
            out,
            encoder=encoder,
            text=text,
            label=label,
            group=group,
            calibration=calibration,
            seed=seed,
            progress=progress,
            overwrite=overwrite,
        )
    typer.echo(bundle.describe())
    typer.echo()
    typer.echo(f"{out} is ready; {out / 'report.html'} says what can be detected and how fast.")
    typer.echo(f"Next: tiltmeter replay recorded.jsonl --bundle {out}")
