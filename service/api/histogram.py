"""How strange prompts were before a change and how strange they are since: the p-values of an incident, as a small plot and as rows."""

from collections.abc import Sequence
from html import escape

import numpy as np

from detectors.sketch import P_VALUE_EDGES
from service.api import words
from service.records import Incident

WIDTH, HEIGHT = 1000.0, 100.0
_GAP = 0.12
_SHOWN = (0, 2, 4, 6, 9)
"""Bins with a number under their right edge."""


def edges() -> list[str]:
    """Upper edge of each bin: ``0.001`` to ``1``."""
    return [f"{edge:g}" for edge in (*P_VALUE_EDGES.tolist(), 1.0)]


def p_value_plot(incident: Incident) -> str:
    """Bars since the change, a line before it, strange prompts on the left; nothing where an incident has no such counts.

    Heights go with the square root of the share: the bins of strange prompts hold a tenth of a percent each when nothing is wrong.
    """
    before, after = incident.p_values_before, incident.p_values_after
    if not before or not after:
        return ""
    top = max(*before, *after, 1e-9)
    width = WIDTH / len(after)
    bars = "".join(
        f'<rect class="bar" x="{(i + _GAP) * width:.1f}" width="{(1 - 2 * _GAP) * width:.1f}" '
        f'y="{_y(share, top):.1f}" height="{HEIGHT - _y(share, top):.1f}"/>'
        for i, share in enumerate(after)
    )
    steps = " ".join(f"{(i + side) * width:.1f},{_y(share, top):.1f}" for i, share in enumerate(before) for side in (0, 1))
    names = edges()
    labels = "".join(f'<span style="left:{100 * (i + 1) / len(after):.1f}%">{names[i]}</span>' for i in _SHOWN)
    drawing = (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(summary(before, after), quote=True)}">{bars}<polyline class="line before" points="{steps}"/></svg>'
    )
    return (
        '<figure class="p-values"><figcaption><span>How strange prompts are (p-value), the strangest on the left: bars since the change, '
        f'line before it</span></figcaption><div class="plot small"><div class="area">{drawing}</div><div class="times">{labels}</div>'
        "</div></figure>"
    )


def summary(before: Sequence[float], after: Sequence[float]) -> str:
    """Shares up to the two flags, in words.

    >>> summary([0.001, 0.004, 0.005, 0.01, 0.03, *[0.095] * 10], [0.011, 0.004, 0.015, 0.01, 0.06, *[0.09] * 10])
    'p at most 0.01: 1.0% before, 3.0% since; p at most 0.05: 5.0% before, 10.0% since'
    """
    total = [np.cumsum(shares) for shares in (before, after)]
    parts = []
    for edge in (0.01, 0.05):
        at = int(np.searchsorted(P_VALUE_EDGES, edge))
        parts.append(f"p at most {edge:g}: {words.share(total[0][at])} before, {words.share(total[1][at])} since")
    return "; ".join(parts)


def _y(share: float, top: float) -> float:
    return HEIGHT * (1 - 0.96 * float(np.sqrt(share / top)))
