"""The real service with parts of its own: prompts and time come from the script, toys answer probes, the story listens to the history."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.config import Config, KafkaSource, store_url
from service.decider.closed import Closed
from service.ledger.contract import Ledger
from service.main import adapt
from service.main.canaries import Canaries
from service.main.demo.broker import TOPIC
from service.main.demo.canaries import past_rounds, settings
from service.main.demo.history import learn_history
from service.main.demo.pace import Pace, Paced
from service.main.demo.pool import Pool
from service.main.demo.script import EVENTS, MODEL, MONDAY, OWNER, RELEASE, ROLLBACK
from service.main.demo.source import ScriptedSource
from service.main.demo.story import Story
from service.main.demo.toys import BAD, GOOD, Toys
from service.main.demo.traffic import MINUTES
from service.main.models import Graphs, Models
from service.main.probing import Probing
from service.main.service import Service
from service.pipeline.pipeline import Source
from service.records import Command, Prompt, Scores
from service.records.probes import Round
from service.records.probes_json import ROUND
from service.source.decode import Reason
from service.store import Store

ACTOR = "demo"

TICK = 0.02
"""Seconds between two looks at the schedule: the week waits for the probes."""


def configuration(bundle: Path, folder: Path, port: int, toys: Toys, bootstrap: str | None = None) -> Config:
    """Defaults, but for the event clock (only the script moves time) and how far a partition may run ahead.

    With ``bootstrap``, prompts and ledger are Kafka's.
    """
    database = f"sqlite:///{folder / 'ledger.db'}"
    script = {"source": {"kind": "file", "paths": [folder / "week"]}, "ledger": {"kind": "sql", "url": database}}
    kafka = {
        "source": {"kind": "kafka", "bootstrap_servers": bootstrap, "topic": TOPIC, "start": "earliest"},
        "ledger": {"kind": "kafka", "bootstrap_servers": bootstrap, "create_topics": True},
    }
    return Config.model_validate(
        {
            **(kafka if bootstrap else script),
            "store": f"sqlite:///{folder / 'history.db'}",
            "models": {MODEL: {"bundle": bundle, "owner": OWNER}},
            "windows": {"clock": "event", "grace": 0, "max_open": MINUTES},
            "http": {"port": port},
            "instance": "demo",
            **settings(toys, folder),
        }
    )


class Stage(Service):
    """The service on the scripted week.

    Attributes:
        texts: different texts in the pool; all are scored when this is made, which is what makes the week fast.
        device: where the graphs run.
    """

    def __init__(self, config: Config, pool: Pool, story: Story, toys: Toys, seed: int) -> None:
        """Open the graphs and score the pool: some ten seconds."""
        models = Models.load(config)
        graphs = Graphs(models, config.compute)
        scoring = graphs.scoring()
        identity = adapt.Process("all", "demo", time.time(), reasons=[reason.value for reason in Reason], manifests=models.manifests())
        self._canaries, self._toys = Canaries.load(config), toys
        asked = [watch.schedule(config.windows.time_zone) for watch in self._canaries.watches]
        self._pace = Pace(asked, MONDAY, self._release)
        super().__init__(
            config,
            "all",
            adapt.identified(identity, config, models.digests(), graphs.device),
            watched=models.watched(config),
            scoring=scoring,
            open_writes=True,
            canaries=self._canaries,
        )
        self._pool, self._story, self._seed = pool, story, seed
        self._scores: Scores = scoring.score([Prompt("", text, MONDAY, MODEL) for text in pool.texts])
        self._topics = scoring.topics(MODEL)
        self._history: dict[str, Any] = {}
        self._rounds: list[Round] = []
        self.texts, self.device = len(pool.texts), graphs.device

    def learn(self) -> tuple[int, int]:
        """Learn the weeks before; prompts and rounds of probes."""
        self._rounds = past_rounds(self._canaries, self._toys)
        self._history = learn_history(self._pool, self._scores, self._topics, self._seed)
        return sum(n for _, n, _ in self._history["blocks"]["strange"]), len(self._rounds)

    def submit(self, command: Command) -> None:
        """As always; a round that was told lets the week go on."""
        super().submit(command)
        if command.kind == ROUND:
            self._pace.told(command.arguments["id"])

    def stop(self, patience: float = 40.0) -> None:
        """As always; the week waits for nothing any more."""
        self._pace.close()
        super().stop(patience)

    def _release(self, time: float) -> None:
        """The model in production is replaced, and put back."""
        self._toys.live.behaviour = BAD if RELEASE <= time - MONDAY < ROLLBACK else GOOD

    def _open_probing(self, canaries: Canaries) -> Probing:
        return Probing(canaries, lambda: self._store, self.submit, self._deciding, self._pace.now, TICK)

    def design_effect(self) -> float:
        """The larger of the two streams' design effects in force; 1 before the baseline is accepted."""
        models = self.decider.models if self.decider else ()
        baselines = [model.baseline.accepted for model in models if model.baseline.accepted is not None]
        return max((float(rate.design_effect) for baseline in baselines for rate in baseline.rates.values()), default=1.0)

    def _open_source(self, ledger: Ledger) -> Source:
        """The week; before it, what was learned from history is handed in and accepted, as an operator would."""
        ledger.submit(Command("demo-learn", "baseline.learn", ACTOR, MONDAY, {"model": MODEL, **self._history}))
        ledger.submit(Command("demo-accept", "baseline.accept", ACTOR, MONDAY, {"model": MODEL, "reason": "four weeks that looked right"}))
        if isinstance(self.config.source, KafkaSource):
            return Paced(super()._open_source(ledger), self._pace, MONDAY)
        return Paced(ScriptedSource(self._pool, self._seed, EVENTS, ledger.positions), self._pace, MONDAY)

    def _open_store(self) -> Store:
        store = _Listening.open(store_url(self.config))
        assert isinstance(store, _Listening)
        store.story = self._story
        live = next(name for name, target in self.config.targets.items() if target.role == "live")
        self._story.caught.rounds = lambda suite: [kept.round for kept in store.probes.rounds(live, suite, MONDAY, 1000)]
        store.probes.end(self._rounds, "ended", MONDAY)  # the runner tells the decider of them, as of any it finds untold
        return store


class _Listening(Store):
    """The history, which the story hears too."""

    story: Story

    def upsert(self, steps: Sequence[Any]) -> None:
        """Write, then tell."""
        super().upsert(steps)
        self.story.take([step for step in steps if isinstance(step, Closed)])
