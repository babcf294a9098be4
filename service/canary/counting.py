"""What this process has asked since it started, as counters."""

from collections import Counter
from collections.abc import Sequence

from service.records.probes import ProbeResult, Round

Place = tuple[str, str, str, str, str]
"""Target, role, suite, kind, category."""


class Totals:
    """Counters for /metrics. Written by the runner's thread, read by any.

    Attributes:
        outcomes: by place and outcome. failures: by place and kind of failure. errors: by target and error.
        rounds: by model, target, suite and ``complete`` or the reason. skipped: questions not asked, by model, target, suite and reason.
        retries, suspect, tokens_in, tokens_out, money: by target.
        late: longest delay of a round behind its schedule, in seconds, those begun at the start of the process left out.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[Place, str]] = Counter()
        self.failures: Counter[tuple[Place, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.rounds: Counter[tuple[str, str, str, str]] = Counter()
        self.skipped: Counter[tuple[str, str, str, str]] = Counter()
        self.retries: Counter[str] = Counter()
        self.suspect: Counter[str] = Counter()
        self.tokens_in: Counter[str] = Counter()
        self.tokens_out: Counter[str] = Counter()
        self.money: dict[str, float] = {}
        self.late = 0.0

    def results(self, results: Sequence[ProbeResult]) -> None:
        """Count graded answers."""
        for result in results:
            place = result.target, result.role, result.suite, result.kind, result.category
            self.outcomes[place, result.outcome] += 1
            if result.failure:
                self.failures[place, result.failure] += 1
            if result.error:
                self.errors[result.target, result.error] += 1
            self.retries[result.target] += max(result.attempts - 1, 0)
            self.suspect[result.target] += result.suspect_cached
            self.tokens_in[result.target] += result.tokens_in
            self.tokens_out[result.target] += result.tokens_out
            self.money[result.target] = self.money.get(result.target, 0.0) + result.cost

    def round(self, round: Round) -> None:
        """Count a round that ended."""
        self.rounds[round.model_name, round.target, round.suite, "complete" if round.complete else round.reason] += 1
