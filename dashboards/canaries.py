"""What the on-call's page shows of canary probes."""

from dashboards import queries as q
from dashboards.panels import MODEL, PROBE_STATES, VERDICTS, Panel, column, leads, lines, rows

_CANARY = "{{model_name}} {{suite}} {{category}}"


def panels() -> list[Panel]:
    """Table, attacks, base model, gates, rounds, budgets."""

    def now(name: str, *where: str) -> str:
        return q.largest(f"tiltmeter_probe_{name}", *q.PROBE, where=where)

    panel = rows(
        "Suites and categories",
        "Every suite and category: share of bad answers with its 95% interval, the record it is held against, and the evidence of a "
        "change. Insufficient or blind is not a pass. Click a category for its history; which answers are bad: `GET /v1/probes/results`.",
        (q.PROBE_STATE, "state"),
        (now("bad_share_ratio"), "bad"),
        (now("bad_share_lower_ratio"), "at least"),
        (now("bad_share_upper_ratio"), "at most"),
        (now("record_share_ratio"), "record"),
        (now("evidence_log10", 'level="page"'), "evidence"),
        (now("evidence_threshold_log10", 'level="page"'), "page at"),
        runbook="TiltmeterBehaviour",
        none="no probes",
        height=10,
    )
    panel = column(panel, "state", codes=PROBE_STATES)
    for name in ("bad", "at least", "at most", "record"):
        panel = column(panel, name, unit="percentunit", decimals=1)
    fields = ("model_name", "target", "suite", "category")
    panel = leads(panel, "suite", "This suite", MODEL, **{name: f"${{__data.fields.{name}:percentencode}}" for name in fields[:3]})
    panel = leads(panel, "category", "This category", MODEL, **{name: f"${{__data.fields.{name}:percentencode}}" for name in fields})
    return [panel, *_attacks(), *_asking()]


def _attacks() -> list[Panel]:
    category = ("model_name", "target", "suite", "category")
    live = q.largest("tiltmeter_probe_bad_share_ratio", *category, where=['stream=~"probe|probe_paired"'])
    return [
        lines(
            "Attack success",
            "Attacks that succeeded, of suites of attacks, over `probes.period`. The record is in the table above; the base model "
            "beside it.",
            "percentunit",
            (q.largest("tiltmeter_probe_attack_success_ratio", *category), _CANARY),
            runbook="TiltmeterSafety",
            none="no suite of attacks",
        )
        .min(0)
        .max(1),
        lines(
            "Live beside base",
            "Share of bad answers of the live model less that of the base model on the same items in the same rounds. Above 0: "
            "fine-tuning or what was released since has made it worse there. Both risen alike: look at the prompt template and the "
            "graders first.",
            "percentunit",
            (f"{live} - {q.largest('tiltmeter_probe_base_share_ratio', *category)}", _CANARY),
            runbook="TiltmeterBehaviour",
            none="no base model is asked",
        ),
    ]


def _asking() -> list[Panel]:
    gates = rows(
        "Gates",
        "What each gate says now, by stage of the release. Inconclusive is no pass: `GET /v1/gates/NAME` has the reasons.",
        (q.coded("tiltmeter_gate_verdict", "verdict", [text for text, _ in VERDICTS], "model_name", "gate", "stage"), "verdict"),
        runbook="TiltmeterBehaviour",
        none="no gates",
        width=8,
        height=6,
    )
    suite = ("model_name", "target", "suite")
    rounds = rows(
        "Rounds",
        "Since the newest round of each suite ended, complete or not, and scheduled rounds that are missing since. 3 missing: nobody asks.",
        (q.age("tiltmeter_probe_last_round_timestamp_seconds", *suite), "last round"),
        (q.largest("tiltmeter_probe_missed_rounds", *suite), "missing"),
        runbook="TiltmeterProbesSilent",
        none="no probes",
        width=8,
        height=6,
    )
    budget = lines(
        "Budget left today",
        "Part of a day's calls, tokens and money that is left until midnight UTC, where there is a limit. Under 5% rounds are left out.",
        "percentunit",
        (q.largest("tiltmeter_probe_budget_remaining_ratio", *q.ENDPOINT, "budget"), "{{target}} {{role}} {{budget}}"),
        runbook="TiltmeterProbeBudget",
        none="no limits",
        width=8,
        height=6,
    )
    return [column(gates, "verdict", codes=VERDICTS), column(rounds, "last round", unit="s"), budget.min(0).max(1)]
