"""What a stream of probes is held against: its accepted record, and the answers of what is on trial beside it.

The first record is learned: its bound is fixed after :data:`SHORT` answers, for tickets at most, and again after as many as a record that
may page needs. From then on another baseline key, or another revision under the same key, is on trial: its answers are tested against the
bound of the last accepted record, and become the record when they are shown not to be worse (:mod:`detectors.gate`), unless anything was
alarmed meanwhile. A person may accept at any time. What is accepted by itself never loosens the bound: it is the smaller of both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from detectors import gate
from detectors.rounds import bound

SHORT = 100
"""Answers from which on a first record opens tickets."""

TALLIES = 4
"""Keys and revisions counted apart; beyond them the one not seen for longest is forgotten."""

LARGEST_BOUND = 0.9
"""Above it hardly any rise is left to be seen."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record in force: ``bad`` of ``n`` answers of one key and revision; ``bound``: what its share is at most."""

    key: str
    revision: str
    n: int
    bad: int
    bound: float
    time: float
    actor: str
    reason: str = ""


@dataclass(slots=True)
class Tally:
    """Answers of one key and revision. ``learned_*``: those outside of changes that were told. ``alarmed``: an incident was open."""

    key: str
    revision: str
    since: float
    last: float
    n: int = 0
    bad: int = 0
    rounds: int = 0
    learned_n: int = 0
    learned_bad: int = 0
    alarmed: bool = False


class Record:
    """Of one stream. ``effect``: smallest rise that is news; ``needed``: answers of a record that may page."""

    def __init__(self, effect: float, needed: int, fixed: float | None = None, most: float | None = None) -> None:
        """``fixed``: a bound that is known beforehand, minimum effect included; nothing is learned then.

        ``most``: what can never be normal, whatever is learned; it holds before anything is.
        """
        self._effect = effect
        self._needed = max(needed, SHORT)
        self._fixed, self._most = fixed, most
        self.accepted: Accepted | None = None
        self.previous: Accepted | None = None
        self.tallies: list[Tally] = []

    @property
    def null(self) -> float | None:
        """Largest share of bad answers that is no news, minimum effect included; None while nothing is known."""
        if self._fixed is not None:
            return self._fixed
        if self.accepted is None or self.accepted.bound > LARGEST_BOUND:
            return self._most
        return min(self.accepted.bound + self._effect, self._most or 0.98)

    @property
    def margin(self) -> float:
        """What is added to a bound."""
        return self._effect

    @property
    def why(self) -> str | None:
        """What keeps it from paging; None where nothing does."""
        if self._fixed is not None:
            return None
        if self.accepted is None:
            return f"no record yet: {self.now.learned_n if self.now else 0} of {SHORT} answers"
        if self.accepted.bound > LARGEST_BOUND:
            return f"up to {self.accepted.bound:.0%} bad answers count as normal: hardly any rise could be seen"
        if self.accepted.n < self._needed:
            return f"the record has {self.accepted.n} of {self._needed} answers"
        return None

    @property
    def now(self) -> Tally | None:
        """What answers now."""
        return max(self.tallies, key=lambda tally: tally.last, default=None)

    @property
    def trial(self) -> Tally | None:
        """What answers now, if that is not the accepted record's model."""
        now = self.now
        return now if now is not None and self.accepted is not None and not _same(now, self.accepted) else None

    def take(self, key: str, revision: str, time: float, n: int, bad: int, *, quiet: bool) -> bool:
        """Count a complete round; ``quiet``: no incident of the stream is open. True: another bound, or another record, is in force."""
        if self._fixed is not None:
            return False
        tally = self._of(key, revision, time)
        tally.n, tally.bad, tally.rounds, tally.last = tally.n + n, tally.bad + bad, tally.rounds + 1, max(tally.last, time)
        tally.alarmed |= not quiet
        if quiet:
            tally.learned_n, tally.learned_bad = tally.learned_n + n, tally.learned_bad + bad
        return quiet and self._settle(tally, time)

    def forget(self, n: int, bad: int) -> None:
        """Rounds that were learned belong to a change that has only now been told: take them out of what answers now."""
        if (now := self.now) is not None:
            now.learned_n = max(now.learned_n - n, 0)
            now.learned_bad = min(max(now.learned_bad - bad, 0), now.learned_n)

    def accept(self, time: float, actor: str, reason: str, n: int, bad: int) -> Tally | None:
        """A person takes ``n`` answers of what answers now as the record; the tally they belong to, None without an answer."""
        now = self.now
        if self._fixed is not None or now is None or n == 0:
            return None
        now.learned_n, now.learned_bad, now.alarmed = n, bad, False
        self._put(Accepted(now.key, now.revision, n, bad, bound(bad, n), time, actor, reason))
        return now

    def _of(self, key: str, revision: str, time: float) -> Tally:
        for tally in self.tallies:
            if (tally.key, tally.revision) == (key, revision):
                return tally
        self.tallies.append(Tally(key, revision, time, time))
        if len(self.tallies) > TALLIES:
            self.tallies.remove(min(self.tallies, key=lambda tally: tally.last))
        return self.tallies[-1]

    def _settle(self, tally: Tally, time: float) -> bool:
        """Whether these answers become the record by themselves."""
        n, bad, accepted = tally.learned_n, tally.learned_bad, self.accepted
        if accepted is None or (_same(tally, accepted) and accepted.n < self._needed):
            if n < (SHORT if accepted is None else self._needed):
                return False
            self._put(Accepted(tally.key, tally.revision, n, bad, bound(bad, n), time, "learned", "the first answers"))
            return True
        if _same(tally, accepted) or tally.alarmed or tally.n < self._needed or accepted.bound + self._effect >= 1:
            return False
        shown = gate.decide(tally.n, tally.bad, null=accepted.bound, margin=self._effect, fewest=self._needed)
        if shown.outcome != "pass":
            return False
        kept = min(accepted.bound, bound(tally.bad, tally.n))
        self._put(
            Accepted(tally.key, tally.revision, tally.n, tally.bad, kept, time, "trial", "shown not to be worse than the last record")
        )
        return True

    def _put(self, accepted: Accepted) -> None:
        if self.accepted is not None and (self.accepted.key, self.accepted.revision) != (accepted.key, accepted.revision):
            self.previous = self.accepted
        self.accepted = accepted

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on."""
        one = {name: each and asdict(each) for name, each in (("accepted", self.accepted), ("previous", self.previous))}
        return {**one, "tallies": [asdict(tally) for tally in self.tallies]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`."""
        self.accepted, self.previous = (each and Accepted(**each) for each in (state["accepted"], state["previous"]))
        self.tallies = [Tally(**values) for values in state["tallies"]]


def pooled(records: Sequence[Accepted]) -> tuple[int, int]:
    """Answers and bad ones of several records together."""
    return sum(each.n for each in records), sum(each.bad for each in records)


def _same(tally: Tally, accepted: Accepted) -> bool:
    return (tally.key, tally.revision) == (accepted.key, accepted.revision)
