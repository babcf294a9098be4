"""The detectors of one model that count more than one kind of prompt: topics, languages, lengths, the embedding, and all together."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Evidence, State
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.embedding_levels import LEVELS
from detectors.embedding_shift import EmbeddingShift
from detectors.sketch import Sketch
from detectors.topic_baseline import TopicBaseline
from detectors.topic_mix import TopicMix, mixture
from detectors.volume import Volume
from detectors.volume_baseline import VolumeBaseline
from service.decider.budget import MIXES, RATES, TABLES
from service.decider.combined import Combined, Steps
from service.decider.encoding import decode_state, encode_state
from service.decider.kept import Learned, kept, token

_STAGES = {"short": "fewer than 14 days are learned", "unpromised": "its days differ too much"}

SETTLED = 0.5
"""An incident of volume is over when fewer blocks than this share are unlike their hour: nearly all are while the traffic is."""


class Carried(NamedTuple):
    """What a stream's evidence is about: the counts of ``member``, of its ``category`` where it has many, that rose or fell."""

    member: str
    category: int = -1
    rising: bool = True


def counts(sketch: Sketch, stream: str) -> NDArray[np.int64]:
    """Prompts of each category of a stream of :data:`MIXES`."""
    return np.asarray(getattr(sketch, TABLES[stream]))


