"""What the probes tell of the release that behaves badly: lines of the story, a table of categories, and where the week went otherwise."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from service.main.demo.script import MONDAY, RELEASE, ROLLBACK
from service.main.demo.traffic import DAY
from service.records import Incident
from service.records.probes import ATTACKS, Round

FORGETS = ("capability/general", "golden/own")
OBEYS = ("injection/leak", "injection/planted")
UNHURT = ("overrefusal/alarming-words",)
"""Suites by what the release does to them: the last ones nothing."""

BASE_MOVES = 0.08
"""The base model's share of bad answers in a suite may differ by so much between the days before the release and after it."""

Rounds = Callable[[str], Sequence[Round]]
"""The week's rounds of a suite, as the history has them."""


@dataclass(frozen=True, slots=True)
class Share:
    """``bad`` of ``n`` graded answers."""

    n: int
    bad: int

    @property
    def value(self) -> float:
        """0 to 1."""
        return self.bad / self.n if self.n else 0.0

    def __str__(self) -> str:
        return f"{self.value:.0%} of {self.n}"


def place(incident: Incident) -> tuple[str, str]:
    """Suite and category of an incident of probes; the category is empty for what counts the suite as a whole."""
    _, pack, suite, *category = incident.slice.split("/")
    return f"{pack}/{suite}", "/".join(category)


def title(suite: str, category: str) -> str:
    """``golden/own`` for its only category ``own``."""
    return suite if not category or suite.endswith(f"/{category}") else f"{suite}/{category}"


def of_probes(incident: Incident) -> bool:
    """Whether it is about answers, not about prompts."""
    return incident.kind in ("behaviour", "safety")


class Caught:
    """Keeps what was told of each category, the gravest first word of each."""

    def __init__(self) -> None:
        self.rounds: Rounds = lambda suite: ()
        self._incidents: dict[str, Incident] = {}
        self._told: dict[tuple[str, str], str] = {}
        self.first: dict[tuple[str, str], Incident] = {}

    def changes(self, incidents: Sequence[Incident], time: float) -> Iterator[tuple[float, str, str]]:
        """Time, word and text of every line that these incidents are worth; of one category one line a word."""
        for incident in sorted(incidents, key=lambda each: (each.severity != "critical", each.level, each.stream)):
            before = self._incidents.get(incident.id)
            self._incidents[incident.id] = incident
            where, word = place(incident), "PAGE" if incident.severity == "critical" else "TICKET"
            if incident.closed is not None or self._told.get(where) in ("PAGE", word) or (before and before.severity == incident.severity):
                continue
            self._told[where] = word
            if incident.level == "page":
                self.first.setdefault(where, incident)
            yield time, word, self._opened(incident, where)
        yield from self._closed({place(incident)[0] for incident in incidents if incident.closed is not None})

    def _opened(self, incident: Incident, where: tuple[str, str]) -> str:
        suite, category = where
        rounds = [round for round in self.rounds(suite) if round.ended >= incident.change_start]
        live, base = shares(rounds, category)
        kind = rounds[-1].kind if rounds else ""
        what = f"{incident.reference:.1%} -> {live.value:.1%} {'obeyed' if kind in ATTACKS else 'wrong'}"
        after = f"after {len(rounds)} round{'' if len(rounds) == 1 else 's'}, base model {base.value:.1%}"
        evidence = f"evidence 10^{incident.log10_evidence:.1f} of 10^{incident.log10_threshold:.1f}"
        host = ", part of the open page" if incident.part_of else ""
        return f"{incident.model_name} {title(*where)} {what} {after}, {evidence}{host}"

    def _closed(self, suites: Iterable[str]) -> Iterator[tuple[float, str, str]]:
        for suite in sorted(suites):
            mine = [each for each in self._incidents.values() if place(each)[0] == suite]
            if any(each.closed is None for each in mine):
                continue
            who = "by themselves" if all(each.closed_by == "recovery" for each in mine) else "by somebody"
            self._told = {where: word for where, word in self._told.items() if where[0] != suite}
            told = f"{mine[0].model_name} {suite}, {len(mine)} tickets and pages closed {who}"
            yield max(each.closed or 0.0 for each in mine), "RECOVERED", told

    def table(self) -> Table:
        """Every category before the release and while it answered, with the base model beside it."""
        table = Table("wrong answers of", "before", "release", "base then", "paged in", box=None, pad_edge=False)
        for suite in (*OBEYS, *FORGETS, *UNHURT):
            before, during = self._split(suite)
            for category in sorted({name for round in (*before, *during) for name in round.counts}):
                live, base = shares(during, category)
                page = self.first.get((suite, category))
                asked = [round for round in during if page and round.ended <= page.opened]
                when = f"round {len(asked)}, {(page.opened - MONDAY - RELEASE) / 3600:.0f} h" if page else "-"
                table.add_row(title(suite, category), str(shares(before, category)[0]), str(live), str(base), when)
        return table

    def contradictions(self) -> Iterator[str]:
        """Where it went otherwise than the script promises."""
        pages = [each for each in self._incidents.values() if each.level == "page"]
        released, over = MONDAY + RELEASE, MONDAY + ROLLBACK
        for page in pages:
            if not released < page.opened <= over:
                yield f"a page of {title(*place(page))}, while nothing was wrong with the model"
            elif page.closed is None or page.closed_by != "recovery":
                yield f"the page of {title(*place(page))} did not close by itself"
        thursday = {place(page)[0] for page in pages if released < page.opened < MONDAY + 4 * DAY}
        yield from (f"no page for {suite} on Thursday" for suite in (*FORGETS, *OBEYS) if suite not in thursday)
        yield from (f"an incident of {suite}" for suite in UNHURT if any(place(each)[0] == suite for each in self._incidents.values()))
        for suite in (*FORGETS, *OBEYS):
            before, during = (shares(rounds)[1] for rounds in self._split(suite))
            if before.n and during.n and abs(before.value - during.value) > BASE_MOVES:
                yield f"the base model moved in {suite}: {before} before, {during} with the release"

    def _split(self, suite: str) -> tuple[list[Round], list[Round]]:
        """Rounds of the week before the release, and while it answered."""
        rounds, since = self.rounds(suite), MONDAY + RELEASE
        return (
            [round for round in rounds if round.scheduled < since],
            [round for round in rounds if since <= round.scheduled < MONDAY + ROLLBACK],
        )


def shares(rounds: Iterable[Round], category: str | None = None) -> tuple[Share, Share]:
    """Bad answers of the live model, and of the base model to the same questions; of all categories when none is named."""
    counts = [each for round in rounds for name, each in round.counts.items() if category in (None, "", name)]
    n, bad = sum(each.n for each in counts), sum(each.bad for each in counts)
    return Share(n, bad), Share(n, bad - sum(each.worse for each in counts) + sum(each.better for each in counts))
