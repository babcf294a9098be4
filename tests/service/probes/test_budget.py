import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Daily
from service.probes.budget import DAY, Budget, Cost, Spent


class Clock:
    def __init__(self, now: float = 100.5 * DAY) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def spend(budget: Budget, cost: Cost) -> bool:
    if not budget.reserve(cost):
        return False
    budget.settle(cost, cost)
    return True


def test_calls_end_at_the_limit_and_a_new_day_begins_at_nothing() -> None:
    clock = Clock()
    budget = Budget(Daily(calls=3), clock=clock)
    assert [spend(budget, Cost(1)) for _ in range(4)] == [True, True, True, False]
    assert budget.left() == 0
    clock.now = 101 * DAY
    assert spend(budget, Cost(1))
    assert budget.spent() == Spent(101, 1)


def test_a_restart_goes_on_with_what_was_spent_today_and_forgets_yesterday() -> None:
    clock = Clock()
    assert not Budget(Daily(calls=3), Spent(100, calls=3), clock).reserve(Cost(1))
    assert Budget(Daily(calls=3), Spent(99, calls=3), clock).reserve(Cost(1))


def test_nothing_is_sent_on_a_budget_of_zero() -> None:
    assert not Budget(Daily(calls=0), clock=Clock()).reserve(Cost(1))
    assert not Budget(Daily(calls=None, money=0), clock=Clock()).reserve(Cost(1, 10, 0.01))
    assert Budget(Daily(calls=0), clock=Clock()).left() == 0


def test_what_is_in_flight_is_held() -> None:
    budget = Budget(Daily(calls=None, tokens=100), clock=Clock())
    assert budget.reserve(Cost(1, 60))
    assert not budget.reserve(Cost(1, 60))
    budget.settle(Cost(1, 60), Cost(1, 10))
    assert budget.reserve(Cost(1, 60))


@pytest.mark.parametrize("back", [60.0, DAY])
def test_a_clock_that_goes_back_a_little_gives_nothing_back(back: float) -> None:
    clock = Clock(100 * DAY + 30)
    budget = Budget(Daily(calls=2), clock=clock)
    assert spend(budget, Cost(1))
    clock.now -= back
    assert spend(budget, Cost(1))
    assert not spend(budget, Cost(1))
    clock.now += back
    assert not spend(budget, Cost(1))


def test_a_clock_that_was_years_ahead_does_not_silence_the_target_for_years() -> None:
    clock = Clock(10_000 * DAY)
    budget = Budget(Daily(calls=1), clock=clock)
    assert spend(budget, Cost(1))
    clock.now = 100 * DAY
    assert not spend(budget, Cost(1))
    clock.now = 101 * DAY
    assert spend(budget, Cost(1))


COSTS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 80)), min_size=1, max_size=80)


@given(COSTS, st.integers(0, 400), st.integers(1, 4))
def test_a_limit_is_passed_by_less_than_what_is_in_flight_costs_beyond_its_estimates(costs, limit, at_once) -> None:
    budget = Budget(Daily(calls=None, tokens=limit), clock=Clock())
    flying: list[tuple[Cost, Cost]] = []
    most_over = 0
    for estimate, actual in costs:
        if budget.reserve(Cost(1, estimate)):
            flying.append((Cost(1, estimate), Cost(1, actual)))
        most_over = max(most_over, sum(max(real.tokens - guess.tokens, 0) for guess, real in flying))
        if len(flying) >= at_once:
            budget.settle(*flying.pop(0))
    for pair in flying:
        budget.settle(*pair)
    assert budget.spent().tokens <= limit + most_over


def test_each_limit_tells_what_is_left_of_it() -> None:
    budget = Budget(Daily(calls=4, tokens=1000, money=None), clock=Clock())
    spend(budget, Cost(1, 900, 3.0))
    assert budget.parts() == {"calls": 0.75, "tokens": pytest.approx(0.1)}
    assert budget.left() == pytest.approx(0.1)
    assert Budget(Daily(calls=None), clock=Clock()).parts() == {}
