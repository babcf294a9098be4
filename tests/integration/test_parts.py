"""The launchers themselves: a part that a test kills, freezes or restarts must come back with what it held."""

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACLOperation, ResourceType
from kafka.errors import KafkaError
from parts.kafka import Broker
from parts.postgres import Postgres


def _produce(broker: Broker, topic: str, value: bytes, user: str = "admin") -> None:
    producer = KafkaProducer(**broker.client(user), acks="all", max_block_ms=5000, bootstrap_timeout_ms=5000)
    try:
        producer.send(topic, value, partition=0).get(timeout=10)
    finally:
        producer.close(timeout=2)


def _read(broker: Broker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(topic, **broker.client(), auto_offset_reset="earliest", consumer_timeout_ms=15000)
    try:
        return [record.value for _, record in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


def test_broker_keeps_records_over_freeze_and_restart(kafka: Broker) -> None:
    kafka.create_topic("parts-restart", partitions=2, retention_ms="-1")
    _produce(kafka, "parts-restart", b"before")
    with kafka.frozen(), pytest.raises(KafkaError):
        _produce(kafka, "parts-restart", b"frozen")
    kafka.restart()
    _produce(kafka, "parts-restart", b"after")
    values = _read(kafka, "parts-restart", 2)
    assert values[0] == b"before"
    assert values[-1] in (b"after", b"frozen")


def test_acl_broker_refuses_until_allowed(kafka_acl: Broker) -> None:
    kafka_acl.create_topic("parts-acl")
    with pytest.raises(KafkaError, match="[Aa]uthoriz"):
        _produce(kafka_acl, "parts-acl", b"refused", user="worker")
    kafka_acl.allow("worker", ACLOperation.WRITE, ResourceType.TOPIC, "parts-acl")
    _produce(kafka_acl, "parts-acl", b"allowed", user="worker")
    assert _read(kafka_acl, "parts-acl", 1) == [b"allowed"]


def test_postgres_keeps_rows_over_a_kill(postgres: Postgres) -> None:
    postgres.new_database()
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    postgres.kill()
    postgres.start()
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
        connection.execute("DROP TABLE kept")
