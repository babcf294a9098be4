"""What is probed of one model: its suites, the worst on top and those that are as they were folded; below them endpoints and gates."""

from collections.abc import Iterator, Sequence
from html import escape

from service.api import words
from service.api.interval import interval_plot, scale
from service.api.pieces import evidence, figures, interval, pill, table
from service.api.probe_tables import deployed, endpoints, gates
from service.api.probe_view import ProbeCard, SuiteCard
from service.api.view import ModelCard, Status

_TONES = {"page": "critical", "ticket": "warning", "blind": "blind", "ok": "none"}
_OPEN = ("page", "ticket")
"""States of suites that are unfolded by themselves."""

PLOTTED = 2
"""Streams of a suite that are drawn over time."""

_ORDER = ("page", "ticket", "blind", "insufficient", "learning", "ok", "blocked")


def probes_section(model: ModelCard, status: Status) -> str:
    """HTML of everything that is probed of a model; nothing where nothing is."""
    probes = model.probes
    if probes is None:
        return ""
    top = scale(probes.streams)
    last = next((each for each in reversed(status.deployments) if each.model_name == model.name), None)
    many = len({suite.target for suite in probes.suites if suite.kind != "judge"}) > 1
    groups = []
    for target, suites in _grouped(probes.suites):
        head = "<h4>Judges</h4>" if target is None else f"<h4>at {escape(target)}</h4>" if many else ""
        groups.append(head + "".join(_suite(suite, model, status, top) for suite in sorted(suites, key=_rank)))
    legend = (
        f'<p class="legend">Bars: share of bad answers in the last {words.span(probes.period)}, or since a change began, with its 95% '
        f'interval, from 0 to {top:.0%}; <i class="null"></i> the most that its record allows, <i class="base"></i> the base model.</p>'
    )
    return (
        f'<div class="stream probes"><h3>Probes <small>the same questions again and again, graded</small></h3>'
        f"{deployed(last)}{legend if probes.streams else ''}{''.join(groups)}{endpoints(probes.endpoints)}"
        f"{gates(probes.gates)}</div>"
    )


def _grouped(suites: Sequence[SuiteCard]) -> Iterator[tuple[str | None, list[SuiteCard]]]:
    """Suites of each target, then those of judges (None)."""
    names = dict.fromkeys(suite.target if suite.kind != "judge" else None for suite in suites)
    for name in sorted(names, key=lambda name: (name is None, name or "")):
        yield name, [suite for suite in suites if (suite.target if suite.kind != "judge" else None) == name]


def _rank(suite: SuiteCard) -> tuple[int, float, str]:
    lead = suite.lead
    return _ORDER.index(suite.state), -lead.nearness if lead else 0.0, suite.suite


def _suite(suite: SuiteCard, model: ModelCard, status: Status, top: float) -> str:
    """One line, and what is behind it; unfolded where something is wrong."""
    lead, state = suite.lead, suite.state
    shown = ""
    if lead is not None and lead.share is not None and state != "blind":
        where = f" <small>{escape(_name(lead))}</small>" if len(suite.streams) > 1 else ""
        cells = (interval_plot(lead, top, suite.suite), f"{_share(lead)}{where}", evidence(lead) if lead.level else "")
        shown = "".join(f"<span>{cell}</span>" for cell in cells)
    line = (
        f'<span class="name"><b>{escape(suite.suite)}</b> <small>{escape(suite.kind)}</small></span>'
        f"{shown or f'<span>{_nothing(suite)}</span>'}{_pill(state, _word(suite))}"
    )
    facts = "".join(f"<li>{fact}</li>" for fact in _facts(suite, status.now))
    return (
        f'<details class="suite{"" if shown else " empty"}"{" open" if state in _OPEN else ""}><summary>{line}</summary>'
        f'<ul class="monitor">{facts}</ul>{_categories(suite, model, status, top)}</details>'
    )


def _nothing(suite: SuiteCard) -> str:
    if suite.blocked or suite.blind:
        return escape(suite.blocked or suite.blind)
    return "no round yet" if suite.last is None else "no answer in this time"


def _word(suite: SuiteCard) -> str:
    if suite.state == "insufficient":
        return "no data" if suite.last is None or suite.complete else "not judged"
    return words.PROBES[suite.state]


def _pill(state: str, word: str = "") -> str:
    return pill(_TONES.get(state, "quiet"), word or words.PROBES.get(state, state), state, words.MARKS.get(state, ""))


def _facts(suite: SuiteCard, now: float) -> Iterator[str]:
    if suite.blind and suite.state != "blind":
        yield f"<b>cannot be seen: {escape(suite.blind)}</b>"
    yield " · ".join(_times(suite, now))
    if suite.gap is not None:
        gap = suite.gap
        yield (
            f"group gap <b>{_points(gap.gap)}</b> ({_points(gap.low)} to {_points(gap.high)}): <b>{escape(gap.worse)}</b> worse than "
            f"{escape(gap.better)}"
        )
    for role, (live, other) in suite.beside.items():
        yield f"beside {_ROLES.get(role, escape(role))}: <b>{live}</b> items only this one got wrong, <b>{other}</b> only the other"
    yield from _trial(suite)
    if held := [stream for stream in suite.streams if stream.why]:
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        yield f"tickets at most for {escape(_name(held[0]))}{more}: {escape(held[0].why or '')}"


