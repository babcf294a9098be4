"""The flag-rate detector: what it promises in expectation, exactly, and how its levels live apart."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from detectors import likelihood
from detectors.contract import Windows
from detectors.flag_rate import FlagRate

SHARE = st.floats(0.002, 0.6)


def detector(streams=1, null=0.05, effect=1.0, ticket=1e-3, page=1e-4):
    full = np.ones(streams)
    return FlagRate.fit(null=null * full, design_effect=effect * full, ticket_rate=ticket * full, page_rate=page * full)


def windows(n, *x):
    return Windows(n=np.full(len(x), n), x=np.array(x))


@given(null=SHARE, n=st.integers(1, 400), effect=st.floats(1, 20), below=st.floats(0.01, 1))
def test_increments_are_e_values(null, n, effect, below):
    x = np.arange(n + 1)
    for alternatives, truth in ((likelihood.rising, null * below), (likelihood.falling, null + (1 - null) * (1 - below))):
        m = np.array([null])
        a, b = likelihood.coefficients(m, alternatives(m), np.array([effect]))
        weights = binom.pmf(x, n, truth)
        expected = (weights * np.exp(np.minimum(a * x + b * n, 700))).sum(axis=1)
        assert (expected <= 1 + 1e-9).all()


def test_increments_are_exact_at_the_null():
    m, x = np.array([0.05]), np.arange(201)
    a, b = likelihood.coefficients(m, likelihood.rising(m), np.array([1.0]))
    np.testing.assert_allclose((binom.pmf(x, 200, 0.05) * np.exp(a * x + b * 200)).sum(axis=1), 1, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    null=SHARE,
    n=st.integers(1, 300),
    effect=st.floats(1, 10),
    page=st.floats(1e-6, 0.3),
    held=st.lists(st.floats(0, 0.99), min_size=7, max_size=7),
)
def test_evidence_and_crossings_grow_by_at_most_r_in_expectation(null, n, effect, page, held):
    x = np.arange(n + 1)
    state = detector(n + 1, null, effect, page, page).snapshot()
    state["evidence"] = np.broadcast_to(np.array(held), state["evidence"].shape).copy()
    flags = FlagRate.restore(state)
    said = flags.update(windows(n, *x))
    after = flags.snapshot()["evidence"][:, 1].mean(axis=1)
    assert binom.pmf(x, n, null) @ (after + said.page) <= np.mean(held) + page + 1e-9


def test_a_crossing_consumes_the_evidence_of_its_level_only():
    flags, untouched = detector(page=1e-6), detector(ticket=0.0, page=1e-6)
    crossings = []
    for _ in range(3):
        said, alone = flags.update(windows(200, 45)), untouched.update(windows(200, 45))
        np.testing.assert_array_equal(said.log10_page, alone.log10_page)
        crossings.append(said)
    ticket = next(i for i, said in enumerate(crossings) if said.ticket[0])
    assert crossings[ticket].log10_ticket[0] >= 3.0
    assert not crossings[ticket].page[0]
    state = detector(page=1e-6).snapshot()
    state["evidence"][:, 0] = 0.9
    flags = FlagRate.restore(state)
    assert flags.update(windows(200, 45)).ticket[0]
    assert (flags.snapshot()["evidence"][0, 0] == 0).all()
    assert (flags.snapshot()["evidence"][0, 1] > 0).all()


def test_after_a_crossing_everything_starts_again():
    flags, said = detector(), []
    for _ in range(60):
        said.append(flags.update(windows(200, 30)))
    crossed = [i for i, s in enumerate(said) if s.page[0]]
    assert len(crossed) > 2
    fresh = detector()
    for i in range(crossed[0] + 1, crossed[1] + 1):
        np.testing.assert_array_equal(said[i].log10_page, fresh.update(windows(200, 30)).log10_page)


def test_shown_evidence_reaches_the_threshold_where_it_crosses():
    flags = detector(ticket=1e-2)
    for _ in range(40):
        said = flags.update(windows(200, 24))
        for shown, crossed, threshold in ((said.log10_ticket, said.ticket, 2.0), (said.log10_page, said.page, 4.0)):
            assert shown[0] >= 0
            assert crossed[0] == (shown[0] >= threshold - 1e-12)


def test_one_window_cannot_page_alone():
    flags, crossed = detector(page=1e-6), []
    for _ in range(4):
        crossed.append(bool(flags.update(windows(10_000, 10_000)).page[0]))
    # The cap lets one window bring at most a third of the way: ln(1 / r) / 3.
    assert crossed == [False, False, True, False]


def test_a_disabled_level_stays_silent():
    flags = detector(ticket=0.0, page=0.0)
    for _ in range(20):
        said = flags.update(windows(200, 200))
        assert not said.ticket[0]
        assert not said.page[0]
        assert said.log10_page.tolist() == said.log10_ticket.tolist() == [0.0]


def test_a_larger_design_effect_is_slower():
    few, many = detector(effect=1.0, page=1e-9), detector(effect=5.0, page=1e-9)
    for _ in range(3):
        fast, slow = few.update(windows(200, 20)), many.update(windows(200, 20))
    assert fast.log10_page[0] > slow.log10_page[0] > 0


def test_reset_touches_the_named_streams_only():
    flags, other = detector(3), detector(3)
    for each in (flags, other):
        each.update(windows(200, 25, 25, 25))
    flags.reset(
        np.array([False, True, False]),
        null=np.array([0.9, 0.1, 0.9]),
        page_rate=np.array([0.5, 0.0, 0.5]),
        design_effect=np.array([9.0, 2.0, 9.0]),
    )
    state, before = flags.snapshot(), other.snapshot()
    assert state["null"].tolist() == [0.05, 0.1, 0.05]
    assert state["design_effect"].tolist() == [1.0, 2.0, 1.0]
    assert state["rates"].tolist() == [[1e-3, 1e-4], [1e-3, 0.0], [1e-3, 1e-4]]
    assert (state["evidence"][1] == 0).all()
    np.testing.assert_array_equal(state["evidence"][[0, 2]], before["evidence"][[0, 2]])
    said, kept = flags.update(windows(200, 25, 25, 25)), other.update(windows(200, 25, 25, 25))
    np.testing.assert_array_equal(said.log10_ticket[[0, 2]], kept.log10_ticket[[0, 2]])
    assert said.log10_ticket[1] != kept.log10_ticket[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"null": [0.0]}, "null"),
        ({"null": [1.0]}, "null"),
        ({"null": [float("nan")]}, "null"),
        ({"null": 0.05}, "null"),
        ({"design_effect": [0.9]}, "design_effect"),
        ({"design_effect": [float("inf")]}, "design_effect"),
        ({"design_effect": [1.0, 1.0]}, "design_effect"),
        ({"ticket_rate": [-0.1]}, "ticket_rate"),
        ({"page_rate": [1.0]}, "page_rate"),
    ],
)
def test_impossible_parameters_are_refused(change, message):
    good = {"null": [0.05], "design_effect": [1.0], "ticket_rate": [1e-3], "page_rate": [1e-4]}
    with pytest.raises(ValueError, match=message):
        FlagRate.fit(**good | change)


def test_a_refused_reset_changes_nothing():
    flags = detector(2)
    flags.update(windows(200, 25, 25))
    before = flags.snapshot()
    with pytest.raises(ValueError, match="design_effect"):
        flags.reset(np.array([True, False]), null=np.array([0.2, 0.2]), design_effect=np.array([0.1, 1.0]))
    with pytest.raises(ValueError, match="streams"):
        flags.reset(np.array([1, 0]))
    for name, array in flags.snapshot().items():
        np.testing.assert_array_equal(array, before[name])


def test_an_update_of_400_streams_takes_well_under_a_millisecond():
    flags, rng = detector(400), np.random.default_rng(0)
    window = Windows(n=np.full(400, 200), x=rng.binomial(200, 0.05, 400))
    spent = []
    for _ in range(200):
        begun = time.perf_counter()
        flags.update(window)
        spent.append(time.perf_counter() - begun)
    assert np.median(spent) < 1e-3
