"""Has the share of flagged prompts risen above its null? Tempered likelihood ratios for each stream, fed to a recursion.

The increments are those of :mod:`detectors.likelihood`, one for each share of :data:`detectors.likelihood.RISE`; see
:mod:`detectors.recursion` for what a crossing promises.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors import likelihood
from detectors.contract import Evidence, State, Windows, require_version
from detectors.likelihood import RISE
from detectors.recursion import Recursion

VERSION = 1


class FlagRate:
    """Two levels a stream, ticket and page, each a mixture over the shares :data:`detectors.likelihood.RISE`.

    Cost of an update: about 0.1 ms at 400 streams.
    """

    def __init__(self, null: NDArray[np.float64], design_effect: NDArray[np.float64], recursion: Recursion) -> None:
        """Take checked arrays; use :meth:`fit` or :meth:`restore`."""
        self.null, self.design_effect, self.recursion = null, design_effect, recursion
        self._prepare()

    @classmethod
    def fit(cls, *, null: ArrayLike, design_effect: ArrayLike, ticket_rate: ArrayLike, page_rate: ArrayLike) -> Self:
        """Start S streams with no evidence.

        Args:
            null: (S,) float64 in (0, 1), largest share that is no news, minimum effect included.
            design_effect: (S,) float64, >= 1.
            ticket_rate: (S,) float64 in [0, 1), false tickets accepted per window, weight * window length / budget period; 0 disables
                tickets.
            page_rate: (S,) float64 in [0, 1), the same for pages.

        Raises:
            ValueError: a value outside its range, or arrays of different length.

        >>> flags = FlagRate.fit(null=[0.05], design_effect=[1.0], ticket_rate=[1e-4], page_rate=[1e-5])
        >>> for x in (9, 50, 48, 34):
        ...     said = flags.update(Windows(n=np.array([200]), x=np.array([x])))
        ...     print(said.log10_page.round(1), said.ticket, said.page)
        [0.] [False] [False]
        [1.8] [False] [False]
        [3.4] [False] [False]
        [5.] [ True] [False]
        """
        null = likelihood.shares("null", null)
        recursion = Recursion.fit(ticket_rate=ticket_rate, page_rate=page_rate, weights=np.full(RISE.size, 1 / RISE.size))
        if recursion.rates.shape[1] != null.size:
            raise ValueError(f"ticket_rate must hold {null.size} numbers in [0, 1)")
        return cls(null, likelihood.effects(design_effect, null.size), recursion)

    def _prepare(self) -> None:
        self._slope, self._offset = likelihood.coefficients(self.null, likelihood.rising(self.null), self.design_effect)

    def move(self, null: ArrayLike) -> None:
        """Test against another (S,) null from here on and keep the evidence: a null that follows the hour of the week."""
        moved = likelihood.shares("null", null)
        if moved.shape != self.null.shape:
            raise ValueError(f"null must hold {self.null.size} numbers, got {moved.size}")
        if not np.array_equal(moved, self.null):
            self.null = moved
            self._prepare()

    def increments(self, windows: Windows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Log L (G, S) of one closed window, and (S,) windows since the last step: 1, or 0 where it was empty.

        Raises:
            ValueError: impossible counts.
        """
        n, x = likelihood.counts(windows, self.null.size)
        return self._slope * x + self._offset * n, (n > 0).astype(np.int64)

    def update(self, windows: Windows) -> Evidence:
        """Take one closed window of every stream; an empty window changes nothing. Raises ValueError for impossible counts."""
        return self.recursion.update(*self.increments(windows))

    def reset(
        self,
        streams: NDArray[np.bool_],
        *,
        null: ArrayLike | None = None,
        design_effect: ArrayLike | None = None,
        ticket_rate: ArrayLike | None = None,
        page_rate: ArrayLike | None = None,
    ) -> None:
        """Take all evidence away where ``streams`` (S,) bool is True, and put the given (S,) parameters in force there; others keep theirs.

        Raises:
            ValueError: as in :meth:`fit`; nothing has changed then.
        """
        where = likelihood.mask("streams", streams, self.null.size)
        shares = self.null if null is None else likelihood.shares("null", np.where(where, null, self.null))
        effect = self.design_effect if design_effect is None else np.where(where, design_effect, self.design_effect)
        effect = likelihood.effects(effect, self.null.size)
        self.recursion.reset(where, ticket_rate=ticket_rate, page_rate=page_rate)
        self.null, self.design_effect = shares, effect
        self._prepare()

    def snapshot(self) -> State:
        """Plain arrays: version (1,), null and design_effect (S,), and those of the recursion: rates (S, 2), evidence (S, 2, G)."""
        state = self.recursion.snapshot()
        return {
            "version": np.array([VERSION]),
            "null": self.null.copy(),
            "design_effect": self.design_effect.copy(),
            "rates": state["rates"],
            "evidence": state["evidence"],
        }

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "flag rate")
        rates = np.asarray(state["rates"], np.float64)
        detector = cls.fit(null=state["null"], design_effect=state["design_effect"], ticket_rate=rates[:, 0], page_rate=rates[:, 1])
        detector.recursion.load(state["evidence"])
        return detector
