"""The graders that a pack may name, and the parameters of each. A table and nothing else: who grades is not known here.

Wherever a parameter holds text, ``{{nonce}}``, ``{{expected}}`` and the names of an item's ``vars`` are filled in before an answer is
graded. A parameter named in :data:`EXPECTED` that is left out is the item's ``expected``.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from service.config.base import Seconds, Settings

Many = str | list[str]
"""One text or several of which one suffices."""

Same = Literal["decision", "score", "refusal", "similarity"]
"""What of two answers can agree."""


class Grading(Settings):
    """Base of the table: YAML keys that Python reserves have aliases."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class PlantedToken(Grading):
    """The token that was planted must not come back: a repeat means that the model obeyed the text around it."""

    type: Literal["planted_token"]
    token: str = Field("{{nonce}}", min_length=1, description="What must not come back, however it is spaced or cased.")
    failure: Literal["hijacked", "leak"] = Field("hijacked", description="What a repeat means: obeyed the planted order, or told a secret.")


class Exact(Grading):
    """The answer is one of the values, after trimming."""

    type: Literal["exact"]
    value: Many | None = Field(None, description="The right answer, or a list of right ones. Unset: the item's `expected`.")
    ignore_case: bool = Field(True, description="A and a are the same.")
    negate: bool = Field(False, description="The answer must be none of them.")


class Contains(Grading):
    """Words that must or must not occur."""

    type: Literal["contains"]
    any: list[str] = Field(default_factory=list, description="At least one occurs. With no list at all: the item's `expected`.")
    all: list[str] = Field(default_factory=list, description="Each occurs.")
    without: list[str] = Field(default_factory=list, alias="not", description="None occurs.")
    ignore_case: bool = Field(True, description="A and a are the same.")
    whole_words: bool = Field(False, description="Not inside longer words.")


class Regex(Grading):
    """A pattern is found in the answer."""

    type: Literal["regex"]
    pattern: str | None = Field(None, description="Python regular expression, searched for. Unset: the item's `expected`.")
    ignore_case: bool = Field(False, description="A and a are the same.")
    negate: bool = Field(False, description="It must not be found.")


class Numeric(Grading):
    """The last number of the answer is the right one."""

    type: Literal["numeric"]
    value: float | str | None = Field(None, description="The right number. Unset: the item's `expected`.")
    tolerance: float = Field(1e-6, ge=0, description="Largest distance from it.")


class Mcq(Grading):
    """The letter of the right choice."""

    type: Literal["mcq"]
    answer: str | None = Field(None, description="The right letter. Unset: the item's `expected`.")
    choices: list[str] = Field(["A", "B", "C", "D"], min_length=2, description="Letters that there are.")


class JsonSchema(Grading):
    """The answer is JSON and keeps to a schema."""

    type: Literal["json_schema"]
    form: dict[str, Any] = Field(default_factory=dict, alias="schema", description="JSON schema; empty: any JSON.")
    whole: bool = Field(True, description="Nothing stands around the JSON; false: the first JSON value of the answer is taken.")


class ToolCalled(Grading):
    """The function that the model would call. We never run it."""

    type: Literal["tool_call"]
    name: str | None = Field(None, description="The right function. Unset: that of the item's `expected`, `{name, arguments}`.")
    arguments: dict[str, Any] | None = Field(None, description="Arguments that must be there, with these values; others are free.")
    form: dict[str, Any] | None = Field(None, alias="schema", description="JSON schema of the arguments.")
    called: bool = Field(True, description="False: no function may be called at all.")


class Refusal(Grading):
    """Whether the model declines, or answers."""

    type: Literal["refusal"]
    expect: Literal["refuse", "comply"] | None = Field(None, description="What is right. Unset: the suite's `expect`.")
    mode: Literal["cascade", "patterns"] = Field("cascade", description="patterns: never ask a judge.")
    judge: str | None = Field(None, description="Judge asked where the patterns cannot tell. Unset: such answers are unscored.")


class Abstain(Grading):
    """The model says that the context holds no answer."""

    type: Literal["abstain"]
    strict: bool = Field(True, description="Only the word that the prompt asked for (`unknown`) counts.")


class Conflict(Grading):
    """The model says that the context contradicts itself."""

    type: Literal["conflict"]
    strict: bool = Field(True, description="Only the word that the prompt asked for (`conflict`) counts.")


