import gzip
import io
import json
import sys
from pathlib import Path

import pytest
import zstandard

from service.errors import DataError
from service.rows import find, find_text, has, place_rows, raw_rows, read_rows

ROWS = [{"text": "one", "n": 1}, {"text": "zwölf 🙂", "n": None}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def test_jsonl_plain_gzip_and_zstd_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(LINES))
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
        assert list(read_rows(tmp_path / name)) == ROWS


def test_blank_lines_and_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n") + b"  \n")
    assert [row.place for row in place_rows(path)] == [f"{path}:1", f"{path}:3"]


def test_several_gzip_and_zstd_frames_are_read_to_the_end(tmp_path: Path) -> None:
    first, second = LINES.splitlines(keepends=True)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(first) + gzip.compress(second))
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00four"  # how pzstd begins
    (tmp_path / "a.jsonl.zst").write_bytes(skipped + zstandard.compress(first) + zstandard.compress(second))
    assert list(read_rows(tmp_path / "a.jsonl.gz")) == ROWS
    assert list(read_rows(tmp_path / "a.jsonl.zst")) == ROWS


def test_csv_with_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"a, ""b""\nsecond line",x\n\nplain,y\n', encoding="utf-8")
    assert list(read_rows(path)) == [{"text": 'a, "b"\nsecond line', "label": "x"}, {"text": "plain", "label": "y"}]


def test_csv_field_longer_than_the_module_default(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text\n" + b"x" * 200_000 + b"\n"))
    assert len(next(read_rows(path))["text"]) == 200_000


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    turns = [[{"role": "user", "content": f"q{i}"}] for i in range(3000)]
    parquet.write_table(pyarrow.table({"messages": turns}), path)
    rows = list(place_rows(path))
    assert len(rows) == 3000
    assert (rows[2999].place, find_text(rows[2999].fields)) == (f"{path}, row 3000", "q2999")
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"a\.parquet: broken Parquet after row 0"):
        list(read_rows(path))


def test_parquet_without_the_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs the extra 'parquet' \(pip install 'tiltmeter\[parquet\]'\)"):
        list(read_rows(tmp_path / "a.parquet"))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (LINES, gzip.compress(LINES), zstandard.compress(LINES)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))  # type: ignore[arg-type]
        assert list(read_rows("-")) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", LINES + b'{"text": "cut\n', r"a\.jsonl:3: broken JSON at column 14 \(Invalid control character\)"),
        ("a.jsonl", LINES + b'{"text": "\xff"}\n', r"a\.jsonl:3: not UTF-8 at byte 11 of the line"),
        ("a.jsonl", LINES + b"[1, 2]\n", r"a\.jsonl:3: holds a list; expected one JSON object a line"),
        ("a.jsonl", b"7\n", r"a\.jsonl:1: holds a number; expected one JSON object"),
        ("a.jsonl", b'{"text": ' + b"[" * 200_000 + b"\n", r"a\.jsonl:1: nested too deeply"),
        ("a.jsonl", b'{"n": ' + b"9" * 5_000 + b"}\n", r"a\.jsonl:1: Exceeds the limit"),
        ("a.jsonl.gz", gzip.compress(LINES)[:-9], r"a\.jsonl\.gz: broken gzip data after line \d"),
        ("a.jsonl.gz", b"\x1f\x8bgarbage-garbage", r"a\.jsonl\.gz: broken gzip data after line 0"),
        ("a.jsonl.zst", zstandard.compress(LINES)[:4] + b"garbage", r"a\.jsonl\.zst: broken zstd data after line 0"),
        ("a.jsonl.gz", LINES, r"a\.jsonl\.gz: holds no gzip data, although its name says so; expected a gzip file, or a name without"),
        ("a.csv.GZ", zstandard.compress(LINES), r"a\.csv\.GZ: holds no gzip data"),
        ("a.jsonl.zst", LINES, r"a\.jsonl\.zst: holds no zstd data, although its name says so; expected a zstd file"),
        ("a.jsonl.gz", b"", r"a\.jsonl\.gz: holds no gzip data"),
        ("a.csv", b"", r"a\.csv: empty; expected a header line"),
        ("a.csv", b"text,label\na,b\nc\n", r"a\.csv:3: 1 columns; the header has 2"),
        ("a.csv", b'text\n"open\n', r"a\.csv:2: broken CSV"),
        ("a.csv", b"text\n\xe4\n", r"a\.csv:2: not UTF-8 at byte 1"),
        ("a.xlsx", b"", r"a\.xlsx: unknown kind of file; expected \.jsonl, \.csv or \.parquet"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(tmp_path / name))


def test_a_recording_that_is_not_packed_as_it_is_named_is_no_stream_of_bad_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(LINES)
    with pytest.raises(DataError, match=r"a\.jsonl\.zst: holds no zstd data"):
        list(raw_rows(tmp_path / "a.jsonl.zst"))


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file or directory"):
        list(read_rows(tmp_path / "nowhere.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match=r"folder\.jsonl: Is a directory"):
        list(read_rows(tmp_path / "folder.jsonl"))


def test_a_line_past_the_limit_is_refused_without_reading_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rows.LINE_LIMIT", 1000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES + b'{"text": "' + b"x" * 1000 + b'"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:3: longer than 1,000 bytes"):
        list(read_rows(path))


def test_text_is_found_in_every_documented_place() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "a"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "last"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "turn"}],
        },
        {"role": "assistant", "content": "b"},
    ]
    assert find_text({"text": "t", "prompt": "p"}) == "t"
    assert find_text({"prompt": "p", "completion": "c"}) == "p"
    assert find_text({"messages": messages}) == "last\nturn"
    assert find_text({"request": {"messages": messages}}, "/request/messages") == "last\nturn"
    assert find_text({"request": {"messages": messages}}, "/request/messages/1/content") == "first"
    assert find_text({"question": "q"}, "question") == "q"
    assert find_text({"messages": [{"role": "system", "content": "s"}]}) == ""
    assert find_text({"text": None}) == ""


@pytest.mark.parametrize(
    ("fields", "pointer", "message"),
    [
        ({"b": 1, "a": 2}, None, "none of the fields text, prompt, messages; the fields there are: a, b"),
        ({"b": 1, "a": 2}, "question", "no field 'question'; the fields there are: a, b"),
        ({}, "/a/b", r"no field '/a/b'; the fields there are: \(none\)"),
        ({f"f{i:02}": 0 for i in range(30)}, "x", "f19 and 10 more"),
        ({"text": 7}, None, "the text field holds a number; expected a string"),
        ({"text": {"a": 1}}, None, "the text field holds an object"),
        ({"text": [1, 2]}, None, "the text field holds a list"),
        ({"text": True}, None, "the text field holds true or false"),
    ],
)
def test_text_that_is_not_there_or_no_text(fields: dict[str, object], pointer: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_text(fields, pointer)


def test_pointers() -> None:
    fields = {"a": {"b": [10, {"c/d": 1, "e~f": 2}]}, "x": None}
    assert find(fields, "/a/b/0") == 10
    assert find(fields, "/a/b/1/c~1d") == 1
    assert find(fields, "/a/b/1/e~0f") == 2
    assert find(fields, "/a/b/2") is None
    assert (has(fields, "x"), has(fields, "y"), has(fields, "/a/b/-1")) == (True, False, False)