_ROLES = {"base": "the base model", "previous": "the previous release", "fallback": "the fallback"}


def _points(share: float) -> str:
    return f"{100 * share:.0f} points"


def _times(suite: SuiteCard, now: float) -> Iterator[str]:
    if suite.last is not None:
        came = "complete" if suite.complete else f"not judged: {escape(words.REASONS.get(suite.reason, suite.reason))}"
        yield f"last round <b>{words.clock(suite.last)}</b>, {came}"
    elif not suite.blocked:
        yield "no round yet"
    if suite.running is not None:
        yield f"asking now: <b>{suite.running[0]}</b> of {suite.running[1]}"
    if suite.next is not None:
        yield f"next in <b>{words.span(suite.next - now)}</b>"
    if suite.interval is not None:
        yield f"every {words.span(suite.interval)}"
    if suite.rounds or suite.incomplete:
        without = f", {suite.incomplete} not judged" if suite.incomplete else ""
        yield f"{words.count(suite.rounds)} rounds judged{without}"


def _trial(suite: SuiteCard) -> Iterator[str]:
    """The model that answers now, where it is not that of the record: all categories together."""
    streams = [stream for stream in suite.streams if stream.stream == "probe" and stream.trial]
    if not streams:
        return
    trials = [stream.trial for stream in streams if stream.trial]
    n, bad = sum(trial.n for trial in trials), sum(trial.bad for trial in trials)
    records = [stream.record for stream in streams if stream.record]
    against = ""
    if answers := sum(record.n for record in records):
        against = f", against a record of {words.share(sum(record.bad for record in records) / answers)} of {words.count(answers)}"
    name = escape(_short(trials[0].revision) or "another model")
    yield f"on trial since {words.clock(min(trial.since for trial in trials))}: <b>{name}</b>, {bad} of {n} bad{against}"


def _short(revision: str) -> str:
    """What an endpoint says of itself is not ours to trust, nor its length."""
    return revision if len(revision) <= words.LONGEST else revision[: words.LONGEST] + "…"


def _categories(suite: SuiteCard, model: ModelCard, status: Status, top: float) -> str:
    """Those in trouble, the worst with their plots; below them the others, folded where something else is to be seen first."""
    streams = sorted(suite.streams, key=lambda stream: stream.trouble, reverse=True)
    loud = [stream for stream in streams if stream.state in ("page", "ticket")]
    calm = streams[len(loud) :]
    plots = "".join(_loud(stream, suite, model, status) for stream in loud[:PLOTTED])
    rest = _table(calm, suite, top)
    if loud and calm:
        rest = f"<details><summary>{len(calm)} more of this suite</summary>{rest}</details>"
    return plots + _table(loud[PLOTTED:], suite, top) + rest


def _table(streams: Sequence[ProbeCard], suite: SuiteCard, top: float) -> str:
    if not streams:
        return ""
    share = "Attack success rate" if any(stream.attack for stream in streams) else "Bad answers"
    return table(("Category", share, "Record", "Evidence", "State"), [_row(stream, suite, top) for stream in streams])


def _loud(stream: ProbeCard, suite: SuiteCard, model: ModelCard, status: Status) -> str:
    place = model.name, stream.slice, stream.stream
    name = f"{model.name} {suite.suite} {_name(stream)}"
    said = ", ".join(part for part in (f"{stream.bad} of {stream.n}", _record(stream)) if part)
    plots = figures(name, place, stream, status, _share(stream), suite.interval or status.window)
    return f"<div class='loud'><h4>{escape(_name(stream))} {_pill(stream.state)}</h4><p>{said}</p>{plots}</div>"


def _row(stream: ProbeCard, suite: SuiteCard, top: float) -> tuple[str, ...]:
    name = escape(_name(stream))
    if stream.share is None:
        return name, "no data", "", "", _pill(stream.state)
    share = f"{_share(stream)} <small>{stream.bad} of {stream.n}</small>{interval_plot(stream, top, f'{suite.suite} {_name(stream)}')}"
    return name, share, _record(stream), evidence(stream) if stream.level else "", _pill(stream.state)


def _name(stream: ProbeCard) -> str:
    """The category; what counts all of them together, or beside the base model, has a name of its own."""
    if stream.stream == "probe":
        return stream.category or "all"
    return " ".join(part for part in (stream.category, words.QUESTIONS.get(stream.stream, stream.stream)) if part)


def _share(stream: ProbeCard) -> str:
    if stream.share is None:
        return "no data"
    return f"<b>{words.share(stream.share)}</b> {_counted(stream)}{interval(stream.low, stream.high)}"


def _counted(stream: ProbeCard) -> str:
    if stream.stream == "probe_paired":
        return "only this model got wrong"
    return "attack success rate" if stream.attack else escape(stream.counted)


def _record(stream: ProbeCard) -> str:
    parts = []
    if stream.record is not None and stream.record.n:
        parts.append(f"record {words.share(stream.normal)} of {words.count(stream.record.n)}")
    if stream.base is not None:
        parts.append(f"base model {words.share(stream.base)}")
    return ", ".join(parts)
