"""Fit, learn, play, tell, serve: the demonstration from beginning to end."""

import logging
import multiprocessing
import threading
import time
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvicorn
from rich.console import Console

from service.logging import setup
from service.main.demo.broker import TOPIC, Broker, find_jars, produce_week
from service.main.demo.bundle import example_bundle
from service.main.demo.grammar import Grammar
from service.main.demo.pool import Pool
from service.main.demo.script import HISTORY_DAYS
from service.main.demo.stage import Stage, configuration
from service.main.demo.story import Story
from service.main.demo.toys import Toys
from service.main.run import Server, listen

POOL_SEED = 0
FAILED = 1

_OPENING = """[bold]A bank's support assistant was fine-tuned on 5,000 prompts about 38 things that customers ask.[/]
Its fine-tuning set is fitted, four weeks of its past are learned, and then one week of production is played through the
real service in event time. It also probes the assistant, a harmless toy model, and the base model beside it. VERDICT, TICKET, PAGE and
RECOVERED are the service's words; the other lines are the narrator's, and the service never hears them.
"""


def perform(*, leave: bool, kafka: bool, port: int, seed: int) -> int:
    """Play the week; the exit status: 1 when the service failed, or when the week did not go as the script promises."""
    begun = time.monotonic()
    console = Console(highlight=False, soft_wrap=True)
    setup("human", "ERROR")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    jars = find_jars() if kafka else None
    listener = listen("127.0.0.1", port)
    console.print(_OPENING)
    bundle, fitted = example_bundle()
    console.print(f"[dim]{'fitted' if fitted else 'found'} bundle {bundle.digest[:12]} ({bundle.path})[/]")
    with TemporaryDirectory(prefix="tiltmeter-demo-") as name, ExitStack() as open_parts:
        folder = Path(name)
        bootstrap, producer = _play_into_kafka(console, jars, folder / "kafka", seed, open_parts) if jars else (None, None)
        story = Story()
        toys = open_parts.enter_context(Toys())
        config = configuration(bundle.path, folder, listener.getsockname()[1], toys, bootstrap)
        with console.status("scoring every text of the pool once"):
            stage = Stage(config, Pool.write(Grammar.load(), POOL_SEED), story, toys, seed)
        console.print(f"[dim]scored {stage.texts:,} different texts on {stage.device}[/]")
        with console.status("learning from history"):
            learned, rounds = stage.learn()
        console.print(f"[dim]learned {learned:,} prompts and {rounds:,} rounds of probes of {HISTORY_DAYS} days[/]")
        server = Server(uvicorn.Config(stage.app, log_config=None, access_log=False, server_header=False, lifespan="on"))
        narrator = _Narrator(console, stage, story, server, leave, begun, producer)
        console.print(f"[dim]the page is at[/] http://127.0.0.1:{config.http.port}/\n")
        stage.start()
        narrator.start()
        with server.signals():
            server.run(sockets=[listener])
        stage.stop()
        narrator.join()
    return stage.status or narrator.status


def _play_into_kafka(console: Console, jars: Path, folder: Path, seed: int, open_parts: ExitStack) -> tuple[str, BaseProcess]:
    """Start a broker, and a process that sends the week to it; its address, and the process."""
    with console.status("starting a Kafka broker"):
        broker = open_parts.enter_context(Broker(jars, folder))
    # Spawned: a fork would carry this process's threads and sockets along.
    producer = multiprocessing.get_context("spawn").Process(target=produce_week, args=(broker.bootstrap, POOL_SEED, seed), daemon=True)
    producer.start()
    open_parts.callback(producer.kill)
    console.print(f"[dim]a Kafka broker runs at {broker.bootstrap}; a producer sends the week to its topic '{TOPIC}'[/]")
    return broker.bootstrap, producer


class _Narrator(threading.Thread):
    """Prints the story as it unfolds, then what it amounts to.

    Attributes:
        status: 1 when the week did not go as promised.
    """

    def __init__(
        self, console: Console, stage: Stage, story: Story, server: Server, leave: bool, begun: float, producer: BaseProcess | None
    ) -> None:
        super().__init__(name="narrator", daemon=True)
        self._producer = producer
        self._console, self._stage, self._story, self._server, self._leave, self._begun = console, stage, story, server, leave, begun
        self.status = 0

    def run(self) -> None:
        while not self._server.should_exit:
            for line in self._story.lines(0.2):
                if line is None:
                    self._close()
                    return
                self._console.print(line.styled())
            if self._stage.ended.is_set():
                self._server.should_exit = True
            elif self._producer is not None and self._producer.exitcode:
                self._console.print("[bold red]the producer failed[/]")
                self.status, self._server.should_exit = FAILED, True

    def _close(self) -> None:
        prompts = np.array(self._story.windows())
        effect = self._stage.design_effect()
        independent = prompts / effect
        took = time.monotonic() - self._begun
        self._console.print(
            f"\n{prompts.sum():,} prompts in {prompts.size:,} windows, told {took:.0f} s after the start. "
            f"Flags come in clusters: {effect:.1f} are worth one independent flag (design effect d), so a window is worth "
            f"n/d = {np.median(independent):.0f} independent prompts (median; {np.percentile(independent, 5):.0f} in the quietest 5%)."
        )
        self._console.print("\nWhat the probes saw before the release and while it answered, with the base model beside it:")
        self._console.print(self._story.caught.table())
        wrong = self._story.contradictions()
        for problem in wrong:
            self._console.print(f"[bold red]not as promised:[/] {problem}")
        self.status = FAILED if wrong else 0
        if self._leave:
            self._server.should_exit = True
        else:
            self._console.print(f"The page stays at http://127.0.0.1:{self._stage.config.http.port}/ until you press Ctrl-C.")
