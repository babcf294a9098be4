"""What the Kafka ledger says when there is no broker."""

import pytest
from ledger_suite import part, report

from service.config import KafkaLedger as Settings
from service.errors import ConfigError
from service.ledger.contract import Unavailable
from service.ledger.kafka import KafkaLedger, read_watermark, write_watermark
from service.ledger.kafka_journal import KafkaJournal
from service.records import Command

AWAY = Settings(bootstrap_servers="127.0.0.1:1")


@pytest.mark.parametrize(
    "use",
    [
        lambda: KafkaLedger(AWAY, "w", environ={}).append([part(1)], report(), None),
        lambda: KafkaLedger(AWAY, "w", environ={}).submit(Command("c", "incident.ack", "ada", 0.0, {})),
        lambda: KafkaLedger(AWAY, "w", environ={}).watermark(),
        lambda: KafkaJournal(AWAY, environ={}).acquire(0.1),
        lambda: KafkaJournal(AWAY, environ={}).restore(),
    ],
    ids=["append", "submit", "watermark", "acquire", "restore"],
)
def test_a_broker_that_is_away_is_named(use):
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        use()


def test_a_missing_password_is_a_configuration_mistake():
    settings = Settings(bootstrap_servers="127.0.0.1:1", options={"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"})
    with pytest.raises(ConfigError, match="needs a password"):
        KafkaLedger(settings, "w", environ={}).append([part(1)], report(), None)


@pytest.mark.parametrize("watermark", [float("-inf"), 0.0, 1_700_000_000.5])
def test_the_watermark_travels_with_the_groups_offset(watermark):
    assert read_watermark(write_watermark(watermark), 5.0) == watermark


@pytest.mark.parametrize("other", ["", None, "something of a lag tool", "[1]", '{"watermark": "x"}'])
def test_metadata_of_somebody_else_is_no_watermark(other):
    assert read_watermark(other, 5.0) == 5.0
