"""A period of a model's history as columns of single prompts, rebuilt from the counts of its windows: no text, no join of columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import P_VALUE_EDGES, TOKEN_EDGES
from service.bundle import Bundle
from service.errors import ConfigError, DataError
from service.language import LANGUAGES
from service.store import WindowRow

ROWS = 20_000
"""Most rows of a period; each then stands for as many prompts as it takes."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """Windows that start in [since, until), in seconds since the epoch."""

    since: float
    until: float

    @classmethod
    def parse(cls, option: str, value: str) -> "Span":
        """``2026-03-02..2026-03-09`` or with times of day; UTC where no offset is given. Raises ConfigError naming the option."""
        try:
            since, until = (datetime.fromisoformat(part.strip()) for part in value.split(".."))
        except ValueError:
            raise ConfigError(f"{option}: expected START..END in ISO 8601 such as 2026-03-02..2026-03-09, got {value!r}") from None
        span = cls(*(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() for moment in (since, until)))
        if span.since >= span.until:
            raise ConfigError(f"{option}: ends before it starts: {value!r}")
        return span

    def __str__(self) -> str:
        first, last = (datetime.fromtimestamp(moment, UTC) for moment in (self.since, self.until))
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Period:
    """Sums over the windows of one bundle, model and slice.

    Attributes:
        windows: how many; others: windows of other bundles in the same time, left out.
        n: prompts; truncated: cut at the encoder's limit.
        histogram: (15,) int64, p-values; topics: (K + 1,) int64.
        lengths: (16,) int64, languages: (L,) int64; None where a window does not tell.
    """

    windows: int
    others: int
    n: int
    truncated: int
    histogram: Counts
    topics: Counts
    lengths: Counts | None
    languages: Counts | None

    @property
    def rows(self) -> int:
        """Rows that stand for it."""
        return min(self.n, ROWS)


def add_up(rows: Iterable[WindowRow], bundle: str, where: str) -> Period:
    """Sum the windows of this bundle's digest. Raises DataError, beginning with ``where``, when no prompt is in them."""
    windows = others = n = truncated = 0
    sums: dict[str, Counts | None] = {}
    for row in rows:
        if row.bundle != bundle:
            others += 1
            continue
        windows, n, truncated = windows + 1, n + row.n, truncated + row.truncated
        for name in ("histogram", "topics", "lengths", "languages"):
            sums[name] = _plus(sums[name] if name in sums else np.zeros(len(getattr(row, name) or ()), np.int64), getattr(row, name))
    histogram, topics = sums.get("histogram"), sums.get("topics")
    if n == 0 or histogram is None or topics is None:
        hint = f"; {others:,} windows there belong to another bundle, whose p-values and topics mean something else" if others else ""
        raise DataError(f"{where}: the history has no prompts there of the bundle in use ({bundle[:12]}){hint}")
    languages = sums["languages"]
    if languages is not None and languages.size != len(LANGUAGES):
        languages = None
    return Period(windows, others, n, truncated, histogram, topics, sums["lengths"], languages)


def _plus(sum_: Counts | None, counts: Sequence[int] | None) -> Counts | None:
    if sum_ is None or counts is None or len(counts) != sum_.size:
        return None
    return sum_ + np.asarray(counts, np.int64)


def columns(period: Period, bundle: Bundle, seed: int) -> tuple[dict[str, NDArray[np.float64]], dict[str, list[str]]]:
    """Numerical and categorical columns of ``period.rows`` values each.

    A column holds every value as often as the counts say, in an order of its own: columns say nothing about each other, as the counts
    do not. A p-value, score or length is the middle of its bin.

    Args:
        period: the counts; bundle: gives scores and topic words.
        seed: of the order; equal periods and seeds give equal columns.
    """
    p_values = _middles(P_VALUE_EDGES, 0.0, 1.0)
    scores = np.quantile(bundle.calibration.scores, 1 - p_values)
    lengths = _middles(TOKEN_EDGES, 0.0, float(TOKEN_EDGES[-1]) + 1)
    numerical, categorical = {}, {}
    for index, (name, middles, counts) in enumerate(
        (("p_value", p_values, period.histogram), ("score", scores, period.histogram), ("tokens", lengths, period.lengths))
    ):
        if counts is not None:
            numerical[name] = middles[_drawn(counts, period.rows, (seed, index))]
    topics = [f"{number}: {' '.join(topic.words)}".rstrip(": ") for number, topic in enumerate(bundle.topics)]
    cut = np.array([period.n - period.truncated, period.truncated])
    for index, (name, names, held) in enumerate(
        (("topic", (*topics, "none of these"), period.topics), ("language", LANGUAGES, period.languages), ("truncated", ("no", "yes"), cut))
    ):
        if held is not None:
            categorical[name] = [names[value] for value in _drawn(held, period.rows, (seed, 10 + index)).tolist()]
    return numerical, categorical


def apportion(counts: Counts, rows: int) -> Counts:
    """Whole numbers in proportion to ``counts`` that add up to ``rows``: largest remainders (Hamilton), the first of equal ones.

    >>> apportion(np.array([1, 1, 4]), 3).tolist()
    [1, 0, 2]
    """
    exact = counts * (rows / counts.sum())
    whole: Counts = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: rows - int(whole.sum())]
    whole[rest] += 1
    return whole


def _drawn(counts: Counts, rows: int, seed: Sequence[int]) -> Counts:
    """(rows,) int64, indices of ``counts`` in proportion to them, in an order of their own."""
    drawn = np.repeat(np.arange(counts.size, dtype=np.int64), apportion(counts, rows))
    np.random.default_rng(seed).shuffle(drawn)
    return drawn


def _middles(edges: NDArray[np.generic], low: float, high: float) -> NDArray[np.float64]:
    ends = np.concatenate(([low], np.asarray(edges, np.float64), [high]))
    return (ends[:-1] + ends[1:]) / 2
