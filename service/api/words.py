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
}


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
