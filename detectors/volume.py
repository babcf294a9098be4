"""Do as many prompts come as at this hour of the week before?

Blocks of a quarter of an hour are flagged as too few or too many (:mod:`detectors.volume_baseline`), and each flag is bet on with n = 1
as in :mod:`detectors.embedding_shift`. A block in which no prompt came is a block with none: it counts once a later window has closed.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Evidence, State, require_finite, require_version
from detectors.recursion import Recursion
from detectors.volume_baseline import WEEK_HOURS, VolumeBaseline

VERSION = 1

LONGEST_GAP = 86_400.0
"""Seconds without a closed window after which nothing is said of what lay between: nobody was looking."""

BETS = ((0, 0.6, 0.4), (1, 0.3, 0.2), (1, 0.8, 0.4))
"""Level, share g of blocks moved beyond it, and weight within a side: q = m + (1 - m) g."""

_SIDE = np.repeat([0, 1], len(BETS))
_LEVEL = np.tile([level for level, _, _ in BETS], 2)
_RISE = np.tile([rise for _, rise, _ in BETS], 2)
_WEIGHT = np.tile([weight for _, _, weight in BETS], 2) / 2


class Run(NamedTuple):
    """Flagged blocks that follow each other: from ``since`` on (seconds since the epoch), ``prompts`` came instead of ``usual``.

    ``falling``: they were too few; ``over``: a block that is not flagged, or one on the other side, has followed.
    """

    since: float
    blocks: int
    prompts: int
    usual: float
    falling: bool
    over: bool


class Volume:
    """One stream at one level, tickets. Cost: 3 microseconds a window, 50 a block.

    Attributes:
        run: the newest flagged blocks that follow each other on one side.
    """

    def __init__(self, baseline: VolumeBaseline, recursion: Recursion) -> None:
        """Take a baseline and a recursion that fits it; use :meth:`fit` or :meth:`restore`."""
        self.baseline, self.recursion = baseline, recursion
        self._block, self._hour, self._sum, self._whole = -1, 0, 0, False
        self._newest: bool | None = None
        self.run: Run | None = None
        null, effect = baseline.null[_SIDE, _LEVEL], baseline.design_effect
        raised = null + (1 - null) * _RISE
        self._hit, self._miss = np.log(raised / null) / effect, np.log((1 - raised) / (1 - null)) / effect

    @classmethod
    def fit(cls, baseline: VolumeBaseline, ticket_rate: float) -> Self:
        """Start with no evidence. ``ticket_rate`` in [0, 1): false tickets accepted per window. Raises ValueError."""
        return cls(baseline, Recursion.fit(ticket_rate=[ticket_rate], page_rate=[0.0], weights=_WEIGHT))

    def update(self, start: int, hour: int, n: int, window: float) -> Evidence | None:
        """Take one closed window; evidence where a block is complete with it, or was before it, else None.

        Args:
            start: seconds since the epoch; not before that of the window before. hour: of the week, 0..167. n: prompts, 0 as well.
            window: seconds in a window.

        Raises:
            ValueError: an hour out of range, n < 0, or a window of a block that is over.
        """
        if n < 0 or not 0 <= hour < WEEK_HOURS:
            raise ValueError(f"no window of n {n} in hour {hour}")
        seconds = self.baseline.seconds
        block = int(start // seconds)
        if block < self._block:
            raise ValueError(f"block {block} is over: {self._block} is being filled")
        self._newest = None
        said = self._skip(block, hour, window) if block > self._block else None
        if self._block < 0:
            self._block, self._hour, self._sum, self._whole = block, hour, 0, start % seconds == 0
        self._sum += n
        if start + window >= (block + 1) * seconds:
            said = _later(said, self._close(window))
            self._turn(hour + int((block + 1) * seconds % 3600 == 0))
        return said

    def _skip(self, block: int, hour: int, window: float) -> Evidence | None:
        """Close the block that was being filled, and those without a window between it and ``block``, which ``hour`` belongs to."""
        seconds, said = self.baseline.seconds, None
        if self._block < 0 or (block - self._block) * seconds > LONGEST_GAP:
            self._block = -1
            return None
        while self._block < block:
            said = _later(said, self._close(window))
            ahead = (block - self._block - 1) * seconds
            self._turn(hour + int(np.floor((block * seconds % 3600 - ahead) / 3600)))
        return said

    def _turn(self, hour: int) -> None:
        self._block, self._hour, self._sum, self._whole = self._block + 1, hour % WEEK_HOURS, 0, True

    def _close(self, window: float) -> Evidence | None:
        level = float(self.baseline.level[self._hour])
        if not self._whole or level == 0:
            return None
        y = float(np.log((self._sum + 0.5) / (level + 0.5)))
        flags = np.array([-y, y])[:, None] > self.baseline.beyond[:, :, self._hour]
        self._newest = bool(flags[:, 0].any())
        if self._newest:
            self._add_to_run(y < 0, level)
        elif self.run is not None and not self.run.over:
            self.run = self.run._replace(over=True)
        ratio = np.where(flags[_SIDE, _LEVEL], self._hit, self._miss)
        return self.recursion.update(ratio[:, None], np.array([round(self.baseline.seconds / window)]))

    def _add_to_run(self, falling: bool, level: float) -> None:
        run = self.run
        if run is None or run.over or run.falling != falling:
            run = Run(self._block * self.baseline.seconds, 0, 0, 0.0, falling, over=False)
        self.run = run._replace(blocks=run.blocks + 1, prompts=run.prompts + self._sum, usual=run.usual + level)

    def standing(self) -> Evidence:
        """Evidence as it stands between blocks."""
        return self.recursion.update(np.zeros((_WEIGHT.size, 1)), np.zeros(1, np.int64))

    @property
    def newest(self) -> bool | None:
        """Whether the block that the newest window completed is flagged at the first level; None where it completed none."""
        return self._newest

    def snapshot(self) -> State:
        """Plain arrays: version, those of the baseline and of the recursion, and the unfinished block."""
        newest = -1 if self._newest is None else int(self._newest)
        state: State = {f"baseline_{name}": value for name, value in self.baseline.snapshot().items()}
        state |= {f"recursion_{name}": value for name, value in self.recursion.snapshot().items()}
        filling: NDArray[np.int64] = np.array([self._block, self._hour, self._sum, self._whole, newest], np.int64)
        run = np.array([] if self.run is None else [float(value) for value in self.run])
        return state | {"version": np.array([VERSION]), "filling": filling, "run": run}

    @classmethod
    def restore(cls, state: State) -> Self:
        """Inverse of :meth:`snapshot`. Raises ValueError for an unknown version or impossible values."""
        require_version(state, VERSION, "volume")
        require_finite(state)
        parts = {
            part: {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
            for part in ("baseline_", "recursion_")
        }
        made = cls(VolumeBaseline.restore(parts["baseline_"]), Recursion.restore(parts["recursion_"]))
        block, hour, total, whole, newest = np.asarray(state["filling"], np.int64).tolist()
        made._block, made._hour, made._sum, made._whole = block, hour, total, bool(whole)
        made._newest = None if newest < 0 else bool(newest)
        run = np.asarray(state["run"], np.float64).tolist()
        made.run = Run(run[0], int(run[1]), int(run[2]), run[3], bool(run[4]), bool(run[5])) if run else None
        return made


def _later(before: Evidence | None, after: Evidence | None) -> Evidence | None:
    """What two blocks that closed in one window say together: crossings of either, and evidence of the one that crossed, else the last."""
    if before is None or after is None:
        return after if before is None else before
    if before.ticket[0] and not after.ticket[0]:
        return before
    return after
