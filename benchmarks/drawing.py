"""One picture of a stream as SVG: its share above, its evidence below, the moment of the change and the crossing marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 740, 330
LEFT, RIGHT = 64, 700
UPPER, LOWER = (58, 142), (176, 296)
INK, FAINT, STREAM, ALARM, SHADE = "#1f2933", "#b6c0ca", "#0b6e99", "#c0392b", "#f2f5f8"
HALO = f'fill="{INK}" stroke="#ffffff" stroke-width="3" paint-order="stroke"'
SMALLEST_DRAWN = 0.5


@dataclass(frozen=True)
class Picture:
    """What is drawn of W windows.

    Attributes:
        name: the stream. words: what changed. level: "page" or "ticket". label: what ``value`` is.
        value: (W,), a share or a distance. reference: its usual size. percent: whether it is a share.
        evidence: (W,), log10 at that level. others: stream -> the same. threshold: log10 at which the level is crossed.
        change: number of the first changed window.
    """

    name: str
    words: str
    level: str
    label: str
    value: Sequence[float]
    reference: float
    percent: bool
    evidence: Sequence[float]
    others: Mapping[str, Sequence[float]]
    threshold: float
    change: int

    @property
    def delay(self) -> int | None:
        """Windows from the change to the first crossing, None where there is none."""
        after = (i for i, value in enumerate(self.evidence) if i >= self.change and value >= self.threshold)
        crossed = next(after, None)
        return None if crossed is None else crossed - self.change + 1


def draw(picture: Picture) -> str:
    """The SVG, under 30 KB for 120 windows."""
    across = (RIGHT - LEFT) / len(picture.value)
    begin = LEFT + across * picture.change
    top, usual = max(*picture.value, 2 * picture.reference), picture.reference
    highest = 1.15 * max(picture.threshold, *picture.evidence, *(max(other) for other in picture.others.values()))
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<rect x="{begin:.1f}" y="{UPPER[0]}" width="{RIGHT - begin:.1f}" height="{LOWER[1] - UPPER[0]}" fill="{SHADE}"/>',
        _text(LEFT, 22, f"{picture.name}: {picture.words}", size=15, weight="bold"),
        _text(LEFT, 46, picture.label),
        _line(LEFT, _y(usual, top, UPPER), RIGHT, FAINT),
        _text(LEFT - 6, _y(usual, top, UPPER) + 4, _number(usual, picture.percent), anchor="end"),
        _text(LEFT - 6, UPPER[0] + 4, _number(top, picture.percent), anchor="end"),
        _path(picture.value, across, top, UPPER, STREAM, 1.2),
        _text(LEFT, LOWER[0] - 12, f"evidence, as a power of ten; dashed: threshold of a {picture.level}; grey: the other streams"),
        *(_path(other, across, highest, LOWER, FAINT, 1.0) for other in picture.others.values() if max(other) >= SMALLEST_DRAWN),
        _line(LEFT, LOWER[1], RIGHT, INK),
        _line(LEFT, _y(picture.threshold, highest, LOWER), RIGHT, ALARM, dashed=True),
        _text(LEFT - 6, _y(picture.threshold, highest, LOWER) + 4, f"{picture.threshold:.1f}", anchor="end"),
        _text(LEFT - 6, LOWER[1] + 4, "0", anchor="end"),
        _path(picture.evidence, across, highest, LOWER, STREAM, 2.2),
        *(_text(LEFT + across * minute, LOWER[1] + 18, _minutes(minute - picture.change), anchor="middle") for minute in _ticks(picture)),
    ]
    if (delay := picture.delay) is not None:
        x = LEFT + across * (picture.change + delay - 0.5)
        y = _y(picture.evidence[picture.change + delay - 1], highest, LOWER)
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ALARM}"/>', _text(x + 9, y - 4, f"{picture.level} after {delay} min")]
    described = escape(f"{picture.words}. {_outcome(picture)}")
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'font-family="sans-serif">\n<title>{escape(picture.name)}</title>\n<desc>{described}</desc>\n{body}\n</svg>\n'
    )


def _outcome(picture: Picture) -> str:
    return f"No {picture.level}." if picture.delay is None else f"A {picture.level} after {picture.delay} minutes."


def _ticks(picture: Picture) -> range:
    return range(picture.change % 30, len(picture.value) + 1, 30)


def _minutes(minute: int) -> str:
    return "change" if minute == 0 else f"{minute:+d} min"


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.1f}%" if percent else f"{value:.3f}"


def _y(value: float, top: float, panel: tuple[int, int]) -> float:
    return panel[1] - (panel[1] - panel[0]) * value / top


def _path(values: Sequence[float], across: float, top: float, panel: tuple[int, int], colour: str, width: float) -> str:
    points = " ".join(f"{LEFT + across * (i + 0.5):.1f},{_y(value, top, panel):.1f}" for i, value in enumerate(values))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _line(x: float, y: float, to: float, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to:.1f}" y2="{y:.1f}" stroke="{colour}"{dash}/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, weight: str = "normal") -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" {HALO}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
