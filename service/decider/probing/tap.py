"""Canaries that pass the gateway must come back at the source within two intervals, or the tap is blind."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.records.probes import ProbeStream, Round

WITHIN = 2.0
"""Intervals of the most frequent suite of a target within which one of its canaries must come back."""

_PENDING = 10


class Tap:
    """What was sent through gateways and has not come back; a function of the log."""

    def __init__(self, streams: Sequence[ProbeStream], targets: frozenset[str]) -> None:
        """``targets``: names of those whose requests pass the tap."""
        self._intervals: dict[str, float] = {}
        self._models: dict[str, str] = {}
        for stream in streams:
            if stream.target in targets and stream.kind != "judge":
                self._intervals[stream.target] = min(stream.interval, self._intervals.get(stream.target, stream.interval))
                self._models[stream.target] = stream.model_name
        self._sent: dict[str, list[float]] = {}

    def sent(self, told: Round) -> None:
        """A round was answered: its canaries are on their way."""
        if told.target in self._intervals and any(counts.n for counts in told.counts.values()):
            self._sent[told.target] = [*self._sent.get(told.target, []), told.started][:_PENDING]

    def seen(self, canaries: Mapping[str, float]) -> None:
        """Canaries came back at the source: target -> time of the newest one's record."""
        for target, time in canaries.items():
            if target in self._sent:
                self._sent[target] = [started for started in self._sent[target] if started > time]

    def blind(self, now: float) -> dict[str, str]:
        """Model -> why its prompts cannot be seen at wall time ``now``."""
        found = {}
        for target, sent in self._sent.items():
            if target in self._intervals and sent and now - sent[0] > WITHIN * self._intervals[target]:
                found[self._models[target]] = f"tap: canaries of {target} have not come back for {now - sent[0]:.0f} s"
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return dict(self._sent)

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self._sent = {target: list(sent) for target, sent in state.items()}
