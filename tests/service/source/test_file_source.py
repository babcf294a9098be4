import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.config import Fields, FileSource, Model
from service.errors import ConfigError, DataError
from service.records import Progress, Span
from service.source.decode import Decoder
from service.source.files import FileSource as Source


def source(paths: Sequence[Path | str], *, time: str | None = None, positions: dict[str, int] | None = None, **settings: Any) -> Source:
    decoder = Decoder(Fields(time=time), {"bot": Model(bundle=Path("b"))}, 20.0)
    return Source(FileSource(paths=list(paths), **settings), decoder, positions=lambda: positions or {})


def lines(path: Path, *records: object) -> Path:
    path.write_text("".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records))
    return path


def test_rows_come_at_a_steady_rate_over_all_files(tmp_path: Path) -> None:
    first = lines(tmp_path / "a.jsonl", {"text": "one"}, {"text": "two"})
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(b'{"text": "three"}\n'))
    src = source([first, second], rate=2.0, start="2000-01-01T00:00:00Z")
    batch = src.poll(10, 0)
    assert [(p.id, p.text, p.time) for p in batch.prompts] == [
        ("file@0", "one", 946684800.0),
        ("file@1", "two", 946684800.5),
        ("file@2", "three", 946684801.0),
    ]
    assert batch.positions == {"file": Span(0, 3)}
    assert batch.progress == {"file": Progress(946684801.0, ended=True)}


def test_without_time_and_rate_there_are_fifty_prompts_a_second(tmp_path: Path) -> None:
    src = source([lines(tmp_path / "a.jsonl", *({"text": "x"} for _ in range(51)))])
    times = [prompt.time for prompt in src.poll(100, 0).prompts]
    assert times[50] - times[0] == 1.0


def test_rows_carry_their_own_time(tmp_path: Path) -> None:
    src = source([lines(tmp_path / "a.jsonl", {"text": "x", "at": "2024-05-01T00:00:00Z"}, {"text": "y", "at": 1714521601000})], time="at")
    assert [prompt.time for prompt in src.poll(10, 0).prompts] == [1714521600.0, 1714521601.0]


def test_csv_columns_are_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,at\nhello,1714521600\n")
    assert [(p.text, p.time) for p in source([path], time="at").poll(10, 0).prompts] == [("hello", 1714521600.0)]


def test_batches_end_where_they_are_told_and_the_end_is_said_once_all_is_read(tmp_path: Path) -> None:
    src = source([lines(tmp_path / "a.jsonl", *({"text": str(i)} for i in range(3)))])
    first = src.poll(2, 0)
    assert first.positions == {"file": Span(0, 2)}
    assert not first.progress["file"].ended
    second = src.poll(2, 0)
    assert second.positions == {"file": Span(2, 3)}
    assert second.progress["file"].ended
    assert src.poll(2, 0).progress == second.progress


def test_bad_rows_are_counted_by_reason_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "one"}\nnot json\n\xff\n{"question": "x"}\n{"text": "two", "at": 5}\n' + b"[" * 200_000 + b"\n")
    batch = source([path], rate=1).poll(10, 0)
    assert [prompt.text for prompt in batch.prompts] == ["one", "two"]
    assert batch.rejected == {"not_json": 1, "not_utf8": 1, "no_text": 1, "too_deep": 1}
    assert batch.positions == {"file": Span(0, 6)}


def test_a_row_without_a_time_is_a_bad_row_where_only_the_row_can_tell(tmp_path: Path) -> None:
    batch = source([lines(tmp_path / "a.jsonl", {"text": "x"}, {"text": "y", "at": "noon"}, {"text": "z", "at": 1})], time="at").poll(10, 0)
    assert [prompt.text for prompt in batch.prompts] == ["z"]
    assert batch.rejected == {"bad_time": 2}


def test_a_restart_goes_on_after_what_the_ledger_has(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", *({"text": str(i)} for i in range(5)))
    batch = source([path], positions={"file": 3}).poll(10, 0)
    assert [prompt.text for prompt in batch.prompts] == ["3", "4"]
    assert batch.positions == {"file": Span(3, 5)}
    with pytest.raises(DataError, match="the ledger has counted 9 rows, and the files hold fewer"):
        source([path], positions={"file": 9}).poll(10, 0)


def test_rewinding_reads_again_from_where_the_ledger_stands(tmp_path: Path) -> None:
    positions = {"file": 0}
    src = source([lines(tmp_path / "a.jsonl", *({"text": str(i)} for i in range(4)))], positions=positions)
    src.poll(2, 0)
    positions["file"] = 1
    src.rewind()
    assert src.poll(10, 0).positions == {"file": Span(1, 4)}


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "one"}\n')))
    src = source(["-"])
    assert len(src.poll(10, 0).prompts) == 1
    with pytest.raises(DataError, match="standard input cannot be read again"):
        src.rewind()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.jsonl: No such file"):
        source([tmp_path / "missing.jsonl"]).poll(10, 0)


def test_a_start_that_is_no_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="'yesterday' is no time"):
        source([], start="yesterday")
