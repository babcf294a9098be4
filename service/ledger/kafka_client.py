"""Opening Kafka clients for the ledger, and what their errors mean for the process."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    BrokerNotAvailableError,
    IllegalSaslStateError,
    KafkaConfigurationError,
    KafkaError,
    RetriableError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient

from service import config
from service.errors import ConfigError
from service.ledger.contract import Unavailable

BOOTSTRAP = 5_000
"""Milliseconds that one attempt to reach the cluster may take."""
TRANSACTION = 10_000
"""Milliseconds after which the broker ends a transaction whose producer died: until then nobody sees what was committed after it."""
DELIVERY = 12_000
"""Milliseconds within which a record must be acknowledged. With the successor's bootstrap and initialisation after a failure this stays
under the watchdog's limit, so that a broker that is away is waited for and not died of."""

_PRODUCER: dict[str, Any] = {
    "enable_idempotence": True,
    "acks": "all",
    "allow_auto_create_topics": False,
    "linger_ms": 20,
    "batch_size": 1_000_000,
    "request_timeout_ms": 10_000,
    "delivery_timeout_ms": DELIVERY,
    "max_block_ms": 10_000,
    "reconnect_backoff_max_ms": 1_000,
}
CONSUMER: dict[str, Any] = {
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    "allow_auto_create_topics": False,
    "reconnect_backoff_max_ms": 1_000,
    # A topic that was made a moment ago may not be known to the broker asked: nothing is assigned until it is asked again.
    "metadata_max_age_ms": 5_000,
}


def sketch_topic(settings: config.KafkaLedger) -> str:
    """Topic of deltas, reports and commands."""
    return f"{settings.prefix}.sketches"


def state_topic(settings: config.KafkaLedger) -> str:
    """Topic of the decider's checkpoints."""
    return f"{settings.prefix}.state"


class Clients:
    """Makes clients of one cluster."""

    def __init__(self, settings: config.KafkaLedger, environ: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self._environ = environ

    def producer(self, transactional_id: str | None = None) -> KafkaProducer:
        """A producer; with an id, its earlier transactions are ended and its predecessor is fenced."""
        extra = {"transactional_id": transactional_id, "transaction_timeout_ms": TRANSACTION} if transactional_id else {}
        producer = self._open(KafkaProducer, {**_PRODUCER, **extra})
        if transactional_id:
            try:
                producer.init_transactions()
            except BaseException:
                abandon(producer)
                raise
        return producer

    def consumer(self, **options: Any) -> KafkaConsumer:
        """A read_committed consumer."""
        return self._open(KafkaConsumer, {**CONSUMER, **options})

    def admin(self) -> KafkaAdminClient:
        """An admin client."""
        return self._open(KafkaAdminClient, {"request_timeout_ms": 10_000})

    def _open(self, kind: Callable[..., Any], fixed: Mapping[str, Any]) -> Any:
        known = kind.DEFAULT_CONFIG  # type: ignore[attr-defined]
        options = config.kafka_options(self.settings, self._environ, known=known)
        opened: list[KafkaNetClient] = []

        def net_client(**configs: Any) -> KafkaNetClient:
            opened.append(KafkaNetClient(**configs))
            return opened[-1]

        try:
            return kind(**{**options, **fixed, "bootstrap_timeout_ms": BOOTSTRAP, "kafka_client": net_client})
        except BaseException as error:
            # A constructor that fails leaves its thread running.
            for client in opened:
                client.close()
            if isinstance(error, KafkaConfigurationError | ValueError | TypeError | OSError):
                raise ConfigError(f"ledger.options: {error}") from None
            raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors that may pass become Unavailable, the operator's become ConfigError; others are bugs and pass."""
        servers = self.settings.bootstrap_servers
        try:
            yield
        except AuthorizationError as error:
            raise ConfigError(f"{servers}: {type(error).__name__}; {self._rights()}") from None
        except (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError) as error:
            raise ConfigError(f"{servers}: the broker refuses the login ({type(error).__name__})") from None
        except (RetriableError, BrokerNotAvailableError) as error:
            raise Unavailable(f"Kafka ledger {servers}: {type(error).__name__}") from None

    def _rights(self) -> str:
        prefix = self.settings.prefix
        return (
            f"the ledger needs Read, Write and Describe on topics {prefix}.sketches and {prefix}.state, Read on group {prefix}-decider, "
            f"Read on the source's group, and Write and Describe on transactional ids {prefix}-*"
        )


def abandon(client: KafkaProducer | KafkaConsumer | None) -> None:
    """Close a client whose state is not to be trusted, without waiting for it: a broker that does not answer would hold us up."""
    if client is None:
        return

    def close() -> None:
        with suppress(KafkaError):
            client.close(timeout=5) if isinstance(client, KafkaProducer) else client.close(autocommit=False, timeout_ms=5_000)

    threading.Thread(target=close, name="kafka-close", daemon=True).start()
