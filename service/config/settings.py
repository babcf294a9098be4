"""Every setting, its type, its default and what it means, once; docs/configuration.md is checked against this file."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from service.config.base import Budget, Seconds, Settings
from service.config.probing import Gate, Judge, Probes, Target


class Fields(Settings):
    """Where a record keeps what we read: JSON pointers (``/request/body``) or plain top-level names."""

    text: str | None = Field(
        None, description="Prompt text. Unset: text, prompt, or the last user turn of messages, also inside an OpenAI request log."
    )
    time: str | None = Field(None, description="Event time, ISO 8601 or epoch seconds or milliseconds. Unset: the transport's own time.")
    model: str | None = Field("model", description="Name of the model that was asked.")
    id: str | None = Field("id", description="Identity of the record.")
    slice: str | None = Field(None, description="Field whose configured values become slices.")
    session: str | None = Field(
        None,
        description="What tells one conversation or user from another. Unset: the usual names, such as session_id, conversation_id, user.",
    )


class Kafka(Settings):
    """Connection to a Kafka cluster."""

    bootstrap_servers: str = Field("localhost:9092", description="Comma-separated host:port list.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Passed to the client unchanged: security_protocol, sasl_mechanism, ssl_cafile and so on."
    )
    password_file: Path | None = Field(None, description="File holding the SASL password; otherwise TILTMETER_KAFKA_PASSWORD.")


class KafkaSource(Kafka):
    """Prompts from a topic."""

    kind: Literal["kafka"] = "kafka"
    topic: str = Field(description="Topic that carries the prompts.")
    group: str = Field("tiltmeter", description="Consumer group. One for each configuration: workers of the same group share the topic.")
    start: Literal["latest", "earliest"] = Field("latest", description="Where a new group begins.")
    dead_letter_topic: str | None = Field(None, description="Topic for records that cannot be decoded.")


class HttpSource(Settings):
    """Prompts posted to /v1/prompts."""

    kind: Literal["http"] = "http"
    max_body_bytes: int = Field(8_000_000, gt=0, description="Largest body accepted; more is answered with 413.")
    max_waiting: int = Field(50_000, gt=0, description="Prompts taken in and not yet counted; more is answered with 429.")


class FileSource(Settings):
    """Prompts from files, in event time, ending at the end of the last file."""

    kind: Literal["file"] = "file"
    paths: list[Path] = Field(description="Files: .jsonl, .csv, .parquet, gzip or zstd; - is standard input.")
    rate: float | None = Field(None, gt=0, description="Prompts per second of event time. Unset: the time field, or 50 without one.")
    start: str = Field("2000-01-01T00:00:00Z", description="Time of the first record when rate is used.")


class SqlLedger(Settings):
    """Deltas and positions in one database transaction: SQLite for one process, PostgreSQL for many."""

    kind: Literal["sql"] = "sql"
    url: str = Field("sqlite:///tiltmeter-ledger.db", description="SQLAlchemy URL without a password.")
    password_file: Path | None = Field(None, description="File holding the database password; otherwise TILTMETER_LEDGER_PASSWORD.")
    max_bytes: int | None = Field(
        None,
        ge=67_108_864,
        description="Size at which a SQLite ledger stops to grow: what has been judged is let go early, then posts wait for room. "
        "Unset: no limit.",
    )


class KafkaLedger(Kafka):
    """Deltas and positions in one Kafka transaction."""

    kind: Literal["kafka"] = "kafka"
    prefix: str = Field(
        "tiltmeter",
        description="Topics are PREFIX.sketches and PREFIX.state; ids of transactions and the decider's group begin with PREFIX-.",
    )
    create_topics: bool = Field(False, description="Create the two topics; otherwise the commands are printed.")


class Slices(Settings):
    """Values of the slice field that are counted apart; the rest is folded into 'other'."""

    values: list[str] = Field(default_factory=list, max_length=50, description="At most 50 values.")
    weight: float = Field(0.2, gt=0, lt=1, description="Part of the model's budgets that its slices have together, evenly.")


class Model(Settings):
    """One monitored model."""

    bundle: Path = Field(description="Directory made by `tiltmeter fit`.")
    shadow: Path | None = Field(
        None, description="A second bundle that scores and learns beside the one in force and wakes nobody, until `bundle promote`."
    )
    owner: str = Field("unowned", description="Who is told; a label of the alert.")
    wire_names: list[str] = Field(
        default_factory=list, description="Names seen on the wire that mean this model; * matches. Unset: the model's own name."
    )
    slices: Slices = Field(default_factory=Slices, description="Slices of this model.")
    weight: float = Field(1.0, gt=0, description="Share of both budgets, relative to the other models.")


class Budgets(Settings):
    """How many false alarms the operator accepts, over the whole configuration."""

    page: Budget = Field("1 per 90 days", validate_default=True, description="False pages.")
    ticket: Budget = Field("1 per 7 days", validate_default=True, description="False tickets.")


def _time_zone(value: str) -> str:
    """An IANA name that this system knows."""
    try:
        if value != "UTC":  # known even where the system has no zone data
            ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("expected an IANA time zone such as 'Europe/Berlin'") from None
    return value


class Windows(Settings):
    """Event time: how windows are cut and when they close."""

    length: Seconds = Field(60.0, gt=0, description="Window length.")
    grace: Seconds = Field(30.0, ge=0, description="How long after its end a window waits for what is late.")
    idle_after: Seconds = Field(60.0, gt=0, description="A partition read to its end and silent this long no longer holds windows open.")
    blind_after: Seconds = Field(300.0, gt=0, description="No progress for this long means blind.")
    max_skew: Seconds = Field(20.0, ge=0, description="A record's own time is believed if it lies this close to the transport's.")
    max_open: int = Field(60, gt=0, description="A partition this many windows ahead of the slowest is paused.")
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "UTC", description="IANA name: where a baseline's hours of the week are those of the clock, summer time included."
    )
    clock: Literal["wall", "event"] = Field("wall", description="event: only the data move time (replay, demo, tests).")

    @model_validator(mode="after")
    def _skew_below_grace(self) -> "Windows":
        if self.max_skew >= self.grace and self.clock == "wall":
            raise ValueError(f"max_skew must be below grace, but is {self.max_skew:g} s against {self.grace:g} s")
        return self


class FirstContact(Settings):
    """The learning period of a model never seen before."""

    duration: Seconds = Field(86400.0, ge=0, description="Shortest learning period.")
    prompts: int = Field(2000, ge=0, description="Fewest prompts before it ends.")


class Detection(Settings):
    """What counts as a change."""

    min_effect: float = Field(0.005, ge=0, lt=1, description="Rise of the flagged share that wakes nobody; part of the null.")
    first_contact: FirstContact = Field(default_factory=FirstContact, description="Learning period.")
    backlog_after: Seconds = Field(900.0, gt=0, description="A crossing this far behind the newest record opens at warning.")
    paging: bool = Field(True, description="False: drift opens tickets only.")


class Curation(Settings):
    """Strange and far prompts kept for labelling: the only setting that stores text."""

    store_text: Literal["none", "redacted"] = Field(
        "none", description="redacted: keep strange prompts in the history without addresses, numbers, keys and names."
    )
    keep: Seconds = Field(604800.0, gt=0, description="Time after which a kept text is deleted.")
    per_window: int = Field(20, gt=0, description="Most texts kept of one model in one window, by each worker.")


class History(Settings):
    """How long rows of the history are kept, in event time. Incidents, baselines and the audit stay for good."""

    keep: Seconds = Field(2592000.0, gt=0, description="Time after which verdicts and windows are deleted.")
    slices_by_hour_after: Seconds = Field(
        86400.0,
        ge=3600,
        description="Time after which the windows of slices are summed by the hour. Of a quiet slice one verdict an hour is kept.",
    )


class Explain(Settings):
    """What an incident tells beside its words and numbers."""

    examples: Literal["none", "redacted"] = Field(
        "none",
        description="redacted: show the kept prompts behind an incident, to whoever has the token. Needs curation.store_text: redacted.",
    )


class Http(Settings):
    """The one port."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9108, ge=0, le=65535, description="Port; 0 takes a free one.")
    token_file: Path | None = Field(
        None, description="File holding the bearer token for everything that writes; otherwise TILTMETER_TOKEN."
    )


