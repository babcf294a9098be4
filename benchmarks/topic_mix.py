"""The topic mix: false pages in worlds where nothing changes, and the delay of a page when one topic takes a tenth of the traffic.

    .venv/bin/python benchmarks/topic_mix.py [--runs 20] [--world NAME] [--swaps 100] [--replays 0]

100 topics whose shares fall as rank^-0.7, and 1% that is none of them; 200 prompts a window on average. The stream is one of five with
equal parts of "1 page per 90 days" (A = 648,000). Every run learns its baseline from 28 days of its own traffic, then 90 days follow in
which nothing changes, or 200 windows and the swap. All prompts of a session are of one topic. ``--replays`` says how often the replay of
the 28 days learned keeps the stream from paging, in worlds that keep the promise and in worlds that do not. Exit status 1 when a bar is
missed.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.worlds import DAY, LONGEST, PROMPTS, SHORTEST
from detectors.promise import Counted
from detectors.replay import Parts, Topics, count
from detectors.topic_baseline import WEEK_HOURS, TopicBaseline
from detectors.topic_mix import MIN_EFFECT, TopicMix

TOPICS, EXPONENT, NONE_SHARE = 100, 0.7, 0.01
BUDGET_DAYS, STREAMS, LEARNING_DAYS, DELTA = 90, 5, 28, 0.01
RATE = 1 / (STREAMS * BUDGET_DAYS * DAY)
SWAP, HORIZON, CLEAN_WINDOWS, DELAY_BAR, NAMED_BAR = 0.10, 400, 200, 30, 0.95
HOUR = 60


@dataclass(frozen=True)
class Kind:
    """A world.

    Attributes:
        sessions: "none", "even" (10 to 20 prompts), "heavy" (Pareto with exponent 1.5, at most 600) or "long" (480 to 960).
        spanning: sessions of one prompt a window; otherwise all prompts in the window in which the session starts.
        rhythm: relative swing of the share of a topic over the day, and half of it over the week.
        day_cv: relative deviation of the share of a topic from day to day, or from one run of ``lasting`` days to the next.
        coherent: part of the prompts of a session that are of its topic; the others are of any.
        seasonal: the baseline is learned by hour of the week.
    """

    sessions: str = "none"
    spanning: bool = False
    rhythm: float = 0.0
    day_cv: float = 0.0
    lasting: int = 1
    coherent: float = 1.0
    seasonal: bool = False


WORLDS = {
    "iid": Kind(),
    "inside": Kind("even"),
    "spanning": Kind("even", spanning=True),
    "heavy inside": Kind("heavy"),
    "heavy spanning": Kind("heavy", spanning=True),
    "rhythm": Kind(rhythm=0.4, seasonal=True),
    "rhythm spanning": Kind("even", spanning=True, rhythm=0.4, seasonal=True),
    "days 5%": Kind(day_cv=0.05),
    "days 10%": Kind(day_cv=0.10),
    "days 10% seasonal": Kind(day_cv=0.10, rhythm=0.4, seasonal=True),
}
BROKEN = {
    "hours long": Kind("long", spanning=True),
    "days 20%": Kind(day_cv=0.20),
    "weeks 10%": Kind(day_cv=0.10, lasting=7),
    "weeks 20%": Kind(day_cv=0.20, lasting=7),
}
"""Worlds beyond what a baseline of days allows for; the replay should keep them from paging."""

SWAPS = {
    "iid": Kind(),
    "inside": Kind("even"),
    "spanning": Kind("even", spanning=True),
    "spanning, most": Kind("even", spanning=True, coherent=0.8),
    "iid, seasonal": Kind(seasonal=True),
    "spanning, seasonal": Kind("even", spanning=True, seasonal=True),
}


def shares() -> NDArray[np.float64]:
    """(K + 1,) shares of the topics and of "none of these"."""
    topics = np.arange(1, TOPICS + 1) ** -EXPONENT
    return np.append(topics / topics.sum() * (1 - NONE_SHARE), NONE_SHARE)


class TopicTraffic:
    """R runs of one world: ``draw(windows)`` gives counts (windows, R, K + 1), minute after minute from midnight."""

    def __init__(self, kind: Kind, runs: int, seed: int) -> None:
        self.kind, self.runs, self.rng = kind, runs, np.random.default_rng(seed)
        self.base, self.minute = np.repeat(shares()[None], runs, axis=0), 0
        self._phase = self.rng.uniform(0, 2 * np.pi, (2, runs, TOPICS + 1))
        self._day = np.ones_like(self.base)
        lengths = {"none": np.ones(1, np.int64), "even": self.rng.integers(SHORTEST, LONGEST + 1, 1 << 16)}
        lengths["heavy"] = np.minimum((1 - self.rng.random(1 << 20)) ** (-1 / 1.5), 600).astype(np.int64)
        lengths["long"] = self.rng.integers(480, 961, 1 << 16)
        self._lengths = lengths[kind.sessions]
        self._open = np.zeros((int(self._lengths.max()), runs, TOPICS + 1), np.int32)  # sessions that end in each later window, negative
        self._active = np.zeros((runs, TOPICS + 1), np.int64)
        if kind.spanning:
            for _ in range(-(-self._lengths.max() // HOUR)):
                self.draw(HOUR)
            self.minute = 0

    def change(self, topic: NDArray[np.int64]) -> None:
        """From now on a tenth of what starts is of ``topic`` (R,), at the cost of all topics alike."""
        self.base = (1 - SWAP) * self.base
        self.base[np.arange(self.runs), topic] += SWAP

    def share(self) -> NDArray[np.float64]:
        """True shares (R, K + 1) of what starts now. At midnight a new day is drawn: call it once an hour."""
        if self.minute % (self.kind.lasting * DAY) == 0 and self.kind.day_cv:
            self._day = np.exp(self.kind.day_cv * self.rng.standard_normal(self.base.shape))
        share = self.base * self._day
        if self.kind.rhythm:
            turn = 2 * np.pi * self.minute / DAY
            share = share * (1 + self.kind.rhythm * (np.sin(turn + self._phase[0]) + np.sin(turn / 7 + self._phase[1]) / 2) / 1.5)
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def draw(self, windows: int) -> NDArray[np.int64]:
        """Counts of the next ``windows`` windows, all within one hour."""
        started = self.rng.poisson(PROMPTS / self._lengths.mean() * self.share(), (windows, *self.base.shape))
        self.minute += windows
        if self.kind.sessions == "none":
            return started
        cell = np.repeat(np.arange(started.size), started.reshape(-1))
        length = self._lengths[self.rng.integers(0, self._lengths.size, cell.size)]
        if not self.kind.spanning:
            return self._mixed(np.bincount(cell, weights=length, minlength=started.size).astype(np.int64).reshape(started.shape))
        each, room = self.base.size, windows + len(self._open)
        step = np.zeros((room, *self.base.shape), np.int32)
        step[: len(self._open)] = self._open
        step -= np.bincount(cell + each * length, minlength=room * each)[: room * each].reshape(step.shape).astype(np.int32)
        step[:windows] += started.astype(np.int32)
        active = self._active + np.cumsum(step[:windows], axis=0)
        self._open, self._active = step[windows:], active[-1]
        return self._mixed(active)

    def _mixed(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Let the part of the prompts that is not of the topic of its session be of any."""
        if self.kind.coherent == 1:
            return counts
        kept = self.rng.binomial(counts, self.kind.coherent)
        return np.asarray(kept + self.rng.multinomial((counts - kept).sum(axis=-1), self.share()))


