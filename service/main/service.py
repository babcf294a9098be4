"""One process of the service: a pipeline thread, a decider thread and the web application, one immutable snapshot of each between them.

A thread that ends by an error ends the process: logged once, status 1 (2 for what the operator must put right).
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Literal

from fastapi import FastAPI

from service.api.app import create_app
from service.api.state import AppState, Scorer
from service.api.view import Status
from service.config import Config, HttpSource, bearer_token
from service.decider.decider import Decider, Watched
from service.decider.run import DeciderLoop
from service.decider.snapshot import DeciderSnapshot
from service.errors import ConfigError
from service.ledger.contract import Journal, Ledger, Unavailable
from service.logging import describe, fields
from service.main import adapt, connect, gates
from service.main.canaries import Canaries
from service.main.curation import Keeper, judged
from service.main.housekeeping import Housekeeper
from service.main.probing import Probing
from service.metrics import Reading
from service.pipeline.pipeline import Pipeline, Source
from service.pipeline.scoring import Scoring
from service.pipeline.snapshot import PipelineSnapshot
from service.records import Advice, Command, Prompt, Scores
from service.source.http import HttpSource as Ingest

if TYPE_CHECKING:
    from service.store import Store

_log = logging.getLogger(__name__)

Role = Literal["all", "worker", "decider"]

FAILED, MISCONFIGURED = 1, 2

_CONNECTING = "not connected yet"


class Service:
    """All parts of one process. :meth:`start` begins the threads, :meth:`stop` ends them in order.

    Args:
        config: what to run.
        role: all, worker or decider.
        identity: name of this process, its models and devices.
        watched, shadows: what the decider must know; scoring: what the pipeline scores with; score: one prompt for /v1/score.
        open_writes: take writes without a token (the demonstration).
        place: closed at the end, and kept until then (:func:`service.main.connect.place`).
        canaries: what is asked of the models' targets; None without any.

    Attributes:
        app: the web application.
        worker, decider: newest snapshots, None before the first.
        status: exit status, 0 until a thread fails.
        ended: set when a thread failed.
    """

    def __init__(
        self,
        config: Config,
        role: Role,
        identity: adapt.Process,
        *,
        watched: Mapping[str, Watched],
        shadows: Mapping[str, Watched] | None = None,
        scoring: Scoring | None,
        score: Scorer | None = None,
        open_writes: bool = False,
        place: IO[str] | None = None,
        canaries: Canaries | None = None,
    ) -> None:
        self.config, self.role = config, role
        self.worker: PipelineSnapshot | None = None
        self.decider: DeciderSnapshot | None = None
        self.status = 0
        self.ended = threading.Event()
        self._identity, self._watched, self._shadows, self._scoring = identity, watched, shadows, scoring
        self._stops = {name: threading.Event() for name in ("canary", "pipeline", "decider", "history", "curation")}
        self._keeper = Keeper(config) if config.curation.store_text == "redacted" else None
        self._trouble: dict[str, str | None] = {}
        self._refused: Counter[str] = Counter()
        self._place = place
        self._ledger: Ledger | None = None
        self._source: Source | None = None
        self._store: Store | None = None
        self._loop: DeciderLoop | None = None
        self._returns = connect.returns(config)
        self._streams = canaries.streams if canaries else ()
        self.probing: Probing | None = None
        parts: dict[str, Callable[[], None]] = {}
        if role != "worker" and canaries is not None and canaries.watches:
            self.probing = self._open_probing(canaries)
            parts["canary"] = self._ask
        if role != "decider":
            parts["pipeline"] = self._work
        if role != "worker":
            parts["decider"] = self._decide
            parts["history"] = self._tidy
        if self._keeper is not None:
            parts["curation"] = self._curate
        self._threads = {
            name: threading.Thread(target=self._guard, args=(name, part), name=name, daemon=True) for name, part in parts.items()
        }
        self.app = self._web(score, open_writes)

    def start(self) -> None:
        """Begin the threads."""
        for thread in self._threads.values():
            thread.start()

    def stop(self, patience: float = 40.0) -> None:
        """Flush, then checkpoint, then let go; returns when both threads have ended, or after ``patience`` seconds each."""
        for name, thread in self._threads.items():
            self._stops[name].set()
            if name == "decider" and self._loop is not None:
                self._loop.stop()
            if thread.ident is not None:
                thread.join(patience)
            if thread.is_alive():
                _log.error("thread does not end", extra=fields(thread=name, seconds=patience))
                self.status = self.status or FAILED
        if self._ledger is not None:
            self._ledger.close()
        if self._place is not None:
            self._place.close()

    def snapshot(self) -> Status:
        """What the page shows now."""
        asking = self.probing.asking() if self.probing else None
        return adapt.status(self.config, self._process(), self.decider, self.worker, time.time(), asking)

    def reading(self) -> Reading:
        """What /metrics shows now."""
        seen = self.decider
        return adapt.reading(self._process(), seen, self.worker, self.probing.reading(seen) if self.probing else None)

    def in_force(self, model: str) -> str | None:
        """Digest of the bundle that judges a model; None where no decider runs in this process, or not yet."""
        return next((each.bundle for each in self.decider.models if each.model_name == model), None) if self.decider else None

    def advise(self, model: str, slice_: str) -> Advice:
        """What a gateway is advised about a prompt of this model and slice."""
        return gates.advise(self.decider, model, slice_)

    def submit(self, command: Command) -> None:
        """Hand a command to the ledger. Raises Unavailable while it cannot be reached."""
        if self._ledger is None:
            raise Unavailable(f"ledger: {_CONNECTING}")
        self._ledger.submit(command)

    def problems(self) -> dict[str, str | None]:
        """Part -> what is wrong with it now, None when nothing is."""
        found = self._known_problems()
        if self._ledger is None:
            found["ledger"] = found.get("ledger") or _CONNECTING
        if self._source is None and self.role != "decider":
            found["source"] = found.get("source") or _CONNECTING
        if self.decider is None and self.role != "worker":
            found["decider"] = found.get("decider") or "starting"
        return found

    def _known_problems(self) -> dict[str, str | None]:
        """Without what is only not there yet."""
        found = dict(self._trouble)
        found["source"] = found.get("source") or getattr(self._source, "trouble", None)
        if self.worker is not None and not self.worker.ledger_up:
            found["ledger"] = found.get("ledger") or "the last flush failed; trying again"
        return found

    def _process(self) -> adapt.Process:
        state = (
            "absent" if self.role == "worker" else "starting" if self.decider is None else "active" if self.decider.active else "standby"
        )
        return replace(
            self._identity,
            decider=state,
            blind=tuple(f"{part}: {text}" for part, text in self._known_problems().items() if text),
            queued=getattr(self._source, "waiting", None),
            lag=getattr(self._source, "lag", None),
            replaced_times=getattr(self._source, "replaced_times", None),
            lost_records=getattr(self._source, "lost", None),
            lost_dead_letters=getattr(self._source, "dead_letters_lost", None),
            refused=dict(self._refused),
        )

    def _web(self, score: Scorer | None, open_writes: bool) -> FastAPI:
        return create_app(
            AppState(
                status=self.snapshot,
                read=self.reading,
                alive=lambda: {name: thread.is_alive() for name, thread in self._threads.items()},
                ready=self.problems,
                submit=self.submit,
                queries=lambda: self._store,
                ingest=lambda: self._source if isinstance(self._source, Ingest) else None,
                refused=self._refuse,
                source=self.config.source.kind if self.role != "decider" else "the workers",
                score=score,
                token=bearer_token(self.config.http),
                open_writes=open_writes,
                keep_text=self.config.curation.keep if self._keeper else None,
                probes=lambda: self.probing.status() if self.probing else None,
                gates=lambda: gates.rows(self.decider),
                ask_now=lambda target, suite: self.probing.ask_now(target, suite) if self.probing else None,
                show_examples=self.config.explain.examples == "redacted",
                max_body_bytes=self.config.source.max_body_bytes if isinstance(self.config.source, HttpSource) else 0,
            )
        )

    def _refuse(self, reason: str) -> None:
        self._refused[reason] += 1

    def _note(self, part: str) -> Callable[[str | None], None]:
        def note(trouble: str | None) -> None:
            if trouble and not self._trouble.get(part):
                _log.warning("cannot connect, trying again", extra=fields(part=part, error=trouble))
            elif self._trouble.get(part) and not trouble:
                _log.info("connected", extra=fields(part=part))
            self._trouble[part] = trouble

        return note

    def _guard(self, name: str, part: Callable[[], None]) -> None:
        """Run a thread's work; an error is logged once and ends the process."""
        try:
            part()
        except Exception as error:
            self.status = MISCONFIGURED if isinstance(error, ConfigError) else FAILED
            _log.critical("thread ended, so the process ends", extra=fields(thread=name, error=describe(error)))
            self.ended.set()

    def _work(self) -> None:
        """The pipeline's thread."""
        if self._scoring is None:
            raise ConfigError("models: a worker needs bundles to score with")
        stop, instance = self._stops["pipeline"], self._identity.instance
        ledger = connect.patiently(lambda: connect.ledger(self.config, instance), stop, self._note("ledger"))
        if ledger is None:
            return
        self._ledger = ledger
        # A source asks the ledger for its positions: what cannot be reached here is the ledger.
        source = connect.patiently(lambda: self._open_source(ledger), stop, self._note("ledger"))
        if source is None:
            return
        pipeline = Pipeline(
            source,
            ledger,
            self._scoring,
            windows=self.config.windows,
            worker=instance,
            observe=self._observe,
            scored=self._scored,
            canaries=self._came_back,
        )
        self._source = source
        _log.info("pipeline started", extra=fields(source=self.config.source.kind, ledger=self.config.ledger.kind, instance=instance))
        try:
            pipeline.run(stop)
        except Exception as error:
            if isinstance(source, Ingest):
                source.fail(error)
            raise
        source.close()
        _log.info("pipeline stopped", extra=fields(prompts=sum(self.worker.prompts.values()) if self.worker else 0))

    def _open_source(self, ledger: Ledger) -> Source:
        """Where prompts come from; the demonstration has its own."""
        return connect.source(self.config, self._identity.instance, ledger, self._returns)

    def _open_probing(self, canaries: Canaries) -> Probing:
        """What asks; the demonstration has a clock of its own."""
        return Probing(canaries, lambda: self._store, self.submit, self._deciding)

    def _open_store(self) -> "Store":
        """Where the history goes; the demonstration listens to it."""
        return connect.store(self.config)

    def _scored(self, prompts: Sequence[Prompt], scores: Scores) -> None:
        if self._keeper is not None and self._scoring is not None:
            self._keeper.take(prompts, *judged(prompts, scores, self._scoring, self.in_force))

    def _curate(self) -> None:
        """The thread that writes and deletes texts; the history being away is no reason to call the service blind."""
        assert self._keeper is not None
        stop = self._stops["curation"]
        kept = connect.patiently(lambda: connect.store(self.config), stop, lambda trouble: None)
        if kept is not None:
            self._keeper.run(kept, stop)
            kept.close()

    def _came_back(self) -> dict[str, float]:
        """Target -> when the newest of its canaries came in at the source."""
        return {target: seen.newest for target, seen in self._returns.seen().items()} if self._returns else {}

    def _ask(self) -> None:
        """The thread that asks canaries."""
        assert self.probing is not None
        self.probing.run(self._stops["canary"])

    def _deciding(self) -> bool:
        """Whether this process is the active decider, as far as it knows."""
        return self.decider is not None and self.decider.active

    def _tidy(self) -> None:
        """The thread that deletes what is old from the history."""
        Housekeeper(self.config).run(self._stops["history"], lambda: self._store, self._judged)

    def _judged(self) -> float | None:
        """How far this process has decided; None where another one does."""
        seen = self.decider
        return seen.watermark if seen is not None and seen.active and math.isfinite(seen.watermark) else None

    def _observe(self, snapshot: PipelineSnapshot) -> None:
        self.worker = snapshot

    def _decide(self) -> None:
        """The decider's thread."""
        from sqlalchemy.exc import OperationalError

        stop, instance = self._stops["decider"], self._identity.instance
        if self.role == "decider":
            self._ledger = connect.patiently(lambda: connect.ledger(self.config, instance), stop, self._note("ledger"))
        store = connect.patiently(self._open_store, stop, self._note("history"))
        journal: Journal | None = connect.patiently(lambda: connect.journal(self.config), stop, self._note("ledger"))
        if journal is None or store is None:
            return
        self._store = store
        if self._keeper is None and (gone := store.forget(math.inf)):
            _log.info("storing text is switched off: what was kept is deleted", extra=fields(texts=gone))
        decider = Decider(self._watched, self.config, shadows=self._shadows, probes=self._streams)
        self._loop = DeciderLoop(journal, decider, store, time.time, self._publish, retry=(Unavailable, OperationalError))
        if not stop.is_set():
            self._loop.run()
        _log.info("decider stopped")

    def _publish(self, snapshot: DeciderSnapshot) -> None:
        before = {incident.id for incident in self.decider.incidents} if self.decider else set()
        self.decider = snapshot
        if not snapshot.active:
            return
        for incident in snapshot.incidents:
            if incident.id not in before:
                _log.warning("incident open", extra=fields(id=incident.id, severity=incident.severity, what=incident.explanation))
        for incident in snapshot.recent:
            if incident.id in before:
                _log.info("incident closed", extra=fields(id=incident.id, by=incident.closed_by, verdict=incident.verdict))
