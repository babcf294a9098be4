"""How long until a change is paged: the detection table of a bundle, by simulation with a fixed seed.

The detector itself runs on drawn counts; nothing is approximated but the law of the counts (beta-binomial, with the variance that the
design effect says). Sessions that span windows delay a page more than this table says, because their flags arrive over many windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Windows
from detectors.flag_rate import FlagRate


@dataclass(frozen=True, slots=True)
class Delay:
    """One row of the detection table.

    Attributes:
        rise: share of strange prompts added to the traffic.
        median: windows from the change to the page, median over runs; inf when it is not paged within the horizon.
        late: the same, 90% of runs.
    """

    rise: float
    median: float
    late: float


def detection_table(
    null: float,
    design_effect: float,
    *,
    page_rate: float,
    flag_rate: float,
    prompts_per_window: float,
    rises: Sequence[float],
    sensitivity: float = 0.8,
    clean_windows: int = 60,
    horizon: int = 1440,
    runs: int = 200,
    seed: int = 0,
) -> list[Delay]:
    """Windows until a page, for each rise of the share of strange prompts.

    Args:
        null: m, share that is no news, minimum effect included, in (0, 1).
        design_effect: d >= 1.
        page_rate: r, false pages accepted per window: weight * window length / budget period.
        flag_rate: share of clean prompts flagged, the nominal level of the flag.
        prompts_per_window: mean prompts in a window, > 0; may be below 1.
        rises: shares of strange prompts, each in (0, 1].
        sensitivity: share of strange prompts that is flagged.
        clean_windows: windows without change before it.
        horizon: windows after which a run counts as never paged (1,440 one-minute windows are a day).
        runs: simulated runs a rise; seed: of the generator.

    A rise below :func:`smallest_rise` is inf without a simulation: it leaves the stream inside its null.

    Raises:
        ValueError: a value outside its range.

    Cost: about 0.7 s for six rises at the defaults, less when all are found early.

    >>> usual = {"page_rate": 1 / 259_200, "flag_rate": 0.05, "prompts_per_window": 200}
    >>> rows = detection_table(0.0536, 1.0, rises=[0.1, 0.001], horizon=200, runs=50, **usual)
    >>> [(row.rise, row.median) for row in rows]
    [(0.1, 4.0), (0.001, inf)]
    """
    shares = np.asarray(rises, np.float64)
    if shares.ndim != 1 or not ((shares > 0) & (shares <= 1)).all():
        raise ValueError("rises must be shares in (0, 1]")
    if not (0 < flag_rate < 1 and 0 < sensitivity <= 1 and prompts_per_window > 0 and 0 < page_rate < 1):
        raise ValueError("flag_rate, page_rate and sensitivity must be shares, prompts_per_window above 0")
    rng = np.random.default_rng(seed)
    told = shares > smallest_rise(null, flag_rate=flag_rate, sensitivity=sensitivity)
    delays = [Delay(float(rise), np.inf, np.inf) for rise in shares]
    if not told.any():
        return delays
    clean = np.full(int(told.sum()) * runs, flag_rate)
    strange = np.repeat(flag_rate + shares[told] * (sensitivity - flag_rate), runs)
    detector = FlagRate.fit(
        null=np.full(clean.size, null),
        design_effect=np.full(clean.size, design_effect),
        ticket_rate=np.zeros(clean.size),
        page_rate=np.full(clean.size, page_rate),
    )
    for _ in range(clean_windows):
        detector.update(_draw(rng, clean, prompts_per_window, design_effect))
    waited = np.full((clean.size // runs, runs), np.inf)
    last = int(np.ceil(0.9 * runs))
    for window in range(1, horizon + 1):
        crossed = detector.update(_draw(rng, strange, prompts_per_window, design_effect)).page.reshape(waited.shape)
        waited[crossed & np.isinf(waited)] = window
        if (np.isfinite(waited).sum(axis=1) >= last).all():
            break
    ordered = np.sort(waited, axis=1)
    for row, index in enumerate(np.flatnonzero(told)):
        delays[index] = Delay(float(shares[index]), float(ordered[row, (runs - 1) // 2]), float(ordered[row, last - 1]))
    return delays


def no_sooner(delays: Sequence[Delay], page_rate: float, part: float) -> list[Delay]:
    """Delays of one bet among many, tabled as a stream with the page rate ``page_rate * part``: its evidence grows by at most
    ``page_rate ** (-1 / 3)`` a window, which sets a least delay.

    >>> no_sooner([Delay(0.3, 3.0, 3.0)], 1 / 648_000, 0.75 / 101)
    [Delay(rise=0.3, median=5.0, late=5.0)]
    """
    least = float(np.ceil(3 * (1 + np.log(part) / np.log(page_rate)) - 1e-9))
    return [Delay(one.rise, max(one.median, least), max(one.late, least)) for one in delays]


def smallest_rise(null: float, *, flag_rate: float, sensitivity: float = 0.8) -> float:
    """Largest rise of the share of strange prompts that leaves the flagged share inside the null: never told from chance.

    >>> round(smallest_rise(0.065, flag_rate=0.05), 3)
    0.02
    """
    return max(null - flag_rate, 0.0) / (sensitivity - flag_rate)


def _draw(rng: np.random.Generator, share: NDArray[np.float64], prompts: float, design_effect: float) -> Windows:
    """One window of each run: n prompts (Poisson where the mean is not whole), flags with variance d n p (1 - p).

    Where d > n the variance is that of one session a window.
    """
    n = np.full(share.size, int(prompts)) if float(prompts).is_integer() else rng.poisson(prompts, share.size)
    if design_effect > 1:
        correlation = np.minimum((design_effect - 1) / np.maximum(n - 1, 1), 0.99)
        strength = 1 / correlation - 1
        share = rng.beta(share * strength, (1 - share) * strength)
    return Windows(n=n, x=rng.binomial(n, share))
