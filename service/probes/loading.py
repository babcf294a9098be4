"""Read packs: built-in ones by name, others by path, with the items of the files that they point at.

Every mistake names the file, the line, the key and what was expected there. The texts of items are never shown.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.config.loading import read_yaml
from service.config.mistakes import explain, where
from service.errors import ConfigError, DataError
from service.probes.checks import check_items
from service.probes.pack import BUILT_IN, FEWEST, SCHEMA, Item, Pack, Suite
from service.probes.render import cost
from service.rows import Row, place_rows

GOLDEN = "@golden"
PRIVATE = frozenset({"items", "prompt", "messages", "content", "expected", "system", "vars"})
"""Keys of a pack under which values are not shown in messages."""

_PARTS = ("messages", "vars", "tags", "groups", "variants", "graders", "tools")  # of an item; JSON in a cell of CSV


def built_in() -> tuple[str, ...]:
    """Names of the packs of our own writing."""
    return tuple(sorted(path.stem for path in BUILT_IN.glob("*.yaml")))


def load_pack(name: str | Path, *, golden: Path | None = None, allow_code: bool = False) -> Pack:
    """A built-in pack by its name, or a file by its path; with the items of its ``items_file`` read in.

    Args:
        name: name of a built-in pack, or path of a YAML file.
        golden: the operator's own items, which packs call ``@golden``.
        allow_code: graders in Python are taken.

    Raises:
        ConfigError: one line for each mistake of the pack, or code that is not allowed.
        DataError: a file of items cannot be used.
    """
    path = _path(name)
    data, lines = read_yaml(path)
    if not isinstance(data, dict) or "schema" not in data:
        raise ConfigError(
            f"{path}: expected a pack: a mapping with `schema: {SCHEMA}`; other forms are imported by `tiltmeter pack import`"
        )
    try:
        pack = Pack.model_validate(data)
    except ValidationError as error:
        told = (explain(path, lines, {}, detail, Pack, PRIVATE) for detail in error.errors())
        raise ConfigError("\n".join(dict.fromkeys(told))) from None
    if pack.code() and not allow_code:
        place = where(path, lines, ("suites",))
        raise ConfigError(
            f"{place}: grader python names {pack.code()[0]}; code is refused unless probes.allow_code is true (`pack check`: --allow-code)"
        )
    return pack.model_copy(update={"suites": [_with_file(path, suite, golden) for suite in pack.suites]})


def read_items(path: Path) -> Iterator[tuple[str, Item]]:
    """Items of a JSONL or CSV file: id, prompt or messages, expected, category and the like; with the place of each.

    Without an id it is a digest of what is asked. ``{{name}}`` is left as it stands unless the row has ``vars``.

    Raises:
        DataError: names the row and the column.
    """
    for row in place_rows(path):
        csv = path.name.lower().endswith((".csv", ".csv.gz", ".csv.zst"))
        fields: dict[str, Any] = _cells(row) if csv else dict(row.fields)
        if not str(fields.get("id") or ""):
            asked = fields.get("prompt") or fields.get("messages")
            fields["id"] = "q-" + hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
        fields["id"] = str(fields["id"])
        fields.setdefault("verbatim", not fields.get("vars"))
        try:
            yield row.place, Item.model_validate(fields)
        except ValidationError as error:
            told = (explain(Path(row.place), {}, {}, detail, Item, {*PRIVATE, "id"}) for detail in error.errors())
            raise DataError("\n".join(dict.fromkeys(told))) from None


def warnings(pack: Pack) -> tuple[str, ...]:
    """What is allowed but hardly meant."""
    found = []
    for suite in pack.suites:
        place = f"{pack.id}/{suite.id}"
        asked = cost(pack, suite).calls
        if suite.detector.severity == "page" and asked < FEWEST:
            found.append(f"{place}: {asked} answers a round; a suite that pages needs {FEWEST}, or one that flips looks like a change")
        if suite.sample.items and suite.sample.items > len(suite.items):
            found.append(f"{place}: a round of {suite.sample.items} items is asked for, but there are {len(suite.items)}")
        if suite.sample.strategy == "fixed" and any(item.held_out for item in suite.items):
            found.append(f"{place}: items that are held out are never asked; expected sample.strategy: rotate")
        if any(grader.type == "invariance" for grader in suite.graders) and not (suite.variants or suite.groups):
            found.append(f"{place}: grader invariance compares twins or groups, but there are no variants and no groups")
    return tuple(found)


def _path(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    if str(name) in built_in():
        return BUILT_IN / f"{name}.yaml"
    close = difflib.get_close_matches(str(name), built_in(), n=1, cutoff=0.5)
    near = f"did you mean '{close[0]}'? " if close else ""
    raise ConfigError(f"pack '{name}': no built-in pack of this name; {near}expected a YAML file, or one of {', '.join(built_in())}")


def _with_file(pack: Path, suite: Suite, golden: Path | None) -> Suite:
    if suite.items_file is None:
        return suite
    if suite.items_file == GOLDEN:
        if golden is None:
            raise ConfigError(
                f"{pack}: suite '{suite.id}' asks your own items; expected probes.golden (`pack check`: --golden), a JSONL or CSV file"
            )
        path = golden
    else:
        path = pack.parent / suite.items_file
    items = [*suite.items]
    for place, item in read_items(path):
        items.append(item)
        try:
            check_items(suite, [item])
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
    if not items:
        raise DataError(f"{path}: holds no items; expected rows with id, prompt or messages, expected, category")
    try:
        check_items(suite, items)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    return suite.model_copy(update={"items": items, "items_file": None})


def _cells(row: Row) -> dict[str, Any]:
    """Cells of CSV: empty ones are absent, parts are JSON."""
    fields: dict[str, Any] = {name: cell for name, cell in row.fields.items() if cell != ""}
    for name in _PARTS:
        if name in fields:
            try:
                fields[name] = json.loads(fields[name])
            except ValueError:
                raise DataError(f"{row.place}: {name}: expected JSON in this cell") from None
    for name in ("held_out", "verbatim"):
        if name in fields:
            fields[name] = str(fields[name]).lower() in ("1", "true", "yes")
    return fields
