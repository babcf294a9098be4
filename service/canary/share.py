"""Fair use of a day's budget: which suites keep their interval, and which are asked less often because the budget does not reach."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

USABLE = 0.9
"""Part of a budget that is planned with; the rest is for retries and for what is asked by hand."""

LONGEST = 7 * 86_400.0
"""Seconds between two rounds beyond which a suite is not asked at all: its evidence would be too late to be of use."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one suite takes of the budgets.

    Attributes:
        name: of the suite at its target. rank: smaller goes first. interval: seconds between two rounds as configured.
        round: endpoint -> part of its day's budget that one round takes; inf where the budget is nothing.
        rounds_a_day: rounds of a day at that interval.
    """

    name: str
    rank: int
    interval: float
    round: Mapping[str, float]
    rounds_a_day: float


def stretches(needs: Sequence[Need]) -> dict[str, int | None]:
    """Suite -> how many times longer its interval must be so that every endpoint's budget reaches; None where it does not reach at all.

    More important suites get what they need first. Suites of one rank are stretched alike, so that none starves for its name.
    """
    left: dict[str, float] = {endpoint: USABLE for need in needs for endpoint in need.round}
    found: dict[str, int | None] = {}
    for rank in sorted({need.rank for need in needs}):
        mine = [need for need in needs if need.rank == rank]
        # A round that no day has room for must not make the others wait.
        possible = [need for need in mine if all(part <= left[endpoint] for endpoint, part in need.round.items())]
        found |= {need.name: None for need in mine if need not in possible}
        wanted = {endpoint: sum(_daily(need, endpoint) for need in possible) for endpoint in left}
        factors = {endpoint: max(1, math.ceil(wanted[endpoint] / left[endpoint] - 1e-9)) if wanted[endpoint] else 1 for endpoint in left}
        for need in possible:
            factor = max((factors[endpoint] for endpoint in need.round), default=1)
            if factor > 1 and need.interval * factor > LONGEST:
                found[need.name] = None
                continue
            found[need.name] = factor
            for endpoint in need.round:
                left[endpoint] -= _daily(need, endpoint) / factor
        left = {endpoint: max(room, 0.0) for endpoint, room in left.items()}
    return found


def _daily(need: Need, endpoint: str) -> float:
    return need.round.get(endpoint, 0.0) * need.rounds_a_day
