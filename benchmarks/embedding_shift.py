"""Embedding shift on sentence vectors: delays of shifts inside the support, and false pages where nothing changes.

    .venv/bin/python -m benchmarks.embedding_shift --data DIR [--runs 10] [--nulls 2] [--days 90] [--world iid ...] [--shift decile ...]
    .venv/bin/python -m benchmarks.embedding_shift --data DIR --replays 4

Texts are the train and validation questions of CLINC150, encoded once (about a minute). 200 prompts a window, 28 days learned in every
run, one page in 90 days for five streams of equal weight. Worlds: iid; sessions of 10 to 20 prompts of one intent inside a window or one
prompt a window; rhythm (the mix of intents and the volume follow hour and weekday); day5 and day10 (every day each intent's share is
multiplied by a factor of its own, of that deviation). Shifts: a share of the prompts is drawn from half, third, decile (the rows of each
intent that lie furthest along the first principal component of all rows about the mean of their intent, towards its longer tail: other
wording, same mix of intents), swap (rows of one intent), or rewritten (validation questions in another frame, see FRAME, balanced over
intents). A run of 90 days takes about two minutes. ``--replays``
says how often the replay of the 28 days learned keeps the stream from paging; day20 and day30 go beyond what a baseline allows for.
Exit status 1 when a bar is missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import gammaincinv

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from detectors.crossings import BUDGETS
from detectors.embedding_baseline import HOURS, EmbeddingBaseline, EmbeddingLearner
from detectors.embedding_shift import EmbeddingShift
from detectors.features import Fourier
from detectors.promise import Counted
from detectors.replay import Embedding, Parts, count
from service.config import Compute
from service.encoder import Encoder
from service.fit.encoder_files import write_encoder
from service.fit.sentence_transformer import DEFAULT_ENCODER

FRAME = "hi there, could you please help me with this: {} thank you so much"
"""Another wording of the same question."""

PROMPTS, HOUR, DAY, LEARNING_DAYS = 200, 60, 1440, 28
BUDGET_WINDOWS, STREAMS = 90 * DAY, 5
PAGE_RATE = 1 / (STREAMS * BUDGET_WINDOWS)
LOOSE_RATE = 1 / 1000
"""Pages are rare: that the bets keep a loose budget, too, says more of them."""

DELTA = 0.01 / STREAMS
SHORTEST, LONGEST = 10, 20
WORLDS = ("iid", "inside", "spanning", "rhythm", "day5", "day10")
BEYOND = ("day20", "day30")
"""Worlds that a baseline does not claim to cover."""

SHIFTS = {"half": 1 / 2, "third": 1 / 3, "decile": 1 / 10}
DELAY_BAR, PAGES_BAR, LIMIT = 60, 1 / STREAMS, 1440
Windows = tuple[NDArray[np.int64], NDArray[np.int64]]


class Rows:
    """Fixed-point features (N, F) float32 of all rows, ordered by intent, with ``first`` and ``many`` of each."""

    def __init__(self, data: Path, seed: int) -> None:
        splits = json.loads((data / "clinc_oos" / "data_full.json").read_text())
        usual = [*splits["train"], *splits["val"]]
        encoded = _vectors([text for text, _ in usual] + [FRAME.format(text) for text, _ in splits["val"]])
        vectors, rewritten = encoded[: len(usual)], encoded[len(usual) :]
        labels = [label for _, label in usual]
        _, intent = np.unique(labels, return_inverse=True)
        order = np.argsort(intent, kind="stable")
        self.vectors, self.intent = vectors[order], intent[order]
        self.many = np.bincount(self.intent)
        self.first = np.cumsum(self.many) - self.many
        fourier = Fourier.fit(self.vectors, seed)
        self.features = np.concatenate([fourier.fixed_point(rows).astype(np.float32) for rows in (self.vectors, rewritten)])
        self.rewritten = len(self.vectors) + np.arange(len(rewritten))

    def wording(self, share: float) -> list[NDArray[np.int64]]:
        """Rows of each intent that lie furthest along the common direction of wording."""
        about = np.concatenate([part - part.mean(axis=0) for part in np.split(self.vectors, self.first[1:])])
        value, vector = np.linalg.eigh(about.T @ about)
        along = about @ vector[:, value.argmax()]
        along *= np.sign((along**3).sum())
        return [f + np.argsort(-along[f : f + m])[: max(1, round(m * share))] for f, m in zip(self.first, self.many, strict=True)]


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """(N, d) float32 unit vectors by the default encoder."""
    with TemporaryDirectory() as folder:
        settings = write_encoder(DEFAULT_ENCODER, Path(folder))
        return Encoder(Path(folder), settings, Compute(device="cpu")).encode(texts).vectors


class Traffic:
    """Windows of one run, drawn a day at a time."""

    def __init__(self, rows: Rows, world: str, rng: np.random.Generator) -> None:
        self.rows, self.world, self.rng, self.day = rows, world, rng, 0
        self.phase = rng.uniform(0, 2 * np.pi, rows.many.size)
        self.weekend = np.exp(0.5 * rng.standard_normal(rows.many.size))
        self.usual = rng.dirichlet(np.ones(rows.many.size)) if world != "iid" else np.full(rows.many.size, 1 / rows.many.size)
        self._later: Windows = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def draw(self) -> Windows:
        """n (1440,) and feature sums (1440, F) of the next day."""
        window, row = self._sessions() if self.world in ("inside", "spanning") else self._prompts()
        self.day += 1
        return self.summed(window, row)

    def summed(self, window: NDArray[np.int64], row: NDArray[np.int64]) -> Windows:
        """Sums by window of a day."""
        pick = scipy.sparse.csr_matrix((np.ones(row.size, np.float32), (window, row)), shape=(DAY, len(self.rows.features)))
        return np.bincount(window, minlength=DAY), (pick @ self.rows.features).astype(np.int64)

    def _prompts(self) -> Windows:
        size, usual = np.full(DAY, PROMPTS), self.usual
        if self.world.startswith("day"):
            spread = np.log1p((int(self.world[3:]) / 100) ** 2)
            usual = usual * np.exp(np.sqrt(spread) * self.rng.standard_normal(usual.size))
        parts = []
        for hour in range(24):
            share = usual
            if self.world == "rhythm":
                share = usual * np.exp(0.8 * np.cos(2 * np.pi * hour / 24 - self.phase)) * (self.weekend if self.day % 7 >= 5 else 1)
                size[hour * HOUR : (hour + 1) * HOUR] = round(PROMPTS * (1 + 0.4 * np.cos(2 * np.pi * (hour - 14) / 24)))
            parts.append(self._of(share, int(size[hour * HOUR : (hour + 1) * HOUR].sum())))
        return np.repeat(np.arange(DAY), size), np.concatenate(parts)

    def _of(self, share: NDArray[np.float64], size: int) -> NDArray[np.int64]:
        cumulative = np.cumsum(share)
        intent = np.searchsorted(cumulative, self.rng.random(size) * cumulative[-1])
        return self._rows(intent)

    def _rows(self, intent: NDArray[np.int64]) -> NDArray[np.int64]:
        many = self.rows.many[intent]
        return np.asarray(self.rows.first[intent] + (self.rng.random(intent.size) * many).astype(np.int64))

    def _sessions(self) -> Windows:
        started = self.rng.poisson(2 * PROMPTS / (SHORTEST + LONGEST), DAY)
        length = self.rng.integers(SHORTEST, LONGEST + 1, started.sum())
        intent = np.searchsorted(np.cumsum(self.usual)[:-1], self.rng.random(length.size))
        window = np.repeat(np.repeat(np.arange(DAY), started), length)
        row = self._rows(np.repeat(intent, length))
        if self.world == "spanning":
            window = window + np.arange(window.size) - np.repeat(np.cumsum(length) - length, length)
            window, row = np.append(self._later[0], window), np.append(self._later[1], row)
            late = window >= DAY
            self._later = window[late] - DAY, row[late]
            window, row = window[~late], row[~late]
        return window, row


def learn(traffic: Traffic) -> EmbeddingBaseline:
    """The baseline of the first 28 days."""
    learner = EmbeddingLearner()
    for day in range(LEARNING_DAYS):
        n, sums = traffic.draw()
        for window in range(DAY):
            week, hour = divmod(day * 24 + window // HOUR, HOURS)
            learner.add(week, hour, int(n[window]), sums[window])
    return learner.fit(DELTA)


def false_pages(rows: Rows, world: str, seed: int, days: int) -> tuple[int, int, EmbeddingBaseline]:
    """Pages in ``days`` days that are like the 28 before, and crossings at :data:`LOOSE_RATE`."""
    traffic = Traffic(rows, world, np.random.default_rng(seed))
    baseline = learn(traffic)
    shift, pages, loose = EmbeddingShift.fit(baseline, LOOSE_RATE, PAGE_RATE), 0, 0
    for day in range(days):
        n, sums = traffic.draw()
        for window in range(DAY):
            said = shift.update((day * 24 + window // HOUR) % HOURS, int(n[window]), sums[window])
            pages, loose = pages + int(said.page[0]), loose + int(said.ticket[0])
    return pages, loose, baseline


def replay_row(rows: Rows, world: str, runs: int, seed: int) -> None:
    """Print how often the replay of learned days keeps the stream from paging."""
    hour = np.arange(LEARNING_DAYS * DAY) // HOUR
    parts = Parts.cut(hour // 24 + 1, hour % HOURS, 7)
    kept, total = [], np.zeros(4, np.int64)
    for run in range(runs):
        traffic, learner, found = Traffic(rows, world, np.random.default_rng(seed + run)), EmbeddingLearner(), []
        for day in range(LEARNING_DAYS):
            n, sums = traffic.draw()
            clock = [divmod(day * 24 + window // HOUR, HOURS) for window in range(DAY)]
            found += [learner.add(*clock[window], int(n[window]), sums[window]) for window in range(DAY)]
        made = Embedding(parts, np.stack(found), DELTA)
        [crossings] = count([made], parts)
        kept.append(Counted(crossings[:, 0], made.windows).judge(1 / PAGE_RATE).kept)
        total += crossings[:, 0]
    allowed = " ".join(f"{made.windows / budget:.0f}" for budget in BUDGETS)
    print(f"| {world} | {runs} | {np.mean(kept):.0%} | {' '.join(str(round(c / runs)) for c in total.tolist())} of {allowed} |", flush=True)


def changed(rows: Rows, kind: str, share: float, rng: np.random.Generator) -> Windows:
    """A day of iid traffic of which ``share`` of the prompts are replaced."""
    traffic = Traffic(rows, "iid", rng)
    row = rng.integers(0, len(rows.vectors), DAY * PROMPTS)
    replaced = np.flatnonzero(rng.random(row.size) < share)
    if kind == "swap":
        intent = int(rng.integers(rows.many.size))
        row[replaced] = rows.first[intent] + rng.integers(0, rows.many[intent], replaced.size)
    elif kind == "rewritten":
        row[replaced] = rng.choice(rows.rewritten, replaced.size)
    else:
        wording = rows.wording(SHIFTS[kind])
        for intent, rows_there in enumerate(wording):
            mine = replaced[rows.intent[row[replaced]] == intent]
            row[mine] = rng.choice(rows_there, mine.size)
    return traffic.summed(np.repeat(np.arange(DAY), PROMPTS), row)


def delays(rows: Rows, baseline: EmbeddingBaseline, kind: str, share: float, runs: int, seed: int) -> list[int]:
    """Windows from the change to the page, :data:`LIMIT` + 1 where there is none; the change begins at any minute of the hour."""
    found = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        quiet, moved = Traffic(rows, "iid", rng).draw(), changed(rows, kind, share, rng)
        begin = int(rng.integers(2 * HOUR, 3 * HOUR))
        shift = EmbeddingShift.fit(baseline, 0.0, PAGE_RATE)
        for window in range(begin):
            shift.update(window // HOUR, PROMPTS, quiet[1][window])
        for window in range(LIMIT):
            if shift.update((begin + window) // HOUR % HOURS, PROMPTS, moved[1][window % DAY]).page[0]:
                break
        else:
            window = LIMIT
        found.append(window + 1)
    return found


def main() -> int:
    """Run what was asked for and print one row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public data sets")
    parser.add_argument("--runs", type=int, default=10, help="runs of each shift")
    parser.add_argument("--nulls", type=int, default=2, help="runs of each world without a change")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--replays", type=int, default=0, help="runs of each world whose learned days are replayed; nothing else is run")
    parser.add_argument("--world", choices=(*WORLDS, *BEYOND), action="append")
    parser.add_argument("--shift", choices=(*SHIFTS, "swap", "rewritten"), action="append")
    parser.add_argument("--share", type=float, default=0.1)
    arguments = parser.parse_args()
    rows, missed = Rows(arguments.data, arguments.seed), False
    if arguments.replays:
        print(
            "| learned days replayed | runs | may page | crossings at one in 30, 100, 300, 1000 windows, mean |\n|---|---|---|---|",
            flush=True,
        )
        for world in arguments.world or ("iid", "spanning", "day10", *BEYOND):
            replay_row(rows, world, arguments.replays, arguments.seed)
        return 0
    everything = not (arguments.world or arguments.shift)
    shifts = arguments.shift or ([*SHIFTS, "swap", "rewritten"] if everything else [])
    if shifts:
        print("| shift | share | median windows | 90% | not paged in a day | bar |\n|---|---|---|---|---|---|", flush=True)
        baseline = learn(Traffic(rows, "iid", np.random.default_rng(arguments.seed)))
    for kind in shifts:
        found = np.array(delays(rows, baseline, kind, arguments.share, arguments.runs, arguments.seed))
        kept = kind != "rewritten" or arguments.share != 0.1 or np.median(found) <= DELAY_BAR
        missed |= not kept
        print(
            f"| {kind} | {arguments.share:.0%} | {np.median(found):.0f} | {np.quantile(found, 0.9):.0f} "
            f"| {(found > LIMIT).mean():.0%} | {'kept' if kept else 'MISSED'} |",
            flush=True,
        )
    worlds = arguments.world or (list(WORLDS) if everything else [])
    if worlds:
        print(
            "| world | design effects | null shares at 5% | mean pages | upper 95% | most "
            "| crossings at 1 in 1000 windows over allowed | seconds a run | bar |",
            flush=True,
        )
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for world in worlds:
        begun = time.monotonic()
        results = [false_pages(rows, world, arguments.seed + run, arguments.days) for run in range(arguments.nulls)]
        pages = np.array([result[0] for result in results])
        upper = float(gammaincinv(pages.sum() + 1, 0.95)) / pages.size
        effect = np.median([result[2].design_effect for result in results], axis=0).round(2).tolist()
        null = np.median([result[2].null[:, 0] for result in results], axis=0).round(3).tolist()
        loose = float(np.mean([result[1] for result in results])) / (LOOSE_RATE * arguments.days * DAY)
        kept = pages.mean() <= PAGES_BAR * arguments.days / 90
        missed |= not kept
        print(
            f"| {world} | {effect} | {null} | {pages.mean():.2f} | {upper:.2f} | {pages.max()} | {loose:.2f} "
            f"| {(time.monotonic() - begun) / arguments.runs:.0f} | {'kept' if kept else 'MISSED'} |",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
