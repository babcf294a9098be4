"""How entries of the log are written: compact JSON, a kind and a version in every record, nothing pickled.

A delta of one (bundle, model, slice, window) is about 200 bytes: the histogram and the topic counts hold few non-zero entries and are
written as index, count pairs. One append is one block, compressed as a whole, because most of a delta is the same as its neighbours';
and because a block is one database row or Kafka record, the entries of an append stay together whoever else appends.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from detectors.sketch import BINS, LENGTHS, Sketch
from service.ledger.contract import UnknownVersion
from service.records import Command, DeltaKey, Deltas, Entry, Progress, Report, Span

VERSION = 3
READABLE = frozenset({2, VERSION})
"""Versions this build reads; 2 has no words. Sketches of version 1 hold other things and belong to bundles that are refused."""

BLOCK_ENTRIES = 4096
"""Most entries in one block; an entry's position is ``number of its block * BLOCK_ENTRIES + index in it``."""
BLOCK_BYTES = 2_000_000
"""Most bytes in one block before compression, which leaves well under the 512 KB that a Kafka record should not pass."""

_BLOCK = b"\x01"

Body = tuple[DeltaKey, Sketch] | Report | Command


def encode(body: Body, key: str | None = None) -> bytes:
    """One entry as UTF-8 JSON on one line; ``key`` goes with it for ledgers whose reader leaves repeats out."""
    match body:
        case Report():
            record = _report(body)
        case Command():
            record = {"kind": "command", "v": VERSION, "id": body.id, "name": body.kind, "actor": body.actor, "time": body.time}
            record["arguments"] = dict(body.arguments)
        case (delta, sketch):
            record = _delta(delta, sketch)
    if key is not None:
        record["key"] = key
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes | str) -> tuple[Body, str | None]:
    """Inverse of :func:`encode`: the body and its key. Raises UnknownVersion for a kind or version that this build does not read."""
    record = json.loads(data)
    kind, version = record.get("kind"), record.get("v")
    if kind not in _DECODERS or version not in READABLE:
        raise UnknownVersion(f"record of kind {kind!r}, version {version!r}; this build reads {sorted(READABLE)}: upgrade the decider")
    return _DECODERS[kind](record), record.get("key")


def append(parts: Sequence[Deltas], report: Report, repeats: frozenset[str] = frozenset()) -> list[bytes]:
    """The entries of one append, the report last: without keys in ``repeats``, and of parts with the same key only the first."""
    seen = set(repeats)
    bodies: list[bytes] = []
    for part in parts:
        if part.key is None or part.key not in seen:
            bodies.extend(encode(delta, part.key) for delta in part.sketches.items())
        if part.key is not None:
            seen.add(part.key)
    return [*bodies, encode(report)]


def pack(bodies: Iterable[bytes]) -> bytes:
    """Encoded entries as one block: a format byte, then their lines compressed by zstd."""
    return _BLOCK + zstandard.ZstdCompressor(level=3).compress(b"\n".join(bodies))


def blocks(bodies: Sequence[bytes]) -> list[bytes]:
    """Entries packed into as few blocks as hold at most BLOCK_ENTRIES and BLOCK_BYTES before compression each."""
    packed: list[bytes] = []
    some: list[bytes] = []
    size = 0
    for body in bodies:
        if some and (len(some) == BLOCK_ENTRIES or size + len(body) > BLOCK_BYTES):
            packed.append(pack(some))
            some, size = [], 0
        some.append(body)
        size += len(body)
    return [*packed, pack(some)] if some else packed


def unpack(block: bytes) -> list[bytes]:
    """Inverse of :func:`pack`. Raises UnknownVersion for another format byte."""
    if block[:1] != _BLOCK:
        raise UnknownVersion(f"block of format {block[:1].hex() or 'nothing'}; this build reads {_BLOCK.hex()}: upgrade the decider")
    return zstandard.ZstdDecompressor().decompress(block[1:]).split(b"\n")


def entries(number: int, block: bytes, after: int) -> list[Entry]:
    """Entries of a block with positions from ``after`` on; ``number`` is the block's place in the log."""
    first = number * BLOCK_ENTRIES
    lines = unpack(block)
    return [Entry(first + i, *decode(lines[i])) for i in range(max(0, after - first), len(lines))]


def _sparse(counts: NDArray[np.int64]) -> list[int]:
    """Length, then index and count of every non-zero entry."""
    index = np.flatnonzero(counts)
    return [counts.size, *np.column_stack((index, counts[index])).ravel().tolist()]


def _dense(values: list[int]) -> NDArray[np.int64]:
    counts = np.zeros(values[0], np.int64)
    counts[values[1::2]] = values[2::2]
    return counts


def _delta(key: DeltaKey, sketch: Sketch) -> dict[str, Any]:
    sums = [sketch.n, sketch.strange, sketch.far, sketch.truncated, sketch.tokens, sketch.characters]
    return {
        "kind": "delta",
        "v": VERSION,
        "bundle": key.bundle,
        "model": key.model_name,
        "slice": key.slice,
        "window": key.window,
        "sums": [int(value) for value in sums],
        "p": _sparse(sketch.histogram)[1:],
        "topics": _sparse(sketch.topics),
        "lengths": _sparse(sketch.lengths)[1:],
        "languages": _sparse(sketch.languages),
        "fourier": sketch.fourier.tolist(),
        # Codes are ascending: their steps are short numbers.
        **({"words": [np.diff(sketch.words[0], prepend=0).tolist(), sketch.words[1].tolist()]} if sketch.words.size else {}),
    }


def _to_delta(record: dict[str, Any]) -> Body:
    key = DeltaKey(record["bundle"], record["model"], record["slice"], record["window"])
    n, strange, far, truncated, tokens, characters = record["sums"]
    tables = _dense([BINS, *record["p"]]), _dense(record["topics"]), _dense([LENGTHS, *record["lengths"]]), _dense(record["languages"])
    steps, counts = record.get("words", ([], []))
    words = np.array([np.cumsum(np.array(steps, np.int64)), counts], np.int64)
    return key, Sketch(n, strange, far, truncated, tokens, characters, *tables, np.array(record["fourier"], np.int64), words)


def _report(report: Report) -> dict[str, Any]:
    canaries = {target: time for target, time in report.canaries.items() if math.isfinite(time)}
    return {
        "kind": "report",
        "v": VERSION,
        **({"canaries": canaries} if canaries else {}),
        "worker": report.worker,
        "positions": {name: list(span) for name, span in report.positions.items()},
        # JSON has no infinities: null stands for "nothing read yet".
        "progress": {name: [p.time if math.isfinite(p.time) else None, int(p.idle), int(p.ended)] for name, p in report.progress.items()},
        "partitions": sorted(report.partitions),
        "sent": report.sent,
    }


def _to_report(record: dict[str, Any]) -> Body:
    progress = {
        name: Progress(-math.inf if time is None else time, bool(idle), bool(ended))
        for name, (time, idle, ended) in record["progress"].items()
    }
    positions = {name: Span(*span) for name, span in record["positions"].items()}
    return Report(record["worker"], positions, progress, frozenset(record["partitions"]), record["sent"], record.get("canaries", {}))


def _to_command(record: dict[str, Any]) -> Body:
    return Command(record["id"], record["name"], record["actor"], record["time"], record["arguments"])


_DECODERS = {"delta": _to_delta, "report": _to_report, "command": _to_command}
