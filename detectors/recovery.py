"""Is a stream with an open incident well again? The same e-detector, betting that the share lies below the null.

SR form from 0 at the opening of the incident, threshold R: in expectation at most one false closing per R windows spent exactly at
the null.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors import likelihood
from detectors.contract import State, Windows, require_version
from detectors.likelihood import FALL

VERSION = 1


class Recovery:
    """One recursion a stream, run only while an incident of that stream is open."""

    def __init__(
        self,
        null: NDArray[np.float64],
        design_effect: NDArray[np.float64],
        threshold: float,
        running: NDArray[np.bool_],
        evidence: NDArray[np.float64],
    ) -> None:
        """Take checked arrays; use :meth:`fit` or :meth:`restore`. ``evidence`` is (G, S)."""
        self.null, self.design_effect, self.threshold, self._running, self._evidence = null, design_effect, threshold, running, evidence
        self._prepare()

    @classmethod
    def fit(cls, *, null: ArrayLike, design_effect: ArrayLike, threshold: float) -> Self:
        """Prepare S streams, none running.

        Args:
            null: (S,) float64 in (0, 1), minimum effect included.
            design_effect: (S,) float64, >= 1.
            threshold: R > 1, windows: 6 h / window length.

        Raises:
            ValueError: a value outside its range, or arrays of different length.
        """
        null = likelihood.shares("null", null)
        if not 1 < threshold < np.inf:
            raise ValueError(f"threshold must be a finite number above 1, got {threshold}")
        effect = likelihood.effects(design_effect, null.size)
        return cls(null, effect, float(threshold), np.zeros(null.size, np.bool_), np.zeros((FALL.size, null.size)))

    def _prepare(self) -> None:
        self._slope, self._offset = likelihood.coefficients(self.null, likelihood.falling(self.null), self.design_effect)

    @property
    def running(self) -> NDArray[np.bool_]:
        """(S,) bool, streams under test."""
        return self._running.copy()

    def start(self, streams: NDArray[np.bool_]) -> None:
        """Begin from no evidence where ``streams`` (S,) bool is True, also where a test was running."""
        where = likelihood.mask("streams", streams, self.null.size)
        self._running = self._running | where
        self._evidence = np.where(where, 0.0, self._evidence)

    def stop(self, streams: NDArray[np.bool_]) -> None:
        """End the test where ``streams`` (S,) bool is True."""
        where = likelihood.mask("streams", streams, self.null.size)
        self._running = self._running & ~where
        self._evidence = np.where(where, 0.0, self._evidence)

    def reset(self, streams: NDArray[np.bool_], *, null: ArrayLike | None = None, design_effect: ArrayLike | None = None) -> None:
        """Put the given (S,) parameters in force where ``streams`` is True; a running test goes on there from no evidence."""
        where = likelihood.mask("streams", streams, self.null.size)
        fresh = type(self).fit(
            null=self.null if null is None else np.where(where, null, self.null),
            design_effect=self.design_effect if design_effect is None else np.where(where, design_effect, self.design_effect),
            threshold=self.threshold,
        )
        self.null, self.design_effect = fresh.null, fresh.design_effect
        self._evidence = np.where(where, 0.0, self._evidence)
        self._prepare()

    def move(self, null: ArrayLike, design_effect: ArrayLike) -> None:
        """Test against other (S,) parameters from here on and keep the evidence: a null that follows the hour of the week."""
        moved = likelihood.shares("null", null)
        if moved.shape != self.null.shape:
            raise ValueError(f"null must hold {self.null.size} numbers, got {moved.size}")
        self.null, self.design_effect = moved, likelihood.effects(design_effect, moved.size)
        self._prepare()

    def update(self, windows: Windows) -> NDArray[np.bool_]:
        """Take one closed window of every stream; (S,) bool, True where the test crossed and stopped. Empty windows do nothing."""
        n, x = likelihood.counts(windows, self.null.size)
        ratio = np.exp(np.minimum(self._slope * x + self._offset * n, np.log(self.threshold) / 3))
        self._evidence = np.where(self._running & (n > 0), (self._evidence + 1) * ratio, self._evidence)
        crossed: NDArray[np.bool_] = self._running & (self._evidence.mean(axis=0) >= self.threshold)
        self.stop(crossed)
        return crossed

    def snapshot(self) -> State:
        """Plain arrays: version and threshold (1,), null, design_effect and running (S,), evidence (S, G)."""
        return {
            "version": np.array([VERSION]),
            "threshold": np.array([self.threshold]),
            "null": self.null.copy(),
            "design_effect": self.design_effect.copy(),
            "running": self._running.copy(),
            "evidence": self._evidence.T.copy(),
        }

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "recovery")
        test = cls.fit(null=state["null"], design_effect=state["design_effect"], threshold=float(state["threshold"].item()))
        evidence = np.asarray(state["evidence"], np.float64)
        if evidence.shape != (test.null.size, FALL.size) or not ((evidence >= 0) & np.isfinite(evidence)).all():
            raise ValueError("recovery evidence must be (S, G) finite numbers, not negative")
        test._running = likelihood.mask("running", np.asarray(state["running"], np.bool_), test.null.size)
        test._evidence = np.ascontiguousarray(evidence.T)
        return test
