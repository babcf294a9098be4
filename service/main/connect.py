"""Which implementation of source, ledger, journal and history a configuration asks for. Each is imported when it is asked for."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from service.config import Config, FileSource, HttpSource, KafkaSource, SqlLedger, database_url, store_url
from service.ledger.contract import Journal, Ledger, Unavailable
from service.pipeline.pipeline import Source
from service.records import Partition
from service.source.decode import Decoder

if TYPE_CHECKING:
    from service.ledger.sql import SqlLedger as Sql
    from service.store import Store

Positions = Callable[[], Mapping[Partition, int]]
Opened = TypeVar("Opened")

LONGEST_PAUSE = 15.0


def decoder(config: Config) -> Decoder:
    """A decoder for one thread."""
    return Decoder(config.fields, config.models, config.windows.max_skew)


def ledger(config: Config, instance: str) -> Ledger:
    """The worker's side. Raises ConfigError, Unavailable or Unusable."""
    if isinstance(config.ledger, SqlLedger):
        from service.ledger.sql import SqlLedger as Sql

        return Sql.open(database_url(config.ledger))
    from service.ledger.kafka import KafkaLedger

    return KafkaLedger(config.ledger, instance)


def journal(config: Config) -> Journal:
    """The decider's side. Raises ConfigError, Unavailable or Unusable."""
    if isinstance(config.ledger, SqlLedger):
        from service.ledger.sql_journal import SqlJournal

        return SqlJournal.open(database_url(config.ledger))
    from service.ledger.kafka_journal import KafkaJournal

    return KafkaJournal(config.ledger)


def source(config: Config, instance: str, held: Ledger) -> Source:
    """Where prompts come from. Positions live in a SQL ledger; with a Kafka ledger they are the consumer group's."""
    positions: Positions | None = held.positions if isinstance(config.ledger, SqlLedger) else None
    if isinstance(config.source, HttpSource):
        from service.source.http import HttpSource as Http

        sql = cast("Sql", held) if isinstance(config.ledger, SqlLedger) else None
        return Http(config.source, decoder(config), config.windows, instance=instance, ledger=sql)
    if isinstance(config.source, KafkaSource):
        from service.source.kafka import KafkaSource as Kafka

        return Kafka(config.source, decoder(config), config.windows, positions=positions)
    assert isinstance(config.source, FileSource)
    from service.source.files import FileSource as Files

    return Files(config.source, decoder(config), positions=positions)


def store(config: Config) -> "Store":
    """The history for people. Raises ConfigError or Unavailable."""
    from sqlalchemy.exc import OperationalError

    from service.store import Store

    try:
        return Store.open(store_url(config))
    except OperationalError as error:
        raise Unavailable(f"history: {str(error.orig).strip().splitlines()[0]}") from None


def patiently(open_it: Callable[[], Opened], stop: threading.Event, trouble: Callable[[str | None], None]) -> Opened | None:
    """Open it, again and again with growing pauses while its server cannot be reached; None when told to stop first."""
    pause = 0.5
    while not stop.is_set():
        try:
            opened = open_it()
        except Unavailable as error:
            trouble(str(error))
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            trouble(None)
            return opened
    return None
