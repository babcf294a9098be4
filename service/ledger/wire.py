"""How entries of the log are written: compact JSON, a kind and a version in every record, nothing pickled.

A delta of one (bundle, model, slice, window) is about 150 bytes, most of which compresses away beside its neighbours: the
histogram and the topic counts hold few non-zero entries and are written as index, count pairs.
"""

import json
import math
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import BINS, Sketch
from service.ledger.contract import UnknownVersion
from service.records import Command, DeltaKey, Progress, Report, Span

VERSION = 1
READABLE = frozenset({VERSION})
"""Versions this build reads: its own and the one before (there is none before the first)."""

Body = tuple[DeltaKey, Sketch] | Report | Command


def encode(body: Body) -> bytes:
    """One entry as UTF-8 JSON."""
    match body:
        case Report():
            record = _report(body)
        case Command():
            record = {"kind": "command", "v": VERSION, "id": body.id, "name": body.kind, "actor": body.actor, "time": body.time}
            record["arguments"] = dict(body.arguments)
        case (key, sketch):
            record = _delta(key, sketch)
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes | str) -> Body:
    """Inverse of :func:`encode`. Raises UnknownVersion for a kind or version that this build does not read."""
    record = json.loads(data)
    kind, version = record.get("kind"), record.get("v")
    if kind not in _DECODERS or version not in READABLE:
        raise UnknownVersion(f"record of kind {kind!r}, version {version!r}; this build reads {sorted(READABLE)}: upgrade the decider")
    return _DECODERS[kind](record)


def pack(bodies: Iterable[bytes]) -> bytes:
    """Encoded entries as one compressed block of lines (zlib level 1: some 0.3 ms for 100 deltas, about a sixth of their size)."""
    return zlib.compress(b"\n".join(bodies), 1)


def unpack(block: bytes) -> list[bytes]:
    """Inverse of :func:`pack`."""
    return zlib.decompress(block).split(b"\n")


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
    }


def _to_delta(record: dict[str, Any]) -> Body:
    key = DeltaKey(record["bundle"], record["model"], record["slice"], record["window"])
    n, strange, far, truncated, tokens, characters = record["sums"]
    histogram, topics = _dense([BINS, *record["p"]]), _dense(record["topics"])
    return key, Sketch(n, strange, far, truncated, tokens, characters, histogram, topics)


def _report(report: Report) -> dict[str, Any]:
    return {
        "kind": "report",
        "v": VERSION,
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
    return Report(record["worker"], positions, progress, frozenset(record["partitions"]), record["sent"])


def _to_command(record: dict[str, Any]) -> Body:
    return Command(record["id"], record["name"], record["actor"], record["time"], record["arguments"])


_DECODERS = {"delta": _to_delta, "report": _to_report, "command": _to_command}
