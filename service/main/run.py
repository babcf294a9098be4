"""``tiltmeter run``: configuration to a running process, signals, exit status.

SIGTERM ends it in order: no more requests, the last flush, the last checkpoint, status 0. A second signal does not wait.
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn

from service.config import Config, FileSource, HttpSource, bearer_token, load
from service.decider.decider import Watched
from service.errors import ConfigError
from service.logging import Form, fields, setup
from service.main import adapt, connect
from service.main.canaries import Canaries
from service.main.models import Graphs, Models, OneByOne
from service.main.service import Role, Service
from service.pipeline.scoring import Scoring
from service.source.decode import Reason

_log = logging.getLogger(__name__)

ALONE = "tiltmeter"
"""Name of the only worker of a SQLite ledger, when the configuration names none."""


def serve(path: Path, role: Role, log: Form = "auto", level: str = "INFO") -> int:
    """Load, start, serve until a signal or a failure; the exit status. Raises ConfigError for what can be known before."""
    setup(log, level)
    config = load(path)
    service = build(config, role)
    if isinstance(config.source, HttpSource) and role != "decider" and bearer_token(config.http) is None:
        _log.warning("no token is set, so every post is refused", extra=fields(needs="http.token_file or TILTMETER_TOKEN"))
    return run(service, config)


def build(
    config: Config,
    role: Role = "all",
    *,
    scoring: Scoring | None = None,
    watched: Mapping[str, Watched] | None = None,
    open_writes: bool = False,
) -> Service:
    """Everything loaded and wired, nothing started.

    ``scoring`` and ``watched`` replace what would come from the bundles (then no bundle is read). Raises ConfigError.
    """
    if isinstance(config.source, FileSource) and role != "all":
        raise ConfigError("source.kind: files are read by one process; use --role all")
    connect.writable(config, role)
    place = connect.place(config) if role != "decider" else None
    identity = adapt.Process(
        role=role,
        # Whoever has the only place takes it over from whoever had it before, and with it what that one had not finished.
        instance=config.instance or (ALONE if place else f"{socket.gethostname()}-{secrets.token_hex(3)}"),
        started=time.time(),
        reasons=[reason.value for reason in Reason],
    )
    # A worker recognises canaries and asks none: it needs no packs and no keys of endpoints.
    canaries = Canaries.load(config) if config.targets and role != "worker" else None
    if watched is not None:
        return Service(config, role, identity, watched=watched, scoring=scoring, open_writes=open_writes, place=place, canaries=canaries)
    models = Models.load(config, shadows=True)
    identity = replace(identity, manifests=models.manifests())
    graphs = Graphs(models, config.compute) if role != "decider" and scoring is None else None
    score = OneByOne(models, graphs, connect.decoder(config)) if graphs else None
    service = Service(
        config,
        role,
        adapt.identified(identity, config, models.digests(), graphs.device if graphs else None, models.shadow_digests()),
        watched=models.watched(config),
        shadows=models.shadowed(config),
        scoring=graphs.scoring() if graphs else scoring,
        score=score,
        open_writes=open_writes,
        place=place,
        canaries=canaries,
    )
    if score:
        score.in_force, score.advise = service.in_force, service.advise
    return service


def run(service: Service, config: Config) -> int:
    """Start the threads and serve on this one until a signal or a failed thread; then stop in order."""
    listener = listen(config.http.host, config.http.port)
    server = Server(
        uvicorn.Config(service.app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=20, lifespan="on")
    )
    service.start()
    host, port = listener.getsockname()[:2]
    _log.info("listening", extra=fields(url=f"http://{host}:{port}/", role=service.role, pid=os.getpid()))
    threading.Thread(target=_follow, args=(service, server), name="follow", daemon=True).start()
    with server.signals():
        server.run(sockets=[listener])
    service.stop()
    _log.info("stopped", extra=fields(status=service.status))
    logging.shutdown()
    return service.status


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From here on a client waits instead of being refused.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(f"http.host, http.port: cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


class Server(uvicorn.Server):
    """Uvicorn, but a signal is ours to handle: it must not kill the process before the last flush."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask the server to end; a second one makes it end at once."""

        def end(number: int, frame: object) -> None:
            if self.should_exit:
                _log.warning("second signal: leaving without the last flush")
                logging.shutdown()
                os._exit(128 + number)
            _log.info("signal: ending in order", extra=fields(signal=signal.Signals(number).name))
            self.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        yield


def _follow(service: Service, server: Server) -> None:
    """End the server when a thread has failed."""
    service.ended.wait()
    server.should_exit = True
