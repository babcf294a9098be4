"""One model to dig in: by stream and slice what its prompts do, by suite and category what it answers, and what waits in its shadow."""

from grafana_foundation_sdk.models import dashboard as models

from dashboards import page
from dashboards import queries as q
from dashboards.panels import MODEL, PROBE_STATES, STATES, Panel, column, dashed, hourly, lines, rows, timeline
from service.metrics import SHADOW_STAGES

UID = MODEL

_STREAM = "{{model_name}} {{slice}} {{stream}}"
_PROBE = "{{model_name}} {{target}} {{suite}} {{category}} {{stream}}"
_STAGES = tuple(zip(SHADOW_STAGES, ("text", "text", "blue", "orange", "light-blue", "green"), strict=True))


def _deep(name: str, *by: str) -> str:
    return q.largest(name, *by, select=q.chosen)


def _probe(name: str) -> str:
    return _deep(f"tiltmeter_probe_{name}", *q.PROBE)


def _what() -> list[Panel]:
    model = rows(
        "Model",
        "The bundle that the prompts are compared with, and who owns the model. Another bundle than you expect: `tiltmeter bundle list`.",
        (q.largest("tiltmeter_model_info", "model_name", "owner", "bundle", "encoder"), "in force"),
        runbook="how-to-read-a-page",
        width=12,
        height=5,
    )
    since = rows(
        "Verdicts",
        "Since the newest judged window of each model ended; and 1 where a person should accept a baseline "
        "(docs/runbooks/TiltmeterStaleReference.md).",
        (q.age("tiltmeter_last_verdict_timestamp_seconds", "model_name"), "newest verdict"),
        (q.largest("tiltmeter_baseline_wanted", "model_name"), "baseline wanted"),
        runbook="TiltmeterVerdictsLate",
        width=12,
        height=5,
    )
    return [model, column(since, "newest verdict", unit="s")]


def _streams() -> list[Panel]:
    share = lines(
        "Share by stream and slice",
        "Share that the stream is about in each window, and the share it is tested against, dashed. What each stream sees: "
        "docs/concepts.md.",
        "percentunit",
        (_deep("tiltmeter_flagged_share_ratio", *q.STREAM), _STREAM),
        (_deep("tiltmeter_reference_share_ratio", *q.STREAM), f"{_STREAM} reference"),
        runbook="TiltmeterDrift",
    )
    evidence = lines(
        "Evidence by stream and slice",
        "log10 of the evidence, and the thresholds that the budgets buy, dashed. A stream without a threshold for pages may not page.",
        "none",
        (_deep("tiltmeter_evidence_log10", *q.STREAM, "level"), f"{_STREAM} {{{{level}}}}"),
        (_deep("tiltmeter_evidence_threshold_log10", *q.STREAM, "level"), f"{_STREAM} {{{{level}}}} threshold"),
        runbook="TiltmeterDrift",
    )
    return [
        timeline(
            "State by stream and slice",
            "How much each stream knows. Nothing but ok means fine.",
            STATES,
            (q.coded("tiltmeter_stream_state", "state", [text for text, _ in STATES], *q.STREAM, select=q.chosen), _STREAM),
            runbook="TiltmeterDrift",
        ),
        dashed(share.min(0), "reference"),
        dashed(evidence.min(0), "threshold"),
        hourly(
            "Incidents opened a day",
            "By stream and level, at the pace of the last hour. One that opens again and again: accept a baseline, or it is real.",
            "none",
            (f"{q.per_second('tiltmeter_incidents_total', *q.STREAM, 'level', select=q.chosen)} * 86400", f"{_STREAM} {{{{level}}}}"),
            runbook="how-to-read-a-page",
        ),
        lines(
            "Promise by stream and slice",
            "1 where the replay of the accepted baseline keeps the budget of false pages. 0: this stream opens tickets only.",
            "none",
            (q.smallest("tiltmeter_promise_kept", *q.STREAM, select=q.chosen), _STREAM),
            runbook="TiltmeterPromiseBroken",
            none="no accepted baseline",
        )
        .min(0)
        .max(1),
    ]


