"""One card a model: its streams with plots, those that only open tickets in a table, its slices in another, the worst on top."""

from collections.abc import Sequence
from html import escape

from service.api import words
from service.api.pieces import evidence, figures, interval, pill, table
from service.api.probes_section import probes_section
from service.api.view import MAIN, ModelCard, Status, StreamCard

SLICES_SHOWN = 10
"""Slices that are seen at once; more only while they are in trouble, the others are unfolded by a click."""

_TONES = {"page": "critical", "ticket": "warning", "blind": "blind", "ok": "none"}
_WORST = ("page", "ticket", "blind", "ok", "insufficient", "learning", "idle")
_TROUBLE = _WORST[:2]


def model_card(model: ModelCard, status: Status) -> str:
    """HTML of one model."""
    tone, word = _standing(model, blind=bool(status.monitor.blind))
    note = f'<p class="note">{escape(model.note)}</p>' if model.note else ""
    whole = [stream for stream in model.streams if not stream.slice]
    watched = [stream for stream in whole if stream.stream not in words.TICKET_ONLY]
    plotted = "".join(_stream(model, stream, status) for stream in watched if not _waits(stream))
    tickets = [stream for stream in whole if stream.stream in words.TICKET_ONLY and not _waits(stream)]
    tables = _waiting([stream for stream in whole if _waits(stream)]) + _tickets(tickets)
    owner = f'<span class="soft">owner {escape(model.owner)} · bundle <code>{escape(model.bundle[:12])}</code></span>'
    prompts = f"{plotted}{tables}{_slices([stream for stream in model.streams if stream.slice])}"
    probes = probes_section(model, status)
    return (
        f'<article class="card"><header><h2>{escape(model.name)}</h2>{pill(tone, word)}{owner}</header>{note}'
        f"{probes + prompts if _probes_first(model) else prompts + probes}</article>"
    )


def _probes_first(model: ModelCard) -> bool:
    """Whether what is probed is in worse trouble than the prompts."""
    prompts, probes = (
        min((_WORST.index(stream.state) for stream in streams if stream.state in _TROUBLE), default=len(_TROUBLE))
        for streams in (model.streams, model.probes.streams if model.probes is not None else ())
    )
    return probes < prompts


def _standing(model: ModelCard, *, blind: bool) -> tuple[str, str]:
    """Tone and word for one model: calm is only what could have been otherwise."""
    states = {stream.state for stream in model.main}
    if model.worst != "none":
        return model.worst, model.worst
    if blind:
        return "blind", "blind"
    if model.probes is not None and model.probes.blind:
        return "blind", "half blind"
    if states - {"learning", "idle", "insufficient"}:
        return "none", "calm"
    return "quiet", "learning" if "learning" in states else "too little to judge by"


def _stream(model: ModelCard, stream: StreamCard, status: Status) -> str:
    """Title, words and plots; ``combined`` has evidence and no share of its own."""
    title, meaning = words.STREAMS.get(stream.stream, (stream.stream, ""))
    why = f"<p>Tickets at most: {escape(stream.why)}.</p>" if stream.why and stream.level == "ticket" else ""
    place = model.name, stream.slice, stream.stream
    plots = figures(f"{model.name} {title}", place, stream, status, _share(stream), status.window)
    return (
        f'<div class="stream"><h3>{title} <small>{escape(meaning)}</small> {_state(stream)}</h3>'
        f"<p>{escape(stream.explanation)}</p>{why}{plots}</div>"
    )


def _state(stream: StreamCard) -> str:
    return pill(_TONES.get(stream.state, "quiet"), words.STATES.get(stream.state, stream.state), stream.state)


def _share(stream: StreamCard) -> str:
    """``5.1% strange (4.0% to 6.0%)``."""
    if stream.share is None:
        return "no prompts yet"
    return f"<b>{words.share(stream.share)}</b> {escape(stream.counted)}{interval(stream.low, stream.high)}"


def _waits(stream: StreamCard) -> bool:
    """Whether nothing can be said of a stream before there is a baseline; of the main ones there can."""
    return stream.state == "learning" and stream.stream not in MAIN


def _waiting(streams: Sequence[StreamCard]) -> str:
    """Streams that wait for an accepted baseline: one line for all of them."""
    if not streams:
        return ""
    names = ", ".join(words.title(stream.stream).lower() for stream in streams)
    return f'<div class="stream"><p>Not watched before a baseline is accepted: {names}.</p></div>'


def _tickets(streams: Sequence[StreamCard]) -> str:
    """The streams that open tickets at most: a row each."""
    if not streams:
        return ""
    rows = [
        (f"{escape(words.title(stream.stream))}<small>{escape(words.STREAMS.get(stream.stream, ('', ''))[1])}</small>", *_cells(stream))
        for stream in streams
    ]
    return f'<div class="stream"><h3>Tickets at most</h3>{table(("Stream", *_HEADS), rows)}</div>'


_HEADS = ("Share", "Normal", "Evidence", "State")


def _cells(stream: StreamCard) -> tuple[str, str, str, str]:
    if stream.share is None:
        return "", "", "", _state(stream)
    return _share(stream), words.share(stream.normal), evidence(stream), _state(stream)


def _slices(streams: Sequence[StreamCard]) -> str:
    """A row for each slice, the worst on top: of its two streams the one nearer to an alarm."""
    if not streams:
        return ""
    chosen = [max((s for s in streams if s.slice == name), key=_trouble) for name in dict.fromkeys(s.slice for s in streams)]
    chosen.sort(key=lambda s: (*_trouble(s), s.nearness), reverse=True)
    prompts = {stream.slice: int(stream.history.n.sum()) for stream in streams}
    rows = [(escape(s.slice), words.count(prompts[s.slice]), *_cells(s)) for s in chosen]
    seen = max(SLICES_SHOWN, sum(s.state in ("page", "ticket") for s in chosen))
    if len(rows) < seen + 3:
        seen = len(rows)
    heads = ("Slice", "Prompts", *_HEADS)
    rest = f"<details><summary>{len(rows) - seen} more slices</summary>{table(heads, rows[seen:])}</details>" if rows[seen:] else ""
    return (
        f'<div class="stream"><h3>Slices <small>strange prompts, or far prompts where these are nearer to an alarm</small></h3>'
        f"{table(heads, rows[:seen])}{rest}</div>"
    )


def _trouble(stream: StreamCard) -> tuple[int, int]:
    """How bad it is: state, then evidence in halves of its threshold, so that noise does not choose between streams."""
    state = _WORST.index(stream.state) if stream.state in _WORST else len(_WORST)
    return -state, int(2 * stream.nearness)
