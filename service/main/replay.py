"""``tiltmeter replay``: recorded prompts through the real detectors, as a story, a table and two files."""

import json
import math
import time as clock
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from detectors.baseline import LARGEST_CV, PAGING_DAYS
from service.api import words
from service.config import Config, Fields, FileSource, load
from service.decider.baselines import STREAMS
from service.decider.closed import Closed
from service.decider.decider import Decider
from service.decider.learning import OVERRIDE
from service.errors import ConfigError, DataError
from service.main.history import Learned, learn
from service.main.models import Graphs, Models, rows_of
from service.main.playing import Memory, play
from service.main.remote import console as terminal
from service.pipeline.snapshot import PipelineSnapshot
from service.records import BaselineEntry, Command, Incident, Prompt, Scores, Verdict
from service.source.files import DEFAULT_RATE

LEVELS = ("ticket", "page")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked on the command line."""

    files: Sequence[str]
    bundle: Path | None
    config: Path | None
    text: str | None
    time: str | None
    rate: float | None
    start: str
    learn_from: Sequence[Path]
    scores: Path | None
    verdicts: Path | None


def configuration(options: Options, model: str | None = None, paths: Sequence[str] | None = None) -> Config:
    """The configuration of a replay: files as the source, event time. Raises ConfigError."""
    paths = list(paths or options.files)
    source = {"kind": "file", "paths": paths, "rate": options.rate, **({"start": options.start} if options.start else {})}
    if options.config is None:
        if options.bundle is None:
            raise ConfigError("--bundle: needed unless --config names bundles")
        name = model or options.bundle.resolve().name
        return Config.model_validate(
            {
                "source": source,
                "fields": {"text": options.text, "time": options.time},
                "models": {name: {"bundle": options.bundle, "owner": "replay", "wire_names": ["*"]}},
                "windows": {"clock": "event", "grace": 0},
            }
        )
    config = load(options.config)
    update: dict[str, Any] = {"source": FileSource.model_validate(source)}
    update["fields"] = Fields.model_validate(
        config.fields.model_dump() | {name: value for name, value in (("text", options.text), ("time", options.time)) if value}
    )
    update["windows"] = config.windows.model_copy(update={"clock": "event"})
    if options.bundle is not None:
        if len(config.models) != 1:
            raise ConfigError("--bundle: the configuration has several models; name their bundles there")
        update["models"] = {name: m.model_copy(update={"bundle": options.bundle}) for name, m in config.models.items()}
    return config.model_copy(update=update)


class Story:
    """Writes verdict lines, prints incidents as they come, and remembers the highest level reached."""

    def __init__(self, console: Console, verdicts: IO[str] | None) -> None:
        self._console, self._file = console, verdicts
        self._told: dict[str, Incident] = {}
        self.reached: str | None = None
        self.newest: dict[tuple[str, str, str], Verdict] = {}
        self.highest: dict[tuple[str, str, str, str], float] = {}
        self.windows = 0
        self.refused: list[str] = []
        self.accepted: list[BaselineEntry] = []

    def take(self, steps: Sequence[Closed]) -> None:
        """Everything decided since the last call."""
        for step in steps:
            self.windows += step.window is not None
            for verdict in step.verdicts:
                self._verdict(verdict)
            for incident in step.incidents:
                self._incident(incident)
            self.accepted += step.baselines
            self.refused += [entry.outcome for entry in step.audit if entry.outcome.startswith("refused")]

    def _verdict(self, verdict: Verdict) -> None:
        place = verdict.model_name, verdict.slice, verdict.stream
        self.newest[place] = verdict
        for level, evidence in (("ticket", verdict.log10_ticket_evidence), ("page", verdict.log10_evidence)):
            self.highest[*place, level] = max(self.highest.get((*place, level), 0.0), evidence)
        if self._file is not None:
            self._file.write(json.dumps(_line(verdict), ensure_ascii=False) + "\n")

    def _incident(self, incident: Incident) -> None:
        before = self._told.get(incident.id)
        self._told[incident.id] = incident
        if before is None:
            self.reached = max(self.reached or LEVELS[0], incident.level, key=LEVELS.index)
            loud = incident.severity == "critical"
            word = "PAGE" if loud else incident.level
            evidence = f"evidence 10^{incident.log10_evidence:.1f} of 10^{incident.log10_threshold:.1f}"
            share = f"{words.share(incident.reference)} -> {words.share(incident.value)}"
            line = f"{words.clock(incident.opened)}  {word:6}  {_place(incident)} {share}, {evidence}"
            self._console.print(line, style="bold red" if loud else "yellow", markup=False)
            self._console.print(f"    {incident.explanation}", markup=False)
        elif incident.closed is not None and before.closed is None:
            after = words.span(incident.closed - incident.opened)
            line = f"{words.clock(incident.closed)}  closed  {_place(incident)} {incident.verdict} after {after}"
            self._console.print(line, style="green", markup=False)

    def unpromised(self, model: str) -> Iterator[str]:
        """Why streams of a model cannot page with the baselines that were accepted; nothing where they can."""
        flags = STREAMS.values()
        for entry in (one for one in self.accepted if one.flag in flags):
            if entry.model_name == model and entry.stage == "short":
                missing = f"{entry.days} of the {PAGING_DAYS} whole days that paging needs were learned (stage short)"
                yield f"{model} {entry.flag}: {missing}: normal up to {words.share(entry.bound)}, and this stream opens at most tickets"
            elif entry.model_name == model and entry.stage == "unpromised":
                yield f"{model} {entry.flag}: the days learned differ by more than {LARGEST_CV:.0%} (stage unpromised): at most tickets"

    @property
    def incidents(self) -> Sequence[Incident]:
        """Every incident of the replay, as it was last."""
        return list(self._told.values())


def replay_files(options: Options) -> str | None:
    """Play, print, write; the highest level of any incident that opened, or None. Raises ConfigError and DataError."""
    console = terminal()
    config = configuration(options)
    if config.fields.time is None and options.rate is None:
        console.print(f"no --time and no --rate: taking the records as {DEFAULT_RATE:g} prompts a second", style="yellow")
    models = Models.load(config)
    scoring = Graphs(models, config.compute).scoring()
    learned: dict[str, Learned] = {}
    if options.learn_from:
        learned, _ = learn(configuration(options, paths=[str(path) for path in options.learn_from]), models, scoring)
    decider = Decider(models.watched(config), config, "service" if options.config and not learned else "replay")
    began = clock.monotonic()
    with ExitStack() as files:
        story = Story(console, _opened(files, options.verdicts))
        for model, what in learned.items():
            console.print(f"learned {model} from {what.prompts:,} prompts of {words.days(what.days)}", markup=False)
            _accept(Memory(decider, story.take), model, what.arguments, story)
            for line in story.unpromised(model):
                console.print(line, style="yellow", markup=False)
        last = play(config, scoring, decider, decided=story.take, scored=_score_lines(_opened(files, options.scores)))
    if not last.prompts:
        raise DataError(_no_prompts(options, last))
    _summary(console, story, last, clock.monotonic() - began)
    return story.reached


def _no_prompts(options: Options, last: PipelineSnapshot) -> str:
    """Why nothing was scored, with the fields of the first row where the text was not found."""
    from service.rows import fields_there, read_rows

    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(last.rejected.items())) or "no rows"
    first = next(iter(read_rows(options.files[0])), None) if options.files[0] != "-" else None
    there = f"; the fields of the first row are {fields_there(first)} (see --text and --time)" if first else ""
    return f"{', '.join(options.files)}: no prompt could be read: {reasons}{there}"


def _accept(ledger: Memory, model: str, arguments: Mapping[str, Any], story: Story) -> None:
    for kind, more in (("baseline.learn", arguments), ("baseline.accept", {"reason": "replay --learn-from"})):
        ledger.submit(Command(uuid.uuid4().hex, kind, "replay", 0.0, {"model": model, **more}))
    if story.refused:
        reason = story.refused[-1].removeprefix("refused: ").removesuffix(OVERRIDE)
        raise DataError(f"--learn-from: {model}: {reason}. Give a longer history, or leave it out: then at most tickets are opened")


def _opened(files: ExitStack, path: Path | None) -> IO[str] | None:
    if path is None:
        return None
    try:
        return files.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def _score_lines(file: IO[str] | None) -> Any:
    def write(prompts: Sequence[Prompt], scores: Scores) -> None:
        if file is not None:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(prompts, scores))

    return write


def _summary(console: Console, story: Story, last: PipelineSnapshot, seconds: float) -> None:
    scored = sum(last.prompts.values())
    console.print()
    console.print(f"{scored:,} prompts in {story.windows:,} windows, {scored / max(seconds, 1e-9):,.0f} prompts/s", markup=False)
    if last.rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(last.rejected.items()))
        console.print(f"{sum(last.rejected.values()):,} records were no prompts: {reasons}", style="yellow", markup=False)
    sliced = any(place[1] for place in story.newest)
    heads = ("model", *(("slice",) if sliced else ()), "stream", "state", "share now", "normal")
    table = Table(*heads, "highest ticket evidence", "highest page evidence", "incidents", box=None)
    for row in _table(story, sliced=sliced):
        table.add_row(*row)
    console.print(table)


def _table(story: Story, *, sliced: bool) -> Iterator[tuple[str, ...]]:
    """A row for each stream, whole models before slices."""
    for place in sorted(story.newest, key=lambda place: bool(place[1])):
        verdict = story.newest[place]
        count = sum((incident.model_name, incident.slice, incident.stream) == place for incident in story.incidents)
        limits = {"ticket": verdict.log10_ticket_threshold, "page": verdict.log10_threshold}
        evidence = [
            f"10^{story.highest[*place, level]:.1f} of 10^{limits[level]:.1f}" if math.isfinite(limits[level]) else "not allowed"
            for level in LEVELS
        ]
        model, slice_, stream = place
        names = (model, *((slice_,) if sliced else ()), stream)
        yield *names, verdict.state, words.share(verdict.value), words.share(verdict.reference), *evidence, str(count)


def _line(verdict: Verdict) -> dict[str, Any]:
    """A verdicts line: what is not finite is null, and p-values are there only while an incident is open."""
    line = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in asdict(verdict).items()}
    return {key: value for key, value in line.items() if value is not None or not key.startswith("p_values")}


def _place(incident: Incident) -> str:
    return f"{words.place(incident.model_name, incident.slice)} {incident.stream}"
