"""Recorded prompts through pipeline and decider in event time, in one thread and in memory; nothing is kept."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.config import Config
from service.decider.closed import Closed
from service.decider.decider import Decider
from service.main import connect
from service.pipeline.pipeline import Pipeline, Source
from service.pipeline.scoring import Scoring
from service.pipeline.snapshot import PipelineSnapshot
from service.records import Command, Deltas, Entry, Partition, Prompt, Report, Scores

Scored = Callable[[Sequence[Prompt], Scores], None]
Decided = Callable[[Sequence[Closed]], None]


class Memory:
    """A ledger of one process and one run: what is appended is decided at once and forgotten."""

    def __init__(self, decider: Decider, decided: Decided) -> None:
        self._decider, self._decided = decider, decided

    def append(self, parts: Sequence[Deltas], report: Report, lease: Any) -> frozenset[str]:
        """See service.ledger.contract; there are no repeats."""
        first = self._decider.position
        pairs = [pair for part in parts for pair in part.sketches.items()]
        entries = [Entry(first + number, pair) for number, pair in enumerate(pairs)]
        self._decider.absorb([*entries, Entry(first + len(pairs), report)])
        self._decided(self._decider.close_due(None))
        return frozenset()

    def positions(self) -> Mapping[Partition, int]:
        """Always from the start."""
        return {}

    def submit(self, command: Command) -> None:
        """Apply a command now."""
        self._decider.absorb([Entry(self._decider.position, command)])
        self._decided(self._decider.close_due(None))

    def watermark(self) -> float:
        """The decider's own."""
        return self._decider.watermark

    def close(self) -> None:
        """Nothing to let go of."""


def play(
    config: Config,
    scoring: Scoring,
    decider: Decider,
    *,
    source: Source | None = None,
    decided: Decided = lambda steps: None,
    scored: Scored = lambda prompts, scores: None,
    observe: Callable[[PipelineSnapshot], None] = lambda snapshot: None,
) -> PipelineSnapshot:
    """Read the configured files, or ``source``, to their end; the last snapshot of the pipeline.

    Raises:
        DataError: a file cannot be read, names the line.
    """
    ledger = Memory(decider, decided)
    source = connect.source(config, "replay", ledger) if source is None else source
    stop = threading.Event()
    last = PipelineSnapshot()

    def watch(snapshot: PipelineSnapshot) -> None:
        nonlocal last
        last = snapshot
        observe(snapshot)
        if snapshot.ended:
            stop.set()

    pipeline = Pipeline(
        source,
        ledger,
        scoring,
        windows=config.windows,
        worker="replay",
        observe=watch,
        scored=scored,
        clock=time.time,
        flush_limit=math.inf,  # a flush here also judges every window it completes, days of them at times
    )
    try:
        pipeline.run(stop)
    finally:
        source.close()
    return last
