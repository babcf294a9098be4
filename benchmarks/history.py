"""What a day of one model with many slices leaves in the history: rows and megabytes, as it is written and after a round of housekeeping.

    python -m benchmarks.history [--slices 50] [--topics 100]

Windows of a minute in event time, SQLite in a temporary folder. ``every`` writes a verdict of each slice in each window, as it was once.
"""

import argparse
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np

from detectors.sketch import BINS, LENGTHS, Sketch
from service.decider.budget import PAGING, SLICED, TICKETS
from service.decider.closed import Closed
from service.language import LANGUAGES
from service.records import WHOLE, DeltaKey, Verdict
from service.store import Store, retention

DAY = 86_400
WORDS = "3.61% strange (2.90% to 4.41%) in the last 60 windows; normal 3.55%"


def sketch(rng: np.random.Generator, n: int, topics: int) -> Sketch:
    tables = (rng.multinomial(n, rng.dirichlet(np.ones(size))) for size in (BINS, topics + 1, LENGTHS, len(LANGUAGES)))
    return Sketch(n, n // 28, n // 150, 0, 12 * n, 60 * n, *tables, np.zeros(0, np.int64))


def day(slices: int, topics: int) -> list[Closed]:
    """Every window of a day: the whole model, and each slice with its part of the prompts."""
    rng = np.random.default_rng(0)
    places = [(WHOLE, (*PAGING, *TICKETS)), *((f"tenant-{i:02}", SLICED) for i in range(slices))]
    pool = {slice_: [sketch(rng, 1000 if slice_ == WHOLE else 20, topics) for _ in range(20)] for slice_, _ in places}
    steps = []
    for start in range(0, DAY, 60):
        verdicts = tuple(
            Verdict(start, start + 60, "bot", slice_, stream, 20, 0.04, 0.0355, -0.006, 0.009, 1.4, 6.8, 1.1, 5.2, "ok", WORDS)
            for slice_, streams in places
            for stream in streams
        )
        steps.append(
            Closed(start, {DeltaKey("b" * 64, "bot", slice_, start): pool[slice_][start // 60 % 20] for slice_, _ in places}, verdicts)
        )
    return steps


def measure(steps: list[Closed], folder: Path, name: str) -> None:
    """Write a day, fold it, say what is there before and after."""
    path = folder / f"{name}.db"
    store = Store.open(f"sqlite:///{path}")
    began = time.perf_counter()
    for at in range(0, len(steps), 10):
        store.upsert(steps[at : at + 10])
    written = time.perf_counter() - began
    told = [f"{name:>6}: {_size(store, path)}, {1000 * written / len(steps):.1f} ms a window"]
    if name == "now":
        longest, began = 0.0, time.perf_counter()
        for _ in store.fold(0, DAY):
            longest, began = max(longest, time.perf_counter() - began), time.perf_counter()
        told.append(f"folded: {_size(store, path)}, longest step {1000 * longest:.0f} ms")
    store.close()
    print("\n".join(told))


def _size(store: Store, path: Path) -> str:
    with store._engine.connect() as connection:
        rows = [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in ("verdicts", "windows")]
        connection.exec_driver_sql("VACUUM")
    return f"{rows[0]:,} verdicts and {rows[1]:,} windows a day, {path.stat().st_size / 1e6:.1f} MB"


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--topics", type=int, default=100)
    options = parser.parse_args()
    steps = day(options.slices, options.topics)
    with tempfile.TemporaryDirectory() as folder:
        with mock.patch.object(retention, "is_kept", return_value=True):
            measure(steps, Path(folder), "every")
        measure(steps, Path(folder), "now")


if __name__ == "__main__":
    main()
