"""Opening Kafka clients, and saying in a person's words what stops them."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from kafka import KafkaConsumer, KafkaProducer
from kafka.codec import has_lz4, has_snappy, has_zstd
from kafka.errors import (
    AuthorizationError,
    GroupAuthorizationFailedError,
    KafkaConfigurationError,
    KafkaError,
    UnsupportedCodecError,
)
from kafka.net.compat import KafkaNetClient

from service.config import KafkaSource, kafka_options
from service.errors import ConfigError

BOOTSTRAP_SECONDS = 5.0
"""How long one attempt to reach a broker may take."""

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


def open_consumer(settings: KafkaSource, fixed: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> KafkaConsumer:
    """A consumer that has reached the cluster within BOOTSTRAP_SECONDS; raises KafkaError or ConfigError."""
    return _open(KafkaConsumer, settings, fixed, environ)


def open_producer(settings: KafkaSource, fixed: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> KafkaProducer:
    """A producer that has reached the cluster within BOOTSTRAP_SECONDS; raises KafkaError or ConfigError."""
    return _open(KafkaProducer, settings, fixed, environ)


def _open(kind: Callable[..., Any], settings: KafkaSource, fixed: Mapping[str, Any], environ: Mapping[str, str] | None) -> Any:
    options = kafka_options(settings, environ, known=kind.DEFAULT_CONFIG)  # type: ignore[attr-defined]
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
            raise ConfigError(f"source.options: {error}") from None
        if refusals.reason is not None:
            raise ConfigError(f"{settings.bootstrap_servers}: {refusals.reason}") from None
        raise
    finally:
        logger.removeHandler(refusals)


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


def acl_command(settings: KafkaSource, operation: str, resource: str) -> str:
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


def topic_missing(settings: KafkaSource) -> ConfigError:
    """The prompt topic is not there."""
    return ConfigError(
        f"topic '{settings.topic}' does not exist on {settings.bootstrap_servers} (or may not be described); create it: "
        f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --create --topic {settings.topic} --partitions 4"
    )
