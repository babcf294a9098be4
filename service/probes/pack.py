"""The schema of a pack, ``tiltmeter.pack/v1``: suites of items with their graders, schedule and detector.

What can be checked without reading further files is checked here; :mod:`service.probes.loading` reads packs from disk.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from service.config import Sampling, Seconds, Settings
from service.config.graders import GraderSpec, LlmJudge, Pairwise, Python, Refusal
from service.probes.checks import check_items, check_variants, twice
from service.probes.window import Window
from service.records.probes import ATTACKS, Kind

SCHEMA = "tiltmeter.pack/v1"
FEWEST = 20
"""Items below which one that flips could look like a change of the model: such a suite can hardly page."""

_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _share(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*%\s*", value)):
        return float(match[1]) / 100
    return value


def _prod(value: Any) -> Any:
    return None if value == "prod" else value


Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
"""A number from 0 to 1, or a percentage such as ``10%``."""

Draw = Annotated[Sampling | None, BeforeValidator(_prod)]
"""``prod`` (None), or sampling of the pack's own."""


class Turn(Settings):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"] = Field(description="Who speaks.")
    content: str = Field(description="What is said.")


class Variant(Settings):
    """How strongly an item is perturbed, and the seed that fixes it for ever."""

    rate: Share = Field(0.1, description="Share of the words that are touched.")
    seed: int | None = Field(None, description="Unset: a digest of the item's id.")


def _variants(value: Any) -> Any:
    """A list of names is a mapping of them to their defaults; a name alone has them too."""
    if isinstance(value, list):
        return {str(name): {} for name in value}
    return {name: {} if given is None else given for name, given in value.items()} if isinstance(value, dict) else value


Variants = Annotated[dict[str, Variant], BeforeValidator(_variants)]


