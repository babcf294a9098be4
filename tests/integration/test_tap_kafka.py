"""Taps that write to Kafka, with a real broker: KafkaSender, and what the Collector's configuration writes where a Collector is at hand."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka_producer import KafkaSender
from tap_servers import KEY, until

from parts.kafka import Broker
from parts.process import free_port
from service.config import Fields, Model
from service.probes.tags import HEADER, Returns, sign
from service.records import Prompt
from service.source.decode import Decoder, Reason, Rejection

ROOT = Path(__file__).resolve().parents[2]


def read(broker: Broker, topic: str, number: int, within: float = 30.0) -> list[Any]:
    consumer = KafkaConsumer(topic, auto_offset_reset="earliest", group_id=None, **broker.client())
    found: list[Any] = []
    deadline = time.monotonic() + within
    while len(found) < number and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            found += records
    consumer.close()
    return found


def decoded(records: list[Any]) -> list[Prompt | Rejection]:
    decoder = Decoder(Fields(), {"support-bot": Model(bundle="bundle")}, 20.0, Returns(KEY))
    return [decoder.decode(record.value, record.timestamp / 1000, "x") for record in records]


def test_records_arrive_once_in_order_with_the_time_they_were_asked(kafka: Broker) -> None:
    kafka.create_topic("taps")
    sender = KafkaSender(kafka.bootstrap, "taps", {"max_request_size": 100_000}, linger=0.01)
    asked = time.time() - 5
    for strange in ("a string", {"text": "x" * 200_000}):
        sender.put(strange)  # type: ignore[arg-type]
    for i in range(1000):
        assert sender.put({"text": f"text {i}", "model": "support-bot", "time": asked + i / 1000})
    until(lambda: sender.stats().accepted == 1001, 20)
    records = read(kafka, "taps", 1001)[1:]
    prompts = decoded(records)
    assert [prompt.text for prompt in prompts if isinstance(prompt, Prompt)] == [f"text {i}" for i in range(1000)]
    assert abs(records[0].timestamp / 1000 - asked) < 0.01
    assert sender.close().dropped == {"refused": 1}


def test_a_broker_that_is_away_or_frozen_costs_no_request_anything(kafka_libs: Path, tmp_path: Path) -> None:
    broker = Broker(kafka_libs, tmp_path)
    broker.start()
    broker.create_topic("taps")
    sender = KafkaSender(broker.bootstrap, "taps", linger=0.01, max_records=100, timeout=2.0, keep=60.0)
    sender.put({"text": "before", "model": "support-bot"})
    until(lambda: sender.stats().accepted == 1, 20)
    broker.freeze()
    slowest = 0.0
    for i in range(2000):
        start = time.perf_counter()
        sender.put({"text": f"text {i}", "model": "support-bot"})
        slowest = max(slowest, time.perf_counter() - start)
    stats = sender.stats()
    assert slowest < 0.25  # a bound on waiting, not a measurement: `python -m benchmarks.taps` measures
    assert stats.queued <= 100
    assert stats.put == stats.accepted + sum(stats.dropped.values()) + stats.queued + stats.sending
    broker.thaw()
    until(lambda: sender.stats().queued == sender.stats().sending == 0, 40)
    stats = sender.close()
    texts = [prompt.text for prompt in decoded(read(broker, "taps", stats.accepted)) if isinstance(prompt, Prompt)]
    broker.stop()
    assert len(texts) == len(set(texts)) == stats.accepted
    assert texts[-1] == "text 1999"


def _span_of(text: str, **attributes: str) -> dict[str, Any]:
    messages = [
        {"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
        {"role": "user", "parts": [{"type": "text", "content": text}]},
    ]
    found = {
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.request.model": "support-bot",
        "server.address": "10.1.2.3",
    } | attributes
    return {
        "timeUnixNano": str(time.time_ns()),
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in found.items()],
    }


def test_the_collector_writes_what_the_service_reads(kafka: Broker, tmp_path: Path) -> None:
    """With a Collector that has the otlp receiver, the filter and transform processors and the kafka exporter."""
    collector = os.environ.get("TILTMETER_OTELCOL") or shutil.which("otelcol-contrib")
    if collector is None:
        pytest.skip("no OpenTelemetry Collector: otelcol-contrib on the path, or TILTMETER_OTELCOL")
    kafka.create_topic("prompts")
    port = free_port()
    text = (ROOT / "examples" / "taps" / "otel-collector.yaml").read_text()
    config = tmp_path / "config.yaml"
    config.write_text(
        text.replace("127.0.0.1:4317", f"127.0.0.1:{free_port()}")
        .replace("127.0.0.1:4318", f"127.0.0.1:{port}")
        .replace("level: normal", "level: none")
    )
    environment = os.environ | {"KAFKA_BROKERS": kafka.bootstrap}
    checked = subprocess.run([collector, "validate", f"--config={config}"], env=environment, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    tag = sign("live", "round-1", time.time(), KEY)
    events = [_span_of("how do I reset it?", **{"gen_ai.conversation.id": "c1"}), _span_of("a probe", **{HEADER.lower(): tag})]
    other = {"body": {"stringValue": "started"}, "attributes": []}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [*events, other]}]}]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/logs", body, {"Content-Type": "application/json"})
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([collector, f"--config={config}"], env=environment, stdout=log, stderr=log)
    try:

        def posted() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                return bool(urllib.request.urlopen(request, timeout=5).status == 200)
            except OSError:
                return False

        until(posted, 20)
        records = read(kafka, "prompts", 2)
    finally:
        process.terminate()
        process.wait(20)
    prompt, probe = decoded(records)
    assert isinstance(prompt, Prompt)
    assert (prompt.text, prompt.model_name, prompt.session) == ("how do I reset it?", "support-bot", "c1")
    assert isinstance(probe, Rejection)
    assert probe.reason is Reason.CANARY
    assert b"10.1.2.3" not in records[0].value
