"""A stretch of a topic's past against a real broker: what is read, and what the service's group and the topic see of it."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACLOperation, ResourceType
from kafka.structs import OffsetAndMetadata, TopicPartition

from parts.kafka import PASSWORD, Broker
from service.config import Fields, KafkaSource, Model
from service.errors import ConfigError, DataError
from service.source.decode import Decoder
from service.source.kafka_history import TopicHistory

NOW = time.time() - 3600.0


def history(settings: KafkaSource, since: float | None = None) -> TopicHistory:
    decoder = Decoder(Fields(), {"bot": Model(bundle=Path("b"))}, 20.0)
    return TopicHistory(settings, decoder, since, environ={"TILTMETER_KAFKA_PASSWORD": PASSWORD})


def drained(source: TopicHistory, within: float = 30.0) -> list[str]:
    found, end = [], time.monotonic() + within
    try:
        while time.monotonic() < end:
            batch = source.poll(100, 0.2)
            found += [prompt.text for prompt in batch.prompts]
            if all(progress.ended for progress in batch.progress.values()):
                return found
    finally:
        source.close()
    raise AssertionError(f"not at its end within {within} s")


@pytest.fixture
def topic(kafka: Broker) -> str:
    name = f"past-{uuid.uuid4().hex[:8]}"
    kafka.create_topic(name, 3)
    return name


@pytest.fixture
def write(kafka: Broker, topic: str) -> Callable[..., None]:
    """Texts into one partition, a second apart from ``at`` on; in a transaction that is committed or not, or in none."""

    def writer(*texts: str, partition: int = 0, at: float = NOW, commit: bool | None = None) -> None:
        options: dict[str, Any] = {} if commit is None else {"transactional_id": f"tx-{uuid.uuid4().hex[:8]}"}
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, **options)
        try:
            if commit is not None:
                producer.init_transactions()
                producer.begin_transaction()
            for i, text in enumerate(texts):
                value = json.dumps({"text": text}).encode()
                producer.send(topic, value, partition=partition, timestamp_ms=int((at + i) * 1000)).get(timeout=20)
            if commit is not None:
                producer.commit_transaction() if commit else producer.abort_transaction()
        finally:
            producer.close()

    return writer


def test_committed_records_since_a_time_and_nothing_the_group_could_notice(kafka: Broker, topic: str, write: Callable[..., None]) -> None:
    write("a0", "a1", "a2", "a3")
    write("aborted", at=NOW + 4, commit=False)
    write("b0", "b1", partition=1, at=NOW + 2, commit=True)
    settings = KafkaSource(topic=topic, group=f"group-{topic}", bootstrap_servers=kafka.bootstrap)
    held = TopicPartition(topic, 0)
    member = KafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=settings.group, enable_auto_commit=False)
    member.assign([held])
    member.commit({held: OffsetAndMetadata(1, "", -1)})
    source = history(settings, NOW + 2)
    write("too late", at=NOW + 9)
    assert sorted(drained(source)) == ["a2", "a3", "b0", "b1"]
    assert member.committed(held) == 1
    assert member.committed(TopicPartition(topic, 1)) is None
    member.close(autocommit=False)
    assert sorted(drained(history(settings))) == ["a0", "a1", "a2", "a3", "b0", "b1", "too late"]


def test_nothing_there_and_no_such_topic(kafka: Broker, topic: str, write: Callable[..., None]) -> None:
    settings = KafkaSource(topic=topic, bootstrap_servers=kafka.bootstrap)
    with pytest.raises(DataError, match="holds no records"):
        history(settings)
    write("a")
    with pytest.raises(DataError, match="holds no record since"):
        history(settings, NOW + 60)
    with pytest.raises(ConfigError, match="topic 'nowhere' does not exist"):
        history(settings.model_copy(update={"topic": "nowhere"}))


def test_the_right_to_read_the_topic_is_enough(kafka_acl: Broker) -> None:
    name = f"past-{uuid.uuid4().hex[:8]}"
    kafka_acl.create_topic(name, 1)
    producer = KafkaProducer(**kafka_acl.client())
    producer.send(name, b'{"text": "a"}', timestamp_ms=int(NOW * 1000)).get(timeout=20)
    producer.close()
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "nobody"}
    settings = KafkaSource(topic=name, bootstrap_servers=kafka_acl.bootstrap, options=login)
    with pytest.raises(ConfigError, match=f"no right to read topic '{name}'"):
        history(settings)
    kafka_acl.allow("nobody", ACLOperation.READ, ResourceType.TOPIC, name)
    assert drained(history(settings, NOW)) == ["a"]
