"""Stream rows from JSONL, CSV and Parquet files, gzip and zstd ones too, and find the prompt's text in a row.

A file that cannot be read to its end is an error that names the file and the line; nothing is skipped. Files are read in pieces, never
whole.
"""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

from service.errors import DataError

LINE_LIMIT = 64_000_000
"""Bytes of the longest line that is read."""

_PARQUET_ROWS = 1024
_ABSENT = object()
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"
"""After a first byte 0x50 to 0x5f: a frame to be skipped, with which files of pzstd begin."""
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KINDS = "expected .jsonl, .csv or .parquet, the first two also with .gz or .zst"


class Row(NamedTuple):
    """One row and where it stands: ``place`` is ``file:line`` (``file, row N`` for Parquet)."""

    place: str
    fields: Mapping[str, Any]


def read_rows(path: Path | str) -> Iterator[dict[str, Any]]:
    """Rows of one file in order; ``-`` is JSONL from standard input. Blank lines are passed over.

    Raises:
        DataError: names the file and line: not there, not UTF-8, not a JSON object, nested too deeply, too long, cut off, of unknown kind.
    """
    for row in place_rows(path):
        yield dict(row.fields)


def place_rows(path: Path | str) -> Iterator[Row]:
    """The same with the place of each row."""
    name = str(path)
    if name == "-":
        yield from _jsonl("standard input", sys.stdin.buffer)
        return
    kind = _kind(Path(name))
    if kind == ".parquet":
        yield from _parquet(Path(name))
        return
    try:
        with Path(name).open("rb") as file:
            yield from (_csv if kind == ".csv" else _jsonl)(name, file)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from None


def raw_rows(path: Path | str) -> Iterator[bytes | Mapping[str, Any]]:
    """Rows of one file in order, for a reader that counts what it cannot use: lines of JSONL as they stand, fields of the others.

    Raises:
        DataError: the file itself cannot be read: not there, cut off, of unknown kind; a broken row of CSV or Parquet.
    """
    name = str(path)
    if name != "-" and _kind(Path(name)) != ".jsonl":
        yield from (row.fields for row in place_rows(path))
        return
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
            yield from (line for _, line in _raw_lines("standard input" if name == "-" else name, file) if line.strip())
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from None


def find(fields: Mapping[str, Any], pointer: str) -> Any:
    """Value at a JSON pointer (``/request/messages/0``) or a top-level name; None when there is nothing.

    >>> find({"a": {"b": [1, 2]}, "c/d": 3}, "/a/b/1"), find({"c/d": 3}, "c/d"), find({}, "x")
    (2, 3, None)
    """
    value = _lookup(fields, pointer)
    return None if value is _ABSENT else value


def has(fields: Mapping[str, Any], pointer: str) -> bool:
    """Whether the pointer leads to a value, be it null."""
    return _lookup(fields, pointer) is not _ABSENT


def find_text(fields: Mapping[str, Any], pointer: str | None = None) -> str:
    """The prompt of a row: at the pointer, or else at ``text``, ``prompt`` or the last user turn of ``messages``.

    A value that holds messages (a list of turns) gives its last user turn, wherever it was found; a turn made of parts gives its text
    parts.

    Raises:
        DataError: no such field, with the names of those that are there, or a value that is no text. The caller adds the place.
    """
    if pointer is not None:
        value = _lookup(fields, pointer)
    else:
        value = next((fields[name] for name in ("text", "prompt", "messages") if name in fields), _ABSENT)
    if value is _ABSENT:
        wanted = f"no field {pointer!r}" if pointer else "none of the fields text, prompt, messages"
        raise DataError(f"{wanted}; the fields there are: {fields_there(fields)}")
    return _text(value)


