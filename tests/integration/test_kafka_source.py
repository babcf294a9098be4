"""The Kafka source against a real broker."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata, TopicPartition

from parts.kafka import Broker
from service.config import Fields, KafkaSource, Model, Windows
from service.errors import ConfigError, Rewound
from service.records import Batch, Partition, Span
from service.source.decode import Decoder
from service.source.kafka import KafkaSource as Source

# kafka-python leaves a connection to the collector now and then.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

NOW = time.time()


class Ledger:
    """Positions as a SQL ledger would keep them."""

    def __init__(self) -> None:
        self.held: dict[Partition, int] = {}

    def positions(self) -> Mapping[Partition, int]:
        return dict(self.held)

    def append(self, batch: Batch) -> None:
        for partition, span in batch.positions.items():
            assert self.held.get(partition, span.start) == span.start, f"{partition}: {self.held.get(partition)} is not {span}"
            self.held[partition] = span.stop


class Bench:
    """One topic, one group, and sources on them."""

    def __init__(self, broker: Broker, partitions: int = 1, **configs: str) -> None:
        self.broker = broker
        self.topic = f"prompts-{uuid.uuid4().hex[:8]}"
        self.ledger = Ledger()
        self.sources: list[Source] = []
        broker.create_topic(self.topic, partitions, **configs)

    def settings(self, **changes: Any) -> KafkaSource:
        return KafkaSource(topic=self.topic, group=f"group-{self.topic}", bootstrap_servers=self.broker.bootstrap, **changes)

    def source(self, *, windows: Windows | None = None, kafka_ledger: bool = False, **changes: Any) -> Source:
        decoder = Decoder(Fields(time="time"), {"bot": Model(bundle=Path("b"))}, 20.0)
        positions = None if kafka_ledger else self.ledger.positions
        source = Source(self.settings(**changes), decoder, windows or Windows(), positions=positions, environ={})
        self.sources.append(source)
        return source

    def produce(self, *texts: str, partition: int = 0, at: float | None = None, **options: Any) -> None:
        self.produce_raw(*(json.dumps({"text": text}).encode() for text in texts), partition=partition, at=at, **options)

    def produce_raw(self, *values: bytes | None, partition: int = 0, at: float | None = None, **options: Any) -> None:
        producer = KafkaProducer(bootstrap_servers=self.broker.bootstrap, **options)
        stamp = NOW if at is None else at
        try:
            for value in values:
                key = b"k" if value is None else None
                producer.send(self.topic, value, key=key, partition=partition, timestamp_ms=int(stamp * 1000)).get(timeout=20)
        finally:
            producer.close()

    def close(self) -> None:
        for source in self.sources:
            source.close()


@pytest.fixture
def bench(kafka: Broker) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(partitions: int = 1, **configs: str) -> Bench:
        made.append(Bench(kafka, partitions, **configs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def step(source: Source, found: list[str] | None = None) -> Batch:
    """One poll as the pipeline does it: after a change of the assignment, what is not in the ledger is thrown away and read again."""
    try:
        return source.poll(100, 0.2)
    except Rewound:
        if found is not None:
            found.clear()
        source.rewind()
        return Batch()


def joined(source: Source, partitions: int = 1, within: float = 20.0) -> Batch:
    """Poll until the source reads its partitions; the batch that records their start."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        batch = step(source)
        if len(batch.progress) >= partitions:
            return batch
    raise AssertionError(f"not joined within {within} s: {source.trouble}")


def texts(source: Source, count: int, ledger: Ledger | None = None, within: float = 20.0) -> list[str]:
    """Poll until so many prompts came, appending to the ledger where one is given."""
    found: list[str] = []
    end = time.monotonic() + within
    while len(found) < count and time.monotonic() < end:
        batch = step(source, None if ledger is not None else found)
        found += [prompt.text for prompt in batch.prompts]
        if ledger is not None:
            ledger.append(batch)
    return found


