"""Write the example's data: the fine-tuning set, or days of production traffic for `tiltmeter replay`.

python examples/fernhill/generate.py finetune finetune.jsonl
python examples/fernhill/generate.py traffic week.jsonl --days 7            the scripted week, 3 million prompts, about 0.5 GB
python examples/fernhill/generate.py traffic history.jsonl --from -28 --days 28 --thin 50
"""

import argparse
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from service.main.demo.finetune import ROWS, SEED, write_finetune
from service.main.demo.grammar import Grammar
from service.main.demo.pool import Pool
from service.main.demo.script import EVENTS, MODEL, MONDAY
from service.main.demo.traffic import play_day


def write_traffic(out: IO[str], first: int, days: int, seed: int, thin: int) -> int:
    """One record for every ``thin``-th prompt, as a gateway would log it; returns how many."""
    pool, number = Pool.write(Grammar.load(), 0), 0
    for day in range(first, first + days):
        traffic = play_day(pool, seed, day, EVENTS)
        columns = (column[::thin].tolist() for column in (traffic.time, traffic.text, traffic.session))
        for time, text, session in zip(*columns, strict=True):
            stamp = datetime.fromtimestamp(MONDAY + time, UTC).isoformat(timespec="milliseconds")
            messages = [{"role": "user", "content": pool.texts[text]}]
            out.write(
                json.dumps({"id": f"p{number}", "time": stamp, "model": MODEL, "session_id": str(session), "messages": messages}) + "\n"
            )
            number += 1
    return number


def main() -> None:
    """Read the command line and write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    finetune = kinds.add_parser("finetune")
    finetune.add_argument("out", type=Path)
    finetune.add_argument("--rows", type=int, default=ROWS)
    finetune.add_argument("--seed", type=int, default=SEED)
    traffic = kinds.add_parser("traffic")
    traffic.add_argument("out", type=Path)
    traffic.add_argument("--from", dest="first", type=int, default=0, help="first day: 0 is Monday, before it is history")
    traffic.add_argument("--days", type=int, default=1)
    traffic.add_argument("--seed", type=int, default=0)
    traffic.add_argument("--thin", type=int, default=1, help="keep every THIN-th prompt")
    asked = parser.parse_args()
    if asked.kind == "finetune":
        write_finetune(asked.out, asked.rows, asked.seed)
        return
    with gzip.open(asked.out, "wt") if asked.out.suffix == ".gz" else asked.out.open("w", encoding="utf-8") as out:
        print(f"{write_traffic(out, asked.first, asked.days, asked.seed, asked.thin):,} prompts")


if __name__ == "__main__":
    main()
