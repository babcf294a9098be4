"""The schema of packs: what is refused, and with which words."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import ConfigError, DataError
from service.probes.loading import load_pack, warnings
from service.probes.pack import Pack
from service.probes.window import Window

SECRET = "what the customer asked in confidence"


def suite(**changes: Any) -> dict[str, Any]:
    items = [{"id": "one", "prompt": SECRET, "expected": "42"}]
    return {"id": "s", "kind": "golden", "graders": [{"type": "exact"}], "items": items} | changes


def write(path: Path, *suites: dict[str, Any], **changes: Any) -> Path:
    pack = {"schema": "tiltmeter.pack/v1", "id": "p", "version": 1, "license": "CC0-1.0", "suites": list(suites) or [suite()]} | changes
    file = path / "p.yaml"
    file.write_text(yaml.safe_dump(pack, sort_keys=False))
    return file


def item(**changes: Any) -> dict[str, Any]:
    return {"id": "one", "prompt": SECRET, "expected": "42"} | changes


REFUSED = {
    "unknown key of a pack": ({"versoin": 2}, "versoin: unknown key; did you mean 'version'?"),
    "unknown key of a suite": (suite(shedule={}), "suites.0.shedule: unknown key; did you mean 'schedule'?"),
    "unknown key of an item": (suite(items=[item(promt="x")]), "suites.0.items.0.promt: unknown key; did you mean 'prompt'?"),
    "unknown grader": (suite(graders=[{"type": "exakt"}]), "suites.0.graders.0.type: given 'exakt'; did you mean 'exact'?"),
    "unknown parameter": (suite(graders=[{"type": "exact", "vaule": "x"}]), "suites.0.graders.0.vaule: unknown key; did you mean 'value'?"),
    "grader without type": (suite(graders=[{"value": "x"}]), "suites.0.graders.0: given no type; expected: a key 'type'"),
    "unknown kind": (suite(kind="safty"), "suites.0.kind: given 'safty'; did you mean 'safety'?"),
    "unknown variant": (suite(variants=["typo"]), "unknown variant 'typo'; did you mean 'typos'?"),
    "item without grader": (suite(graders=[]), "item 'one': no grader"),
    "two items of one id": (suite(items=[item(), item()]), "two items of the id 'one'"),
    "nothing expected": (suite(items=[{"id": "one", "prompt": "x"}]), "item 'one': grader exact needs `expected`"),
    "several expected numbers": (suite(graders=[{"type": "numeric"}], items=[item(expected=[1, 2])]), "grader numeric needs `expected`"),
    "a tool call without a name": (suite(graders=[{"type": "tool_call"}]), "grader tool_call needs `expected: {name, arguments}`"),
    "prompt and messages": (suite(items=[item(messages=[{"role": "user", "content": "x"}])]), "expected `prompt` or `messages`"),
    "an answer at the end": (
        suite(items=[{"id": "one", "expected": "1", "messages": [{"role": "assistant", "content": SECRET}]}]),
        "messages end with assistant",
    ),
    "no items": (suite(items=[]), "suite 's': no items"),
    "unknown placeholder": (suite(items=[item(prompt="{{nonse}}")]), "nothing is known of '{{nonse}}'; expected one of nonce"),
    "a variable called nonce": (suite(items=[item(vars={"nonce": "x"})]), "'nonce' has a meaning of its own"),
    "an empty group": (suite(groups={"who": []}), "group 'who' has no values"),
    "hours": (suite(schedule={"window": "8 to 5"}), "suites.0.schedule.window: given '8 to 5'; expected: hours such as"),
    "too often": (suite(schedule={"every": "1 s"}), "suites.0.schedule.every: given 1.0; expected: a number greater than or equal to 60"),
    "jury of two": (
        suite(graders=[{"type": "llm_judge", "judge": ["a", "b"], "rubric": "good?"}]),
        "expected an odd number of judges",
    ),
    "half a label set": (
        suite(graders=[{"type": "llm_judge", "judge": "a", "rubric": "?", "scale": "labels"}]),
        "expected labels, and some",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(tmp_path: Path, name: str) -> None:
    wrong, message = REFUSED[name]
    file = write(tmp_path, wrong) if "kind" in wrong else write(tmp_path, **wrong)
    with pytest.raises(ConfigError) as error:
        load_pack(file)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{file}:")
    assert SECRET not in str(error.value)


def test_a_mistake_in_an_item_names_its_line_and_never_its_text(tmp_path: Path) -> None:
    file = write(tmp_path, suite(items=[item(), item(id="two", category=SECRET)]))
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if text.strip().startswith("category:"))
    with pytest.raises(ConfigError) as error:
        load_pack(file)
    assert f"p.yaml:{line}: suites.0.items.1.category: given {len(SECRET)} characters" in str(error.value)
    assert SECRET not in str(error.value)


def test_two_suites_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two suites of the id 's'"):
        load_pack(write(tmp_path, suite(), suite()))


def test_another_yaml_file_is_no_pack(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("prompts: [a]\n")
    with pytest.raises(ConfigError, match=r"expected a pack: a mapping with `schema: tiltmeter\.pack/v1`"):
        load_pack(file)


def test_a_name_that_is_no_pack_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'injection'"):
        load_pack("injektion")


def test_code_is_refused_unless_allowed(tmp_path: Path) -> None:
    file = write(tmp_path, suite(items=[item(graders=[{"type": "python", "entry": "mine.graders:check"}])]))
    with pytest.raises(ConfigError, match=r"names mine\.graders:check; code is refused unless"):
        load_pack(file)
    assert load_pack(file, allow_code=True).code() == ("mine.graders:check",)


def test_items_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(
        json.dumps({"id": "a", "prompt": "1 + 1?", "expected": "2"})
        + "\n"
        + json.dumps({"prompt": "see {{this}}", "expected": 3, "category": "odd"})
        + "\n"
    )
    found = load_pack(write(tmp_path, suite(items_file="own.jsonl"))).suites[0]
    assert [one.id for one in found.items][:2] == ["one", "a"]
    assert found.items[2].id.startswith("q-")
    assert found.items[2].verbatim  # whose braces are text
    assert [found.category_of(one) for one in found.items] == ["s", "s", "odd"]


def test_items_of_a_table_with_empty_cells_and_json_cells(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(
        'id,prompt,messages,expected,tags,held_out\na,say 2,,2,"[""x""]",true\nb,,"[{""role"": ""user"", ""content"": ""say 3""}]",3,,\n'
    )
    items = load_pack(write(tmp_path, suite(items=[], items_file="own.csv"))).suites[0].items
    assert items[0].tags == ["x"]
    assert items[0].held_out
    assert not items[1].held_out
    assert items[1].turns[-1].content == "say 3"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "promt": SECRET}, "own.jsonl:2: promt: unknown key; did you mean 'prompt'?"),
        ({"id": "a", "prompt": SECRET}, "own.jsonl:2: item 'a': grader exact needs `expected`"),
        ({"id": "one", "prompt": SECRET, "expected": "1"}, "own.jsonl: two items of the id 'one'"),
        ({"id": "a", "prompt": 7, "expected": "1"}, "own.jsonl:2: prompt: given 7; expected: text"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_never_its_text(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    (tmp_path / "own.jsonl").write_text(json.dumps({"id": "b", "prompt": "x", "expected": "y"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError) as error:
        load_pack(write(tmp_path, suite(items_file="own.jsonl")))
    assert message in str(error.value)
    assert SECRET not in str(error.value)


def test_a_golden_pack_without_a_golden_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"expected probes.golden"):
        load_pack("twins")


def test_the_digest_changes_with_what_a_record_depends_on_and_with_nothing_else() -> None:
    def digest(**changes: Any) -> str:
        pack = {"schema": "tiltmeter.pack/v1", "id": "p", "version": 1, "license": "CC0-1.0", "suites": [suite(**changes)]}
        read = Pack.model_validate(pack)
        return read.digest(read.suites[0])

    same = digest()
    assert digest(schedule={"every": "1 h"}) == same
    assert digest(detector={"severity": "ticket"}) == same
    for changed in (
        {"graders": [{"type": "contains"}]},
        {"items": [item(prompt="other")]},
        {"asking": {"max_tokens": 9}},
        {"variants": ["typos"]},
    ):
        assert digest(**changed) != same


def test_a_suite_can_go_back_to_what_production_does(tmp_path: Path) -> None:
    pack = load_pack(write(tmp_path, suite(asking={"sampling": "prod"}), defaults={"sampling": {"temperature": 0}, "max_tokens": 5}))
    asking = pack.asking(pack.suites[0])
    assert asking.sampling is None
    assert (asking.max_tokens, asking.system, asking.repeats) == (5, "@prod", 1)


def test_attacks_are_sensitive_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    kinds = [("safety", None, None, True), ("golden", None, None, False), ("golden", None, True, True), ("safety", False, True, False)]
    for kind, own, packs, sensitive in kinds:
        pack = load_pack(write(tmp_path, suite(kind=kind, sensitive=own), sensitive=packs))
        assert pack.sensitive_suite(pack.suites[0]) is sensitive, kind


def test_warnings_name_what_is_hardly_meant(tmp_path: Path) -> None:
    pack = load_pack(
        write(tmp_path, suite(graders=[{"type": "invariance"}], sample={"items": 9}, items=[item(), item(id="b", held_out=True)]))
    )
    text = "\n".join(warnings(pack))
    for part in ("p/s: 1 answers a round", "a round of 9 items", "held out are never asked", "no variants and no groups"):
        assert part in text


def test_hours_cross_midnight_and_weekends() -> None:
    assert Window.parse("Fri-Mon 20:00-24:00").days == frozenset({4, 5, 6, 0})
    late = Window.parse("Sun 22:00-06:00")
    assert late.holds(datetime(2026, 1, 4, 23))
    assert late.holds(datetime(2026, 1, 5, 5, 59))
    assert not late.holds(datetime(2026, 1, 5, 6))
    for wrong in ("25:00-26:00", "08:60-09:00", "08:00-08:00", "Foo 08:00-09:00", "08:00"):
        with pytest.raises(ValueError, match="expected hours"):
            Window.parse(wrong)
