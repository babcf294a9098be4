"""Short words for a verdict: share, interval, since when, and what moved. Numbers and allow-listed topic words only, never prompt text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detectors.change import share_intervals
from detectors.sketch import TOKEN_EDGES
from service.decider.budget import DATA_PROBLEMS
from service.decider.mixes import Carried
from service.decider.track import Topic, words
from service.language import LANGUAGES

_NOUN = {
    "ood_share": "strange",
    "far_share": "far off",
    "new_topic": "in no known topic",
    "truncation": "cut off",
    "embedding_shift": "of windows unlike their hour",
    "volume": "of blocks with unusually few or many prompts",
}

POINT = 0.01
"""A topic that moved by less than this share of all prompts is not named."""

_PREFIX = "looks like a data problem"
_KEPT = ("normal ", "grew: ", "fell: ", "the mean prompt moved ", "mostly in ", "mostly at ")
_SINCE = re.compile(r",? since \d\d \w{3} \d\d:\d\d UTC")
_BRACKETS = re.compile(r" \([^()]*\)")


def moment(time: float) -> str:
    """``21 Nov 14:05`` in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%M")


def percent(share: float) -> str:
    """Three significant digits at most: ``9.83%``, ``0.12%``, ``31.4%``."""
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}"


def noun(carried: Carried, topics: Sequence[Topic]) -> str:
    """What the share of a stream is a share of.

    >>> noun(Carried("language", 1), ()), noun(Carried("length", 0), ()), noun(Carried("length", 15), ())
    ('in german', 'of up to 4 tokens', 'of more than 512 tokens')
    """
    at = carried.category
    if carried.member == "topic_mix":
        return f"about {words(topics, at)}" if at < len(topics) else _NOUN["new_topic"]
    if carried.member == "language":
        return f"in {LANGUAGES[at]}" if at < len(LANGUAGES) - 1 else "in no known language or in markup"
    if carried.member == "length":
        if at == 0:
            return f"of up to {TOKEN_EDGES[0]} tokens"
        return (
            f"of {TOKEN_EDGES[at - 1] + 1} to {TOKEN_EDGES[at]} tokens"
            if at < TOKEN_EDGES.size
            else f"of more than {TOKEN_EDGES[-1]} tokens"
        )
    return _NOUN[carried.member]


def quiet(counted: str, share: float, low: float, high: float, windows: int, normal: float) -> str:
    """No incident: the share of the last windows."""
    where = "in the last window" if windows == 1 else f"in the last {windows} windows"
    return f"{percent(share)} {counted} ({percent(low)} to {percent(high)}) {where}; normal {percent(normal)}"


def changed(counted: str, share: float, low: float, high: float, since: float, normal: float) -> str:
    """An incident is open: the share since its change began."""
    return f"{percent(share)} {counted} ({percent(low)} to {percent(high)}) since {moment(since)} UTC; normal {percent(normal)}"


