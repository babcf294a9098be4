"""Our own cost a prompt, memory over a million records, bytes on the sketch topic, and what the Kafka client costs beside them.

    python -m benchmarks.pipeline [--records N]

The tokenizer, the ONNX sessions and the Kafka client are replaced by stand-ins that cost next to nothing, so that what is left is ours:
the real Kafka source (decode, positions, progress), the real pipeline, bundle scoring and memo, sketches, and a SQLite ledger.
Bars: under 8 us from decode to sketch, under 20 us for everything; memory flat; sketch bytes under 10% of the prompts'. The client is
measured apart, against a real broker (``make parts``): its polls alone, with the settings and batches of the service, and no bar.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from kafka import KafkaProducer  # noqa: E402
from kafka.consumer.fetcher import ConsumerRecord  # noqa: E402
from kafka.structs import ConsumerGroupMetadata, MemberState, TopicPartition  # noqa: E402

from detectors.features import FEATURES  # noqa: E402
from detectors.sketch import FIXED_POINT  # noqa: E402
from parts.kafka import Broker, jars, why_missing  # noqa: E402
from service.config import Fields, Model, Slices, Windows  # noqa: E402
from service.config import KafkaSource as KafkaSettings  # noqa: E402
from service.encoder import Encoded  # noqa: E402
from service.encoder.encoder import VectorPart  # noqa: E402
from service.ledger import wire  # noqa: E402
from service.ledger.sql import SqlLedger  # noqa: E402
from service.pipeline.bundle_scoring import BundleScoring, LoadedModel  # noqa: E402
from service.pipeline.pending import Pending  # noqa: E402
from service.pipeline.pipeline import POLL_LIMIT, Pipeline  # noqa: E402
from service.pipeline.snapshot import PipelineSnapshot  # noqa: E402
from service.records import Batch, Progress, Prompt, Scores, Span  # noqa: E402
from service.source import kafka as source_kafka  # noqa: E402
from service.source.decode import Decoder  # noqa: E402
from service.source.kafka_client import open_consumer  # noqa: E402
from service.vocabulary import Vocabulary  # noqa: E402

TOPICS = 40
SLICES = [f"tenant-{i:02d}" for i in range(50)]
BASE = 1_700_000_040.0
VOCABULARY = Vocabulary.fit(
    {word: 100 for word in ("change", "address", "account", "please", *(f"word{chr(97 + i % 26)}{i}" for i in range(1996)))}, 10_000
)
MODELS = {"support-bot": Model(bundle=Path("none"), slices=Slices(values=SLICES))}
FIELDS = Fields(slice="tenant")
WINDOWS = Windows(clock="event", idle_after=3600)


def value(number: int, distinct: int) -> bytes:
    """A record of about 340 bytes; ``distinct`` texts in all."""
    text = f"prompt {number % distinct} " + "how do I change the address on my account please " * 4
    record = {"id": f"req-{number:010d}", "model": "support-bot", "tenant": SLICES[number * 7919 % 50], "text": text, "user": "u-123"}
    return json.dumps(record).encode()


def some_scores(count: int, seed: int = 0) -> Scores:
    """Uniform p-values."""
    chance = np.random.default_rng(seed)
    p = chance.random(count, np.float32)
    return Scores(
        1 - p,
        p,
        p <= 0.05,
        p <= 0.01,
        chance.integers(-1, TOPICS, count, np.int32),
        np.full(count, 40, np.int32),
        np.zeros(count, bool),
        chance.integers(-FIXED_POINT, FIXED_POINT, (count, FEATURES), np.int16),
    )


class Free:
    """Encoder, scorer and scoring that cost nothing: everything is prepared."""

    digest = "free"
    _scores = some_scores(200_000)
    _vectors = np.zeros((200_000, 4), np.float32)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Zero vectors."""
        n = len(texts)
        return Encoded([VectorPart(np.arange(n), self._vectors[:n])], self._scores.tokens[:n], self._scores.truncated[:n], 4)

    def score(self, rows: Encoded | Sequence[Prompt]) -> Scores:
        """Prepared scores."""
        n = rows.tokens.size if isinstance(rows, Encoded) else len(rows)
        return Scores(*(getattr(self._scores, name)[:n] for name in self._scores.__slots__))

    def bundle(self, model_name: str) -> str:
        """One digest for all."""
        return "f" * 64

    def topics(self, model_name: str) -> int:
        """As many as the prepared scores have."""
        return TOPICS

    def vocabulary(self, model_name: str) -> Vocabulary:
        """Words of which the texts hold eight."""
        return VOCABULARY


