"""What the streams do, in one table each for worlds in which nothing changes and for changes; ``python -m benchmarks.quality`` prints both.

The figures are those of benchmarks/seasons.py, topic_mix.py, embedding_nulls.py, changes.py and all_streams.py at their numbers of runs,
or at a tenth of them. Every run learns its own baselines; a run whose baseline may not page, or breaks its replay, is demoted: it pages
nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import all_streams, changes, embedding_nulls, embedding_shift, seasons, topic_mix

DAYS = 90
RUNS = {"share": 40, "topics": 20, "embedding": 20, "changes": 200, "swaps": 100, "texts": 20}
FEWER = 10
SEEDS = {"share": 11, "topics": 20_260_102, "embedding": 20_260_101, "changes": 21, "texts": 31}
BUDGET = {"ood_share": 1.0, "topic_mix": 1 / topic_mix.STREAMS, "embedding_shift": embedding_shift.PAGES_BAR}


@dataclass(frozen=True)
class Quiet:
    """A world in which nothing changes: pages (R,) of a stream in 90 days, and the share of runs demoted to tickets."""

    stream: str
    world: str
    pages: NDArray[np.int64]
    demoted: float

    @property
    def kept(self) -> bool:
        """Whether the mean is within the budget of the stream."""
        return bool(self.pages.mean() <= BUDGET[self.stream])


@dataclass(frozen=True)
class Moved:
    """A change: windows to the page (R,), inf where it was missed; ``limit`` of the median, None where there is no bar."""

    stream: str
    world: str
    change: str
    waited: NDArray[np.float64]
    limit: float | None
    kept: bool


def quiet(data: Path, fewer: bool) -> Iterator[Quiet]:
    """Every null world of every stream that has one."""
    runs = _runs(fewer)
    for name, make in seasons.NULLS.items():
        out = seasons.simulate(make, runs["share"], SEEDS["share"])
        yield Quiet("ood_share", name, out.paged, 1 - float(out.kept.mean()))
    for name, kind in topic_mix.WORLDS.items():
        pages, learned = topic_mix.false_pages(kind, runs["topics"], DAYS, SEEDS["topics"])
        yield Quiet("topic_mix", name, pages, 1 - float(np.mean([b.may_page for b in learned])))
    rows = embedding_shift.Rows(data, SEEDS["embedding"])
    for name in embedding_shift.WORLDS:
        (_, pages), baselines = embedding_nulls.false_pages(rows, name, runs["embedding"], DAYS, SEEDS["embedding"])
        yield Quiet("embedding_shift", name, pages, 1 - float(np.mean([b.may_page for b in baselines])))


def moved(data: Path, fewer: bool) -> Iterator[Moved]:
    """Every change."""
    runs = _runs(fewer)
    for world in changes.WORLDS:
        for row in changes.measured(world, list(changes.CHANGES), runs["changes"], SEEDS["changes"]):
            yield Moved("ood_share", world, row.change, row.found.waited, row.limit, row.kept)
    for world in topic_mix.SWAPS:
        waited, named, _ = topic_mix.swaps(topic_mix.SWAPS[world], runs["swaps"], SEEDS["topics"])
        kept = bool(np.median(waited) <= topic_mix.DELAY_BAR and named.mean() >= topic_mix.NAMED_BAR)
        yield Moved("topic_mix", world, "10% to one topic", waited, topic_mix.DELAY_BAR, kept)
    for change, streams in all_streams.measured(data, None, list(all_streams.CHANGES), runs["texts"], SEEDS["texts"]):
        for (name, stream), limit in all_streams.BARS.items():
            if name == change:
                yield Moved(stream, "texts, iid", change, streams[stream], limit, all_streams.middle(streams[stream]) <= limit)
        yield Moved(all_streams.FIRST, "texts, iid", change, streams[all_streams.FIRST], None, all_streams.kept(change, streams))


def show(data: Path, fewer: bool) -> bool:
    """Print both tables, row by row; whether all bars are kept."""
    all_kept = True
    print("| nothing changes | stream | runs | demoted | pages per 90 days | upper 95% | budget | bar |\n|---|---|---|---|---|---|---|---|")
    for one in quiet(data, fewer):
        all_kept &= one.kept
        mean, upper = one.pages.mean(), seasons.upper(one.pages)
        print(
            f"| {one.world} | {one.stream} | {one.pages.size} | {one.demoted:.0%} | {mean:.2f} | {upper:.2f} "
            f"| {BUDGET[one.stream]:.1f} | {'kept' if one.kept else 'MISSED'} |",
            flush=True,
        )
    print("\n| change | world | stream | runs | delay median | 90% | missed | bar |\n|---|---|---|---|---|---|---|---|")
    for row in moved(data, fewer):
        all_kept &= row.kept
        middle, late = changes.middle_and_late(row.waited)
        missed, bar = np.isinf(row.waited).mean(), "" if row.limit is None else f"{row.limit:.0f} "
        print(
            f"| {row.change} | {row.world} | {row.stream} | {row.waited.size} | {middle:.0f} | {late:.0f} | {missed:.0%} "
            f"| {bar}{'kept' if row.kept else 'MISSED'} |",
            flush=True,
        )
    return all_kept


def _runs(fewer: bool) -> dict[str, int]:
    return {name: max(runs // FEWER, 2) if fewer else runs for name, runs in RUNS.items()}