def learn(traffic: TopicTraffic, days: int = LEARNING_DAYS) -> list[TopicBaseline]:
    """One baseline a run from the next ``days`` days, hour by hour."""
    rows = np.arange(days * 24)
    counts = np.array([traffic.draw(HOUR).sum(axis=0) for _ in rows])
    day, hour, seasonal = rows // 24, rows % WEEK_HOURS, traffic.kind.seasonal
    return [TopicBaseline.fit(counts[:, run], day, hour, DELTA, seasonal=seasonal) for run in range(traffic.runs)]


def detector(baselines: list[TopicBaseline]) -> TopicMix:
    """As in service: a baseline that may not page has no page rate."""
    return TopicMix.fit(baselines, ticket_rate=np.zeros(len(baselines)), page_rate=[RATE * b.may_page for b in baselines])


def false_pages(kind: Kind, runs: int, days: int, seed: int) -> tuple[NDArray[np.int64], list[TopicBaseline]]:
    """Pages of each run in ``days`` days after learning."""
    traffic = TopicTraffic(kind, runs, seed)
    baselines = learn(traffic)
    mix, pages = detector(baselines), np.zeros(runs, np.int64)
    for hour in range(days * 24):
        for counts in traffic.draw(HOUR):
            pages += mix.update(counts, hour % WEEK_HOURS).page
    return pages, baselines


