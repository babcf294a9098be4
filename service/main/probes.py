"""``tiltmeter probe``: ask now, and accept what answers now as the record of a running service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from service.errors import ConfigError, DataError
from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(invoke_without_command=True)

FAILED, REACHED = 1, 3
"""Exit statuses: a round could not be completed; answers were worse than their record."""


@app.callback()
def probe(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Configuration file: targets, judges, packs. Required.", show_default=False)] = None,
    pack: Annotated[
        str | None, typer.Option(help="Only this pack: a built-in name or a YAML file. Unset: those of the configuration.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite: SUITE or PACK/SUITE.")] = None,
    target: Annotated[str | None, typer.Option(help="Only this live target.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write one JSON line per answer.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML for CI.")] = None,
) -> None:
    """Ask one round of probes now, grade it, and hold it against the record. It needs no running service, and is no evidence for one.

    Status 0: every round is complete and nothing is worse than its record. 1: a round could not be completed. 3: more bad answers than the
    record in the history allows; where there is no record (400 graded answers of the same model, pack and graders) any bad answer.

    Examples:

        tiltmeter probe --config tiltmeter.yaml

        tiltmeter probe --config tiltmeter.yaml --suite golden/own --target live --out answers.jsonl --junit probes.xml
    """
    if context.invoked_subcommand is not None:
        if any(value is not None for value in (config, pack, suite, target, out, junit)):
            raise ConfigError(f"options of `probe` stand before {context.invoked_subcommand!r}; expected them behind it, or none")
        return
    if config is None:
        raise ConfigError("--config: needed to ask a round")
    from service.main.probe_command import probe_now

    finding = probe_now(config, pack, suite, target, out, junit)
    if finding.beyond:
        raise typer.Exit(REACHED)
    if finding.incomplete:
        raise typer.Exit(FAILED)


@app.command()
def accept(
    model: Annotated[str, typer.Argument(help="Stable name of the model.", show_default=False)],
    reason: Annotated[str | None, typer.Option(help="One line for whoever reads this later. Required, but for --dry-run.")] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite: PACK/SUITE.")] = None,
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    target: Annotated[str | None, typer.Option(help="Only this live target.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be accepted, and change nothing.")] = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Accept what answers now as the record, as it is; first it is shown beside the record in force.

    Taken are streams with another model on trial, with an open incident (it is closed), or without a record; fingerprints take a new
    reference. It is refused where there is nothing of these: what is accepted as normal is never reported.

    Examples:

        tiltmeter probe accept support-bot --dry-run

        tiltmeter probe accept support-bot --suite golden/own --reason "shorter answers are wanted"
    """
    if not reason and not dry_run:
        raise ConfigError("--reason: needed unless --dry-run is given")
    named = {name: value for name, value in (("target", target), ("suite", suite), ("category", category)) if value is not None}
    query = urlencode({"model": model, **{name: value for name, value in named.items() if name != "category"}})
    probed = call("GET", url, f"/v1/probes/records?{query}")["records"]
    if dry_run and not probed:
        raise DataError(f"{', '.join((model, *named.values()))}: nothing that is probed is called so, or the service is still starting")
    rows = [
        row
        for row in probed
        if row["acceptable"] and category in (None, row["category"]) and (row["stream"] != "probe_judge" or suite or target)
    ]
    if rows:
        console().print(_table(rows))
    else:
        typer.echo(f"{model}: no answers wait to be accepted")
    if not dry_run:
        typer.echo(f"{model}: {carry_out(url, '/v1/probes/accept', token_file, {'model': model, **named, 'reason': reason})}")


def _table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.table import Table

    titles = ("target", "suite", "category", "stream", "state", "record: bad", "by", "now: bad", "revision", "since (UTC)")
    table = Table(*titles, box=None, header_style="bold")
    for row in rows:
        record, now = row["record"], row["now"]
        where = (
            row["target"],
            row["suite"],
            row["category"] or "-",
            row["stream"],
            f"{row['state']}, on trial" if row["on_trial"] else row["state"],
        )
        table.add_row(*where, _bad(record), record["actor"] if record else "-", _bad(now), now["revision"] or "-", _moment(now["since"]))
    return table


def _bad(answers: Mapping[str, Any] | None) -> str:
    return f"{answers['bad']} of {answers['n']} ({answers['bad'] / answers['n']:.1%})" if answers and answers["n"] else "-"


def _moment(time: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
