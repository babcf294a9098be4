"""Real parts that a machine may lack: skipped with a reason, or a failure where TILTMETER_REQUIRE names them."""

import os
from typing import NoReturn

import pytest

PARTS = ("kafka", "postgres", "prometheus", "alertmanager", "helm", "chromium", "transformers")
missing: dict[str, str] = {}


def required() -> frozenset[str]:
    names = frozenset(name.strip() for name in os.environ.get("TILTMETER_REQUIRE", "").split(",") if name.strip())
    if unknown := names - frozenset(PARTS):
        raise pytest.UsageError(f"TILTMETER_REQUIRE names {', '.join(sorted(unknown))}; known parts are {', '.join(PARTS)}")
    return names


def lacking(part: str, reason: str) -> NoReturn:
    """Skip the asking test, or fail it where the part is required; the reason is printed once at the end of the run."""
    missing[part] = reason
    if part in required():
        pytest.fail(f"{part} is required by TILTMETER_REQUIRE and missing: {reason}", pytrace=False)
    pytest.skip(f"{part} is missing: {reason}")
