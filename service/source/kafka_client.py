"""Opening Kafka clients, and saying in a person's words what stops them."""

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.codec import has_lz4, has_snappy, has_zstd
from kafka.errors import (
    AuthorizationError,
    GroupAuthorizationFailedError,
    KafkaConfigurationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)
from kafka.net.compat import KafkaNetClient

from service.config import Kafka, KafkaSource, kafka_options
from service.errors import ConfigError
from service.source.decode import Reason, Rejection

FUTURE = 86_400.0
"""A record stamped further ahead of the wall clock than this (seconds) carries a bad time."""

BOOTSTRAP_SECONDS = 5.0
"""How long one attempt to reach a broker may take."""

_TOPIC_ATTEMPTS = 5
_EXTRA = "pip install 'kafka-python[crc32c,lz4,snappy,zstd]'"


def check_client_libraries() -> None:
    """Refuse a client that would be six times slower, or could not read compressed topics."""
    try:
        import crc32c  # noqa: F401
    except ImportError:
        raise ConfigError(f"the package crc32c is missing; without it reading Kafka is six times slower: {_EXTRA}") from None
    missing = [name for name, there in (("lz4", has_lz4()), ("snappy", has_snappy()), ("zstd", has_zstd())) if not there]
    if missing:
        raise ConfigError(f"topics compressed with {', '.join(missing)} would be unreadable: {_EXTRA}")


def open_consumer(settings: Kafka, fixed: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> KafkaConsumer:
    """A consumer that has reached the cluster within BOOTSTRAP_SECONDS; raises KafkaError or ConfigError."""
    return _open(KafkaConsumer, settings, fixed, environ)


def open_producer(settings: Kafka, fixed: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> KafkaProducer:
    """A producer that has reached the cluster within BOOTSTRAP_SECONDS; raises KafkaError or ConfigError."""
    return _open(KafkaProducer, settings, fixed, environ)


def open_admin(settings: Kafka, environ: Mapping[str, str] | None = None) -> KafkaAdminClient:
    """An admin client that has reached the cluster within BOOTSTRAP_SECONDS; raises KafkaError or ConfigError."""
    return _open(KafkaAdminClient, settings, {}, environ)


def _open(kind: Callable[..., Any], settings: Kafka, fixed: Mapping[str, Any], environ: Mapping[str, str] | None) -> Any:
    options = kafka_options(settings, environ, known=kind.DEFAULT_CONFIG)  # type: ignore[attr-defined]
    if "proxy_url" not in options:
        _reach(options["bootstrap_servers"])
    opened: list[KafkaNetClient] = []

    def net_client(**configs: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**configs))
        return opened[-1]

    refusals = _Refusals()
    logger = logging.getLogger("kafka.net")
    logger.addHandler(refusals)
    try:
        return kind(**{**options, **fixed, "bootstrap_timeout_ms": int(BOOTSTRAP_SECONDS * 1000), "kafka_client": net_client})
    except BaseException as error:
        # A constructor that fails leaves its thread running.
        for client in opened:
            client.close()
        if isinstance(error, KafkaConfigurationError | ValueError | TypeError | OSError):
            raise ConfigError(f"{settings.bootstrap_servers}: options of the Kafka client: {error}") from None
        if refusals.reason is not None and isinstance(error, Exception):
            raise ConfigError(f"{settings.bootstrap_servers}: {refusals.reason}") from None
        if isinstance(error, KafkaTimeoutError):
            hint = "takes connections and does not answer; check security_protocol, certificates and login"
            raise KafkaConnectionError(f"{settings.bootstrap_servers}: {hint}") from None
        raise
    finally:
        logger.removeHandler(refusals)


def _reach(servers: Sequence[str]) -> None:
    """Raise KafkaConnectionError when no server takes a connection. The client would try for seconds and leak its sockets."""
    reasons = []
    for server in servers:
        host, _, port = server.rpartition("://")[2].rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=BOOTSTRAP_SECONDS / 2).close()
        except ValueError:
            raise ConfigError(f"bootstrap_servers: {server!r} is not host:port") from None
        except OSError as error:
            reasons.append(f"{server}: {error.strerror or error}")
        else:
            return
    raise KafkaConnectionError("; ".join(reasons))


