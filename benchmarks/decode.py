"""What decoding costs beyond bare ``json.loads``, as a ratio in the same run.

    python benchmarks/decode.py [--records N]

Prints one line per record shape: microseconds a record of json.loads, of decode, of decode beyond it, and the ratio.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from service.config import Fields, Model
from service.source.decode import Decoder

TEXT = "Why was I charged twice for roaming in Portugal last month, and when do I get the money back? " * 3
CHAT = {
    "model": "support-bot-2024-07",
    "messages": [{"role": "system", "content": "You are a support assistant."}, {"role": "user", "content": TEXT}],
}
SHAPES = {
    "plain": {"id": "9f1c", "model": "support-bot", "text": TEXT},
    "chat": {"id": "9f1c", "time": "2024-07-01T12:00:00Z", **CHAT},
    "request log": {"id": "9f1c", "request": {"headers": {"host": "gateway"}, "body": CHAT}, "response": {"status": 200}},
}


def microseconds(work: Callable[[bytes], object], raw: bytes, records: int) -> float:
    """Best of five rounds, so that a busy neighbour does not count."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(records):
            work(raw)
        best = min(best, time.perf_counter() - start)
    return best / records * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    records = parser.parse_args().records
    decoder = Decoder(Fields(time="time"), {"support-bot": Model(bundle=Path("bundle"), wire_names=["support-bot-*"])}, 20.0)
    print(f"{'shape':<12} {'bytes':>6} {'loads us':>9} {'decode us':>10} {'beyond us':>10} {'ratio':>6}")
    for name, record in SHAPES.items():
        raw = json.dumps(record).encode()
        bare = microseconds(json.loads, raw, records)
        whole = microseconds(lambda data: decoder.decode(data, 1719835200.0, "prompts/0@1"), raw, records)
        print(f"{name:<12} {len(raw):>6} {bare:>9.2f} {whole:>10.2f} {whole - bare:>10.2f} {whole / bare:>6.2f}")


if __name__ == "__main__":
    main()
