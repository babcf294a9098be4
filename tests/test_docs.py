"""The documents are true as far as a machine can tell: linked files exist, commands parse, configurations load, named tests are there."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from service.config import Config
from service.decider.budget import PAGING, TICKETS
from service.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
        *ROOT.glob("helm/**/*.md"),
        *ROOT.glob("dashboards/**/*.md"),
    ]
)

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _blocks(text: str, language: str = "") -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _options(words: list[str]) -> list[str]:
    """Options of one command line after its command."""
    return [word.split("=")[0] for word in words if word.startswith("-") and word != "-"]


@page
def test_linked_files_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def _anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it: repeated ones are numbered."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = 0
        while (name := f"{plain}-{number}" if number else plain) in found:
            number += 1
        found.add(name)
    return found


@page
def test_linked_headings_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [(page.parent / file if file else page, anchor) for file, anchor in links if "://" not in file]
    missing = [f"{file.name}#{anchor}" for file, anchor in local if file.suffix == ".md" and anchor not in _anchors(file)]
    assert not missing


def test_every_stream_has_a_section_and_every_promise_names_its_check() -> None:
    sections = re.findall(r"^### `(\w+)`", (ROOT / "docs/concepts.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(sections) == {*PAGING, *TICKETS}
    columns: list[str] = []
    for line in (ROOT / "docs/guarantees.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if cells[:1] == ["promise"]:
            columns = cells
        elif cells:
            assert len(cells) == len(columns), line
            assert re.search(r"`(tests|benchmarks)/[\w/]+\.py", cells[columns.index("checked by")]), line


@page
def test_tiltmeter_commands_parse(page: Path) -> None:
    text = "\n".join(_blocks(page.read_text(encoding="utf-8"), r"(?:sh|bash|console)?"))
    wrong = []
    for line in re.findall(r"^(?:\$ )?(?:\S+/)?tiltmeter (.*)$", text.replace("\\\n", " "), re.MULTILINE):
        words = shlex.split(line, comments=True)
        command, known = get_command(app), {"-h", "--help"}
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        bare = not getattr(command, "invoke_without_command", True)
        if (bare and words) or set(_options(words)) - known:
            wrong.append(line)
    assert not wrong


@page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"^make ([a-z-]+)", "\n".join(_blocks(text, r"(?:sh|bash|console)?")), re.MULTILINE)
    named += re.findall(r"`make ([a-z-]+)[^`]*`", text)
    assert set(named) <= targets


@page
def test_whole_configurations_load(page: Path) -> None:
    for block in _blocks(page.read_text(encoding="utf-8"), "yaml"):
        document = yaml.safe_load(block)
        if isinstance(document, dict) and {"source", "models"} <= document.keys():
            Config.model_validate(document)


@page
def test_named_tests_exist(page: Path) -> None:
    for path, function in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8")):
        file = ROOT / path
        assert file.is_file(), f"{path} is named and not there"
        assert not function or f"def {function}(" in file.read_text(encoding="utf-8"), f"{path}::{function} is named and not there"


def test_the_readme_is_short_and_shows_the_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    picture = re.search(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert picture is not None
    assert (ROOT / picture[1]).stat().st_size < 200_000


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    missing = [file.name for file in ROOT.glob("docs/decisions/[0-9]*.md") if f"({file.name})" not in index]
    assert not missing
