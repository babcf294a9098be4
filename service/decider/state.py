"""What one stream knows, in one word: the first that applies of DESIGN's list."""

from collections.abc import Iterable

ENOUGH = 200
"""Prompts in 60 windows below which a stream is ``insufficient``."""

STATES = ("blind", "page", "ticket", "learning", "idle", "insufficient", "ok")


def of_stream(*, blind: bool, open_levels: Iterable[str], learning: bool, idle: bool, prompts: int) -> str:
    """One of :data:`STATES`. ``prompts`` are those of the last 60 windows.

    >>> of_stream(blind=False, open_levels=["ticket"], learning=True, idle=False, prompts=10)
    'ticket'
    """
    levels = set(open_levels)
    if blind:
        return "blind"
    if "page" in levels:
        return "page"
    if "ticket" in levels:
        return "ticket"
    if learning:
        return "learning"
    if idle:
        return "idle"
    return "insufficient" if prompts < ENOUGH else "ok"
