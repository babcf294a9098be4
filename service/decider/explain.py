"""Short words for a verdict: share, interval, since when, and what grew. Numbers and allow-listed topic words only, never prompt text."""

from collections.abc import Sequence
from datetime import UTC, datetime

from service.decider.track import Topic, words

_NOUN = {"ood_share": "strange", "far_share": "far off"}


def moment(time: float) -> str:
    """``21 Nov 14:05`` in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%M")


def percent(share: float) -> str:
    """Three significant digits at most: ``9.83%``, ``0.12%``, ``31.4%``."""
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}"


def quiet(stream: str, share: float, low: float, high: float, windows: int, normal: float) -> str:
    """No incident: the share of the last windows."""
    where = "in the last window" if windows == 1 else f"in the last {windows} windows"
    return f"{percent(share)} {_NOUN[stream]} ({percent(low)} to {percent(high)}) {where}; normal {percent(normal)}"


def changed(stream: str, share: float, low: float, high: float, since: float, normal: float) -> str:
    """An incident is open: the share since its change began."""
    return f"{percent(share)} {_NOUN[stream]} ({percent(low)} to {percent(high)}) since {moment(since)} UTC; normal {percent(normal)}"


def began(earliest: float, latest: float) -> str:
    """Interval of the start of a change; nothing when both ends are the same minute, which is told already."""
    first, last = moment(earliest), moment(latest)
    return "" if first == last else f"began between {first} and {last}"


def grew(topics: Sequence[Topic], rises: Sequence[tuple[int, float]]) -> str:
    """The topics that grew most, at most three, or nothing when none grew by a point."""
    named = [f"{words(topics, index)} +{100 * rise:.1f} points" for index, rise in rises[:3] if rise >= 0.01]
    return f"grew: {'; '.join(named)}" if named else ""
