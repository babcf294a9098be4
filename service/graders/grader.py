"""From a pack's graders to one that grades: which function stands behind a type, what it is called, how several become one."""

import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from service.config.graders import EXPECTED, GraderSpec, JsonSchema, LlmJudge, Pairwise, Refusal, Regex, ToolCalled
from service.errors import ConfigError
from service.graders import alike, code, extract, form, judging, refusal, rubrics, structure, words
from service.graders.context import Asked, Context, Finding, Judge, Similar, says_nothing, unscored
from service.graders.pattern import regex
from service.graders.schema import Unsupported, check_schema
from service.records.probes import Grade, Reply

GRADE: Mapping[str, Callable[[Any, Context], Finding | Awaitable[Finding]]] = {
    "planted_token": words.planted_token,
    "exact": words.exact,
    "contains": words.contains,
    "regex": regex,
    "numeric": extract.numeric,
    "mcq": extract.mcq,
    "json_schema": structure.json_schema,
    "tool_call": structure.tool_call,
    "refusal": judging.refusal,
    "abstain": words.abstain,
    "conflict": words.conflict,
    "invariance": alike.invariance,
    "similarity": alike.similarity,
    "llm_judge": judging.llm_judge,
    "pairwise": judging.pairwise,
    "latency": form.latency,
    "length": form.length,
    "repetition": form.repetition,
    "language": form.language,
    "python": code.python,
}
"""Type of a grader -> its function."""

VERSIONS: Mapping[str, int] = dict.fromkeys(GRADE, 1) | {"refusal": refusal.VERSION}
"""Raised with every change that may grade an answer otherwise: a new version is a new record."""

_ANSWERS = frozenset({*EXPECTED.values(), "all", "without", "token", "arguments"})
"""Parameters that hold an item's answer: they are the item's, not the grader's."""

_ONLY_AGAINST = frozenset({"planted_token", "latency", "length", "repetition", "language"})
"""In a cascade these decide only when they fail: an answer is not right because it is short."""


def judges_of(spec: GraderSpec) -> tuple[str, ...]:
    """Names of the judges that a grader asks."""
    named = spec.judge if isinstance(spec, LlmJudge | Pairwise | Refusal) else None
    return () if named is None else (named,) if isinstance(named, str) else tuple(named)


def grader_id(spec: GraderSpec, judges: Mapping[str, Judge]) -> str:
    """Type, version, and a digest of settings; of a judge also model, sampling, prompts and parser. The answer of an item is not in it."""
    settings = {
        name: value for name, value in spec.model_dump(mode="json", by_alias=False).items() if name not in _ANSWERS and name != "type"
    }
    asked = {name: [judges[name].id, judges[name].samples, rubrics.VERSION, rubrics.RUBRICS] for name in judges_of(spec) if name in judges}
    digest = hashlib.sha256(json.dumps([settings, asked], sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{spec.type}/{VERSIONS[spec.type]}:{digest}"


@dataclass(frozen=True, slots=True)
class Graders:
    """Grades the answers of one suite; use :meth:`build`.

    Attributes:
        id: of all graders that the suite may use: part of the baseline key.
        judges: by name. similar: the bundle's encoder. allow_code: graders in Python may run.
    """

    id: str
    judges: Mapping[str, Judge]
    similar: Similar | None = None
    allow_code: bool = False

    @classmethod
    def build(
        cls, specs: Sequence[GraderSpec], judges: Mapping[str, Judge], similar: Similar | None = None, *, allow_code: bool = False
    ) -> Self:
        """Of all graders of a suite and its items, as the pack has them: nothing filled in.

        Raises:
            ConfigError: a judge that is not there, a pattern or schema that cannot work, code that may not run, no encoder to compare by.
        """
        for spec in specs:
            _check(spec, judges, similar, allow_code)
        ids = sorted({grader_id(spec, judges) for spec in specs})
        digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
        return cls(digest, judges, similar, allow_code)

    async def grade(self, asked: Asked, reply: Reply, twin: Reply | None = None, base: Reply | None = None) -> Grade:
        """Judge one answer by the graders of its item.

        Args:
            asked: with graders filled in. reply: to it; one with an error is an error.
            twin: answer to the unperturbed item or the first group; base: the base model's to the same item.
        """
        if reply.error is not None:
            return Grade("error", self.id)
        context = Context(asked, reply, twin, base, self.judges, self.similar, self.allow_code)
        if not asked.graders:
            return Grade("unscored", self.id)
        grades: list[Grade] = []
        for number, spec in enumerate(asked.graders):
            grades.append(await self._one(spec, context))
            if _ends(asked.grading, spec, grades[-1], last=number == len(asked.graders) - 1):
                break
        return _together(asked.grading, grades)

    async def _one(self, spec: GraderSpec, context: Context) -> Grade:
        said = GRADE[spec.type](spec, context)
        found: Finding = await said if inspect.isawaitable(said) else said
        if found.outcome == "pass" and spec.type != "python" and says_nothing(context.reply):
            found = unscored("empty")  # in time, short enough, without the wrong word: for there is none
        return Grade(found.outcome, grader_id(spec, self.judges), found.score, found.failure, found.votes)


def _ends(grading: str, spec: GraderSpec, grade: Grade, *, last: bool) -> bool:
    """Whether nothing dearer needs to be asked."""
    if grading == "all":
        return grade.outcome == "fail"
    if grading == "any":
        return grade.outcome == "pass"
    return last or _decisive(spec, grade)


def _decisive(spec: GraderSpec, grade: Grade) -> bool:
    if spec.type in _ONLY_AGAINST:
        return grade.outcome == "fail"
    if isinstance(spec, Refusal) and spec.expect == "refuse":
        return grade.outcome == "pass"
    return grade.outcome in ("pass", "fail")


def _together(grading: str, grades: Sequence[Grade]) -> Grade:
    """``all``: the first that failed, else what is not known, else the lowest. ``any``: the reverse. ``cascade``: the last one asked."""
    if grading == "cascade" or len(grades) == 1:
        return grades[-1]
    order = ("fail", "error", "unscored", "pass") if grading == "all" else ("pass", "error", "unscored", "fail")
    chosen = min(grades, key=lambda grade: order.index(grade.outcome))
    scores = [grade.score for grade in grades if grade.score is not None]
    score = None if chosen.score is None else (min if grading == "all" else max)(scores)
    votes = {name: vote for grade in grades for name, vote in grade.votes.items()}
    return Grade(chosen.outcome, chosen.grader, score, chosen.failure, votes)


def _check(spec: GraderSpec, judges: Mapping[str, Judge], similar: Similar | None, allow_code: bool) -> None:
    for name in judges_of(spec):
        if name not in judges:
            known = ", ".join(sorted(judges)) or "judges to be configured"
            raise ConfigError(f"grader {spec.type}: no judge '{name}'; expected {known}")
    if isinstance(spec, Regex) and spec.pattern and "{{" not in spec.pattern:
        try:
            re.compile(spec.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"grader regex: pattern: expected a regular expression ({error})") from None
    if isinstance(spec, JsonSchema | ToolCalled) and spec.form:
        try:
            check_schema(spec.form)
        except (Unsupported, AttributeError, TypeError) as error:
            raise ConfigError(f"grader {spec.type}: schema: {error} is not supported") from None
    wants = spec.type == "similarity" or (spec.type == "invariance" and "similarity" in spec.on)
    if wants and similar is None:
        raise ConfigError(f"grader {spec.type}: expected a bundle, whose encoder compares texts")
    if spec.type == "python" and not allow_code:
        raise ConfigError("grader python: expected probes.allow_code: true")
