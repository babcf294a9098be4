"""What a round asks: the same on every machine, filled in, and no more than it costs."""

from typing import Any

import pytest

from service.config import Sampling
from service.probes.pack import Pack, Suite
from service.probes.render import Asked, chosen, cost, render


def pack(*, defaults: dict[str, Any] | None = None, **suite: Any) -> tuple[Pack, Suite]:
    one = {
        "id": "s",
        "kind": "golden",
        "graders": [{"type": "contains"}],
        "items": [{"id": "a", "prompt": "Say {{nonce}}", "expected": "x"}],
    } | suite
    read = Pack.model_validate(
        {"schema": "tiltmeter.pack/v1", "id": "p", "version": 1, "license": "CC0-1.0", "defaults": defaults or {}, "suites": [one]}
    )
    return read, read.suites[0]


def asked(
    *, round_id: str = "r1", key: bytes = b"k", system: str = "", sampling: Sampling | None = None, **suite: Any
) -> tuple[Asked, ...]:
    return render(*pack(**suite), round_id=round_id, key=key, system=system, sampling=sampling)


def items(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"i{n}", "prompt": f"Question {n} about birds?", "expected": "x", **more} for n in range(count)]


def test_the_same_round_asks_the_same() -> None:
    assert asked(items=items(9), variants=["typos"]) == asked(items=items(9), variants=["typos"])


def test_another_round_or_key_has_another_nonce() -> None:
    nonces = {asked()[0].nonce, asked(round_id="r2")[0].nonce, asked(key=b"other")[0].nonce}
    assert len(nonces) == 3


def test_order_is_shuffled_and_not_that_of_the_file() -> None:
    orders = [[one.item for one in asked(items=items(20), round_id=name)] for name in ("r1", "r2")]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != [f"i{n}" for n in range(20)]


def test_twins_and_groups_of_an_item_share_its_nonce_but_no_cache() -> None:
    found = asked(
        groups={"who": ["he", "she"]}, variants=["lowercase"], items=[{"id": "a", "prompt": "Does {{who}} say {{nonce}}?", "expected": "x"}]
    )
    assert {(one.variant, one.group) for one in found} == {(v, f"who={g}") for v in ("", "lowercase") for g in ("he", "she")}
    assert len({one.nonce for one in found}) == 1
    assert len({one.call.salt for one in found}) == 4
    assert all(one.nonce in one.call.messages[-1].content for one in found)


def test_groups_are_a_cross_product() -> None:
    found = asked(groups={"a": ["1", "2"], "b": ["x", "y", "z"]}, items=[{"id": "i", "prompt": "{{a}}{{b}}", "expected": "x"}])
    assert sorted(one.call.messages[0].content for one in found) == ["1x", "1y", "1z", "2x", "2y", "2z"]
    assert {one.group for one in found} >= {"a=1,b=x"}


def test_everything_is_filled_in() -> None:
    one = asked(
        defaults={"system": "Keep {{nonce}}."},
        graders=[{"type": "contains", "any": ["{{colour}} {{nonce}}"]}, {"type": "exact"}, {"type": "regex", "pattern": "^{{expected}}$"}],
        items=[{"id": "a", "prompt": "Mix {{colour}}: {{nonce_a}} and {{nonce_b}}", "expected": "{{colour}}!", "vars": {"colour": "red"}}],
    )[0]
    half = len(one.nonce) // 2
    assert [turn.content for turn in one.call.messages] == [f"Keep {one.nonce}.", f"Mix red: {one.nonce[:half]} and {one.nonce[half:]}"]
    contains, exact, regex = one.graders
    assert contains.type == "contains"
    assert contains.any == [f"red {one.nonce}"]
    assert exact.type == "exact"
    assert exact.value == one.expected == "red!"
    assert regex.type == "regex"
    assert regex.pattern == "^red!$"


@pytest.mark.parametrize(
    ("grader", "expected", "parameter", "filled"),
    [
        ({"type": "exact"}, ["a", "b"], "value", ["a", "b"]),
        ({"type": "exact"}, 7, "value", "7"),
        ({"type": "exact", "value": "own"}, "other", "value", "own"),
        ({"type": "contains"}, "a", "any", ["a"]),
        ({"type": "contains", "not": ["b"]}, "a", "any", []),
        ({"type": "numeric"}, 2.5, "value", 2.5),
        ({"type": "numeric"}, "2.5", "value", "2.5"),
        ({"type": "mcq"}, "C", "answer", "C"),
        ({"type": "language"}, "de", "code", "de"),
        ({"type": "similarity"}, "hello", "value", "hello"),
        ({"type": "tool_call"}, {"name": "f", "arguments": {"x": 1}}, "name", "f"),
        ({"type": "tool_call"}, {"name": "f", "arguments": {"x": 1}}, "arguments", {"x": 1}),
        ({"type": "tool_call", "called": False}, None, "name", None),
        ({"type": "refusal"}, None, "expect", "refuse"),
    ],
)
def test_what_a_grader_leaves_out_the_item_expects(grader: dict[str, Any], expected: Any, parameter: str, filled: Any) -> None:
    one = asked(expect="refuse", graders=[grader], items=[{"id": "a", "prompt": "?", "expected": expected}])[0]
    assert getattr(one.graders[0], parameter) == filled


