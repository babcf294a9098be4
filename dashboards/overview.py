"""The on-call engineer's page: must somebody get up, since when, how sure, where, and is the monitor itself alive."""

from collections.abc import Sequence

from grafana_foundation_sdk.models import dashboard as models

from dashboards import canaries, page
from dashboards import queries as q
from dashboards.panels import (
    BAD,
    GOOD,
    MODEL,
    PIPELINE,
    QUIET,
    STATES,
    UNKNOWN,
    WARN,
    Panel,
    coloured,
    column,
    dashed,
    leads,
    lines,
    link,
    rows,
    steps,
    tile,
    timeline,
)

UID = "tiltmeter-overview"

SEVERITIES = (("nobody", GOOD), ("ticket", WARN), ("PAGE", BAD), ("blind", UNKNOWN), ("learning or idle", QUIET))


def _now() -> list[Panel]:
    severity = tile(
        "Must somebody get up?",
        "Severity by model and kind of trouble, with the model's owner. Nobody must, and green: only where something is judged. Blind: the "
        "monitor cannot see, and nothing means nothing. PAGE: read the incident, then the alert's own runbook. Click for the model's page.",
        "none",
        (q.SEVERITY, "{{model_name}} {{kind}} ({{owner}})"),
        runbook="how-to-read-a-page",
        width=24,
        none="no decider",
    )
    pages, tickets = (q.of("tiltmeter_incidents_open", f'level="{level}"') for level in ("page", "ticket"))
    return [
        severity.mappings(coloured(SEVERITIES)).data_links([link("Model", MODEL, model_name="${__field.labels.model_name:percentencode}")]),
        tile(
            "Open pages",
            "Incidents at level page that nobody has closed. Acknowledge on the status page or with `tiltmeter incident ack`.",
            "none",
            (f"sum({pages})", ""),
            runbook="how-to-read-a-page",
        ).thresholds(steps((None, QUIET), (1, BAD))),
        tile(
            "Open tickets",
            "Incidents at level ticket. Nobody must get up for one.",
            "none",
            (f"sum({tickets})", ""),
            runbook="how-to-read-a-page",
        ).thresholds(steps((None, QUIET), (1, WARN))),
        tile(
            "Newest verdict",
            "Age of the newest judged window. Over 15 minutes nothing is being judged: see the row about the monitor itself.",
            "s",
            (q.age("tiltmeter_last_verdict_timestamp_seconds", "model_name"), "{{model_name}}"),
            runbook="TiltmeterVerdictsLate",
        ).thresholds(steps((None, QUIET), (900, UNKNOWN))),
        tile(
            "Active deciders",
            "Processes that decide. 0: nobody judges. More than 1: two configurations in one Prometheus job.",
            "none",
            (f"sum({q.of('tiltmeter_decider_active')})", ""),
            runbook="TiltmeterUndecided",
        ).thresholds(steps((None, UNKNOWN), (1, QUIET), (2, WARN))),
    ]


def _open() -> list[Panel]:
    begun = q.largest("tiltmeter_incident_change_timestamp_seconds", "model_name", "kind")
    labels = "model_name", "kind", "model_owner", "incident", "what"
    incidents = rows(
        "What is open",
        "The open incident that sets the severity of each kind of trouble: what changed, whose model it is, and since when, as estimated. "
        "More of it: `tiltmeter incident show ID`, or the status page. Empty: nothing is open.",
        (f"{q.largest('tiltmeter_incident_info', *labels)} * on (model_name, kind) group_left () {begun} * 1000", "changed at"),
        runbook="how-to-read-a-page",
        width=16,
        height=6,
        none="nothing is open",
    )
    deployed = rows(
        "Last deployments",
        "The last announced deployment of each model. One shortly before the change is the first suspect.",
        (f"{q.largest('tiltmeter_deployment_timestamp_seconds', 'model_name', 'revision')} * 1000", "at"),
        runbook="how-to-read-a-page",
        width=8,
        height=6,
        none="none was announced",
    )
    return [column(incidents, "changed at", unit="dateTimeAsIso"), column(deployed, "at", unit="dateTimeAsIso")]


def _benign() -> list[Panel]:
    """Over 14 days, whatever is shown: Prometheus keeps 15 unless told otherwise."""
    found: list[Panel] = []
    for level in ("page", "ticket"):
        closed = q.of("tiltmeter_closed_incidents_total", f'level="{level}"', 'verdict="benign"')
        worth = q.of("tiltmeter_budget_seconds", f'level="{level}"')
        panel = tile(
            f"Benign {level}s",
            f"{level.capitalize()}s closed as benign in 14 days, beside the false ones that the budget accepts in that time, all models "
            "together. Many more of them: accept a baseline of ordinary days. It is as true as incidents are closed as what they were.",
            "none",
            (f"sum(increase({closed}[$__range]))", "benign"),
            (f"$__range_s / max({worth})", "accepted"),
            runbook="how-to-read-a-page",
        )
        found.append(panel.decimals(2).time_from("14d"))
    return found


