"""What every section of the configuration is made of: durations, budgets, and the base that refuses unknown keys."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS = {
    **dict.fromkeys(("", "s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
    **dict.fromkeys(("d", "day"), 86400),
    **dict.fromkeys(("w", "week"), 604800),
}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"


def _seconds(value: Any) -> Any:
    """``90 days`` or ``30s`` in seconds; numbers are seconds already and are left to pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(rf"\s*{_NUMBER}\s*([a-z]*?)s?\s*", value)
    if match is None or match[2] not in _UNITS:
        raise ValueError("expected a duration such as '30s', '5 min', '2 h' or '7 days'")
    return float(match[1]) * _UNITS[match[2]]


def _budget(value: Any) -> float:
    """``1 per 90 days`` as the seconds that one false alarm is worth."""
    if isinstance(value, str) and (match := re.fullmatch(rf"\s*{_NUMBER}\s+per\s+(.+)", value)) and float(match[1]) > 0:
        period = match[2] if match[2][0].isdigit() else f"1 {match[2]}"
        seconds = float(_seconds(period))
        if seconds > 0:
            return seconds / float(match[1])
    raise ValueError("expected a budget such as '1 per 90 days'")


Seconds = Annotated[float, BeforeValidator(_seconds)]
Budget = Annotated[float, BeforeValidator(_budget)]


class Settings(BaseModel):
    """Base of every section: frozen, unknown keys and infinite numbers refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
