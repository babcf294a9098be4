"""``tiltmeter replay`` on a real bundle: files out, exit status, and what is said when something is wrong."""

import json
import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.main import app

KNOWN = ("account", "balance", "card", "transfer", "help", "my", "what", "is", "the")
STRANGE = ("a", "b", "c", "d", "e", "f", "g", "h", "?")
DAY = 86_400
SCORES = "id time model_name slice score p_value strange far topic"
VERDICT = (
    "window_start window_end model_name slice stream n value reference effect_low effect_high "
    "log10_evidence log10_threshold log10_ticket_evidence log10_ticket_threshold state explanation"
)
START = 1_767_225_600


def sentence(rng: random.Random, words: tuple[str, ...] = KNOWN) -> str:
    return " ".join(rng.choices(words, k=rng.randint(3, 8)))


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of which the second is strange; 40 prompts a minute."""
    rng = random.Random(1)
    rows: list[dict[str, object]] = []
    for number in range(4800):
        words = STRANGE if number >= 2400 and rng.random() < 0.5 else KNOWN
        rows.append({"id": f"r{number}", "ts": START + number * 1.5, "text": sentence(rng, words)})
    return write(tmp_path_factory.mktemp("replay") / "week.jsonl", rows)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen quiet days."""
    rng = random.Random(2)
    texts = [sentence(rng) for _ in range(500)]
    rows: list[dict[str, object]] = [{"ts": START - 15 * DAY + number * 60, "text": rng.choice(texts)} for number in range(15 * 1440)]
    return write(tmp_path_factory.mktemp("past") / "past.jsonl", rows)


def test_scores_and_verdicts_lines(bundle: Path, week: Path, tmp_path: Path) -> None:
    scores, verdicts = tmp_path / "scores.jsonl", tmp_path / "verdicts.jsonl"
    result = replay(week, "--bundle", bundle, "--time", "ts", "--scores", scores, "--verdicts", verdicts)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    assert len(rows) == 4800
    assert list(rows[0]) == SCORES.split()
    assert rows[7]["id"] == "r7"
    assert rows[7]["time"] == START + 10.5
    lines = [json.loads(line) for line in verdicts.read_text().splitlines()]
    assert list(lines[0]) == VERDICT.split()
    for stream in ("ood_share", "far_share"):
        assert sum(line["n"] for line in lines if line["stream"] == stream) == 4800
    assert "4,800 prompts in 120 windows" in result.output
    everything = result.output + scores.read_text() + verdicts.read_text()
    assert not any(json.loads(line)["text"] in everything for line in week.read_text().splitlines()[:50])


def test_slices_have_verdict_lines_and_rows_of_their_own(bundle: Path, week: Path, tmp_path: Path) -> None:
    config, records, verdicts = tmp_path / "c.yaml", tmp_path / "week.jsonl", tmp_path / "verdicts.jsonl"
    rows = [json.loads(line) for line in week.read_text().splitlines()[:1200]]
    write(records, [{**row, "tenant": ("acme", "globex", "initech")[i % 3]} for i, row in enumerate(rows)])
    config.write_text(
        f"source: {{kind: http}}\nfields: {{slice: /tenant}}\nmodels: {{bot: {{bundle: {bundle}, slices: {{values: [acme, globex]}}}}}}\n"
        "detection: {first_contact: {duration: 0, prompts: 0}}\n"
    )
    result = replay(records, "--config", config, "--time", "ts", "--verdicts", verdicts)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in verdicts.read_text().splitlines()]
    counted = {
        slice_: sum(line["n"] for line in lines if (line["slice"], line["stream"]) == (slice_, "ood_share")) for slice_ in ("", "acme")
    }
    assert counted == {"": 1200, "acme": 400}
    assert {line["slice"] for line in lines} == {"", "acme", "globex"}
    table = result.output[result.output.index("model  slice") :].splitlines()
    assert [row.split()[:3] for row in table[3:5]] == [["bot", "acme", "ood_share"], ["bot", "acme", "far_share"]]
    assert len(table) == 1 + 2 + 4


def test_the_lines_are_documented(root: Path) -> None:
    text = (root / "docs" / "cli.md").read_text()
    scores, verdicts = text.split("<!-- scores -->")[1].split("<!-- end -->")[0].split("<!-- verdicts -->")
    for section, keys in ((scores, SCORES), (verdicts, VERDICT)):
        assert [word for word in re.findall(r"`(\w+)`", section) if word in keys.split()] == keys.split()


def test_without_history_at_most_tickets(bundle: Path, week: Path) -> None:
    result = replay(week, "--bundle", bundle, "--time", "ts", "--fail-on", "page")
    assert result.exit_code == 0, result.output
    assert "PAGE" not in result.output
    assert "ticket" in result.output
    assert replay(week, "--bundle", bundle, "--time", "ts", "--fail-on", "ticket").exit_code == 3


