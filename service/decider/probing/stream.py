"""One stream of probes: its record, its detector, its recovery test, and its newest rounds."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from detectors.contract import Evidence, Windows
from detectors.paired import Paired
from detectors.recovery import Recovery
from detectors.rounds import RoundRate, smallest_effect
from service.decider.budget import RECOVERY
from service.decider.encoding import decode_array, encode_array
from service.decider.probing.layout import Planned
from service.decider.probing.record import Record
from service.decider.streams import LEVELS

KEPT = 720
"""Rounds of a stream that are kept one by one."""

CHANGED = 0.05
"""Of a fingerprint: share of changed answers that chance alone may make, minimum effect included."""

FEWEST_ROUNDS = 20
"""A recovery test closes falsely once in this many rounds at most, or in six hours where that is more rounds."""

_FAIR = 0.5

COIN = 0.5
"""A judge that is wrong about more of its labelled answers is none, and never was."""
_ALMOST_ALL = 0.98


class Row(NamedTuple):
    """One complete round. ``n`` answers, ``x`` of them bad; log10 evidence after it.

    ``base``: bad ones of the model beside, None where none was asked. Of a pair: x items that only the live model got wrong, ``base``
    items that only the other did.
    """

    time: float
    n: int
    x: int
    base: int | None
    ticket: float
    page: float


class Stream:
    """State of one stream."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self._effect = smallest_effect(max(planned.of.items, 1), planned.of.min_effect)
        most = COIN if planned.question == "probe_judge" else None
        self.record = Record(self._effect, planned.of.answers, self._fixed(), most)
        self.rows: deque[Row] = deque(maxlen=KEPT)
        self.evidence = (0.0, 0.0)
        self.after = -np.inf
        self._detector: RoundRate | Paired | None = None
        null = np.array([self.recovery_null])
        rounds = max(RECOVERY / planned.of.interval, FEWEST_ROUNDS)
        self._recovery = {level: Recovery.fit(null=null, design_effect=[1.0], threshold=rounds) for level in LEVELS}
        self._begin()

    @property
    def paired(self) -> bool:
        """Whether it compares with another model in the same round."""
        return self.planned.question == "probe_paired"

    @property
    def is_fingerprint(self) -> bool:
        """Whether it counts what changed against a reference, and so has no record."""
        return self.planned.of.kind == "fingerprint" and self.planned.question == "probe"

    @property
    def null(self) -> float | None:
        """What the share is held against; None while nothing is known."""
        return _FAIR if self.paired else self.record.null

    @property
    def recovery_null(self) -> float:
        """A share below it is well again: of a pair that of answers by which the live model is worse in all."""
        if self.paired:
            return min(self._effect, _ALMOST_ALL)  # of a category of one item it is more than all
        return self.record.null or _FAIR

    @property
    def why(self) -> str | None:
        """What keeps it from paging that could."""
        return None if self.paired or not self.planned.page else self.record.why

    def allowed(self) -> dict[str, bool]:
        """Level -> whether it may be reached now."""
        known = self._detector is not None
        return {"ticket": known, "page": known and self.planned.page > 0 and self.why is None}

    def thresholds(self) -> dict[str, float | None]:
        """Level -> log10 evidence at which it crosses; None where it may not."""
        rates = {"ticket": self.planned.ticket, "page": self.planned.page}
        return {level: -float(np.log10(rates[level])) if may else None for level, may in self.allowed().items()}

    def take(self, time: float, n: int, x: int, base: int | None, bet: tuple[int, int]) -> Evidence | None:
        """A complete round: ``bet`` is what the detector counts, (n, x). None while there is nothing to test against."""
        said = self._detector.update(_counts(*bet)) if self._detector is not None else None
        self.evidence = (float(said.log10_ticket[0]), float(said.log10_page[0])) if said is not None else (0.0, 0.0)
        self.rows.append(Row(time, n, x, base, *self.evidence))
        return said

    def recovered(self, n: int, x: int) -> list[str]:
        """Levels whose incident is over after a round with ``x`` of ``n``."""
        return [level for level, test in self._recovery.items() if test.update(_counts(n, x))[0]]

    def watch_recovery(self, level: str, *, on: bool) -> None:
        """Start the recovery test of an incident, or stop it."""
        where = np.ones(1, np.bool_)
        (self._recovery[level].start if on else self._recovery[level].stop)(where)

    def renew(self, time: float) -> None:
        """Another bound is in force: evidence and running recovery tests begin again, and no change began before ``time``."""
        self.after = time
        self._begin()
        for test in self._recovery.values():
            test.reset(np.ones(1, np.bool_), null=[self.recovery_null])

    def began(self) -> tuple[Row, Row, Row]:
        """First round of the change that the evidence is about, and the earliest and the latest it may have been."""
        rows = [row for row in self.rows if row.time > self.after] or list(self.rows)[-1:]
        bets = [(row.x + (row.base or 0), row.x) if self.paired else (row.n, row.x) for row in rows]
        first, low, high = began(bets, self.null or _FAIR)
        return rows[first], rows[low], rows[high]

    def since(self, time: float) -> list[Row]:
        """Rounds kept from ``time`` on."""
        return [row for row in self.rows if row.time >= time]

    def _fixed(self) -> float | None:
        return CHANGED if self.is_fingerprint else None

    def _begin(self) -> None:
        """A detector without evidence, where there is something to test against."""
        null, page = self.null, self.planned.page if self.why is None else 0.0
        if null is None:
            self._detector = None
        elif self.paired:
            self._detector = Paired.fit(ticket_rate=[self.planned.ticket], page_rate=[page])
        else:
            loud = self.planned.question == "probe" and (self.planned.of.critical or self.planned.of.kind == "fingerprint")
            self._detector = RoundRate.fit(null=[null], ticket_rate=[self.planned.ticket], page_rate=[page], critical=[loud])

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "rates": [self.planned.ticket, self.planned.page],
            "null": self.null,
            "why": self.why,
            "record": self.record.to_json(),
            "rows": _packed(self.rows),
            "evidence": list(self.evidence),
            "after": self.after if np.isfinite(self.after) else None,
            "detector": None if self._detector is None else np.asarray(self._detector.snapshot()["evidence"]).tolist(),
            "recovery": {
                level: np.asarray(test.snapshot()["evidence"]).tolist() for level, test in self._recovery.items() if test.running[0]
            },
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`; where null or rates are others now, evidence begins again."""
        self.record.load(state["record"])
        self.rows.extend(_opened(state["rows"]))
        self.renew(-np.inf if state["after"] is None else state["after"])
        for level, evidence in state["recovery"].items():
            snapshot = self._recovery[level].snapshot()
            self._recovery[level] = Recovery.restore({**snapshot, "running": np.ones(1, np.bool_), "evidence": np.array(evidence)})
        same = state["null"] == self.null and state["why"] == self.why
        if same and state["rates"] == [self.planned.ticket, self.planned.page] and self._detector is not None:
            self._detector.recursion.load(np.array(state["detector"]))
            self.evidence = tuple(state["evidence"])


def began(bets: Iterable[tuple[int, int]], null: float) -> tuple[int, int, int]:
    """The stretch of newest rounds that explains the evidence best: its first round, and the earliest and latest it may have been.

    The likelihood ratio of the newest rounds' own share against the null, greatest over where they begin; the interval is where its
    logarithm is within 4 of that (as in :mod:`detectors.change`). Rounds without a bet say nothing, so of equals the latest is taken.
    ``bets``: (n, x) of each round; the result are indices of them.
    """
    counted = np.array(list(bets), np.float64)[::-1].cumsum(axis=0)[::-1]
    n, x = np.maximum(counted[:, 0], 1.0), counted[:, 1]
    share = np.clip(np.maximum(x / n, null), 1e-9, 1 - 1e-9)
    gain = x * np.log(share / null) + (n - x) * np.log((1 - share) / (1 - null))
    best = int(gain.size - 1 - np.argmax(gain[::-1]))
    near = np.flatnonzero(gain >= gain[best] - 4)
    return best, int(near[0]), int(near[-1])


def _packed(rows: Iterable[Row]) -> list[Any]:
    """Rows as one array; NaN stands for no model beside."""
    table = [(*row[:3], np.nan if row.base is None else row.base, *row[4:]) for row in rows]
    return encode_array(np.array(table, np.float64).reshape(-1, len(Row._fields)))


def _opened(value: list[Any]) -> Iterator[Row]:
    """Inverse of :func:`_packed`."""
    for time, n, x, base, *evidence in decode_array(value).tolist():
        yield Row(time, int(n), int(x), None if np.isnan(base) else int(base), *evidence)


def _counts(n: int, x: int) -> Windows:
    return Windows(n=np.array([n]), x=np.array([x]))


NO_ROWS = _packed(())
"""What is kept of the rounds of a stream that is not configured any more."""
