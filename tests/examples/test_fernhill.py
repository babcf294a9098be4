import gzip
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from service.main.demo.finetune import finetune_rows
from service.main.demo.grammar import Grammar

EXAMPLE = Path(__file__).parents[2] / "examples" / "fernhill"


def test_the_set_in_the_repository_is_what_the_grammar_says() -> None:
    with gzip.open(EXAMPLE / "finetune.jsonl.gz", "rt", encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == list(finetune_rows(Grammar.load()))


def test_the_generator_writes_records_that_replay_reads(tmp_path: Path) -> None:
    out = tmp_path / "day.jsonl"
    command = [sys.executable, str(EXAMPLE / "generate.py"), "traffic", str(out), "--days", "1", "--thin", "1000"]
    subprocess.run(command, check=True, cwd=EXAMPLE.parents[1], capture_output=True, timeout=120)
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(records) > 200
    times = [datetime.fromisoformat(record["time"]) for record in records]
    assert times == sorted(times)
    assert all(record["messages"][0]["content"] and record["model"] == "support-bot" for record in records)