class Grafana(Settings):
    """Where dashboards and annotations go."""

    url: str | None = Field(None, description="Grafana's own address, sub-path included, such as https://grafana.example/grafana.")
    token_file: Path | None = Field(None, description="File holding the token of a service account; otherwise TILTMETER_GRAFANA_TOKEN.")
    folder: str = Field("Tiltmeter", min_length=1, description="Title of the folder that `tiltmeter grafana push` fills.")
    annotations: bool = Field(False, description="true: the active decider marks incidents, deployments, baselines and bundles in Grafana.")
    timeout: Seconds = Field(10.0, gt=0, description="How long one request may take to connect, and again to be answered.")

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        try:
            parts = urlsplit(value or "")
            fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            fine = False
        if value is not None and (not fine or parts.query or parts.fragment or parts.username):
            raise ValueError("expected an address such as http://grafana:3000, without user, query or fragment")
        return value


class Compute(Settings):
    """Where the graphs run."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="cuda: refuse to start without a usable GPU.")
    threads: int = Field(0, ge=0, description="Threads per graph on CPU; 0 means the cores this process may use.")
    tokens_per_batch: int = Field(16384, gt=0, description="Token budget of one batch, padding counted.")


class Config(Settings):
    """The whole file."""

    source: Annotated[KafkaSource | HttpSource | FileSource, Field(discriminator="kind")] = Field(
        description="Where prompts come from: kind kafka, http or file."
    )
    fields: Fields = Field(default_factory=Fields, description="Field mapping of incoming records.")
    ledger: Annotated[SqlLedger | KafkaLedger, Field(discriminator="kind")] = Field(
        default_factory=SqlLedger, description="Where counts and positions are kept together: kind sql or kafka."
    )
    store: str = Field("sqlite:///tiltmeter-history.db", description="SQLAlchemy URL of the history for people.")
    history: History = Field(
        default_factory=History,
        description="How long rows of the history are kept, in event time; incidents, baselines and the audit stay.",
    )
    models: dict[str, Model] = Field(min_length=1, description="Monitored models by their stable name.")
    budgets: Budgets = Field(default_factory=Budgets, description="Accepted false alarms.")
    windows: Windows = Field(default_factory=Windows, description="Event-time windows.")
    detection: Detection = Field(default_factory=Detection, description="What counts as a change.")
    curation: Curation = Field(default_factory=Curation, description="Strange prompts kept for labelling; off unless switched on.")
    explain: Explain = Field(default_factory=Explain, description="What an incident tells beside its words and numbers.")
    targets: dict[str, Target] = Field(default_factory=dict, description="Endpoints that are probed, by name.")
    judges: dict[str, Judge] = Field(default_factory=dict, description="Models that grade answers, by name.")
    probes: Probes = Field(default_factory=Probes, description="What is asked, how often, and how far that may go.")
    gates: dict[str, Gate] = Field(default_factory=dict, description="Questions of a release pipeline, by name.")
    http: Http = Field(default_factory=Http, description="The web server.")
    grafana: Grafana = Field(default_factory=Grafana, description="Where dashboards and annotations go; nothing is sent unless asked for.")
    compute: Compute = Field(default_factory=Compute, description="Where the graphs run.")
    instance: str | None = Field(
        None, description="Name of this process: its own, and the same after a restart. Unset: fixed for SQLite, else random."
    )
