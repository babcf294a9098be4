"""Bodies: read with a limit, unpacked with the same limit, cut into records."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request

_LINES = ("ndjson", "jsonl", "json-seq", "jsonlines")


async def read(request: Request, limit: int) -> bytes:
    """The body, at most ``limit`` bytes before and after unpacking; 413 as soon as it is more, 415 for an encoding other than gzip."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, f"content-encoding {encoding[:40]!r}: expected gzip or none")
    unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        try:
            part = unpack.decompress(chunk, limit - size + 1) if unpack else chunk
        except zlib.error as error:
            raise HTTPException(400, "body: not gzip, though content-encoding says so") from error
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    if unpack and not unpack.eof:
        raise HTTPException(400, "body: the gzip stream is cut off")
    return b"".join(parts)


def records(body: bytes, content_type: str) -> list[bytes | Mapping[str, Any]]:
    """One object, a list, or one object a line. Broken JSON inside a line is left to the decoder, which names the record; 400 otherwise."""
    if any(name in content_type for name in _LINES):
        return _lines(body)
    try:
        found = json.loads(body)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and body.lstrip()[:1] == b"{":
            return _lines(body)
        raise HTTPException(400, f"body: not JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"body: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise HTTPException(400, "body: nested too deeply") from None
    except ValueError:
        raise HTTPException(400, "body: holds a number that is too long") from None
    rows = found if isinstance(found, list) else [found]
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise HTTPException(400, f"record {index}: not_an_object: expected a JSON object")
    return rows


def _lines(body: bytes) -> list[bytes | Mapping[str, Any]]:
    return [line for line in body.splitlines() if line.strip()]


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"body: larger than {limit:,} bytes (source.max_body_bytes): split it")
