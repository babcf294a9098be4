"""Speed on CPU as a ratio in one run: our encode + score against sentence-transformers' encode alone, on the same texts.

    python -m benchmarks.speed_encode --data DIR [--texts 2000] [--rounds 5] [--threads 2]

Needs the extra ``export`` (sentence-transformers and torch). Both sides take turns, so that a busy machine disturbs them alike; the
figure is the median over rounds. sentence-transformers runs at its default batch size and at 128, and the faster one counts.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from service.config import Compute
from service.encoder import Encoder, Scorer
from service.fit import DEFAULT_ENCODER, fit
from service.fit.sentence_transformer import resolve


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def workloads(data: Path, count: int) -> dict[str, list[str]]:
    """Short questions as they are, and longer prompts made of several of them (about 100 tokens)."""
    rows = json.loads((data / "clinc_oos" / "data_full.json").read_text())
    short = [text for text, _ in rows["test"]]
    rng = np.random.default_rng(0)
    long = [" and ".join(rng.choice(short, size=8)) for _ in range(max(count // 4, 1))]
    return {"short": short[:count], "long": long}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds clinc_oos/")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError:
        print("left out: it needs the extra 'export' (make export)")
        return 0
    torch.set_num_threads(arguments.threads)
    theirs = SentenceTransformer(str(resolve(DEFAULT_ENCODER).path), device="cpu")
    compute = Compute(device="cpu", threads=arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train.jsonl"
        rows = json.loads((arguments.data / "clinc_oos" / "data_full.json").read_text())["train"]
        train.write_text("".join(json.dumps({"text": text}) + "\n" for text, _ in rows[:5000]))
        bundle = fit([train], Path(folder) / "bundle", compute=compute)
        encoder, scorer = Encoder.open(bundle, compute), Scorer.open(bundle, compute)
        slower = False
        for name, texts in workloads(arguments.data, arguments.texts).items():
            slower |= not report(name, texts, arguments.rounds, lambda batch: scorer.score(encoder.encode(batch)), theirs.encode)
    return int(slower)


def report(name: str, texts: Sequence[str], rounds: int, ours: Callable[..., object], theirs: Callable[..., object]) -> bool:
    """Print one line; whether ours is at least as fast."""
    ours(texts[:64])
    theirs(texts[:64])
    times: dict[str, list[float]] = {"ours": [], "theirs, batch 32": [], "theirs, batch 128": []}
    for _ in range(rounds):
        times["ours"].append(seconds(lambda: ours(texts)))
        times["theirs, batch 32"].append(seconds(lambda: theirs(texts, batch_size=32)))
        times["theirs, batch 128"].append(seconds(lambda: theirs(texts, batch_size=128)))
    median = {side: statistics.median(values) for side, values in times.items()}
    ratio = min(median["theirs, batch 32"], median["theirs, batch 128"]) / median["ours"]
    print(f"{name}: " + ", ".join(f"{side} {len(texts) / value:.0f} prompts/s" for side, value in median.items()) + f"; ratio {ratio:.2f}")
    return ratio >= 1


if __name__ == "__main__":
    sys.exit(main())
