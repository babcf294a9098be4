import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.main.demo.finetune import finetune_rows
from service.main.demo.grammar import CHATTER, STYLES, Choice, Grammar, Slot, parse
from service.main.demo.pool import Pool
from service.main.demo.script import CLEAN, EVENTS, JAILBREAK, NEW_TOPIC
from service.main.demo.traffic import DAY, PROMPTS_PER_MINUTE, play_day

GRAMMAR = Grammar.load()


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return GRAMMAR


@pytest.fixture(scope="module")
def pool(grammar: Grammar) -> Pool:
    return Pool.write(grammar, 0)


def test_templates_have_choices_options_and_slots() -> None:
    assert parse("a (b|c {d})[ e]") == ("a ", Choice((("b",), ("c ", Slot("d")))), Choice(((), (" e",))))


@pytest.mark.parametrize("broken", ["(a|b", "a)", "[a", "{a", "(a]"])
def test_a_bracket_without_its_partner_is_named(broken: str) -> None:
    with pytest.raises(ValueError, match="template"):
        parse(broken)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), topic=st.integers(0, 40), style=st.sampled_from(STYLES))
def test_everything_said_is_plain_text(seed: int, topic: int, style: str) -> None:
    name = [*GRAMMAR.intents, CHATTER, *GRAMMAR.unseen][topic]
    said = GRAMMAR.say(name, style, np.random.default_rng(seed))
    assert said.strip()
    assert not set(said) & set("{}|[]")


def test_the_finetuning_set_is_what_a_team_would_have(grammar: Grammar) -> None:
    rows = list(finetune_rows(grammar))
    prompts = [row["messages"][1]["content"] for row in rows]
    assert len(set(prompts)) == len(rows) == 5000
    assert len({row["intent"] for row in rows}) == len(grammar.intents) >= 30
    assert 2500 < len({row["conversation"] for row in rows}) < 5000
    assert rows == list(finetune_rows(grammar)), "not a function of the seed"
    assert not any("insur" in prompt.lower() or "instructions" in prompt.lower() for prompt in prompts)


def test_a_day_is_a_function_of_its_seed(pool: Pool) -> None:
    one, two, other = (play_day(pool, seed, 3, EVENTS) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.time, two.time)
    np.testing.assert_array_equal(one.text, two.text)
    assert one.time.size != other.time.size


def test_days_follow_each_other_in_order_of_time(pool: Pool) -> None:
    for day in (-28, 0, 6):
        time = play_day(pool, 1, day, EVENTS).time
        assert (np.diff(time) >= 0).all()
        assert day * DAY <= time[0]
        assert time[-1] < (day + 1) * DAY


def test_volume_has_a_rhythm_and_a_weekend(pool: Pool) -> None:
    tuesday, sunday = play_day(pool, 1, -6), play_day(pool, 1, -1)
    hourly = np.bincount((tuesday.time % DAY // 3600).astype(int))
    assert hourly.argmax() in range(12, 19)
    assert hourly.argmin() in range(1, 7)
    assert abs(tuesday.time.size / 1440 / PROMPTS_PER_MINUTE - 1) < 0.05
    assert abs(sunday.time.size / tuesday.time.size - 0.94) < 0.05


def test_midnight_is_as_busy_as_the_hour_around_it(pool: Pool) -> None:
    before, after = play_day(pool, 1, -6).time, play_day(pool, 1, -5).time
    assert (after < -5 * DAY + 900).sum() > 0.85 * (before > -5 * DAY - 900).sum()


def test_the_new_topic_grows_from_2_to_10_percent(pool: Pool) -> None:
    assert NEW_TOPIC.topic is not None
    assert _share(pool, NEW_TOPIC.topic, 0).sum() == 0
    grown = _share(pool, NEW_TOPIC.topic, 1)
    assert grown[:9].sum() == 0
    assert grown[9] == pytest.approx(0.02, abs=0.01)
    assert grown[22] == pytest.approx(0.10, abs=0.02)


def test_the_jailbreak_burst_ends(pool: Pool) -> None:
    assert JAILBREAK.topic is not None
    attacked = _share(pool, JAILBREAK.topic, 6)
    assert attacked[13] > 0.06
    assert attacked[:13].sum() == attacked[15:].sum() == 0


def test_a_clean_week_holds_nothing_unseen(pool: Pool) -> None:
    first_unseen = pool.start[-2, 0]
    for day in range(7):
        assert (play_day(pool, 1, day, CLEAN).text < first_unseen).all()


def _share(pool: Pool, topic: str, day: int) -> np.ndarray:
    """Share of a topic in every hour of a day."""
    traffic, k = play_day(pool, 1, day, EVENTS), pool.topics.index(topic)
    first, last = pool.start[k, 0], pool.start[k, -1] + pool.size[k, -1]
    hour = ((traffic.time - day * DAY) // 3600).astype(int)
    return np.bincount(hour, weights=(traffic.text >= first) & (traffic.text < last), minlength=24) / np.bincount(hour, minlength=24)
