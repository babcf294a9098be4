"""Bodies: read with a limit, unpacked with the same limit, cut into records."""

import json
import zlib

from fastapi import HTTPException, Request

from service.source.decode import Reason


class Unreadable(HTTPException):
    """A body that holds no records; ``reason`` is that of the rejection counter."""

    def __init__(self, status: int, detail: str, reason: Reason) -> None:
        super().__init__(status, detail)
        self.reason = reason


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
            raise Unreadable(400, "body: not gzip, though content-encoding says so", Reason.NOT_GZIP) from error
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    if unpack and not unpack.eof:
        raise Unreadable(400, "body: the gzip stream is cut off", Reason.NOT_GZIP)
    return b"".join(parts)


def records(body: bytes, content_type: str) -> list[object]:
    """One object, a list, or one object a line. What is wrong with one of them is left to the decoder, which names it; 400 otherwise."""
    if any(name in content_type for name in _LINES):
        return _lines(body)
    try:
        found = json.loads(body)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and body.lstrip()[:1] == b"{":
            return _lines(body)
        place = f"{error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}"
        raise Unreadable(400, f"body: not JSON: {place}", Reason.NOT_JSON) from None
    except UnicodeDecodeError as error:
        raise Unreadable(400, f"body: not UTF-8 at byte {error.start}", Reason.NOT_UTF8) from None
    except RecursionError:
        raise Unreadable(400, "body: nested too deeply", Reason.TOO_DEEP) from None
    except ValueError:
        raise Unreadable(400, "body: holds a number that is too long", Reason.NOT_JSON) from None
    return found if isinstance(found, list) else [found]


def _lines(body: bytes) -> list[object]:
    return [line for line in body.splitlines() if line.strip()]


def _too_large(limit: int) -> Unreadable:
    return Unreadable(413, f"body: larger than {limit:,} bytes (source.max_body_bytes): split it", Reason.TOO_LARGE)
