"""Times, shares and states in words a tired person understands."""

from datetime import UTC, datetime

STATES = {
    "blind": "the monitor cannot see this stream",
    "page": "changed: a page is open",
    "ticket": "changed: a ticket is open",
    "learning": "learning what is normal; wakes nobody yet",
    "idle": "no prompts now",
    "insufficient": "too few prompts to tell",
    "ok": "nothing unusual",
}

STREAMS = {
    "ood_share": ("Strange prompts", "share scored stranger than 95% of held-out fine-tuning rows"),
    "far_share": ("Far prompts", "share scored stranger than 99% of held-out fine-tuning rows"),
    "topic_mix": ("Topic mix", "share of the one topic that moved most against the accepted baseline"),
    "embedding_shift": ("Embedding shift", "share of windows whose mean lies further from their hour's than 95% of normal ones"),
    "combined": ("Combined", "many small changes at once: the evidence of the streams above, averaged"),
    "new_topic": ("No known topic", "share of prompts near none of the fine-tuning topics"),
    "language": ("Language", "share of the one language that moved most"),
    "length": ("Length", "share of the one range of tokens that moved most"),
    "truncation": ("Cut off", "share of prompts cut at the encoder's limit"),
    "volume": ("Volume", "share of blocks (15 or 60 min) with far fewer or more prompts than usual at their hour of the week"),
    "probe": ("Probes", "share of bad answers in one category of a suite"),
    "probe_paired": ("Probes beside the base model", "items that only this model got wrong"),
    "probe_errors": ("Probes without an answer", "share of items that got none"),
    "probe_unscored": ("Probes not graded", "share of answers that no grader could tell"),
    "probe_judge": ("Judge", "share of labelled answers that it got wrong"),
}

PROBES = {
    "blind": "cannot be seen",
    "page": "worse: a page is open",
    "ticket": "worse: a ticket is open",
    "learning": "learning its record",
    "insufficient": "no data",
    "ok": "as its record",
    "blocked": "not asked",
}
"""State of probes -> what it says."""

MARKS = {"blind": "?", "page": "✕", "ticket": "!", "learning": "…", "insufficient": "–", "ok": "✓", "blocked": "–"}
"""State of probes -> a sign beside the colour."""

QUESTIONS = {
    "probe_paired": "beside the base model",
    "probe_errors": "without an answer",
    "probe_unscored": "not graded",
    "probe_judge": "against its labels",
}
"""Stream of probes -> its name in a table of categories."""

REASONS = {
    "errors": "more than a fifth of the questions had no answer",
    "budget": "the budget of the day had no room for it",
    "cancelled": "it was cut short",
}
"""Why a round says nothing -> the same for people."""

LONGEST = 60
"""Characters of what an endpoint says of itself that are shown."""

TICKET_ONLY = ("new_topic", "language", "length", "truncation", "volume")
"""Streams that never page."""


def title(stream: str) -> str:
    """Name of a stream for people."""
    return STREAMS.get(stream, (stream, ""))[0]


def place(model: str, slice_: str) -> str:
    """``support-bot``, or ``support-bot / acme`` for a slice."""
    return f"{model} / {slice_}" if slice_ else model


def power(exponent: float) -> str:
    """``10<sup>5.4</sup>``, as HTML."""
    return f"10<sup>{exponent:.1f}</sup>"


def clock(time: float) -> str:
    """``Tue 6 Jan 14:05 UTC``."""
    return f"{datetime.fromtimestamp(time, UTC):%a %-d %b %H:%M} UTC"


def iso(time: float) -> str:
    """For ``datetime=`` attributes."""
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def span(seconds: float) -> str:
    """``42 s``, ``7 min``, ``3 h 20 min``, ``5 days``."""
    seconds = max(seconds, 0.0)
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return days(round(hours / 24))


def days(number: int) -> str:
    """``1 day``, ``14 days``."""
    return f"{number:,} day" if number == 1 else f"{number:,} days"


def share(value: float) -> str:
    """``9.8%``, or ``0.42%`` below one percent."""
    return f"{value:.1%}" if value >= 0.01 or value == 0 else f"{value:.2%}"


def count(number: int) -> str:
    """With thousands apart."""
    return f"{number:,}".replace(",", "\u202f")
