"""``tiltmeter expect``: announce a change, so that nobody is woken for it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from service.errors import ConfigError
from service.main.remote import DEFAULT_URL, TokenFile, Url, call, carry_out, console


def expect(
    model: Annotated[str | None, typer.Argument(help="Stable name of the model.", show_default=False)] = None,
    topic: Annotated[str | None, typer.Option(help="Number of a reference topic, some of its words, or none.")] = None,
    slice_: Annotated[str | None, typer.Option("--slice", help="A configured slice, instead of a topic.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends: ISO 8601; UTC where no zone is given.")] = None,
    reason: Annotated[str | None, typer.Option(help="One line for whoever reads this later.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="What is expected now.")] = False,
    remove: Annotated[str | None, typer.Option(help="Take the expectation with this id back.")] = None,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Announce a change of one topic or slice: until it ends, it opens tickets at most.

    A topic covers topic_mix, embedding_shift and combined where that topic carries the change; a slice covers every stream of the slice.
    Everything else pages as ever, and so does the same change after its end.

    Examples:

        tiltmeter expect support-bot --topic roaming --until 2026-08-31T22:00 --reason "summer campaign"

        tiltmeter expect --list
    """
    if listed:
        _list(url, model)
        return
    if model is None:
        raise ConfigError("MODEL: needed unless --list is given")
    if remove is not None:
        body: dict[str, object] = {"action": "remove", "expectation": remove}
    elif (topic is None) == (slice_ is None):
        raise ConfigError("--topic, --slice: exactly one of them is needed")
    elif until is None or reason is None:
        raise ConfigError("--until, --reason: both are needed")
    else:
        what = {"slice": slice_} if topic is None else {"topic": topic}
        body = {**what, "until": _moment(until).isoformat(), "reason": reason}
    typer.echo(f"{model}: {carry_out(url, '/v1/expectations', token_file, {'model': model, **body})}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--until: expected a time such as 2026-08-31T22:00, got {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _list(url: str, model: str | None) -> None:
    from rich.table import Table

    rows = [row for row in call("GET", url, "/v1/expectations")["expectations"] if model in (None, row["model_name"])]
    if not rows:
        typer.echo("nothing is expected")
        return
    table = Table("model", "what", "until (UTC)", "by", "reason", "id", box=None, header_style="bold")
    for row in rows:
        until = f"{datetime.fromtimestamp(row['until'], UTC):%Y-%m-%d %H:%M}"
        table.add_row(row["model_name"], row["what"], until, row["actor"], row["reason"], row["id"])
    console().print(table)
