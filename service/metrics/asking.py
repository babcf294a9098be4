"""What is exported of asking canary probes: counted by the process that asks since it started, and what is left of its budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from service.metrics.definition import Definition, Sample
from service.metrics.timing import OF_ANSWERS, Timing
from service.records.probes import Error, Outcome

DIRECTIONS = ("input", "output")
VERDICTS = ("complete", "errors", "budget", "cancelled")
"""What a round ended as: all but the first are inconclusive."""

ERRORS = tuple(error for error in get_args(Error) if error not in ("budget", "cancelled"))
"""What can be wrong with a request; the others were never sent."""

Suite = tuple[str, str, str]
"""Model, target and suite."""

_SUITE = ("model_name", "target", "suite")
_ROLE = ("model_name", "target", "role")
_ITEMS = (*_ROLE, "suite", "kind")

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "tiltmeter_probe_results_total",
        "counter",
        "Answers by outcome; attempts of attacks are pass and fail, successes are fail.",
        (*_ITEMS, "category", "outcome"),
    ),
    Definition("tiltmeter_probe_failures_total", "counter", "Failed answers by how they failed.", (*_ITEMS, "failure_kind")),
    Definition(
        "tiltmeter_probe_ended_rounds_total", "counter", "Rounds that ended, complete or inconclusive for a reason.", (*_SUITE, "verdict")
    ),
    Definition("tiltmeter_probe_skipped_questions_total", "counter", "Questions of rounds that were not begun.", (*_SUITE, "reason")),
    Definition(
        "tiltmeter_probe_missed_rounds",
        "gauge",
        "Scheduled rounds that the decider has not been told of since the newest one, complete or not; active decider only.",
        _SUITE,
    ),
    Definition("tiltmeter_probe_requests_total", "counter", "Requests sent to an endpoint, retries included.", _ROLE),
    Definition("tiltmeter_probe_retries_total", "counter", "Requests that were sent again.", _ROLE),
    Definition("tiltmeter_probe_request_errors_total", "counter", "Calls that ended without an answer.", (*_ROLE, "error")),
    Definition("tiltmeter_probe_suspect_cached_total", "counter", "Answers that seem to come from a cache.", _ROLE),
    Definition("tiltmeter_probe_tokens_total", "counter", "Tokens sent and answered.", (*_ROLE, "direction")),
    Definition("tiltmeter_probe_money_total", "counter", "What they cost, in the currency of the prices.", (*_ROLE, "direction")),
    Definition("tiltmeter_probe_answer_seconds", "histogram", "Time to the end of an answer.", _ROLE),
    Definition("tiltmeter_probe_first_token_seconds", "histogram", "Time to the first token of a streamed answer.", _ROLE),
    Definition(
        "tiltmeter_probe_budget_remaining_ratio",
        "gauge",
        "Part of a day's limit that is left until midnight UTC; absent without a limit; active decider only.",
        (*_ROLE, "budget"),
    ),
    Definition("tiltmeter_probe_judge_unparsed_total", "counter", "Labelled answers of which a judge said nothing readable.", ("judge",)),
)


@dataclass(frozen=True, slots=True)
class EndpointReading:
    """One endpoint: what it was asked since the process started.

    Attributes:
        model_name: the model that it is asked for; empty for a judge, which may serve several.
        role: live, base, previous, fallback or judge.
        tokens, money: by direction. errors: by class.
        left: budget (calls, tokens, money) -> part that is left, where it is limited; empty where another process asks.
    """

    model_name: str
    target: str
    role: str
    requests: int = 0
    retries: int = 0
    suspect_cached: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict)
    money: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    answers: Timing = OF_ANSWERS
    first_tokens: Timing = OF_ANSWERS
    left: Mapping[str, float] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str, str]:
        """Its labels."""
        return self.model_name, self.target, self.role


@dataclass(frozen=True, slots=True)
class AskedReading:
    """Everything that is exported of asking.

    Attributes:
        suites: those that are asked. results, failures: by the labels of their metrics.
        rounds: (model, target, suite, verdict) -> how many; skipped: likewise by reason.
        missed: rounds that nobody was told of; empty where another process asks.
        unparsed: judge -> labelled answers.
    """

    suites: Sequence[Suite] = ()
    results: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    failures: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    rounds: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    skipped: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    missed: Mapping[Suite, int] = field(default_factory=dict)
    endpoints: Sequence[EndpointReading] = ()
    unparsed: Mapping[str, int] = field(default_factory=dict)


def samples(reading: AskedReading) -> dict[str, list[Sample]]:
    """Samples by metric name, histograms left out. Every outcome of a category is there as soon as one is."""
    categories = dict.fromkeys(place[:-1] for place in reading.results)
    ends = reading.endpoints
    return {
        "tiltmeter_probe_results_total": [
            ((*place, outcome), float(reading.results.get((*place, outcome), 0))) for place in categories for outcome in get_args(Outcome)
        ],
        "tiltmeter_probe_failures_total": [(place, float(count)) for place, count in reading.failures.items()],
        "tiltmeter_probe_ended_rounds_total": _known(reading.suites, VERDICTS, reading.rounds),
        "tiltmeter_probe_skipped_questions_total": _known(reading.suites, ("budget",), reading.skipped),
        "tiltmeter_probe_missed_rounds": [(suite, float(missed)) for suite, missed in reading.missed.items()],
        "tiltmeter_probe_requests_total": [(end.place, float(end.requests)) for end in ends],
        "tiltmeter_probe_retries_total": [(end.place, float(end.retries)) for end in ends],
        "tiltmeter_probe_request_errors_total": [
            ((*end.place, error), float(end.errors.get(error, 0))) for end in ends for error in ERRORS
        ],
        "tiltmeter_probe_suspect_cached_total": [(end.place, float(end.suspect_cached)) for end in ends],
        "tiltmeter_probe_tokens_total": [((*end.place, each), float(end.tokens.get(each, 0))) for end in ends for each in DIRECTIONS],
        "tiltmeter_probe_money_total": [((*end.place, each), end.money.get(each, 0.0)) for end in ends for each in DIRECTIONS],
        "tiltmeter_probe_budget_remaining_ratio": [((*end.place, each), left) for end in ends for each, left in end.left.items()],
        "tiltmeter_probe_judge_unparsed_total": [((judge,), float(count)) for judge, count in reading.unparsed.items()],
    }


def timings(reading: AskedReading) -> dict[str, dict[tuple[str, ...], Timing]]:
    """Histograms by metric name, then by labels."""
    return {
        "tiltmeter_probe_answer_seconds": {end.place: end.answers for end in reading.endpoints},
        "tiltmeter_probe_first_token_seconds": {end.place: end.first_tokens for end in reading.endpoints},
    }


def _known(suites: Sequence[Suite], values: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> list[Sample]:
    """Every suite with every value from the first scrape on, and whatever else was counted."""
    known = dict.fromkeys([*((*suite, value) for suite in suites for value in values), *counts])
    return [(place, float(counts.get(place, 0))) for place in known]
