"""The ledger's two topics: made when that is allowed, checked at start."""

import logging
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import AuthorizationError, KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from service import config
from service.errors import ConfigError
from service.ledger.kafka_client import Clients, sketch_topic, state_topic

_log = logging.getLogger(__name__)

_DAY = str(86_400_000)
_SKETCHES = {"cleanup.policy": "delete", "retention.ms": _DAY}
# Small segments: only closed ones are compacted, and a starting decider reads what is not.
_STATE = {"cleanup.policy": "compact", "segment.bytes": str(32 << 20), "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}


def wanted(settings: config.KafkaLedger) -> dict[str, dict[str, str]]:
    """Topic -> its settings; each has one partition, because that is what puts all deltas and commands in one order."""
    return {sketch_topic(settings): _SKETCHES, state_topic(settings): _STATE}


def commands(settings: config.KafkaLedger) -> list[str]:
    """What an operator runs to make both topics."""
    return [
        f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --create --topic {name} --partitions 1 "
        + " ".join(f"--config {key}={value}" for key, value in options.items())
        for name, options in wanted(settings).items()
    ]


def ensure(clients: Clients) -> None:
    """Make missing topics, or say how; check those that are there.

    Raises ConfigError with the exact commands, or naming what is wrong with a topic; Unavailable while the cluster is away.
    """
    settings = clients.settings
    with clients.translated():
        admin = clients.admin()
        try:
            missing = [name for name in wanted(settings) if _partitions(admin, name) == 0]
            if missing and not settings.create_topics:
                todo = "\n  ".join(commands(settings))
                raise ConfigError(f"topics {', '.join(missing)} do not exist; set ledger.create_topics: true, or run\n  {todo}")
            for name in missing:
                _create(admin, name, wanted(settings)[name])
            for name in wanted(settings):
                _check(admin, name, compacted=name == state_topic(settings))
        finally:
            admin.close()


def _partitions(admin: Any, name: str) -> int:
    try:
        found = admin.describe_topics([name])
    except UnknownTopicOrPartitionError:
        return 0
    return sum(len(topic["partitions"]) for topic in found if topic["name"] == name)


def _create(admin: Any, name: str, options: dict[str, str]) -> None:
    try:
        admin.create_topics({name: {"num_partitions": 1, "configs": options}}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return
    _log.info("topic created: %s", name)


def _check(admin: Any, name: str, *, compacted: bool) -> None:
    count = _partitions(admin, name)
    if count != 1:
        raise ConfigError(f"topic {name} has {count} partitions, expected 1 (made by auto-creation?): delete it and make it again")
    try:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    except AuthorizationError:
        _log.warning("no right to describe the settings of topic %s: its cleanup policy was not checked", name)
        return
    except KafkaError as error:
        raise error
    policy = found["topic"][name]["cleanup.policy"]["value"]
    if ("compact" in policy) != compacted:
        expected = "compact" if compacted else "delete"
        raise ConfigError(
            f"topic {name} has cleanup.policy {policy}, expected {expected}: "
            f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config cleanup.policy={expected}"
        )
