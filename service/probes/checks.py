"""What must hold of the items of a suite before they can be asked and graded. Messages name items by their ids, never by their texts."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from service.config.graders import EXPECTED, GraderSpec
from service.probes.perturb import PERTURBATIONS
from service.probes.placeholders import NONCES, PLACEHOLDER

if TYPE_CHECKING:
    from service.probes.pack import Item, Suite, Variant

_SEVERAL = frozenset({"exact", "contains"})  # graders for which ``expected`` may be a list


def check_items(suite: "Suite", items: "Sequence[Item]") -> None:
    """Refuse items that cannot be asked or graded. Raises ValueError that names the item."""
    if name := twice([item.id for item in items]):
        raise ValueError(f"two items of the id '{name}' in suite '{suite.id}'; expected different ids")
    for item in items:
        name = f"item '{item.id}'"
        graders = suite.graders_of(item)
        if not graders and suite.kind != "fingerprint":
            raise ValueError(f"{name}: no grader; expected `graders` of the item or of suite '{suite.id}'")
        for grader in graders:
            _check_expected(name, item, grader)
        groups = suite.groups if item.groups is None else item.groups
        if taken := {*item.vars, *groups} & {*NONCES, "expected"}:
            raise ValueError(f"{name}: '{min(taken)}' has a meaning of its own; expected another name")
        if empty := next((attribute for attribute, values in groups.items() if not values), None):
            raise ValueError(f"{name}: group '{empty}' has no values")
        check_variants(item.variants or {}, name)
        if not item.verbatim:
            known = {*NONCES, *groups, *item.vars}
            for turn in item.turns:
                if unknown := next((name for name in PLACEHOLDER.findall(turn.content) if name not in known), None):
                    raise ValueError(f"{name}: nothing is known of '{{{{{unknown}}}}}'; expected one of {', '.join(sorted(known))}")


def _check_expected(name: str, item: "Item", grader: GraderSpec) -> None:
    """An item must say what is right where the grader does not."""
    parameter = EXPECTED.get(grader.type)
    if parameter is None or getattr(grader, parameter) or getattr(grader, parameter) == 0:
        return
    # A contains grader that names words to be found or to be absent, and a tool_call that expects none, need nothing further.
    if (grader.type == "contains" and (grader.all or grader.without)) or (grader.type == "tool_call" and not grader.called):
        return
    if grader.type == "tool_call":
        if not (isinstance(item.expected, Mapping) and isinstance(item.expected.get("name"), str)):
            raise ValueError(f"{name}: grader tool_call needs `expected: {{name, arguments}}`, or `name` of its own")
        return
    given = item.expected if isinstance(item.expected, list) and grader.type in _SEVERAL else [item.expected]
    if not given or not all(isinstance(value, str | int | float) for value in given):
        raise ValueError(f"{name}: grader {grader.type} needs `expected` of the item, or `{parameter}` of its own")


def check_variants(variants: "Mapping[str, Variant]", place: str) -> None:
    """Refuse perturbations that there are not. Raises ValueError with the nearest known one."""
    for name in variants:
        if name not in PERTURBATIONS:
            close = difflib.get_close_matches(name, PERTURBATIONS, n=1, cutoff=0.5)
            near = f"did you mean '{close[0]}'? " if close else ""
            raise ValueError(f"{place}: unknown variant '{name}'; {near}expected: {', '.join(PERTURBATIONS)}")


def twice(names: Sequence[str]) -> str | None:
    """The first name that comes a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
