"""What ``check-config --connect`` says about rights, against a broker that checks them."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ACLOperation, ResourceType

from parts.kafka import PASSWORD, Broker
from service.config import Config
from service.errors import ConfigError
from service.records import Batch
from service.source.access import Finding, connect
from service.source.decode import Decoder
from service.source.kafka import KafkaSource as Source

ENVIRON = {"TILTMETER_KAFKA_PASSWORD": PASSWORD}


class Case:
    """A configuration with names of its own, for a user without rights."""

    def __init__(self, broker: Broker, user: str) -> None:
        self.broker, self.user = broker, user
        self.topic, self.group = f"p-{uuid.uuid4().hex[:8]}", f"g-{uuid.uuid4().hex[:8]}"

    def config(self, *, kafka_ledger: bool = False, **source: Any) -> Config:
        options = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": self.user}
        cluster = {"bootstrap_servers": self.broker.bootstrap, "options": options}
        ledger = {"kind": "kafka", "prefix": self.group, **cluster} if kafka_ledger else {"kind": "sql"}
        return Config.model_validate(
            {
                "source": {"kind": "kafka", "topic": self.topic, "group": self.group, **cluster, **source},
                "ledger": ledger,
                "models": {"bot": {"bundle": "b"}},
            }
        )

    def allow(self, operation: ACLOperation, kind: ResourceType, name: str) -> None:
        self.broker.allow(self.user, operation, kind, name)


@pytest.fixture
def case(kafka_acl: Broker) -> Callable[[str], Case]:
    return lambda user: Case(kafka_acl, user)


def wrong(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if not finding.ok]


def test_a_reader_without_rights_is_told_each_command(case: Callable[[str], Case]) -> None:
    c = case("nobody")
    c.broker.create_topic(c.topic)
    findings = connect(c.config(), ENVIRON)
    assert wrong(findings) == [f"no right to Read topic '{c.topic}'", f"no right to Read consumer group '{c.group}'"]
    add = f"kafka-acls.sh --bootstrap-server {c.broker.bootstrap} --add --allow-principal User:nobody --operation Read"
    assert [finding.how_to_fix for finding in findings if not finding.ok] == [f"{add} --topic {c.topic}", f"{add} --group {c.group}"]


def test_read_on_topic_and_group_is_all_that_a_sql_ledger_needs(case: Callable[[str], Case]) -> None:
    c = case("reader")
    c.broker.create_topic(c.topic)
    c.allow(ACLOperation.READ, ResourceType.TOPIC, c.topic)
    c.allow(ACLOperation.READ, ResourceType.GROUP, c.group)
    config = c.config()
    assert wrong(connect(config, ENVIRON)) == []
    source = Source(config.source, Decoder(config.fields, config.models, 20.0), config.windows, positions=dict, environ=ENVIRON)  # type: ignore[arg-type]
    try:
        for _ in range(50):
            batch = source.poll(10, 0.2)
            if batch.progress:
                break
        assert batch != Batch()
        assert set(batch.progress) == {f"{c.topic}/0"}
    finally:
        source.close()


def test_a_missing_topic_is_told_with_the_command_that_creates_it(case: Callable[[str], Case]) -> None:
    c = case("reader")
    c.allow(ACLOperation.READ, ResourceType.TOPIC, c.topic)
    c.allow(ACLOperation.READ, ResourceType.GROUP, c.group)
    findings = connect(c.config(), ENVIRON)
    assert wrong(findings) == [f"topic '{c.topic}' does not exist"]
    assert f"kafka-topics.sh --bootstrap-server {c.broker.bootstrap} --create --topic {c.topic}" in findings[1].text


def test_the_dead_letter_topic_needs_write(case: Callable[[str], Case]) -> None:
    c = case("reader")
    for name in (c.topic, f"{c.topic}-dead"):
        c.broker.create_topic(name)
        c.allow(ACLOperation.READ, ResourceType.TOPIC, name)
    c.allow(ACLOperation.READ, ResourceType.GROUP, c.group)
    config = c.config(dead_letter_topic=f"{c.topic}-dead")
    assert wrong(connect(config, ENVIRON)) == [f"no right to Write topic '{c.topic}-dead'"]
    c.allow(ACLOperation.WRITE, ResourceType.TOPIC, f"{c.topic}-dead")
    assert wrong(connect(config, ENVIRON)) == []


def test_a_kafka_ledger_needs_its_topics_its_group_and_transactions(case: Callable[[str], Case]) -> None:
    c = case("worker")
    for name in (c.topic, f"{c.group}.sketches", f"{c.group}.state"):
        c.broker.create_topic(name)
    c.allow(ACLOperation.READ, ResourceType.TOPIC, c.topic)
    c.allow(ACLOperation.READ, ResourceType.GROUP, c.group)
    config = c.config(kafka_ledger=True)
    assert wrong(connect(config, ENVIRON)) == [
        f"no right to Read or Write topic '{c.group}.sketches'",
        f"no right to Read or Write topic '{c.group}.state'",
        f"no right to Read consumer group '{c.group}-decider'",
        f"no right to Write transactional ids '{c.group}-*'",
    ]
    for name in (f"{c.group}.sketches", f"{c.group}.state"):
        c.allow(ACLOperation.READ, ResourceType.TOPIC, name)
        c.allow(ACLOperation.WRITE, ResourceType.TOPIC, name)
    c.allow(ACLOperation.READ, ResourceType.GROUP, f"{c.group}-decider")
    c.allow(ACLOperation.WRITE, ResourceType.TRANSACTIONAL_ID, f"{c.group}-worker-check-config")
    assert wrong(connect(config, ENVIRON)) == []


def test_a_running_service_says_which_right_it_lacks(case: Callable[[str], Case]) -> None:
    c = case("reader")
    c.broker.create_topic(c.topic)
    config = c.config()

    def run() -> None:
        source = Source(config.source, Decoder(config.fields, config.models, 20.0), config.windows, positions=dict, environ=ENVIRON)  # type: ignore[arg-type]
        try:
            for _ in range(50):
                source.poll(10, 0.2)
        finally:
            source.close()

    grant = "kafka-acls.sh .*--operation Read"
    with pytest.raises(ConfigError, match=f"no right to read topic '{c.topic}': {grant} --topic {c.topic}"):
        run()
    c.allow(ACLOperation.READ, ResourceType.TOPIC, c.topic)
    with pytest.raises(ConfigError, match=f"no right to use consumer group '{c.group}': {grant} --group {c.group}"):
        run()


def test_nothing_that_can_be_mended_is_raised(tmp_path: Path) -> None:
    config = {
        "source": {"kind": "kafka", "topic": "t", "bootstrap_servers": "127.0.0.1:1"},
        "models": {"bot": {"bundle": "b"}},
    }
    (finding,) = connect(Config.model_validate(config), {})
    assert not finding.ok
    assert finding.text == (
        "Kafka at 127.0.0.1:1 does not answer (KafkaConnectionError: 127.0.0.1:1: Connection refused): check bootstrap_servers"
    )
    paths = [str(tmp_path / "none.jsonl"), "-"]
    findings = connect(Config.model_validate(config | {"source": {"kind": "file", "paths": paths}}), {})
    assert [finding.ok for finding in findings] == [False, True]
    assert findings[0].text == f"{tmp_path}/none.jsonl cannot be read: No such file or directory"
