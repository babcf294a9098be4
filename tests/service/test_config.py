"""Every mistake is named with its file, line, key and what was expected; secrets never show."""

from pathlib import Path

import pytest

from service.config import Config, KafkaSource, SqlLedger, bearer_token, database_url, effective, kafka_options, load, masked, store_url
from service.errors import ConfigError

FILES = Path(__file__).parents[1] / "config"
MISTAKES = {
    "annotations-without-url": ":3: grafana.annotations: true, but nothing says where Grafana is; expected: grafana.url beside it",
    "bad-address": ":3: grafana.url: given 'grafana:3000'; expected: an address such as http://grafana:3000, without user, query or",
    "bad-budget": ":3: budgets.page: given 'never'; expected: a budget such as '1 per 90 days' (False pages.)",
    "bad-choice": ":1: source.start: given 'earlyest'; did you mean 'earliest'? expected: latest or earliest (Where a new group begins.)",
    "bad-duration": ":3: windows.grace: given '5 parsecs'; expected: a duration such as '30s', '5 min', '2 h' or '7 days' (How long after",
    "bad-number": ":3: http.port: given 70000; expected: a number less than or equal to 65535 (Port; 0 takes a free one.)",
    "empty": ": expected a mapping with the keys source, fields, ledger",
    "examples-without-texts": ":3: explain.examples: given 'redacted', but no text is kept; expected: curation.store_text: redacted",
    "key-twice": ":3: not YAML: key 'source' is written twice",
    "missing-topic-name": ":1: source.topic: missing; expected: text (Topic that carries the prompts.)",
    "no-kind": ":1: source: given no kind; expected: a key 'kind' (Where prompts come from: kind kafka, http or file.)",
    "no-models": ":2: models: given a mapping of 0; expected: at least one (Monitored models by their stable name.)",
    "not-a-mapping": ": expected a mapping with the keys source, fields, ledger",
    "not-yaml": ":2: not YAML: expected ',' or '}', but got ':'",
    "our-option": ":1: source.options.isolation.level: set by Tiltmeter itself, cannot be changed here",
    "same-wire-name": ": models.sales-bot.wire_names: 'shared' already means model 'support-bot'",
    "no-text": ":2: models.support-bot.slices.values.1: given 7; expected: text (At most 50 values.)",
    "no-section": ":3: windows: given 5; expected: mapping (Event-time windows.)",
    "endless": ":3: windows.length: given inf; expected: a finite number (Window length.)",
    "secret-grafana-token": ":3: grafana.token: secrets are not written here",
    "secret-in-options": ":5: source.options.sasl_plain_password: secrets are not written here",
    "secret-in-url": ":3: ledger.url: secrets are not written here",
    "secret-token": ":2: http.token: secrets are not written here",
    "skew-past-grace": ":3: windows: max_skew must be below grace, but is 20 s against 10 s",
    "unknown-key": ":4: windows.lenght: unknown key; did you mean 'length'? known here: blind_after, clock, grace,",
    "unknown-kind": ":1: source.kind: given 'kafak'; did you mean 'kafka'? expected: kafka or http or file",
    "unknown-option": ":1: source.options.security_protocoll: no option of the Kafka client; did you mean 'security_protocol'?",
    "unknown-section": ":2: model: unknown key; did you mean 'models'? known here: budgets, compute,",
}


