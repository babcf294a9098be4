"""The status page: must somebody get up? Answered in the first line, explained below it; rendered on the server, no script."""

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

from service.api import words
from service.api.cards import model_card
from service.api.headline import Headline, headline, lead_incident
from service.api.histogram import p_value_plot
from service.api.probe_view import ProbeCard
from service.api.view import ModelCard, Monitor, Status, StreamCard
from service.records import Incident

REFRESH = 15
"""Seconds between two loads of the page."""

INCIDENTS_SHOWN = 7
"""Incidents that are seen at once, those that wake somebody always; the others are unfolded by a click."""

STALE = 300.0
"""Age in seconds from which a sign of life is shown in red; windows.blind_after's default."""

_ICONS = {
    "none": '<circle cx="13" cy="13" r="11.5"/><path d="M8 13.5l3.4 3.4L18.4 10"/>',
    "warning": '<path d="M13 2.5L24.6 23H1.4z"/><path d="M13 10v6M13 19.2v.3"/>',
    "critical": '<path d="M8.4 1.5h9.2l6.9 6.9v9.2l-6.9 6.9H8.4l-6.9-6.9V8.4z"/><path d="M13 7v7.5M13 18.5v.4"/>',
    "quiet": '<circle cx="13" cy="13" r="11.5"/><path d="M7 13h2M12 13h2M17 13h2"/>',
    "blind": '<path d="M1.5 13S6 5.5 13 5.5 24.5 13 24.5 13 20 20.5 13 20.5 1.5 13 1.5 13z"/><path d="M4 22L22 4"/>',
}
_TILT = '<path d="M1 11h5l4-9 5 11 3-4h3" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round"/>'
_FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 22 14'%3E%3Cpath d='M1 11h5l4-9 5 11 3-4h3' "
    "fill='none' stroke='%2322577a' stroke-width='2'/%3E%3C/svg%3E"
)


@cache
def style() -> str:
    """The one style sheet, put into every page."""
    return files("service.api").joinpath("page.css").read_text(encoding="utf-8")


def document(title: str, body: str, refresh: int | None = None) -> str:
    """A whole HTML page without any request to elsewhere."""
    meta = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{meta}'
        f'<title>{escape(title)}</title><link rel="icon" href="{_FAVICON}"><style>{style()}</style></head><body>{body}</body></html>'
    )


def status_page(status: Status) -> str:
    """The page as HTML. Holds names, numbers and topic words; never a prompt."""
    head = headline(status)
    body = (
        f'<header class="top"><span><svg viewBox="0 0 22 14" aria-hidden="true">{_TILT}</svg><strong>Tiltmeter</strong></span>'
        f'<time datetime="{words.iso(status.now)}">{words.clock(status.now)}</time></header>'
        f"<main>{_verdict(status, head)}{_monitor(status.monitor, status.now)}"
        f"{_incidents('Open incidents', status.trouble, status.now, status.joined)}"
        f"<section><h2>Models</h2>{''.join(model_card(model, status) for model in status.models)}</section>"
        f"{_incidents('Lately closed', status.recent[:10], status.now)}</main>"
        f'<footer><a href="/docs">API</a><a href="/metrics">Metrics</a><a href="/v1/incidents">Incidents as JSON</a>'
        f"<span>Tiltmeter {escape(status.monitor.version)}</span><span>reloads every {REFRESH} s</span></footer>"
    )
    return document(f"{head.word}: {head.sentence}", body, REFRESH)


def _verdict(status: Status, head: Headline) -> str:
    lead = lead_incident(status.trouble)
    facts = _facts(lead, status) if lead and head.tone != "blind" else _calm_facts(status)
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in facts)
    icon = f'<svg viewBox="0 0 26 26" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">{_ICONS[head.tone]}</svg>'
    return (
        f'<div class="verdict {head.tone}" role="status"><p class="word">{icon}{head.word}</p><h1>{escape(head.sentence)}</h1>'
        f"<p>{escape(head.detail)}</p><dl class='facts'>{rows}</dl></div>"
    )


