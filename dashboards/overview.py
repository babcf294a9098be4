"""The on-call engineer's page: must somebody get up, since when, how sure, and is the monitor itself alive."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import dashboard as models

from dashboards import queries as q
from dashboards.panels import BAD, DATA_SOURCE, GOOD, QUIET, UNKNOWN, WARN, coloured, dashed, lines, steps, tile, timeline

UID = "tiltmeter-overview"

_SEVERITIES = coloured([("nobody", GOOD), ("ticket", WARN), ("PAGE", BAD)])
# In the order of service.metrics.STATES, from the last to the first.
_STATES = coloured(
    [
        ("ok", GOOD),
        ("insufficient", "blue"),
        ("idle", QUIET),
        ("learning", "light-blue"),
        ("ticket", WARN),
        ("page", BAD),
        ("blind", UNKNOWN),
    ]
)

Panel = stat.Panel | timeseries.Panel | statetimeline.Panel


def _now() -> list[Panel]:
    severity = tile(
        "Must somebody get up?",
        "Severity by model and kind of trouble (tiltmeter_severity), with the model's owner. Each kind has an alert with a runbook: "
        "docs/runbooks/how-to-read-a-page.md.",
        "none",
        (q.SEVERITY, "{{model_name}} {{kind}} ({{owner}})"),
        width=8,
        none="no decider",
    )
    return [
        severity.mappings(_SEVERITIES),
        tile(
            "Open pages", "Incidents at level page that nobody has closed (tiltmeter_incidents_open).", "none", (q.PAGES_OPEN, "")
        ).thresholds(steps((None, QUIET), (1, BAD))),
        tile("Open tickets", "Incidents at level ticket (tiltmeter_incidents_open).", "none", (q.TICKETS_OPEN, "")).thresholds(
            steps((None, QUIET), (1, WARN))
        ),
        tile(
            "Newest verdict",
            "Age of the newest judged window (tiltmeter_last_verdict_timestamp_seconds). Over 15 minutes: docs/runbooks/TiltmeterBlind.md.",
            "s",
            (q.VERDICT_AGE, "{{model_name}}"),
        ).thresholds(steps((None, QUIET), (900, UNKNOWN))),
        tile(
            "Active deciders",
            "Processes that decide (tiltmeter_decider_active). Anything but 1 means that nobody, or more than one configuration, judges.",
            "none",
            (q.DECIDERS, ""),
        ).thresholds(steps((None, UNKNOWN), (1, QUIET), (2, WARN))),
    ]


def _trend() -> list[Panel]:
    share = lines(
        "Flagged share",
        "Share that each stream is about in each window, and the share it is tested against, minimum effect included, dashed "
        "(tiltmeter_flagged_share_ratio, tiltmeter_reference_share_ratio).",
        "percentunit",
        (q.SHARE, "{{model_name}} {{slice}} {{stream}}"),
        (q.REFERENCE, "{{model_name}} {{slice}} {{stream}} reference"),
    )
    evidence = lines(
        "Evidence of a change",
        "log10 of the evidence for tickets and for pages, and the thresholds that the budgets buy, dashed (tiltmeter_evidence_log10, "
        "tiltmeter_evidence_threshold_log10). A crossing spends the evidence: the line falls to 0 and an incident is open.",
        "none",
        (q.EVIDENCE, "{{model_name}} {{slice}} {{stream}} {{level}}"),
        (q.THRESHOLD, "{{model_name}} {{slice}} {{stream}} {{level}} threshold"),
    )
    return [
        timeline(
            "State of every stream",
            "How much each stream knows (tiltmeter_stream_state). Insufficient: little to see; blind: the monitor cannot see; idle: "
            "nothing comes. None of the three means fine.",
            _STATES,
            (q.STATE, "{{model_name}} {{slice}} {{stream}}"),
        ),
        dashed(share.min(0), "reference"),
        dashed(evidence.min(0), "threshold"),
    ]


def _traffic() -> list[Panel]:
    return [
        lines("Prompts", "Prompts scored and counted (tiltmeter_prompts_total).", "reqps", (q.PROMPTS, "{{model_name}}"), width=8).min(0),
        lines(
            "Tokens per prompt",
            "Mean length after truncation (tiltmeter_tokens_total over tiltmeter_prompts_total).",
            "none",
            (q.TOKENS_PER_PROMPT, "{{model_name}}"),
            width=8,
        ).min(0),
        lines(
            "Truncated",
            "Share of prompts cut at the encoder's limit (tiltmeter_truncated_prompts_total): what lies behind the cut is not seen.",
            "percentunit",
            (q.TRUNCATED, "{{model_name}}"),
            width=8,
        ).min(0),
    ]


def _pace() -> list[Panel]:
    return [
        lines(
            "Behind",
            "How far event time lies behind the clock: the decider's watermark, each worker's input, and its last flush "
            "(tiltmeter_watermark_timestamp_seconds, tiltmeter_source_timestamp_seconds, tiltmeter_last_flush_timestamp_seconds).",
            "s",
            (q.WATERMARK_AGE, "watermark"),
            (q.SOURCE_AGE, "{{instance}} input"),
            (q.FLUSH_AGE, "{{instance}} flush"),
        ).min(0),
        lines(
            "Waiting",
            "Records behind the end of the input, prompts not yet polled, prompts not yet flushed (tiltmeter_source_lag_records, "
            "tiltmeter_queued_prompts, tiltmeter_pending_prompts).",
            "short",
            (q.LAG, "{{instance}} lag"),
            (q.QUEUED, "{{instance}} queued"),
            (q.PENDING, "{{instance}} pending"),
        ).min(0),
    ]


def _left_out() -> list[Panel]:
    return [
        lines(
            "Not counted",
            "Records that could not be decoded, by reason, and prompts that came too late, too far ahead or from an unknown bundle "
            "(tiltmeter_rejected_total, tiltmeter_late_prompts_total, tiltmeter_refused_prompts_total, "
            "tiltmeter_unknown_bundle_prompts_total).",
            "reqps",
            (q.REJECTED, "{{reason}}"),
            (q.LATE, "late {{model_name}}"),
            (q.TOO_FAR_AHEAD, "too far ahead {{model_name}}"),
            (q.UNKNOWN_BUNDLE, "unknown bundle"),
        ).min(0),
        lines(
            "Lost, or given another time",
            "Records that were gone from the topic before they were read, rejected records that the dead-letter topic would not take, and "
            "records whose own time was not believed (tiltmeter_lost_records_total, tiltmeter_lost_dead_letters_total, "
            "tiltmeter_replaced_times_total).",
            "reqps",
            (q.LOST_RECORDS, "{{instance}} lost records"),
            (q.LOST_DEAD_LETTERS, "{{instance}} lost dead letters"),
            (q.REPLACED_TIMES, "{{instance}} replaced times"),
        ).min(0),
    ]


def _cost() -> list[Panel]:
    return [
        lines(
            "Time per batch, 95th percentile",
            "By stage (tiltmeter_batch_seconds), read off bucket edges.",
            "s",
            (q.STAGE_95, "{{stage}}"),
            width=6,
        ).min(0),
        lines("Memory", "Resident memory (process_resident_memory_bytes).", "bytes", (q.MEMORY, "{{instance}}"), width=6).min(0),
        lines("Processor", "Cores used by each process (process_cpu_seconds_total).", "none", (q.CPU, "{{instance}}"), width=6).min(0),
        lines(
            "Work read again",
            "Times unflushed work was dropped after an assignment change (tiltmeter_rewinds_total). It is read again: nothing is lost.",
            "ops",
            (q.REWINDS, "{{instance}}"),
            width=6,
        ).min(0),
    ]


def _variables(page: builders.Dashboard) -> builders.Dashboard:
    page = page.with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    wanted = {
        "job": "label_values(tiltmeter_build_info, job)",
        "instance": 'label_values(tiltmeter_build_info{job=~"$job"}, instance)',
        "model_name": 'label_values(tiltmeter_model_info{job=~"$job"}, model_name)',
    }
    for name, query in wanted.items():
        page = page.with_variable(
            builders.QueryVariable(name)
            .label(name)
            .datasource(DATA_SOURCE)
            .query(query)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".+")
        )
    return page.with_variable(_slice())


def _slice() -> builders.QueryVariable:
    """The whole model unless others are chosen; all of them includes it."""
    return (
        builders.QueryVariable("slice")
        .label("slice")
        .datasource(DATA_SOURCE)
        .query(q.SLICES)
        .regex(q.SLICE_CHOICE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(text=[q.WHOLE], value=[q.PATTERN_OF_WHOLE]))
    )


def _alerts() -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name("Alerts")
        .datasource(DATA_SOURCE)
        .enable(True)
        .icon_color(BAD)
        .target(prometheus.Dataquery().expr(q.FIRING).ref_id("A"))
        .expr(q.FIRING)
        .title_format("{{alertname}}")
        .text_format("{{model_name}} {{kind}}")
        .step("60s")
    )


def build() -> models.Dashboard:
    """The dashboard, with panel ids in reading order."""
    page = (
        builders.Dashboard("Tiltmeter / Overview")
        .uid(UID)
        .description("Generated by `make dashboards`: change dashboards/overview.py, not this page.")
        .tags(["tiltmeter", "vllm"])
        .readonly()
        .refresh("1m")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .annotation(_alerts())
        .link(
            builders.DashboardLink("Related")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["tiltmeter"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    page = _variables(page)
    for panel in _now():
        page = page.with_panel(panel)
    monitor = [*_pace(), *_left_out(), *_cost()]
    for title, panels in (("Trend", _trend()), ("Traffic", _traffic()), ("The monitor itself", monitor)):
        page = page.with_row(builders.Row(title))
        for panel in panels:
            page = page.with_panel(panel)
    built = page.build()
    for number, placed in enumerate(built.panels or [], start=1):
        placed.id_val = number
    return built
