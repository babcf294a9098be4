"""Prompts from a Kafka topic.

The input consumer reads committed records only and commits nothing by itself: positions live in the ledger. Every batch carries the
group metadata of the poll that returned it, which is what fences a reader that has lost its partitions. After any change of the
assignment or of the group's generation the source raises Rewound, and :meth:`KafkaSource.rewind` seeks every partition explicitly.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import (
    BrokerNotAvailableError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RetriableError,
)
from kafka.structs import TopicPartition

from service.config import KafkaSource as KafkaSettings
from service.config import Windows
from service.errors import Rewound
from service.records import Batch, Partition, Prompt, Span
from service.source.dead_letters import DeadLetter, DeadLetters
from service.source.decode import Decoder, Reason, Rejection
from service.source.kafka_client import check_client_libraries, find_topic, open_consumer, refused, unreadable
from service.source.kafka_group import CONSUMER, Membership, Place, partition_name

_log = logging.getLogger(__name__)

_LOOK_EVERY = 5.0
_BACK_OFF = (0.5, 15.0)


class KafkaSource:
    """A member of a consumer group that reads one topic.

    Connects at the first poll, so that the group is joined only when everything else is ready. While the broker cannot be reached,
    polls return empty batches and ``trouble`` says why.

    Args:
        settings: topic, group, connection.
        decoder: makes prompts.
        windows: for idleness and for what may be ahead of the clock.
        positions: committed positions of a SQL ledger. None: they are the group's offsets, committed by the Kafka ledger.
        environ: where secrets are; the process's own by default.
        clock: wall clock, seconds since the epoch.

    Attributes:
        trouble: why nothing can be read now, or None.
        lag: records between what was handed over and the end of our partitions; None while that is not known.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        decoder: Decoder,
        windows: Windows,
        *,
        positions: Callable[[], Mapping[Partition, int]] | None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_client_libraries()
        self.trouble: str | None = None
        self.lag: int | None = None
        self._settings = settings
        self._decoder = decoder
        self._windows = windows
        self._positions = positions
        self._environ = environ
        self._clock = clock
        self._letters = DeadLetters(settings, environ) if settings.dead_letter_topic else None
        self._consumer: KafkaConsumer | None = None
        self._group: Membership | None = None
        self._handed_out = False
        self._partitions: frozenset[Partition] = frozenset()
        self._paused: frozenset[Partition] = frozenset()
        self._looked = float("-inf")
        self._retry_at = float("-inf")
        self._attempts = 0

    @property
    def replaced_times(self) -> int:
        """Records whose own time was not believed."""
        return self._decoder.replaced_times

    @property
    def lost(self) -> int:
        """Records that were gone before they were read (retention, or a topic made anew)."""
        return self._group.lost if self._group else 0

    @property
    def dead_letters_lost(self) -> int | None:
        """Records that were rejected and that the dead-letter topic would not take; None without one."""
        return self._letters.lost if self._letters else None

    def poll(self, limit: int, timeout: float) -> Batch:
        """See the contract. Raises ConfigError when a right, the topic or the login is missing."""
        deadline = time.monotonic() + timeout
        try:
            group = self._joined(deadline)
            if group is None or self._consumer is None:
                return self._nothing(deadline)
            records = self._consumer.poll(timeout_ms=max(0, int((deadline - time.monotonic()) * 1000)), max_records=limit)
            if not group.renew_lease():
                # Dropped here, these records are read again after the seek.
                return self._changed(group, deadline)
            batch = self._batch(self._consumer, group, records)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError, IllegalStateError):
            if self._group is None:
                raise
            return self._changed(self._group, deadline)
        except KafkaError as error:
            self._failed(error)
            return self._nothing(deadline)
        self._handed_out = self._handed_out or bool(batch.positions)
        return batch

    def rewind(self) -> None:
        """Forget the positions of everything handed over; the next poll starts from what the ledger holds then."""
        self._handed_out = False
        if self._group is not None:
            self._group.settled = False

    def committed(self, batch: Batch, repeats: frozenset[str] = frozenset(), watermark: float = float("-inf")) -> None:
        """Nothing to do: the ledger has the positions."""

    def pause(self, partitions: Collection[Partition]) -> None:
        """Hold back exactly these partitions until the next call."""
        self._paused = frozenset(partitions)
        if self._consumer is None or self._group is None:
            return
        for partition in self._group.places:
            if partition_name(partition) in self._paused:
                self._consumer.pause(partition)
            else:
                self._consumer.resume(partition)

    def close(self) -> None:
        """Leave the group; nothing is committed."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=5000)
            self._consumer = None
        if self._letters is not None:
            self._letters.close()

    def _nothing(self, deadline: float) -> Batch:
        """An empty batch at the deadline: how far we are holds, unless it is open whose the partitions are."""
        time.sleep(max(0.0, deadline - time.monotonic()))
        if self._group is None:
            return Batch()
        return Batch(progress=self._group.progress() if self._group.settled else {}, partitions=self._partitions, lease=self._group.lease)

    def _changed(self, group: Membership, deadline: float) -> Batch:
        """The input is not what it was: what was handed over since the last flush is to be thrown away."""
        what = group.change()
        if self._handed_out:
            self._handed_out = False
            raise Rewound(what)
        return self._nothing(deadline)

    def _joined(self, deadline: float) -> Membership | None:
        """Our membership, settled; None when that is not to be had by the deadline."""
        group = self._group or self._connect()
        if group is None or group.settled:
            return group
        if not group.settle(deadline):
            return None
        self.trouble = None
        self._looked = float("-inf")
        self.pause(self._paused)
        return group

    def _connect(self) -> Membership | None:
        """Reach the broker and look at the topic; None while it cannot be reached and the next attempt is not due."""
        if time.monotonic() < self._retry_at:
            return None
        consumer = None
        try:
            consumer = open_consumer(self._settings, {**CONSUMER, "group_id": self._settings.group}, self._environ)
            group = Membership(consumer, self._settings, self._positions)
            group.subscribe()
            find_topic(consumer, self._settings, self._environ)
            group.look_back()
        except BaseException as error:
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=1000)
            if not isinstance(error, KafkaError):
                raise
            self._failed(error)
            self._retry_at = time.monotonic() + min(_BACK_OFF[0] * 2**self._attempts, _BACK_OFF[1])
            self._attempts += 1
            return None
        self._consumer, self._group, self._attempts = consumer, group, 0
        return group

    def _failed(self, error: KafkaError) -> None:
        """What is the operator's to solve ends the process; what may pass is told and tried again."""
        if (mistake := refused(error, self._settings)) is not None:
            raise mistake from None
        if not isinstance(error, RetriableError | BrokerNotAvailableError):
            raise error
        trouble = f"Kafka at {self._settings.bootstrap_servers} cannot be read: {error}"
        if self.trouble != trouble:
            _log.warning("%s", trouble)
        self.trouble = trouble
        for place in self._group.places.values() if self._group else ():
            place.idle = False

    def _batch(self, consumer: KafkaConsumer, group: Membership, records: Mapping[TopicPartition, Sequence[Any]]) -> Batch:
        prompts: list[Prompt] = []
        rejected: Counter[str] = Counter()
        letters: list[DeadLetter] = []
        positions: dict[Partition, Span] = {}
        starting = [partition for partition, place in group.places.items() if place.new]
        for partition in starting:
            place = group.places[partition]
            positions[partition_name(partition)] = Span(place.next, place.next)
            place.new = False
        for partition, some in records.items():
            place = group.places[partition]
            place.heard, place.idle = time.monotonic(), False
            self._decode(some, place, prompts, rejected, letters)
            positions[partition_name(partition)] = Span(place.next, some[-1].offset + 1)
            place.next = some[-1].offset + 1
        if self._letters is not None:
            self._letters.write(letters)
        if records:
            self.trouble = None
        self._look(group, positions)
        self.lag = group.lag()
        self._partitions = frozenset(f"{self._settings.topic}/{n}" for n in consumer.partitions_for_topic(self._settings.topic))
        return Batch(
            prompts=prompts,
            positions=positions,
            progress=group.progress(),
            partitions=self._partitions,
            rejected=rejected,
            lease=group.lease,
            # The recorded start holds from now on, also for whoever joins next.
            urgent=bool(starting),
        )

    def _decode(
        self, records: Sequence[Any], place: Place, prompts: list[Prompt], rejected: Counter[str], letters: list[DeadLetter]
    ) -> None:
        decode, wall = self._decoder.decode, self._windows.clock == "wall"
        now = self._clock()
        latest = now if wall else float("inf")
        name = f"{self._settings.topic}/{records[0].partition}@"
        reached = place.reached
        for record in records:
            found: Prompt | Rejection | None = unreadable(record, latest)
            if found is None:
                stamp = record.timestamp / 1000.0
                reached = max(reached, stamp)
                found = decode(record.value, stamp, f"{name}{record.offset}")
            if isinstance(found, Prompt):
                prompts.append(found)
            else:
                rejected[found.reason.value] += 1
                # A prompt for a model that is not watched is no broken record, and our own probes are none.
                if self._letters is not None and found.reason not in (Reason.UNKNOWN_MODEL, Reason.CANARY):
                    letters.append(DeadLetter(record, found))
        # A producer whose clock is fast must not close the others' windows.
        place.reached = min(reached, now) if wall else reached

    def _look(self, group: Membership, positions: dict[Partition, Span]) -> None:
        """Every few seconds: which silent partitions are read to their end, and is the broker there at all?"""
        now = time.monotonic()
        every = min(_LOOK_EVERY, self._windows.idle_after / 2)
        silent = [partition for partition, place in group.places.items() if now - place.heard >= every]
        if not silent or now - self._looked < every:
            return
        self._looked = now
        try:
            passed = group.look(silent, self._windows.idle_after)
        except KafkaError as error:
            self._failed(error)
            return
        self.trouble = None
        for name, span in passed.items():
            positions[name] = Span(positions.get(name, span).start, span.stop)
