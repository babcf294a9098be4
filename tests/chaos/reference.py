"""What an undisturbed run says: one process, one partition, no interruption, through the same pipeline, ledger and decider."""

import threading
from collections.abc import Sequence
from pathlib import Path

from chaos.serve import has_bundles, watched

from service.config import Config, load
from service.decider.decider import Decider
from service.ledger.sql import SqlLedger
from service.ledger.sql_journal import SqlJournal
from service.main.models import Graphs, Models
from service.pipeline.pipeline import Pipeline
from service.pipeline.scoring import Scoring
from service.records import Batch, Progress, Prompt, Span, Verdict
from stub import StubScoring


class OneSource:
    """All prompts in order, from one partition."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts, self._at = prompts, 0

    def poll(self, limit: int, timeout: float) -> Batch:
        start, self._at = self._at, min(len(self._prompts), self._at + limit)
        rows = self._prompts[start : self._at]
        progress = {"file": Progress(self._prompts[self._at - 1].time, ended=self._at == len(self._prompts))}
        return Batch(rows, {"file": Span(start, self._at)} if rows else {}, progress, frozenset({"file"}))

    def rewind(self) -> None:
        raise AssertionError("nothing disturbs this run")

    def committed(self, batch: Batch, repeats: frozenset[str], watermark: float) -> None:
        pass

    def close(self) -> None:
        pass


def scoring(config: Config) -> Scoring:
    return Graphs(Models.load(config), config.compute).scoring() if has_bundles(config) else StubScoring()


def verdicts(prompts: Sequence[Prompt], config: Config, folder: Path) -> list[Verdict]:
    """Of every window and stream, in order."""
    url = f"sqlite:///{folder}/reference.db"
    stop = threading.Event()
    ledger = SqlLedger.open(url, durable=False)
    worker = Pipeline(
        OneSource(prompts),
        ledger,
        scoring(config),
        windows=config.windows,
        worker="reference",
        observe=lambda snapshot: stop.set() if snapshot.ended else None,
    )
    worker.run(stop)
    journal = SqlJournal.open(url)
    assert journal.acquire(5)
    decider = Decider(watched(config), config)
    found: list[Verdict] = []
    while entries := journal.read(decider.position, 5000, 0.1):
        decider.absorb(entries)
        found += [verdict for step in decider.close_due(None) for verdict in step.verdicts]
    journal.close()
    ledger.close()
    return found


__all__ = ["load", "verdicts"]
