"""What every ledger promises, and the errors it raises.

A ledger is an ordered log of sketch deltas, reports and commands. Workers append to it through :class:`Ledger`; the one active
decider reads it through :class:`Journal` and keeps its own state, with the log position inside, in the same place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from service.errors import TiltmeterError
from service.records import Checkpoint, Command, Deltas, Entry, Partition, Report

KEY_RETENTION = 86_400.0
"""Seconds for which an idempotency key, a command id and what lies below the checkpoint are kept."""


class Unavailable(TiltmeterError):
    """The database or the broker cannot be reached now. Nothing is known to be appended: rewind, wait, try again."""


class Unusable(TiltmeterError):
    """The ledger cannot go on and waiting does not help: disk full, file unreadable. The message says what to do; the process ends."""


class UnknownVersion(TiltmeterError):
    """A record was written by a newer Tiltmeter. It is never skipped: counts would be lost without a trace."""


class Ledger(Protocol):
    """The worker's side; any replica may hold one. Used from one thread, except ``submit`` and ``watermark``."""

    def append(self, parts: Sequence[Deltas], report: Report, lease: Any) -> frozenset[str]:
        """Append deltas and a report and move the input positions of ``report``: all of it or nothing.

        Parts whose key was appended within the last 24 h are left out; their keys are returned. (The Kafka ledger cannot know
        them here and returns nothing; its journal leaves the repeats out.)

        Raises:
            Rewound: positions or lease do not match any more, or the outcome is unknown. Drop what is unflushed and rewind.
            Unavailable: the same, and the next attempt should wait.
            Unusable: disk full and the like.
        """
        ...

    def positions(self) -> Mapping[Partition, int]:
        """Committed input positions: the next position to read. Empty where the source keeps its own (Kafka)."""
        ...

    def submit(self, command: Command) -> None:
        """Append a command, once per ``command.id``. Safe to call from any thread. Raises Unavailable and Unusable."""
        ...

    def watermark(self) -> float:
        """Event time up to which the decider has closed windows, from its last checkpoint; -inf before the first. May lag."""
        ...

    def close(self) -> None:
        """Let go of connections. Nothing is flushed here."""
        ...


class Journal(Protocol):
    """The decider's side. One holder is active; others stand by. Used from one thread."""

    def acquire(self, timeout: float) -> bool:
        """Try for at most about ``timeout`` seconds to become the active decider. False: still standby.

        After True, :meth:`restore` gives the state to go on from. Raises UnknownVersion and Unusable.
        """
        ...

    def restore(self) -> Checkpoint | None:
        """The last checkpoint; None before the first. A standby may call it too. Raises UnknownVersion."""
        ...

    def read(self, after: int, limit: int, timeout: float) -> Sequence[Entry]:
        """Entries with position >= ``after`` in order, at most ``limit``, waiting up to ``timeout`` seconds for the first.

        ``after`` for the next call is the position of the last entry plus one; positions have gaps. Where the ledger could not know
        repeats when they were appended (Kafka), deltas carry their key and the reader leaves repeats out; the deltas of one key and
        append are neighbours. Commands may come twice, with the same id. Raises Fenced when this is not the active decider (any more).
        """
        ...

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the decider's state. Raises Fenced when another decider has taken over, Unavailable, Unusable."""
        ...

    def close(self) -> None:
        """Give the place to another decider."""
        ...
