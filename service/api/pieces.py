"""What the sections of the status page are made of: pills, tables, evidence in words, and the two plots of a stream."""

from collections.abc import Sequence
from html import escape

from service.api import words
from service.api.plot import Mark, evidence_plot, share_plot
from service.api.probe_view import ProbeCard
from service.api.view import Status, StreamCard
from service.records import Incident

Place = tuple[str, str, str]

EVIDENCE_ONLY = ("combined", "probe_paired")
"""Streams whose evidence is about something else than a share against its null."""


def pill(tone: str, word: str, title: str = "", mark: str = "") -> str:
    """A word on its colour; ``mark`` stands before it for whoever cannot tell the colours."""
    said = f' title="{escape(title)}"' if title else ""
    sign = f'<span class="mark" aria-hidden="true">{mark}</span>' if mark else ""
    return f'<span class="pill {tone}"{said}>{sign}{escape(word)}</span>'


def interval(low: float | None, high: float | None) -> str:
    """`` (4.0% to 6.0%)``, or nothing."""
    return f" ({words.share(low)} to {words.share(high)})" if low is not None and high is not None else ""


def evidence(stream: StreamCard | ProbeCard, *, bold: bool = False) -> str:
    """``page 10^0.7 of 10^5.4``, as HTML: of the highest level that may be reached."""
    limit = stream.thresholds[stream.level] if stream.level else None
    if limit is None:
        return "may not alert now"
    power = words.power(stream.evidence.get(stream.level or "", 0.0))
    return f"{stream.level} {f'<b>{power}</b>' if bold else power} of {words.power(limit)}"


def figures(name: str, place: Place, stream: StreamCard | ProbeCard, status: Status, share: str, every: float) -> str:
    """Share and evidence over time; evidence alone of :data:`EVIDENCE_ONLY`.

    Args:
        name: for whoever cannot see the plots.
        place: model, slice and stream of the incidents that are marked.
        share: the share now, as HTML.
        every: seconds between two windows or rounds.
    """
    marks = [_mark(i) for i in (*status.recent, *status.incidents, *status.joined) if (i.model_name, i.slice, i.stream) == place]
    ticket, page = stream.thresholds.get("ticket"), stream.thresholds.get("page")
    until = status.monitor.watermark
    shares = ""
    if stream.stream not in EVIDENCE_ONLY and stream.null is not None:
        least = "up to" if stream.null >= stream.normal else "from"
        shares = (
            f"<figure><figcaption><span>Share, normal {least} {words.share(stream.null)}</span><span>{share}</span></figcaption>"
            f"{share_plot(stream.history, stream.null, stream.normal, marks, every, name, until)}</figure>"
        )
    return (
        f"<div class='plots{'' if shares else ' one'}'>{shares}"
        f"<figure><figcaption><span>Evidence for a change</span><span>{evidence(stream, bold=True)}</span></figcaption>"
        f"{evidence_plot(stream.history, ticket, page, marks, every, name, until)}</figure></div>"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that becomes a list on a phone; cells are HTML, the first names the row, an empty one is left out there."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(_cell(name, cell) for name, cell in zip(heads, row, strict=True))}</tr>" for row in rows)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(name: str, cell: str) -> str:
    return f'<td data-name="{name}"{"" if cell else " class=empty"}>{cell}</td>'


def _mark(incident: Incident) -> Mark:
    return Mark(incident.change_start, incident.opened, incident.closed, incident.level, incident.level)
