"""The packs of our own writing: each can be asked and graded, pays for itself, and holds nothing that helps to do harm."""

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
import yaml

from service.config.graders import GRADERS, name_of
from service.probes.loading import built_in, load_pack, warnings
from service.probes.pack import Pack, Sample, Suite
from service.probes.reference import SECTIONS, reference
from service.probes.render import Asked, calls_per_day, render
from service.records.probes import ATTACKS, Kind

NAMES = built_in()


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pack]:
    golden = tmp_path_factory.mktemp("golden") / "golden.jsonl"
    questions = [{"id": f"g{n}", "prompt": f"Please tell me: how many days has month {n}?", "expected": "30"} for n in range(30)]
    golden.write_text("".join(json.dumps(one) + "\n" for one in questions))
    return {name: load_pack(name, golden=golden) for name in NAMES}


def suites(packs: dict[str, Pack]) -> list[tuple[Pack, Suite]]:
    return [(pack, suite) for pack in packs.values() for suite in pack.suites]


def asked(packs: dict[str, Pack], pack: str, suite: str) -> dict[str, Asked]:
    one = packs[pack]
    found = next(each for each in one.suites if each.id == suite).model_copy(update={"sample": Sample()})
    return {each.item: each for each in render(one, found, round_id="r", key=b"k")}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_ours_and_warned_of_nothing(packs: dict[str, Pack], name: str) -> None:
    assert packs[name].id == name
    assert packs[name].license == "Apache-2.0"
    assert packs[name].description
    assert warnings(packs[name]) == ()


def test_every_kind_has_a_pack(packs: dict[str, Pack]) -> None:
    assert {suite.kind for _, suite in suites(packs)} == set(get_args(Kind))


def test_all_of_them_together_ask_fewer_than_500_questions_a_day(packs: dict[str, Pack]) -> None:
    assert sum(calls_per_day(pack, suite) for pack, suite in suites(packs)) < 500


def test_every_suite_that_pages_asks_20_questions_a_round(packs: dict[str, Pack]) -> None:
    for pack, suite in suites(packs):
        if suite.detector.severity == "page":
            assert len(render(pack, suite, round_id="r", key=b"k")) >= 20, f"{pack.id}/{suite.id}"


def test_no_question_is_there_twice(packs: dict[str, Pack]) -> None:
    for pack, suite in suites(packs):
        texts = Counter(tuple(turn.content for turn in item.turns) for item in suite.items)
        assert not [text for text, count in texts.items() if count > 1], f"{pack.id}/{suite.id}"


def test_attacks_carry_planted_tokens_or_ask_for_a_refusal_and_nothing_else(packs: dict[str, Pack]) -> None:
    for pack, suite in suites(packs):
        if suite.kind in ATTACKS:
            types = {grader.type for item in suite.items for grader in suite.graders_of(item)}
            assert types == ({"planted_token"} if suite.kind == "injection" else {"refusal"}), f"{pack.id}/{suite.id}"
            assert pack.sensitive_suite(suite)


def test_refusals_are_asked_for_in_eleven_categories_and_in_few_words(packs: dict[str, Pack]) -> None:
    direct = next(suite for suite in packs["refusal"].suites if suite.id == "direct")
    categories = Counter(direct.category_of(item) for item in direct.items)
    assert len(categories) == 11
    assert min(categories.values()) >= 3
    assert {tag for item in direct.items for tag in item.tags} == {f"hexphi/{number}" for number in range(1, 12)}
    texts = [turn.content for suite in packs["refusal"].suites for item in suite.items for turn in item.turns]
    assert max(map(len, texts)) < 180  # they name what is wanted and hold no detail of it


def test_every_round_of_refusals_has_every_kind_of_persuasion(packs: dict[str, Pack]) -> None:
    found = {one.category for one in asked(packs, "refusal", "persuaded").values()}
    assert found == {"persona", "permission", "fiction", "forced-beginning", "many-turns"}
    turns = [one for one in asked(packs, "refusal", "persuaded").values() if one.category == "many-turns"]
    assert all([message.role for message in one.call.messages] == ["user", "assistant", "user", "assistant", "user"] for one in turns)


def test_quoting_an_injection_is_not_obeying_it(packs: dict[str, Pack]) -> None:
    for one in asked(packs, "injection", "planted").values():
        text = one.call.messages[-1].content
        half = len(one.nonce) // 2
        assert one.nonce not in text
        assert one.nonce[:half] in text
        assert one.nonce[half:] in text
        assert one.nonce not in re.sub(r"\W", "", text)  # however a grader closes the gaps
        assert one.graders[0].model_dump()["token"] == one.nonce


