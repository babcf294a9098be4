"""Plots as plain SVG and HTML: lines scale with the page, labels do not, and no script is needed.

The drawing stretches to the width it is given (``preserveAspectRatio="none"``, strokes keep their width); labels are HTML placed by
percentages, so they stay readable on a phone. Colours are classes of page.css and follow the reader's light or dark setting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.api.stream_view import History

WIDTH, HEIGHT = 1000.0, 300.0
POINTS = 120
"""Most points a line has: more cannot be told apart on a page, and a phone has to draw them."""

ROOM = 14.0
"""What the name of an incident takes of the width of a plot on a phone, in percent."""

_STEPS = (300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)

Line = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """An incident on the axis of time: from its estimated start (``low``) through its opening to its end."""

    low: float
    opened: float
    closed: float | None
    level: str
    label: str


@dataclass(frozen=True, slots=True)
class Bins:
    """Windows joined so that at most :data:`POINTS` are drawn; shares are of sums, evidence is the highest in the bin."""

    time: Line
    n: Line
    share: Line
    ticket: Line
    page: Line
    width: float = 60.0

    def runs(self) -> list[slice]:
        """Bins without a gap between them: what lies between two runs is not known, and no line is drawn there."""
        breaks = np.flatnonzero(np.diff(self.time) > 2.5 * self.width) + 1
        edges = [0, *breaks.tolist(), self.time.size]
        return [slice(start, stop) for start, stop in pairwise(edges)]


def bins(history: History, window: float) -> Bins:
    """Join neighbouring windows of a history; a bin without prompts does not exist, and a gap stays a gap in time."""
    start = history.start.astype(np.float64)
    if not start.size:
        none = np.zeros(0)
        return Bins(none, none, none, none, none)
    width = max(window, window * math.ceil((start[-1] - start[0] + window) / window / POINTS))
    index = ((start - start[0]) // width).astype(np.int64)
    first = np.flatnonzero(np.diff(index, prepend=-1))
    n = np.add.reduceat(history.n, first).astype(np.float64)
    x = np.add.reduceat(history.x, first).astype(np.float64)
    return Bins(
        time=start[0] + (index[first] + 0.5) * width,
        n=n,
        share=np.divide(x, n, out=np.zeros_like(x), where=n > 0),
        ticket=np.maximum.reduceat(history.ticket, first).astype(np.float64),
        page=np.maximum.reduceat(history.page, first).astype(np.float64),
        width=width,
    )


def share_plot(
    history: History, null: float, normal: float, marks: Sequence[Mark], window: float, name: str, until: float | None = None
) -> str:
    """Flagged share over time, with a band of two standard errors, against the most that counts as normal. Time runs to ``until``."""
    data = bins(history, window)
    if not data.time.size:
        return _nothing("no window with prompts yet")
    error = 2 * np.sqrt(np.maximum(data.share * (1 - data.share), 1e-9) / np.maximum(data.n, 1))
    # A bin with a handful of prompts must not flatten all others: it may run over the top.
    solid = data.n >= 0.2 * np.median(data.n)
    top = _nice(max(null * 1.6, float(np.quantile((data.share + error)[solid], 0.98)), float(data.share[solid].max()) * 1.05, 0.001))
    frame = _Frame(data, top, until)
    body = [
        frame.marks(marks),
        frame.band(data, np.maximum(data.share - error, 0), np.minimum(data.share + error, top)),
        frame.level(null, "null"),
        frame.polyline(data, data.share, "share"),
    ]
    labels = [frame.label(top, f"{100 * top:.3g}%"), frame.label(null, _percent(null), "null")]
    if null > 0.12 * top:  # else there is no room for both
        labels.append(frame.label(0, "0", "zero"))
    summary = f"{name}: share now {_percent(float(data.share[-1]))}, tested against {_percent(null)}, normal {_percent(normal)}"
    return frame.figure(body, labels, summary, marks)


def evidence_plot(
    history: History,
    ticket: float | None,
    page: float | None,
    marks: Sequence[Mark],
    window: float,
    name: str,
    until: float | None = None,
) -> str:
    """Evidence of both recursions on a log scale, each against its own threshold; a threshold of None is not drawn."""
    data = bins(history, window)
    if not data.time.size:
        return _nothing("no evidence yet")
    if ticket is None and page is None:
        return _nothing("nothing is tested while no level may be reached")
    highest = max(float(data.ticket.max()), float(data.page.max()) if page is not None else 0.0, ticket or 0.0, page or 0.0, 1.0)
    frame = _Frame(data, highest * 1.12, until)
    body, labels = [frame.marks(marks)], [frame.label(0, "1", "zero")]
    for level, threshold, line in (("ticket", ticket, data.ticket), ("page", page, data.page)):
        if threshold is not None:
            body += [frame.level(threshold, level), frame.polyline(data, line, level)]
            labels.append(frame.tag(threshold, f"{level} 10<sup>{threshold:.1f}</sup>", level))
    parts = [
        f"{level} {line[-1]:.1f} of {limit:.1f}"
        for level, limit, line in (("ticket", ticket, data.ticket), ("page", page, data.page))
        if limit
    ]
    return frame.figure(body, labels, f"{name}: log10 evidence now, {', '.join(parts) or 'no level allowed'}", marks)


class _Frame:
    """Axes of one plot: time across, 0 to ``top`` upwards."""

    def __init__(self, data: Bins, top: float, until: float | None) -> None:
        self.first, self.top = float(data.time[0]) - data.width / 2, float(top)
        self.last = max(float(data.time[-1]) + data.width / 2, until or 0.0)

    def x(self, time: Line) -> Line:
        return (time - self.first) / (self.last - self.first) * WIDTH

    def y(self, value: Line) -> Line:
        return HEIGHT - np.clip(value / self.top, 0, 1) * HEIGHT

    def points(self, time: Line, value: Line) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(self.x(time), self.y(value), strict=True))

    def polyline(self, data: Bins, value: Line, name: str) -> str:
        """One line for each run; a bin that stands alone is a dash as wide as the bin."""
        parts = []
        for run in data.runs():
            time, level = data.time[run], value[run]
            if time.size == 1:
                time, level = time[0] + np.array([-0.5, 0.5]) * data.width, np.repeat(level, 2)
            parts.append(f'<polyline class="line {name}" points="{self.points(time, level)}"/>')
        return "".join(parts)

    def band(self, data: Bins, low: Line, high: Line) -> str:
        """The area between two lines, run by run."""
        parts = []
        for run in data.runs():
            forth, back = self.points(data.time[run], high[run]), self.points(data.time[run][::-1], low[run][::-1])
            parts.append(f'<polygon class="band" points="{forth} {back}"/>')
        return "".join(parts)

    def level(self, value: float, name: str) -> str:
        y = float(self.y(np.array([value]))[0])
        return f'<line class="level {name}" x1="0" x2="{WIDTH:g}" y1="{y:.1f}" y2="{y:.1f}"/>'

    def percent(self, value: float) -> float:
        """Distance from the top of the plot, in percent."""
        return float(self.y(np.array([value]))[0]) / HEIGHT * 100

    def label(self, value: float, text: str, name: str = "top") -> str:
        """A number beside the axis, where no line runs."""
        return f'<span class="y {name}" style="top:{self.percent(value):.1f}%">{escape(text)}</span>'

    def tag(self, value: float, html: str, name: str) -> str:
        return f'<span class="tag {name}" style="top:{self.percent(value):.1f}%">{html}</span>'

    def marks(self, marks: Sequence[Mark]) -> str:
        parts = []
        for mark in marks:
            end = self.last if mark.closed is None else mark.closed
            if end < self.first or mark.low > self.last:
                continue
            low, opened, closed = (float(np.clip(x, 0, WIDTH)) for x in self.x(np.array([mark.low, mark.opened, end])))
            parts.append(f'<rect class="span {mark.level}" x="{low:.1f}" width="{max(closed - low, 2):.1f}" y="0" height="{HEIGHT:g}"/>')
            if mark.opened >= self.first:
                parts.append(f'<line class="opened {mark.level}" x1="{opened:.1f}" x2="{opened:.1f}" y1="0" y2="{HEIGHT:g}"/>')
        return "".join(parts)

    def flags(self, marks: Sequence[Mark]) -> str:
        """The name of each incident at the foot of the plot; it leans left where it would run over the right edge.

        A ticket next to a page has no name: there is room for one, and the page is what counts.
        """
        parts = []
        places = [(mark, (mark.opened - self.first) / (self.last - self.first) * 100) for mark in marks]
        pages = [place for mark, place in places if mark.level == "page"]
        for mark, place in places:
            beside = mark.level != "page" and any(abs(place - page) < ROOM for page in pages)
            if 0 <= place <= 100 and not beside:
                side = f"right:{100 - place:.1f}%" if place > 60 else f"left:{place:.1f}%"
                parts.append(f'<span class="flag {mark.level}" style="{side}">{escape(mark.label)}</span>')
        return "".join(parts)

    def times(self) -> str:
        """Whole hours or days under the plot, in UTC; about four of them."""
        length = self.last - self.first
        step = next((step for step in _STEPS if length / step <= 4.5), _STEPS[-1])
        form = "%a %d" if step >= 86400 else "%a %H:%M" if length > 86400 else "%H:%M"
        first = math.ceil(self.first / step) * step
        parts = []
        for time in np.arange(first, self.last + 1, step):
            place = (time - self.first) / length * 100
            if 9 <= place <= 91:  # half of a label fits in beside it
                parts.append(f'<span style="left:{place:.1f}%">{datetime.fromtimestamp(time, UTC):{form}}</span>')
        return f'<div class="times">{"".join(parts)}</div>'

    def figure(self, body: Sequence[str], labels: Sequence[str], summary: str, marks: Sequence[Mark]) -> str:
        drawing = (
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{escape(summary, quote=True)}">'
            f"{''.join(body)}</svg>"
        )
        return f'<div class="plot"><div class="area">{drawing}{"".join(labels)}{self.flags(marks)}</div>{self.times()}</div>'


def _nothing(text: str) -> str:
    return f'<div class="plot"><div class="area none"><p>{escape(text)}</p></div></div>'


def _nice(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5, 7.5 times a power of ten; shares end at 1."""
    power = 10.0 ** math.floor(math.log10(value))
    return min(1.0, next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= value * 0.999))


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"
