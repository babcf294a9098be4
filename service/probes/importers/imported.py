"""What an import gives, and the draft that importers write into: whatever cannot be mapped is listed, never passed over."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from service.config.mistakes import explain
from service.probes.checks import check_items
from service.probes.loading import PRIVATE
from service.probes.pack import SCHEMA, Item, Pack, Suite
from service.records.probes import Kind

LICENCE = "LicenseRef-as-source"
"""Of texts whose licence only the operator knows."""


class Disabled(NamedTuple):
    """Something of the file that is not in the pack, and why."""

    item: str
    why: str


class Baseline(NamedTuple):
    """What the other tool counted: ``bad`` of ``n`` answers failed."""

    category: str
    grader: str
    n: int
    bad: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A pack (None when the file holds no items that can be asked), what was left out, and counts of an earlier run."""

    form: str
    pack: Pack | None
    disabled: tuple[Disabled, ...]
    baseline: tuple[Baseline, ...]


def slug(text: str, longest: int = 60) -> str:
    """A text as an id: letters, digits, hyphens.

    >>> slug("Check for: exact match!"), slug("...")
    ('check-for-exact-match', 'item')
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text.strip()).strip("-._").lower()[:longest].strip("-._") or "item"


class Draft:
    """Items on their way into suites. An item that the schema refuses is disabled with the schema's reason."""

    def __init__(self, path: Path, form: str, kind: Kind | None = None) -> None:
        """``kind``: of every suite, instead of what the form suggests."""
        self.path, self.form, self.kind = path, form, kind
        self.disabled: list[Disabled] = []
        self.baseline: list[Baseline] = []
        self._suites: dict[str, tuple[Kind, str, list[Item]]] = {}
        self._ids: set[str] = set()

    def add(self, suite: str, kind: Kind, expect: str, fields: Mapping[str, Any]) -> None:
        """Put an item into a suite. A second item of one id gets a number."""
        name = slug(str(fields["id"]), 80)
        unique, number = name, 1
        while unique in self._ids:
            number += 1
            unique = f"{name}-{number}"
        given = {key: value for key, value in fields.items() if value not in (None, "", [], {})} | {"id": unique}
        if given.get("category"):
            given["category"] = slug(str(given["category"]))
        try:
            item = Item.model_validate(given)
            check_items(Suite.model_construct(id=suite, kind=kind, graders=[], variants={}, groups={}), [item])
        except ValidationError as error:
            told = (explain(Path(unique), {}, {}, detail, Item, PRIVATE) for detail in error.errors())
            self.disable(unique, "; ".join(dict.fromkeys(told)).removeprefix(f"{unique}: "))
            return
        except ValueError as error:
            self.disable(unique, str(error).removeprefix(f"item '{unique}': "))
            return
        self._ids.add(unique)
        self._suites.setdefault(suite, (self.kind or kind, expect, []))[2].append(item)

    def disable(self, item: str, why: str) -> None:
        """List something that is not taken."""
        self.disabled.append(Disabled(slug(item, 80), why))

    def done(self, source: str) -> Imported:
        """The pack. ``source``: what the texts are, for people."""
        suites = [_suite(name, *found) for name, found in self._suites.items()]
        pack = None
        if suites:
            fields = {"id": slug(self.path.name.split(".")[0]), "version": 1, "license": LICENCE, "source": source, "suites": suites}
            pack = Pack.model_validate({"schema": SCHEMA, **fields})
        return Imported(self.form, pack, tuple(self.disabled), tuple(self.baseline))


def _suite(name: str, kind: Kind, expect: str, items: Sequence[Item]) -> Suite:
    """Graders that all items share become those of the suite."""
    written = [item.model_dump(by_alias=True, exclude_defaults=True) for item in items]
    shared = written[0].get("graders", [])
    if all(one.get("graders", []) == shared for one in written):
        written = [{key: value for key, value in one.items() if key != "graders"} for one in written]
    else:
        shared = []
    return Suite.model_validate(
        {
            "id": name,
            "kind": kind,
            "expect": expect,
            "sample": {"items": min(len(items), 20), "strategy": "rotate" if len(items) > 20 else "fixed"},
            "detector": {"severity": "page" if len(items) >= 20 else "ticket"},
            "graders": shared,
            "items": written,
        }
    )
