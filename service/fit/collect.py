"""Read the fine-tuning set: distinct texts, how often each occurs, with which label and in which group."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import DataError
from service.fit.progress import Progress
from service.rows import fields_there, find, find_text, has, place_rows

NONE = -1
DISTINCT_MAX = 500_000
_ADVANCE = 1000


@dataclass(frozen=True, slots=True)
class Rows:
    """A set as T distinct texts and E entries, an entry being all rows equal in text, group and label.

    Attributes:
        texts: T distinct texts, in order of first appearance.
        text, group, label, count: (E,) int64; group and label are -1 where a row has none.
        groups: different group values; label_names: different labels in order of first appearance.
        rows: rows read, empty ones included; empty: rows without text; unlabelled: rows without a label though a field was named;
        dropped: rows of texts beyond the memory limit, chosen by a seeded hash of the text.
    """

    texts: Sequence[str]
    text: NDArray[np.int64]
    group: NDArray[np.int64]
    label: NDArray[np.int64]
    count: NDArray[np.int64]
    groups: int
    label_names: Sequence[str]
    rows: int
    empty: int
    unlabelled: int
    dropped: int


@dataclass(frozen=True, slots=True)
class FieldNames:
    """JSON pointers or names of columns; text None means text, prompt or messages."""

    text: str | None
    label: str | None
    group: str | None


def collect(files: Sequence[Path | str], names: FieldNames, seed: int, progress: Progress, *, distinct_max: int = DISTINCT_MAX) -> Rows:
    """Stream all files once.

    Memory: the distinct texts (at most ``2 distinct_max``) and 200 bytes an entry, however often a text is repeated.

    Raises:
        DataError: a file that cannot be read, a row without the text field, a label or group field that no row has.
    """
    collector = _Collector(names, seed, distinct_max)
    advance = progress.stage("reading rows", None)
    for file in files:
        waiting = 0
        for row in place_rows(file):
            try:
                collector.add(row.fields)
            except DataError as error:
                raise DataError(f"{row.place}: {error}") from None
            waiting += 1
            if waiting == _ADVANCE:
                advance(waiting)
                waiting = 0
        advance(waiting)
    return collector.finish(", ".join(map(str, files)))


class _Collector:
    def __init__(self, names: FieldNames, seed: int, distinct_max: int) -> None:
        self._names = names
        self._key = seed.to_bytes(8, "little", signed=True)
        self._max = distinct_max
        self._texts: dict[str, int] = {}
        self._entries: dict[tuple[int, int, int], int] = {}
        self._groups: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        self._rows = self._empty = self._unlabelled = self._dropped = 0
        self._highest = 1 << 64
        self._seen_label = self._seen_group = False
        self._fields = ""

    def add(self, fields: Mapping[str, Any]) -> None:
        if self._rows == 0:
            self._fields = fields_there(fields)
        text = find_text(fields, self._names.text)
        self._rows += 1
        if not text.strip():
            self._empty += 1
            return
        group = self._value(fields, self._names.group, self._groups)
        label = self._value(fields, self._names.label, self._labels)
        self._seen_group |= self._names.group is not None and has(fields, self._names.group)
        self._seen_label |= self._names.label is not None and has(fields, self._names.label)
        self._unlabelled += self._names.label is not None and label == NONE
        number = self._texts.get(text)
        if number is None:
            if self._highest < 1 << 64 and self._hash(text) >= self._highest:
                self._dropped += 1
                return
            number = self._texts[text] = len(self._texts)
        key = (number, group, label)
        self._entries[key] = self._entries.get(key, 0) + 1
        if len(self._texts) > 2 * self._max:
            self._prune()

    def _value(self, fields: Mapping[str, Any], pointer: str | None, numbers: dict[str, int]) -> int:
        value = find(fields, pointer) if pointer is not None else None
        return NONE if value is None or value == "" else numbers.setdefault(str(value), len(numbers))

    def _hash(self, text: str) -> int:
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=self._key).digest(), "little")

    def _prune(self) -> None:
        """Keep the texts of smallest hash: a uniform sample of distinct texts that does not depend on their order."""
        ranked = sorted((self._hash(text), text) for text in self._texts)
        self._highest = ranked[self._max][0]
        kept = {text for _, text in ranked[: self._max]}
        renumbered: dict[int, int] = {}
        texts: dict[str, int] = {}
        for text, number in self._texts.items():
            if text in kept:
                renumbered[number] = texts[text] = len(texts)
        self._dropped += sum(count for key, count in self._entries.items() if key[0] not in renumbered)
        self._entries = {(renumbered[key[0]], key[1], key[2]): count for key, count in self._entries.items() if key[0] in renumbered}
        self._texts = texts

    def finish(self, where: str) -> Rows:
        for name, seen, option in ((self._names.label, self._seen_label, "--label"), (self._names.group, self._seen_group, "--group")):
            if name is not None and not seen and self._rows > 0:
                raise DataError(f"{where}: {option} {name!r}: no row has this field; the fields of the first row are: {self._fields}")
        if len(self._texts) > self._max:
            self._prune()
        keys = np.array(list(self._entries), dtype=np.int64).reshape(-1, 3)
        return Rows(
            texts=list(self._texts),
            text=keys[:, 0],
            group=keys[:, 1],
            label=keys[:, 2],
            count=np.fromiter(self._entries.values(), np.int64, len(self._entries)),
            groups=len(self._groups),
            label_names=list(self._labels),
            rows=self._rows,
            empty=self._empty,
            unlabelled=self._unlabelled,
            dropped=self._dropped,
        )
