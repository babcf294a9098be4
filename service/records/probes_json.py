"""Rounds of probes on their way through the ledger: commands with plain arguments."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from service.records import Command
from service.records.probes import Counts, Role, Round, RoundKind

ROUND = "probe.round"
"""Kind of the command that tells one round."""

LARGEST = 2_147_483_647
"""Of a count."""

_TIMES = ("scheduled", "started", "ended")
_WHOLE = ("items", "calls", "tokens")
_MOST = {**dict.fromkeys(_TIMES, 253_402_300_799.0), **dict.fromkeys(_WHOLE, float(2**53)), "money": 1e12}  # times: to the year 9999
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
    for name, most in _MOST.items():
        value = getattr(told, name)
        kinds = (int,) if name in _WHOLE else (int, float)
        if type(value) not in kinds or not 0 <= value <= most:
            raise ValueError(f"{name} must be a number from 0 to {most:g}")
    if told.kind not in get_args(RoundKind) or not {told.role, told.beside} <= {*get_args(Role)}:
        raise ValueError("kind, role and beside must be known words")
    if not isinstance(told.complete, bool):
        raise ValueError("complete must be true or false")
    if told.seconds95 is not None and (type(told.seconds95) not in (int, float) or not 0 <= told.seconds95 <= LARGEST):
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
