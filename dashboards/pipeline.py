"""The operator's page: is the monitor itself blind, what comes in and what is left out, where time and memory go, what probing costs."""

from grafana_foundation_sdk.models import dashboard as models

from dashboards import asking, page
from dashboards import queries as q
from dashboards.panels import PIPELINE, QUIET, UNKNOWN, WARN, Panel, lines, rows, steps, tile

UID = PIPELINE


def _blind() -> list[Panel]:
    blind = q.of("tiltmeter_stream_state", 'slice=""', 'state="blind"')
    processes = rows(
        "Processes",
        "One row a process, with its version. A process that is missing here cannot be scraped.",
        (q.largest("tiltmeter_build_info", "instance", "version", "python_version"), "up"),
        runbook="TiltmeterDown",
        width=12,
        height=6,
    )
    runtimes = rows(
        "Runtimes",
        "What the graphs of each process run on. A GPU that is configured and not named here is not used.",
        (q.largest("tiltmeter_inference_info", "instance", "runtime", "device"), "up"),
        runbook="TiltmeterDown",
        width=12,
        height=6,
    )
    return [
        tile(
            "Models it cannot see",
            "Models whose streams are blind: no progress for `windows.blind_after`. No alarm in that time means nothing.",
            "none",
            (f"sum(max by (model_name) ({blind}))", ""),
            runbook="TiltmeterBlind",
        ).thresholds(steps((None, QUIET), (1, UNKNOWN))),
        tile(
            "Inputs that answer",
            "Processes whose last poll of the source succeeded, of those that read. Fewer: look at broker, access and network of the "
            "others.",
            "percentunit",
            (f"avg({q.of('tiltmeter_source_up')})", ""),
            runbook="TiltmeterBlind",
        ).thresholds(steps((None, UNKNOWN), (1, QUIET))),
        tile(
            "Active deciders",
            "Processes that decide. 0: nobody judges. More than 1: two configurations in one Prometheus job.",
            "none",
            (f"sum({q.of('tiltmeter_decider_active')})", ""),
            runbook="TiltmeterUndecided",
        ).thresholds(steps((None, UNKNOWN), (1, QUIET), (2, WARN))),
        tile(
            "Last checkpoint",
            "Since the active decider wrote its state. Over 15 minutes nothing that it says will survive it.",
            "s",
            (f"time() - max({q.of('tiltmeter_last_checkpoint_timestamp_seconds')})", ""),
            runbook="TiltmeterUndecided",
        ).thresholds(steps((None, QUIET), (900, UNKNOWN))),
        tile(
            "Oldest flush",
            "Since the slowest worker's counts were last taken by the ledger. Growing while prompts come: the ledger is away or refuses.",
            "s",
            (f"time() - min({q.of('tiltmeter_last_flush_timestamp_seconds')})", ""),
            runbook="TiltmeterLedgerStuck",
        ).thresholds(steps((None, QUIET), (300, UNKNOWN))),
        tile(
            "Missing rounds",
            "Most scheduled rounds that any suite of probes misses. 3: nobody asks it.",
            "none",
            (f"max({q.of('tiltmeter_probe_missed_rounds')})", ""),
            runbook="TiltmeterProbesSilent",
            none="no probes",
        ).thresholds(steps((None, QUIET), (3, UNKNOWN))),
        processes,
        runtimes,
    ]


def _lag() -> list[Panel]:
    return [
        lines(
            "Behind",
            "Event time behind the clock: the decider's watermark, and the inputs of the 20 slowest workers. The watermark waits for the "
            "slowest.",
            "s",
            (f"time() - max({q.of('tiltmeter_watermark_timestamp_seconds')})", "watermark"),
            (q.most(f"time() - {q.of('tiltmeter_source_timestamp_seconds')}"), "{{instance}}"),
            runbook="TiltmeterLag",
        ).min(0),
        lines(
            "Waiting",
            "Records behind the end of the input, prompts not yet polled, prompts not yet flushed. Lag that grows while stages are busy: "
            "add workers up to the number of partitions.",
            "short",
            (q.most(q.of("tiltmeter_source_lag_records")), "{{instance}} lag"),
            (q.most(q.of("tiltmeter_queued_prompts")), "{{instance}} queued"),
            (q.most(q.of("tiltmeter_pending_prompts")), "{{instance}} pending"),
            runbook="TiltmeterLag",
        ).min(0),
    ]


