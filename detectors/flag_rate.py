"""Has the share of flagged prompts risen above its null? An e-detector for each stream, at two levels.

Shiryaev-Roberts form of Shin, Ramdas, Rinaldo, arXiv 2203.03532: M <- (M + r) L, crossing at mean_g M_g >= 1. With E[L | past] <= 1 the
sum of M and of the crossings so far minus r t is a supermartingale, because M is 0 again after a crossing. So the expected number of
false crossings in t windows is at most r t, however long the detector runs and however often anybody looks.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors import likelihood
from detectors.contract import Evidence, State, Windows, require_version
from detectors.likelihood import RISE

VERSION = 1
LARGEST_EXPONENT = 700.0  # exp() of more overflows; the cap on L lies far below


class FlagRate:
    """Two recursions a stream, ticket and page, each a mixture over the shares :data:`detectors.likelihood.RISE`.

    M stays in linear scale: the cap on L and the crossing at 1 bound it above, r is added before every step, so it can neither overflow
    nor get stuck at 0. Cost of an update: about 0.1 ms at 400 streams.
    """

    def __init__(
        self, null: NDArray[np.float64], design_effect: NDArray[np.float64], rates: NDArray[np.float64], evidence: NDArray[np.float64]
    ) -> None:
        """Take checked arrays; use :meth:`fit` or :meth:`restore`. ``rates`` is (2, S), ``evidence`` is (2, G, S)."""
        self.null, self.design_effect, self._rates, self._evidence = null, design_effect, rates, evidence
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
        rates = np.stack(
            [_rates(name, value, null.size) for name, value in zip(("ticket_rate", "page_rate"), (ticket_rate, page_rate), strict=True)]
        )
        return cls(null, likelihood.effects(design_effect, null.size), rates, np.zeros((2, RISE.size, null.size)))

    def _prepare(self) -> None:
        self._slope, self._offset = likelihood.coefficients(self.null, likelihood.rising(self.null), self.design_effect)
        self._enabled = self._rates > 0
        safe = np.where(self._enabled, self._rates, 1.0)
        self._log10_rate = np.log10(safe)
        self._cap = safe ** (-1 / 3)

    def update(self, windows: Windows) -> Evidence:
        """Take one closed window of every stream; an empty window changes nothing. Raises ValueError for impossible counts."""
        n, x = likelihood.counts(windows, self.null.size)
        ratio = np.exp(np.minimum(self._slope * x + self._offset * n, LARGEST_EXPONENT))
        grown = (self._evidence + self._rates[:, None]) * np.minimum(ratio, self._cap[:, None])
        evidence = np.where(n > 0, grown, self._evidence)
        mean = evidence.mean(axis=1)
        crossed = mean >= 1
        with np.errstate(divide="ignore"):
            shown = np.where(self._enabled, np.maximum(np.log10(mean) - self._log10_rate, 0.0), 0.0)
        evidence *= ~crossed[:, None]
        self._evidence = evidence
        return Evidence(shown[0], shown[1], crossed[0], crossed[1])

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
        fresh = type(self).fit(
            null=self.null if null is None else np.where(where, null, self.null),
            design_effect=self.design_effect if design_effect is None else np.where(where, design_effect, self.design_effect),
            ticket_rate=self._rates[0] if ticket_rate is None else np.where(where, ticket_rate, self._rates[0]),
            page_rate=self._rates[1] if page_rate is None else np.where(where, page_rate, self._rates[1]),
        )
        self.null, self.design_effect, self._rates = fresh.null, fresh.design_effect, fresh._rates
        self._evidence = np.where(where, 0.0, self._evidence)
        self._prepare()

    def snapshot(self) -> State:
        """Plain arrays: version (1,), null and design_effect (S,), rates (S, 2), evidence (S, 2, G)."""
        return {
            "version": np.array([VERSION]),
            "null": self.null.copy(),
            "design_effect": self.design_effect.copy(),
            "rates": self._rates.T.copy(),
            "evidence": np.moveaxis(self._evidence, -1, 0).copy(),
        }

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "flag rate")
        rates = np.asarray(state["rates"], np.float64)
        detector = cls.fit(null=state["null"], design_effect=state["design_effect"], ticket_rate=rates[:, 0], page_rate=rates[:, 1])
        evidence = np.asarray(state["evidence"], np.float64)
        if evidence.shape != (detector.null.size, 2, RISE.size) or not (evidence >= 0).all():
            raise ValueError("flag rate evidence must be (S, 2, G) and not negative")
        detector._evidence = np.ascontiguousarray(np.moveaxis(evidence, 0, -1))
        return detector


def _rates(name: str, value: ArrayLike, streams: int) -> NDArray[np.float64]:
    array = np.array(value, np.float64)
    if array.shape != (streams,) or not ((array >= 0) & (array < 1)).all():
        raise ValueError(f"{name} must hold {streams} numbers in [0, 1)")
    return array
