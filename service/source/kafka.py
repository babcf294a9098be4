"""Prompts from a Kafka topic.

The input consumer reads committed records only and commits nothing by itself: positions live in the ledger. Every batch carries the
group metadata of the poll that returned it, which is what fences a reader that has lost its partitions. After any change of the
assignment or of the group's generation the source raises Rewound, and :meth:`KafkaSource.rewind` seeks every partition explicitly.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    BrokerNotAvailableError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RetriableError,
)
from kafka.structs import ConsumerGroupMetadata, MemberState, TopicPartition

from service.config import KafkaSource as KafkaSettings
from service.config import Windows
from service.errors import Rewound
from service.records import Batch, Partition, Progress, Prompt, Span
from service.source.dead_letters import DeadLetter, DeadLetters
from service.source.decode import Decoder, Reason, Rejection
from service.source.kafka_client import check_client_libraries, open_consumer, refused, topic_trouble

_log = logging.getLogger(__name__)

FUTURE = 86_400.0
"""A record stamped further ahead of the wall clock than this carries a bad time (``clock: wall`` only)."""

_RPC = 5_000
_PATIENCE = 6.0
_LOOK_EVERY = 5.0
_BACK_OFF = (0.5, 15.0)
_TOPIC_ATTEMPTS = 5

_FIXED: dict[str, Any] = {
    "enable_auto_commit": False,
    # The explicit seek decides; a partition without a position is an exception, not a guess.
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "partition_assignment_strategy": (CooperativeStickyAssignor,),
    "allow_auto_create_topics": False,
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 2_000,
    # Partitions added to the topic are found within this time.
    "metadata_max_age_ms": 30_000,
    "key_deserializer": None,
    "value_deserializer": None,
}


@dataclass(slots=True)
class _Place:
    """One assigned partition: ``next`` is the position after what was handed over last."""

    next: int
    heard: float
    reached: float = float("-inf")
    idle: bool = False
    new: bool = False


class _Changes(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers that something changed. Runs on the client's I/O thread, where nothing may block."""

    def __init__(self) -> None:
        self.what: str | None = None

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.what = f"{len(revoked)} partitions revoked" if revoked else self.what

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.what = f"{len(assigned)} partitions assigned" if assigned else self.what

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        self.what = f"{len(lost)} partitions lost"


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
        lost: records that were gone before they were read (retention, or a topic made anew).
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
        self.lost = 0
        self._settings = settings
        self._decoder = decoder
        self._windows = windows
        self._positions = positions
        self._environ = environ
        self._clock = clock
        self._letters = DeadLetters(settings, environ) if settings.dead_letter_topic else None
        self._consumer: KafkaConsumer | None = None
        self._changes = _Changes()
        self._places: dict[TopicPartition, _Place] = {}
        self._settled = False
        self._handed_out = False
        self._member: tuple[int, str] | None = None
        self._lease: ConsumerGroupMetadata | None = None
        self._partitions: frozenset[Partition] = frozenset()
        self._starts: dict[TopicPartition, int] = {}
        self._gone: dict[TopicPartition, int] = {}
        self._known_first: frozenset[int] | None = None
        self._paused: frozenset[Partition] = frozenset()
        self._looked = float("-inf")
        self._retry_at = float("-inf")
        self._attempts = 0

    @property
    def dead_letters_lost(self) -> int:
        """Records that were rejected and that the dead-letter topic would not take."""
        return self._letters.lost if self._letters else 0

    def poll(self, limit: int, timeout: float) -> Batch:
        """See the contract. Raises ConfigError when a right, the topic or the login is missing."""
        deadline = time.monotonic() + timeout
        try:
            consumer = self._connected()
            if consumer is None or not self._settle(consumer, deadline):
                return self._nothing(deadline)
            records = consumer.poll(timeout_ms=max(0, int((deadline - time.monotonic()) * 1000)), max_records=limit)
            self._lease = consumer.group_metadata()
            if self._is_stale(self._lease):
                # Dropped here, these records are read again after the seek.
                self._change(self._changes.what or "the consumer group was rebalanced")
                return self._nothing(deadline)
            batch = self._batch(consumer, records)
        except (NoOffsetForPartitionError, IllegalStateError):
            self._change("partitions were reassigned")
            return self._nothing(deadline)
        except OffsetOutOfRangeError:
            self._change("a position is out of range")
            return self._nothing(deadline)
        except KafkaError as error:
            self._failed(error)
            return self._nothing(deadline)
        self._handed_out = self._handed_out or bool(batch.positions)
        return batch

    def rewind(self) -> None:
        """Forget the positions of everything handed over; the next poll starts from what the ledger holds then."""
        self._settled = False
        self._handed_out = False

    def committed(self, batch: Batch, repeats: frozenset[str] = frozenset(), watermark: float = float("-inf")) -> None:
        """Nothing to do: the ledger has the positions."""

    def pause(self, partitions: Collection[Partition]) -> None:
        """Hold back exactly these partitions until the next call."""
        self._paused = frozenset(partitions)
        if self._consumer is None:
            return
        for partition in self._places:
            if self._name(partition) in self._paused:
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

    def _name(self, partition: TopicPartition) -> Partition:
        return f"{partition.topic}/{partition.partition}"

    def _nothing(self, deadline: float) -> Batch:
        """An empty batch at the deadline: how far we are holds, unless it is open whose the partitions are."""
        time.sleep(max(0.0, deadline - time.monotonic()))
        return Batch(progress=self._progress() if self._settled else {}, partitions=self._partitions, lease=self._lease)

    def _progress(self) -> dict[Partition, Progress]:
        return {self._name(partition): Progress(place.reached, place.idle) for partition, place in self._places.items()}

    # Connecting

    def _connected(self) -> KafkaConsumer | None:
        """The consumer, subscribed; None while the broker cannot be reached and the next attempt is not due."""
        if self._consumer is not None or time.monotonic() < self._retry_at:
            return self._consumer
        consumer = None
        try:
            consumer = open_consumer(self._settings, {**_FIXED, "group_id": self._settings.group}, self._environ)
            # Subscribed before it asks for metadata, the client does not rebalance again as soon as they arrive.
            consumer.subscribe([self._settings.topic], listener=self._changes)
            self._find_topic(consumer)
            self._known_first = self._first_start(consumer)
        except KafkaError as error:
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=1000)
            self._failed(error)
            self._retry_at = time.monotonic() + min(_BACK_OFF[0] * 2**self._attempts, _BACK_OFF[1])
            self._attempts += 1
            return None
        except BaseException:
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=1000)
            raise
        self._consumer = consumer
        self._attempts = 0
        return consumer

    def _find_topic(self, consumer: KafkaConsumer) -> None:
        """A topic that was created a moment ago takes that long to show."""
        for attempt in range(_TOPIC_ATTEMPTS):
            if consumer.partitions_for_topic(self._settings.topic):
                return
            time.sleep(0.2 * (attempt + 1))
        raise topic_trouble(self._settings, self._environ)

    def _first_start(self, consumer: KafkaConsumer) -> frozenset[int] | None:
        """Partitions there are when nothing of the topic was ever counted; None when something was.

        Asked before joining, so that a worker that starts together with others is not misled by what they commit meanwhile.
        Partitions not among these were added later and are read from their beginning.
        """
        partitions = [TopicPartition(self._settings.topic, number) for number in consumer.partitions_for_topic(self._settings.topic)]
        if any(position is not None for position in self._held(consumer, partitions).values()):
            return None
        return frozenset(partition.partition for partition in partitions)

    def _held(self, consumer: KafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The ledger's position of each partition, None where it has none."""
        if self._positions is not None:
            held = self._positions()
            return {partition: held.get(self._name(partition)) for partition in partitions}
        return {partition: consumer.committed(partition, timeout_ms=_RPC) for partition in partitions}

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
        for place in self._places.values():
            place.idle = False

    # Assignment

    def _change(self, what: str) -> None:
        """The input is not what it was: seek again, and throw away what was handed over since the last flush."""
        self._changes.what = None
        self._settled = False
        if self._handed_out:
            self._handed_out = False
            raise Rewound(what)

    def _is_stale(self, lease: ConsumerGroupMetadata) -> bool:
        """After a change of assignment or generation, during one, or when the lease would fence nothing."""
        member = (lease.generation_id, lease.member_id)
        return self._changes.what is not None or member != self._member or lease.state != MemberState.STABLE or lease.generation_id < 0

    def _settle(self, consumer: KafkaConsumer, deadline: float) -> bool:
        """Join the group and seek every assigned partition; False when that is not done in time.

        The client forgets a join that completes while nobody polls, and joins again; so while the group is rebalanced this waits
        longer than it was asked to. Records that a poll returns on the way are dropped: they are read again after the seek.
        """
        deadline = max(deadline, time.monotonic() + _PATIENCE)
        while not self._settled and time.monotonic() < deadline:
            lease = consumer.group_metadata()
            if lease.state != MemberState.STABLE or self._changes.what is not None:
                self._changes.what = None
                with suppress(NoOffsetForPartitionError, OffsetOutOfRangeError):
                    consumer.poll(timeout_ms=200, max_records=1)
            elif self._seek(consumer, sorted(consumer.assignment())):
                self._lease, self._member = lease, (lease.generation_id, lease.member_id)
                self._settled = not self._is_stale(consumer.group_metadata())
        return self._settled

    def _seek(self, consumer: KafkaConsumer, assigned: Sequence[TopicPartition]) -> bool:
        """Put every partition where the ledger left it; False when one of them was taken away meanwhile."""
        now = time.monotonic()
        held = self._held(consumer, assigned)
        first = consumer.beginning_offsets(assigned, timeout_ms=_RPC) if assigned else {}
        last = consumer.end_offsets(assigned, timeout_ms=_RPC) if assigned else {}
        places: dict[TopicPartition, _Place] = {}
        for partition in assigned:
            position = held[partition]
            new = position is None
            if position is None:
                # Not recorded yet, but decided: the end of the topic moves on.
                position = self._starts.get(partition)
            if position is None:
                at_end = self._settings.start == "latest" and partition.partition in (self._known_first or ())
                position = self._starts[partition] = last[partition] if at_end else first[partition]
            known = self._places.get(partition)
            # How far a partition has got may be told only for what the ledger holds: what was read beyond is read again.
            reached = known.reached if known and known.next == position else float("-inf")
            places[partition] = _Place(position, known.heard if known else now, reached, new=new)
            try:
                consumer.seek(partition, self._in_range(partition, position, first[partition], last[partition]))
            except ValueError:
                return False
        self._places = places
        self._looked = float("-inf")
        self.pause(self._paused)
        self.trouble = None
        return True

    def _in_range(self, partition: TopicPartition, position: int, first: int, last: int) -> int:
        """Where to read on. What was deleted before it was read is lost; a topic made anew is read from its beginning."""
        if first <= position <= last:
            return position
        if self._gone.get(partition) != position:
            self._gone[partition] = position
            self.lost += max(0, first - position)
        _log.error("%s: position %d is out of range (%d to %d); reading on at %d", self._name(partition), position, first, last, first)
        return first

    # Reading

    def _batch(self, consumer: KafkaConsumer, records: Mapping[TopicPartition, Sequence[Any]]) -> Batch:
        prompts: list[Prompt] = []
        rejected: Counter[str] = Counter()
        letters: list[DeadLetter] = []
        positions: dict[Partition, Span] = {}
        starting = [partition for partition, place in self._places.items() if place.new]
        for partition in starting:
            place = self._places[partition]
            positions[self._name(partition)] = Span(place.next, place.next)
            place.new = False
        for partition, some in records.items():
            place = self._places[partition]
            place.heard, place.idle = time.monotonic(), False
            self._decode(some, place, prompts, rejected, letters)
            positions[self._name(partition)] = Span(place.next, some[-1].offset + 1)
            place.next = some[-1].offset + 1
        if self._letters is not None:
            self._letters.write(letters)
        if records:
            self.trouble = None
        self._look(consumer, positions)
        self._partitions = frozenset(f"{self._settings.topic}/{n}" for n in consumer.partitions_for_topic(self._settings.topic))
        return Batch(
            prompts=prompts,
            positions=positions,
            progress=self._progress(),
            partitions=self._partitions,
            rejected=rejected,
            lease=self._lease,
            # The recorded start holds from now on, also for whoever joins next.
            urgent=bool(starting),
        )

    def _decode(
        self, records: Sequence[Any], place: _Place, prompts: list[Prompt], rejected: Counter[str], letters: list[DeadLetter]
    ) -> None:
        decode, wall = self._decoder.decode, self._windows.clock == "wall"
        now = self._clock()
        name = f"{self._settings.topic}/{records[0].partition}@"
        reached = place.reached
        for record in records:
            stamp = record.timestamp / 1000.0
            found: Prompt | Rejection
            if record.timestamp < 0 or (wall and stamp > now + FUTURE):
                found = Rejection(Reason.BAD_TIME, "the record's Kafka timestamp is missing or more than a day ahead")
            elif record.value is None:
                found = Rejection(Reason.NOT_AN_OBJECT, "the record has no value")
            else:
                reached = max(reached, stamp)
                found = decode(record.value, stamp, f"{name}{record.offset}")
            if isinstance(found, Prompt):
                prompts.append(found)
            else:
                rejected[found.reason.value] += 1
                # A prompt for a model that is not watched is no broken record.
                if self._letters is not None and found.reason is not Reason.UNKNOWN_MODEL:
                    letters.append(DeadLetter(record, found))
        # A producer whose clock is fast must not close the others' windows.
        place.reached = min(reached, now) if wall else reached

    def _look(self, consumer: KafkaConsumer, positions: dict[Partition, Span]) -> None:
        """Every few seconds: which silent partitions are read to their end, and is the broker there at all?"""
        now = time.monotonic()
        every = min(_LOOK_EVERY, self._windows.idle_after / 2)
        silent = [partition for partition, place in self._places.items() if now - place.heard >= every]
        if not silent or now - self._looked < every:
            return
        self._looked = now
        try:
            ends = consumer.end_offsets(silent, timeout_ms=_RPC)
        except KafkaError as error:
            self._failed(error)
            return
        self.trouble = None
        for partition in silent:
            place = self._places[partition]
            # Past the last record there may be control markers, which only the client's own position passes.
            reached = consumer.position(partition, timeout_ms=_RPC)
            at_end = reached is not None and reached >= ends[partition]
            place.idle = at_end and now - place.heard >= self._windows.idle_after
            if at_end and reached > place.next:
                start = positions.get(self._name(partition), Span(place.next, place.next)).start
                positions[self._name(partition)] = Span(start, reached)
                place.next = reached
