"""The ledger in Kafka, decider's side.

The active decider is whoever holds the single partition of the sketch topic. Its producer has one fixed transactional id: whoever
initialises it fences the one before, so that a decider that was frozen cannot write a checkpoint. The position to read from is
inside the checkpoint; the group's own offset is for lag tools, and carries the watermark back to the workers.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from service import config
from service.errors import Fenced
from service.ledger import kafka_state, topics, wire
from service.ledger.contract import Unavailable
from service.ledger.kafka import write_watermark
from service.ledger.kafka_client import DELIVERY, Clients, abandon, sketch_topic, state_topic
from service.ledger.watchdog import Watchdog
from service.records import Checkpoint, Entry

_log = logging.getLogger(__name__)

_GROUP: dict[str, Any] = {
    # Where a new group would begin; the explicit seek decides before anything is used.
    "auto_offset_reset": "earliest",
    "partition_assignment_strategy": (CooperativeStickyAssignor,),
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 2_000,
}
_RPC = 5_000


class _Losses(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers that the partition was taken away. Runs on the client's I/O thread, where nothing may block."""

    def __init__(self) -> None:
        self.lost = False

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.lost = self.lost or bool(revoked)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        self.lost = True

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        pass


class KafkaJournal:
    """See :class:`service.ledger.contract.Journal`. Connects, and checks the topics, at the first :meth:`acquire`."""

    def __init__(self, settings: config.KafkaLedger, environ: Mapping[str, str] | None = None) -> None:
        self._clients = Clients(settings, environ)
        self._name = f"{settings.prefix}-decider"
        self._partition = TopicPartition(sketch_topic(settings), 0)
        self._state_topic = state_topic(settings)
        self._reader = kafka_state.StateReader(self._clients)
        self._consumer: KafkaConsumer | None = None
        self._producer: KafkaProducer | None = None
        self._losses = _Losses()
        self._next: int | None = None
        self._buffer: deque[Entry] = deque()
        self._checked = False
        self._watchdog: Watchdog | None = None

    def acquire(self, timeout: float) -> bool:
        """See the contract. Raises ConfigError for missing topics or rights, Unavailable while the cluster is away."""
        self._resign()
        deadline = time.monotonic() + timeout
        with self._clients.translated():
            consumer = self._joined()
            while self._partition not in consumer.assignment():
                consumer.poll(timeout_ms=max(1, min(200, int((deadline - time.monotonic()) * 1000))), max_records=1)
                if time.monotonic() >= deadline:
                    return False
            self._losses.lost = False
            try:
                saved = self._reader.latest()
                # The coordinator knows whether the assignment still holds; a frozen process does not.
                self._tell(consumer, saved)
            except Unavailable:
                raise
            except KafkaError as error:
                _log.info("decider stays standby: %s", type(error).__name__)
                consumer.poll(timeout_ms=200, max_records=1)
                return False
            if self._losses.lost:
                return False
            self._producer = self._clients.producer(self._name)
            # The predecessor is fenced from here on; what it committed until then counts.
            self._reader.latest()
        self._next = None
        return True

    def restore(self) -> Checkpoint | None:
        """See the contract. A standby reads on from where it was."""
        with self._clients.translated():
            self._check_topics()
            return self._reader.latest()

    def read(self, after: int, limit: int, timeout: float) -> Sequence[Entry]:
        """See the contract."""
        consumer = self._active()
        with self._clients.translated():
            if self._next != after:
                consumer.seek(self._partition, after // wire.BLOCK_ENTRIES)
                self._buffer.clear()
                self._next = after
            deadline = time.monotonic() + timeout
            while not self._buffer:
                # Records may lie behind control markers, so an empty poll does not yet mean that there is nothing.
                polled = consumer.poll(timeout_ms=max(0, int((deadline - time.monotonic()) * 1000)), max_records=200)
                self._active()
                for record in polled.get(self._partition, ()):
                    self._buffer.extend(wire.entries(record.offset, record.value, after))
                if time.monotonic() >= deadline:
                    break
        entries = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
        if entries:
            self._next = entries[-1].position + 1
        return entries

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See the contract. After any error the outcome may be unknown, so that this decider stands by and starts over."""
        consumer, producer = self._active(), self._producer
        if producer is None:
            raise Fenced("this decider is standby")
        try:
            with self._watched().limit("checkpoint"):
                producer.begin_transaction()
                futures = [producer.send(self._state_topic, value, key, partition=0) for key, value in kafka_state.records(checkpoint)]
                producer.flush(DELIVERY / 1000)
                for future in futures:
                    future.get(timeout=DELIVERY / 1000)
                producer.commit_transaction()
        except KafkaError as error:
            self._resign()
            raise Fenced(f"checkpoint refused: {type(error).__name__}") from None
        with suppress(KafkaError):
            # For lag tools and for the workers' sake only; the checkpoint holds already.
            self._tell(consumer, checkpoint)

    def close(self) -> None:
        """See the contract."""
        self._resign()
        if self._consumer is not None:
            with suppress(KafkaError):
                self._consumer.close(autocommit=False, timeout_ms=_RPC)
            self._consumer = None
        self._reader.close()
        if self._watchdog is not None:
            self._watchdog.__exit__()
            self._watchdog = None

    def _active(self) -> KafkaConsumer:
        if self._losses.lost and self._producer is not None:
            self._resign()
            raise Fenced("the sketch topic's partition went to another decider")
        if self._producer is None or self._consumer is None:
            raise Fenced("this decider is standby")
        return self._consumer

    def _joined(self) -> KafkaConsumer:
        if self._consumer is None:
            self._check_topics()
            self._consumer = self._clients.consumer(group_id=self._name, **_GROUP)
            self._consumer.subscribe([self._partition.topic], listener=self._losses)
        return self._consumer

    def _check_topics(self) -> None:
        if not self._checked:
            topics.ensure(self._clients)
            self._checked = True

    def _tell(self, consumer: KafkaConsumer, checkpoint: Checkpoint | None) -> None:
        """Commit the group's offset, with the watermark. Raises KafkaError when this member is not in the group any more."""
        offset = checkpoint.position // wire.BLOCK_ENTRIES if checkpoint else 0
        metadata = write_watermark(checkpoint.watermark) if checkpoint else ""
        consumer.commit({self._partition: OffsetAndMetadata(offset, metadata, -1)}, timeout_ms=_RPC)

    def _watched(self) -> Watchdog:
        if self._watchdog is None:
            self._watchdog = Watchdog().__enter__()
        return self._watchdog

    def _resign(self) -> None:
        """Stand by. The producer goes; the place in the group stays, so that a healthy decider takes over from itself."""
        abandon(self._producer)
        self._producer = None
        self._buffer.clear()
        self._next = None
