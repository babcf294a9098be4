"""Which streams the probes have, and what part of the budgets of false alarms each of them gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from service.config import Config
from service.decider.budget import StreamKey, Weighted
from service.errors import ConfigError
from service.records.probes import ATTACKS, ProbeStream

Question = Literal["probe", "probe_paired", "probe_errors", "probe_unscored", "probe_judge"]

TICKETS: frozenset[str] = frozenset({"probe_errors", "probe_unscored", "probe_judge"})
"""Streams that open tickets at most."""

SUITE_WIDE: frozenset[str] = frozenset({"probe_errors", "probe_unscored"})
"""Streams that count all categories of a suite together."""

SAFETY: frozenset[str] = ATTACKS | {"fairness"}
"""Kinds of suites whose incidents are of the kind safety; all others are of the kind behaviour."""

ON_ITS_OWN: frozenset[str] = SAFETY | {"capability"}
"""Kinds of suites that stay critical when they join another incident."""


KINDS = ("behaviour", "safety")
"""Kinds of trouble that probes tell of."""


class Place(NamedTuple):
    """One suite asked of one target for one model."""

    model_name: str
    target: str
    suite: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One stream with its description and its rates: false tickets and pages expected in a round."""

    key: StreamKey
    question: Question
    of: ProbeStream
    ticket: float = 0.0
    page: float = 0.0

    @property
    def place(self) -> Place:
        """Where it is asked."""
        return Place(self.of.model_name, self.of.target, self.of.suite)

    @property
    def kind(self) -> str:
        """Kind of its incidents."""
        return "safety" if self.question in ("probe", "probe_paired") and self.of.kind in SAFETY else "behaviour"

    @property
    def on_its_own(self) -> bool:
        """Whether it stays critical as part of another incident."""
        return self.question in ("probe", "probe_paired") and self.of.kind in ON_ITS_OWN

    @property
    def title(self) -> str:
        """``golden/arithmetic`` for people."""
        return "/".join(part for part in (self.of.suite, self.of.category) if part)


class _Whole(NamedTuple):
    """A suite with all its categories."""

    of: ProbeStream


def plan(streams: Sequence[ProbeStream], models: Mapping[str, Weighted], config: Config) -> list[Planned]:
    """Every stream with its rates: ``probes.weight`` of each model's part of the budgets, split by weight.

    Tickets are split over all streams, pages over those that may page. A round adds weight * interval / budget: what the rounds of a
    budget period add up to is the part.

    Raises:
        ConfigError: a budget of more than one alarm in a round of a stream.
    """
    total = sum(model.weight for model in models.values())
    result = []
    for name, model in models.items():
        mine = [stream for stream in streams if stream.model_name == name]
        asked: list[ProbeStream | _Whole] = [*mine, *_whole_suites(mine)]
        found = [each for stream in asked for each in _questions(stream)]
        part = config.probes.weight * model.weight / total
        tickets = sum(each.of.weight for each in found)
        pages = sum(each.of.weight for each in found if may_page(each))
        for each in found:
            often = part * each.of.weight * each.of.interval
            ticket = often / tickets / config.budgets.ticket
            page = often / pages / config.budgets.page if may_page(each) else 0.0
            for level, rate in (("ticket", ticket), ("page", page)):
                if rate >= 1:
                    raise ConfigError(f"budgets.{level}: expected less than one alarm in a round of {each.title}")
            result.append(Planned(each.key, each.question, each.of, ticket, page))
    return result


def may_page(stream: Planned) -> bool:
    """Whether the configuration lets it page."""
    return stream.question not in TICKETS and stream.of.severity != "ticket" and stream.of.kind != "fingerprint"


def _whole_suites(streams: Sequence[ProbeStream]) -> list[_Whole]:
    """Every suite with all its categories together, as its errors are counted."""
    suites: dict[tuple[str, str], list[ProbeStream]] = {}
    for stream in streams:
        if stream.kind != "judge":
            suites.setdefault((stream.target, stream.suite), []).append(stream)
    return [_Whole(replace(found[0], category="", items=sum(each.items for each in found), judges=())) for found in suites.values()]


def _questions(stream: ProbeStream | _Whole) -> list[Planned]:
    if isinstance(stream, _Whole):
        of = stream.of
        names: tuple[Question, ...] = ("probe_errors", "probe_unscored")
    else:
        of = stream
        names = ("probe_judge",) if of.kind == "judge" else ("probe", "probe_paired") if of.paired else ("probe",)
    slice_ = "/".join(part for part in (of.target, of.suite, of.category) if part)
    return [Planned(StreamKey(of.model_name, slice_, name), name, of) for name in names]