class _Refusals(logging.Handler):
    """Why the broker refused us while a client was opening. The client itself only says, in the end, that time was up."""

    _REASONS: ClassVar[dict[str, str]] = {
        "SaslAuthenticationFailedError": "the broker refuses the login; check sasl_plain_username and the password",
        "UnsupportedSaslMechanismError": "the broker does not know this sasl_mechanism",
        "CERTIFICATE_VERIFY_FAILED": "the broker's certificate cannot be verified; check ssl_cafile",
    }

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.reason = next((reason for sign, reason in self._REASONS.items() if sign in text), self.reason)


def acl_command(settings: Kafka, operation: str, resource: str) -> str:
    """The command that grants a right; ``resource`` is ``--topic NAME``, ``--group NAME`` or ``--transactional-id NAME``."""
    user = settings.options.get("sasl_plain_username", "NAME")
    return (
        f"kafka-acls.sh --bootstrap-server {settings.bootstrap_servers} --add --allow-principal User:{user} "
        f"--operation {operation} {resource}"
    )


def refused(error: KafkaError, settings: KafkaSource) -> ConfigError | None:
    """The error as the operator's to solve, with the command that solves it; None for one that may pass by itself."""
    if isinstance(error, GroupAuthorizationFailedError):
        command = acl_command(settings, "Read", f"--group {settings.group}")
        return ConfigError(f"no right to use consumer group '{settings.group}': {command}")
    if isinstance(error, AuthorizationError):
        return ConfigError(f"no right to read topic '{settings.topic}': {acl_command(settings, 'Read', f'--topic {settings.topic}')}")
    if isinstance(error, UnsupportedCodecError):
        return ConfigError(f"topic '{settings.topic}' is compressed in a way that cannot be read: {_EXTRA}")
    return None


def unreadable(record: Any, latest: float) -> Rejection | None:
    """Why a record is no prompt whatever its value says, None where that decides; ``latest``: a clock it may be ahead of by FUTURE."""
    if record.timestamp < 0 or record.timestamp / 1000.0 > latest + FUTURE:
        return Rejection(Reason.BAD_TIME, "the record's Kafka timestamp is missing or more than a day ahead")
    if record.value is None:
        return Rejection(Reason.NOT_AN_OBJECT, "the record has no value")
    return None


def find_topic(consumer: KafkaConsumer, settings: KafkaSource, environ: Mapping[str, str] | None = None) -> None:
    """Wait for the prompt topic: one that was created a moment ago takes that long to show. Raises ConfigError when it does not."""
    for attempt in range(_TOPIC_ATTEMPTS):
        if consumer.partitions_for_topic(settings.topic):
            return
        time.sleep(0.2 * (attempt + 1))
    raise _topic_trouble(settings, environ)


def _topic_trouble(settings: KafkaSource, environ: Mapping[str, str] | None) -> ConfigError:
    """Why the prompt topic does not show: it may not be described, or is not there."""
    admin = open_admin(settings, environ)
    try:
        found = admin.describe_topics([settings.topic])
    except UnknownTopicOrPartitionError:
        found = []
    except AuthorizationError as error:
        return refused(error, settings) or ConfigError(str(error))
    finally:
        admin.close()
    if any(topic.get("error_code") == TopicAuthorizationFailedError.errno for topic in found):
        return ConfigError(f"no right to read topic '{settings.topic}': {acl_command(settings, 'Read', f'--topic {settings.topic}')}")
    return ConfigError(
        f"topic '{settings.topic}' does not exist; create it: "
        f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --create --topic {settings.topic} --partitions 4"
    )