def _answers() -> list[Panel]:
    bad = lines(
        "Bad answers",
        "Share of bad answers with its 95% interval, dotted, and what it is tested against, dashed. Wide intervals: too few answers, ask "
        "more items or wait.",
        "percentunit",
        (_probe("bad_share_ratio"), _PROBE),
        (_probe("bad_share_lower_ratio"), f"{_PROBE} at least"),
        (_probe("bad_share_upper_ratio"), f"{_PROBE} at most"),
        (_probe("null_ratio"), f"{_PROBE} tested against"),
        runbook="TiltmeterBehaviour",
        none="no probes",
    )
    evidence = lines(
        "Evidence by suite and category",
        "log10 of the evidence, and the thresholds, dashed. A suite without a threshold for pages may not page.",
        "none",
        (_deep("tiltmeter_probe_evidence_log10", *q.PROBE, "level"), f"{_PROBE} {{{{level}}}}"),
        (_deep("tiltmeter_probe_evidence_threshold_log10", *q.PROBE, "level"), f"{_PROBE} {{{{level}}}} threshold"),
        runbook="TiltmeterBehaviour",
    )
    dotted = [models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dot", "dash": [0, 6]})]
    return [
        timeline(
            "State by suite and category",
            "How much each stream of probes knows. Blind: no round came for three intervals. Nothing but ok means fine.",
            PROBE_STATES,
            (q.coded("tiltmeter_probe_state", "state", [text for text, _ in PROBE_STATES], *q.PROBE, select=q.chosen), _PROBE),
            runbook="TiltmeterBehaviour",
            none="no probes",
            height=8,
        ),
        dashed(bad.min(0).override_by_regexp("/at (least|most)$/", dotted), "tested against"),
        dashed(evidence.min(0), "threshold"),
        *_beside(),
        *_told(),
    ]


def _beside() -> list[Panel]:
    category = "model_name", "target", "suite", "category"
    base = lines(
        "Base model and record",
        "Share of bad answers of the base model on the same items in the same rounds, and of the accepted record, dashed. Risen like the "
        "live model's: a template, a grader or the platform, not the weights.",
        "percentunit",
        (_deep("tiltmeter_probe_base_share_ratio", *category), "{{model_name}} {{suite}} {{category}} base"),
        (_probe("record_share_ratio"), f"{_PROBE} record"),
        runbook="TiltmeterBehaviour",
        none="no base model is asked",
    )
    return [
        dashed(base.min(0), "record"),
        lines(
            "Groups",
            "Largest difference of bad shares between two groups of a fairness suite.",
            "percentunit",
            (_deep("tiltmeter_probe_group_gap_ratio", "model_name", "target", "suite"), "{{model_name}} {{target}} {{suite}}"),
            runbook="TiltmeterSafety",
            none="no suite of fairness",
        ).min(0),
        rows(
            "What it rests on",
            "Complete rounds since the model that answers now began to, answers of the record, and answers of a model that is on trial.",
            (_probe("rounds"), "rounds"),
            (_probe("record_answers"), "record"),
            (_probe("trial_answers"), "on trial"),
            runbook="TiltmeterBehaviour",
            width=12,
        ),
    ]


def _told() -> list[Panel]:
    where = "{{model_name}} {{role}} {{suite}}"
    return [
        hourly(
            "Answers an hour",
            "By role and outcome. Unscored and error are no pass: a rise of either is a grader's or an endpoint's trouble.",
            "none",
            (
                f"{q.per_second('tiltmeter_probe_results_total', 'model_name', 'role', 'suite', 'outcome', select=q.chosen)} * 3600",
                f"{where} {{{{outcome}}}}",
            ),
            runbook="TiltmeterGradersFailing",
        ),
        hourly(
            "How answers fail",
            "Failed answers an hour, by how they failed. Which ones: `GET /v1/probes/results`, with the token.",
            "none",
            (
                f"{q.per_second('tiltmeter_probe_failures_total', 'model_name', 'role', 'suite', 'failure_kind', select=q.chosen)} * 3600",
                f"{where} {{{{failure_kind}}}}",
            ),
            runbook="TiltmeterBehaviour",
            width=24,
        ),
    ]


def _shadow() -> list[Panel]:
    return [
        timeline(
            "Stage of the shadow",
            "How much the second bundle's record carries. Promote it when full.",
            _STAGES,
            (q.coded("tiltmeter_shadow_stage", "stage", SHADOW_STAGES, "model_name"), "{{model_name}}"),
            runbook="TiltmeterDrift",
            none="no shadow",
            height=4,
        ),
        lines(
            "Strange to the shadow",
            "Share that the shadow finds strange in the newest window: compare it with `ood_share` above.",
            "percentunit",
            (q.largest("tiltmeter_shadow_strange_share_ratio", "model_name"), "{{model_name}}"),
            runbook="TiltmeterDrift",
            none="no shadow",
            width=6,
        ).min(0),
        hourly(
            "Would have opened a day",
            "Incidents that the shadow would have opened, at the pace of the last hour.",
            "none",
            (f"{q.per_second('tiltmeter_shadow_incidents_total', 'model_name', 'level')} * 86400", "{{model_name}} {{level}}"),
            runbook="TiltmeterDrift",
            none="no shadow",
            width=6,
        ),
        lines(
            "Promise of the shadow",
            "1 where the shadow's accepted baseline keeps the budget of false pages, by stream.",
            "none",
            (q.smallest("tiltmeter_shadow_promise_kept", "model_name", "stream"), "{{model_name}} {{stream}}"),
            runbook="TiltmeterPromiseBroken",
            none="no shadow",
            width=6,
        )
        .min(0)
        .max(1),
        rows(
            "Bundle in the shadow",
            "The second bundle of each model; `tiltmeter bundle list` tells how it does.",
            (q.largest("tiltmeter_shadow_info", "model_name", "bundle"), "here"),
            runbook="TiltmeterDrift",
            none="no shadow",
            width=6,
        ),
    ]


def build() -> models.Dashboard:
    """The dashboard."""
    content = {"": _what(), "Prompts": _streams(), "Answers": _answers(), "Shadow": _shadow()}
    return page.assemble(UID, "Tiltmeter / Model", "model.py", content, deeper=True)
