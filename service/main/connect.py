"""Which implementation of source, ledger, journal and history a configuration asks for. Each is imported when it is asked for."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, TypeVar, cast

from service.config import Config, FileSource, HttpSource, KafkaSource, SqlLedger, canary_key, database_url, store_url
from service.errors import ConfigError
from service.ledger.contract import Journal, Ledger, Unavailable
from service.pipeline.pipeline import Source
from service.probes.tags import Returns
from service.records import Partition
from service.source.decode import Canaries, Decoder

if TYPE_CHECKING:
    from service.ledger.sql import SqlLedger as Sql
    from service.store import Store

Positions = Callable[[], Mapping[Partition, int]]
Opened = TypeVar("Opened")

LONGEST_PAUSE = 15.0


def decoder(config: Config, canaries: Canaries | None = None) -> Decoder:
    """A decoder for one thread; ``canaries`` recognises our own probes."""
    return Decoder(config.fields, config.models, config.windows.max_skew, canaries)


def returns(config: Config) -> Returns | None:
    """Recognises our own probes where prompts come in; None where nothing is asked, or no key signs it. Raises ConfigError."""
    key = canary_key(config.probes) if config.targets else None
    return None if key is None else Returns(key)


def ledger(config: Config, instance: str) -> Ledger:
    """The worker's side. Raises ConfigError, Unavailable or Unusable."""
    if isinstance(config.ledger, SqlLedger):
        from service.ledger.sql import SqlLedger as Sql

        return Sql.open(database_url(config.ledger), limit=config.ledger.max_bytes)
    from service.ledger.kafka import KafkaLedger

    return KafkaLedger(config.ledger, instance)


def sqlite_there(config: Config) -> bool:
    """False where the history is a SQLite file that nobody has made yet."""
    file = _sqlite_file("store", store_url(config))
    return file is None or file.is_file()


def place(config: Config) -> IO[str] | None:
    """A worker's place where there is only one, to be kept open; None where there are many. Raises ConfigError when it is taken."""
    if not isinstance(config.ledger, SqlLedger):
        return None
    from service.ledger.place import take

    return take(database_url(config.ledger))


def writable(config: Config, role: str) -> None:
    """Raises ConfigError where a SQLite file that this role needs cannot be made or written."""
    urls = {"ledger.url": database_url(config.ledger)} if isinstance(config.ledger, SqlLedger) else {}
    if role != "worker":
        urls["store"] = store_url(config)
    for key, url in urls.items():
        if (file := _sqlite_file(key, url)) is None:
            continue
        try:
            with TemporaryFile(dir=file.parent):
                pass
        except OSError as error:
            raise ConfigError(f"{key}: cannot write in the folder {file.parent}: {error.strerror}") from None
        if file.exists() and not os.access(file, os.W_OK):
            raise ConfigError(f"{key}: cannot write {file}")


def _sqlite_file(key: str, url: str) -> Path | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(f"{key}: not a database URL; expected sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database).absolute()


def journal(config: Config) -> Journal:
    """The decider's side. Raises ConfigError, Unavailable or Unusable."""
    if isinstance(config.ledger, SqlLedger):
        from service.ledger.sql_journal import SqlJournal

        return SqlJournal.open(database_url(config.ledger), limit=config.ledger.max_bytes)
    from service.ledger.kafka_journal import KafkaJournal

    return KafkaJournal(config.ledger)


def source(config: Config, instance: str, held: Ledger, canaries: Canaries | None = None) -> Source:
    """Where prompts come from. Positions live in a SQL ledger; with a Kafka ledger they are the consumer group's."""
    positions: Positions | None = held.positions if isinstance(config.ledger, SqlLedger) else None
    if isinstance(config.source, HttpSource):
        from service.source.http import HttpSource as Http

        sql = cast("Sql", held) if isinstance(config.ledger, SqlLedger) else None
        return Http(config.source, decoder(config, canaries), config.windows, instance=instance, ledger=sql)
    if isinstance(config.source, KafkaSource):
        from service.source.kafka import KafkaSource as Kafka

        return Kafka(config.source, decoder(config, canaries), config.windows, positions=positions)
    assert isinstance(config.source, FileSource)
    from service.source.files import FileSource as Files

    return Files(config.source, decoder(config, canaries), positions=positions)


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
