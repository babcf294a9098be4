"""The launchers themselves: a part that a test kills, freezes or restarts must come back with what it held."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
import yaml
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACLOperation, ResourceType
from kafka.errors import KafkaError

from parts.browser import Browser
from parts.kafka import Broker
from parts.monitoring import Prometheus
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
    with pytest.raises(KafkaError, match=r"[Aa]uthoriz"):
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


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            b"<title>part</title><link rel=icon href='data:,'><script>console.error('said')</script><p style='width:900px'>wide"
        )

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_browser_tells_console_requests_and_overflow(chromium: Browser, page: str, tmp_path: Path) -> None:
    visit = chromium.visit(page, width=390, height=800, dark=True)
    assert visit.title == "part"
    assert len(visit.console) == 1
    assert "said" in visit.console[0]
    assert set(visit.requests) <= {page, "data:,"}
    assert page in visit.requests
    assert visit.scroll_width > visit.width == 390
    assert chromium.screenshot(tmp_path / "page.png").stat().st_size > 1000


def test_prometheus_scrapes_itself(prometheus: type[Prometheus], tmp_path: Path) -> None:
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "self", "static_configs": [{"targets": []}]}]}
    server = prometheus(tmp_path, config)
    config["scrape_configs"][0]["static_configs"][0]["targets"].append(f"127.0.0.1:{server.port}")
    server.config.write_text(yaml.safe_dump(config))
    server.start()
    try:
        assert server.wait_for('up{job="self"} == 1')
    finally:
        server.stop()
