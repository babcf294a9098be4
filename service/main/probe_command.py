"""``tiltmeter probe``: one round of every suite now, for people and for CI. It needs no running service."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from scipy.stats import beta, binom

from detectors.rounds import bound, smallest_effect
from service.canary.probe import Probe
from service.canary.round import Conduct, conduct
from service.config import Config, load
from service.errors import ConfigError
from service.main.canaries import Canaries
from service.main.clients import Opened
from service.main.junit import write_junit
from service.main.remote import console
from service.main.watches import UNSIGNED
from service.records.probes import Counts, Print, ProbeResult, Round

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from service.store import ProbeHistory

LEVEL = 0.05
"""Probability of calling a category worse than its record when it is not."""

FEWEST = 400
"""Graded answers that make a record."""

_LONGEST = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One category of one round. ``record``: answers it is held against and bad ones among them, None where there is no record.

    ``learned``: answers that there are towards one.
    """

    round: Round
    category: str
    counts: Counts
    record: tuple[int, int] | None
    learned: int = 0

    @property
    def beyond(self) -> bool:
        """More bad answers than the record allows; without a record any bad answer is too many. Nothing is said of half a round."""
        if not self.round.complete or not self.counts.bad:
            return False
        if self.record is None:
            return True
        answers, bad = self.record
        worst = min(bound(bad, answers) + smallest_effect(self.counts.n), 1.0)
        return bool(binom.sf(self.counts.bad - 1, self.counts.n, worst) < LEVEL)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run came to."""

    rows: tuple[Asked, ...]
    results: tuple[ProbeResult, ...]
    rounds: tuple[Round, ...]

    @property
    def incomplete(self) -> bool:
        """Whether some round could not be judged: it did not end, or no answer of a category could be graded."""
        return any(not round.complete for round in self.rounds) or any(not row.counts.n for row in self.rows)

    @property
    def beyond(self) -> bool:
        """Whether some category is worse than it may be."""
        return any(row.beyond for row in self.rows)


def probe_now(path: Path, pack: str | None, suite: str | None, target: str | None, out: Path | None, junit: Path | None) -> Finding:
    """Ask, grade, print and write. Raises ConfigError."""
    config = load(path)
    if pack is not None:
        config = config.model_copy(update={"probes": config.probes.model_copy(update={"packs": [pack], "every": {}})})
    if not config.probes.packs:
        raise ConfigError(f"{path}: probes.packs: nothing to ask; expected names of packs, or --pack")
    if not config.targets:
        raise ConfigError(f"{path}: targets: nobody to ask; expected at least one target of role live")
    canaries = Canaries.load(config)
    chosen = _chosen(canaries, suite, target)
    with ExitStack() as stack:
        lines = stack.enter_context(_opened("--out", out, "w")) if out is not None else None
        if junit is not None:
            _opened("--junit", junit, "a").close()  # before anything is asked: answers cost money
        finding = asyncio.run(_asked(canaries, chosen, lines))
    console().print(_table(finding))
    for row in finding.rows:
        if row.beyond:
            console().print(_said(row), markup=False)
    if junit is not None:
        write_junit(junit, finding.results, finding.rounds)
    return finding


def _opened(option: str, path: Path, mode: Literal["w", "a"]) -> TextIO:
    try:
        return path.open(mode, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be written: {error.strerror}") from None


def _chosen(canaries: Canaries, suite: str | None, target: str | None) -> frozenset[str]:
    """Names of the watches to ask. Those that may not be asked are refused when they were named, else left out and told."""
    found = [watch for watch in canaries.watches if suite in (None, watch.suite.id, watch.suite_name) and target in (None, watch.target)]
    if not found:
        known = sorted({watch.suite_name for watch in canaries.watches}), sorted({watch.target for watch in canaries.watches})
        raise ConfigError(f"--suite, --target: nothing of this name; expected suites {', '.join(known[0])}; targets {', '.join(known[1])}")
    blocked = [watch for watch in found if watch.blocked is not None]
    if len(blocked) == len(found):
        raise ConfigError("; ".join(f"{watch.suite_name}: {watch.blocked}" for watch in blocked))
    for watch in blocked:
        console().print(f"not asked: {watch.suite_name}: {watch.blocked}", markup=False)
    return frozenset(watch.name for watch in found if watch.blocked is None)


async def _asked(canaries: Canaries, chosen: frozenset[str], lines: TextIO | None) -> Finding:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    opened = Opened(canaries)
    history = _history(canaries.config)
    try:
        await opened.prepare(None)
        _require_answers(opened)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        runs = [_Run(probe, lines, bar) for probe in opened.probes if probe.name in chosen and probe.why_not() is None]
        with bar:
            rounds = [round for told in await asyncio.gather(*(run.conduct(canaries) for run in runs)) for round in told]
    finally:
        await opened.aclose()
    rows = tuple(_held(round, category, counts, history) for round in rounds for category, counts in round.counts.items())
    return Finding(rows, tuple(result for run in runs for result in run.results), tuple(rounds))


def _require_answers(opened: Opened) -> None:
    silent = {name: client.capabilities for name, client in opened.clients.items() if not client.capabilities.reached}
    for name, can in silent.items():
        console().print(f"{name} does not answer: {can.reason}", markup=False)


class _Run:
    """One round of one suite, with its answers in memory and in the file."""

    def __init__(self, probe: Probe, lines: TextIO | None, bar: "Progress") -> None:
        self.results: list[ProbeResult] = []
        self._probe, self._lines, self._bar = probe, lines, bar
        self._task = bar.add_task(probe.suite, total=probe.size)

    async def conduct(self, canaries: Canaries) -> list[Round]:
        now = float(int(time.time()))
        probe = self._probe
        id = probe.round_id(probe.live, now, manual=True)
        key = canaries.key or UNSIGNED
        how = Conduct(self._record, time.time, key, canaries.config.probes.store_text, self._progress)
        return await conduct(probe, probe.other(0), id, now, now + _LONGEST, probe.questions(id), [], how)

    async def _record(self, results: Sequence[ProbeResult], prints: Sequence[Print]) -> None:
        self.results += results
        if self._lines is not None:
            for result in results:
                self._lines.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
            self._lines.flush()

    def _progress(self, id: str, done: int, all: int) -> None:
        self._bar.update(self._task, completed=done, total=all)


def _history(config: Config) -> "ProbeHistory | None":
    """The history of the service, for its records; None where it cannot be opened."""
    from service.ledger.contract import Unavailable
    from service.main.connect import sqlite_there, store

    if not sqlite_there(config):
        return None
    try:
        return store(config).probes
    except (ConfigError, Unavailable) as error:
        console().print(f"no records to compare with: {error}", markup=False)
        return None


def _held(round: Round, category: str, counts: Counts, history: "ProbeHistory | None") -> Asked:
    record = history.record_counts(round.target, round.suite, round.key, FEWEST).get(category) if history is not None else None
    if record is None or record[0] < FEWEST:
        return Asked(round, category, counts, None, record[0] if record is not None else 0)
    return Asked(round, category, counts, record)


def _table(finding: Finding) -> "Table":
    from rich.table import Table

    table = Table("target", "suite", "category", "answers", "bad", "95% interval", "unscored", "errors", "record", "", box=None)
    for row in finding.rows:
        counts, round = row.counts, row.round
        low, high = _interval(counts.bad, counts.n)
        share = f"{low:.1%} to {high:.1%}" if counts.n else "-"
        record = "-" if row.record is None else f"{row.record[1] / row.record[0]:.1%} of {row.record[0]}"
        cells = (round.target, round.suite, row.category, str(counts.n), str(counts.bad), share, str(counts.unscored), str(counts.error))
        table.add_row(*cells, record, _state(row))
    for round in finding.rounds:
        if not round.counts:
            table.add_row(round.target, round.suite, "", "0", "", "-", "", "", "-", f"[yellow]inconclusive: {round.reason}[/yellow]")
    return table


def _state(row: Asked) -> str:
    if not row.round.complete:
        return f"[yellow]inconclusive: {row.round.reason}[/yellow]"
    if not row.counts.n:
        return "[yellow]nothing was graded[/yellow]"
    return "[red]bad[/red]" if row.beyond else "[green]ok[/green]"


def _interval(bad: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's, 95%."""
    if not n:
        return 0.0, 1.0
    low = float(beta.ppf(0.025, bad, n - bad + 1)) if bad else 0.0
    return low, float(beta.ppf(0.975, bad + 1, n - bad)) if bad < n else 1.0


def _said(row: Asked) -> str:
    counts = row.counts
    against = (
        f"there is no record ({row.learned} of {FEWEST} answers), so every bad answer counts"
        if row.record is None
        else f"its record has {row.record[1]} of {row.record[0]}"
    )
    return f"{row.round.suite}/{row.category}: {counts.bad} of {counts.n} answers are bad; {against}"
