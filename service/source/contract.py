"""What every source of prompts does."""

from typing import Protocol

from service.records import Batch


class Source(Protocol):
    """Prompts in order, with the positions they came from. Used by one thread only."""

    def poll(self, limit: int, timeout: float) -> Batch:
        """At most about ``limit`` prompts, waiting up to ``timeout`` seconds for the first.

        Raises Rewound when the input was reassigned since the last poll: throw away what is unflushed and call :meth:`rewind`.
        """
        ...

    def rewind(self) -> None:
        """Go back to what the ledger has; the next poll reads from there."""
        ...

    def committed(self, batch: Batch) -> None:
        """The ledger holds this batch now."""
        ...

    def close(self) -> None:
        """Let go of connections; nothing is committed."""
        ...
