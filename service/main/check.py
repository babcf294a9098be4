"""``tiltmeter check-config``: what would happen, before it does."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from service.api import words
from service.config import Config, bearer_token, effective, grafana_token, load
from service.decider.budget import PAGING, SLICED, TICKETS, StreamKey, layout, shares
from service.errors import TiltmeterError
from service.main import check_probes
from service.main.canaries import Canaries
from service.main.connect import ledger, store
from service.main.models import Graphs, Models
from service.main.remote import console as terminal
from service.records import WHOLE

OK, BAD = "[green]ok[/green]", "[red]no[/red]"


def check(path: Path, connect: bool, show: bool) -> bool:
    """Print bundles, budgets and (with ``connect``) every connection; whether all is well.

    Raises ConfigError for the first mistake in the file or a bundle.
    """
    console = terminal()
    config = load(path)
    console.print(f"{OK}  {path}")
    if show:
        console.print(effective(config), markup=False)
    if config.grafana.annotations:
        grafana_token(config.grafana)
    models = Models.load(config, shadows=True)
    for name, bundle in models.bundles.items():
        console.print(f"{OK}  bundle of {name}: {bundle.digest[:12]}, {bundle.manifest.counts.reference:,} reference rows")
        if shadow := models.shadows.get(name):
            encoder = "the same encoder" if shadow.encoder_digest == bundle.encoder_digest else "another encoder: texts are encoded twice"
            rows = f"{shadow.manifest.counts.reference:,} reference rows"
            console.print(f"{OK}  shadow of {name}: {shadow.digest[:12]}, {rows}, {encoder}; it wakes nobody")
    canaries = Canaries.load(config) if config.targets else None
    weights = _weights(config, canaries)
    console.print(_budgets(config, weights))
    for line in _remarks(config):
        console.print(f"[yellow]note[/yellow]  {line}")
    if canaries is not None:
        console.print(check_probes.suites(canaries))
        console.print(check_probes.endpoints(canaries))
        for line in check_probes.notes(canaries, weights):
            console.print(f"[yellow]note[/yellow]  {line}")
    return _connect(config, models, canaries, console) if connect else True


@dataclass(frozen=True, slots=True)
class _Weights:
    """What the split of the budgets reads of a model."""

    weight: float
    slices: tuple[str, ...]
    slices_weight: float
    probes_weight: float = 0.0


def _weights(config: Config, canaries: Canaries | None) -> dict[str, _Weights]:
    probed = {stream.model_name for stream in canaries.streams} if canaries is not None else set()
    return {
        name: _Weights(m.weight, tuple(m.slices.values), m.slices.weight, config.probes.weight if name in probed else 0.0)
        for name, m in config.models.items()
    }


def _budgets(config: Config, models: Mapping[str, _Weights]) -> Table:
    """Who got what of both budgets: a line for each stream of a model, one for all its slices together. Probes are told below."""
    keys, parts = layout(models), shares(models)
    table = Table(
        "model", "stream", "owner", "tickets", "one false ticket per", "threshold", "pages", "one false page per", "threshold", box=None
    )
    for name, model in config.models.items():
        for stream in (*PAGING, *TICKETS):
            at = keys.index(StreamKey(name, WHOLE, stream))
            table.add_row(name, stream, model.owner, *_split(config, parts[:, at], parts[:, at]))
        sliced = [i for i, key in enumerate(keys) if key.model_name == name and key.slice != WHOLE]
        if sliced:
            what = f"{len(model.slices.values)} slices, {len(SLICED)} streams each"
            table.add_row(name, what, model.owner, *_split(config, parts[:, sliced].sum(axis=1), parts[:, sliced[0]]))
    return table


def _split(config: Config, together: NDArray[np.float64], each: NDArray[np.float64]) -> Iterator[str]:
    """Part, period and threshold of tickets, then of pages: of all ``together``, the threshold of ``each``; (2,) parts of the budgets."""
    periods, allowed = (config.budgets.ticket, config.budgets.page), (True, config.detection.paging)
    for period, may, part, single in zip(periods, allowed, together.tolist(), each.tolist(), strict=True):
        if part and may:
            yield f"{part:.1%}"
            yield words.span(period / part)
            yield f"10^{math.log10(period / single / config.windows.length):.2f}"
        else:
            yield from ("-", "never", "-")


def _remarks(config: Config) -> list[str]:
    """What works, and is perhaps not meant."""
    remarks = []
    if bearer_token(config.http) is None:
        remarks.append("no token is set (http.token_file or TILTMETER_TOKEN): everything that writes over HTTP is refused")
    if config.http.host in ("127.0.0.1", "localhost", "::1"):
        remarks.append(f"the web server listens on {config.http.host} only")
    remarks += [
        f"model {name} has no owner: its alerts are routed to nobody in particular"
        for name, m in config.models.items()
        if m.owner == "unowned"
    ]
    if config.windows.clock == "event":
        remarks.append("windows.clock is event: only the data move time, nothing is ever blind or idle")
    return remarks


def _connect(config: Config, models: Models, canaries: Canaries | None, console: Console) -> bool:
    """Try everything a running service would need; every finding is printed."""
    fine = True
    parts: dict[str, Callable[[], str]] = {
        "device": lambda: f"every graph opens on {Graphs(models, config.compute).device}",
        "ledger": lambda: _ledger_answers(config),
        "history": lambda: _history_answers(config),
    }
    if config.grafana.url is not None:
        from service.main.grafana import answers as grafana_answers

        parts["grafana"] = lambda: grafana_answers(config.grafana)
    for name, answers in parts.items():
        try:
            answer = answers()
        except TiltmeterError as error:
            fine = False
            console.print(f"{BAD}  {name}: ", end="")
            console.print(str(error), markup=False)
        else:
            console.print(f"{OK}  {answer}")
    from service.source.access import connect

    for finding in (*connect(config), *(check_probes.answers(canaries) if canaries is not None else ())):
        fine = fine and finding.ok
        console.print(f"{OK if finding.ok else BAD}  ", end="")
        console.print(finding.text, markup=False)
    return fine


def _ledger_answers(config: Config) -> str:
    """A Kafka ledger is tried with its rights, below."""
    opened = ledger(config, "check-config")
    opened.positions()
    opened.close()
    return "ledger answers"


def _history_answers(config: Config) -> str:
    store(config).close()
    return "history answers"