def fields_there(fields: Mapping[str, Any]) -> str:
    """Names of the fields, for a message."""
    names = sorted(str(name) for name in fields)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") if names else "(none)"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        turns = [turn for turn in value if isinstance(turn, Mapping) and turn.get("role") == "user"]
        if turns:
            return _content(turns[-1].get("content"))
        if value and all(isinstance(turn, Mapping) and "role" in turn for turn in value):
            return ""
    raise DataError(f"the text field holds {_json_name(value)}; expected a string, or messages with role and content")


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str))
    return _text(content) if not isinstance(content, Mapping) else str(content.get("text", ""))


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", list: "a list", dict: "an object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a value of another kind")


def _lookup(fields: Any, pointer: str) -> Any:
    if not pointer.startswith("/"):
        return fields.get(pointer, _ABSENT)
    value = fields
    for token in pointer[1:].split("/"):
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            return _ABSENT
    return value


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    kind = {".jsonl": ".jsonl", ".ndjson": ".jsonl", ".csv": ".csv", ".parquet": ".parquet"}.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise DataError(f"{path}: unknown kind of file; {_KINDS}")
    return kind


def _lines(name: str, raw: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Numbered lines of a plain, gzip or zstd stream, as text."""
    for number, line in _raw_lines(name, raw):
        yield number, _decoded(name, number, line)


def _raw_lines(name: str, raw: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of a plain, gzip or zstd stream, without a byte order mark."""
    buffered = io.BufferedReader(raw, 1 << 16) if isinstance(raw, io.RawIOBase) else raw
    magic = buffered.peek(4)[:4] if isinstance(buffered, io.BufferedReader) else b""
    number = 0
    try:
        stream = _decompressed(name, buffered, magic)
        while line := stream.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT:
                raise DataError(f"{name}:{number}: longer than {LINE_LIMIT:,} bytes")
            yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: broken gzip data after line {number} ({error})") from None
    except OSError:
        raise
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise DataError(f"{name}: broken zstd data after line {number} ({error})") from None


def _decompressed(name: str, raw: Any, magic: bytes) -> Any:
    """A stream of what is inside. The first bytes tell how it is packed, and the name must not say otherwise."""
    packing = _packing(magic)
    named = _PACKED.get(Path(name).suffix.lower(), packing)
    if packing != named:
        raise DataError(f"{name}: holds no {named} data, although its name says so; expected a {named} file, or a name without the suffix")
    if packing == "gzip":
        return gzip.open(raw)
    if packing == "zstd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader, 1 << 16)
    return raw


def _packing(magic: bytes) -> str:
    if magic.startswith(_GZIP):
        return "gzip"
    return "zstd" if magic == _ZSTD or (magic[1:] == _ZSTD_SKIPPED and magic[0] >> 4 == 5) else ""


def _decoded(name: str, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}:{number}: not UTF-8 at byte {error.start + 1} of the line") from None


def _jsonl(name: str, raw: IO[bytes]) -> Iterator[Row]:
    for number, line in _lines(name, raw):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{name}:{number}: broken JSON at column {error.colno} ({error.msg.removesuffix(' at')})") from None
        except RecursionError:
            raise DataError(f"{name}:{number}: nested too deeply") from None
        except ValueError as error:  # an integer of thousands of digits
            raise DataError(f"{name}:{number}: {error}") from None
        if not isinstance(fields, dict):
            raise DataError(f"{name}:{number}: holds {_json_name(fields)}; expected one JSON object a line")
        yield Row(f"{name}:{number}", fields)


def _csv(name: str, raw: IO[bytes]) -> Iterator[Row]:
    csv.field_size_limit(LINE_LIMIT)
    reader = csv.reader((line for _, line in _lines(name, raw)), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"{name}: empty; expected a header line")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(f"{name}:{reader.line_num}: {len(cells)} columns; the header has {len(header)}")
            yield Row(f"{name}:{reader.line_num}", dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: broken CSV ({error})") from None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs the extra 'parquet' (pip install 'tiltmeter[parquet]')") from None
    if not path.is_file():
        raise DataError(f"{path}: No such file or directory")
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}, row {number}", fields)
    except ArrowException as error:
        raise DataError(f"{path}: broken Parquet after row {number} ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
