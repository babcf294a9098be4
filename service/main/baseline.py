"""``tiltmeter baseline``: what a running service holds normal for a model, and who said so."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.api import words
from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Show, learn, accept and reset the accepted baseline of a model in a running service.")

Model = Annotated[str, typer.Argument(help="Stable name of the model.", show_default=False)]
Reason = Annotated[str, typer.Option(help="One line for whoever reads this later.", show_default=False)]
Shadow = Annotated[bool, typer.Option("--shadow", help="Of the model's shadow instead of the bundle in force.")]


@app.command()
def show(
    model: Annotated[str | None, typer.Argument(help="Only this model.", show_default=False)] = None,
    shadow: Shadow = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What each stream is tested against, what was learned, whether the promise held on it, and which rise is paged after how long.

    The table of rises is simulated for the traffic, the bound of this hour and the weights of the service: about 0.5 s a line.

    Example:

        tiltmeter baseline show support-bot
    """
    from service.bundle.detection import UNTOLD

    answer = call("GET", url, "/v1/baseline")
    rows = [row for row in answer["shadow" if shadow else "baselines"] if model in (None, row["model_name"])]
    if not rows and shadow:
        typer.echo(f"no shadow of {model}" if model else "no shadows")
        raise typer.Exit(1)
    if not rows:
        typer.echo(f"no such model: {model}" if model else "no models")
        raise typer.Exit(1)
    console().print(_streams(rows))
    for name in dict.fromkeys(row["model_name"] for row in rows):
        told = dict.fromkeys(f"{_stream(row)}: {row['told']}" for row in rows if row["model_name"] == name and row["told"])
        for line in told:
            console().print(line, markup=False)
    console().print(_rises(rows, answer["window"]))
    typer.echo(f"embedding_shift is not in the table: {UNTOLD}")


def _stream(row: Mapping[str, Any]) -> str:
    return " ".join(part for part in (row["slice"], row["stream"]) if part)


def _streams(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.table import Table

    titles = ("model", "slice", "stream", "tested against", "stage", "rate", "bound", "d", "days", "accepted", "at most tickets: why")
    table = Table(*titles, box=None, header_style="bold")
    for row in rows:
        low, high = row["bounds"] or (row["bound"], row["bound"])
        bound = _cell(low) if low == high else f"{_cell(low)} to {_cell(high)}"
        table.add_row(
            *map(_cell, (row["model_name"], row["slice"], row["stream"], row["null"], row["stage"], row["rate"])),
            bound,
            *map(_cell, (row["design_effect"], row["days"], row["accepted_by"], row["why"] or "")),
        )
    return table


def _rises(rows: Sequence[Mapping[str, Any]], window: float) -> "Table":
    from rich.table import Table

    from service.main.detection import RISES, STREAM, lines

    titles = (f"{STREAM}: more strange prompts", "prompts a window", *(f"+{rise:.0%}" for rise in RISES), "never told from chance")
    table = Table(*titles, box=None, header_style="bold")
    for name in dict.fromkeys(row["model_name"] for row in rows):
        for cells in lines(rows, name, window):
            table.add_row(*cells)
    return table


@app.command()
def learn(
    model: Model,
    history: Annotated[
        list[str],
        typer.Option("--from", help="Clean history, 14 days or more: files (repeatable), or a Kafka topic.", show_default=False),
    ],
    since: Annotated[
        str | None, typer.Option(help="Leave out what is older: ISO 8601; UTC where no zone is given. Unset: all of it.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle the service uses for this model.", show_default=False)] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration of the service: its bundle, fields, slices, windows and time zone.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Field that holds the prompt.")] = None,
    time: Annotated[str | None, typer.Option(help="Field that holds the event time. Unset: as in --config, else time.")] = None,
    shadow: Shadow = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Learn a baseline from recorded history. It becomes a candidate; `accept` puts it in force.

    A topic is read on the cluster of --config, beside the service: in no consumer group, committing nothing, to where it ends now.

    Examples:

        tiltmeter baseline learn support-bot --from last_month.jsonl --config tiltmeter.yaml

        tiltmeter baseline learn support-bot --from prompts --since 2026-07-01 --config tiltmeter.yaml
    """
    from service.main.history import learn_history

    summary = learn_history(history, bundle, config, model, text, time, since, shadow)
    body = {"action": "learn", "model": model, **summary.arguments, **({"shadow": True} if shadow else {})}
    outcome = carry_out(url, "/v1/baseline", token_file, body)
    typer.echo(f"{model}: learned from {summary.prompts:,} prompts of {words.days(summary.days)}: {outcome}")
    for line in summary.remarks():
        typer.echo(line)
    typer.echo(f"`tiltmeter baseline accept {model}{' --shadow' if shadow else ''} --reason ...` puts it in force")


@app.command()
def accept(
    model: Model,
    reason: Reason,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also when too little is learned; the page will say so.")] = False,
    shadow: Shadow = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Accept the candidate learned from history, or else what was learned live, as normal.

    It is refused when less than a day or too few prompts were learned: what is accepted as normal is never reported.

    Example:

        tiltmeter baseline accept support-bot --reason "first month looked right"
    """
    _change("accept", model, reason, url, token_file, anyway=anyway, shadow=shadow)


@app.command()
def reset(model: Model, reason: Reason, shadow: Shadow = False, url: Url = DEFAULT_URL, token_file: TokenFile = None) -> None:
    """Forget the accepted baseline: back to the fine-tuning set as the yardstick, and to learning.

    Example:

        tiltmeter baseline reset support-bot --reason "new release"
    """
    _change("reset", model, reason, url, token_file, shadow=shadow)


def _change(action: str, model: str, reason: str, url: str, token_file: Path | None, **options: bool) -> None:
    body = {"action": action, "model": model, "reason": reason, **{name: True for name, wanted in options.items() if wanted}}
    outcome = carry_out(url, "/v1/baseline", token_file, body)
    typer.echo(f"{model}: {outcome}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
