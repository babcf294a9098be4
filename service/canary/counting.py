"""What this process has asked since it started, as counters."""

from collections import Counter
from collections.abc import Sequence

from service.metrics import OF_ANSWERS
from service.records.probes import ProbeResult, Reply, Round


class Totals:
    """Counters of rounds and their answers. Written by the runner's thread, read by any.

    Attributes:
        outcomes: by model, target, role, suite, kind, category and outcome. failures: by model, target, role, suite, kind and failure.
        rounds: by model, target, suite and ``complete`` or the reason. skipped: questions not asked, by model, target, suite and reason.
        unparsed: labelled answers of which a judge said nothing readable, by judge.
        late: longest delay of a round behind its schedule, in seconds, those begun at the start of the process left out.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, ...]] = Counter()
        self.failures: Counter[tuple[str, ...]] = Counter()
        self.rounds: Counter[tuple[str, ...]] = Counter()
        self.skipped: Counter[tuple[str, ...]] = Counter()
        self.unparsed: Counter[str] = Counter()
        self.late = 0.0

    def results(self, results: Sequence[ProbeResult]) -> None:
        """Count graded answers."""
        for result in results:
            place = result.model_name, result.target, result.role, result.suite, result.kind
            self.outcomes[*place, result.category, result.outcome] += 1
            if result.failure:
                self.failures[*place, result.failure] += 1

    def round(self, round: Round) -> None:
        """Count a round that ended."""
        self.rounds[round.model_name, round.target, round.suite, "complete" if round.complete else round.reason] += 1


class Traffic:
    """Counters of one endpoint, written by its event loop, read by any thread. Calls that were never sent are in none of them."""

    def __init__(self) -> None:
        self.requests, self.retries, self.suspect_cached, self.tokens_in, self.tokens_out = 0, 0, 0, 0, 0
        self.errors: Counter[str] = Counter()
        self.answers, self.first_tokens = OF_ANSWERS, OF_ANSWERS

    def add(self, reply: Reply) -> None:
        """Count what came of one call; times are of answers only."""
        self.requests += reply.attempts
        self.retries += max(reply.attempts - 1, 0)
        self.suspect_cached += reply.suspect_cached
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        if reply.error is None:
            self.answers = self.answers.add(reply.seconds)
            if reply.first_token is not None:
                self.first_tokens = self.first_tokens.add(reply.first_token)
        elif reply.attempts:
            self.errors[reply.error] += 1
