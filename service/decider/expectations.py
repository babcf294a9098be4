"""Changes that somebody announced: until a time, what they carry opens a ticket at most."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol


class Refused(Exception):
    """A command that cannot be applied; the text is for its author."""


MOST = 100
"""Expectations of one model at the same time."""


class Topic(Protocol):
    """One reference topic of a bundle."""

    @property
    def words(self) -> Sequence[str]:
        """Most telling first."""
        ...


@dataclass(frozen=True, slots=True)
class Expectation:
    """An announced change of one topic or of one slice.

    Attributes:
        id: of the command that announced it.
        topic: index of the topic, the number of topics for none of them; None where a slice is meant. slice: value; None for a topic.
        name: topic or slice in words.
        until: event time up to which it holds.
    """

    id: str
    topic: int | None
    slice: str | None
    name: str
    until: float
    actor: str
    reason: str

    def ends(self) -> str:
        """``until`` as ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.until, UTC).isoformat(timespec="seconds")

    def covers(self, slice_: str, stream: str, topic: int | None) -> bool:
        """Whether a crossing of this stream is what was announced; ``topic`` carries it."""
        if self.slice is not None:
            return slice_ == self.slice
        return slice_ == "" and stream == "topic_mix" and topic == self.topic


def find_topic(wanted: str, topics: Sequence[Topic]) -> tuple[int, str]:
    """Index and words of a topic given by its number (from 0, as in the bundle), by some of its words, or by ``none`` for none of them.

    Raises Refused where no topic or more than one is meant.
    """
    names = [" ".join(topic.words[:3]) for topic in topics] + ["none of the known topics"]
    if wanted.isdecimal():
        found = [int(wanted)] if int(wanted) < len(names) else []
    elif wanted.lower() == "none":
        found = [len(topics)]
    else:
        words = set(wanted.lower().split())
        found = [i for i, topic in enumerate(topics) if words and words <= {word.lower() for word in topic.words}]
    if not found:
        raise Refused(f"no topic is called {wanted!r}: give its number or some of its words")
    if len(found) > 1:
        listed = "; ".join(f"{i} ({names[i]})" for i in found[:5])
        raise Refused(f"{len(found)} topics have the words {wanted!r}: {listed}")
    return found[0], f"topic {found[0]} ({names[found[0]]})"


class Expectations:
    """What is announced for one model."""

    def __init__(self) -> None:
        self._all: dict[str, Expectation] = {}

    def add(self, expectation: Expectation) -> None:
        """Raises Refused where there are too many."""
        if len(self._all) >= MOST:
            raise Refused(f"a model may have at most {MOST} expectations")
        self._all[expectation.id] = expectation

    def remove(self, id_: str) -> Expectation | None:
        """Take one back; None when there is none of this id."""
        return self._all.pop(id_, None)

    def take_slices(self, other: "Expectations") -> None:
        """Expect of slices what the other does: a slice is the same for every bundle, a topic is not."""
        self._all = {id_: each for id_, each in self._all.items() if each.slice is None}
        self._all |= {id_: each for id_, each in other._all.items() if each.slice is not None}

    def expire(self, time: float) -> None:
        """Forget what ended before ``time``."""
        self._all = {id_: each for id_, each in self._all.items() if each.until >= time}

    def expected(self, slice_: str, stream: str, topic: int | None, time: float) -> str | None:
        """Who announced this crossing at event time ``time``, and why; None for one that nobody did."""
        for each in self._all.values():
            if time <= each.until and each.covers(slice_, stream, topic):
                return f"expected by {each.actor}: {each.reason}"
        return None

    def listed(self) -> tuple[Expectation, ...]:
        """All of them, the soonest to end first."""
        return tuple(sorted(self._all.values(), key=lambda each: (each.until, each.id)))

    def to_json(self) -> list[dict[str, Any]]:
        """Everything needed to go on."""
        return [asdict(each) for each in self._all.values()]

    def load(self, state: Sequence[dict[str, Any]]) -> None:
        """Inverse of :meth:`to_json`."""
        self._all = {values["id"]: Expectation(**values) for values in state}