def _facts(lead: Incident, status: Status) -> list[tuple[str, str]]:
    started = f"<small>change began about {words.clock(lead.change_start)}</small>" if lead.change_start < lead.opened else ""
    place = lead.model_name, lead.slice, lead.stream
    now = next((s.share for m in status.models for s in _tested(m) if (m.name, s.slice, s.stream) == place), None)
    today = f"<small>now {words.share(now)}</small>" if now is not None else ""
    what = today or f"<small>{words.title(lead.stream)}</small>"
    return [
        ("Since", f"{words.clock(lead.opened)}{started}"),
        (
            "How sure",
            f"{words.power(lead.log10_evidence)} of {words.power(lead.log10_threshold)}"
            f"<small>evidence, of what a {escape(lead.level)} needs</small>",
        ),
        ("What changed", f"{words.share(lead.reference)} → {words.share(lead.value)}{what}"),
        ("Owner", f"{escape(lead.owner)}<small>{escape(words.place(lead.model_name, lead.slice))}</small>"),
    ]


def _calm_facts(status: Status) -> list[tuple[str, str]]:
    verdicts = [model.last_verdict for model in status.models if model.last_verdict is not None]
    closest = [
        (stream.evidence.get("page", 0.0) - limit, stream.evidence.get("page", 0.0), limit, words.place(model.name, stream.slice))
        for model in status.models
        for stream in _tested(model)
        if (limit := stream.thresholds.get("page")) is not None
    ]
    facts = [("Newest verdict", words.clock(max(verdicts)) if verdicts else "none yet")]
    if closest:
        _, evidence, limit, name = max(closest)
        facts.append(("Closest to a page", f"{words.power(evidence)} of {words.power(limit)}<small>{escape(name)}</small>"))
    facts.append(("Prompts counted", words.count(status.monitor.prompts)))
    return facts


def _tested(model: ModelCard) -> Sequence[StreamCard | ProbeCard]:
    """Streams of its prompts and of its probes."""
    return [*model.streams, *(model.probes.streams if model.probes is not None else ())]


def _monitor(monitor: Monitor, now: float) -> str:
    """Signs of life of the monitor itself, each red when it is too old."""
    items: list[tuple[bool, str]] = []

    def age(name: str, time: float | None, judge: bool) -> None:
        if time is not None:
            items.append((judge and now - time > STALE, f"{name} <b>{words.span(now - time)}</b> ago"))
        elif judge:
            items.append((False, f"{name} <b>never yet</b>"))

    if monitor.decider != "absent":
        items.append((False, f"decider <b>{escape(monitor.decider)}</b>"))
    if monitor.event_clock:
        if monitor.watermark is not None:
            items.append((False, f"event time <b>{words.clock(monitor.watermark)}</b>"))
    elif monitor.decider == "active":
        age("everything is known up to", monitor.watermark, True)
    if monitor.role != "decider":
        age("last flush", monitor.last_flush, not monitor.event_clock)
    if monitor.lag is not None:
        items.append((False, f"lag <b>{words.count(monitor.lag)}</b> records"))
    items.append((False, f"up for <b>{words.span(now - monitor.started)}</b>"))
    items += [
        (name == "lost", f"{name} <b>{words.count(number)}</b>")
        for name, number in (("lost", monitor.lost), ("late", monitor.late), ("rejected", monitor.rejected))
        if number
    ]
    if monitor.device:
        items.append((False, f"runs on <b>{escape(monitor.device)}</b>"))
    alive = "blind" if monitor.blind else "none"
    word = "The monitor is blind" if monitor.blind else "The monitor is alive"
    rows = "".join(f"<li{' class=bad' if bad else ''}>{text}</li>" for bad, text in items)
    return f'<ul class="monitor"><li class="{alive}"><span class="dot"></span><b>{word}</b></li>{rows}</ul>'


def _incidents(title: str, incidents: Sequence[Incident], now: float, joined: Sequence[Incident] = ()) -> str:
    if not incidents:
        return ""
    folded = sorted(_folded(incidents, joined), key=lambda each: each[0].severity != "critical")
    rows = [_incident(incident, lesser, now) for incident, lesser in folded]
    seen = max(INCIDENTS_SHOWN, sum(incident.severity == "critical" for incident, _ in folded))
    if len(rows) < seen + 3:
        seen = len(rows)
    shown, rest = (f'<ul class="incidents">{"".join(part)}</ul>' for part in (rows[:seen], rows[seen:]))
    more = f"<details><summary>{len(rows) - seen} more</summary>{rest}</details>" if rows[seen:] else ""
    return f"<section><h2>{escape(title)}</h2>{shown}{more}</section>"


