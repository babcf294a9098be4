"""The promise of the probes through the decider, with fixed seeds: false pages within their part of the budget, and delays."""

import numpy as np
from decider_log import START, Log, watched
from numpy.typing import NDArray
from probe_log import HOUR, config, stream
from scipy.stats import norm

from detectors.rounds import bound, smallest_effect
from service.decider.decider import Decider
from service.records.probes import Counts, Round
from service.records.probes_json import round_command

ITEMS = 20
FACTS = stream(items=ITEMS)


def paged(bad: NDArray[np.int64], budget: str = "1 per 90 days") -> list[int]:
    """Rounds in which a page opened or crossed again, of hourly rounds with so many bad answers; incidents are closed at once."""
    decider = Decider(watched(), config(budgets={"page": budget}), probes=[FACTS])
    log, crossed = Log(), []
    for hour, wrong in enumerate(bad.tolist()):
        time = START + hour * HOUR
        counts = {"capitals": Counts(ITEMS, wrong)}
        log.add(
            round_command(
                Round(f"r{hour}", "bot", "live", "live", "golden/facts", "golden", ITEMS, time, time, time, "k", "", True, "", counts)
            )
        )
        decider.absorb(log.drain())
        for step in decider.close_due(None):
            for incident in step.incidents:
                if incident.closed is None and incident.level == "page":
                    crossed.append(hour)
                if incident.closed is None:
                    log.command("incident.close", time=time, incident=incident.id, verdict="benign")
    return crossed


def rounds(rng: np.random.Generator, rates: NDArray[np.float64], hours: int) -> NDArray[np.int64]:
    """Bad answers of each round; items differ as ``rates`` say."""
    return (rng.random((hours, rates.size)) < rates).sum(axis=1)


def test_false_pages_stay_within_the_budget_whether_items_are_alike_or_differ() -> None:
    """Exactly at the null, which is the worst that may be normal: at most 0.3 pages in the 5 days of the budget."""
    runs, days, budget = 4, 15, 5
    null = bound(20, 400) + smallest_effect(ITEMS)
    differ = np.r_[np.full(5, 0.9 * null * ITEMS / 5), np.full(15, 0.1 * null * ITEMS / 15)]
    for rates in (np.full(ITEMS, null), differ):
        pages = 0
        for seed in range(runs):
            bad = rounds(np.random.default_rng(seed), rates, days * 24)
            pages += len(paged(np.r_[np.full(20, 1), bad], f"1 per {budget} days"))
        assert pages <= 0.3 * runs * days / budget


def test_a_quarter_without_a_change_is_quiet_where_a_test_of_every_round_alarms_all_the_time() -> None:
    bad = rounds(np.random.default_rng(11), np.full(ITEMS, 0.05), 90 * 24)
    assert paged(bad) == []
    pooled = (bad + 20) / (ITEMS + 400)
    z = (bad / ITEMS - 0.05) / np.sqrt(pooled * (1 - pooled) * (1 / ITEMS + 1 / 400))
    assert (z > norm.ppf(0.99)).sum() > 30


def test_delays_are_those_of_the_documents() -> None:
    """Record 5% of 400 answers, one stream with 0.3 of a page in 90 days, medians: see docs/concepts.md."""
    for rate, most in ((0.25, 20), (0.35, 6), (0.5, 3), (1.0, 2)):
        delays = []
        for seed in range(9):
            bad = np.r_[np.full(20, 1), rounds(np.random.default_rng(seed), np.full(ITEMS, rate), 40)]
            delays.append(next(iter(paged(bad)), 60) - 19)
        assert np.median(delays) <= most, (rate, sorted(delays))
