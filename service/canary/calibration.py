"""Judges are judged too: their labelled answers as rounds of their own."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from service.canary.schedule import Schedule, Slot
from service.canary.tally import MOST_ERRORS
from service.records.probes import Counts, Round


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge that is asked its labelled answers on a schedule, for every model whose answers it grades.

    ``ask``: what it said of them, as counts: bad ones are not as labelled. ``key``: what changes with the judge. ``calls``: requests.
    """

    judge: str
    models: tuple[str, ...]
    schedule: Schedule
    ask: Callable[[], Awaitable[Counts]]
    key: str
    items: int
    calls: int

    def round_id(self, model: str, scheduled: float) -> str:
        """Natural, as of any round."""
        return f"{model}/{self.judge}/judge/{self.judge}/{scheduled:.0f}"


def opened(judge: Calibration, slot: Slot, began: float) -> list[Round]:
    """A round for each model, before anything is known."""
    return [
        Round(
            id=judge.round_id(model, slot.scheduled),
            model_name=model,
            target=judge.judge,
            role="live",
            suite=f"judge/{judge.judge}",
            kind="judge",
            items=judge.items,
            scheduled=slot.scheduled,
            started=began,
            ended=began,
            key=judge.key,
            revision="",
            complete=False,
            reason="cancelled",
            counts={},
        )
        for model in judge.models
    ]


def closed(judge: Calibration, rounds: Sequence[Round], counts: Counts, ended: float) -> list[Round]:
    """The same with what the judge said. Its requests are those of the first round: they were made once."""
    reason = "errors" if counts.error > MOST_ERRORS * judge.items else ""
    calls = [judge.calls, *[0] * (len(rounds) - 1)]
    return [
        replace(round, ended=ended, counts={"": counts}, complete=not reason, reason=reason, calls=made)
        for round, made in zip(rounds, calls, strict=True)
    ]
