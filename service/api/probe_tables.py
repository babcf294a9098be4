"""Endpoints with what is left of their day, gates, and the deployment announced last: the tables below the suites."""

from collections.abc import Callable, Sequence
from html import escape

from service.api import words
from service.api.pieces import pill, table
from service.api.probe_view import EndpointCard, GateCard, Left
from service.api.view import Deployed

_VERDICTS = {"pass": ("none", "✓"), "fail": ("critical", "✕")}


def endpoints(cards: Sequence[EndpointCard]) -> str:
    """A row for each target and judge."""
    if not cards:
        return ""
    heads = ("Endpoint", "Calls left", "Tokens left", "Money left", "State")
    return f"<h4>Left today</h4>{table(heads, [_endpoint(card) for card in cards])}"


def gates(cards: Sequence[GateCard]) -> str:
    """A row for each gate."""
    if not cards:
        return ""
    rows = []
    for card in cards:
        tone, mark = _VERDICTS.get(card.verdict, ("quiet", "–"))
        since = words.clock(card.since) if card.since is not None else ""
        name = f"{escape(card.name)}<small>stage {escape(card.stage)}</small>"
        rows.append((name, escape(card.reason), since, pill(tone, card.verdict, mark=mark)))
    return f"<h4>Gates</h4>{table(('Gate', 'Why', 'Since', 'Verdict'), rows)}"


def deployed(last: Deployed | None) -> str:
    """One line."""
    if last is None:
        return ""
    reason = f": {escape(last.reason)}" if last.reason else ""
    return (
        f'<p class="note">Last announced deployment: <b>{escape(last.revision)}</b>, {words.clock(last.time)}, '
        f"by {escape(last.actor)}{reason}</p>"
    )


def _endpoint(card: EndpointCard) -> tuple[str, ...]:
    spent = 0.0 in (_left(card.calls), _left(card.tokens), _left(card.money))
    if not card.answers:
        state = pill("blind", "does not answer", mark="?")
    elif card.paused:
        state = pill("quiet", f"asked to wait {words.span(card.paused)}", mark="–")
    elif spent:
        state = pill("quiet", "spent for today", mark="–")
    else:
        state = pill("none", "answers", mark="✓")
    model = f"<small>{escape(card.role)}{', ' + escape(card.model[: words.LONGEST]) if card.model else ''}</small>"
    return f"{escape(card.name)}{model}", _told(card.calls, _whole), _told(card.tokens, _whole), _told(card.money, "{:.2f}".format), state


def _left(of: Left) -> float | None:
    return None if of.limit is None else max(of.limit - of.spent, 0.0)


def _told(of: Left, form: Callable[[float], str]) -> str:
    """``412 of 500``; what was spent where there is no limit."""
    left = _left(of)
    if left is None or of.limit is None:
        return f"no limit, {form(of.spent)} spent"
    return f"<b>{form(left)}</b> of {form(of.limit)}"


def _whole(number: float) -> str:
    return words.count(int(number))
