"""What the runner needs of the world: where answers are kept, who is told of rounds, whether it is its turn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, ParamSpec, Protocol, TypeVar

from service.logging import fields
from service.records.probes import Print, ProbeResult, Round
from service.store.probes import KeptRound

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST_PAUSE = 15.0


class History(Protocol):
    """Where answers and rounds are kept; implemented by service.store.ProbeHistory. Called from other threads."""

    def begin(self, round: Round, deadline: float) -> bool:
        """Note that a round has begun; False when it had before."""
        ...

    def record(self, results: Sequence[ProbeResult], prints: Sequence[Print] = ()) -> None:
        """Keep answers."""
        ...

    def end(self, rounds: Sequence[Round], state: Literal["ended", "manual"], deadline: float) -> None:
        """Keep what rounds came to."""
        ...

    def tell(self, id: str) -> None:
        """Note that the decider was told."""
        ...

    def unfinished(self) -> list[KeptRound]:
        """Open rounds, and those that nobody was told of."""
        ...

    def results(self, round: str) -> list[ProbeResult]:
        """Answers of a round."""
        ...

    def rounds(self, target: str, suite: str, since: float | None = None, limit: int = 100) -> list[KeptRound]:
        """The newest rounds, oldest first."""
        ...

    def prints(self, target: str, suite: str, since: float, limit: int, newest: bool = False) -> list[Print]:
        """Fingerprints."""
        ...


@dataclass(frozen=True, slots=True)
class Seams:
    """What the runner needs of the world.

    Attributes:
        submit: hands a round to the decider by the ledger. active: whether this process is the active decider.
        clock: seconds since the epoch.
        retry: errors of history and ledger that mean: not now.
        prepare: awaited whenever this process becomes active, before anything is asked.
        tick: seconds between two looks at the schedule; None is :data:`service.canary.runner.TICK`.
        announced: from when on what answers is the reference of fingerprints, by model, target and suite: after the last deployment that
            was announced, or since the last acceptance; None for ever.
    """

    submit: Callable[[Round], None]
    active: Callable[[], bool]
    clock: Callable[[], float]
    retry: tuple[type[Exception], ...] = ()
    prepare: Callable[[], Awaitable[None]] | None = None
    announced: Callable[[str, str, str], float | None] = lambda model, target, suite: None
    tick: float | None = None
    store_text: bool = False
    digest_key: bytes = b"tiltmeter"

    async def patiently(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call in another thread, again with growing pauses while the database is away."""
        pause = 0.5
        while True:
            try:
                return await asyncio.to_thread(call, *args, **kwargs)
            except self.retry as error:
                _log.warning("probes wait for the history", extra=fields(error=type(error).__name__))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