class Item(Settings):
    """One thing that is asked."""

    id: str = Field(pattern=_ID, description="Its name within the suite, for ever.")
    prompt: str | None = Field(None, description="A single user turn.")
    messages: list[Turn] = Field(default_factory=list, description="A conversation instead, ending with a turn of the user or a tool.")
    expected: Any = Field(None, description="The right answer, for graders that leave their own out.")
    category: str | None = Field(None, pattern=_ID, description="Stream it counts in. Unset: that of the suite.")
    vars: dict[str, Any] = Field(default_factory=dict, description="What `{{name}}` stands for in its texts and graders.")
    tags: list[str] = Field(default_factory=list, description="For people: taxonomies, sources.")
    held_out: bool = Field(False, description="Asked by rotation only.")
    verbatim: bool = Field(False, description="`{{name}}` in its texts is left as it stands.")
    groups: dict[str, list[str]] | None = Field(None, description="Other groups than those of the suite.")
    variants: Variants | None = Field(None, description="Other twins than those of the suite.")
    graders: list[GraderSpec] = Field(default_factory=list, description="Other graders than those of the suite.")
    tools: list[dict[str, Any]] = Field(default_factory=list, description="Other tools than those of the suite.")

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if (self.prompt is None) == (not self.messages):
            raise ValueError(f"item '{self.id}': expected `prompt` or `messages`, one of them")
        if self.messages and self.messages[-1].role not in ("user", "tool"):
            raise ValueError(f"item '{self.id}': messages end with {self.messages[-1].role}; expected a turn of user or tool at the end")
        return self

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The conversation, without the system prompt that is put before it."""
        return tuple(self.messages) or (Turn(role="user", content=self.prompt or ""),)


class Schedule(Settings):
    """When a round is due."""

    every: Seconds = Field(86400.0, ge=60, description="Interval between rounds.")
    jitter: Share = Field(0.1, le=0.5, description="Part of the interval by which a round may be late, so that suites do not meet.")
    window: str | None = Field(None, description="Hours in the configured time zone, such as `Mon-Fri 08:00-18:00`. Unset: always.")

    @field_validator("window")
    @classmethod
    def _parses(cls, value: str | None) -> str | None:
        if value is not None:
            Window.parse(value)
        return value

    @property
    def hours(self) -> Window | None:
        """The window, read."""
        return Window.parse(self.window) if self.window else None


class Sample(Settings):
    """How many of the items a round asks."""

    items: int | None = Field(None, gt=0, description="Items of a round. Unset: all that are not held out.")
    strategy: Literal["fixed", "rotate"] = Field("fixed", description="rotate: a part of the round changes from round to round.")
    held_out: Share = Field(0.3, description="With `rotate`: the part of a round that changes.")


class Detecting(Settings):
    """What a change of the suite means."""

    min_effect: Share = Field(
        0.05, description="Smallest rise of the share of bad answers that is news; one and a half items of the set where that is more."
    )
    weight: float = Field(1.0, gt=0, description="Part of the probes' budget, relative to other suites.")
    severity: Literal["page", "ticket"] = Field("page", description="Most that a change can raise.")
    critical: bool = Field(False, description="One round alone may page.")
    paired: bool = Field(False, description="Also compared, item by item, with the base model asked in the same round.")
    must_have_data: bool = Field(
        True,
        description="A gate is inconclusive until the suite has answers; if not, one that does not name it leaves it out till then.",
    )


class Asking(Settings):
    """How items are put. A suite's own setting goes before the pack's."""

    system: str | None = Field(None, description="System prompt: `@prod` for that of the target, `none`, or a text. Unset: `@prod`.")
    sampling: Draw = Field(None, description="`prod` for that of the target, or temperature, top_p and seed of its own.")
    max_tokens: int | None = Field(None, gt=0, description="Of an answer. Unset: 256.")
    repeats: int | None = Field(None, gt=0, description="Times that each item is asked in a round. Unset: 1.")
    logprobs: int | None = Field(None, ge=0, le=20, description="Log probabilities asked for of each token. Unset: 0.")

    @field_validator("system")
    @classmethod
    def _prod(cls, system: str | None) -> str | None:
        """One word with an @ is no system prompt, but a misspelt ``@prod``: the model would be asked without its prompt."""
        if system is not None and re.fullmatch(r"@[\w-]*", system) and system != "@prod":
            raise ValueError("expected @prod, none, or a text")
        return system


class Suite(Settings):
    """Items of one kind that are asked, graded and judged together."""

    id: str = Field(pattern=_ID, description="Its name within the pack.")
    kind: Kind = Field(description="What it is about.")
    description: str = Field("", description="What it proves, for people.")
    expect: Literal["comply", "refuse", "abstain", "flag_conflict", "follow_context", "invariant"] = Field(
        "comply", description="What a good model does."
    )
    category: str | None = Field(None, pattern=_ID, description="Stream of items that name none. Unset: the suite's id.")
    schedule: Schedule = Field(default_factory=Schedule, description="When a round is due.")
    sample: Sample = Field(default_factory=Sample, description="How many of the items a round asks.")
    detector: Detecting = Field(default_factory=Detecting, description="What a change means.")
    asking: Asking = Field(default_factory=Asking, description="How items are put; unset: as the pack's `defaults` say.")
    grading: Literal["all", "any", "cascade"] = Field(
        "all", description="all: each grader must pass; any: one; cascade: the first one that can tell decides."
    )
    graders: list[GraderSpec] = Field(default_factory=list, description="Who grades the answers.")
    groups: dict[str, list[str]] = Field(default_factory=dict, description="Attribute to values; each item is asked for all combinations.")
    variants: Variants = Field(default_factory=dict, description="Perturbed twins of each item, asked beside it.")
    tools: list[dict[str, Any]] = Field(default_factory=list, description="Functions offered to the model, in OpenAI's form. Never run.")
    answer_schema: dict[str, Any] | None = Field(None, description="JSON schema that the endpoint is asked to keep the answer to.")
    sensitive: bool | None = Field(None, description="Answers are never stored. Unset: of kind adversarial, injection and safety.")
    items_file: str | None = Field(
        None, description="JSONL or CSV with further items, beside the pack; `@golden` is the file that `probes.golden` names."
    )
    items: list[Item] = Field(default_factory=list, description="What is asked.")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if not self.items and self.items_file is None:
            raise ValueError(f"suite '{self.id}': no items; expected `items` or `items_file`")
        check_items(self, self.items)
        check_variants(self.variants, f"suite '{self.id}'")
        if self.items_file and not self.graders:
            raise ValueError(f"suite '{self.id}': no graders; items of a file have none of their own")
        return self

    @property
    def stores_nothing(self) -> bool:
        """Whether its answers are sensitive."""
        return self.kind in ATTACKS if self.sensitive is None else self.sensitive

    def category_of(self, item: Item) -> str:
        """Stream that an item counts in."""
        return item.category or self.category or self.id

    def graders_of(self, item: Item) -> tuple[GraderSpec, ...]:
        """Its own graders, else the suite's."""
        return tuple(item.graders or self.graders)


