"""A stretch of a Kafka topic that lies in the past: read once, to where its partitions ended when it was opened, outside any group."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from service.config import KafkaSource as KafkaSettings
from service.errors import DataError
from service.records import Batch, Partition, Progress, Prompt, Span
from service.source.decode import Decoder, Rejection
from service.source.kafka_client import check_client_libraries, find_topic, open_consumer, refused, unreadable
from service.source.kafka_group import CONSUMER, RPC, partition_name

PATIENCE = 60.0
"""Seconds without a record after which a broker that has more to give is taken for lost."""

_GROUP = ("partition_assignment_strategy", "session_timeout_ms", "heartbeat_interval_ms")
READER: dict[str, Any] = {**{name: value for name, value in CONSUMER.items() if name not in _GROUP}, "group_id": None}
"""As the service reads, committed records only, but as nobody's member: no offset is looked up and none is committed."""


@dataclass(slots=True)
class _Stretch:
    """What is left of one partition: positions ``next`` up to ``end``, and the event time ``reached``."""

    next: int
    end: int
    reached: float = float("-inf")

    @property
    def ended(self) -> bool:
        return self.next >= self.end


class TopicHistory:
    """A source that ends. What is written to the topic after it was opened is not read.

    Args:
        settings: topic and connection; the right to read the topic is enough.
        decoder: makes prompts.
        since: records stamped earlier by Kafka are not read; None: from the first that is kept.
        environ: where secrets are; the process's own by default.

    Attributes:
        total: positions to read, control markers of transactions among them.

    Raises:
        ConfigError: the topic is not there, or may not be read.
        DataError: the broker does not answer, or there is nothing to read.
    """

    def __init__(self, settings: KafkaSettings, decoder: Decoder, since: float | None, *, environ: Mapping[str, str] | None = None) -> None:
        check_client_libraries()
        self._settings, self._decoder = settings, decoder
        self._paused: frozenset[Partition] = frozenset()
        self._latest = time.time()
        consumer = None
        try:
            consumer = self._consumer = open_consumer(settings, READER, environ)
            find_topic(consumer, settings, environ)
            self._stretches = self._find(consumer, since)
        except BaseException as error:
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=1000)
            if isinstance(error, KafkaError):
                raise self._trouble(error) from None
            raise
        self._names = frozenset(map(partition_name, self._stretches))
        self.total = sum(stretch.end - stretch.next for stretch in self._stretches.values())
        self._heard = time.monotonic()
        self._hold()

    def _find(self, consumer: KafkaConsumer, since: float | None) -> dict[TopicPartition, _Stretch]:
        partitions = [
            TopicPartition(self._settings.topic, number) for number in sorted(consumer.partitions_for_topic(self._settings.topic))
        ]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions, timeout_ms=RPC)
        first = consumer.beginning_offsets(partitions, timeout_ms=RPC)
        if not any(first[partition] < ends[partition] for partition in partitions):
            raise DataError(f"topic '{self._settings.topic}' holds no records")
        if since is not None:
            found = consumer.offsets_for_times({partition: max(0, int(since * 1000)) for partition in partitions}, timeout_ms=RPC)
            first = {partition: found[partition].offset if found.get(partition) else ends[partition] for partition in partitions}
        if not any(first[partition] < ends[partition] for partition in partitions):
            day = datetime.fromtimestamp(since or 0.0, UTC)
            raise DataError(f"topic '{self._settings.topic}' holds no record since {day:%Y-%m-%d %H:%M} UTC (--since)")
        for partition in partitions:
            consumer.seek(partition, first[partition])
        return {partition: _Stretch(first[partition], ends[partition]) for partition in partitions}

    @property
    def replaced_times(self) -> int:
        """Records whose own time was not believed."""
        return self._decoder.replaced_times

    def poll(self, limit: int, timeout: float) -> Batch:
        """See the contract. Raises DataError when records are deleted before they are read, or the broker is lost."""
        prompts: list[Prompt] = []
        rejected: Counter[str] = Counter()
        positions: dict[Partition, Span] = {}
        try:
            records = self._consumer.poll(timeout_ms=max(0, int(timeout * 1000)), max_records=limit)
            for partition, some in records.items():
                self._take(partition, some, prompts, rejected, positions)
            if not records:
                self._pass_markers(positions)
        except KafkaError as error:
            raise self._trouble(error) from None
        if positions:
            self._heard = time.monotonic()
            self._hold()
        elif time.monotonic() - self._heard > PATIENCE and not all(stretch.ended for stretch in self._stretches.values()):
            raise DataError(
                f"Kafka at {self._settings.bootstrap_servers} has given no record of '{self._settings.topic}' for {PATIENCE:g} s"
            )
        return Batch(prompts, positions, self._progress(), self._names, rejected)

    def _take(
        self,
        partition: TopicPartition,
        some: Sequence[Any],
        prompts: list[Prompt],
        rejected: Counter[str],
        positions: dict[Partition, Span],
    ) -> None:
        stretch, name = self._stretches[partition], partition_name(partition)
        some = [record for record in some if stretch.next <= record.offset < stretch.end]
        for record in some:
            found: Prompt | Rejection | None = unreadable(record, self._latest)
            if found is None:
                stamp = record.timestamp / 1000.0
                stretch.reached = max(stretch.reached, stamp)
                found = self._decoder.decode(record.value, stamp, f"{name}@{record.offset}")
            if isinstance(found, Rejection):
                rejected[found.reason.value] += 1
            else:
                prompts.append(found)
        if some:
            positions[name] = Span(stretch.next, some[-1].offset + 1)
            stretch.next = some[-1].offset + 1

    def _pass_markers(self, positions: dict[Partition, Span]) -> None:
        """Past the last record there may be control markers and aborted records, which only the client's own position passes."""
        for partition, stretch in self._stretches.items():
            if not stretch.ended and (position := self._consumer.position(partition, timeout_ms=RPC) or 0) > stretch.next:
                passed = min(position, stretch.end)
                positions[partition_name(partition)] = Span(stretch.next, passed)
                stretch.next = passed

    def _progress(self) -> dict[Partition, Progress]:
        return {partition_name(partition): Progress(stretch.reached, ended=stretch.ended) for partition, stretch in self._stretches.items()}

    def _trouble(self, error: KafkaError) -> Exception:
        if isinstance(error, OffsetOutOfRangeError):
            return DataError(f"topic '{self._settings.topic}': records were deleted before they were read; give a later --since")
        return refused(error, self._settings) or DataError(f"Kafka at {self._settings.bootstrap_servers} cannot be read: {error}")

    def pause(self, partitions: Collection[Partition]) -> None:
        """Hold back exactly these partitions until the next call."""
        self._paused = frozenset(partitions)
        self._heard = time.monotonic()
        self._hold()

    def _hold(self) -> None:
        for partition, stretch in self._stretches.items():
            held = stretch.ended or partition_name(partition) in self._paused
            (self._consumer.pause if held else self._consumer.resume)(partition)

    def rewind(self) -> None:
        """Nothing is ever reassigned here."""

    def committed(self, batch: Batch, repeats: frozenset[str] = frozenset(), watermark: float = float("-inf")) -> None:
        """Nothing to do: nobody reads this twice."""

    def close(self) -> None:
        """Let go of the connection; nothing is committed."""
        self._consumer.close(autocommit=False, timeout_ms=5000)
