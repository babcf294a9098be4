"""Prompts into the Kafka topic that Tiltmeter reads, from a thread of their own (needs kafka-python 3).

    sender = KafkaSender("broker-1:9092", "prompts")
    sender.put({"text": "How do I reset my PIN?", "model": "support-bot"})

Takes the place of `Sender` in the middleware and in the callback. `KafkaProducer.send` alone would not do on a request path: without
metadata it waits, up to `max_block_ms`, and what a broker that is away has not taken grows without bound.
"""

import json
import time
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from tiltmeter_sender import Sender, Stats


class KafkaSender(Sender):
    """A `Sender` whose batches go to a topic. The producer is idempotent: its own retries write nothing twice.

    A record carries the time at which it was asked, so what was delayed still counts in its own window. The producer is made at the
    first delivery; a process that forks after that leaves it to the parent, and the child makes its own.

    Args:
        bootstrap_servers: `host:port`, comma-separated.
        topic: as in `source.topic` of Tiltmeter.
        options: of KafkaProducer, such as `security_protocol` and `sasl_mechanism`.
        bounds: of Sender (`max_records`, `max_bytes`, `batch`, `linger`, `timeout`, `keep`).
    """

    def __init__(self, bootstrap_servers: str, topic: str, options: dict[str, Any] | None = None, **bounds: Any) -> None:
        self._producer: KafkaProducer | None = None
        super().__init__("http://kafka", **bounds)
        self._topic = topic
        each = int(self._timeout * 1000)
        self._options = {
            "bootstrap_servers": bootstrap_servers,
            "acks": "all",
            "enable_idempotence": True,
            "bootstrap_timeout_ms": each,
            "request_timeout_ms": each,
            "max_block_ms": each,
            "delivery_timeout_ms": max(int(self._keep * 1000), 2 * each),
            **(options or {}),
        }

    def _begin(self) -> None:
        super()._begin()
        self._parents, self._producer = self._producer, None  # kept: its end would wait for a thread that the fork has not copied

    def deliver(self, lines: list[bytes], oldest: float) -> None:
        """Send, and wait until the broker has it all or the records are too old."""
        until = oldest + self._keep
        producer = self._connected(until)
        if producer is None:
            return self._settle("closed" if self._closing.is_set() else "late", len(lines))
        futures = []
        for line in lines:
            try:
                futures.append(producer.send(self._topic, line, timestamp_ms=_milliseconds(line)))
            except KafkaError as error:
                self._lose(error, "refused")
        for future in futures:
            try:
                future.get(timeout=max(until - time.monotonic(), self._timeout))
                self._arrived(1)
            except KafkaError as error:
                self._lose(error, "late")

    def _lose(self, error: KafkaError, reason: str) -> None:
        self._last_error = type(error).__name__
        self._settle(reason)

    def _connected(self, until: float) -> KafkaProducer | None:
        """A producer that knows its topic; None where there is none in time, or the sender is being closed."""
        while True:
            try:
                self._producer = self._producer or KafkaProducer(**self._options)
                self._producer.partitions_for(self._topic)
                return self._producer
            except (KafkaError, OSError) as error:
                with self._lock:
                    self._last_error = type(error).__name__
                    self._retries += 1
            if self._closing.wait(1.0) or time.monotonic() > until:
                return None

    def close(self, timeout: float = 5.0) -> Stats:
        """As of Sender; the producer goes as well."""
        stats = super().close(timeout)
        if self._producer is not None:
            self._producer.close(timeout)
        return stats


def _milliseconds(line: bytes) -> int | None:
    """When it was asked, as a Kafka timestamp; None (now) where the record has no time in seconds."""
    record = json.loads(line)
    asked = record.get("time") if isinstance(record, dict) else None
    return int(asked * 1000) if isinstance(asked, int | float) and 0 < asked < 1e11 else None