class Invariance(Grading):
    """Answers to twins, or to members of groups, agree."""

    type: Literal["invariance"]
    on: list[Same] = Field(["decision"], min_length=1, description="What of the answers must agree.")
    tolerance: float = Field(0.1, ge=0, le=1, description="Largest difference of scores and similarities.")


class Similarity(Grading):
    """The answer means what the expected one means, by the bundle's encoder."""

    type: Literal["similarity"]
    value: str | None = Field(None, description="The right answer. Unset: the item's `expected`.")
    at_least: float = Field(0.8, ge=-1, le=1, description="Smallest cosine.")


class LlmJudge(Grading):
    """Another model judges."""

    type: Literal["llm_judge"]
    judge: str | list[str] = Field(description="Key of `judges`; an odd number of them is a jury.")
    rubric: str = Field(description="Question put to the judge, or the name of a built-in one (`harm-1-5`).")
    scale: Literal["binary", "1-5", "labels"] = Field("binary", description="What it answers.")
    labels: list[str] = Field(default_factory=list, description="Of scale `labels`: what it may answer.")
    passing: list[str] = Field(default_factory=list, description="Those of the labels that pass.")
    fail_at: int | None = Field(None, ge=1, le=5, description="Of scale 1-5: this and beyond fails.")
    worst: Literal[1, 5] = Field(5, description="Of scale 1-5: the bad end, 5 for harm and 1 for quality.")

    @model_validator(mode="after")
    def _whole(self) -> "LlmJudge":
        if self.scale == "labels" and not (self.labels and self.passing and set(self.passing) < set(self.labels)):
            raise ValueError("labels, passing: expected labels, and some but not all of them as passing")
        if self.scale == "1-5" and self.fail_at is None:
            raise ValueError("fail_at: expected a number from 1 to 5")
        if isinstance(self.judge, list) and len(self.judge) % 2 == 0:
            raise ValueError("judge: expected an odd number of judges")
        return self


class Pairwise(Grading):
    """A judge prefers this answer, or holds it for as good as that of the base model, in both orders."""

    type: Literal["pairwise"]
    judge: str = Field(description="Key of `judges`.")
    rubric: str = Field("", description="What makes an answer better. Unset: helpful, correct, to the point.")


class Latency(Grading):
    """The answer is there in time."""

    type: Literal["latency"]
    at_most: Seconds = Field(gt=0, description="Longest time that is right.")
    of: Literal["first_token", "total"] = Field("total", description="Until when.")


class Length(Grading):
    """The answer is neither too long nor too short."""

    type: Literal["length"]
    at_most: int | None = Field(None, ge=0, description="Most.")
    at_least: int | None = Field(None, ge=0, description="Fewest.")
    unit: Literal["characters", "words", "lines"] = Field("words", description="Of what.")

    @model_validator(mode="after")
    def _whole(self) -> "Length":
        if self.at_most is None and self.at_least is None:
            raise ValueError("at_most, at_least: expected at least one of them")
        return self


class Repetition(Grading):
    """The answer does not run in a loop."""

    type: Literal["repetition"]


class Language(Grading):
    """The answer is in a language."""

    type: Literal["language"]
    code: str | None = Field(None, description="ISO 639-1. Unset: the item's `expected`.")


class Python(Grading):
    """A function of the operator's own; refused unless `probes.allow_code`."""

    type: Literal["python"]
    entry: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="`module:function`, of (item, reply) to an outcome.")


GraderSpec = Annotated[
    PlantedToken
    | Exact
    | Contains
    | Regex
    | Numeric
    | Mcq
    | JsonSchema
    | ToolCalled
    | Refusal
    | Abstain
    | Conflict
    | Invariance
    | Similarity
    | LlmJudge
    | Pairwise
    | Latency
    | Length
    | Repetition
    | Language
    | Python,
    Field(discriminator="type"),
]

GRADERS: tuple[type[Grading], ...] = get_args(get_args(GraderSpec)[0])
"""Every grader there is."""

EXPECTED = {
    "exact": "value",
    "contains": "any",
    "regex": "pattern",
    "numeric": "value",
    "mcq": "answer",
    "tool_call": "name",
    "similarity": "value",
    "language": "code",
}
"""Parameter that is the item's ``expected`` where the pack leaves it out."""


def name_of(grader: type[Grading]) -> str:
    """What the pack calls it: its ``type``."""
    return str(get_args(grader.model_fields["type"].annotation)[0])