def test_production_is_asked_as_production_does() -> None:
    one = asked(system="Be kind to {{user}}.", sampling=Sampling(temperature=0.7))[0]
    assert one.call.messages[0].content == "Be kind to {{user}}."  # not ours to fill in
    assert one.call.sampling == {"temperature": 0.7}


def test_a_pack_can_ask_otherwise() -> None:
    one = asked(
        system="production",
        sampling=Sampling(temperature=0.7),
        defaults={"system": "none", "sampling": {"temperature": 0}, "max_tokens": 9},
    )[0]
    assert [turn.role for turn in one.call.messages] == ["user"]
    assert one.call.sampling == {"temperature": 0}
    assert one.call.max_tokens == 9


def test_a_conversation_with_a_system_turn_keeps_it() -> None:
    turns = [{"role": "system", "content": "own"}, {"role": "user", "content": "hi"}]
    one = asked(system="production", items=[{"id": "a", "messages": turns, "expected": "x"}])[0]
    assert [(turn.role, turn.content) for turn in one.call.messages] == [("system", "own"), ("user", "hi")]


def test_only_the_last_turn_is_perturbed() -> None:
    turns = [{"role": "user", "content": "Hello There"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "WHO are YOU"}]
    twin = next(one for one in asked(variants=["lowercase"], items=[{"id": "a", "messages": turns, "expected": "x"}]) if one.variant)
    assert [turn.content for turn in twin.call.messages] == ["Hello There", "Hi", "who are you"]


def test_a_twin_that_is_the_same_is_not_asked_twice() -> None:
    assert [
        one.variant for one in asked(variants=["lowercase", "accents"], items=[{"id": "a", "prompt": "all small", "expected": "x"}])
    ] == [""]


def test_repeats_have_nonces_of_their_own() -> None:
    found = asked(asking={"repeats": 3})
    assert sorted(one.repeat for one in found) == [0, 1, 2]
    assert len({one.nonce for one in found}) == 3


def test_verbatim_text_stays_as_it_stands() -> None:
    assert asked(items=[{"id": "a", "prompt": "{{nonce}}", "expected": "x", "verbatim": True}])[0].call.messages[0].content == "{{nonce}}"


def test_fingerprints_have_no_salt() -> None:
    assert asked(kind="fingerprint", graders=[], items=[{"id": "a", "prompt": "The"}])[0].call.salt == ""
    assert asked()[0].call.salt != ""


def test_a_fixed_sample_is_the_same_in_every_round_and_spread_over_categories() -> None:
    mixed = [one | {"category": "rare" if n > 17 else "common"} for n, one in enumerate(items(20))]
    read, suite = pack(items=mixed, sample={"items": 4})
    first = chosen(read, suite, "r1")
    assert first == chosen(read, suite, "r2")
    assert sum(one.category == "rare" for one in first) == 2


def test_a_rotating_sample_keeps_a_part_and_draws_the_rest() -> None:
    public, hidden = items(20), [one | {"id": f"h-{one['id']}", "held_out": True} for one in items(10)]
    read, suite = pack(items=[*public, *hidden], sample={"items": 10, "strategy": "rotate", "held_out": "30%"})
    rounds = [{one.id for one in chosen(read, suite, f"r{n}")} for n in range(60)]
    assert {len(one) for one in rounds} == {10}
    assert len(set.intersection(*rounds)) == 7
    assert len(set.union(*rounds)) == 30  # every item has its turn
    assert not any(name.startswith("h-") for name in set.intersection(*rounds))


def test_held_out_items_are_not_in_a_fixed_round() -> None:
    read, suite = pack(items=[*items(3), {"id": "h", "prompt": "?", "expected": "x", "held_out": True}])
    assert [one.id for one in chosen(read, suite, "r")] == ["i0", "i1", "i2"]


def test_the_cost_of_a_round_is_what_it_asks() -> None:
    read, suite = pack(items=items(5), variants=["lowercase"], asking={"repeats": 2, "max_tokens": 10})
    found = cost(read, suite)
    assert found.calls == len(render(read, suite, round_id="r", key=b"k")) == 20
    assert found.tokens_out == 200
    assert 100 < found.tokens_in < 400


def test_items_may_have_groups_variants_graders_and_tools_of_their_own() -> None:
    own = {
        "id": "a",
        "prompt": "WHO {{x}}",
        "groups": {"x": ["1"]},
        "variants": ["lowercase"],
        "graders": [{"type": "repetition"}],
        "tools": [{"type": "function"}],
    }
    found = asked(groups={"y": ["2"]}, variants=["typos"], items=[own])
    assert {(one.variant, one.group) for one in found} == {("", "x=1"), ("lowercase", "x=1")}
    assert found[0].graders[0].type == "repetition"
    assert found[0].call.tools == ({"type": "function"},)
