"""Answers, what was asked, and judges that say what they are told to."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from service.config.graders import GraderSpec
from service.graders import Ask, Judge
from service.records.probes import Call, Message, Reply

SPEC: TypeAdapter[Any] = TypeAdapter(GraderSpec)


@dataclass(frozen=True)
class Question:
    graders: tuple[Any, ...] = ()
    grading: str = "all"
    expected: Any = None
    call: Call = field(default_factory=lambda: Call((Message("system", "Be brief."), Message("user", "What is it?"))))


def saying(*texts: str | Reply) -> tuple[Ask, list[Call]]:
    """A model that gives these answers in turn, the last one for ever; and the calls that it got."""
    calls: list[Call] = []

    async def ask(call: Call) -> Reply:
        said = texts[min(len(calls), len(texts) - 1)]
        calls.append(call)
        return said if isinstance(said, Reply) else Reply(said)

    return ask, calls


def judge(*texts: str | Reply, samples: int = 1) -> Judge:
    return Judge(saying(*texts)[0], "model/0", samples)