def mistake(path: Path, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_each_mistake_is_named(name: str) -> None:
    path = FILES / f"{name}.yaml"
    message = mistake(path)
    assert f"{path}{MISTAKES[name]}" in message
    assert "hunter2" not in message


def test_every_file_with_a_mistake_is_tested() -> None:
    assert {path.stem for path in FILES.glob("*.yaml")} == {*MISTAKES, "good"}


def test_a_good_file_is_taken_with_its_units() -> None:
    config = load(FILES / "good.yaml", {})
    assert isinstance(config.source, KafkaSource)
    assert isinstance(config.ledger, SqlLedger)
    assert config.budgets.page == 90 * 86400
    assert config.budgets.ticket == 7 * 86400
    assert (config.windows.length, config.windows.grace, config.windows.idle_after) == (60, 30, 60)
    assert config.models["support-bot"].slices.values == ["acme", "globex"]


def test_all_mistakes_are_told_at_once_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("source: {kind: http}\nmodels: {a: {bundle: b, weigth: 1}}\nwindows: {length: 0}\n")
    assert [line.split(": ")[1] for line in mistake(path).splitlines()] == ["models.a.weigth", "windows.length"]


def test_what_is_wrong_and_secret_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("source: {kind: kafka, topic: t, options: {}}\nmodels: {a: {bundle: b}}\nhttp: {token_file: [hunter2]}\n")
    assert mistake(path).startswith(f"{path}:3: http.token_file: given a list of 1; expected: path (File holding")
    assert "hunter2" not in mistake(path, TILTMETER_SOURCE__BOOTSTRAP_SERVERS="[hunter2]")
    url = mistake(path, TILTMETER_COMPUTE__DEVICE="https://u:hunter2@h/")
    assert "environment TILTMETER_COMPUTE__DEVICE: compute.device: given 'https://u:********@h/'; expected: auto or cpu or cuda" in url


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert mistake(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    (tmp_path / "latin.yaml").write_bytes(b"models: {caf\xe9: 1}")
    assert mistake(tmp_path / "latin.yaml") == f"{tmp_path}/latin.yaml: not UTF-8 at byte 12"
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    assert mistake(tmp_path / "deep.yaml") == f"{tmp_path}/deep.yaml: nested too deeply"


class TestEnvironment:
    def test_it_overrides_the_file(self) -> None:
        config = load(
            FILES / "good.yaml",
            {"TILTMETER_WINDOWS__LENGTH": "5 min", "TILTMETER_SOURCE__TOPIC": "other", "TILTMETER_INSTANCE": "worker-0"},
        )
        assert isinstance(config.source, KafkaSource)
        assert (config.windows.length, config.source.topic, config.instance) == (300, "other", "worker-0")

    def test_model_names_are_found_whatever_their_case_and_dashes(self) -> None:
        config = load(FILES / "good.yaml", {"TILTMETER_MODELS__SUPPORT_BOT__OWNER": "team-two"})
        assert config.models["support-bot"].owner == "team-two"

    def test_a_mistake_names_the_variable(self) -> None:
        message = mistake(FILES / "good.yaml", TILTMETER_WINDOWS__LENGHT="30s")
        assert message.startswith("environment TILTMETER_WINDOWS__LENGHT: windows.lenght: unknown key; did you mean 'length'?")
        message = mistake(FILES / "good.yaml", TILTMETER_STORE__URL="x")
        assert "store" in message

    def test_what_kubernetes_sets_for_a_service_of_our_name_is_left_alone(self) -> None:
        environ = {"TILTMETER_PORT": "tcp://10.0.0.1:9108", "TILTMETER_SERVICE_HOST": "10.0.0.1", "TILTMETER_PORT_9108_TCP": "x"}
        assert load(FILES / "good.yaml", environ) == load(FILES / "good.yaml", {})


class TestSecrets:
    def test_the_kafka_password_comes_from_the_environment_or_a_file(self, tmp_path: Path) -> None:
        source = load(FILES / "good.yaml", {}).source
        assert isinstance(source, KafkaSource)
        with pytest.raises(ConfigError, match="needs a password: set TILTMETER_KAFKA_PASSWORD or password_file"):
            kafka_options(source, {})
        options = kafka_options(source, {"TILTMETER_KAFKA_PASSWORD": "hunter2"})
        assert options["sasl_plain_password"] == "hunter2"
        assert options["bootstrap_servers"] == ["broker-1:9092", "broker-2:9092"]
        file = tmp_path / "password"
        file.write_text("from-file\n")
        assert kafka_options(source.model_copy(update={"password_file": file}), {})["sasl_plain_password"] == "from-file"

    def test_a_secret_file_that_is_empty_or_missing_is_named(self, tmp_path: Path) -> None:
        ledger = SqlLedger(url="postgresql://u@h/d", password_file=tmp_path / "none")
        with pytest.raises(ConfigError, match=r"none: the file that should hold TILTMETER_LEDGER_PASSWORD cannot be read"):
            database_url(ledger, {})
        (tmp_path / "none").write_text("\n")
        with pytest.raises(ConfigError, match="is empty"):
            database_url(ledger, {})

    def test_database_passwords_are_put_into_the_url(self) -> None:
        config = load(FILES / "good.yaml", {"TILTMETER_STORE": "postgresql://u@h/history"})
        assert isinstance(config.ledger, SqlLedger)
        environ = {"TILTMETER_LEDGER_PASSWORD": "p@ss", "TILTMETER_STORE_PASSWORD": "two"}
        assert database_url(config.ledger, environ) == "postgresql+psycopg://tiltmeter:p%40ss@db/tiltmeter"
        assert store_url(config, environ) == "postgresql://u:two@h/history"

    def test_the_bearer_token_is_read_when_it_is_asked_for(self) -> None:
        config = load(FILES / "good.yaml", {})
        assert bearer_token(config.http, {}) is None
        assert bearer_token(config.http, {"TILTMETER_TOKEN": "t"}) == "t"

    def test_nothing_that_is_printed_holds_a_secret(self) -> None:
        config = load(FILES / "good.yaml", {"TILTMETER_LEDGER__URL": "postgresql://u:hunter2@h/d?password=hunter2"})
        printed = effective(config)
        assert "hunter2" not in printed
        assert "postgresql://u:********@h/d?password=********" in printed
        assert "page: 7776000.0" in printed
        assert masked("sqlite:///a:b@c.db") == "sqlite:///a:b@c.db"

    def test_an_options_password_is_masked_whoever_put_it_there(self) -> None:
        raw = {"source": {"kind": "kafka", "topic": "t", "options": {"ssl_password": "hunter2"}}, "models": {"a": {"bundle": "b"}}}
        assert "hunter2" not in effective(Config.model_validate(raw))
