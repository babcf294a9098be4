"""Records that are no prompts, put aside where somebody can look at them."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError

from service.config import KafkaSource
from service.source.decode import Rejection
from service.source.kafka_client import open_producer

_log = logging.getLogger(__name__)

_TIMEOUT = 10.0
_LARGEST = 32 * 1024 * 1024


class DeadLetter(NamedTuple):
    """A consumer record and why it is no prompt."""

    record: Any
    rejection: Rejection


class DeadLetters:
    """Writes records as they came, with headers that say where from and why. At least once: a re-read writes them again.

    Attributes:
        lost: records that the topic would not take; they are counted, logged by reason of the broker, and left out.
    """

    def __init__(self, settings: KafkaSource, environ: Mapping[str, str] | None = None) -> None:
        self.lost = 0
        self._settings = settings
        self._environ = environ
        self._producer: KafkaProducer | None = None

    def write(self, letters: list[DeadLetter]) -> None:
        """Send, and wait until the broker has them. Raises nothing that the broker may cause."""
        if not letters:
            return
        failures: list[str] = []
        try:
            producer = self._opened()
            futures = [self._send(producer, letter) for letter in letters]
            producer.flush(timeout=_TIMEOUT)
        except KafkaError as error:
            failures = [type(error).__name__] * len(letters)
        else:
            for future in futures:
                try:
                    future.get(timeout=_TIMEOUT)
                except KafkaError as error:
                    failures.append(type(error).__name__)
        if failures:
            self.lost += len(failures)
            names = ", ".join(sorted(set(failures)))
            topic = self._settings.dead_letter_topic
            _log.error("%d records could not be written to dead-letter topic %s: %s", len(failures), topic, names)

    def _opened(self) -> KafkaProducer:
        if self._producer is None:
            fixed = {
                "acks": "all",
                # Needs no right but Write on the topic; a repeated dead letter does no harm.
                "enable_idempotence": False,
                "max_request_size": _LARGEST,
                "max_block_ms": int(_TIMEOUT * 1000),
                "delivery_timeout_ms": int(_TIMEOUT * 1000),
                "request_timeout_ms": int(_TIMEOUT * 1000) - 1000,
                "allow_auto_create_topics": False,
            }
            self._producer = open_producer(self._settings, fixed, self._environ)
        return self._producer

    def _send(self, producer: KafkaProducer, letter: DeadLetter) -> Any:
        record, rejection = letter
        headers = [
            ("tiltmeter.reason", rejection.reason.value.encode()),
            ("tiltmeter.detail", rejection.detail.encode()),
            ("tiltmeter.topic", record.topic.encode()),
            ("tiltmeter.partition", str(record.partition).encode()),
            ("tiltmeter.offset", str(record.offset).encode()),
        ]
        time = record.timestamp if record.timestamp >= 0 else None
        # The client refuses a record with neither key nor value.
        value = b"" if record.key is None and record.value is None else record.value
        return producer.send(self._settings.dead_letter_topic, key=record.key, value=value, headers=headers, timestamp_ms=time)

    def close(self) -> None:
        """Let go of the connection."""
        if self._producer is not None:
            self._producer.close(timeout=_TIMEOUT)