def test_with_history_it_pages_and_says_when(bundle: Path, week: Path, past: Path, tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts.jsonl"
    result = replay(week, "--bundle", bundle, "--time", "ts", "--learn-from", past, "--fail-on", "page", "--verdicts", verdicts)
    assert result.exit_code == 3, result.output
    assert "learned bundle from 21,600 prompts of 15 days" in result.output
    assert "bundle strange:" not in result.output, "this stream may page: nothing to warn of"
    page = next(line for line in result.output.splitlines() if "PAGE" in line)
    assert page.startswith("Thu 1 Jan 01:0")
    lines = [json.loads(line) for line in verdicts.read_text().splitlines()]
    told = [line for line in lines if line["state"] == "page" and line["stream"] == "ood_share"]
    assert told
    for line in told:
        assert sum(line["p_values_after"][:5]) > 3 * sum(line["p_values_before"][:5]) > 0
        assert sum(line["p_values_after"]) == pytest.approx(1, abs=1e-3)
        assert "grew: " in line["explanation"]
    assert list(next(line for line in lines if line["state"] == "ok")) == VERDICT.split()


def test_a_history_too_short_to_page_is_named(bundle: Path, week: Path, past: Path, tmp_path: Path) -> None:
    lines = past.read_text().splitlines(keepends=True)
    short, hour = tmp_path / "short.jsonl", tmp_path / "hour.jsonl"
    short.write_text("".join(lines[-3 * 1440 :]))
    result = replay(week, "--bundle", bundle, "--time", "ts", "--learn-from", short, "--fail-on", "page")
    assert result.exit_code == 0, result.output
    assert "bundle strange: 3 of the 14 whole days that paging needs were learned (stage short): normal up to " in result.output
    assert "and this stream opens at most tickets" in result.output
    assert "ticket  bundle ood_share" in result.output
    hour.write_text("".join(lines[-60:]))
    result = replay(week, "--bundle", bundle, "--time", "ts", "--learn-from", hour)
    assert result.exit_code == 1
    assert "--learn-from: bundle: not enough is learned from hour.jsonl: 1 of 24 hours are learned; " in result.output
    assert "more needed). Give a longer history" in result.output


def test_the_past_alone_pages_nobody(bundle: Path, past: Path) -> None:
    result = replay(past, "--bundle", bundle, "--time", "ts", "--learn-from", past, "--fail-on", "ticket")
    assert result.exit_code == 0, result.output


def test_the_same_twice_is_the_same(bundle: Path, week: Path, tmp_path: Path) -> None:
    outputs = []
    for name in ("one", "two"):
        replay(week, "--bundle", bundle, "--time", "ts", "--verdicts", tmp_path / name)
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1]
    assert outputs[0]


def test_standard_input_and_a_rate(bundle: Path, week: Path) -> None:
    arguments = ["replay", "-", "--bundle", str(bundle), "--rate", "20", "--start", "2026-01-01T00:00:00Z"]
    result = CliRunner().invoke(app, arguments, input=week.read_bytes())
    assert result.exit_code == 0, result.output
    assert "4,800 prompts in 4 windows" in result.output


def test_a_configuration_brings_names_budgets_and_first_contact(bundle: Path, week: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiltmeter.yaml"
    config.write_text(f"source: {{kind: http}}\nfields: {{time: ts}}\nmodels: {{support-bot: {{bundle: {bundle}, owner: team-a}}}}\n")
    result = replay(week, "--config", config, "--verdicts", tmp_path / "v", "--fail-on", "ticket")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (tmp_path / "v").read_text().splitlines()]
    assert {(line["model_name"], line["state"]) for line in lines} == {("support-bot", "learning")}
    assert max(line["log10_ticket_evidence"] for line in lines) == 0


def test_rows_that_are_no_prompts_are_counted(bundle: Path, week: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    lines = week.read_text().splitlines()[:500]
    broken.write_text("\n".join([*lines, '{"ts": 1, "text": ""}', '{"ts": "soon", "text": "help"}', '{"no": 1}']))
    result = replay(broken, "--bundle", bundle, "--time", "ts")
    assert result.exit_code == 0, result.output
    assert "3 records were no prompts: bad_time 1, empty_text 1, no_text 1" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{week}", "--bundle", "{tmp}/none"], 2, "expected a directory made by `tiltmeter fit`"),
        (["{week}"], 2, "--bundle: needed unless --config names bundles"),
        (["{tmp}/none.jsonl", "--bundle", "{bundle}"], 1, "none.jsonl: No such file"),
        (["{week}", "--bundle", "{bundle}", "--text", "question"], 1, "the fields of the first row are id, text, ts"),
        (["{week}", "--bundle", "{bundle}", "--time", "ts", "--rate", "5"], 2, "not both"),
        (["{week}", "--bundle", "{bundle}", "--time", "when"], 1, "bad_time 4,800"),
        (["{week}", "--bundle", "{bundle}", "--rate", "5", "--start", "yesterday"], 2, "'yesterday' is no time"),
        (["{week}", "--bundle", "{bundle}", "--time", "ts", "--scores", "{tmp}/no/where"], 2, "cannot be written"),
        (["{week}", "--bundle", "{bundle}", "--time", "ts", "--fail-on", "panic"], 2, "panic"),
    ],
)
def test_what_is_wrong_is_named(bundle: Path, week: Path, tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    filled = [argument.format(week=week, bundle=bundle, tmp=tmp_path) for argument in arguments]
    result = replay(*filled)
    assert result.exit_code == status, result.output
    assert message in " ".join(result.output.split())