def _folded(incidents: Sequence[Incident], joined: Sequence[Incident] = ()) -> list[tuple[Incident, list[Incident]]]:
    """Each incident with what it makes superfluous.

    That is what has joined it; the ticket of a stream whose page is open, or closed at the same moment; and what the evidence of all
    streams together says while the page of one of them is open.
    """
    hosts = {incident.id: incident for incident in incidents}

    def place(incident: Incident) -> tuple[str, str, str, float | None]:
        return incident.model_name, incident.slice, incident.stream, incident.closed

    pages = {place(i): hosts[i.part_of] for i in joined if i.part_of in hosts}
    pages |= {place(i): i for i in reversed(incidents) if i.level == "page"}
    drifts = [i for i in reversed(incidents) if i.level == "page" and i.closed is None and i.kind == "drift"]
    telling = {i.model_name: i for i in drifts if i.stream != "combined"}

    def better(incident: Incident) -> Incident | None:
        if incident.stream == "combined" and incident.closed is None and incident.model_name in telling:
            return telling[incident.model_name]
        return pages.get(place(incident)) if incident.level != "page" else None

    lesser: dict[str, list[Incident]] = {id_: [i for i in joined if i.part_of == id_] for id_ in hosts}
    for incident in incidents:
        if (page := better(incident)) is not None:
            lesser.setdefault(page.id, []).append(incident)
    return [(incident, lesser.get(incident.id, [])) for incident in incidents if better(incident) is None]


def _named(id_: str) -> str:
    """An incident's id, to which a link can lead."""
    return f'<code id="{escape(id_)}">{escape(id_)}</code>'


def _incident(incident: Incident, lesser: Sequence[Incident], now: float) -> str:
    closed = incident.closed is not None
    tone = "closed" if closed else ("critical" if incident.severity == "critical" else "warning")
    if closed:
        who = "by itself" if incident.closed_by == "recovery" else f"by {escape(incident.closed_by or 'somebody')}"
        end = f"closed {who} after {words.span((incident.closed or now) - incident.opened)}: {escape(incident.verdict or '')}"
    else:
        end = f"acknowledged by {escape(incident.acknowledged_by)}" if incident.acknowledged_by else "nobody has acknowledged it"
    reason = f"<p>{escape(incident.reason)}</p>" if incident.reason else ""
    what = incident.level if closed else f"{incident.level} · {incident.severity}"
    again = f" · crossed {incident.crossings} times" if incident.crossings > 1 else ""
    also = "".join(f" · {_also(i, incident)} since {words.clock(i.opened)} {_named(i.id)}" for i in lesser)
    subject = f"{words.place(incident.model_name, incident.slice)}: {words.title(incident.stream).lower()}"
    return (
        f'<li class="{tone}"><div class="line1"><span>{escape(subject)}</span>'
        f'<span class="pill {"quiet" if closed else tone}">{escape(what)}</span>'
        f'<time datetime="{words.iso(incident.opened)}">{words.clock(incident.opened)}</time></div>'
        f"<p>{escape(incident.explanation)}</p>{_p_values(incident)}{reason}"
        f"<p>{end} · owner {escape(incident.owner)}{again} · {_named(incident.id)}{also}</p></li>"
    )


def _p_values(incident: Incident) -> str:
    """In sight while it is open, behind a click once it is closed."""
    plot = p_value_plot(incident)
    return f"<details><summary>How strange prompts were</summary>{plot}</details>" if plot and incident.closed is not None else plot


def _also(lesser: Incident, incident: Incident) -> str:
    """What is told in one line of another incident; of something else than this one's stream with its name."""
    if (lesser.stream, lesser.slice) == (incident.stream, incident.slice):
        return lesser.level
    where = f" {escape(lesser.slice)}" if lesser.slice != incident.slice else ""
    return f"{escape(words.title(lesser.stream).lower())}{where} {lesser.level}"