class Mixes:
    """Detectors of ``topic_mix``, ``language``, ``length``, ``embedding_shift``, ``volume`` and ``combined`` of one model.

    A stream without a baseline has no detector: it is learning.
    """

    def __init__(self, rates: Mapping[str, tuple[float, float]], min_effect: float) -> None:
        """``rates``: stream -> false tickets and pages per window, where it may reach that level."""
        self._rates, self._min_effect = dict(rates), min_effect
        self.mixes: dict[str, TopicMix] = {}
        self.baselines: dict[str, Learned] = {}
        self.shift: EmbeddingShift | None = None
        self.volume: Volume | None = None
        self._combined = Combined()
        self._tokens: dict[str, str] = {}
        self._broken: dict[str, str] = {}
        self._carried: dict[str, Carried] = {}

    def renew(
        self,
        mixes: Mapping[str, TopicBaseline | None],
        shift: EmbeddingBaseline | None,
        volume: VolumeBaseline | None,
        rated: Mapping[str, tuple[str, NDArray[np.float64]]],
        broken: Mapping[str, str] | None = None,
    ) -> set[str]:
        """Put baselines in force; the streams that began again with it.

        ``rated``: rate stream that may page -> what tells its null from another, and the weights (K,) of its components.
        ``broken``: stream -> why the replay of the accepted windows keeps it from paging.
        """
        self._broken = dict(broken or {})
        begun = {
            stream for stream, baseline in {**mixes, "embedding_shift": shift, "volume": volume}.items() if self._renew(stream, baseline)
        }
        members = {stream: weights for stream, (_, weights) in rated.items()}
        if "topic_mix" in self.mixes and self.may_page("topic_mix"):
            members["topic_mix"] = mixture(self.baselines["topic_mix"].share.shape[1])  # type: ignore[union-attr]
        if self.shift is not None and self.may_page("embedding_shift"):
            members["embedding_shift"] = self.shift.weights
        signature = (
            *((stream, token) for stream, (token, _) in rated.items()),
            *((stream, self.token(stream)) for stream in members if stream not in rated),
            *((("combined", "tickets only"),) if "combined" in self._broken else ()),
        )
        ticket, page = self._rates["combined"]
        if self._combined.renew(members, signature, (ticket, 0.0 if "combined" in self._broken else page)):
            self._carried.pop("combined", None)
            begun.add("combined")
        return begun

    def _renew(self, stream: str, baseline: Learned | None) -> bool:
        """Put the baseline of one stream in force; whether it tells another null from before."""
        if not self._is_new(stream, baseline):
            return False
        self._carried.pop(stream, None)
        self.baselines.pop(stream, None)
        if baseline is not None:
            self.baselines[stream] = baseline
        ticket, page = self._allowed(stream)
        if stream == "embedding_shift":
            self.shift = EmbeddingShift.fit(baseline, ticket, page) if isinstance(baseline, EmbeddingBaseline) else None
        elif stream == "volume":
            self.volume = Volume.fit(baseline, ticket) if isinstance(baseline, VolumeBaseline) else None
        else:
            self.mixes.pop(stream, None)
            if isinstance(baseline, TopicBaseline):
                self.mixes[stream] = TopicMix.fit(baseline, ticket_rate=[ticket], page_rate=[page], min_effect=self._min_effect)
        return True

    def _is_new(self, stream: str, baseline: Learned | None) -> bool:
        if baseline is self.baselines.get(stream):
            return False
        before, self._tokens[stream] = self.token(stream), token(baseline, stream in self._broken)
        return self._tokens[stream] != before

    def _allowed(self, stream: str) -> tuple[float, float]:
        ticket, page = self._rates[stream]
        return ticket, page if self.may_page(stream) else 0.0

    def token(self, stream: str) -> str:
        """What tells the baseline of a stream from another; empty without one."""
        return self._tokens.get(stream, "")

    def has(self, stream: str) -> bool:
        """Whether the stream is tested now."""
        return (
            stream in self.mixes
            or (stream == "embedding_shift" and self.shift is not None)
            or (stream == "volume" and self.volume is not None)
            or (stream == "combined" and self._combined.recursion is not None)
        )

    def may_page(self, stream: str) -> bool:
        """Whether the budget of pages holds for the stream now."""
        if stream in self._broken:
            return False
        if stream == "combined":
            return self._combined.recursion is not None
        return stream in self.baselines and self.baselines[stream].may_page

    def knows(self, carried: Carried) -> bool:
        """Whether there is something to hold the counts of ``carried`` against."""
        return carried.member in RATES or carried.member in self.baselines

    def why(self, stream: str) -> str | None:
        """What keeps a stream from paging."""
        if stream == "combined":
            return self._broken.get(stream) if self.has(stream) else "fewer than two streams may page"
        if not self.has(stream):
            return "no baseline of it is accepted"
        return _STAGES.get(self.baselines[stream].stage) or self._broken.get(stream)

    def flag(self, sketch: Sketch) -> int:
        """Whether ``embedding_shift`` flagged the newest window, 1 or 0; -1 where it does not know."""
        if self.shift is None or not sketch.fourier.size or not sketch.n:
            return -1
        return int(self.shift.flag().x[0])

    def traffic(self, start: int, hour: int, n: int, window: float) -> Evidence | None:
        """One closed window, with prompts or without: what ``volume`` says; None where it is not tested."""
        if self.volume is None:
            return None
        return self.volume.update(start, hour, n, window) or self.volume.standing()

    def unusual(self) -> int:
        """Whether ``volume`` flagged the block that the newest window completed, 1 or 0; -1 where it completed none."""
        newest = None if self.volume is None else self.volume.newest
        return -1 if newest is None else int(newest)

    def parameters(self, carried: Carried, hour: int) -> tuple[float, float, float]:
        """Null, design effect and normal share of what a stream is about; see :class:`service.decider.views.Views`."""
        baseline = self.baselines[carried.member]
        null = float(self.null_at(carried, np.array([hour]))[0])
        if isinstance(baseline, EmbeddingBaseline):
            return null, float(baseline.design_effect[0]), float(LEVELS[0])
        if isinstance(baseline, VolumeBaseline):
            return null, baseline.design_effect, 0.0
        return null, float(baseline.design_effect[carried.category]), float(baseline.share[hour % len(baseline.share), carried.category])

    def null_at(self, carried: Carried, hours: NDArray[np.int64]) -> NDArray[np.float64]:
        """(W,) null at these hours of the week, minimum effect included; of the share that is not there where a fall is bet on."""
        baseline = self.baselines[carried.member]
        if isinstance(baseline, EmbeddingBaseline):
            null = np.full(hours.size, baseline.null[0, 0])
        elif isinstance(baseline, VolumeBaseline):
            null = np.full(hours.size, SETTLED)
        elif carried.rising:
            null = baseline.upper[hours % len(baseline.upper), carried.category] + self._min_effect
        else:
            null = 1 - (baseline.lower[hours % len(baseline.lower), carried.category] - self._min_effect)
        return np.asarray(np.clip(null, 1e-9, 0.999))

    def update(self, sketch: Sketch, hour: int, rated: Steps) -> dict[str, Evidence]:
        """One closed window with prompts: what each stream that is tested says, arrays of one."""
        said: dict[str, Evidence] = {}
        steps = dict(rated)
        for stream in MIXES:
            if (detector := self.mixes.get(stream)) is None:
                continue
            ratio, elapsed = detector.increments(counts(sketch, stream)[None], hour)
            said[stream] = detector.step(ratio, elapsed)
            steps[stream] = ratio[:, 0], np.repeat(elapsed, len(ratio))
            self._carried[stream] = self._carrier(stream, detector, said[stream])
        if self.shift is not None and sketch.fourier.size:
            ratio, since = self.shift.increments(hour, int(sketch.n), sketch.fourier)
            said["embedding_shift"] = self.shift.recursion.update(ratio, since)
            steps["embedding_shift"] = ratio[:, 0], since[:, 0]
        if together := self._combined.update(steps):
            said["combined"], member = together
            if member is not None:
                self._carried["combined"] = self._carried.get(member, Carried(member))
        return said

    def _carrier(self, stream: str, detector: TopicMix, said: Evidence) -> Carried:
        ticket_only = bool(said.ticket[0] and not said.page[0]) or not detector.recursion.rates[1, 0]
        level: Literal["ticket", "page"] = "ticket" if ticket_only else "page"
        carrier = detector.carrier(level)
        category = int(carrier.category[0])
        return self.carried(stream) if category < 0 else Carried(stream, category, bool(carrier.rising[0]))

    def carried(self, stream: str) -> Carried:
        """What the evidence of a stream is about now; of a stream that has none, its commonest category or first member."""
        if stream in self._carried:
            return self._carried[stream]
        if stream == "combined":
            return self.carried(next(iter(self._combined.members)))
        baseline = self.baselines.get(stream)
        return Carried(stream, int(baseline.share.sum(axis=0).argmax())) if isinstance(baseline, TopicBaseline) else Carried(stream)

    def to_json(self) -> dict[str, Any]:
        """Evidence, with what tells the baselines and rates it belongs to."""
        detectors: dict[str, TopicMix | EmbeddingShift | Volume] = dict(self.mixes)
        if self.shift is not None:
            detectors["embedding_shift"] = self.shift
        if self.volume is not None:
            detectors["volume"] = self.volume
        return {
            "rates": {stream: list(rates) for stream, rates in self._rates.items()},
            "tokens": {stream: self.token(stream) for stream in detectors},
            "detectors": {stream: encode_state(kept(detector.snapshot())) for stream, detector in detectors.items()},
            "combined": self._combined.to_json(),
            "carried": {stream: list(carried) for stream, carried in self._carried.items()},
        }

    def load(self, state: Mapping[str, Any]) -> set[str]:
        """Take over what was said against the same baselines and rates; the streams that begin again. Call after :meth:`renew`."""
        same = {stream: tuple(state["rates"].get(stream, ())) == rates for stream, rates in self._rates.items()}
        begun = set(MIXES) | {"embedding_shift", "volume", "combined"}
        for stream, saved in state["detectors"].items():
            if same[stream] and state["tokens"][stream] == self.token(stream):
                self._load(stream, decode_state(saved))
                begun.discard(stream)
        if same["combined"] and self._combined.load(state["combined"]):
            begun.discard("combined")
        self._carried = {stream: Carried(*carried) for stream, carried in state["carried"].items() if stream not in begun}
        return begun

    def _load(self, stream: str, saved: State) -> None:
        if stream == "embedding_shift":
            assert self.shift is not None
            self.shift = EmbeddingShift.restore({**self.shift.snapshot(), **saved})
        elif stream == "volume":
            assert self.volume is not None
            self.volume = Volume.restore({**self.volume.snapshot(), **saved})
        else:
            self.mixes[stream] = TopicMix.restore({**self.mixes[stream].snapshot(), **saved})
