"""``baseline learn`` from files and from a topic, with a consumer that is not there; tests/integration has the real one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, OffsetOutOfRangeError
from kafka.structs import OffsetAndTimestamp, TopicPartition

from service.config import Fields, KafkaSource, Model
from service.errors import ConfigError, DataError
from service.main.history import learn_history
from service.records import Batch, Prompt
from service.source import kafka_history
from service.source.decode import Decoder
from service.source.kafka_history import TopicHistory

MONDAY = 1_767_571_200.0  # 5 January 2026


class Consumer:
    """A topic in memory: partition -> (seconds, value or None for a control marker) by offset, and what was asked of it."""

    def __init__(self, *partitions: list[tuple[float, bytes | None]], topic: str = "prompts") -> None:
        self.logs = {TopicPartition(topic, number): log for number, log in enumerate(partitions)}
        self.at: dict[TopicPartition, int] = {}
        self.held: set[TopicPartition] = set()
        self.options: dict[str, Any] = {}
        self.closed: list[bool] = []
        self.error: Exception | None = None

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {partition.partition for partition in self.logs}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, 0)

    def beginning_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return {partition: len(self.logs[partition]) for partition in partitions}

    def offsets_for_times(self, times: dict[TopicPartition, int], timeout_ms: int) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        found = {}
        for partition, stamp in times.items():
            later = [i for i, (time, _) in enumerate(self.logs[partition]) if time * 1000 >= stamp]
            found[partition] = OffsetAndTimestamp(later[0], stamp, None) if later else None
        return found

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self.at[partition]

    def pause(self, partition: TopicPartition) -> None:
        self.held.add(partition)

    def resume(self, partition: TopicPartition) -> None:
        self.held.discard(partition)

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        if self.error is not None:
            raise self.error
        for partition, log in self.logs.items():
            if partition in self.held or self.at[partition] >= len(log):
                continue
            first = self.at[partition]
            self.at[partition] = min(first + max_records, len(log))
            rows = [(offset, *log[offset]) for offset in range(first, self.at[partition])]
            kept = [SimpleNamespace(offset=at, timestamp=int(t * 1000), value=v, partition=0) for at, t, v in rows if v is not None]
            return {partition: kept} if kept else {}
        return {}

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        self.closed.append(autocommit)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Consumer]:
    """Consumers that are handed out, one after the other."""
    waiting: list[Consumer] = []

    def open_consumer(settings: KafkaSource, fixed: dict[str, Any], environ: object) -> Consumer:
        if not waiting:
            raise KafkaConnectionError("nobody listens")
        waiting[0].options = fixed
        return waiting.pop(0)

    monkeypatch.setattr(kafka_history, "open_consumer", open_consumer)
    return waiting


def said(text: str, **more: object) -> bytes:
    return json.dumps({"text": text, **more}).encode()


def history(since: float | None = None) -> TopicHistory:
    decoder = Decoder(Fields(), {"bot": Model(bundle=Path("b"))}, 20.0)
    return TopicHistory(KafkaSource(topic="prompts"), decoder, since)


def drained(source: TopicHistory, limit: int = 3) -> tuple[list[Prompt], list[Batch]]:
    batches: list[Batch] = []
    while not batches or not all(progress.ended for progress in batches[-1].progress.values()):
        batches.append(source.poll(limit, 0.0))
        assert len(batches) < 100, "it does not end"
    return [prompt for batch in batches for prompt in batch.prompts], batches


def test_a_topic_is_read_once_from_a_time_to_its_end_as_nobodys_member(opened: list[Consumer]) -> None:
    consumer = Consumer([(MONDAY + i, said(f"a{i}")) for i in range(8)], [(MONDAY - 60, said("old")), (MONDAY + 9, said("b"))], [])
    opened.append(consumer)
    source = history(MONDAY + 2)
    for log in consumer.logs.values():
        log.append((MONDAY + 99, said("written while we read")))
    prompts, batches = drained(source)
    source.close()
    assert [prompt.text for prompt in prompts] == [*(f"a{i}" for i in range(2, 8)), "b"]
    assert source.total == 7 == sum(span.stop - span.start for batch in batches for span in batch.positions.values())
    assert (prompts[0].id, prompts[0].time) == ("prompts/0@2", MONDAY + 2)
    assert consumer.options["group_id"] is None
    assert consumer.options["isolation_level"] == "read_committed"
    assert not consumer.options["enable_auto_commit"]
    assert consumer.closed == [False]


def test_control_markers_at_the_end_do_not_keep_it_waiting(opened: list[Consumer]) -> None:
    opened.append(Consumer([(MONDAY, said("a")), (MONDAY + 1, None), (MONDAY + 2, None)], [(MONDAY, None)]))
    prompts, batches = drained(history())
    assert len(prompts) == 1
    assert {name for name in batches[-1].progress} == {"prompts/0", "prompts/1"}


def test_bad_records_are_counted_by_reason_and_cannot_move_time(opened: list[Consumer]) -> None:
    opened.append(Consumer([(MONDAY, b"{"), (4e9, said("of 2096")), (-1.0, said("no stamp")), (MONDAY + 1, said("good"))]))
    prompts, batches = drained(history(), limit=10)
    assert [prompt.text for prompt in prompts] == ["good"]
    assert batches[0].rejected == {"not_json": 1, "bad_time": 2}
    assert batches[0].progress["prompts/0"].time == MONDAY + 1


def test_partitions_that_are_ahead_are_held_back_and_those_at_their_end_stay_so(opened: list[Consumer]) -> None:
    consumer = Consumer([(MONDAY, said("a"))], [(MONDAY, said("b")), (MONDAY + 1, said("c"))])
    opened.append(consumer)
    source = history()
    source.pause({"prompts/1"})
    first = source.poll(1, 0.0)
    assert [prompt.text for prompt in first.prompts] == ["a"]
    assert consumer.held == set(consumer.logs)
    source.pause(set())
    assert consumer.held == {TopicPartition("prompts", 0)}
    assert [prompt.text for prompt in drained(source)[0]] == ["b", "c"]


@pytest.mark.parametrize(
    ("logs", "since", "message"),
    [
        (([], []), None, "topic 'prompts' holds no records"),
        (([(MONDAY, b"{}")],), MONDAY + 1, "topic 'prompts' holds no record since 2026-01-05 00:00 UTC"),
        (None, None, "cannot be read: KafkaConnectionError: nobody listens"),
    ],
)
def test_what_is_not_there_is_said(
    opened: list[Consumer], logs: tuple[list[tuple[float, bytes]], ...] | None, since: float | None, message: str
) -> None:
    consumer = None if logs is None else Consumer(*logs)
    opened += [] if consumer is None else [consumer]
    with pytest.raises(DataError, match=message):
        history(since)
    assert consumer is None or consumer.closed == [False]


def test_records_that_are_deleted_before_they_are_read_end_it(opened: list[Consumer]) -> None:
    consumer = Consumer([(MONDAY, said("a"))])
    opened.append(consumer)
    source = history()
    consumer.error = OffsetOutOfRangeError({TopicPartition("prompts", 0): 0})
    with pytest.raises(DataError, match="deleted before they were read; give a later --since"):
        source.poll(1, 0.0)


def test_a_broker_that_gives_nothing_more_ends_it(opened: list[Consumer], monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer([(MONDAY, said("a"))])
    opened.append(consumer)
    source = history()
    consumer.held = set(consumer.logs)
    assert not source.poll(1, 0.0).prompts
    monkeypatch.setattr(kafka_history, "PATIENCE", 0.0)
    with pytest.raises(DataError, match="has given no record of 'prompts' for 0 s"):
        source.poll(1, 0.0)


@pytest.fixture
def configured(bundle: Path, tmp_path: Path) -> Path:
    file = tmp_path / "tiltmeter.yaml"
    models = {name: {"bundle": str(bundle), "owner": "me"} for name in ("bot", "shop")}
    source = {"kind": "kafka", "topic": "prompts", "bootstrap_servers": "127.0.0.1:1"}
    file.write_text(json.dumps({"source": source, "models": models, "ledger": {"kind": "sql", "url": f"sqlite:///{tmp_path}/l.db"}}))
    return file


def test_a_topic_teaches_one_model_of_the_configuration(opened: list[Consumer], configured: Path) -> None:
    log = [(MONDAY + 60 * i, said("help my card", model="shop" if i % 4 == 0 else "bot")) for i in range(3 * 1440)]
    opened.append(Consumer([*log[:2000], (MONDAY + 60 * 2000, said("whose")), *log[2000:]]))
    learned = learn_history(["prompts"], None, configured, "bot", None, None, "2026-01-06")
    assert (learned.prompts, learned.days) == (1440 // 4 * 3 * 2, 2)
    assert learned.source == "topic prompts since 2026-01-06 00:00 UTC"
    assert list(learned.remarks()) == [
        "1 records were no prompts: unknown_model 1",
        "a baseline of fewer than 14 days opens tickets at most; 28 days give the full promise",
    ]


def test_nothing_of_the_model_in_a_topic_says_what_was_there(opened: list[Consumer], configured: Path) -> None:
    opened.append(Consumer([(MONDAY, said("help", model="shop")), (MONDAY, b"[]")]))
    with pytest.raises(DataError, match=r"topic prompts: no prompt of 'bot' could be read from the history: not_an_object 1$"):
        learn_history(["prompts"], None, configured, "bot", None, None)


def test_since_leaves_out_older_rows_of_files(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text("".join(said("help my card", time=MONDAY + 3600 * hour).decode() + "\n" for hour in range(72)))
    learned = learn_history([str(file)], bundle, None, "bot", None, None, "2026-01-06T12:00+00:00")
    assert (learned.prompts, learned.days) == (36, 2)
    assert learned.source == "history.jsonl since 2026-01-06 12:00 UTC"


@pytest.mark.parametrize(
    ("names", "with_config", "since", "message"),
    [
        (["prompts"], False, None, "--from prompts: no such file; to learn from a topic give --config"),
        (["prompts", "b.jsonl"], True, None, "--from prompts: no such file; a topic is learned from alone"),
        (["prompts"], True, "last week", "--since: expected a time such as 2026-08-01"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    configured: Path, bundle: Path, names: list[str], with_config: bool, since: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        learn_history(names, None if with_config else bundle, configured if with_config else None, "bot", None, None, since)
