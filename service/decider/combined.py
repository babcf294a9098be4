"""The stream ``combined`` of one model: one recursion over the components of all its streams that may page."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Evidence
from detectors.recursion import Recursion
from service.decider.encoding import decode_state, encode_state

Steps = Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]]
"""Stream -> log L (K,) of its components in a window, and the windows since their last step (K,)."""

Signature = tuple[tuple[str, str], ...]
"""What tells the nulls of the members from others: a state belongs to one signature."""


class Combined:
    """Averages the recursions of its members, two at least; begins again when one of them does.

    Attributes:
        members: stream -> weights (K,) of its components, summing to 1 within each.
        recursion: None while there are fewer than two members.
    """

    def __init__(self) -> None:
        self.members: dict[str, NDArray[np.float64]] = {}
        self.recursion: Recursion | None = None
        self._signature: Signature = ()

    def renew(self, members: Mapping[str, NDArray[np.float64]], signature: Signature, rates: tuple[float, float]) -> bool:
        """Take these members; whether it began again with them. ``rates``: false tickets and pages per window."""
        if signature == self._signature:
            return False
        self._signature, self.members = signature, dict(members)
        self.recursion = None
        if len(members) > 1:
            ticket, page = rates
            weights = np.concatenate([weights / len(members) for weights in members.values()])
            self.recursion = Recursion.fit(ticket_rate=[ticket], page_rate=[page], weights=weights)
        return True

    def update(self, steps: Steps) -> tuple[Evidence, str | None] | None:
        """One window: its evidence, arrays of one, and the member that carries it; None without a recursion."""
        if self.recursion is None:
            return None
        parts = [steps.get(stream) or (np.zeros(w.size), np.zeros(w.size, np.int64)) for stream, w in self.members.items()]
        ratio, elapsed = (np.concatenate(columns)[:, None] for columns in zip(*parts, strict=True))
        evidence = self.recursion.update(ratio, elapsed)
        level = 0 if evidence.ticket[0] and not evidence.page[0] else int(self.recursion.rates[1, 0] > 0)
        bounds = np.cumsum([weights.size for weights in self.members.values()])[:-1]
        totals = [float(part.sum()) for part in np.split(self.recursion.held()[level, :, 0], bounds)]
        return evidence, list(self.members)[int(np.argmax(totals))] if max(totals) > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Evidence, with the signature it belongs to."""
        state = None if self.recursion is None else encode_state(self.recursion.snapshot())
        return {"signature": [list(part) for part in self._signature], "state": state}

    def load(self, state: Mapping[str, Any]) -> bool:
        """Go on where these members were; whether they are the same."""
        same = state["signature"] == [list(part) for part in self._signature] and self.recursion is not None and state["state"] is not None
        if same:
            self.recursion = Recursion.restore(decode_state(state["state"]))
        return same
