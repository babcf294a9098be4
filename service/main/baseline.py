"""``tiltmeter baseline``: what a running service holds normal for a model, and who said so."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.api import words
from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console

app = typer.Typer(no_args_is_help=True, help="Show, learn, accept and reset the accepted baseline of a model in a running service.")

Model = Annotated[str, typer.Argument(help="Stable name of the model.", show_default=False)]
Reason = Annotated[str, typer.Option(help="One line for whoever reads this later.", show_default=False)]


@app.command()
def show(
    model: Annotated[str | None, typer.Argument(help="Only this model.", show_default=False)] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """What each stream is tested against, and what has been learned so far.

    Example:

        tiltmeter baseline show support-bot
    """
    from rich.table import Table

    rows = [row for row in call("GET", url, "/v1/baseline")["baselines"] if model in (None, row["model_name"])]
    if not rows:
        typer.echo(f"no such model: {model}" if model else "no models")
        raise typer.Exit(1)
    table = Table(
        "model", "stream", "tested against", "stage", "learned rate", "bound", "d", "days", "accepted", box=None, header_style="bold"
    )
    for row in rows:
        table.add_row(
            row["model_name"],
            row["stream"],
            *map(_cell, (row["null"], row["stage"], row["rate"], row["bound"])),
            *map(_cell, (row["design_effect"], row["days"], row["accepted_by"])),
        )
    console().print(table)


@app.command()
def learn(
    model: Model,
    history: Annotated[list[Path], typer.Option("--from", help="Clean history, 14 days or more. Repeatable.", show_default=False)],
    bundle: Annotated[Path, typer.Option(help="Bundle the service uses for this model.", show_default=False)],
    text: Annotated[str | None, typer.Option(help="Field that holds the prompt.")] = None,
    time: Annotated[str, typer.Option(help="Field that holds the event time.")] = "time",
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Learn a baseline from recorded history. It becomes a candidate; `accept` puts it in force.

    Example:

        tiltmeter baseline learn support-bot --from last_month.jsonl --time created_at --bundle bundle
    """
    from service.main.history import learn_history

    summary = learn_history(history, bundle, model, text, time)
    outcome = carry_out(url, "/v1/baseline", token_file, {"action": "learn", "model": model, **summary.arguments})
    typer.echo(f"{model}: learned from {summary.prompts:,} prompts of {words.days(summary.days)}: {outcome}")
    typer.echo(f"`tiltmeter baseline accept {model} --reason ...` puts it in force")


@app.command()
def accept(
    model: Model,
    reason: Reason,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also when too little is learned; the page will say so.")] = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Accept the candidate learned from history, or else what was learned live, as normal.

    It is refused when less than a day or too few prompts were learned: what is accepted as normal is never reported.

    Example:

        tiltmeter baseline accept support-bot --reason "first month looked right"
    """
    _change("accept", model, reason, url, token_file, anyway=anyway)


@app.command()
def reset(model: Model, reason: Reason, url: Url = DEFAULT_URL, token_file: TokenFile = None) -> None:
    """Forget the accepted baseline: back to the fine-tuning set as the yardstick, and to learning.

    Example:

        tiltmeter baseline reset support-bot --reason "new release"
    """
    _change("reset", model, reason, url, token_file)


def _change(action: str, model: str, reason: str, url: str, token_file: Path | None, anyway: bool = False) -> None:
    body = {"action": action, "model": model, "reason": reason, **({"anyway": True} if anyway else {})}
    outcome = carry_out(url, "/v1/baseline", token_file, body)
    typer.echo(f"{model}: {outcome}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
