"""One share with its 95% interval against what its record allows, on one line: small enough for a row of a table."""

from collections.abc import Sequence
from html import escape

from service.api import words
from service.api.pieces import EVIDENCE_ONLY
from service.api.probe_view import ProbeCard

WIDTH, HEIGHT = 1000.0, 100.0

_SCALES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def scale(streams: Sequence[ProbeCard]) -> float:
    """Right end of the axis that all of them share, so that they can be compared at a glance."""
    drawn = [stream for stream in streams if stream.stream not in EVIDENCE_ONLY]
    most = max((max(stream.high or 0.0, stream.null or 0.0) for stream in drawn), default=0.0)
    return next((end for end in _SCALES if most <= end), 1.0)


def interval_plot(stream: ProbeCard, top: float, name: str) -> str:
    """A bar from low to high, a stroke at the share, a thin one at the base model's, a broken line at the null.

    Empty without an answer, and of a pair: its null is about something else than its share.
    """
    if stream.share is None or stream.stream in EVIDENCE_ONLY:
        return ""
    low, high = (_x(value, top) for value in (stream.low or 0.0, stream.share if stream.high is None else stream.high))
    range_ = f'<rect class="range" x="{low:.0f}" width="{max(high - low, 4):.0f}" y="28" height="44"/>'
    parts = [range_, _stroke(stream.share, top, "share")]
    said = f"{name}: {words.share(stream.share)}"
    if stream.base is not None:
        parts.append(_stroke(stream.base, top, "base"))
        said += f", base model {words.share(stream.base)}"
    if stream.null is not None:
        parts.append(_stroke(stream.null, top, "level null", 0, HEIGHT))
        said += f", held against {words.share(stream.null)}"
    return (
        f'<span class="interval"><svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(said, quote=True)}">{"".join(parts)}</svg></span>'
    )


def _x(value: float, top: float) -> float:
    return min(max(value / top, 0.0), 1.0) * WIDTH


def _stroke(value: float, top: float, name: str, start: float = 16.0, stop: float = 84.0) -> str:
    x = min(max(_x(value, top), 3.0), WIDTH - 3.0)
    return f'<line class="{name}" x1="{x:.0f}" x2="{x:.0f}" y1="{start:g}" y2="{stop:g}"/>'
