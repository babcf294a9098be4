"""Checkpoints in the compacted state topic: chunks of at most 512 KB and a header, written in one transaction.

Keys carry the version, so that checkpoints of two versions lie side by side and a rollback finds its own.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import zstandard
from kafka import KafkaConsumer, TopicPartition

from service.ledger import wire
from service.ledger.contract import UnknownVersion
from service.ledger.kafka_client import Clients, abandon, state_topic
from service.records import Checkpoint

CHUNK = 512_000

_POLL = 200


def records(checkpoint: Checkpoint) -> list[tuple[bytes, bytes]]:
    """Key and value of every record of a checkpoint, the header last."""
    data = zstandard.ZstdCompressor(level=3).compress(checkpoint.state)
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    header = {
        "kind": "checkpoint",
        "v": wire.VERSION,
        "position": checkpoint.position,
        "watermark": checkpoint.watermark if math.isfinite(checkpoint.watermark) else None,
        "chunks": len(chunks),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    prefix = f"checkpoint/{wire.VERSION}/"
    named = [(f"{prefix}{number}".encode(), chunk) for number, chunk in enumerate(chunks)]
    return [*named, (f"{prefix}header".encode(), json.dumps(header).encode())]


def assemble(latest: Mapping[bytes, bytes]) -> Checkpoint | None:
    """The newest readable checkpoint among the latest value of every key.

    Raises UnknownVersion when there are only newer ones, ValueError when chunks and header do not belong together.
    """
    versions = {int(key.split(b"/")[1]) for key in latest if key.endswith(b"/header")}
    if not versions:
        return None
    version = max(wire.READABLE & versions, default=None)
    if version is None:
        raise UnknownVersion(f"checkpoint of version {max(versions)}; this build reads {sorted(wire.READABLE)}: upgrade the decider")
    prefix = f"checkpoint/{version}/"
    header: dict[str, Any] = json.loads(latest[f"{prefix}header".encode()])
    data = b"".join(latest.get(f"{prefix}{number}".encode(), b"") for number in range(header["chunks"]))
    if hashlib.sha256(data).hexdigest() != header["sha256"]:
        raise ValueError("the state topic's newest checkpoint is incomplete: chunks and header do not belong together")
    watermark = -math.inf if header["watermark"] is None else float(header["watermark"])
    return Checkpoint(header["position"], watermark, zstandard.ZstdDecompressor().decompress(data))


class StateReader:
    """Follows the state topic outside any group; used by the active decider once, by a standby again and again."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._partition = TopicPartition(state_topic(clients.settings), 0)
        self._consumer: KafkaConsumer | None = None
        self._latest: dict[bytes, bytes] = {}

    def latest(self) -> Checkpoint | None:
        """Read on to the committed end and return the newest checkpoint. Raises KafkaError."""
        consumer = self._consumer
        if consumer is None:
            self._latest = {}
            consumer = self._consumer = self._clients.consumer(auto_offset_reset="earliest")
            consumer.assign([self._partition])
            consumer.seek_to_beginning(self._partition)
        try:
            end = consumer.end_offsets([self._partition], timeout_ms=10_000)[self._partition]
            # Past the last record there are control markers: the position passes them, the records do not.
            while consumer.position(self._partition, timeout_ms=10_000) < end:
                for some in consumer.poll(timeout_ms=_POLL).values():
                    for record in some:
                        self._latest[record.key] = record.value
        except BaseException:
            self.close()
            raise
        return assemble(self._latest)

    def close(self) -> None:
        """Start from the beginning next time."""
        abandon(self._consumer)
        self._consumer = None