def traffic(found: float, usual: float, since: float) -> str:
    """Prompts a minute since a change of volume began, and as they usually are.

    >>> traffic(210.3, 640.0, 0.0)
    'fewer prompts than usual at this hour: 210 a minute instead of 640, since 01 Jan 00:00 UTC'
    >>> traffic(12_500.0, 3.21, 0.0)[:-24]
    'more prompts than usual at this hour: 12,500 a minute instead of 3.2'
    """
    first, second = (f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" for rate in (found, usual))
    word = "fewer" if found < usual else "more"
    return f"{word} prompts than usual at this hour: {first} a minute instead of {second}, since {moment(since)} UTC"


def began(earliest: float, latest: float) -> str:
    """Interval of the start of a change; nothing when both ends are the same minute, which is told already."""
    first, last = moment(earliest), moment(latest)
    return "" if first == last else f"began between {first} and {last}"


def moved(
    topics: Sequence[Topic], before: NDArray[np.float64], counts: NDArray[np.int64], effect: NDArray[np.float64]
) -> tuple[str, list[int]]:
    """Topics that grew and fell by a point at least, and beyond chance: share before, and since then with its 95% interval.

    ``before`` shares and ``counts`` since the change, (K + 1,) each; ``effect`` design effects, (K + 1,). At most three that grew, two
    that fell; those that grew also by index.
    """
    n = counts.sum()
    if n == 0:
        return "", []
    share, x, total = counts / n, counts.astype(np.float64), np.full(counts.size, float(n))
    low, high = share_intervals(x, total, effect)
    rise = share - before
    order = np.argsort(-rise, kind="stable")
    grown = [i for i in order.tolist() if rise[i] >= POINT and low[i] > before[i]][:3]
    fallen = [i for i in order[::-1].tolist() if rise[i] <= -POINT and high[i] < before[i]][:2]
    parts = []
    for verb, found in (("grew", grown), ("fell", fallen)):
        told = [f"{words(topics, i)} {percent(before[i])} -> {percent(share[i])} ({percent(low[i])} to {percent(high[i])})" for i in found]
        if told:
            parts.append(f"{verb}: {', '.join(told)}")
    return "; ".join(parts), grown


def towards(topics: Sequence[Topic], near: Sequence[int], far: Sequence[int]) -> str:
    """Topics that the mean embedding moved towards and away from."""
    parts = []
    for word, found in (("towards", near), ("away from", far)):
        told = [name for i in found if (name := words(topics, i))]
        if told:
            parts.append(f"{word} {', '.join(told)}")
    return f"the mean prompt moved {' and '.join(parts)}" if parts else ""


def details(explanation: str) -> str:
    """What an incident's explanation says beside the share and its data problems, which both change while it is open."""
    rest = explanation.partition("; ")[2] if explanation.startswith(_PREFIX) else explanation
    return rest.partition("; ")[2]


def short(explanation: str, limit: int = 120) -> str:
    """What an incident's explanation says that stays as it was at the opening, in at most ``limit`` characters; without the time.

    Left out is what comes later (a new topic's words, data problems, what has joined) and what a person typed.

    >>> short("6.0% strange (5.2% to 6.8%) since 03 Mar 09:02 UTC; normal 3.6%; mostly in acme (9% of all); expected by ada: a sale")
    '6.0% strange (5.2% to 6.8%); normal 3.6%; mostly in acme'
    """
    first, *rest = (explanation.partition("; ")[2] if explanation.startswith(_PREFIX) else explanation).split("; ")
    parts = [_SINCE.sub("", first), *(_BRACKETS.sub("", part) for part in rest if part.startswith(_KEPT))]
    words = "; ".join(parts)
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def carriers(excess: Mapping[str, float], prompts: Mapping[str, int], total: float, n: int) -> str:
    """The slices that carry the rise: with a third of ``total`` excess at least, and far more than their part of the ``n`` prompts.

    >>> carriers({"acme": 70.0, "zeta": 5.0}, {"acme": 100, "zeta": 400}, 80.0, 1000)
    'mostly in acme (88% of the rise, 10% of prompts)'
    """
    if total <= 0 or n == 0:
        return ""
    found = sorted((-part, name) for name, part in excess.items() if part >= total / 3 and part / total >= 1.5 * prompts[name] / n)
    told = [f"{name} ({min(-part / total, 1):.0%} of the rise, {prompts[name] / n:.0%} of prompts)" for part, name in found[:3]]
    return f"mostly in {', '.join(told)}" if told else ""


def daytime(hours: NDArray[np.int64], excess: NDArray[np.float64]) -> str:
    """The few hours of the day that carry four fifths of the rise, where many were seen; ``hours`` of the week and excess (W,).

    >>> daytime(np.arange(24), np.where(np.arange(24) == 3, 20.0, 0.1))
    'mostly at 03 h'
    """
    day = hours % 24
    seen = np.unique(day).size
    total = np.maximum(np.bincount(day, weights=excess, minlength=24), 0.0)
    if seen < 12 or total.sum() <= 0:
        return ""
    order = np.argsort(-total, kind="stable")
    needed = int(np.searchsorted(np.cumsum(total[order]), 0.8 * total.sum())) + 1
    if needed > seen / 3:
        return ""
    return f"mostly at {', '.join(f'{hour:02d}' for hour in sorted(order[:needed].tolist()))} h"


def with_problems(explanation: str, streams: Iterable[str]) -> str:
    """The explanation, opened by the streams that say the data came otherwise."""
    told = ", ".join(DATA_PROBLEMS[stream] for stream in streams)
    if not told:
        return explanation
    rest = explanation.partition("; ")[2] if explanation.startswith(_PREFIX) else explanation
    return f"{_PREFIX}: {told}; {rest}"