def _flow() -> list[Panel]:
    prompts = "tiltmeter_prompts_total", "model_name"
    return [
        lines(
            "In and scored",
            "Prompts counted in the ledger, and records that were turned away: together what came in.",
            "reqps",
            (q.per_second(*prompts), "{{model_name}}"),
            (q.total("tiltmeter_rejected_total"), "turned away"),
            runbook="TiltmeterBlind",
            width=8,
        ).min(0),
        lines(
            "Turned away",
            "Records that are no prompt, by reason; `canary` is a probe of ours, and as it should be. The reasons: docs/configuration.md.",
            "reqps",
            (q.per_second("tiltmeter_rejected_total", "reason"), "{{reason}}"),
            runbook="TiltmeterBlind",
            width=8,
        ).min(0),
        lines(
            "Late and left out",
            "Prompts that came after their window had closed, lay impossibly far ahead, or are of a bundle that the decider has not "
            "loaded. Late ones: is a tap or a partition slow? Far ahead: a clock.",
            "reqps",
            (q.per_second("tiltmeter_late_prompts_total", "model_name"), "late {{model_name}}"),
            (q.per_second("tiltmeter_refused_prompts_total", "model_name"), "too far ahead {{model_name}}"),
            (q.total("tiltmeter_unknown_bundle_prompts_total"), "unknown bundle"),
            runbook="TiltmeterBlind",
            width=8,
        ).min(0),
        lines(
            "Lost, or given another time",
            "Records gone from the topic before they were read (retention is too short, or the worker too slow), rejected ones that the "
            "dead-letter topic would not take, and records whose own time was not believed.",
            "reqps",
            (q.total("tiltmeter_lost_records_total"), "lost records"),
            (q.total("tiltmeter_lost_dead_letters_total"), "lost dead letters"),
            (q.total("tiltmeter_replaced_times_total"), "replaced times"),
            runbook="TiltmeterBlind",
            width=8,
        ).min(0),
        lines(
            "Repeats",
            "Posts left out because their idempotency key was already counted, by the worker and by the decider of a Kafka ledger, and "
            "times unflushed work was read again after an assignment change. None of them is a loss.",
            "ops",
            (q.total("tiltmeter_repeated_posts_total"), "posts, worker"),
            (q.total("tiltmeter_dropped_repeats_total"), "posts, decider"),
            (q.total("tiltmeter_rewinds_total"), "read again"),
            runbook="TiltmeterBlind",
            width=8,
        ).min(0),
        lines(
            "Tokens per prompt",
            "Mean length after truncation, and the share of prompts cut at the encoder's limit (right): what lies behind the cut is not "
            "seen.",
            "none",
            (q.ratio(q.per_second("tiltmeter_tokens_total", "model_name"), q.per_second(*prompts)), "{{model_name}}"),
            (q.ratio(q.per_second("tiltmeter_truncated_prompts_total", "model_name"), q.per_second(*prompts)), "{{model_name}} truncated"),
            runbook="TiltmeterDrift",
            width=8,
        )
        .min(0)
        .override_by_regexp(
            "/truncated$/",
            [
                models.DynamicConfigValue(id_val="unit", value="percentunit"),
                models.DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
            ],
        ),
    ]


def _cost() -> list[Panel]:
    batches = q.total("tiltmeter_batch_seconds_count", 'stage="score"')
    return [
        lines(
            "Time per batch, 95th percentile",
            "By stage, read off bucket edges. Score is the encoder; flush and checkpoint are the ledger; close is the decider.",
            "s",
            (q.quantile(0.95, "tiltmeter_batch_seconds", "stage"), "{{stage}}"),
            runbook="TiltmeterLag",
            width=8,
        ).min(0),
        lines(
            "Busy",
            "Part of the time that each stage is at work, of one thread; of several processes their sum. Score near 1 a worker: it is "
            "full.",
            "percentunit",
            (q.per_second("tiltmeter_batch_seconds_sum", "stage"), "{{stage}}"),
            runbook="TiltmeterLag",
            width=8,
        ).min(0),
        lines(
            "Prompts per batch",
            "How full batches are. 1 with lag: prompts come one by one, and the batch's waiting time is too short.",
            "none",
            (q.ratio(q.total("tiltmeter_prompts_total"), batches), "prompts"),
            runbook="TiltmeterLag",
            width=8,
        ).min(0),
        lines(
            "Memory",
            "Resident memory of the 20 largest processes. Steadily growing over days is a leak: report it.",
            "bytes",
            (q.most(q.process("process_resident_memory_bytes")), "{{instance}}"),
            runbook="TiltmeterDown",
            width=8,
        ).min(0),
        lines(
            "Processor",
            "Cores used by the 20 busiest processes. What a GPU does is not exported: take it from its own exporter.",
            "none",
            (q.most(f"rate({q.process('process_cpu_seconds_total')}[$__rate_interval])"), "{{instance}}"),
            runbook="TiltmeterDown",
            width=8,
        ).min(0),
        lines(
            "Windows",
            "Windows closed a second, those held open, and partitions that left the watermark because their worker fell silent. Open "
            "ones that grow: the watermark waits.",
            "none",
            (q.total("tiltmeter_closed_windows_total"), "closed a second"),
            (f"max({q.of('tiltmeter_open_windows')})", "open"),
            (q.total("tiltmeter_lost_partitions_total"), "lost partitions a second"),
            runbook="TiltmeterDeciderSilent",
            width=8,
        ).min(0),
    ]


def _marks() -> list[Panel]:
    return [
        lines(
            "Marks sent",
            "Annotations that stand in Grafana as they should, attempts that failed, and those given up. Nothing waits for them, and no "
            "verdict depends on them; docs/grafana.md tells what to look at.",
            "ops",
            (q.total("tiltmeter_annotations_sent_total"), "sent"),
            (q.total("tiltmeter_annotation_failures_total"), "failed"),
            (q.total("tiltmeter_annotations_dropped_total"), "given up"),
            runbook="how-to-read-a-page",
            none="annotations are off",
        ).min(0),
        lines(
            "Marks waiting",
            "Annotations that wait to be sent; at 500 the oldest is given up.",
            "none",
            (f"sum({q.of('tiltmeter_annotations_waiting')})", "waiting"),
            runbook="how-to-read-a-page",
            none="annotations are off",
        ).min(0),
    ]


def build() -> models.Dashboard:
    """The dashboard."""
    content = {
        "The monitor itself": _blind(),
        "Lag": _lag(),
        "In, scored, left out": _flow(),
        "Time, memory, ledger": _cost(),
        "Probes": asking.panels(),
        "Marks in Grafana": _marks(),
    }
    return page.assemble(UID, "Tiltmeter / Pipeline", "pipeline.py", content)