def swaps(kind: Kind, runs: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Windows from the swap to the first page (inf beyond the horizon), whether it names the topic, and the topic; (runs,) each."""
    traffic = TopicTraffic(kind, runs, seed)
    mix = detector(learn(traffic))
    topic = traffic.rng.integers(0, TOPICS, runs)
    waited, named, step = np.full(runs, np.inf), np.zeros(runs, bool), -CLEAN_WINDOWS
    while step < HORIZON and np.isinf(waited).any():
        if step == 0:
            traffic.change(topic)
        hour = traffic.minute // HOUR % WEEK_HOURS
        for counts in traffic.draw(20):
            step += 1
            crossed = mix.update(counts, hour).page & (step > 0) & np.isinf(waited)
            carrier = mix.carrier()
            named[crossed] = ((carrier.category == topic) & carrier.rising)[crossed]
            waited[crossed] = step
    return waited, named, topic


def replay_row(name: str, runs: int, seed: int) -> None:
    """Print how often the replay keeps one world from paging."""
    begun, kept, paging = time.process_time(), [], []
    kind = {**WORLDS, **BROKEN}[name]
    hour = np.arange(LEARNING_DAYS * DAY) // HOUR
    parts = Parts.cut(hour // 24, hour % WEEK_HOURS, 7)
    for run in range(runs):
        traffic = TopicTraffic(kind, 1, seed + run)
        table = np.concatenate([traffic.draw(HOUR)[:, 0] for _ in range(LEARNING_DAYS * 24)]).astype(np.int64)
        hourly = np.add.reduceat(table, np.arange(0, len(table), HOUR))
        paging.append(TopicBaseline.fit(hourly, hour[::HOUR] // 24, hour[::HOUR] % WEEK_HOURS, DELTA).may_page)
        topics = Topics(parts, table, DELTA, MIN_EFFECT)
        [crossings] = count([topics], parts)
        kept.append(paging[-1] and Counted(crossings[:, 0], topics.windows).judge(1 / RATE).kept)
    print(
        f"| {name} | {np.mean(paging):.0%} | {np.mean(kept):.0%} | {(time.process_time() - begun) / runs:.0f} |",
        flush=True,
    )


def swap_row(name: str, runs: int, seed: int) -> bool:
    """Print one world of swaps; whether it keeps the bar."""
    begun = time.monotonic()
    waited, named, _ = swaps(SWAPS[name], runs, seed)
    kept = bool(np.median(waited) <= DELAY_BAR and named.mean() >= NAMED_BAR)
    print(
        f"| {name} | {np.median(waited):.0f} | {np.quantile(waited, 0.9, method='higher'):.0f} | {waited.max():.0f} "
        f"| {(waited <= DELAY_BAR).mean():.0%} | {named.mean():.0%} | {time.monotonic() - begun:.0f} | {'kept' if kept else 'MISSED'} |",
        flush=True,
    )
    return kept


def null_row(name: str, runs: int, days: int, seed: int) -> bool:
    """Print one world in which nothing changes; whether it keeps the budget."""
    begun = time.monotonic()
    pages, baselines = false_pages(WORLDS[name], runs, days, seed)
    upper = max(pages.mean() + 1.645 * pages.std() / np.sqrt(runs), float(gammaincinv(pages.sum() + 1, 0.95)) / runs)
    kept = bool(pages.mean() <= days / BUDGET_DAYS / STREAMS)
    price = np.median([np.median(b.upper[b.share > 0] / b.share[b.share > 0]) for b in baselines])
    effect, allowed = np.median([b.design_effect for b in baselines]), np.mean([b.may_page for b in baselines])
    print(
        f"| {name} | {effect:.2f} | {price:.2f} | {allowed:.0%} | {pages.mean():.3f} | {upper:.3f} | {pages.max()} "
        f"| {time.monotonic() - begun:.0f} | {'kept' if kept else 'MISSED'} |",
        flush=True,
    )
    return kept


def main() -> int:
    """Run what was asked for and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs of each world without a change; 0 leaves them out")
    parser.add_argument("--days", type=int, default=BUDGET_DAYS)
    parser.add_argument("--swaps", type=int, default=100, help="runs of each swap; 0 leaves them out")
    parser.add_argument("--replays", type=int, default=0, help="runs of each world whose learned days are replayed")
    parser.add_argument("--seed", type=int, default=20_260_102)
    parser.add_argument("--world", choices=[*WORLDS, *BROKEN], action="append")
    arguments = parser.parse_args()
    kept = []
    if arguments.replays:
        print("| learned days replayed | stage may page | may page after the replay | seconds a run |\n|---|---|---|---|", flush=True)
        for name in arguments.world or ("iid", "spanning", "heavy spanning", "rhythm spanning", "days 10%", *BROKEN):
            replay_row(name, arguments.replays, arguments.seed)
    if arguments.swaps:
        print("| 10% swap | delay median | 90% | most | within 30 | right topic first | seconds | bar |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        kept += [swap_row(name, arguments.swaps, arguments.seed) for name in SWAPS]
    if arguments.runs:
        print("| nothing changes | d, median | upper / share, median | may page | pages a run | upper 95% | most | seconds | bar |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        kept += [null_row(name, arguments.runs, arguments.days, arguments.seed) for name in arguments.world or WORLDS]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
