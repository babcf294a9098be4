"""The real service with two parts of its own: prompts come from the script, and the story listens to the history."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.config import Config, KafkaSource, store_url
from service.decider.closed import Closed
from service.ledger.contract import Ledger
from service.main import adapt
from service.main.demo.broker import TOPIC
from service.main.demo.history import learn_history
from service.main.demo.pool import Pool
from service.main.demo.script import EVENTS, MODEL, MONDAY, OWNER
from service.main.demo.source import ScriptedSource
from service.main.demo.story import Story
from service.main.demo.traffic import MINUTES
from service.main.models import Graphs, Models
from service.main.service import Service
from service.pipeline.pipeline import Source
from service.records import Command, Prompt, Scores
from service.source.decode import Reason
from service.store import Store

ACTOR = "demo"


def configuration(bundle: Path, folder: Path, port: int, bootstrap: str | None = None) -> Config:
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
        }
    )


class Stage(Service):
    """The service on the scripted week.

    Attributes:
        texts: different texts in the pool; all are scored when this is made, which is what makes the week fast.
        device: where the graphs run.
    """

    def __init__(self, config: Config, pool: Pool, story: Story, seed: int) -> None:
        """Open the graphs and score the pool: some ten seconds."""
        models = Models.load(config)
        graphs = Graphs(models, config.compute)
        scoring = graphs.scoring()
        identity = adapt.Process("all", "demo", time.time(), reasons=[reason.value for reason in Reason], manifests=models.manifests())
        super().__init__(
            config,
            "all",
            adapt.identified(identity, config, models.digests(), graphs.device),
            watched=models.watched(config),
            scoring=scoring,
            open_writes=True,
        )
        self._pool, self._story, self._seed = pool, story, seed
        self._scores: Scores = scoring.score([Prompt("", text, MONDAY, MODEL) for text in pool.texts])
        self._topics = scoring.topics(MODEL)
        self._history: dict[str, Any] = {}
        self.texts, self.device = len(pool.texts), graphs.device

    def learn(self) -> int:
        """Learn the weeks before; prompts learned."""
        self._history = learn_history(self._pool, self._scores, self._topics, self._seed)
        return sum(n for _, n, _ in self._history["blocks"]["strange"])

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
            return super()._open_source(ledger)
        return ScriptedSource(self._pool, self._seed, EVENTS, ledger.positions)

    def _open_store(self) -> Store:
        store = _Listening.open(store_url(self.config))
        assert isinstance(store, _Listening)
        store.story = self._story
        return store


class _Listening(Store):
    """The history, which the story hears too."""

    story: Story

    def upsert(self, steps: Sequence[Any]) -> None:
        """Write, then tell."""
        super().upsert(steps)
        self.story.take([step for step in steps if isinstance(step, Closed)])
