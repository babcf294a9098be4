"""Membership in a consumer group: which partitions are ours, and where each of them is to be read from."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import ConsumerGroupMetadata, MemberState, TopicPartition

from service.config import KafkaSource
from service.records import Partition, Progress, Span

_log = logging.getLogger(__name__)

RPC = 5_000
"""Milliseconds within which a broker that is up answers."""

_PATIENCE = 6.0

CONSUMER: dict[str, Any] = {
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
class Place:
    """One assigned partition.

    Attributes:
        next: position after what was handed over last.
        heard: when its last record came, by the monotonic clock.
        reached: event time reached.
        idle: read to its end and silent.
        new: where it stands has not been handed over since it was assigned.
    """

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


def partition_name(partition: TopicPartition) -> Partition:
    """``topic/number``."""
    return f"{partition.topic}/{partition.partition}"


class Membership:
    """Joins the group and seeks; after every change of assignment or generation it has to be settled again.

    Args:
        consumer: made with CONSUMER; nobody else subscribes or seeks.
        settings: topic, and where a new group begins.
        positions: committed positions of a SQL ledger; None where they are the group's offsets.

    Attributes:
        places: the partitions that are ours.
        lease: the group's metadata when they became ours, or at the last poll; what fences a reader that has lost them.
        settled: whether ``places`` hold.
        lost: records that were gone before they were read (retention, or a topic made anew).
    """

    def __init__(self, consumer: KafkaConsumer, settings: KafkaSource, positions: Callable[[], Mapping[Partition, int]] | None) -> None:
        self.places: dict[TopicPartition, Place] = {}
        self.lease: ConsumerGroupMetadata | None = None
        self.settled = False
        self.lost = 0
        self._consumer = consumer
        self._settings = settings
        self._positions = positions
        self._changes = _Changes()
        self._member: tuple[int, str] | None = None
        self._first: frozenset[int] = frozenset()
        self._starts: dict[TopicPartition, int] = {}
        self._gone: dict[TopicPartition, int] = {}

    def subscribe(self) -> None:
        """Before metadata are asked for: the client then does not rebalance again as soon as they arrive."""
        self._consumer.subscribe([self._settings.topic], listener=self._changes)

    def look_back(self) -> None:
        """Find out, before joining, whether anything of the topic was ever counted.

        If not, this is a first start, and the partitions there are now begin where the settings say. All others are read from their
        beginning: they were added later. Asked before joining, so that what others commit meanwhile does not mislead.
        """
        numbers = self._consumer.partitions_for_topic(self._settings.topic)
        held = self._held([TopicPartition(self._settings.topic, number) for number in numbers])
        self._first = frozenset(numbers) if all(position is None for position in held.values()) else frozenset()

    def _held(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The ledger's position of each partition, None where it has none."""
        if self._positions is not None:
            held = self._positions()
            return {partition: held.get(partition_name(partition)) for partition in partitions}
        return {partition: self._consumer.committed(partition, timeout_ms=RPC) for partition in partitions}

    def renew_lease(self) -> bool:
        """Take the lease of the poll that just returned; False when it does not cover ``places`` any more."""
        self.lease = self._consumer.group_metadata()
        return not self._is_stale(self.lease)

    def change(self) -> str:
        """What changed, as a reason; nothing is settled any more."""
        what, self._changes.what = self._changes.what, None
        self.settled = False
        return what or "the consumer group was rebalanced"

    def progress(self) -> dict[Partition, Progress]:
        """How far each of our partitions has got."""
        return {partition_name(partition): Progress(place.reached, place.idle) for partition, place in self.places.items()}

    def lag(self) -> int | None:
        """Records between what was handed over and the ends that the broker told last; None until it has told all of them."""
        ends = [(self._consumer.highwater(partition), place.next) for partition, place in self.places.items()]
        return None if any(end is None for end, _ in ends) else sum(max(0, end - at) for end, at in ends)

    def look(self, silent: Sequence[TopicPartition], idle_after: float) -> dict[Partition, Span]:
        """Ask which of the silent partitions are read to their end, and since ``idle_after`` seconds idle.

        Returns what was passed there without being a record: control markers. Raises KafkaError.
        """
        ends = self._consumer.end_offsets(silent, timeout_ms=RPC)
        # Past the last record there may be control markers, which only the client's own position passes.
        reached = {partition: self._consumer.position(partition, timeout_ms=RPC) for partition in silent}
        passed, now = {}, time.monotonic()
        for partition, position in reached.items():
            place = self.places[partition]
            at_end = position is not None and position >= ends[partition]
            place.idle = at_end and now - place.heard >= idle_after
            if at_end and position > place.next:
                passed[partition_name(partition)] = Span(place.next, position)
                place.next = position
        return passed

    def _is_stale(self, lease: ConsumerGroupMetadata) -> bool:
        """After a change of assignment or generation, during one, or when the lease would fence nothing."""
        member = (lease.generation_id, lease.member_id)
        return self._changes.what is not None or member != self._member or lease.state != MemberState.STABLE or lease.generation_id < 0

    def settle(self, deadline: float) -> bool:
        """Join the group and seek every assigned partition; False when that is not done in time.

        The client forgets a join that completes while nobody polls, and joins again; so while the group is rebalanced this waits
        longer than it was asked to. Records that a poll returns on the way are dropped: they are read again after the seek.
        """
        deadline = max(deadline, time.monotonic() + _PATIENCE)
        while not self.settled and time.monotonic() < deadline:
            lease = self._consumer.group_metadata()
            if lease.state != MemberState.STABLE or self._changes.what is not None:
                self._changes.what = None
                with suppress(NoOffsetForPartitionError, OffsetOutOfRangeError):
                    self._consumer.poll(timeout_ms=200, max_records=1)
            elif self._seek(sorted(self._consumer.assignment())):
                self.lease, self._member = lease, (lease.generation_id, lease.member_id)
                self.settled = not self._is_stale(self._consumer.group_metadata())
        return self.settled

    def _seek(self, assigned: Sequence[TopicPartition]) -> bool:
        """Put every partition where the ledger left it; False when one of them was taken away meanwhile."""
        now = time.monotonic()
        held = self._held(assigned)
        first = self._consumer.beginning_offsets(assigned, timeout_ms=RPC) if assigned else {}
        last = self._consumer.end_offsets(assigned, timeout_ms=RPC) if assigned else {}
        places: dict[TopicPartition, Place] = {}
        for partition in assigned:
            position = held[partition]
            if position is None:
                # Not recorded yet, but decided: the end of the topic moves on.
                position = self._starts.get(partition)
            if position is None:
                at_end = self._settings.start == "latest" and partition.partition in self._first
                position = self._starts[partition] = last[partition] if at_end else first[partition]
            known = self.places.get(partition)
            # How far a partition has got may be told only for what the ledger holds: what was read beyond is read again.
            reached = known.reached if known and known.next == position else float("-inf")
            # Where it stands is told at once, recorded or not: a worker that is silent from then on can still be fenced by it.
            places[partition] = Place(position, known.heard if known else now, reached, new=True)
            try:
                self._consumer.seek(partition, self._in_range(partition, position, first[partition], last[partition]))
            except ValueError:
                return False
        self.places = places
        return True

    def _in_range(self, partition: TopicPartition, position: int, first: int, last: int) -> int:
        """Where to read on. What was deleted before it was read is lost; a topic made anew is read from its beginning."""
        if first <= position <= last:
            return position
        if self._gone.get(partition) != position:
            self._gone[partition] = position
            self.lost += max(0, first - position)
        _log.error("%s: position %d is out of range (%d to %d); reading on at %d", partition_name(partition), position, first, last, first)
        return first
