"""Rounds of probes on their way through the ledger: commands with plain arguments."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from service.records import Command
from service.records.probes import Counts, Role, Round, RoundKind

ROUND = "probe.round"
"""Kind of the command that tells one round."""

LARGEST = 2_147_483_647
"""Of a count."""

_FLOATS = ("scheduled", "started", "ended", "money")
_WHOLE = ("items", "calls", "tokens")
_CATEGORIES = 1000


def round_command(told: Round, actor: str = "probes") -> Command:
    """The command that tells a round; its id is that of the round, so that it counts once however often it is told."""
    arguments = {**asdict(told), "counts": {category: list(counts) for category, counts in told.counts.items()}}
    return Command(f"round/{told.id}", ROUND, actor, told.ended, arguments)


def read_round(arguments: Mapping[str, Any]) -> Round:
    """Inverse of :func:`round_command`. Fields that this version does not know are left out. Raises ValueError naming the field."""
    known = {field.name: arguments[field.name] for field in fields(Round) if field.name in arguments}
    try:
        told = Round(**{**known, "counts": _counts(arguments.get("counts"))})
    except TypeError:
        raise ValueError("a field of the round is missing") from None
    for name in ("id", "model_name", "target", "suite", "key", "revision", "reason", "kind", "role", "beside"):
        if not isinstance(getattr(told, name), str):
            raise ValueError(f"{name} must be text")
    for name in (*_FLOATS, *_WHOLE):
        value = getattr(told, name)
        whole = isinstance(value, int) and 0 <= value <= LARGEST
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or (name in _WHOLE and not whole):
            raise ValueError(f"{name} must be a number")
    if told.kind not in get_args(RoundKind) or not {told.role, told.beside} <= {*get_args(Role)}:
        raise ValueError("kind, role and beside must be known words")
    if not isinstance(told.complete, bool):
        raise ValueError("complete must be true or false")
    if told.seconds95 is not None and (not isinstance(told.seconds95, int | float) or not 0 <= told.seconds95 < math.inf):
        raise ValueError("seconds95 must be a number or null")
    return told


def _counts(given: Any) -> dict[str, Counts]:
    """Category -> counts that can be."""
    if not isinstance(given, Mapping) or len(given) > _CATEGORIES:
        raise ValueError("counts must be an object")
    found = {}
    for category, values in given.items():
        whole = isinstance(values, list | tuple) and all(type(value) is int and 0 <= value <= LARGEST for value in values)
        if not whole or len(values) != len(Counts._fields):
            raise ValueError("counts must hold six whole numbers of each category")
        counts = Counts(*values)
        if counts.bad > counts.n or counts.worse > counts.bad or counts.worse + counts.better > counts.n:
            raise ValueError("counts must hold bad <= n, worse <= bad and worse + better <= n")
        found[str(category)] = counts
    return found
