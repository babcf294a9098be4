"""The tables of the history. Every one has a natural key, so that a step written twice is there once.

A column that comes later may be NULL: a history made before it gets the column when it is opened, and keeps its rows.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

VERDICTS = Table(
    "verdicts",
    METADATA,
    Column("model_name", String, primary_key=True),
    Column("slice", String, primary_key=True),
    Column("stream", String, primary_key=True),
    Column("window_start", Float(53), primary_key=True),
    Column("window_end", Float(53), nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("value", Float(53), nullable=False),
    Column("reference", Float(53), nullable=False),
    Column("effect_low", Float(53), nullable=False),
    Column("effect_high", Float(53), nullable=False),
    Column("log10_evidence", Float(53), nullable=False),
    Column("log10_threshold", Float(53), nullable=True),
    Column("log10_ticket_evidence", Float(53), nullable=False),
    Column("log10_ticket_threshold", Float(53), nullable=True),
    Column("state", String, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("p_values_before", JSON(none_as_null=True)),
    Column("p_values_after", JSON(none_as_null=True)),
    Index("verdicts_by_time", "window_start"),
)

WINDOWS = Table(
    "windows",
    METADATA,
    Column("bundle", String, primary_key=True),
    Column("model_name", String, primary_key=True),
    Column("slice", String, primary_key=True),
    Column("window_start", BigInteger, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("strange", BigInteger, nullable=False),
    Column("far", BigInteger, nullable=False),
    Column("truncated", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
    Column("histogram", JSON, nullable=False),
    Column("topics", JSON, nullable=False),
    Column("lengths", JSON),
    Column("languages", JSON),
    Index("windows_by_time", "window_start"),
)

INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("id", String, primary_key=True),
    Column("model_name", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("level", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("opened", Float(53), nullable=False),
    Column("explanation", Text, nullable=False),
    Column("value", Float(53), nullable=False),
    Column("reference", Float(53), nullable=False),
    Column("log10_evidence", Float(53), nullable=False),
    Column("log10_threshold", Float(53), nullable=False),
    Column("change_start", Float(53), nullable=False),
    Column("change_low", Float(53), nullable=False),
    Column("change_high", Float(53), nullable=False),
    Column("crossings", Integer, nullable=False),
    Column("acknowledged", Float(53)),
    Column("acknowledged_by", String),
    Column("closed", Float(53)),
    Column("closed_by", String),
    Column("verdict", String),
    Column("reason", Text),
    Column("slice", String, nullable=False, server_default=""),
    Column("p_values_before", JSON(none_as_null=True)),
    Column("p_values_after", JSON(none_as_null=True)),
    Column("grew", JSON(none_as_null=True)),
    Column("kind", String, nullable=False, server_default="drift"),
    Column("part_of", String),
    Index("incidents_by_time", "opened"),
)

BASELINES = Table(
    "baselines",
    METADATA,
    Column("model_name", String, primary_key=True),
    Column("flag", String, primary_key=True),
    Column("accepted", Float(53), primary_key=True),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", String, nullable=False),
    Column("rate", Float(53), nullable=False),
    Column("bound", Float(53), nullable=False),
    Column("design_effect", Float(53), nullable=False),
    Column("days", Integer, nullable=False),
    Column("stage", String, nullable=False),
    Column("why", Text),
)

EXAMPLES = Table(
    "examples",
    METADATA,
    Column("model_name", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("bundle", String, nullable=False),
    Column("slice", String, nullable=False),
    Column("time", Float(53), nullable=False),
    Column("stored", Float(53), nullable=False),
    Column("p_value", Float(53), nullable=False),
    Column("far", Boolean, nullable=False),
    Column("text", Text, nullable=False),
    Column("topic", Integer),
    Index("examples_by_time", "time"),
    Index("examples_by_age", "stored"),
)
"""Redacted texts, only where storing text is switched on; ``digest`` is of the redacted text, so that equal ones are kept once."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", String, primary_key=True),
    Column("time", Float(53), nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("outcome", Text, nullable=False),
    Index("audit_by_time", "time"),
)
