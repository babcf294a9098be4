"""The thread that asks: from the canaries of a configuration to a runner on an event loop of its own, while this process decides."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from service.canary.runner import Runner
from service.canary.seams import Seams
from service.canary.view import SuiteView
from service.decider.probing.deployments import ANNOUNCED
from service.decider.snapshot import DeciderSnapshot
from service.ledger.contract import Unavailable
from service.main import asked_readings
from service.main.canaries import Canaries
from service.main.clients import Opened
from service.main.watches import UNSIGNED
from service.metrics import AskedReading
from service.probes.target import TargetClient
from service.records import AuditEntry, Command
from service.records.probes import Round
from service.records.probes_json import round_command

if TYPE_CHECKING:
    from service.store import Store

_log = logging.getLogger(__name__)

_LOOK = 0.2
_AUDIT = 500
"""Commands of a model looked through for the last that changes what its fingerprints are held against."""

DEPLOYED, ACCEPTED = "deployment.add", "probe.accept"
"""Commands after which another model than before is expected; of an acceptance, where it covers the suite."""


class Endpoint(NamedTuple):
    """A target or judge now. ``reached``: when it was met; ``calls``, ``tokens`` and ``money`` of today; ``paused``: seconds."""

    model: str | None
    reached: bool
    budget_left: float
    calls: int
    tokens: int
    money: float
    paused: float


class Asking(NamedTuple):
    """Suites, and endpoints by ``targets.<name>`` and ``judges.<name>``."""

    suites: Sequence[SuiteView]
    endpoints: Mapping[str, Endpoint]


class Probing:
    """Owns the runner of a process.

    Args:
        canaries: what is asked.
        store: the history, None until it is connected.
        submit: hands a command to the ledger. Raises Unavailable.
        active: whether this process is the active decider.
        clock, tick: as of the runner.

    Attributes:
        runner: None until the thread has started it. opened: its clients.
    """

    def __init__(
        self,
        canaries: Canaries,
        store: "Callable[[], Store | None]",
        submit: Callable[[Command], None],
        active: Callable[[], bool],
        clock: Callable[[], float] = time,
        tick: float | None = None,
    ) -> None:
        self.runner: Runner | None = None
        self.opened: Opened | None = None
        self._canaries, self._store, self._submit, self._active, self._clock, self._tick = canaries, store, submit, active, clock, tick
        self._since = clock()

    def run(self, stop: threading.Event) -> None:
        """The thread's work, until ``stop``."""
        while self._store() is None:
            if stop.wait(_LOOK):
                return
        asyncio.run(self._run(stop))

    def ask_now(self, target: str | None, suite: str | None) -> list[str] | None:
        """Have suites asked at once; ids of the rounds. None where this process is not the active decider."""
        if self.runner is None or not self._active():
            return None
        return self.runner.ask_now(target, suite)

    def asking(self) -> Asking:
        """What is asked, and where."""
        runner, opened = self.runner, self.opened
        return Asking(
            suites=runner.views() if runner is not None else [],
            endpoints={} if opened is None else {name: _endpoint(client) for name, client in opened.clients.items()},
        )

    def status(self) -> dict[str, Any]:
        """What ``GET /v1/probes`` answers."""
        asking = self.asking()
        return {
            "active": self._active(),
            "suites": [suite_json(view) for view in asking.suites],
            "endpoints": {name: endpoint._asdict() for name, endpoint in asking.endpoints.items()},
        }

    def reading(self, decider: DeciderSnapshot | None) -> AskedReading:
        """What /metrics shows of asking."""
        deciding = decider is not None and decider.active
        last = {(suite.model_name, suite.target, suite.suite): suite.last for suite in decider.suites} if decider and deciding else None
        return asked_readings.reading(self._canaries, self.runner, self.opened, last, self._since, self._clock())

    async def _run(self, stop: threading.Event) -> None:
        from sqlalchemy.exc import OperationalError

        store = self._store()
        assert store is not None
        opened = Opened(self._canaries)
        self.opened = opened

        def submit(round: Round) -> None:
            self._submit(round_command(round))

        seams = Seams(
            submit=submit,
            active=self._active,
            clock=self._clock,
            retry=(Unavailable, OperationalError),
            prepare=lambda: opened.prepare(store.probes),
            tick=self._tick,
            announced=partial(reference_since, store),
            store_text=self._canaries.config.probes.store_text,
            digest_key=self._canaries.key or UNSIGNED,
        )
        self.runner = opened.runner(store.probes, seams)
        ended = asyncio.Event()
        try:
            await asyncio.gather(self.runner.run(ended), _follow(stop, ended))
        finally:
            await opened.aclose()


def suite_json(view: SuiteView) -> dict[str, Any]:
    """A suite as plain values."""
    last = view.last and asdict(view.last) | {"counts": {name: counts._asdict() for name, counts in view.last.counts.items()}}
    return asdict(view) | {"running": view.running and view.running._asdict(), "last": last}


def _endpoint(client: TargetClient) -> Endpoint:
    """Budget and abilities of an endpoint."""
    spent, can = client.budget.spent(), client.capabilities
    return Endpoint(can.model, can.reached, client.budget.left(), spent.calls, spent.tokens, spent.money, client.pace.paused)


async def _follow(stop: threading.Event, ended: asyncio.Event) -> None:
    """Carry the signal of a thread over to the event loop."""
    while not stop.is_set():
        await asyncio.sleep(_LOOK)
    ended.set()


def reference_since(store: "Store", model: str, target: str, suite: str) -> float | None:
    """From when on what answers is the reference of a suite's fingerprints; None: from the beginning.

    Since the last acceptance that covers the suite; after a deployment from the moment on at which the decider judges fingerprints again,
    so that a rollout may take its time. Raises what the database raises.
    """
    entries = store.audit(_AUDIT, (DEPLOYED, ACCEPTED), model)
    return max((since for entry in entries if (since := _renewed(entry, target, suite)) is not None), default=None)


def _renewed(entry: AuditEntry, target: str, suite: str) -> float | None:
    """When a command makes fingerprints of this suite at this target begin again."""
    told = entry.arguments
    if entry.outcome.startswith("refused"):
        return None
    if entry.kind == DEPLOYED:
        return entry.time + ANNOUNCED
    meant = told.get("target") in (None, target) and told.get("suite") in (None, suite) and told.get("category") is None
    return entry.time if meant else None
