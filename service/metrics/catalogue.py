"""Every metric: name, help, labels and buckets, in the order in which they are exported and documented."""

from importlib.metadata import PackageNotFoundError, version

from service.metrics import asking, probes
from service.metrics.definition import Definition

try:
    VERSION = version("tiltmeter")
except PackageNotFoundError:
    VERSION = "uninstalled"
"""Version of the installed distribution; a bare source tree has none."""

STATES = ("blind", "page", "ticket", "learning", "idle", "insufficient", "ok")
SEVERITIES = ("none", "warning", "critical")
LEVELS = ("ticket", "page")
CLOSED_AS = ("real", "benign", "monitor", "recovered")
"""What an incident was closed as: by a person the first three, by itself the last."""
KINDS = ("drift", "behaviour", "safety", "swap", "endpoint", "grading")
"""Kinds of trouble; all but the first only of a model with probes."""

SHADOW_STAGES = ("first_contact", "reference", "short", "unpromised", "paging", "full")
"""Before a baseline is accepted the phase of learning, then how much the accepted one carries."""

STAGES = ("poll", "score", "sketch", "flush", "close", "checkpoint")
"""Stages that are timed: the first four in the worker, the last two in the decider."""


DEFINITIONS: tuple[Definition, ...] = (
    Definition("tiltmeter_build_info", "gauge", "Version of this process; always 1.", ("version", "python_version")),
    Definition("tiltmeter_model_info", "gauge", "Bundle a model is compared with; always 1.", ("model_name", "bundle", "owner", "encoder")),
    Definition("tiltmeter_inference_info", "gauge", "Runtime and device the graphs run on; always 1.", ("runtime", "device")),
    Definition("tiltmeter_prompts_total", "counter", "Prompts scored and counted in the ledger by this worker.", ("model_name",)),
    Definition("tiltmeter_rejected_total", "counter", "Records that are no prompt, by reason; canary is a probe of ours.", ("reason",)),
    Definition("tiltmeter_replaced_times_total", "counter", "Records whose own time was not believed: the transport's counted instead."),
    Definition("tiltmeter_lost_records_total", "counter", "Records that were gone from the topic before they were read."),
    Definition("tiltmeter_lost_dead_letters_total", "counter", "Records that the dead-letter topic would not take."),
    Definition("tiltmeter_tokens_total", "counter", "Tokens encoded, after truncation.", ("model_name",)),
    Definition("tiltmeter_truncated_prompts_total", "counter", "Prompts cut at the encoder's length limit.", ("model_name",)),
    Definition("tiltmeter_repeated_posts_total", "counter", "Posts left out because their idempotency key was already counted."),
    Definition("tiltmeter_rewinds_total", "counter", "Times unflushed work was dropped and read again after an assignment change."),
    Definition("tiltmeter_batch_seconds", "histogram", "Time one batch spent in a stage.", ("stage",)),
    Definition("tiltmeter_pending_prompts", "gauge", "Prompts sketched and waiting for the next flush."),
    Definition("tiltmeter_queued_prompts", "gauge", "Prompts taken in over HTTP and not yet polled by the pipeline."),
    Definition("tiltmeter_open_windows", "gauge", "Windows the decider holds open."),
    Definition("tiltmeter_source_lag_records", "gauge", "Records in the input behind which this worker is, where the source knows."),
    Definition("tiltmeter_source_timestamp_seconds", "gauge", "Event time of the slowest partition this worker reads."),
    Definition("tiltmeter_source_up", "gauge", "1 when the last poll of the source succeeded."),
    Definition("tiltmeter_last_flush_timestamp_seconds", "gauge", "Wall clock of the last flush that the ledger accepted."),
    Definition("tiltmeter_decider_active", "gauge", "1 on the decider that decides, 0 on a standby; absent on a pure worker."),
    Definition("tiltmeter_watermark_timestamp_seconds", "gauge", "Event time up to which everything is known; active decider only."),
    Definition("tiltmeter_last_checkpoint_timestamp_seconds", "gauge", "Wall clock of the decider's last checkpoint; active decider only."),
    Definition(
        "tiltmeter_last_verdict_timestamp_seconds",
        "gauge",
        "End of the newest window with a verdict; active decider only.",
        ("model_name",),
    ),
    Definition(
        "tiltmeter_late_prompts_total", "counter", "Prompts that came after their window had closed and were left out.", ("model_name",)
    ),
    Definition("tiltmeter_refused_prompts_total", "counter", "Prompts stamped impossibly far ahead, left out.", ("model_name",)),
    Definition(
        "tiltmeter_dropped_repeats_total",
        "counter",
        "Posts that the decider left out because their idempotency key was already counted (Kafka ledger).",
    ),
    Definition("tiltmeter_closed_windows_total", "counter", "Windows closed since the decider's state began, with at least one prompt."),
    Definition("tiltmeter_lost_partitions_total", "counter", "Partitions that left the watermark because their worker fell silent."),
    Definition(
        "tiltmeter_unknown_bundle_prompts_total",
        "counter",
        "Prompts scored with a bundle that this decider has not loaded: stored, not judged.",
    ),
    Definition(
        "tiltmeter_flagged_share_ratio",
        "gauge",
        "Share that the stream is about in the newest closed window that had prompts.",
        ("model_name", "slice", "stream"),
    ),
    Definition(
        "tiltmeter_reference_share_ratio",
        "gauge",
        "Share the detector tests against, minimum effect included.",
        ("model_name", "slice", "stream"),
    ),
    Definition(
        "tiltmeter_promise_kept",
        "gauge",
        "1 when the replay of the accepted baseline is consistent with the budget of pages, 0 when not; absent before one is accepted.",
        ("model_name", "slice", "stream"),
    ),
    Definition(
        "tiltmeter_baseline_wanted",
        "gauge",
        "1 while a person should accept a baseline: production is not what the model is compared with, or more is learned by now.",
        ("model_name",),
    ),
    Definition(
        "tiltmeter_evidence_log10", "gauge", "Evidence for a change, log10(max(M, 1)), now.", ("model_name", "slice", "stream", "level")
    ),
    Definition(
        "tiltmeter_evidence_threshold_log10",
        "gauge",
        "Evidence at which the level is reached; absent when it may not be.",
        ("model_name", "slice", "stream", "level"),
    ),
    Definition(
        "tiltmeter_stream_state",
        "gauge",
        "1 for the state the stream is in, 0 for the others.",
        ("model_name", "slice", "stream", "state"),
    ),
    Definition(
        "tiltmeter_severity",
        "gauge",
        "1 for the severity of this kind of trouble, 0 for the others.",
        ("model_name", "kind", "owner", "severity"),
    ),
    Definition(
        "tiltmeter_joined",
        "gauge",
        "1 while all that is open of this kind has joined an incident of another kind: they are one trouble.",
        ("model_name", "kind"),
    ),
    Definition(
        "tiltmeter_incidents_total",
        "counter",
        "Incidents opened since the decider's state began.",
        ("model_name", "slice", "stream", "level"),
    ),
    Definition("tiltmeter_incidents_open", "gauge", "Open incidents, those of slices included.", ("model_name", "level")),
    Definition(
        "tiltmeter_closed_incidents_total",
        "counter",
        "Incidents closed, by what they were closed as.",
        ("model_name", "level", "verdict"),
    ),
    Definition(
        "tiltmeter_budget_seconds",
        "gauge",
        "Time in which one false incident of this level is accepted, all models together: the setting budgets.",
        ("level",),
    ),
    Definition(
        "tiltmeter_incident_info",
        "gauge",
        "1 for the open incident that sets the severity of this kind; what: its words, as they were when it opened.",
        ("model_name", "kind", "model_owner", "incident", "what"),
    ),
    Definition(
        "tiltmeter_incident_change_timestamp_seconds",
        "gauge",
        "Estimated start of the change that this incident is about.",
        ("model_name", "kind"),
    ),
    Definition("tiltmeter_deployment_timestamp_seconds", "gauge", "Time of the last announced deployment.", ("model_name", "revision")),
    Definition("tiltmeter_shadow_info", "gauge", "Second bundle that judges beside the one in force; always 1.", ("model_name", "bundle")),
    Definition("tiltmeter_shadow_stage", "gauge", "1 for how much the shadow's record carries, 0 for the others.", ("model_name", "stage")),
    Definition(
        "tiltmeter_shadow_strange_share_ratio",
        "gauge",
        "Share that the shadow finds strange in the newest closed window that had prompts.",
        ("model_name",),
    ),
    Definition(
        "tiltmeter_shadow_promise_kept",
        "gauge",
        "As tiltmeter_promise_kept, of the shadow's accepted baseline.",
        ("model_name", "stream"),
    ),
    Definition(
        "tiltmeter_shadow_incidents_total",
        "counter",
        "Incidents the shadow would have opened since it is one, those of slices included.",
        ("model_name", "level"),
    ),
    *probes.DEFINITIONS,
    *asking.DEFINITIONS,
    Definition("tiltmeter_annotations_sent_total", "counter", "Annotations that stand in Grafana as they should, sent by this process."),
    Definition("tiltmeter_annotation_failures_total", "counter", "Annotations that Grafana did not take; most are tried again."),
    Definition("tiltmeter_annotations_dropped_total", "counter", "Annotations given up: refused for good, or too many waited."),
    Definition("tiltmeter_annotations_waiting", "gauge", "Annotations that wait to be sent."),
)
"""In the order in which they are exported and documented."""


def names() -> frozenset[str]:
    """Every series name that may be queried, histogram suffixes included."""
    plain = {definition.name for definition in DEFINITIONS if definition.kind != "histogram"}
    timed = [definition.name for definition in DEFINITIONS if definition.kind == "histogram"]
    parts = {name + suffix for name in timed for suffix in ("_bucket", "_sum", "_count")}
    return frozenset(plain | parts)
