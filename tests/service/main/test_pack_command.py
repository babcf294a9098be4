"""``tiltmeter pack``: what is printed, what is written, which status it leaves with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.main import app
from service.probes.importers import import_file
from service.probes.loading import load_pack


def tiltmeter(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["pack", *map(str, words)])


@pytest.fixture
def imports(root: Path) -> Path:
    return root / "tests" / "data" / "imports"


def test_check_shows_what_a_pack_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = tiltmeter("check", "injection")
    assert result.exit_code == 0
    row = next(line for line in result.output.splitlines() if line.strip().startswith("planted"))
    assert row.split() == ["planted", "injection", "comply", "24", "20", "8", "h", "60", row.split()[8], "planted_token"]


def test_check_asks_for_the_golden_file_and_takes_it(tmp_path: Path) -> None:
    result = tiltmeter("check", "golden")
    assert result.exit_code == 2
    assert "expected probes.golden" in result.output
    (tmp_path / "g.csv").write_text("id,prompt,expected\na,1 + 1?,2\n")
    result = tiltmeter("check", "golden", "--golden", tmp_path / "g.csv")
    assert result.exit_code == 0
    assert "warning: golden/own: 1 answers a round" in result.output


def test_check_names_the_judges_and_the_mistakes(tmp_path: Path) -> None:
    pack = tmp_path / "p.yaml"
    text = "schema: tiltmeter.pack/v1\nid: p\nversion: 1\nlicense: CC0-1.0\nsuites:\n  - id: s\n    kind: golden\n"
    text += "    graders: [{type: llm_judge, judge: main, rubric: Is it kind}]\n    items: [{id: a, prompt: Hello}]\n"
    pack.write_text(text)
    assert "judges that must be configured: main" in tiltmeter("check", pack).output
    pack.write_text(text.replace("kind: golden", "knid: golden"))
    result = tiltmeter("check", pack)
    assert result.exit_code == 2
    assert "p.yaml:7: suites.0.knid: unknown key; did you mean 'kind'?" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("type: contains, any: [x]", "type: regex, pattern: '(x'"), "grader regex: pattern: expected a regular expression"),
        (("type: contains, any: [x]", "type: json_schema, schema: {forma: x}"), "grader json_schema: schema: "),
        (
            ("license: CC0-1.0", "license: CC0-1.0\ndefaults: {system: '@prdo'}"),
            "defaults.system: given 5 characters; expected: @prod, none, or a text",
        ),
        (("id: s\n", "id: s/t\n"), "expected: text that matches ^[A-Za-z0-9]"),
    ],
)
def test_check_finds_what_the_service_would_refuse(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = "schema: tiltmeter.pack/v1\nid: p\nversion: 1\nlicense: CC0-1.0\nsuites:\n  - id: s\n    kind: golden\n"
    text += "    graders: [{type: contains, any: [x]}]\n    items: [{id: a, prompt: hi}]\n"
    (tmp_path / "p.yaml").write_text(text)
    assert tiltmeter("check", tmp_path / "p.yaml").exit_code == 0
    assert change[0] in text
    (tmp_path / "p.yaml").write_text(text.replace(*change))
    result = tiltmeter("check", tmp_path / "p.yaml")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_import_writes_a_pack_that_loads_and_lists_what_it_left_out(imports: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    result = tiltmeter("import", imports / "harmbench_behaviors.csv", "--out", out, "--license", "MIT")
    assert result.exit_code == 0
    assert "form harmbench: 2 items taken, 1 disabled" in result.output
    assert "disabled: invented_novel_page: copyright" in result.output
    pack = load_pack(out)
    assert pack.license == "MIT"
    assert [len(suite.items) for suite in pack.suites] == [2]
    assert "break the law" not in result.output  # texts stay in the file


def test_import_replaces_nothing_unasked(imports: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine")
    result = tiltmeter("import", imports / "plain.csv", "--out", out)
    assert result.exit_code == 2
    assert out.read_text() == "mine"
    assert tiltmeter("import", imports / "plain.csv", "--out", out, "--overwrite").exit_code == 0


def test_import_of_counts_alone_writes_nothing(imports: Path, tmp_path: Path) -> None:
    result = tiltmeter("import", imports / "results_lm_eval.json", "--out", tmp_path / "p.yaml")
    assert result.exit_code == 0
    assert "counted before: gsm8k, exact_match,strict-match: 69 of 100 failed" in result.output
    assert not (tmp_path / "p.yaml").exists()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--form", "garak"], 1, "is not a garak report; it looks like rows with id"),
        (["--form", "garack"], 2, "did you mean 'garak'"),
        (["--kind", "evil"], 2, "--kind: given 'evil'; expected: golden or"),
    ],
)
def test_import_with_a_wrong_word(imports: Path, tmp_path: Path, words: list[str], status: int, message: str) -> None:
    result = tiltmeter("import", imports / "plain.csv", "--out", tmp_path / "p.yaml", *words)
    assert result.exit_code == status
    assert message in " ".join(result.output.split())


def test_every_import_survives_being_written(imports: Path, tmp_path: Path) -> None:
    for number, file in enumerate(
        ["promptfooconfig.yaml", "garak.report.jsonl", "registry/evals/birds.yaml", "advbench_harmful_behaviors.csv"]
    ):
        out = tmp_path / f"{number}.yaml"
        assert tiltmeter("import", imports / file, "--out", out).exit_code == 0
        pack = import_file(imports / file).pack
        assert pack is not None
        assert [suite.items for suite in load_pack(out).suites] == [suite.items for suite in pack.suites]
