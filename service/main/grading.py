"""Who grades the answers of a suite: the graders that its pack names, with the judges and the encoder that they ask."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from service.canary.probe import Grading
from service.config.graders import LlmJudge, Pairwise, Refusal
from service.probes.pack import Suite
from service.records.probes import Call, Grade, Reply

Ask = Callable[[Call], Awaitable[Reply]]
Similarity = Callable[[Sequence[str]], Any]

UNGRADED = "none"
"""Of fingerprint suites: their answers are compared with earlier ones, not graded."""


def judges_of(suite: Suite) -> tuple[str, ...]:
    """Names of the judges that its graders may ask."""
    found: set[str] = set()
    for grader in (grader for item in suite.items for grader in suite.graders_of(item)):
        if isinstance(grader, LlmJudge):
            found.update([grader.judge] if isinstance(grader.judge, str) else grader.judge)
        elif isinstance(grader, Pairwise) or (isinstance(grader, Refusal) and grader.judge):
            found.add(str(grader.judge))
    return tuple(sorted(found))


def grading_of(suite: Suite, judges: Mapping[str, Ask], similarity: Similarity | None) -> tuple[str, Grading]:
    """Identity of the graders of a suite, and what calls them."""
    if suite.kind == "fingerprint" and not suite.graders:
        return UNGRADED, _ungraded
    raise NotImplementedError


async def _ungraded(asked: Any, reply: Reply, twin: Reply | None = None, base: Reply | None = None) -> Grade:
    return Grade("pass", UNGRADED)