class Records:
    """Stands in for the Kafka client: hands out prepared records of one partition."""

    def __init__(self, total: int, distinct: int, per_second: float) -> None:
        self.total, self.at = total, 0
        self._distinct = distinct
        self._place = TopicPartition("prompts", 0)
        self._step = 1000 / per_second
        self.client_seconds = 0.0

    def poll(self, timeout_ms: int = 0, max_records: int = 500) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The next records; making them is not our cost."""
        if self.at == self.total:
            time.sleep(timeout_ms / 1000)
        started = time.process_time()
        stop = min(self.total, self.at + max_records)
        made = [
            ConsumerRecord("prompts", 0, 0, i, int(BASE * 1000 + i * self._step), 0, None, value(i, self._distinct), (), None, 0, 340, 0)
            for i in range(self.at, stop)
        ]
        self.at = stop
        self.client_seconds += time.process_time() - started
        return {self._place: made} if made else {}

    def __getattr__(self, name: str) -> Any:
        answers = {
            "assignment": {self._place},
            "group_metadata": ConsumerGroupMetadata("g", 1, "m", None, MemberState.STABLE),
            "partitions_for_topic": {0},
            "beginning_offsets": {self._place: 0},
            "end_offsets": {self._place: self.total},
            "position": self.at,
        }
        return lambda *args, **options: answers.get(name)


def decode_to_sketch(count: int = 80_000, batch: int = 8_000) -> float:
    """Microseconds of CPU a prompt from bytes to sketch, scores given."""
    values = [value(i, count) for i in range(count)]
    decoder, free = Decoder(FIELDS, MODELS, 20.0), Free()
    best = float("inf")
    for _ in range(3):
        pending = Pending(60)
        started = time.process_time()
        for start in range(0, count, batch):
            prompts = [decoder.decode(values[i], BASE + i / 1000, "x") for i in range(start, start + batch)]
            scores = free.score(prompts)
            pending.add(Batch(prompts, {"in/0": Span(start, start + batch)}, {"in/0": Progress(BASE)}), scores, free)
        best = min(best, (time.process_time() - started) / count * 1e6)
    return best


def whole_path(records: int, distinct: int) -> tuple[float, list[tuple[int, float]]]:
    """Microseconds of CPU a prompt for everything that is ours, and resident megabytes as it went on."""
    client = Records(records, distinct, per_second=5_000)
    source_kafka.open_consumer = lambda *args, **options: client
    free, stop = Free(), threading.Event()
    memory: list[tuple[int, float]] = []

    def observe(snapshot: PipelineSnapshot) -> None:
        done = sum(snapshot.prompts.values())
        if not memory or done - memory[-1][0] >= 100_000:
            memory.append((done, resident()))
        if done >= records:
            stop.set()

    with tempfile.TemporaryDirectory() as folder:
        ledger = SqlLedger.open(f"sqlite:///{folder}/ledger.db")
        settings = KafkaSettings(topic="prompts", start="earliest")
        source = source_kafka.KafkaSource(settings, Decoder(FIELDS, MODELS, 20.0), WINDOWS, positions=ledger.positions, environ={})
        source.pause = lambda partitions: None
        scoring = BundleScoring({"support-bot": LoadedModel("f" * 64, TOPICS, free, free, VOCABULARY)})
        pipeline = Pipeline(source, ledger, scoring, windows=WINDOWS, worker="bench", observe=observe)
        started = time.process_time()
        pipeline.run(stop)
        spent = time.process_time() - started - client.client_seconds
        ledger.close()
    return spent / records * 1e6, memory


def client_cost(records: int, compression: str | None, folder: Path) -> float:
    """Microseconds of CPU of this process a record for KafkaConsumer.poll, its threads included; making records is done before."""
    broker = Broker(jars(ROOT), folder)
    broker.start()
    try:
        broker.create_topic("prompts", 4)
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=50, batch_size=64_000, compression_type=compression)
        for i in range(records):
            producer.send("prompts", value(i, records), partition=i % 4)
        producer.close()
        settings = KafkaSettings(topic="prompts", start="earliest", bootstrap_servers=broker.bootstrap)
        consumer = open_consumer(settings, {**source_kafka.CONSUMER, "group_id": "bench", "auto_offset_reset": "earliest"}, {})
        consumer.subscribe(["prompts"])
        found = sum(map(len, consumer.poll(timeout_ms=30_000, max_records=POLL_LIMIT).values()))  # joins the group
        first, started = found, time.process_time()
        while found < records:
            found += sum(map(len, consumer.poll(timeout_ms=1_000, max_records=POLL_LIMIT).values()))
        spent = time.process_time() - started
        consumer.close()
    finally:
        broker.stop()
    return spent / (records - first) * 1e6


def resident() -> float:
    """Resident megabytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def topic_share(seconds: int = 600, per_second: int = 50, flush: int = 5) -> float:
    """Bytes on the sketch topic over bytes of the prompts, at 50 prompts/s with 50 slices, one flush every 5 s."""
    overhead = 61 + 12 + 78  # a record batch, its one record, and the transaction's control batch
    written = 0
    chance = np.random.default_rng(1)
    for start in range(0, seconds, flush):
        count = per_second * flush
        times = BASE + start + np.arange(count) / per_second
        prompts = [Prompt("", "x" * 240, t, "support-bot", SLICES[s]) for t, s in zip(times, chance.integers(0, 50, count), strict=True)]
        pending = Pending(60)
        partitions = {f"prompts/{i}": Progress(float(times[-1])) for i in range(4)}
        spans = {name: Span(start * 13, (start + flush) * 13) for name in partitions}
        pending.add(Batch(prompts, spans, partitions, frozenset(partitions)), some_scores(count, start), Free())
        blocks = wire.blocks(wire.append(pending.deltas(), pending.report("worker-0", float(times[-1]), {})))
        written += sum(len(block) + overhead for block in blocks)
    return written / (340 * per_second * seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    sketch = decode_to_sketch()
    print(f"decode to sketch: {sketch:.1f} us a prompt (bar 8)")
    share = topic_share()
    print(f"sketch topic: {share:.1%} of the prompt bytes at 50 prompts/s with 50 slices (bar 10%)")
    fresh, memory = whole_path(options.records, distinct=options.records)
    print(f"everything but tokenizer, ONNX and Kafka client: {fresh:.1f} us a prompt, every text new to the memo (bar 20)")
    settled = [megabytes for done, megabytes in memory if done >= options.records * 0.3]
    print("resident MB by prompts:", ", ".join(f"{done // 1000}k: {megabytes:.0f}" for done, megabytes in memory))
    known, _ = whole_path(200_000, distinct=500)
    print(f"the same with 500 different texts: {known:.1f} us a prompt")
    if reason := why_missing(ROOT):
        print(f"the Kafka client's own cost was left out: {reason}")
    for compression in () if reason else (None, "lz4"):
        with tempfile.TemporaryDirectory() as folder:
            client = client_cost(min(options.records, 200_000), compression, Path(folder))
        print(f"Kafka client, not ours: {client:.1f} us a prompt, {compression or 'no'} compression")
    flat = max(settled) - settled[0] < 20
    print(f"memory grows by {max(settled) - settled[0]:.1f} MB from 30% on (bar 20)")
    return 0 if sketch < 8 and fresh < 20 and share < 0.10 and flat else 1


if __name__ == "__main__":
    sys.exit(main())
