"""The story as the service tells it: every line but the narrator's comes from a closed window, an incident or its end."""

import heapq
import itertools
import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from service.decider.closed import Closed
from service.main.demo.caught import Caught, of_probes
from service.main.demo.script import JAILBREAK, MONDAY, NEW_TOPIC, WEEK, beats
from service.records import WHOLE, Incident, Verdict

CLOSES_WITHIN = 2 * 3600.0
"""The jailbreak's incidents close without a human in this many seconds after its end."""

_STYLES = {"PAGE": "bold white on red", "TICKET": "bold black on yellow", "RECOVERED": "bold black on green", "VERDICT": "bold cyan"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story. ``word`` is PAGE, TICKET, RECOVERED, VERDICT, or empty for the narrator."""

    time: float
    word: str
    text: str

    def styled(self) -> Text:
        """For a terminal; plain text elsewhere."""
        day = Text(clock(self.time), style="dim")
        if not self.word:
            return Text.assemble(day, "  ", (self.text, "italic dim"))
        return Text.assemble(day, " ", (self.word, _STYLES[self.word]), " ", self.text)


class Story:
    """Listens in the decider's thread; :meth:`lines` is read in another."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._order = itertools.count()
        self.caught = Caught()
        self._held: list[tuple[float, int, Line]] = []
        for beat in beats():
            self._hold(Line(beat.time, "", beat.text))
        self._known: dict[str, Incident] = {}
        self._incidents: dict[str, Incident] = {}
        self._counts: list[int] = []
        self._day: list[Verdict] = []
        self._first = True

    def take(self, steps: Sequence[Closed]) -> None:
        """Turn what was decided into lines, in order of event time."""
        for step in steps:
            while step.window is not None and self._held and self._held[0][0] <= step.window:
                self._lines.put(heapq.heappop(self._held)[2])
            self._verdicts(step.verdicts)
            for line in self._changes([incident for incident in step.incidents if not of_probes(incident)]):
                self._lines.put(line)
            self._probed(step)
            if step.window is not None:
                self._counts.append(sum(sketch.n for key, sketch in step.sketches.items() if key.slice == WHOLE))
                if step.window + 60 >= MONDAY + WEEK:
                    self._lines.put(None)

    def _probed(self, step: Closed) -> None:
        """Rounds are told before the prompts of their time are counted: their lines wait for the window that they lie in."""
        incidents = [incident for incident in step.incidents if of_probes(incident)]
        if incidents:
            times = [verdict.window_end for verdict in step.verdicts] or [incident.opened for incident in incidents]
            for line in self.caught.changes(incidents, max(times)):
                self._hold(Line(*line))

    def _hold(self, line: Line) -> None:
        heapq.heappush(self._held, (line.time, next(self._order), line))

    def lines(self, timeout: float) -> Iterator[Line | None]:
        """Lines that are there, waiting up to ``timeout`` seconds for the first; None: the story is told."""
        wait = timeout
        while True:
            try:
                yield self._lines.get(timeout=wait) if wait else self._lines.get_nowait()
            except queue.Empty:
                return
            wait = 0.0

    def windows(self) -> list[int]:
        """Prompts in every window of the week that has closed."""
        return list(self._counts)

    def contradictions(self) -> list[str]:
        """Where the week did not go as the script promises; empty when it did. Call it when the story is told."""
        pages = [incident for incident in self._known.values() if incident.level == "page"]
        begun, ended = MONDAY + NEW_TOPIC.start, MONDAY + JAILBREAK.stop
        attack = [page for page in self._incidents.values() if page.opened > MONDAY + JAILBREAK.start]
        wrong = [f"a page at {clock(page.opened)}, before anything had changed" for page in pages if page.opened <= begun]
        if not any(begun < page.opened <= MONDAY + NEW_TOPIC.stop for page in pages):
            wrong.append("no page for the new topic")
        if not any(page.opened > MONDAY + JAILBREAK.start for page in pages):
            wrong.append("no page for the jailbreak burst")
        for incident in attack:
            if incident.closed is None or incident.closed > ended + CLOSES_WITHIN:
                wrong.append(f"the {incident.level} of {clock(incident.opened)} was still open two hours after the attack")
            elif incident.closed_by != "recovery":
                wrong.append(f"the {incident.level} of {clock(incident.opened)} was closed by {incident.closed_by}")
        return [*wrong, *self.caught.contradictions()]

    def _verdicts(self, verdicts: Sequence[Verdict]) -> None:
        shares = [verdict for verdict in verdicts if verdict.stream == "ood_share" and verdict.slice == WHOLE]
        if shares and self._first:
            self._first = False
            first = shares[0]
            self._lines.put(
                Line(first.window_end, "VERDICT", f"{first.model_name} {first.stream} {first.explanation}; state {first.state}")
            )
        self._day += shares
        if self._day and (self._day[-1].window_end - MONDAY) % 86400 == 0:
            n = sum(verdict.n for verdict in self._day)
            strongest = max(verdict.log10_evidence for verdict in self._day)
            last = self._day[-1]
            told = f"midnight: {n:,} prompts today, strongest evidence of ood_share 10^{strongest:.1f} of 10^{last.log10_threshold:.1f}"
            self._lines.put(Line(last.window_end - 1, "", told))
            self._day = []

    def _changes(self, incidents: Sequence[Incident]) -> Iterator[Line]:
        closed: dict[tuple[str, str], list[Incident]] = {}
        for incident in incidents:
            before = self._incidents.get(incident.id)
            self._incidents[incident.id] = incident
            if incident.severity == "critical":
                self._known.setdefault(incident.id, incident)
            if incident.closed is not None:
                closed.setdefault((incident.model_name, incident.stream), []).append(incident)
            elif before is None or before.severity != incident.severity:
                yield Line(incident.opened, "PAGE" if incident.severity == "critical" else "TICKET", _opened(incident))
        for (model, stream), ended in closed.items():
            levels = " and ".join(sorted({incident.level for incident in ended}, reverse=True))
            since = clock(min(incident.opened for incident in ended))
            time = max(incident.closed or 0.0 for incident in ended)
            who = "by itself" if all(incident.closed_by == "recovery" for incident in ended) else f"by {ended[0].closed_by}"
            yield Line(time, "RECOVERED", f"{model} {stream}, {levels} of {since} closed {who}")


def clock(time: float) -> str:
    """Weekday and time of day in UTC: ``Tue 14:05``."""
    return datetime.fromtimestamp(time, UTC).strftime("%a %H:%M")


def _opened(incident: Incident) -> str:
    change = f"{incident.model_name} {incident.stream} {incident.reference:.1%} -> {incident.value:.1%}"
    evidence = f"evidence 10^{incident.log10_evidence:.1f} of 10^{incident.log10_threshold:.1f}"
    return f"{change}, {evidence}, since about {clock(incident.change_start)}"
