"""``tiltmeter report``: two periods of one model side by side, drawn by evidently from stored counts."""

import os
import warnings
from html import escape
from pathlib import Path
from typing import Any

import typer

from service.bundle import Bundle
from service.config import load
from service.errors import ConfigError, DataError
from service.ledger.contract import Unavailable
from service.main.connect import store
from service.main.periods import Period, Span, add_up, columns

_CLOSED = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; font-src data:; img-src data: blob:\">"
)
"""The browser fetches nothing, whatever a later evidently may ask for."""


def compare(config_file: Path, model: str, slice: str, before: str, after: str, out: Path) -> None:
    """Write the page and say what it stands on.

    Raises:
        ConfigError: evidently is not installed, or an option cannot be.
        DataError: a period without prompts, or a history that does not answer.
    """
    evidently = _evidently()
    config = load(config_file)
    if model not in config.models:
        raise ConfigError(f"--model: no model {model!r} in {config_file}; expected one of {', '.join(config.models)}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"--out: the directory of {out} does not exist")
    spans = {"--before": Span.parse("--before", before), "--after": Span.parse("--after", after)}
    bundle = Bundle.load(config.models[model].bundle)
    try:
        history = store(config)
    except Unavailable as error:
        raise DataError(str(error)) from None
    try:
        periods = [
            add_up(history.period(model, slice, span.since, span.until), bundle.digest, f"{option}: {span}")
            for option, span in spans.items()
        ]
    finally:
        history.close()
    notes = [_note(name, span, period) for name, span, period in zip(("before", "after"), spans.values(), periods, strict=True)]
    page = _draw(evidently, bundle, periods)
    heading = f"{model}{f', slice {slice}' if slice else ''}: two periods side by side"
    out.write_text(_framed(page, heading, notes), encoding="utf-8")
    for note in notes:
        typer.echo(note)
    typer.echo(f"{out} is written; evidently's tests know no false-page budget: they describe, they do not alarm")


def _evidently() -> Any:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its dependencies warn of each other
            import evidently
            import evidently.presets
            import pandas  # noqa: F401
    except ImportError:
        raise ConfigError("`tiltmeter report` needs the extra 'report' (pip install 'tiltmeter[report]')") from None
    return evidently


def _note(name: str, span: Span, period: Period) -> str:
    weight = f"{period.rows:,} rows, each for {period.n / period.rows:,.1f} prompts" if period.n > period.rows else f"{period.rows:,} rows"
    note = f"{name}: {span}, {period.n:,} prompts in {period.windows:,} windows ({weight})"
    if period.others:
        note += f"; {period.others:,} windows of other bundles are left out"
    missing = [name for name, counts in (("lengths", period.lengths), ("languages", period.languages)) if counts is None]
    return note + (f"; {' and '.join(missing)} were not kept for all of it" if missing else "")


def _draw(evidently: Any, bundle: Bundle, periods: list[Period]) -> str:
    """evidently's page: DataDriftPreset over the columns that both periods have."""
    from pandas import DataFrame

    rebuilt = [columns(period, bundle, seed) for seed, period in enumerate(periods)]
    numerical, categorical = ([name for name in rebuilt[0][kind] if name in rebuilt[1][kind]] for kind in (0, 1))
    definition = evidently.DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
    before, after = (
        evidently.Dataset.from_pandas(
            DataFrame({name: (numbers | words)[name] for name in (*numerical, *categorical)}), data_definition=definition
        )
        for numbers, words in rebuilt
    )
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        return str(evidently.Report([evidently.presets.DataDriftPreset()]).run(after, before).get_html_str(as_iframe=False))


def _framed(page: str, heading: str, notes: list[str]) -> str:
    """With a heading that says what is compared, and shut off from the network."""
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    frame = (
        f'<div style="font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 1rem auto"><h1>{escape(heading)}</h1>{said}'
        "<p>Rebuilt from the counts of closed windows: every column has the values of its period, in an order of its own; p-values, scores "
        "and lengths are middles of bins. Reference is the period before, current the period after.</p></div>"
    )
    head, found, rest = page.partition("<head>")
    start, body, end = rest.partition("<body>")
    if not (found and body):
        raise RuntimeError("evidently's page has no head and body to write into")
    return f"{head}<head>{_CLOSED}<title>{escape(heading)}</title>{start}<body>{frame}{end}"
