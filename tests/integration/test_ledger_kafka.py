"""The ledger's contract on a real broker."""

import uuid

import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition
from ledger_suite import LedgerSuite, counted, part, report

from parts.kafka import PASSWORD
from service.config import KafkaLedger as Settings
from service.errors import ConfigError, Fenced, Rewound
from service.ledger.kafka import KafkaLedger
from service.ledger.kafka_client import Clients
from service.ledger.kafka_journal import KafkaJournal
from service.ledger.topics import ensure
from service.pipeline.pending import Pending
from service.records import Batch, Checkpoint, Progress, Prompt, Scores, Span


class FortyTopics:
    """As much of a scoring as sketches need."""

    def bundle(self, model_name):
        return "f" * 64

    def topics(self, model_name):
        return 40

    def vocabulary(self, model_name):
        return None


def uniform(chance, n):
    p = chance.random(n, np.float32)
    topic = chance.integers(-1, 40, n, np.int32)
    return Scores(1 - p, p, p <= 0.05, p <= 0.01, topic, np.full(n, 40, np.int32), np.zeros(n, bool), np.zeros((n, 2), np.int16))


class TestKafka(LedgerSuite):
    @pytest.fixture(autouse=True)
    def on_topics(self, kafka):
        self.settings = Settings(bootstrap_servers=kafka.bootstrap, prefix=f"t{uuid.uuid4().hex[:8]}", create_topics=True)
        self.opened = []
        self.ledger, self.journal = self.another_ledger(), self.another_journal()
        yield
        for each in self.opened:
            each.close()

    def another_ledger(self):
        self.opened.append(KafkaLedger(self.settings, f"w{len(self.opened)}", environ={}))
        return self.opened[-1]

    def another_journal(self):
        self.opened.append(KafkaJournal(self.settings, environ={}))
        return self.opened[-1]

    def consumer(self, topic, **options):
        fixed = {"enable_auto_commit": False, "isolation_level": "read_committed"}
        consumer = KafkaConsumer(bootstrap_servers=self.settings.bootstrap_servers, **fixed, **options)
        self.opened.append(consumer)
        consumer.subscribe([topic])
        return consumer

    def test_deltas_and_offsets_move_together_and_a_stale_lease_is_refused(self, kafka):
        topic, group = f"in-{uuid.uuid4().hex[:8]}", f"group-{uuid.uuid4().hex[:8]}"
        kafka.create_topic(topic, 1)
        self.become_active()
        old = self.consumer(topic, group_id=group, auto_offset_reset="earliest")
        while not old.assignment():
            old.poll(timeout_ms=200)
        lease = old.group_metadata()
        self.ledger.append([part(3)], report(**{f"{topic}/0": (0, 3)}), lease)
        assert old.committed(TopicPartition(topic, 0)) == 3
        old.unsubscribe()
        successor = self.consumer(topic, group_id=group, auto_offset_reset="earliest")
        while not successor.assignment():
            successor.poll(timeout_ms=200)
        with pytest.raises(Rewound):
            self.ledger.append([part(4)], report(**{f"{topic}/0": (3, 7)}), lease)
        assert successor.committed(TopicPartition(topic, 0)) == 3
        self.ledger.append([part(5)], report(**{f"{topic}/0": (3, 8)}), successor.group_metadata())
        assert successor.committed(TopicPartition(topic, 0)) == 8
        assert counted(self.drain(expected=4)) == 3 + 5

    def test_the_topic_stays_under_a_tenth_of_the_prompts(self, kafka):
        """50 prompts/s of 340 bytes over 50 slices and 40 topics, a flush every 5 s: bytes of the broker's own log file."""
        chance, slices, flushes = np.random.default_rng(1), [f"tenant-{i}" for i in range(50)], 24
        for number in range(flushes):
            batch = [Prompt("", "x" * 240, 600.0 + 5 * number, "support-bot", slices[i]) for i in chance.integers(0, 50, 250)]
            pending = Pending(60)
            pending.add(Batch(batch, {"http/w": Span(number, number + 1)}, {"http/w": Progress(1.0)}), uniform(chance, 250), FortyTopics())
            self.ledger.append(pending.deltas(), pending.report("w", 1.0, {}), None)
        log = kafka.folder / "data" / f"{self.settings.prefix}.sketches-0"
        written = sum(file.stat().st_size for file in log.glob("*.log"))
        assert written / (flushes * 250 * 340) < 0.10
        self.become_active()
        assert counted([e for e in self.drain(expected=flushes) if not isinstance(e.body, tuple) or e.body[0].slice == ""]) == flushes * 250

    def test_positions_without_a_lease_are_a_configuration_mistake(self):
        with pytest.raises(ConfigError, match="sql ledger"):
            self.ledger.append([part(3)], report(**{"file": (0, 3)}), None)

    def test_a_decider_whose_producer_was_taken_over_is_fenced(self):
        """What a frozen decider finds when it goes on: somebody else has its transactional id."""
        self.become_active()
        self.journal.checkpoint(Checkpoint(1, 600.0, b"old"))
        usurper = Clients(self.settings, {}).producer(f"{self.settings.prefix}-decider")
        with pytest.raises(Fenced):
            self.journal.checkpoint(Checkpoint(2, 660.0, b"stale"))
        assert self.journal.restore() == Checkpoint(1, 600.0, b"old")
        with pytest.raises(Fenced):
            self.journal.read(0, 10, 0.1)
        usurper.close()


def settings(kafka, **changes):
    return Settings(bootstrap_servers=kafka.bootstrap, prefix=f"t{uuid.uuid4().hex[:8]}", **changes)


def test_missing_topics_are_answered_with_the_commands(kafka):
    here = settings(kafka)
    with pytest.raises(ConfigError) as caught:
        ensure(Clients(here, {}))
    message = str(caught.value)
    assert f"--create --topic {here.prefix}.sketches --partitions 1" in message
    assert f"--topic {here.prefix}.state --partitions 1 --config cleanup.policy=compact" in message


def test_topics_are_made_once_when_that_is_allowed(kafka):
    here = settings(kafka, create_topics=True)
    ensure(Clients(here, {}))
    ensure(Clients(here, {}))


def test_topics_made_by_somebody_else_are_checked(kafka):
    here = settings(kafka, create_topics=True)
    kafka.create_topic(f"{here.prefix}.sketches", 3)
    with pytest.raises(ConfigError, match="has 3 partitions, expected 1"):
        ensure(Clients(here, {}))
    here = settings(kafka, create_topics=True)
    kafka.create_topic(f"{here.prefix}.state", 1)
    with pytest.raises(ConfigError, match=r"cleanup.policy delete, expected compact"):
        ensure(Clients(here, {}))


def test_missing_rights_are_named(kafka_acl):
    options = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "nobody"}
    here = settings(kafka_acl, create_topics=True, options=options)
    with pytest.raises(ConfigError, match=rf"needs Read, Write and Describe on topics {here.prefix}.sketches") as caught:
        KafkaLedger(here, "w", environ={"TILTMETER_KAFKA_PASSWORD": PASSWORD}).append([part(1)], report(), None)
    assert PASSWORD not in str(caught.value)
