"""The chart's values as a table: what the comments in values.yaml say, so that the README cannot say anything else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_MARK = "# -- "
_BEGIN, _END = "<!-- values -->", "<!-- end of values -->"


class Undocumented(Exception):
    """Values without a comment that begins with `# -- `."""


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every value, in the order of the file.

    A mapping with a comment of its own is one value. Raises Undocumented naming those that have none.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    found = list(_walk(node, yaml.safe_load(text), text.splitlines(), ""))
    if missing := [key for key, _, meaning in found if not meaning]:
        raise Undocumented(f"values.yaml: no comment says what these are: {', '.join(missing)}")
    yield from found


def _walk(node: yaml.MappingNode, values: dict[str, Any], lines: list[str], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, inner in node.value:
        name, value, meaning = f"{prefix}{key.value}", values[key.value], _comment(lines, key.start_mark.line)
        if isinstance(inner, yaml.MappingNode) and inner.value and not meaning:
            yield from _walk(inner, value, lines, f"{name}.")
        else:
            yield name, json.dumps(value, ensure_ascii=False), meaning


def _comment(lines: list[str], at: int) -> str:
    """The comment right above a line, if it begins with the mark."""
    above: list[str] = []
    while at > 0 and lines[at - 1].strip().startswith("#"):
        at -= 1
        above.insert(0, lines[at].strip())
        if above[0].startswith(_MARK):
            return " ".join([above[0].removeprefix(_MARK), *(line.removeprefix("# ") for line in above[1:])])
    return ""


def table(text: str) -> str:
    """The rows as Markdown."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{key}` | `{default}` | {meaning} |".replace("||", "\\|\\|") for key, default, meaning in rows(text))])


def readme(path: Path, values: Path) -> str:
    """The README with its table made anew, as text."""
    before, rest = path.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    return f"{before}{_BEGIN}\n{table(values.read_text(encoding='utf-8'))}\n{_END}{after}"
