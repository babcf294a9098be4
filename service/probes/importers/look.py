"""What a file looks like, so that one of the wrong form is refused with a reason."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from service.errors import DataError
from service.rows import place_rows

_LARGEST = 256_000_000
"""Bytes of the largest YAML or JSON file that is read."""


class Look(NamedTuple):
    """``kind`` is yaml, json, jsonl, csv or other; ``whole`` what YAML or JSON holds; ``first`` the first row of the others."""

    path: Path
    kind: str
    whole: Any = None
    first: Mapping[str, Any] = {}  # never changed

    @property
    def keys(self) -> frozenset[str]:
        """Top-level keys, or columns."""
        held = self.whole if isinstance(self.whole, Mapping) else self.first
        return frozenset(map(str, held))

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Rows of JSONL or CSV. Raises DataError for a broken one."""
        return (row.fields for row in place_rows(self.path))

    def described(self) -> str:
        """In words, for a message."""
        if self.kind == "other":
            return "neither YAML nor JSON, nor a table"
        what = {
            "yaml": "YAML with the keys",
            "json": "JSON with the keys",
            "jsonl": "JSON lines with the keys",
            "csv": "CSV with the columns",
        }
        names = [str(name)[:30] for name in sorted(self.keys)[:8]]
        return f"{what[self.kind]} {', '.join(names)}" if names else f"{self.kind.upper()} without keys"


class _Core(yaml.SafeLoader):
    """YAML 1.2 of JavaScript tools, for which Yes and No are words."""


_Core.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or letter in "tTfF"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def look(path: Path) -> Look:
    """Read as much as tells the form. Raises DataError: cannot be read, or broken."""
    suffix = next((one for one in reversed([s.lower() for s in path.suffixes]) if one not in (".gz", ".zst")), "")
    if suffix in (".jsonl", ".ndjson", ".csv"):
        first = next(iter(place_rows(path)), None)
        return Look(path, "csv" if suffix == ".csv" else "jsonl", None, first.fields if first else {})
    text = _text(path)
    if suffix == ".json":
        return Look(path, "json", _json(path, text))
    whole = read_yaml(path, text)
    if isinstance(whole, Mapping) or (isinstance(whole, list) and whole and isinstance(whole[0], Mapping)):
        return Look(path, "yaml", whole)
    header = next(csv.reader(io.StringIO(text)), [])
    return Look(path, "other", None, dict.fromkeys(header) if len(header) > 1 else {})


def read_yaml(path: Path, text: str | None = None) -> Any:
    """What a YAML file of another tool holds. Raises DataError when it is none."""
    try:
        return yaml.load(_text(path) if text is None else text, Loader=_Core)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise DataError(f"{path}{f':{mark.line + 1}' if mark else ''}: not YAML") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply") from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: broken JSON at column {error.colno}") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({type(error).__name__})") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path}: larger than {_LARGEST:,} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from None