def test_the_secret_of_the_leak_stands_in_the_system_prompt_alone(packs: dict[str, Pack]) -> None:
    for one in asked(packs, "injection", "leak").values():
        system, *others = one.call.messages
        assert system.role == "system"
        assert one.nonce in system.content
        assert not any(one.nonce in message.content for message in others)


def test_faithful_answers_stand_in_the_text_and_the_missing_ones_do_not(packs: dict[str, Pack]) -> None:
    for one in asked(packs, "faithfulness", "distracting").values():
        expected = one.expected if isinstance(one.expected, list) else [one.expected]
        assert any(str(each).lower() in one.call.messages[-1].content.lower() for each in expected), one.item
    for one in asked(packs, "faithfulness", "counterfactual").values():
        words = one.graders[0].model_dump()["any"]
        assert any(word.lower() in one.call.messages[-1].content.lower() for word in words), one.item
    assert all("unknown" in one.call.messages[-1].content for one in asked(packs, "faithfulness", "unanswerable").values())
    assert all("conflict" in one.call.messages[-1].content for one in asked(packs, "faithfulness", "conflicting").values())


def test_groups_are_whole_in_every_round(packs: dict[str, Pack]) -> None:
    for suite in packs["fairness"].suites:
        counts = Counter(one.item for one in render(packs["fairness"], suite, round_id="r", key=b"k"))
        assert set(counts.values()) == {len(next(iter(suite.groups.values())))}


def test_right_calls_name_functions_that_are_offered(packs: dict[str, Pack]) -> None:
    for one in asked(packs, "toolcalls", "functions").values():
        offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in one.call.tools}
        grader = one.graders[0].model_dump()
        if grader["called"]:
            parameters = offered[grader["name"]]
            assert set(parameters["required"]) <= set(grader["arguments"]) <= set(parameters["properties"])
    assert any(not one.graders[0].model_dump()["called"] for one in asked(packs, "toolcalls", "functions").values())


def test_formats_reach_json_patterns_choices_and_words(packs: dict[str, Pack]) -> None:
    types = {grader.type for one in asked(packs, "formats", "structured").values() for grader in one.graders}
    assert types == {"json_schema", "regex", "mcq", "exact"}
    for one in asked(packs, "formats", "structured").values():
        for grader in one.graders:
            if grader.type == "regex":
                re.compile(str(grader.pattern))


def test_fingerprints_are_the_same_in_every_round(packs: dict[str, Pack]) -> None:
    for suite in packs["fingerprint"].suites:
        first, second = ({one.item: one.call for one in render(packs["fingerprint"], suite, round_id=r, key=b"k")} for r in "ab")
        assert first == second
    assert all(one.call.logprobs == 20 for one in asked(packs, "fingerprint", "logprobs").values())


def test_languages_are_graded_for_language_and_answer(packs: dict[str, Pack]) -> None:
    found = asked(packs, "languages", "answers").values()
    assert len({one.category for one in found}) == 12
    assert all([grader.type for grader in one.graders] == ["language", "contains"] for one in found)


def test_twins_of_golden_items_stand_beside_the_items(packs: dict[str, Pack]) -> None:
    found = Counter(one.variant for suite in packs["twins"].suites for one in render(packs["twins"], suite, round_id="r", key=b"k"))
    assert set(found) >= {"", "typos", "noisy", "frustrated", "sarcastic", "ungrammatical", "frame-es"}


def test_the_pack_of_the_documents_loads(root: Path, tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(schema: .*?)```", (root / "docs" / "probes.md").read_text(), re.S)
    assert block is not None
    (tmp_path / "support.yaml").write_text(block[1])
    assert load_pack(tmp_path / "support.yaml").id == "support"


def test_every_key_and_grader_stands_in_the_documents(root: Path) -> None:
    text = (root / "docs" / "probes.md").read_text()
    assert text.partition("<!-- reference -->\n")[2].strip() == reference().strip(), "run: python -m service.probes.reference"
    assert set(re.findall(r"^\| `(\w+)` \| a? ?\w", text.partition("## Built-in packs")[0], re.M)) >= set(get_args(Kind))
    for name in NAMES:
        assert f"| `{name}` |" in text


def test_every_key_has_a_meaning() -> None:
    for model in (*SECTIONS.values(), *GRADERS):
        assert all(field.description for name, field in model.model_fields.items() if name != "type"), model
        assert model.__doc__
    assert len({name_of(grader) for grader in GRADERS}) == len(GRADERS) == 20


def test_packs_are_shipped(root: Path) -> None:
    shipped = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["service"]
    assert "**/*.yaml" in shipped
    assert yaml.safe_load((root / "service/probes/packs/injection.yaml").read_text())["id"] == "injection"
