"""Which rows become reference and which calibration: whole groups, or runs of neighbouring rows, on one side; near duplicates too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.errors import DataError
from service.fit.collect import NONE, Rows

CALIBRATION_SHARE = 0.2
CALIBRATION_MAX = 20_000
RUN = 10
"""Without groups, rows are held out in runs of so many different texts.

Rows that stand together in a file are often from one hand or one conversation. Held out one by one, their siblings in the reference
would make them look more usual than production's prompts will be. In a shuffled file a run is no different from single rows.
"""

_FEWEST_RUNS = 200
"""A small set is cut into at least so many runs, though they get shorter."""

_COMMON = 5
"""A text that more groups share than this belongs to the population, not to a group: it does not tie groups together."""

_FEWEST_UNITS = 5
_FEWEST_HELD = 2
_LARGEST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Split:
    """Where the rows went.

    Attributes:
        reference: (R,) int64, one text for each near-duplicate cluster on the reference side; label: (R,) int64, -1 for none.
        calibration: (n,) int64, text of every calibration row, repeats kept; unit: (n,) int64, group or run it came with.
        clusters: near-duplicate clusters in the whole set.
        left_out: rows on neither side, beyond the limits.
        loosened: True when groups tied by near duplicates had to be taken apart.
    """

    reference: NDArray[np.int64]
    label: NDArray[np.int64]
    calibration: NDArray[np.int64]
    unit: NDArray[np.int64]
    clusters: int
    left_out: int
    loosened: bool


def split(rows: Rows, cluster: NDArray[np.int64], *, seed: int, reference_max: int) -> Split:
    """Hold out 20% of the rows, at most 20,000, drawn unit by unit; the rest, one row a cluster, is the reference.

    Args:
        rows: the set.
        cluster: (T,) int64, near-duplicate cluster of each text.
        seed: of the draw.
        reference_max: a larger reference is sampled down to this.

    Raises:
        DataError: too few groups or clusters to hold whole ones out.
    """
    rng = np.random.default_rng(seed)
    entry_cluster = cluster[rows.text]
    unit, loosened = _units(rows, entry_cluster)
    held = _held_out(unit, rows.count, rng)
    reference, label, sampled = _reference(rows, entry_cluster, ~held, rng, reference_max)
    calibration = np.repeat(rows.text[held], rows.count[held])
    return Split(reference, label, calibration, np.repeat(unit[held], rows.count[held]), int(cluster.max()) + 1, sampled, loosened)


def split_given(rows: Rows, held: Rows, cluster: NDArray[np.int64], *, seed: int, reference_max: int) -> Split:
    """The same with calibration rows from files of their own; ``cluster`` covers the texts of ``rows``, then those of ``held``.

    What is nearly the same as a calibration row leaves the reference. Calibration texts are numbered after those of ``rows``.
    """
    rng = np.random.default_rng(seed)
    cluster_rows, cluster_held = cluster[: len(rows.texts)][rows.text], cluster[len(rows.texts) :][held.text]
    kept = ~np.isin(cluster_rows, cluster_held)
    if not kept.any():
        raise DataError(
            "every row of the fine-tuning set is also, nearly word for word, a calibration row: nothing is left for the reference"
        )
    reference, label, sampled = _reference(rows, cluster_rows, kept, rng, reference_max)
    unit, loosened = _units(held, cluster_held)
    calibration = np.repeat(held.text + len(rows.texts), held.count)
    unit = np.repeat(unit, held.count)
    if np.unique(unit).size < _FEWEST_HELD:
        raise DataError(
            f"all {unit.size:,} calibration rows are one group or nearly the same text; at least {_FEWEST_HELD} different are needed"
        )
    if calibration.size > CALIBRATION_MAX:
        chosen = np.sort(rng.choice(calibration.size, CALIBRATION_MAX, replace=False))
        sampled += calibration.size - CALIBRATION_MAX
        calibration, unit = calibration[chosen], unit[chosen]
    return Split(reference, label, calibration, unit, int(cluster.max()) + 1, sampled, loosened)


def _units(rows: Rows, cluster: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
    """(E,) unit of each entry: a run of neighbouring clusters, or groups tied together by near duplicates."""
    if rows.groups == 0:
        return _runs(cluster), False
    if rows.groups < _FEWEST_UNITS:
        raise DataError(f"the group field has {rows.groups} values; at least {_FEWEST_UNITS} are needed to hold whole groups out")
    unit = _tied(rows, cluster, _COMMON)
    sizes = np.bincount(unit, weights=rows.count)
    if sizes.max() <= _LARGEST_SHARE * sizes.sum():
        return unit, False
    return _tied(rows, cluster, 0), True


def _runs(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """(E,) run of each entry. Clusters are numbered by first appearance, so neighbours in number are neighbours in the file."""
    names, place = np.unique(cluster, return_inverse=True)
    return np.asarray(place // max(min(RUN, names.size // _FEWEST_RUNS), 1), np.int64)


def _tied(rows: Rows, cluster: NDArray[np.int64], common: int) -> NDArray[np.int64]:
    """Connected components of groups and clusters, leaving out clusters that more than ``common`` groups share."""
    grouped = rows.group != NONE
    pairs = np.unique(np.stack([cluster[grouped], rows.group[grouped]], axis=1), axis=0)
    spread = np.bincount(pairs[:, 0], minlength=int(cluster.max()) + 1)
    tying = pairs[spread[pairs[:, 0]] <= common]
    nodes = rows.groups + int(cluster.max()) + 1
    graph = coo_array((np.ones(len(tying), np.int8), (tying[:, 1], tying[:, 0] + rows.groups)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return np.where(grouped, component[np.maximum(rows.group, 0)], component[cluster + rows.groups]).astype(np.int64)


def _held_out(unit: NDArray[np.int64], count: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(E,) bool: whole units in random order until 20% of the rows are held out; a unit that does not fit stays in the reference."""
    names, index = np.unique(unit, return_inverse=True)
    sizes = np.bincount(index, weights=count).astype(np.int64)
    target = min(int(CALIBRATION_SHARE * sizes.sum()), CALIBRATION_MAX)
    held = np.zeros(names.size, np.bool_)
    room = target
    for candidate in rng.permutation(names.size).tolist():
        if sizes[candidate] <= room:
            held[candidate] = True
            room -= int(sizes[candidate])
            if room == 0:
                break
    if held.sum() < _FEWEST_HELD:
        raise DataError(
            f"no calibration rows can be held out: {int(sizes.sum()):,} rows are {names.size:,} groups or clusters of near duplicates, "
            f"and fewer than {_FEWEST_HELD} fit into 20% of the rows"
        )
    return held[index]


def _reference(
    rows: Rows, cluster: NDArray[np.int64], kept: NDArray[np.bool_], rng: np.random.Generator, reference_max: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """First text of each cluster, its most frequent label, and rows left out by ``reference_max``."""
    text, label, count, cluster = rows.text[kept], rows.label[kept], rows.count[kept], cluster[kept]
    clusters, index = np.unique(cluster, return_inverse=True)
    first = np.full(clusters.size, np.iinfo(np.int64).max)
    np.minimum.at(first, index, text)
    labels = np.full(clusters.size, NONE, np.int64)
    order = np.lexsort((label, -count, index))
    order = order[label[order] != NONE]
    owner, place = np.unique(index[order], return_index=True)
    labels[owner] = label[order][place]
    chosen = np.arange(clusters.size)
    if clusters.size > reference_max:
        chosen = rng.choice(clusters.size, reference_max, replace=False)
    chosen = chosen[np.argsort(first[chosen])]
    weights = np.bincount(index, weights=count)
    return first[chosen], labels[chosen], int(weights.sum() - weights[chosen].sum())
