"""A real Kafka broker: one KRaft node from the jars that `make parts` fetches; optionally with SASL and ACLs."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from parts.process import Server, as_child, free_port

ADMIN = "admin"
PASSWORD = "only-for-tests"
_CLUSTER = "4L6g3nShT-eMCtK--X86sw"


def jars(root: Path) -> Path:
    return Path(os.environ.get("TILTMETER_KAFKA_LIBS", root / ".parts" / "kafka" / "libs"))


def why_missing(root: Path) -> str | None:
    if shutil.which("java") is None:
        return "no java on the path (Debian: default-jre-headless)"
    if not any(jars(root).glob("kafka_2.13-*.jar")):
        return f"no Kafka jars in {jars(root)}: run `make parts` (needs Maven; Debian: maven)"
    return None


class Broker(Server):
    """One broker and controller on free ports.

    Give ``users`` (names) for SASL/PLAIN with ACLs: each may do nothing until ``allow`` is called; all have PASSWORD.
    ``settings`` are further lines of server.properties.
    """

    name = "kafka"

    def __init__(self, libs: Path, folder: Path, *, users: tuple[str, ...] = (), settings: dict[str, str] | None = None) -> None:
        super().__init__(folder)
        self.libs = libs
        self.port = free_port()
        self.users = users
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.properties = folder / "server.properties"
        self._write(settings or {})
        self._format()

    def command(self) -> list[str]:
        # One small heap, and a compiler that starts fast: tests restart brokers often.
        options = ["-Xmx512m", "-Xms256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return as_child(["java", *options, "-cp", f"{self.libs}/*", "kafka.Kafka", str(self.properties)])

    def is_ready(self) -> bool:
        return "Kafka Server started" in self.log_text()

    def client(self, user: str = ADMIN) -> dict[str, Any]:
        """Settings of a kafka-python client that may talk to this broker."""
        settings: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self.users:
            settings |= {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": user,
                "sasl_plain_password": PASSWORD,
            }
        return settings

    def admin(self) -> KafkaAdminClient:
        """An admin client; the caller closes it."""
        return KafkaAdminClient(**self.client())

    def create_topic(self, name: str, partitions: int = 1, **configs: str) -> None:
        """Create a topic and wait until it has leaders. Config keys take underscores: ``retention_ms='-1'``."""
        admin = self.admin()
        try:
            options = {key.replace("_", "."): value for key, value in configs.items()}
            topic = {"num_partitions": partitions, "replication_factor": 1, "configs": options}
            admin.create_topics({name: topic}, wait_for_metadata=True)
        finally:
            admin.close()

    def allow(self, user: str, operation: ACLOperation, kind: ResourceType, name: str) -> None:
        """Grant one right, as kafka-acls.sh would."""
        admin = self.admin()
        try:
            admin.create_acls([ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))])
        finally:
            admin.close()

    def _write(self, settings: dict[str, str]) -> None:
        controller = free_port()
        listener = "SASL_PLAINTEXT" if self.users else "PLAINTEXT"
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{listener}://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"{listener}://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": listener,
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{listener}:{listener}",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        }
        if self.users:
            known = " ".join(f'user_{name}="{PASSWORD}"' for name in (ADMIN, *self.users))
            login = f'username="{ADMIN}" password="{PASSWORD}"'
            lines |= {
                "sasl.enabled.mechanisms": "PLAIN",
                "sasl.mechanism.inter.broker.protocol": "PLAIN",
                "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
                    f"org.apache.kafka.common.security.plain.PlainLoginModule required {login} {known};"
                ),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                # The controller's own listener has no login here: it is one process on loopback.
                "super.users": f"User:{ADMIN};User:ANONYMOUS",
            }
        lines |= settings
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    def _format(self) -> None:
        storage = ["java", "-cp", f"{self.libs}/*", "kafka.tools.StorageTool"]
        done = subprocess.run([*storage, "format", "-t", _CLUSTER, "-c", str(self.properties)], capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"kafka storage format failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
