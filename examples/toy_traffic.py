"""Asks the toy endpoint what a fine-tuning set holds, so that there is traffic to look at: `python -m examples.toy_traffic SET.jsonl.gz`.

Standard library only. One question after another, at most `--rate` a second; it goes on for ever, and waits while nobody answers.
"""

import argparse
import gzip
import itertools
import json
import random
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def questions(path: Path) -> list[str]:
    """Prompts of a set: `text`, `prompt`, or the last user turn of `messages`, one JSON object a line."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    found = []
    for row in rows:
        turns = [turn["content"] for turn in row.get("messages", []) if turn["role"] == "user"]
        found.append(row.get("text") or row.get("prompt") or turns[-1])
    return found


def ask(url: str, model: str, text: str) -> bool:
    """One question; whether it was answered."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
        return True
    except OSError:
        return False


def endless(texts: list[str], seed: int) -> Iterator[str]:
    """The texts in an order of their own, again and again."""
    rng = random.Random(seed)
    return itertools.chain.from_iterable(rng.sample(texts, len(texts)) for _ in itertools.count())


def main() -> None:
    """Ask until stopped."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="toy")
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for text in endless(questions(given.set), given.seed):
        start = time.monotonic()
        answered = ask(given.url, given.model, text)
        time.sleep(max(0.0, (1 / given.rate if answered else 2.0) - (time.monotonic() - start)))


if __name__ == "__main__":
    main()
