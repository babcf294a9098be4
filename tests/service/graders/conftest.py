"""Grading of one answer by graders as a pack names them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from graded import SPEC, Question
from service.graders import Graders, Judge
from service.records.probes import Grade, Reply


@pytest.fixture
def grade() -> Callable[..., Grade]:
    """Grade one answer by one grader, or by several with ``grading``."""

    def grading(
        specs: Mapping[str, Any] | list[Mapping[str, Any]],
        reply: str | Reply,
        *,
        twin: str | Reply | None = None,
        base: str | Reply | None = None,
        judges: Mapping[str, Judge] | None = None,
        similar: Any = None,
        how: str = "all",
        expected: Any = None,
        allow_code: bool = False,
    ) -> Grade:
        made = tuple(SPEC.validate_python(spec) for spec in (specs if isinstance(specs, list) else [specs]))
        graders = Graders.build(made, judges or {}, similar, allow_code=allow_code)
        given = [text if isinstance(text, Reply) or text is None else Reply(text) for text in (reply, twin, base)]
        return asyncio.run(graders.grade(Question(made, how, expected), given[0], given[1], given[2]))

    return grading
