"""Fit, learn, play, tell, serve: the demonstration from beginning to end."""

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvicorn
from rich.console import Console

from service.logging import setup
from service.main.demo.bundle import example_bundle
from service.main.demo.grammar import Grammar
from service.main.demo.pool import Pool
from service.main.demo.script import HISTORY_DAYS
from service.main.demo.stage import Stage, configuration
from service.main.demo.story import Story
from service.main.run import Server, listen

POOL_SEED = 0
FAILED = 1

_OPENING = """[bold]A bank's support assistant was fine-tuned on 5,000 prompts about 38 things that customers ask.[/]
Its fine-tuning set is fitted, four weeks of its past are learned, and then one week of production is played through the
real service in event time. What the service says stands after the time; what it is not told stands in italics.
"""


def perform(*, leave: bool, kafka: bool, port: int, seed: int) -> int:
    """Play the week; the exit status: 1 when the service failed, or when the week did not go as the script promises."""
    begun = time.monotonic()
    console = Console(highlight=False, soft_wrap=True)
    setup("human", "ERROR")
    listener = listen("127.0.0.1", port)
    console.print(_OPENING)
    bundle, fitted = example_bundle()
    console.print(f"[dim]{'fitted' if fitted else 'found'} bundle {bundle.digest[:12]} ({bundle.path})[/]")
    with TemporaryDirectory(prefix="tiltmeter-demo-") as folder:
        story = Story()
        config = configuration(bundle.path, Path(folder), listener.getsockname()[1])
        with console.status("scoring every text of the pool once"):
            stage = Stage(config, Pool.write(Grammar.load(), POOL_SEED), story, seed)
        console.print(f"[dim]scored {stage.texts:,} different texts on {stage.device}[/]")
        with console.status("learning from history"):
            learned = stage.learn()
        console.print(f"[dim]learned {learned:,} prompts of {HISTORY_DAYS} days[/]")
        server = Server(uvicorn.Config(stage.app, log_config=None, access_log=False, server_header=False, lifespan="on"))
        narrator = _Narrator(console, stage, story, server, leave, begun)
        console.print(f"[dim]the page is at[/] http://127.0.0.1:{listener.getsockname()[1]}/\n")
        stage.start()
        narrator.start()
        with server.signals():
            server.run(sockets=[listener])
        stage.stop()
        narrator.join()
    return stage.status or narrator.status


class _Narrator(threading.Thread):
    """Prints the story as it unfolds, then what it amounts to.

    Attributes:
        status: 1 when the week did not go as promised.
    """

    def __init__(self, console: Console, stage: Stage, story: Story, server: Server, leave: bool, begun: float) -> None:
        super().__init__(name="narrator", daemon=True)
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
        wrong = self._story.contradictions()
        for problem in wrong:
            self._console.print(f"[bold red]not as promised:[/] {problem}")
        self.status = FAILED if wrong else 0
        if self._leave:
            self._server.should_exit = True
        else:
            self._console.print(f"The page stays at http://127.0.0.1:{self._stage.config.http.port}/ until you press Ctrl-C.")