def _trend() -> list[Panel]:
    name = "{{model_name}} {{slice}} {{stream}}"
    share = lines(
        "Flagged share",
        "Share that each stream is about in each window, and the share it is tested against, minimum effect included, dashed. Wide "
        "swings with few prompts are chance: the evidence beside it takes that into account.",
        "percentunit",
        (q.largest("tiltmeter_flagged_share_ratio", *q.STREAM), name),
        (q.largest("tiltmeter_reference_share_ratio", *q.STREAM), f"{name} reference"),
        runbook="TiltmeterDrift",
    )
    evidence = lines(
        "Evidence of a change",
        "log10 of the evidence for tickets and for pages, and the thresholds that the budgets buy, dashed. A crossing spends the "
        "evidence: the line falls to 0 and an incident opens. That is no recovery: look for it at the share.",
        "none",
        (q.largest("tiltmeter_evidence_log10", *q.STREAM, "level"), f"{name} {{{{level}}}}"),
        (q.largest("tiltmeter_evidence_threshold_log10", *q.STREAM, "level"), f"{name} {{{{level}}}} threshold"),
        runbook="TiltmeterDrift",
    )
    return [
        timeline(
            "State of every stream",
            "How much each stream knows. Insufficient: little to see; blind: the monitor cannot see; idle: nothing comes. None of the "
            "three means fine.",
            STATES,
            (q.STATE, name),
            runbook="TiltmeterDrift",
        ),
        dashed(share.min(0), "reference"),
        dashed(evidence.min(0), "threshold"),
        lines(
            "Prompts",
            "Prompts scored and counted: how much the shares above rest on. A fall to 0 is the tap's or the application's, not the "
            "model's.",
            "reqps",
            (q.per_second("tiltmeter_prompts_total", "model_name"), "{{model_name}}"),
            runbook="TiltmeterBlind",
            width=24,
            height=5,
        ).min(0),
    ]


def _slices() -> list[Panel]:
    def now(name: str, *matchers: str) -> str:
        return q.with_choice(q.largest(name, *q.STREAM, where=matchers, select=q.all_slices))

    codes = [text for text, _ in STATES]
    state = q.with_choice(q.coded("tiltmeter_stream_state", "state", codes, *q.STREAM, select=q.all_slices))
    panel = rows(
        "Slices",
        "Every stream of every slice, whatever is chosen above; an empty slice is the whole model. Of equal evidence the whole model tells "
        "more. Click a slice or a stream for its history.",
        (state, "state"),
        (now("tiltmeter_flagged_share_ratio"), "share"),
        (now("tiltmeter_reference_share_ratio"), "reference"),
        (now("tiltmeter_evidence_log10", 'level="page"'), "evidence"),
        (now("tiltmeter_evidence_threshold_log10", 'level="page"'), "page at"),
        runbook="TiltmeterDrift",
        hidden=["choice"],
    )
    panel = column(panel, "state", codes=STATES)
    for name in ("share", "reference"):
        panel = column(panel, name, unit="percentunit", decimals=1)
    for name in ("evidence", "page at"):
        panel = column(panel, name, unit="none", decimals=2)
    chosen = {"model_name": "${__data.fields.model_name:percentencode}", "slice": "${__data.fields.choice:percentencode}"}
    for name in ("slice", "stream"):  # that of the whole model is empty, and nobody can click on nothing
        panel = leads(panel, name, "This stream", MODEL, **chosen, stream="${__data.fields.stream:percentencode}")
    return [panel]


def _monitor() -> list[Panel]:
    return [
        lines(
            "Behind",
            "How far event time lies behind the clock: the decider's watermark, and the slowest worker's input. Growing: the Pipeline "
            "dashboard tells which stage.",
            "s",
            (f"time() - max({q.of('tiltmeter_watermark_timestamp_seconds')})", "watermark"),
            (f"time() - min({q.of('tiltmeter_source_timestamp_seconds')})", "slowest input"),
            runbook="TiltmeterLag",
            width=8,
        )
        .min(0)
        .data_links([link("Pipeline", PIPELINE)]),
        lines(
            "Left out",
            "Prompts that came too late, too far ahead or of an unknown bundle, and records that were lost: what is judged is less than "
            "what was asked.",
            "reqps",
            (q.per_second("tiltmeter_late_prompts_total", "model_name"), "late {{model_name}}"),
            (q.per_second("tiltmeter_refused_prompts_total", "model_name"), "too far ahead {{model_name}}"),
            (q.total("tiltmeter_unknown_bundle_prompts_total"), "unknown bundle"),
            (q.total("tiltmeter_lost_records_total"), "lost"),
            runbook="TiltmeterBlind",
            width=8,
        ).min(0),
        lines(
            "Promise of pages",
            "1 while the replay of the accepted baseline keeps the budget of false pages; 0: a stream of the model opens tickets only, "
            "because the days it was accepted from would have paged oftener. Accept a baseline of quieter days.",
            "none",
            (q.smallest("tiltmeter_promise_kept", "model_name"), "{{model_name}}"),
            runbook="TiltmeterPromiseBroken",
            none="no accepted baseline",
            width=8,
        )
        .min(0)
        .max(1),
    ]


def build() -> models.Dashboard:
    """The dashboard."""
    content: dict[str, Sequence[Panel]] = {
        "": [*_now(), *_benign(), *_open()],
        "Trend": _trend(),
        "Where": _slices(),
        "Canaries": canaries.panels(),
        "The monitor itself": _monitor(),
    }
    return page.assemble(UID, "Tiltmeter / Overview", "overview.py", content)