def test_a_new_group_starts_at_the_newest_record_and_records_where_that_is(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce("old", "older")
    source = b.source()
    first = joined(source)
    assert first.positions == {f"{b.topic}/0": Span(2, 2)}
    assert first.urgent
    b.ledger.append(first)
    b.produce("new")
    assert texts(source, 1, b.ledger) == ["new"]
    assert b.ledger.held == {f"{b.topic}/0": 3}


def test_a_new_group_may_start_at_the_oldest_record(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce("one", "two")
    assert texts(b.source(start="earliest"), 2, b.ledger) == ["one", "two"]


def test_the_start_stays_where_it_was_when_it_was_not_recorded_in_time(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce("old")
    source = b.source()
    joined(source)
    b.produce("one", "two")
    assert texts(source, 2) == ["one", "two"]
    source.rewind()
    assert texts(source, 2) == ["one", "two"]


def test_rewinding_goes_back_to_what_the_ledger_has(bench: Callable[..., Bench]) -> None:
    b = bench()
    source = b.source(start="earliest")
    b.produce("one", "two")
    assert texts(source, 2, b.ledger) == ["one", "two"]
    b.produce("three", "four")
    assert texts(source, 2) == ["three", "four"]
    source.rewind()
    assert texts(source, 2, b.ledger) == ["three", "four"]
    assert b.ledger.held == {f"{b.topic}/0": 4}


def test_the_group_offsets_are_the_positions_of_a_kafka_ledger(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce("one", "two", "three")
    source = b.source(kafka_ledger=True, start="earliest")
    batch = joined(source)
    assert batch.lease.group_id == f"group-{b.topic}"
    assert batch.lease.generation_id >= 0
    producer = KafkaProducer(bootstrap_servers=b.broker.bootstrap, transactional_id=f"tx-{b.topic}")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send_offsets_to_transaction({TopicPartition(b.topic, 0): OffsetAndMetadata(2, "", -1)}, batch.lease)
    producer.commit_transaction()
    producer.close()
    source.rewind()
    assert texts(source, 1) == ["three"]


class Worker(threading.Thread):
    """Polls and appends at once, like a pipeline that flushes every batch."""

    def __init__(self, source: Source, ledger: Ledger) -> None:
        super().__init__()
        self.source, self.ledger = source, ledger
        self.stopping = threading.Event()
        self.rewound = 0
        self.last = Batch()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.last = self.source.poll(100, 0.2)
                self.ledger.append(self.last)
            except Rewound:
                self.rewound += 1
                self.source.rewind()


def wait_for(condition: Callable[[], bool], within: float = 30.0) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.05)


def test_a_rebalance_raises_rewound_and_every_position_is_read_once(bench: Callable[..., Bench]) -> None:
    b = bench(partitions=2)
    one = b.source(start="earliest")
    b.ledger.append(joined(one, 2))
    for partition in (0, 1):
        b.produce("a", "b", partition=partition)
    # Handed over and not in the ledger when the partitions change hands.
    assert len(texts(one, 4)) == 4
    workers = [Worker(one, b.ledger)]
    workers[0].start()
    workers.append(Worker(b.source(start="earliest"), b.ledger))
    workers[1].start()
    try:
        names = {f"{b.topic}/0", f"{b.topic}/1"}
        wait_for(lambda: all(len(worker.last.progress) == 1 for worker in workers))
        wait_for(lambda: b.ledger.held == dict.fromkeys(names, 2))
        for partition in (0, 1):
            b.produce("c", partition=partition)
        wait_for(lambda: b.ledger.held == dict.fromkeys(names, 3))
        assert workers[0].rewound >= 1
        assert workers[0].last.partitions == workers[1].last.partitions == names
        # The one that is left takes over.
        workers[1].stopping.set()
        workers[1].join()
        workers[1].source.close()
        wait_for(lambda: len(workers[0].last.progress) == 2)
    finally:
        for worker in workers:
            worker.stopping.set()
            worker.join()


def test_a_partition_added_later_is_read_from_its_beginning(bench: Callable[..., Bench]) -> None:
    b = bench()
    source = b.source()
    b.ledger.append(joined(source))
    source.close()
    admin = b.broker.admin()
    admin.create_partitions({b.topic: 2})
    admin.close()
    time.sleep(0.5)
    b.produce("added", partition=1)
    assert texts(b.source(), 1, b.ledger) == ["added"]


def test_a_partition_read_to_its_end_and_silent_is_idle(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce("one", at=NOW - 100)
    source = b.source(windows=Windows(idle_after=1.0), start="earliest")
    assert texts(source, 1, b.ledger) == ["one"]
    name = f"{b.topic}/0"
    assert not source.poll(1, 0).progress[name].idle
    end = time.monotonic() + 10
    while not source.poll(1, 0.1).progress[name].idle and time.monotonic() < end:
        pass
    progress = source.poll(1, 0).progress[name]
    assert progress.idle
    assert progress.time == pytest.approx(NOW - 100, abs=0.001)
    b.produce("two")
    assert texts(source, 1, b.ledger) == ["two"]
    assert not source.poll(1, 0).progress[name].idle


def test_idleness_holds_past_the_markers_of_transactions(bench: Callable[..., Bench]) -> None:
    b = bench()
    producer = KafkaProducer(bootstrap_servers=b.broker.bootstrap, transactional_id=f"tx-{b.topic}")
    producer.init_transactions()
    for text, commit in (("kept", True), ("aborted", False)):
        producer.begin_transaction()
        producer.send(b.topic, json.dumps({"text": text}).encode(), partition=0).get(timeout=20)
        producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    source = b.source(windows=Windows(idle_after=0.5), start="earliest")
    assert texts(source, 1, b.ledger) == ["kept"]
    name, end = f"{b.topic}/0", time.monotonic() + 30
    while True:
        batch = source.poll(1, 0.1)
        b.ledger.append(batch)
        if name in batch.progress and batch.progress[name].idle:
            break
        assert time.monotonic() < end, "it is never idle"
    assert b.ledger.held == {name: 4}


def test_paused_partitions_give_nothing_until_they_are_let_go(bench: Callable[..., Bench]) -> None:
    b = bench(partitions=2)
    source = b.source(start="earliest")
    b.ledger.append(joined(source, 2))
    source.pause({f"{b.topic}/0"})
    b.produce("held", partition=0)
    b.produce("free", partition=1)
    assert texts(source, 2, b.ledger, within=2) == ["free"]
    source.pause(())
    assert texts(source, 1, b.ledger) == ["held"]


def test_records_that_are_no_prompts_are_counted_and_put_aside(bench: Callable[..., Bench]) -> None:
    b = bench()
    dead = f"{b.topic}-dead"
    b.broker.create_topic(dead)
    source = b.source(start="earliest", dead_letter_topic=dead)
    deep = b"[" * 100_000
    nested = b'{"a":' * 100_000
    b.produce_raw(b"not json", b"\xff\xfe", None, deep, nested, b'{"text": " "}', b'{"model": "x", "text": "y"}')
    b.produce_raw(b'{"text": "nul \\u0000 byte"}')
    rejected: dict[str, int] = {}
    prompts: list[str] = []
    end = time.monotonic() + 20
    while sum(rejected.values()) < 7 and time.monotonic() < end:
        batch = source.poll(100, 0.2)
        prompts += [prompt.text for prompt in batch.prompts]
        for reason, count in batch.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    assert prompts == ["nul \0 byte"]
    assert rejected == {"not_json": 1, "not_utf8": 1, "not_an_object": 1, "too_deep": 2, "empty_text": 1, "unknown_model": 1}
    consumer = KafkaConsumer(dead, bootstrap_servers=b.broker.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=5000)
    letters = [(dict(record.headers)["tiltmeter.reason"], record.value) for _, record in zip(range(6), consumer, strict=False)]
    consumer.close()
    # Another model's prompt is not broken: it is counted, not put aside.
    assert letters == [
        (b"not_json", b"not json"),
        (b"not_utf8", b"\xff\xfe"),
        (b"not_an_object", None),
        (b"too_deep", deep),
        (b"too_deep", nested),
        (b"empty_text", b'{"text": " "}'),
    ]
    assert source.dead_letters_lost == 0


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_topics_are_read(bench: Callable[..., Bench], codec: str) -> None:
    b = bench()
    b.produce(*(f"{codec} {i}" for i in range(5)), compression_type=codec)
    assert len(texts(b.source(start="earliest"), 5, b.ledger)) == 5


def test_records_of_1970_and_2099_do_not_move_time_for_the_others(bench: Callable[..., Bench]) -> None:
    b = bench(message_timestamp_after_max_ms=str(2**62))
    b.produce("from 1970", at=0)
    b.produce("from 2099", at=4_070_908_800)
    b.produce("now", at=NOW)
    source = b.source(start="earliest")
    found: dict[str, float] = {}
    rejected: dict[str, int] = {}
    end = time.monotonic() + 20
    while len(found) + sum(rejected.values()) < 3 and time.monotonic() < end:
        batch = source.poll(100, 0.2)
        found |= {prompt.text: prompt.time for prompt in batch.prompts}
        for reason, count in batch.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    assert found == {"from 1970": 0.0, "now": pytest.approx(NOW, abs=0.001)}
    assert rejected == {"bad_time": 1}
    assert batch.progress[f"{b.topic}/0"].time == pytest.approx(NOW, abs=0.001)


def test_a_record_of_ten_megabytes_is_counted_and_the_stream_goes_on(bench: Callable[..., Bench]) -> None:
    b = bench(max_message_bytes="12000000")
    large = json.dumps({"text": "x" * 10_000_000}).encode()
    b.produce_raw(large, b'{"text": "next"}', max_request_size=12_000_000)
    source = b.source(start="earliest")
    rejected = 0
    end = time.monotonic() + 30
    found: list[str] = []
    while not found and time.monotonic() < end:
        batch = source.poll(100, 0.2)
        rejected += batch.rejected.get("too_large", 0)
        found += [prompt.text for prompt in batch.prompts]
    assert (rejected, found) == (1, ["next"])


def test_records_deleted_before_they_were_read_are_counted_as_lost(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce(*"abcde")
    b.ledger.held[f"{b.topic}/0"] = 1
    admin = b.broker.admin()
    admin.delete_records({TopicPartition(b.topic, 0): 3})
    admin.close()
    source = b.source()
    assert texts(source, 2, b.ledger) == ["d", "e"]
    assert source.lost == 2
    assert source.lag == 0
    assert b.ledger.held == {f"{b.topic}/0": 5}


def test_a_missing_topic_is_named_with_the_command_that_creates_it(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.topic = "no-such-topic"
    with pytest.raises(ConfigError, match=r"topic 'no-such-topic' does not exist; .*kafka-topics.sh .*--create --topic no-such-topic"):
        b.source().poll(1, 1)


def test_a_broker_that_is_down_is_waited_for_at_the_start_and_in_the_middle(kafka_libs: Path, tmp_path: Path) -> None:
    broker = Broker(kafka_libs, tmp_path)
    broker.start()
    b = Bench(broker)
    b.produce("one")
    broker.stop()
    source = b.source(start="earliest", windows=Windows(idle_after=2.0))
    try:
        began = time.monotonic()
        assert source.poll(10, 0.5) == Batch()
        assert time.monotonic() - began < 8
        assert source.trouble is not None
        assert broker.bootstrap in source.trouble
        broker.start()
        assert texts(source, 1, b.ledger, within=40) == ["one"]
        assert source.trouble is None
        broker.stop()
        end = time.monotonic() + 40
        while source.trouble is None and time.monotonic() < end:
            step(source)
        assert source.trouble is not None
        assert not any(progress.idle for progress in step(source).progress.values())
        broker.start()
        b.produce("two")
        assert texts(source, 1, b.ledger, within=60) == ["two"]
        assert b.ledger.held == {f"{b.topic}/0": 2}
        assert source.trouble is None
    finally:
        b.close()
        broker.stop()


def polled(source: Source, times: int) -> None:
    """Now and then the broker hangs up before it has said why."""
    for _ in range(times):
        source.poll(1, 0.5)


def test_a_wrong_password_is_said_and_not_waited_out(kafka_acl: Broker, tmp_path: Path) -> None:
    options = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "reader"}
    settings = KafkaSource(topic="t", bootstrap_servers=kafka_acl.bootstrap, options=options)
    decoder = Decoder(Fields(), {"bot": Model(bundle=Path("b"))}, 20.0)
    source = Source(settings, decoder, Windows(), positions=dict, environ={"TILTMETER_KAFKA_PASSWORD": "wrong"})
    with pytest.raises(ConfigError, match="the broker refuses the login") as caught:
        polled(source, 100)
    assert "wrong" not in str(caught.value)


def test_lag_is_what_is_not_handed_over_yet(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.produce(*"abcde")
    source = b.source(start="earliest")
    assert source.lag is None
    prompts: list[str] = []
    end = time.monotonic() + 20
    while len(prompts) < 2 and time.monotonic() < end:
        prompts += [prompt.text for prompt in source.poll(2 - len(prompts), 0.2).prompts]
    assert prompts == ["a", "b"]
    assert source.lag == 3
