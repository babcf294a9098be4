"""What a target may cost a day, in calls, tokens and money. Pure numbers and a clock: whoever owns it keeps the state."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from service.config import Daily

DAY = 86400


class Cost(NamedTuple):
    """Of one request, or of several."""

    calls: int = 0
    tokens: int = 0
    money: float = 0.0

    def plus(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(self.calls + other.calls, self.tokens + other.tokens, self.money + other.money)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one UTC day has cost so far; ``day`` is counted from the epoch."""

    day: int = 0
    calls: int = 0
    tokens: int = 0
    money: float = 0.0


class Budget:
    """Room for requests is reserved before they are sent, and settled with what they really cost.

    What is in flight counts as reserved, so a limit is passed only by what a request costs beyond its estimate. Where an endpoint counts
    more than it was sent (a hidden prompt), the largest excess seen is added to every later estimate. A new UTC day begins at nothing. A
    clock that goes back gives nothing back: within a day the later date stands until it comes again, from further the date is corrected.

    Args:
        limits: of a day; None is no limit.
        spent: what is known to be spent; of another day it is left out.
        clock: seconds since the epoch.
    """

    def __init__(self, limits: Daily, spent: Spent | None = None, clock: Callable[[], float] = time.time) -> None:
        self._limits = limits
        self._clock = clock
        self._spent = spent or Spent(int(clock() // DAY))
        self._reserved = Cost()
        self._excess = Cost()

    def reserve(self, estimate: Cost) -> bool:
        """Whether a request of at most this cost may be sent; then its cost is held until it is settled."""
        self._turn_day()
        spent, held, excess = self._spent, self._reserved, self._excess
        if not (
            _fits(self._limits.calls, spent.calls + held.calls + estimate.calls)
            and _fits(self._limits.tokens, spent.tokens + held.tokens + estimate.tokens + excess.tokens)
            and _fits(self._limits.money, spent.money + held.money + estimate.money + excess.money)
        ):
            return False
        self._reserved = held.plus(estimate)
        return True

    def settle(self, estimate: Cost, actual: Cost) -> None:
        """A request that was reserved with ``estimate`` has ended and cost ``actual``."""
        self._turn_day()
        held, spent, excess = self._reserved, self._spent, self._excess
        self._reserved = Cost(held.calls - estimate.calls, held.tokens - estimate.tokens, max(held.money - estimate.money, 0.0))
        self._spent = Spent(spent.day, spent.calls + actual.calls, spent.tokens + actual.tokens, spent.money + actual.money)
        over_tokens, over_money = actual.tokens - estimate.tokens, actual.money - estimate.money
        self._excess = Cost(0, max(excess.tokens, over_tokens), max(excess.money, over_money))

    def spent(self) -> Spent:
        """Today's cost so far, what is in flight left out."""
        self._turn_day()
        return self._spent

    def left(self) -> float:
        """Smallest part of a limit that is still there, 0 to 1; 1 without limits."""
        return min(self.parts().values(), default=1.0)

    def parts(self) -> dict[str, float]:
        """``calls``, ``tokens``, ``money`` -> part of the limit that is still there, 0 to 1; those without a limit left out."""
        spent = self.spent()
        limits = (
            ("calls", self._limits.calls, float(spent.calls)),
            ("tokens", self._limits.tokens, float(spent.tokens)),
            ("money", self._limits.money, spent.money),
        )
        return {name: max(1 - used / limit, 0.0) if limit else 0.0 for name, limit, used in limits if limit is not None}

    def _turn_day(self) -> None:
        today = int(self._clock() // DAY)
        if today > self._spent.day:
            self._spent = Spent(today)
        elif today < self._spent.day - 1:
            self._spent = replace(self._spent, day=today)


def _fits(limit: float | None, amount: float) -> bool:
    return limit is None or amount <= limit
