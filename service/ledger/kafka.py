"""The ledger in Kafka, worker's side: one transaction per flush holds the deltas and the consumer's offsets.

The order of steps is what makes it exactly once, and every step was measured: begin, send, wait for every record's future (a commit
alone can return without an error and with nothing committed), send the offsets with the lease of the poll that returned the
batch (metadata taken now would fence nothing), commit. After any error the producer is thrown away; its successor, under the same
transactional id, ends the open transaction before the input is read again.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata, TopicPartition

from service import config
from service.errors import ConfigError, Rewound
from service.ledger import topics, wire
from service.ledger.kafka_client import DELIVERY, Clients, abandon, sketch_topic
from service.records import Command, Deltas, Partition, Report

_log = logging.getLogger(__name__)

_WATERMARK_EVERY = 1.0


class KafkaLedger:
    """See :class:`service.ledger.contract.Ledger`. Connects, and checks the topics, at the first use.

    Args:
        settings: cluster and prefix.
        instance: name of this worker; with a name that stays the same a killed worker's open transaction is ended at its return,
            with a random one after 10 s.
        environ: where the password is; the process's environment by default.
        monotonic: clock for intervals, in seconds.
    """

    def __init__(
        self,
        settings: config.KafkaLedger,
        instance: str,
        environ: Mapping[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = Clients(settings, environ)
        self._topic = sketch_topic(settings)
        self._instance = instance
        self._id = f"{settings.prefix}-worker-{instance}"
        self._group = f"{settings.prefix}-decider"
        self._monotonic = monotonic
        self._producer: KafkaProducer | None = None
        self._command_producer: KafkaProducer | None = None
        self._command_lock = threading.Lock()
        self._watcher: KafkaConsumer | None = None
        self._watermark, self._watched_at = -math.inf, -math.inf
        self._checked = False

    def append(self, parts: Sequence[Deltas], report: Report, lease: Any) -> frozenset[str]:
        """See the contract. Repeats are left out by the journal's reader, so none are returned. About 10 ms on one broker."""
        offsets = _offsets(report, lease)
        blocks = wire.blocks(wire.append(parts, report))
        producer = self._ready()
        try:
            producer.begin_transaction()
            futures = [producer.send(self._topic, block, partition=0) for block in blocks]
            producer.flush(DELIVERY / 1000)
            for future in futures:
                future.get(timeout=DELIVERY / 1000)
            if offsets:
                producer.send_offsets_to_transaction(offsets, lease)
            producer.commit_transaction()
        except KafkaError as error:
            # The outcome may be unknown: only a successor's init settles it, so that comes before the input is read again.
            self._discard()
            self._ready()
            again = isinstance(error, ProducerFencedError | InvalidProducerEpochError)
            hint = f"; is there another worker named {self._instance}?" if again else ""
            raise Rewound(f"flush refused: {type(error).__name__}{hint}") from None
        except BaseException:
            self._discard()
            raise
        return frozenset()

    def positions(self) -> Mapping[Partition, int]:
        """Nothing: the consumer group's offsets are the positions."""
        return {}

    def submit(self, command: Command) -> None:
        """See the contract. Any thread; waits for the broker's acknowledgement."""
        with self._command_lock, self._clients.translated():
            try:
                self._check_topics()
                self._command_producer = self._command_producer or self._clients.producer()
                future = self._command_producer.send(self._topic, wire.pack([wire.encode(command)]), partition=0)
                self._command_producer.flush(DELIVERY / 1000)
                future.get(timeout=DELIVERY / 1000)
            except KafkaError:
                abandon(self._command_producer)
                self._command_producer = None
                raise

    def watermark(self) -> float:
        """See the contract. Read from the decider group's offset, which carries it, at most once a second."""
        now = self._monotonic()
        if now - self._watched_at >= _WATERMARK_EVERY:
            self._watched_at = now
            with self._clients.translated():
                try:
                    self._watcher = self._watcher or self._clients.consumer(group_id=self._group)
                    held = self._watcher.committed(TopicPartition(self._topic, 0), metadata=True, timeout_ms=2_000)
                except KafkaError:
                    abandon(self._watcher)
                    self._watcher = None
                    raise
            self._watermark = read_watermark(held.metadata if held else "", self._watermark)
        return self._watermark

    def close(self) -> None:
        """See the contract."""
        self._discard()
        with self._command_lock:
            abandon(self._command_producer)
            self._command_producer = None
        abandon(self._watcher)
        self._watcher = None

    def _ready(self) -> KafkaProducer:
        if self._producer is None:
            with self._clients.translated():
                self._check_topics()
                self._producer = self._clients.producer(self._id)
        return self._producer

    def _check_topics(self) -> None:
        if not self._checked:
            topics.ensure(self._clients)
            self._checked = True

    def _discard(self) -> None:
        abandon(self._producer)
        self._producer = None


def _offsets(report: Report, lease: Any) -> dict[TopicPartition, OffsetAndMetadata]:
    """What the transaction commits for the consumer group. Posts have no offsets: their keys make them count once."""
    spans = {name: span for name, span in report.positions.items() if not name.startswith("http/")}
    if spans and lease is None:
        raise ConfigError(f"ledger.kind: kafka cannot keep the position of {sorted(spans)[0]}; use the sql ledger with this source")
    offsets = {}
    for name, span in spans.items():
        topic, _, number = name.rpartition("/")
        offsets[TopicPartition(topic, int(number))] = OffsetAndMetadata(span.stop, "", -1)
    return offsets


def write_watermark(watermark: float) -> str:
    """Metadata of the decider group's offset."""
    return json.dumps({"watermark": watermark if math.isfinite(watermark) else None})


def read_watermark(metadata: str | None, otherwise: float) -> float:
    """Inverse of :func:`write_watermark`; ``otherwise`` for anything that is none."""
    try:
        watermark = json.loads(metadata or "null")["watermark"]
        return -math.inf if watermark is None else float(watermark)
    except (ValueError, TypeError, KeyError):
        return otherwise
