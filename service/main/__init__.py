"""The command line, and the only place where the rooms are wired together.

Importing this costs typer and nothing else: every command imports what it needs when it is called.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.errors import ConfigError, DataError
from service.main import baseline, bundle, deployed, expect, gate, grafana, incident, packs, probes, remote, topics

FAILED, USAGE, REACHED = 1, 2, 3
"""Exit statuses beside 0: failed; usage or configuration; a --fail-on level was reached, or probes were worse than their record. `gate`
has one more, :data:`service.main.gate.INCONCLUSIVE`."""


class Commands(TyperGroup):
    """Turns the errors that mean something to an operator into one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; anything unexpected propagates with its traceback and status 1."""
        try:
            return super().invoke(ctx)
        except (ConfigError, DataError) as error:
            typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(str(error), err=True)
            raise typer.Exit(USAGE if isinstance(error, ConfigError) else FAILED) from None


class Role(StrEnum):
    """Which half of the service this process is."""

    all = "all"
    worker = "worker"
    decider = "decider"


class Log(StrEnum):
    """Forms of a log line."""

    auto = "auto"
    json = "json"
    human = "human"


class LogLevel(StrEnum):
    """Least level of a log line that is written."""

    debug = "DEBUG"
    info = "INFO"
    warning = "WARNING"
    error = "ERROR"


class Level(StrEnum):
    """Levels an incident can have."""

    ticket = "ticket"
    page = "page"


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tiltmeter feels a fine-tuned model's production traffic drift away from what it was fine-tuned for, "
    "and wakes somebody only when the change is real.\n\n"
    "Start here:  `tiltmeter demo`, or  `tiltmeter fit finetune.jsonl --out bundle`  and  `tiltmeter replay week.jsonl --bundle bundle`",
)
app.add_typer(bundle.app, name="bundle")
app.add_typer(topics.app, name="topics")
app.add_typer(baseline.app, name="baseline")
app.add_typer(packs.app, name="pack")
app.add_typer(probes.app, name="probe")
app.add_typer(incident.app, name="incident")
app.add_typer(grafana.app, name="grafana")
app.command()(expect.expect)
app.command()(deployed.deployed)
app.command()(gate.gate)

Files = Annotated[list[Path], typer.Argument(help="Files: .jsonl, .csv, .parquet, also .gz and .zst.", show_default=False)]
TextField = Annotated[
    str | None, typer.Option("--text", help="Field that holds the prompt: a column or a JSON pointer such as /request/body.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from service.metrics import VERSION

        typer.echo(f"tiltmeter {VERSION}")
        raise typer.Exit


@app.callback()
def tiltmeter(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    """Options that stand before the command."""


@app.command()
def fit(
    files: Files,
    out: Annotated[Path, typer.Option(help="Directory to write the bundle to: new or empty.", show_default=False)],
    encoder: Annotated[
        str, typer.Option(help="Sentence encoder: a hub id or a sentence-transformers directory.")
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    text: TextField = None,
    label: Annotated[str | None, typer.Option(help="Field with a class label; makes the score sharper.")] = None,
    group: Annotated[str | None, typer.Option(help="Field whose rows belong together (a user, a conversation, a document).")] = None,
    calibration: Annotated[
        list[Path] | None, typer.Option(help="Rows kept for calibration instead of a fifth of FILES. Repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split and the topics.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older bundle in the directory.")] = False,
) -> None:
    """Learn a fine-tuning set: write the bundle that `run` and `replay` compare production with.

    The bundle is a directory without pickles; open its report.html to see what can be detected and how fast.

    Examples:

        tiltmeter fit finetune.jsonl --out bundle

        tiltmeter fit train.csv --text question --label intent --out bundle

        tiltmeter fit chats.parquet --group user_id --calibration held_out.jsonl --out bundle
    """
    from service.main.fit_command import fit_bundle

    fit_bundle(files, out, encoder, text, label, group, calibration or [], seed, overwrite)


@app.command()
def replay(
    files: Annotated[list[str], typer.Argument(help="Files in the order of time; - is standard input.", show_default=False)],
    bundle: Annotated[Path | None, typer.Option(help="Bundle to compare with.", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option(help="Take models, budgets and windows from a configuration file.")] = None,
    text: TextField = None,
    time: Annotated[str | None, typer.Option(help="Field that holds the event time: ISO 8601 or epoch seconds.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Prompts per second, for records without a time.")] = None,
    start: Annotated[str, typer.Option(help="Time of the first record when --rate is used.")] = "2000-01-01T00:00:00Z",
    learn_from: Annotated[
        list[Path] | None, typer.Option(help="Clean history (14 days or more) to learn the baseline from first. Repeatable.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="Write one JSON line per prompt: its score and p-value, never its text.")] = None,
    verdicts: Annotated[Path | None, typer.Option(help="Write one JSON line per closed window and stream.")] = None,
    fail_on: Annotated[
        Level | None, typer.Option(help="Leave with status 3 when an incident of this level (or a higher one) opened.")
    ] = None,
) -> None:
    """Play recorded prompts through the detectors in event time, as fast as they can be scored.

    Without history to learn from at most tickets are opened; with `--learn-from` the streams may page.

    Examples:

        tiltmeter replay monday.jsonl --bundle bundle --time created_at

        tiltmeter replay test.csv --text question --bundle bundle --rate 50 --scores scores.jsonl

        zcat week.jsonl.gz | tiltmeter replay - --bundle bundle --time ts --learn-from last_month.jsonl --fail-on page
    """
    from service.main.replay import Options, replay_files

    if rate == 0:
        raise typer.BadParameter("--rate: expected prompts per second, above 0")
    if time and rate:
        raise typer.BadParameter("use --time or --rate, not both")
    options = Options(files, bundle, config, text, time, rate, start, learn_from or [], scores, verdicts)
    reached = replay_files(options)
    if fail_on and (reached == "page" or reached == fail_on):
        raise typer.Exit(REACHED)


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="Configuration file.", show_default=False)],
    role: Annotated[Role, typer.Option(help="worker: score and count. decider: judge. all: both in one process.")] = Role.all,
    log: Annotated[Log, typer.Option(help="Form of the log lines; auto is human on a terminal, else json.")] = Log.auto,
    log_level: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="Least level of a line: DEBUG, INFO, WARNING or ERROR.")
    ] = LogLevel.info,
) -> None:
    """Watch production until told to stop: score prompts, judge windows, serve the page, the API and /metrics on one port.

    SIGTERM flushes what is counted, writes a checkpoint and leaves with status 0.

    Examples:

        tiltmeter run --config tiltmeter.yaml

        TILTMETER_HTTP__PORT=9200 tiltmeter run --config tiltmeter.yaml --role worker
    """
    from service.main.run import serve

    status = serve(config, role.value, log.value, log_level.value)
    if status:
        raise typer.Exit(status)


@app.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(help="Configuration file.", show_default=False)],
    connect: Annotated[
        bool,
        typer.Option(
            "--connect", help="Also try the device, the broker, the databases, the rights that this mode needs, each target and judge."
        ),
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the configuration in force, defaults and environment included.")] = False,
) -> None:
    """Check a configuration before it runs: keys, bundles, and who got what of the page and ticket budgets.

    Examples:

        tiltmeter check-config tiltmeter.yaml

        tiltmeter check-config tiltmeter.yaml --connect
    """
    from service.main.check import check

    if not check(file, connect, show):
        raise typer.Exit(FAILED)


@app.command()
def report(
    config: Annotated[
        Path, typer.Option(help="Configuration file of the service: bundle and history are taken from it.", show_default=False)
    ],
    model: Annotated[str, typer.Option(help="Stable name of the model.", show_default=False)],
    before: Annotated[str, typer.Option(help="Period to compare with: START..END, ISO 8601, UTC without an offset.", show_default=False)],
    after: Annotated[str, typer.Option(help="Period to look at: START..END.", show_default=False)],
    out: Annotated[Path, typer.Option(help="HTML file to write.", show_default=False)],
    slice: Annotated[str, typer.Option(help="A configured slice instead of the model as a whole.")] = "",
) -> None:
    """Lay two periods of a model side by side: scores, p-values, lengths, topics, languages (needs the extra `report`).

    Examples:

        tiltmeter report --config tm.yaml --model bot --before 2026-03-02..2026-03-09 --after 2026-03-09..2026-03-16 --out weeks.html

        tiltmeter report --config c.yaml --model b --slice acme --before 2026-03-02..2026-03-03 --after 2026-03-09..2026-03-10 --out a.html
    """
    from service.main.report import compare

    compare(config, model, slice, before, after, out)


@app.command()
def curate(
    model: Annotated[str, typer.Argument(help="Stable name of the model.", show_default=False)],
    out: Annotated[Path, typer.Option(help="JSON lines file to write.", show_default=False)],
    since: Annotated[str | None, typer.Option(help="Prompts of this time or later: ISO 8601 or epoch seconds.")] = None,
    until: Annotated[str | None, typer.Option(help="Prompts before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1500, help="The first so many.")] = 200,
    url: remote.Url = remote.DEFAULT_URL,
    token_file: remote.TokenFile = None,
) -> None:
    """Fetch strange prompts for labelling: redacted, near duplicates left out, what would widen the fine-tuning set most first.

    Needs `curation.store_text: redacted` in the service's configuration.

    Example:

        tiltmeter curate support-bot --since 2026-03-02 --out label_me.jsonl
    """
    from service.main.curate_command import fetch

    fetch(model, out, since, until, limit, url, token_file)


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Leave when the story is told instead of serving the page.")] = False,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Play it through a real Kafka broker (needs Java and the jars that `make parts` fetches).")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.")] = 9108,
    seed: Annotated[int, typer.Option(help="Seed of the scripted week.")] = 0,
) -> None:
    """Fit an example, learn four weeks of it, and watch a scripted week in which something goes wrong.

    Examples:

        tiltmeter demo

        tiltmeter demo --exit
    """
    from service.main.demo import play

    status = play(leave=leave, kafka=kafka, port=port, seed=seed)
    if status:
        sys.exit(status)
