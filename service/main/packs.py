"""``tiltmeter pack``: check a pack of probes before it runs, and make one from another tool's file."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.errors import ConfigError
from service.main.remote import console

if TYPE_CHECKING:
    from service.probes.importers import Imported
    from service.probes.pack import Pack
    from service.records.probes import Kind

app = typer.Typer(no_args_is_help=True, help="Check packs of probes; import probes from other tools.")

_SHOWN = 5


@app.command()
def check(
    pack: Annotated[str, typer.Argument(help="YAML file, or the name of a built-in pack.", show_default=False)],
    golden: Annotated[Path | None, typer.Option(help="Your own items (JSONL, CSV), for packs that ask `@golden`.")] = None,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Take graders in Python, as probes.allow_code does.")] = False,
) -> None:
    """Check a pack: keys, items, graders, placeholders; and what its rounds cost.

    Examples:

        tiltmeter pack check my-pack.yaml

        tiltmeter pack check injection

        tiltmeter pack check twins --golden golden.jsonl
    """
    from rich.table import Table

    from service.main.grading import check_alone
    from service.probes.loading import load_pack, warnings
    from service.probes.render import calls_per_day, cost

    read = load_pack(pack, golden=golden, allow_code=allow_code)
    for suite in read.suites:
        check_alone(read, suite, allow_code)
    typer.echo(f"{read.id} version {read.version}, {read.license}{': ' if read.description else ''}{read.description}")
    table = Table("suite", "kind", "expect", "items", "calls a round", "every", "calls a day", "tokens a day", "graders", box=None)
    for suite in read.suites:
        once, daily = cost(read, suite), calls_per_day(read, suite)
        tokens = (once.tokens_in + once.tokens_out) * daily / once.calls if once.calls else 0
        graders = sorted({grader.type for item in suite.items for grader in suite.graders_of(item)})
        row = (
            suite.id,
            suite.kind,
            suite.expect,
            len(suite.items),
            once.calls,
            _interval(suite.schedule.every),
            round(daily),
            round(tokens),
        )
        table.add_row(*map(str, row), ", ".join(graders) or "-")
    console().print(table)
    if read.judges():
        typer.echo(f"judges that must be configured: {', '.join(sorted(read.judges()))}")
    for line in warnings(read):
        typer.secho("warning: ", fg="yellow", nl=False)
        typer.echo(line)


@app.command("import")
def imported(
    file: Annotated[Path, typer.Argument(help="File of another tool.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Pack to write (YAML).", show_default=False)],
    form: Annotated[
        str | None,
        typer.Option(
            help="promptfoo, garak, evals-registry, evals-samples, lm-eval, harmbench, jailbreakbench, xstest, advbench or plain."
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of every suite, instead of what the form suggests.")] = None,
    licence: Annotated[str | None, typer.Option("--license", help="SPDX name of the licence of the texts.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older pack.")] = False,
) -> None:
    """Make a pack of a file of promptfoo, garak, OpenAI evals, lm-eval, or a table of prompts.

    What cannot be asked or graded here is listed with its reason and left out. Results of earlier runs are shown as counts.

    Examples:

        tiltmeter pack import promptfooconfig.yaml --out mine.yaml

        tiltmeter pack import xstest_prompts.csv --out xstest.yaml --license CC-BY-4.0

        tiltmeter pack import golden.csv --form plain --out golden.yaml
    """
    from service.probes.importers import import_file

    if out.exists() and not overwrite:
        raise ConfigError(f"--out: {out} exists already; name another file, or add --overwrite")
    found = import_file(file, form, _kind(kind))
    _tell(found)
    if found.pack is None:
        typer.echo("no pack is written: the file holds counts, but no items that could be asked")
        return
    _write(out, found.pack.model_copy(update={"license": licence}) if licence else found.pack)


def _kind(name: str | None) -> "Kind | None":
    from typing import get_args

    from service.records.probes import Kind

    if name is not None and name not in get_args(Kind):
        raise ConfigError(f"--kind: given '{name}'; expected: {' or '.join(get_args(Kind))}")
    return name  # type: ignore[return-value]


def _tell(found: "Imported") -> None:
    """Counts of what was taken and left out, and the counts of an earlier run."""
    taken = sum(len(suite.items) for suite in found.pack.suites) if found.pack else 0
    typer.echo(f"form {found.form}: {taken:,} items taken, {len(found.disabled):,} disabled")
    for why, count in Counter(one.why for one in found.disabled).most_common():
        names = [one.item for one in found.disabled if one.why == why]
        more = f" and {count - _SHOWN:,} more" if count > _SHOWN else ""
        typer.echo(f"  disabled: {', '.join(names[:_SHOWN])}{more}: {why}")
    for line in found.baseline:
        typer.echo(f"  counted before: {line.category}, {line.grader}: {line.bad:,} of {line.n:,} failed")


def _write(out: Path, pack: "Pack") -> None:
    import yaml

    text = yaml.safe_dump(
        pack.model_dump(mode="json", by_alias=True, exclude_defaults=True), sort_keys=False, allow_unicode=True, width=140
    )
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: cannot write {out}: {error.strerror}") from None
    typer.echo(f"written to {out}; look at it, then name it in probes.packs")


def _interval(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