class Pack(Settings):
    """A file of suites. Its version is part of every record: change it whenever the meaning changes."""

    schema_: Literal["tiltmeter.pack/v1"] = Field(alias="schema", description="Always `tiltmeter.pack/v1`.")
    id: str = Field(pattern=_ID, description="Its name; suites are called `pack/suite`.")
    version: int = Field(ge=1, description="Raised with every change of meaning.")
    license: str = Field(min_length=1, description="SPDX name of the licence of its texts.")
    description: str = Field("", description="For people.")
    source: str = Field("", description="Where the texts come from.")
    sensitive: bool | None = Field(None, description="For suites that do not say themselves.")
    defaults: Asking = Field(default_factory=Asking, description="How items are put.")
    suites: list[Suite] = Field(min_length=1, description="What is asked.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if name := twice([suite.id for suite in self.suites]):
            raise ValueError(f"two suites of the id '{name}'; expected different ids")
        return self

    def asking(self, suite: Suite) -> Asking:
        """How the items of a suite are put: its own settings, else the pack's, else the defaults; ``sampling`` None is production's."""
        basis: dict[str, Any] = {"system": "@prod", "max_tokens": 256, "repeats": 1, "logprobs": 0}
        for given in (self.defaults, suite.asking):
            written = {name: getattr(given, name) for name in given.model_fields_set}
            basis |= {name: value for name, value in written.items() if value is not None or name == "sampling"}
        return Asking.model_validate(basis)

    def sensitive_suite(self, suite: Suite) -> bool:
        """Whether the answers of a suite are never stored."""
        return suite.stores_nothing if suite.sensitive is not None or self.sensitive is None else self.sensitive

    def digest(self, suite: Suite) -> str:
        """Of all that a record of this suite depends on within the pack: texts, graders, how they are put. Not its schedule or detector."""
        meaning = suite.model_dump(mode="json", by_alias=True, exclude={"schedule", "detector", "description", "sensitive"})
        whole = {"pack": self.id, "version": self.version, "asking": self.asking(suite).model_dump(mode="json"), "suite": meaning}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def judges(self) -> frozenset[str]:
        """Names of the judges that its graders ask."""
        found: set[str] = set()
        for grader in self._graders():
            if isinstance(grader, LlmJudge | Pairwise | Refusal) and grader.judge:
                found.update([grader.judge] if isinstance(grader.judge, str) else grader.judge)
        return frozenset(found)

    def code(self) -> tuple[str, ...]:
        """Entry points in Python that it would call."""
        return tuple(sorted({grader.entry for grader in self._graders() if isinstance(grader, Python)}))

    def _graders(self) -> Iterator[GraderSpec]:
        for suite in self.suites:
            yield from suite.graders
            for item in suite.items:
                yield from item.graders


BUILT_IN = Path(__file__).parent / "packs"
"""Where the packs of our own writing lie."""
