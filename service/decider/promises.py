"""Whether the promise would have held on the windows a baseline was learned from: every stream that may page, replayed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import PAGING_DAYS
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.promise import CONFIDENCE, Counted, by_hour, count_rates, learned_without, objection, too_short
from detectors.replay import Embedding, Parts, Rates, Replayed, Topics, count, part_days
from detectors.seasonal import WEEKDAYS, SeasonalBaseline
from detectors.topic_baseline import TopicBaseline
from service.decider.baselines import STREAMS, Kept, Place
from service.decider.budget import SLICED
from service.decider.history import History
from service.decider.recording import COUNTS, Recorded
from service.records import WHOLE

Counts = Mapping[Place, Counted]

_FEW = "not replayed: fewer than two streams may page"


class Replay:
    """One history and what was learned from it; :meth:`run` replays every stream that may page.

    Cost at 28 days of minutes, 100 topics and 50 slices: about 7 s of one core, the decider's own.
    """

    def __init__(
        self, history: History, slices: Sequence[str], page_rates: Mapping[Place, float], *, block: int, delta: float, min_effect: float
    ):
        """``page_rates``: (slice, stream) -> false pages per window; what may page decides what ``combined`` is made of."""
        self._slices, self._page_rates = tuple(slices), page_rates
        self._block, self._delta, self._min_effect = block, delta, min_effect
        recorded = history.recording.read()
        self._recorded = recorded if recorded is not None and recorded.start.size else None
        if self._recorded is not None:
            self._day, self._hour = history.clock(self._recorded.start)

    def run(
        self, rates: Mapping[Place, SeasonalBaseline], mix: TopicBaseline | None, shift: EmbeddingBaseline | None
    ) -> dict[Place, Counted]:
        """What was counted of each stream; of a stream without a baseline nothing. ``mix``: of topics, ``shift``: of the embedding."""
        if self._recorded is None:
            return self._too_short(0, mix, shift)
        sliced = [(value, stream) for value in self._slices for stream in SLICED]
        learned = [place for place in sliced if place in rates and rates[place].may_page]
        return {**self._whole(self._recorded, mix, shift), **(self._sliced(self._recorded, learned) if learned else {})}

    def _columns(self, recorded: Recorded, places: Sequence[Place]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """n and x (W, S) of rate streams."""
        at = [(WHOLE, *self._slices).index(slice_) for slice_, _ in places]
        flag = [COUNTS.index(STREAMS[stream]) for _, stream in places]
        return recorded.counts[:, at, 0].astype(np.int64), recorded.counts[:, at, flag].astype(np.int64)

    def _sliced(self, recorded: Recorded, places: Sequence[Place]) -> dict[Place, Counted]:
        """Rate streams of slices; what is judged of so many shares one chance of a false verdict."""
        n, x = self._columns(recorded, places)
        seen = [place for i, place in enumerate(places) if n[:, i].any()]
        if not seen:
            return {}
        n, x = self._columns(recorded, seen)
        settings: dict[str, Any] = {"delta": self._delta, "block": self._block, "min_effect": self._min_effect}
        confidence = 1 - (1 - CONFIDENCE) / len(seen)
        return dict(zip(seen, count_rates(n, x, self._day, self._hour, confidence=confidence, **settings), strict=True))

    def _whole(self, recorded: Recorded, mix: TopicBaseline | None, shift: EmbeddingBaseline | None) -> dict[Place, Counted]:
        """Streams of the whole model, side by side: ``combined`` is made of their steps."""
        n, x = self._columns(recorded, [(WHOLE, stream) for stream in STREAMS])
        parts = Parts.cut(self._day, self._hour, WEEKDAYS)
        made = dict(zip(STREAMS, by_hour(parts, n, x), strict=True))
        wholes = {stream: SeasonalBaseline.fit(hours, self._delta, self._block) for stream, hours in made.items()}
        days = min(whole.days for whole in wholes.values())
        if days < PAGING_DAYS:
            return self._too_short(days, mix, shift)
        parts = Parts.cut(self._day, self._hour, part_days(days))
        members: dict[str, Replayed] = {}
        for i, (stream, hours) in enumerate(made.items()):
            fitted = learned_without(hours, parts, self._delta, self._block)
            members[stream] = Rates(parts, n[:, [i]], x[:, [i]], [fitted], self._min_effect)
        reasons = {stream: objection(made[stream], whole) for stream, whole in wholes.items()}
        missing = self._add_topics(parts, recorded, mix, members) | self._add_embedding(parts, recorded, shift, members)
        return self._counted(parts, members, reasons, recorded.start.size) | missing

    def _too_short(self, days: int, mix: TopicBaseline | None, shift: EmbeddingBaseline | None) -> dict[Place, Counted]:
        names = [*STREAMS, *(name for name, one in (("topic_mix", mix), ("embedding_shift", shift)) if one), "combined"]
        return {(WHOLE, name): Counted(None, 0, too_short(days)) for name in names}

    def _counted(
        self, parts: Parts, members: Mapping[str, Replayed], reasons: Mapping[str, str | None], windows: int
    ) -> dict[Place, Counted]:
        *counts, together = count(list(members.values()), parts)
        found: dict[Place, Counted] = {
            (WHOLE, stream): Counted(crossings[:, 0], members[stream].windows, reasons.get(stream))
            for stream, crossings in zip(members, counts, strict=True)
        }
        verdicts = judged(found, self._page_rates)
        kept = [member for stream, member in members.items() if verdicts[WHOLE, stream].kept]
        if 1 < len(kept) < len(members):
            together = count(kept, parts)[-1]
        combined = Counted(together[:, 0], windows) if len(kept) > 1 else Counted(None, 0, _FEW)
        return {**found, (WHOLE, "combined"): combined}

    def _add_topics(
        self, parts: Parts, recorded: Recorded, mix: TopicBaseline | None, members: dict[str, Replayed]
    ) -> dict[Place, Counted]:
        """Add the topics to what is replayed, or say why they are not."""
        if mix is None or not mix.may_page:
            return {} if mix is None else {(WHOLE, "topic_mix"): Counted(None, 0, "not replayed: its days differ too much for a bound")}
        members["topic_mix"] = Topics(parts, recorded.topics.astype(np.int64), self._delta, self._min_effect)
        return {}

    def _add_embedding(
        self, parts: Parts, recorded: Recorded, shift: EmbeddingBaseline | None, members: dict[str, Replayed]
    ) -> dict[Place, Counted]:
        """Add the embedding to what is replayed, or say why it is not."""
        if shift is None:
            return {}
        try:
            members["embedding_shift"] = Embedding(parts, recorded.u, self._delta)
        except ValueError as error:
            return {(WHOLE, "embedding_shift"): Counted(None, 0, f"not replayed: {error}")}
        return {}


def judged(counts: Counts, page_rates: Mapping[Place, float]) -> dict[Place, Kept]:
    """Each stream against its own part of the budget of pages."""
    return {place: Kept.of(counted.judge(1 / max(page_rates.get(place, 0.0), 1e-12))) for place, counted in counts.items()}


def to_json(counts: Counts) -> list[Any]:
    """JSON values."""
    values = ((place, one.crossings, one.windows, one.objection, one.confidence) for place, one in counts.items())
    return [[*place, None if crossings is None else crossings.tolist(), *rest] for place, crossings, *rest in values]


def from_json(state: Sequence[Sequence[Any]]) -> dict[Place, Counted]:
    """Inverse of :func:`to_json`."""
    return {
        (slice_, stream): Counted(None if crossings is None else np.array(crossings, np.int64), *rest)
        for slice_, stream, crossings, *rest in state
    }
