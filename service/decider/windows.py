"""Open windows and how far event time has got.

A window closes when every partition has passed its end by ``grace``. Everything here is a function of the ledger's log: the clock is the
newest ``sent`` of the workers' reports, so that a decider that reads the log again decides the same. Wall time comes in only where the log
has fallen silent (:meth:`OpenWindows.advance`).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from typing import Any

from detectors.sketch import Sketch
from service.config import Windows
from service.decider.encoding import decode_sketch, encode_sketch
from service.records import DeltaKey, Partition, Progress, Report

LEASE = 60.0
"""A worker silent this long (seconds) is lost."""

HELD = 100_000
"""Sketches held open at most; the furthest ahead are refused first, so that the oldest windows always close whole."""

AHEAD = 3600.0
"""With ``clock: wall`` a window this many seconds ahead of the workers' clocks is refused: no real record is in it."""


@dataclass(slots=True)
class _Partition:
    """What is known of one partition; ``named`` is the clock when a report last named it."""

    time: float = -math.inf
    idle: bool = False
    ended: bool = False
    worker: str = ""
    named: float = -math.inf


def is_http(partition: Partition) -> bool:
    """HTTP partitions belong to one process and die with it."""
    return partition.startswith("http/")


class OpenWindows:
    """Sums of all windows not yet closed, by start, and the watermark."""

    def __init__(self, settings: Windows) -> None:
        self._settings = settings
        self._open: dict[int, dict[DeltaKey, Sketch]] = {}
        self._order: list[int] = []
        self._held = 0
        self._partitions: dict[Partition, _Partition] = {}
        self._workers: dict[str, float] = {}
        self._named = -math.inf
        self.watermark = -math.inf
        self.clock = -math.inf
        self.lost = 0
        self.late: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.twice: frozenset[tuple[str, str]] = frozenset()
        """Bundle and model of deltas whose prompts are in the delta of another bundle too: not counted as late or refused again."""

    def __len__(self) -> int:
        return len(self._open)

    def add(self, key: DeltaKey, sketch: Sketch) -> None:
        """Add one delta, or count it as late when its window has closed."""
        if self._ends(key.window) <= self.watermark:
            self.late[key.model_name] = self.late.get(key.model_name, 0) + self._prompts(key, sketch)
            return
        if (window := self._open.get(key.window)) is None:
            window = self._open[key.window] = {}
            heappush(self._order, key.window)
        known = window.get(key)
        window[key] = sketch if known is None else known + sketch
        self._held += known is None
        if self._held > HELD:
            self._refuse(max(self._open))

    def report(self, report: Report) -> None:
        """Take one worker's word on how far its partitions have got; moves the watermark."""
        wall = self._settings.clock == "wall"
        self.clock = max(self.clock, report.sent)
        self._workers[report.worker] = max(self._workers.get(report.worker, -math.inf), report.sent)
        for name in report.partitions:
            if not is_http(name):
                self._partitions.setdefault(name, _Partition()).named = self._named = self.clock
        for name, progress in report.progress.items():
            self._merge(self._partitions.setdefault(name, _Partition()), progress, report)
        if wall:
            for start in [start for start in self._open if start > self.clock + AHEAD]:
                self._refuse(start)
        self._move()

    def advance(self, now: float) -> None:
        """Let wall time count, for a log that has been silent: lost workers leave, an idle stream moves on."""
        if self._settings.clock == "wall":
            self.clock = max(self.clock, now)
            self._move()

    def due(self) -> tuple[int, Mapping[DeltaKey, Sketch]] | None:
        """The oldest window that is complete, taken out; None when there is none."""
        while self._order and self._ends(self._order[0]) <= self.watermark:
            start = heappop(self._order)
            if sketches := self._open.pop(start, None):  # None: refused meanwhile
                self._held -= len(sketches)
                return start, sketches
        return None

    def blind(self, now: float) -> tuple[str, ...]:
        """Why we cannot see at wall time ``now``, in words for the operator. With ``clock: event`` nothing is ever behind."""
        if not self._workers:
            return ("no worker has reported yet",)
        if self._settings.clock == "event" or (self._partitions and all(p.ended for p in self._partitions.values())):
            return ()
        silent = now - max(self._workers.values())
        if silent > self._settings.blind_after:
            return (f"no worker has reported for {silent:.0f} s",)
        if not self._partitions and silent <= LEASE:
            return ("no worker has reached its input yet",)
        if now - self.watermark > self._settings.blind_after:
            return tuple(self._holders(now)) or (f"event time is {now - self.watermark:.0f} s behind",)
        return ()

    def behind(self) -> float:
        """Seconds by which the watermark trails the workers' clocks; 0 with ``clock: event``."""
        return self.clock - self.watermark if self._settings.clock == "wall" else 0.0

    def _ends(self, start: int) -> float:
        return start + self._settings.length + self._settings.grace

    def _prompts(self, key: DeltaKey, sketch: Sketch) -> int:
        """Prompts of a delta that no other delta counts."""
        return 0 if key.slice or key[:2] in self.twice else int(sketch.n)

    def _refuse(self, start: int) -> None:
        sketches = self._open.pop(start)
        self._held -= len(sketches)
        for key, sketch in sketches.items():
            self.refused[key.model_name] = self.refused.get(key.model_name, 0) + self._prompts(key, sketch)
        if len(self._order) > 2 * len(self._open) + 100:  # refused starts stay in the heap until it is made anew
            self._order = sorted(self._open)

    def _merge(self, partition: _Partition, progress: Progress, report: Report) -> None:
        time = progress.time
        if self._settings.clock == "wall":  # a record stamped 2099 must not close the windows of today
            time = min(time, report.sent + self._settings.max_skew)
        partition.time = max(partition.time, time)  # what was committed stays read, whoever reads on
        partition.idle, partition.ended, partition.worker = progress.idle, progress.ended, report.worker
        partition.named = self.clock

    def _move(self) -> None:
        """Drop what is lost and raise the watermark; it never falls."""
        for name in [name for name, partition in self._partitions.items() if self._is_lost(name, partition)]:
            partition = self._partitions.pop(name)
            self.lost += not (partition.idle or partition.ended)  # else it had left before: a worker that was stopped says so
        owners = {partition.worker for partition in self._partitions.values()}
        owners.add(max(self._workers, key=self._workers.__getitem__, default=""))  # who was heard last is remembered
        for worker in [w for w, sent in self._workers.items() if w not in owners and self.clock - sent > 60 * LEASE]:
            del self._workers[worker]
        self.watermark = max(self.watermark, self._minimum())

    def _is_lost(self, name: Partition, partition: _Partition) -> bool:
        """An HTTP partition whose worker is silent; any other that is no longer named by workers who see the input.

        A worker that cannot reach its broker names nothing: that says nothing about what there is.
        """
        if is_http(name):
            return self.clock - self._workers.get(partition.worker, self.clock) > LEASE
        return self._named - partition.named > max(self._settings.blind_after, 2 * LEASE)

    def _minimum(self) -> float:
        present = self._partitions.values()
        moving = [partition.time for partition in present if not (partition.idle or partition.ended)]
        if moving:
            return min(moving)
        if present and all(partition.ended for partition in present):
            return self._ends(max(self._open)) if self._open else self.watermark
        if not present and (self.watermark == -math.inf or self.clock - max(self._workers.values()) <= LEASE):
            return self.watermark  # no input was reached yet: it may hold anything
        if self._settings.clock == "wall" and self._workers:
            return self.clock - self._settings.idle_after
        return self.watermark

    def _holders(self, now: float) -> list[str]:
        """The partitions at the minimum and why they stand there."""
        reasons = []
        for name, partition in sorted(self._partitions.items()):
            if partition.idle or partition.ended or partition.time > self.watermark:
                continue
            silent = now - self._workers.get(partition.worker, -math.inf)
            if not partition.worker:
                reasons.append(f"partition {name} is read by no worker")
            elif silent > LEASE:
                reasons.append(f"partition {name}: worker {partition.worker} silent for {silent:.0f} s")
            elif partition.time == -math.inf:
                reasons.append(f"partition {name}: nothing read yet")
            else:
                reasons.append(f"partition {name} is {now - partition.time:.0f} s behind")
        return reasons[:5]

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "open": [[*key, encode_sketch(sketch)] for window in self._open.values() for key, sketch in window.items()],
            "partitions": {name: asdict(partition) for name, partition in self._partitions.items()},
            "workers": self._workers,
            "named": self._named,
            "watermark": self.watermark,
            "clock": self.clock,
            "lost": self.lost,
            "late": self.late,
            "refused": self.refused,
        }

    @classmethod
    def from_json(cls, settings: Windows, state: Mapping[str, Any]) -> "OpenWindows":
        """Inverse of :meth:`to_json`."""
        windows = cls(settings)
        for bundle, model, slice_, start, sketch in state["open"]:
            windows._open.setdefault(start, {})[DeltaKey(bundle, model, slice_, start)] = decode_sketch(sketch)
        windows._order, windows._held = sorted(windows._open), len(state["open"])
        windows._partitions = {name: _Partition(**partition) for name, partition in state["partitions"].items()}
        windows._workers, windows._named = dict(state["workers"]), state["named"]
        windows.watermark, windows.clock, windows.lost = state["watermark"], state["clock"], state["lost"]
        windows.late, windows.refused = dict(state["late"]), dict(state["refused"])
        return windows
