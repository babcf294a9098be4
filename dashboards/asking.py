"""What the operator's page shows of asking probes: requests, errors, tokens, money, rounds, judges."""

from dashboards import queries as q
from dashboards.panels import Panel, dashed, hourly, lines

_END = "{{model_name}} {{target}} {{role}}"
_SUITE = "{{model_name}} {{suite}}"


def panels() -> list[Panel]:
    """All of them, in reading order."""
    return [*_calls(), *_spent(), *_rounds()]


def _calls() -> list[Panel]:
    requests = hourly(
        "Requests",
        "Requests to each endpoint, retries included; retries by themselves are dashed.",
        "reqps",
        (q.per_second("tiltmeter_probe_requests_total", *q.ENDPOINT), _END),
        (q.per_second("tiltmeter_probe_retries_total", *q.ENDPOINT), f"{_END} retries"),
        runbook="TiltmeterEndpointFailing",
        none="no probes",
        width=8,
    )
    errors = hourly(
        "Errors",
        "Calls that ended without an answer, by class (docs/targets.md), and answers that seem to come from a cache. What is missing is "
        "never a pass.",
        "reqps",
        (q.per_second("tiltmeter_probe_request_errors_total", *q.ENDPOINT, "error"), f"{_END} {{{{error}}}}"),
        (q.per_second("tiltmeter_probe_suspect_cached_total", *q.ENDPOINT), f"{_END} cached"),
        runbook="TiltmeterEndpointFailing",
        none="no probes",
        width=8,
    )
    times = hourly(
        "Time to answer",
        "95th percentile of the time to the end of an answer, and to the first token of a streamed one, dashed.",
        "s",
        (q.quantile(0.95, "tiltmeter_probe_answer_seconds", *q.ENDPOINT), _END),
        (q.quantile(0.95, "tiltmeter_probe_first_token_seconds", *q.ENDPOINT), f"{_END} first token"),
        runbook="TiltmeterEndpointFailing",
        none="no probes",
        width=8,
    )
    return [dashed(requests, "retries"), errors, dashed(times, "first token")]


def _spent() -> list[Panel]:
    return [
        hourly(
            "Tokens an hour",
            "Tokens sent and answered. Many more answered than before: the model talks, or the limit of an answer was raised.",
            "short",
            (f"{q.per_second('tiltmeter_probe_tokens_total', *q.ENDPOINT, 'direction')} * 3600", f"{_END} {{{{direction}}}}"),
            runbook="TiltmeterProbeBudget",
            width=8,
        ),
        hourly(
            "Money a day",
            "What probing costs at this pace, in the currency of the prices; 0 without prices.",
            "none",
            (f"{q.per_second('tiltmeter_probe_money_total', *q.ENDPOINT)} * 86400", _END),
            runbook="TiltmeterProbeBudget",
            width=8,
        ),
        lines(
            "Budget left today",
            "Part of a day's calls, tokens and money that is left until midnight UTC, where there is a limit. Under 5% rounds are left "
            "out.",
            "percentunit",
            (q.largest("tiltmeter_probe_budget_remaining_ratio", *q.ENDPOINT, "budget"), f"{_END} {{{{budget}}}}"),
            runbook="TiltmeterProbeBudget",
            none="no limits",
            width=8,
        )
        .min(0)
        .max(1),
    ]


def _rounds() -> list[Panel]:
    suite = "model_name", "suite"
    return [
        hourly(
            "Rounds an hour",
            "Rounds that ended, complete or inconclusive for a reason; an inconclusive round is no evidence.",
            "none",
            (f"{q.per_second('tiltmeter_probe_ended_rounds_total', *suite, 'verdict')} * 3600", f"{_SUITE} {{{{verdict}}}}"),
            runbook="TiltmeterProbesSilent",
            width=8,
        ),
        hourly(
            "Questions left out",
            "Questions an hour of rounds that were not begun, by reason, and scheduled rounds that the decider was told nothing of.",
            "none",
            (f"{q.per_second('tiltmeter_probe_skipped_questions_total', *suite, 'reason')} * 3600", f"{_SUITE} {{{{reason}}}}"),
            (q.largest("tiltmeter_probe_missed_rounds", *suite), f"{_SUITE} rounds missing"),
            runbook="TiltmeterProbesSilent",
            width=8,
        ),
        hourly(
            "Judges",
            "Share of its labelled answers that each judge got right, and labelled answers an hour of which it said nothing readable.",
            "none",
            (q.largest("tiltmeter_probe_judge_agreement_ratio", "judge"), "{{judge}} right"),
            (f"{q.per_second('tiltmeter_probe_judge_unparsed_total', 'judge')} * 3600", "{{judge}} unreadable"),
            runbook="TiltmeterGradersFailing",
            none="no judges",
            width=8,
        ),
    ]
