"""The real parts, as session fixtures. What a machine lacks is skipped by name, or fails where TILTMETER_REQUIRE says so."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parts import browser, monitoring, require
from parts import kafka as kafka_part
from parts import postgres as postgres_part


@pytest.fixture(scope="session")
def kafka_libs(root: Path) -> Path:
    """Kafka's jars, for tests that start brokers of their own."""
    if reason := kafka_part.why_missing(root):
        require.lacking("kafka", reason)
    return kafka_part.jars(root)


@pytest.fixture(scope="session")
def kafka(kafka_libs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_part.Broker]:
    """A broker shared by the session: use topics and groups of your own, and leave it running and thawed."""
    broker = kafka_part.Broker(kafka_libs, tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def kafka_acl(kafka_libs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_part.Broker]:
    """A broker with SASL/PLAIN and ACLs: users reader, worker and nobody start without any right."""
    broker = kafka_part.Broker(kafka_libs, tmp_path_factory.mktemp("kafka-acl"), users=("reader", "worker", "nobody"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_part.Postgres]:
    """A PostgreSQL server shared by the session: take a database of your own with ``new_database()``, leave it running."""
    if reason := postgres_part.why_missing():
        require.lacking("postgres", reason)
    # Not under tmp_path: root's test folders are closed to the user postgres.
    folder = Path(tempfile.mkdtemp(prefix="tiltmeter-postgres-"))
    try:
        server = postgres_part.Postgres(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def prometheus() -> type[monitoring.Prometheus]:
    """The class that starts a Prometheus with a configuration; promtool is there too."""
    if reason := monitoring.why_missing("prometheus", "promtool", package="prometheus"):
        require.lacking("prometheus", reason)
    return monitoring.Prometheus


@pytest.fixture(scope="session")
def alertmanager() -> type[monitoring.Alertmanager]:
    """The class that starts an Alertmanager with a configuration."""
    if reason := monitoring.why_missing("amtool", package="prometheus-alertmanager"):
        require.lacking("alertmanager", reason)
    return monitoring.Alertmanager


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """A headless Chromium shared by the session."""
    if reason := browser.why_missing():
        require.lacking("chromium", reason)
    opened = browser.Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
