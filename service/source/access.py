"""Does this configuration reach what it needs, and may it use it? Nothing is changed, nobody running is disturbed."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    GroupIdNotFoundError,
    KafkaError,
    RetriableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import MemberState

from service.config import Config, FileSource, Kafka, KafkaLedger, KafkaSource
from service.errors import ConfigError
from service.source.kafka_client import acl_command, check_client_libraries, open_admin, open_consumer, open_producer

_JOIN_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``how_to_fix`` is a command or a sentence, None when all is well."""

    ok: bool
    what: str
    how_to_fix: str | None = None

    @property
    def text(self) -> str:
        """Both in one line."""
        return self.what if self.how_to_fix is None else f"{self.what}: {self.how_to_fix}"


def connect(config: Config, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Try the source, and the rights that a Kafka ledger needs. Takes seconds; raises nothing that a person could mend."""
    findings: list[Finding] = []
    if isinstance(config.source, FileSource):
        findings += [_file(str(path)) for path in config.source.paths]
    if isinstance(config.source, KafkaSource):
        findings += _guarded(config.source, lambda kafka: _source(kafka, config, environ), environ)
    if isinstance(config.ledger, KafkaLedger):
        findings += _guarded(config.ledger, lambda kafka: _ledger(kafka, config, environ), environ)
    return findings


def _file(path: str) -> Finding:
    if path == "-":
        return Finding(True, "prompts come from standard input")
    try:
        with open(path, "rb"):
            return Finding(True, f"{path} can be read")
    except OSError as error:
        return Finding(False, f"{path} cannot be read", error.strerror)


def _guarded(
    settings: Kafka, examine: Callable[[KafkaAdminClient], Iterator[Finding]], environ: Mapping[str, str] | None
) -> Iterator[Finding]:
    """Findings on one cluster; a cluster that cannot be reached is a finding too."""
    try:
        check_client_libraries()
        admin = open_admin(settings, environ)
    except ConfigError as error:
        yield Finding(False, str(error))
        return
    except KafkaError as error:
        yield Finding(False, f"Kafka at {settings.bootstrap_servers} does not answer ({error})", "check bootstrap_servers")
        return
    try:
        yield Finding(True, f"Kafka at {settings.bootstrap_servers} answers")
        yield from examine(admin)
    except KafkaError as error:
        yield Finding(False, f"Kafka at {settings.bootstrap_servers} stopped answering ({type(error).__name__})")
    finally:
        admin.close()


def _source(admin: KafkaAdminClient, config: Config, environ: Mapping[str, str] | None) -> Iterator[Finding]:
    source = config.source
    assert isinstance(source, KafkaSource)
    yield _topic(admin, source, source.topic, ("Read",), "--partitions 4")
    yield _group(admin, source, source.group, environ)
    if source.dead_letter_topic is not None:
        yield _topic(admin, source, source.dead_letter_topic, ("Write",), "--partitions 1")


def _ledger(admin: KafkaAdminClient, config: Config, environ: Mapping[str, str] | None) -> Iterator[Finding]:
    ledger = config.ledger
    assert isinstance(ledger, KafkaLedger)
    if isinstance(config.source, KafkaSource):
        yield _same_cluster(admin, config.source, environ)
    for name, options in ((f"{ledger.prefix}.sketches", ""), (f"{ledger.prefix}.state", " --config cleanup.policy=compact")):
        finding = _topic(admin, ledger, name, ("Read", "Write"), f"--partitions 1{options}")
        if not finding.ok and ledger.create_topics and "does not exist" in finding.what:
            finding = Finding(True, f"topic '{name}' will be created at start (create_topics)")
        yield finding
    yield _group(admin, ledger, f"{ledger.prefix}-decider", environ)
    yield _transactions(ledger, environ)


def _same_cluster(admin: KafkaAdminClient, source: KafkaSource, environ: Mapping[str, str] | None) -> Finding:
    """A transaction covers offsets and deltas only where both are in one cluster."""
    try:
        other = open_admin(source, environ)
    except (KafkaError, ConfigError):
        return Finding(False, "whether source and ledger are one cluster is unknown", "the source's cluster does not answer")
    try:
        same = admin.describe_cluster()["cluster_id"] == other.describe_cluster()["cluster_id"]
    finally:
        other.close()
    if same:
        return Finding(True, "source and ledger are one cluster")
    return Finding(False, "source and ledger are two clusters, and a transaction cannot span them", "use a SQL ledger (ledger.kind: sql)")


def _topic(admin: KafkaAdminClient, settings: Kafka, name: str, rights: tuple[str, ...], options: str) -> Finding:
    """Whether the topic is there and we hold these rights, as the broker itself lists them."""
    describe = acl_command(settings, rights[0], f"--topic {name}")
    try:
        found = [topic for topic in admin.describe_topics([name]) if topic["name"] == name]
    except UnknownTopicOrPartitionError:
        found = []
    except AuthorizationError:
        return Finding(False, f"no right to {' or '.join(rights)} topic '{name}'", describe)
    if found and found[0].get("error_code") == TopicAuthorizationFailedError.errno:
        return Finding(False, f"no right to {' or '.join(rights)} topic '{name}'", describe)
    if not found or not found[0]["partitions"]:
        create = f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --create --topic {name} {options}"
        return Finding(False, f"topic '{name}' does not exist", create)
    granted = {str(operation).upper() for operation in found[0].get("authorized_operations") or ()}
    lacking = [right for right in rights if right.upper() not in granted and "ALL" not in granted]
    if lacking:
        fix = " && ".join(acl_command(settings, right, f"--topic {name}") for right in lacking)
        return Finding(False, f"no right to {' and '.join(lacking)} topic '{name}'", fix)
    return Finding(True, f"topic '{name}': {len(found[0]['partitions'])} partitions, right to {' and '.join(rights)}")


def _group(admin: KafkaAdminClient, settings: Kafka, name: str, environ: Mapping[str, str] | None) -> Finding:
    """A group that exists is asked about; one that does not is joined for a moment, which disturbs nobody."""
    missing = Finding(False, f"no right to Read consumer group '{name}'", acl_command(settings, "Read", f"--group {name}"))
    try:
        described = _patiently(lambda: admin.describe_groups([name], include_authorized_operations=True)).get(name, {})
    except AuthorizationError:
        return missing
    except GroupIdNotFoundError:
        described = {}
    members = described.get("members") or ()
    if members:
        granted = {str(operation).upper() for operation in described.get("authorized_operations") or ()}
        allowed = "READ" in granted or "ALL" in granted
    else:
        allowed = _can_join(settings, name, environ)
    return Finding(True, f"consumer group '{name}': right to Read") if allowed else missing


def _patiently(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Ask again while the broker is still finding the group's coordinator."""
    end = time.monotonic() + _JOIN_SECONDS
    while True:
        try:
            return ask()
        except RetriableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _can_join(settings: Kafka, name: str, environ: Mapping[str, str] | None) -> bool:
    """Join the empty group under a topic name that holds nothing for us, and leave it."""
    fixed = {"group_id": name, "enable_auto_commit": False, "allow_auto_create_topics": False}
    consumer: KafkaConsumer = open_consumer(settings, fixed, environ)
    try:
        consumer.subscribe(["__tiltmeter_check"])
        consumer.poll(timeout_ms=int(_JOIN_SECONDS * 1000) if consumer.group_metadata().state != MemberState.STABLE else 0)
    except AuthorizationError as error:
        # The topic is refused to whoever may not describe it; only the group is asked about here.
        return "Group" not in type(error).__name__
    finally:
        consumer.close(autocommit=False, timeout_ms=2000)
    return True


def _transactions(ledger: KafkaLedger, environ: Mapping[str, str] | None) -> Finding:
    """Begin to be a transactional producer under a name that no worker has."""
    name = f"{ledger.prefix}-worker-check-config"
    fix = acl_command(ledger, "Write", f"--transactional-id {ledger.prefix}- --resource-pattern-type prefixed")
    producer = open_producer(ledger, {"transactional_id": name, "max_block_ms": 10_000}, environ)
    try:
        producer.init_transactions()
    except AuthorizationError:
        return Finding(False, f"no right to Write transactional ids '{ledger.prefix}-*'", fix)
    finally:
        producer.close(timeout=2)
    return Finding(True, f"transactional ids '{ledger.prefix}-*': right to Write")
