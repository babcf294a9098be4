"""A throw-away Kafka broker for ``tiltmeter demo --kafka``, and the producer that plays the week into it."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from service.errors import ConfigError
from service.main.demo.grammar import Grammar
from service.main.demo.pool import Pool
from service.main.demo.script import EVENTS, MODEL, MONDAY, WEEK
from service.main.demo.traffic import play_day

TOPIC = "prompts"
PARTITIONS = 2

_CLUSTER = "4L6g3nShT-eMCtK--X86sw"
_STARTS_WITHIN = 60.0
_CLOSING = 120.0
"""Seconds after the week at which the last record of each partition lies: it closes the windows before it."""


def find_jars() -> Path:
    """Where ``make parts`` put Kafka's jars. Raises ConfigError saying what is missing."""
    if shutil.which("java") is None:
        raise ConfigError("--kafka: no java on the path (Debian: apt install default-jre-headless maven)")
    jars = Path(os.environ.get("TILTMETER_KAFKA_LIBS", ".parts/kafka/libs"))
    if not any(jars.glob("kafka_2.13-*.jar")):
        raise ConfigError(f"--kafka: no Kafka jars in {jars}; `make demo KAFKA=1` fetches them (needs Maven), or set TILTMETER_KAFKA_LIBS")
    return jars


class Broker:
    """One KRaft node on free ports, for as long as the ``with`` lasts. Its log and data lie in ``folder``."""

    def __init__(self, jars: Path, folder: Path) -> None:
        """Nothing is started yet."""
        self._jars, self._folder = jars, folder
        self.bootstrap = f"127.0.0.1:{_free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Format, start, and make the topic: about eight seconds. Raises ConfigError when it does not start."""
        self._folder.mkdir()
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))
        java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{self._jars}/*"]
        log = self._folder / "kafka.log"
        with log.open("wb") as out:
            format_it = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties)]
            subprocess.run(format_it, stdout=out, stderr=out, check=False, timeout=_STARTS_WITHIN)
            self._process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=out, stderr=out)
        deadline = time.monotonic() + _STARTS_WITHIN
        while b"Kafka Server started" not in log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = log.read_text(errors="replace").splitlines()[-3:]
                self.stop()
                raise ConfigError(f"--kafka: the broker does not start: {' | '.join(last)}")
            time.sleep(0.2)
        self._make_topic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """End the process; it does not matter what it would still have written."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _make_topic(self) -> None:
        from kafka.admin import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            # Event time lies in the past: nothing may be deleted for its age.
            configs = {"retention.ms": "-1"}
            topic = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": configs}
            admin.create_topics({TOPIC: topic}, wait_for_metadata=True)
        finally:
            admin.close()

    def _settings(self) -> dict[str, str]:
        controller = _free_port()
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "2",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        }


def produce_week(bootstrap: str, pool_seed: int, seed: int) -> None:
    """Send the whole week, each record stamped with its event time; runs in a process of its own. Some minutes."""
    from kafka import KafkaProducer

    pool = Pool.write(Grammar.load(), pool_seed)
    values = [json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}]}).encode() for text in pool.texts]
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=50, batch_size=262_144)
    for day in range(7):
        traffic = play_day(pool, seed, day, EVENTS)
        stamps = ((MONDAY + traffic.time) * 1000).astype("int64").tolist()
        for number, (text, stamp, session) in enumerate(zip(traffic.text.tolist(), stamps, traffic.session.tolist(), strict=True)):
            value = values[text][:-1] + b', "session_id": "%d"}' % session
            producer.send(TOPIC, value, partition=number % PARTITIONS, timestamp_ms=stamp)
    for partition in range(PARTITIONS):
        producer.send(TOPIC, values[0], partition=partition, timestamp_ms=int((MONDAY + WEEK + _CLOSING) * 1000))
    producer.flush()
    producer.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
