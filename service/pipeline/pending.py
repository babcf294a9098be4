"""What has been sketched and not yet flushed: deltas, positions and progress that belong together."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import Sketch, sketch_groups
from detectors.words import count_codes
from service.language import LANGUAGES, languages
from service.pipeline.scoring import Scoring
from service.records import WHOLE, Batch, DeltaKey, Deltas, Part, Partition, Progress, Prompt, Report, Scores, Span
from service.vocabulary import Vocabulary

_COLUMNS = ("p_value", "strange", "far", "topic", "tokens", "truncated", "fourier")


class Pending:
    """Sketches by part key, and how far the input was read to make them. Thrown away whole, or flushed whole."""

    def __init__(self, window: float) -> None:
        self._window = int(window)
        self._parts: dict[str | None, dict[DeltaKey, Sketch]] = {}
        self._again: set[tuple[str, str]] = set()
        self._positions: dict[Partition, Span] = {}
        self._partitions: frozenset[Partition] = frozenset()
        self.progress: dict[Partition, Progress] = {}
        self.batches: list[Batch] = []
        self.lease: Any = None
        self.count = 0
        self.repeats = 0
        self.urgent = False

    @property
    def moved(self) -> bool:
        """Whether there is anything that the ledger does not hold yet."""
        return bool(self._parts or self._positions)

    def add(self, batch: Batch, scores: Scores | None, scoring: Scoring, shadow: tuple[Scores, Scoring] | None = None) -> None:
        """Take in one batch, scored if it has prompts, and by a ``shadow`` too where models have one.

        Raises ValueError when its positions do not follow the ones before.
        """
        for partition, span in batch.positions.items():
            before = self._positions.get(partition)
            if before is not None and span.start < before.stop:
                raise ValueError(f"{partition}: positions {span} read again without a rewind, after {before}")
            self._positions[partition] = Span(before.start if before else span.start, span.stop)
        self.progress = dict(batch.progress)
        self._partitions = batch.partitions
        if batch.positions:
            # Their texts are not needed any more, and 50,000 of them would be tens of megabytes.
            self.batches.append(replace(batch, prompts=()))
        self.lease = batch.lease
        self.urgent = self.urgent or batch.urgent
        if scores is not None:
            self._sketch(batch, scores, scoring, shadow)

    def flags(self) -> dict[Partition, tuple[bool, bool]]:
        """Partition -> (idle, ended)."""
        return {name: (p.idle, p.ended) for name, p in self.progress.items()}

    def deltas(self) -> list[Deltas]:
        """Sketches counted together or not at all, one entry per key."""
        return [Deltas(sketches, key) for key, sketches in self._parts.items()]

    def report(self, worker: str, sent: float, held: Mapping[Partition, int]) -> Report:
        """How far this worker has got, to be appended with :meth:`deltas`; ``held``: where partitions stood that have not moved."""
        still = {name: Span(held[name], held[name]) for name in self.progress if name in held}
        return Report(worker, still | self._positions, dict(self.progress), self._partitions, sent)

    def totals(self, repeats: frozenset[str]) -> Counter[tuple[str, str]]:
        """(what, model) -> number, for what the ledger counted: ``prompts``, ``tokens``, ``truncated``."""
        totals: Counter[tuple[str, str]] = Counter()
        for key, sketches in self._parts.items():
            if key is None or key not in repeats:
                for (bundle, model_name, slice_name, _), sketch in sketches.items():
                    if slice_name == WHOLE and (bundle, model_name) not in self._again:
                        totals["prompts", model_name] += sketch.n
                        totals["tokens", model_name] += sketch.tokens
                        totals["truncated", model_name] += sketch.truncated
        return totals

    def _sketch(self, batch: Batch, scores: Scores, scoring: Scoring, shadow: tuple[Scores, Scoring] | None) -> None:
        parts = batch.parts or (Part(0, len(batch.prompts)),)
        kept = [part for part in parts if part.key is None or part.key not in self._parts]
        # The same key twice in one batch: the first counts.
        kept = [part for i, part in enumerate(kept) if part.key is None or all(part.key != other.key for other in kept[:i])]
        self.repeats += len(parts) - len(kept)
        keys = list(dict.fromkeys(part.key for part in kept))
        if not keys:
            return
        rows = np.concatenate([np.arange(part.start, part.stop) for part in kept])
        part_of = np.repeat([keys.index(part.key) for part in kept], [part.stop - part.start for part in kept])
        self.count += rows.size
        for key in keys:
            self._parts.setdefault(key, {})
        texts = [prompt.text for prompt in batch.prompts]
        of_texts: dict[str, NDArray[Any]] = {"characters": np.fromiter(map(len, texts), np.int64, len(texts)), "language": languages(texts)}
        groups = _groups(batch.prompts, rows, part_of, self._window)
        self._count(batch.prompts, groups, keys, of_texts, scores, scoring)
        if shadow:
            seconds = {name: grouped for name, grouped in groups.items() if shadow[1].bundle(name) != scoring.bundle(name)}
            self._again |= {(shadow[1].bundle(name), name) for name in seconds}
            self._count(batch.prompts, seconds, keys, of_texts, *shadow)

    def _count(
        self,
        prompts: Sequence[Prompt],
        groups: Mapping[str, "_Grouped"],
        keys: Sequence[str | None],
        of_texts: Mapping[str, NDArray[Any]],
        scores: Scores,
        scoring: Scoring,
    ) -> None:
        """Add the sketches of one bundle of each model."""
        known = {**{name: getattr(scores, name) for name in _COLUMNS}, **of_texts}
        for model_name, grouped in groups.items():
            columns: dict[str, Any] = {name: column[grouped.rows] for name, column in known.items()}
            columns |= {"topics": scoring.topics(model_name), "languages": len(LANGUAGES)}
            columns["whole"] = np.array([slice_name == WHOLE for _, slice_name, _ in grouped.labels])
            bundle = scoring.bundle(model_name)
            sketches = sketch_groups(grouped.groups, len(grouped.labels), **columns)
            for group, counts in _words(prompts, grouped, scores.topic, columns["whole"], scoring.vocabulary(model_name)).items():
                sketches[group] = replace(sketches[group], words=counts)
            for (part, slice_name, window), sketch in zip(grouped.labels, sketches, strict=True):
                mine = self._parts[keys[part]]
                delta = DeltaKey(bundle, model_name, slice_name, window)
                mine[delta] = mine[delta] + sketch if delta in mine else sketch


class _Grouped(NamedTuple):
    """Rows of one model by group; a row of a slice stands twice, for its slice and for the model as a whole."""

    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    labels: list[tuple[int, str, int]]


def _groups(prompts: Sequence[Prompt], rows: NDArray[np.int64], part_of: NDArray[np.int64], length: int) -> dict[str, _Grouped]:
    """Group rows by (part, slice, window start) for every model. Cost: about 1 microsecond a row."""
    owners: dict[tuple[str, str], int] = {}
    owner = np.fromiter((owners.setdefault((p.model_name, p.slice), len(owners)) for p in prompts), np.int64, len(prompts))[rows]
    window = np.fromiter((p.time for p in prompts), np.float64, len(prompts))[rows] // length
    first = window.min(initial=math.inf) if rows.size else 0.0
    offset = (window - first).astype(np.int64)
    span = int(offset.max(initial=0)) + 1
    slices = [slice_name for _, slice_name in owners] + [WHOLE]
    grouped = {}
    for model_name in dict.fromkeys(model for model, _ in owners):
        mine = np.array([model == model_name for model, _ in owners])
        sliced = mine & np.array([slice_name != WHOLE for _, slice_name in owners])
        whole, apart = np.flatnonzero(mine[owner]), np.flatnonzero(sliced[owner])
        place = np.concatenate((whole, apart))
        label = np.concatenate((np.full(whole.size, len(slices) - 1), owner[apart]))
        code = (part_of[place] * len(slices) + label) * span + offset[place]
        found, index = np.unique(code, return_inverse=True)
        labels = [
            (value // (span * len(slices)), slices[value // span % len(slices)], (int(first) + value % span) * length)
            for value in found.tolist()
        ]
        if place.size:
            grouped[model_name] = _Grouped(rows[place], index, labels)
    return grouped


def _words(
    prompts: Sequence[Prompt], grouped: _Grouped, topic: NDArray[np.int32], whole: NDArray[np.bool_], vocabulary: Vocabulary | None
) -> dict[int, NDArray[np.int64]]:
    """Group of a whole model -> counts of the words of its prompts that no topic claims and that name their session.

    Only these few are read: a prompt of a known topic costs nothing here.
    """
    if vocabulary is None:
        return {}
    codes: dict[int, list[int]] = {}
    unclaimed = np.flatnonzero((topic[grouped.rows] < 0) & whole[grouped.groups])
    for row, group in zip(grouped.rows[unclaimed].tolist(), grouped.groups[unclaimed].tolist(), strict=True):
        if session := prompts[row].session:
            codes.setdefault(group, []).extend(vocabulary.codes(prompts[row].text, session))
    return {group: count_codes(np.array(found, np.int64)) for group, found in codes.items()}
