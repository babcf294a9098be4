"""Learn a baseline from recorded history, through the same decider that learns live: for ``replay --learn-from`` and ``baseline learn``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detectors.baseline import FULL_DAYS, PAGING_DAYS
from service.config import Config, KafkaSource, load
from service.decider.decider import Decider
from service.errors import ConfigError, DataError
from service.main import connect
from service.main.models import Graphs, Models
from service.main.playing import play
from service.pipeline.pipeline import Source
from service.pipeline.scoring import Scoring
from service.records import Batch, Partition

_FILES = (".json", ".jsonl", ".ndjson", ".csv", ".parquet", ".gz", ".zst")
"""Endings of what is meant for a file, also where there is none."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Arguments of a ``baseline.learn`` command (without the model), and what they come from.

    Attributes:
        prompts: counted; days: with prompts; rejected: reason -> records that were no prompts; late: prompts after their window had closed.
    """

    arguments: Mapping[str, Any]
    prompts: int
    days: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    late: int = 0

    @property
    def source(self) -> str:
        """Where it comes from, for the audit."""
        return str(self.arguments["source"])

    def remarks(self) -> Iterator[str]:
        """What a person should know before accepting it."""
        if self.rejected:
            yield f"{sum(self.rejected.values()):,} records were no prompts: {_reasons(self.rejected)}"
        if self.late:
            yield f"{self.late:,} prompts came after their window had closed and were left out"
        if self.days < PAGING_DAYS:
            yield f"a baseline of fewer than {PAGING_DAYS} days opens tickets at most; {FULL_DAYS} days give the full promise"
        elif self.days < FULL_DAYS:
            yield f"{FULL_DAYS} days give the full promise"


def _reasons(rejected: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejected.items()))


class Chosen:
    """A source of which only the prompts of one model from a time on are handed over; ``advance`` is told how many records were read."""

    def __init__(self, source: Source, model: str, since: float | None, advance: Callable[[int], None]) -> None:
        self._source, self._model, self._since, self._advance = source, model, since, advance
        if (pause := getattr(source, "pause", None)) is not None:
            self.pause = pause

    def poll(self, limit: int, timeout: float) -> Batch:
        """See the contract."""
        batch = self._source.poll(limit, timeout)
        self._advance(sum(span.stop - span.start for span in batch.positions.values()))
        since = float("-inf") if self._since is None else self._since
        return replace(batch, prompts=[prompt for prompt in batch.prompts if prompt.model_name == self._model and prompt.time >= since])

    def rewind(self) -> None:
        """See the contract."""
        self._source.rewind()

    def committed(self, batch: Batch, repeats: frozenset[str], watermark: float) -> None:
        """See the contract."""
        self._source.committed(batch, repeats, watermark)

    def close(self) -> None:
        """See the contract."""
        self._source.close()


def learn(
    config: Config, models: Models, scoring: Scoring, source: Source | None = None, name: str | None = None
) -> tuple[dict[str, Learned], Mapping[str, int]]:
    """Play the configured files, or ``source``, and count; model -> what was learned, and records that were no prompts by reason.

    Models without a prompt are left out. ``name``: where it comes from; None: the names of the files.
    """
    decider = Decider(models.watched(config), config, "history")
    last = play(config, scoring, decider, source=source)
    name = name or ", ".join(Path(path).name for path in getattr(config.source, "paths", ()))
    late = decider.picture(active=True, now=0.0).late
    found = {}
    for model in config.models:
        arguments = decider.learned(model, name)
        if arguments["prompts"]:
            given = {key: arguments[key] for key in ("history", "source")}
            found[model] = Learned(given, int(arguments["prompts"]), int(arguments["days"]), last.rejected, late.get(model, 0))
    return found, last.rejected


def learn_history(
    names: Sequence[str],
    bundle: Path | None,
    config_file: Path | None,
    model: str,
    text: str | None,
    time: str | None,
    since: str | None = None,
    shadow: bool = False,
) -> Learned:
    """For ``baseline learn``: the same for one model, with a bundle from this machine.

    With the service's configuration it is counted as the service counts: by its fields, models, slices, windows and time zone. ``names``:
    files, or one topic of the Kafka cluster that it reads. ``since``: ISO 8601; what is older is left out. ``shadow``: by the model's
    second bundle, where none is given.

    Raises:
        DataError: no prompt is in the history.
        ConfigError: neither bundle nor configuration, one that does not know the model, or no such topic.
    """
    from service.fit.progress import terminal_progress
    from service.main.replay import Options, configuration

    start = _start(since)
    topic = _topic(names, config_file)
    time = time if time or config_file else "time"
    config = configuration(Options(list(names), bundle, config_file, text, time, None, "", [], None, None), model)
    if model not in config.models:
        raise ConfigError(f"{config_file}: no model is called {model!r}; known: {', '.join(config.models)}")
    watched = config.models[model]
    if shadow and bundle is None:
        if watched.shadow is None:
            raise ConfigError(f"{config_file}: models.{model}.shadow is not set; name the bundle there or with --bundle")
        watched = watched.model_copy(update={"bundle": watched.shadow})
    source, total, name = _opened(config, topic, start)
    with closing(source), terminal_progress() as progress:
        config = config.model_copy(update={"models": {model: watched}})
        models = Models.load(config)
        scoring = Graphs(models, config.compute).scoring()
        chosen = Chosen(source, model, start, progress.stage(f"reading {name}", total))
        found, rejected = learn(config, models, scoring, chosen, name)
    if model not in found:
        reasons = f": {_reasons(rejected)}" if rejected else ""
        raise DataError(f"{name}: no prompt of {model!r} could be read from the history{reasons}")
    return found[model]


def _opened(config: Config, topic: KafkaSource | None, since: float | None) -> tuple[Source, int | None, str]:
    """The source, how many records it has where that is known, and its name for people."""
    after = "" if since is None else f" since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC"
    if topic is None:
        from service.source.files import FileSource as Files

        names = ", ".join(Path(path).name for path in getattr(config.source, "paths", ()))
        return Files(config.source, connect.decoder(config), positions=_nowhere), None, f"{names}{after}"  # type: ignore[arg-type]
    from service.source.kafka_history import TopicHistory

    history = TopicHistory(topic, connect.decoder(config), since)
    return history, history.total, f"topic {topic.topic}{after}"


def _nowhere() -> Mapping[Partition, int]:
    return {}


def _start(since: str | None) -> float | None:
    if since is None:
        return None
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise ConfigError(f"--since: expected a time such as 2026-08-01 or 2026-08-01T22:00, got {since!r}") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _topic(names: Sequence[str], config_file: Path | None) -> KafkaSource | None:
    """Settings to read the one topic that is named; None where files are named."""
    topics = [name for name in names if name != "-" and "/" not in name and not name.endswith(_FILES) and not Path(name).exists()]
    if not topics:
        return None
    if len(names) > 1:
        raise ConfigError(f"--from {topics[0]}: no such file; a topic is learned from alone")
    source = load(config_file).source if config_file else None
    if not isinstance(source, KafkaSource):
        raise ConfigError(f"--from {topics[0]}: no such file; to learn from a topic give --config of a service that reads Kafka")
    return source.model_copy(update={"topic": topics[0]})
