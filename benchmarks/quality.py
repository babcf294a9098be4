"""How well strange prompts are told from usual ones: CLINC150, fitted on its train texts only.

    python -m benchmarks.quality --data DIR [--out FILE]

Scores are those of ``tiltmeter replay``: the bundle's own encoder and scorer. OOD is the positive class; FPR95 is the share of in-scope
test prompts
flagged at the threshold that catches 95% of the out-of-scope ones. Also the share of clean test prompts flagged, beside the bound the
bundle promises.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from service.bundle import Bundle
from service.config import Compute
from service.encoder import Encoder, Scorer
from service.fit import Lines, fit
from service.records import Scores


@dataclass(frozen=True)
class Quality:
    """One line of the table; shares in percent."""

    labels: bool
    auroc: float
    fpr95: float
    aupr_out: float
    strange: float
    strange_bound: float
    far: float
    far_bound: float
    seconds: float


def clinc(data: Path) -> dict[str, list[tuple[str, str]]]:
    """Split -> (text, intent)."""
    return {
        name: [(text, intent) for text, intent in rows]
        for name, rows in json.loads((data / "clinc_oos" / "data_full.json").read_text()).items()
    }


def separation(usual: NDArray[np.floating], strange: NDArray[np.floating]) -> tuple[float, float, float]:
    """AUROC, FPR95 and AUPR-out in percent."""
    scores = np.concatenate([usual, strange])
    positive = np.repeat([0, 1], [usual.size, strange.size])
    caught = np.quantile(strange, 0.05, method="lower")
    return 100 * roc_auc_score(positive, scores), 100 * float((usual >= caught).mean()), 100 * average_precision_score(positive, scores)


def score(bundle: Bundle, texts: list[str]) -> Scores:
    compute = Compute(device="cpu")
    return Scorer.open(bundle, compute).score(Encoder.open(bundle, compute).encode(texts))


def measure(rows: dict[str, list[tuple[str, str]]], folder: Path, labels: bool) -> Quality:
    train = folder / "train.jsonl"
    train.write_text("".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in rows["train"]))
    started = time.monotonic()
    bundle = fit(
        [train], folder / f"bundle-{labels}", label="intent" if labels else None, compute=Compute(device="cpu"), progress=Lines(sys.stderr)
    )
    seconds = time.monotonic() - started
    usual, strange = (score(bundle, [text for text, _ in rows[name]]) for name in ("test", "oos_test"))
    auroc, fpr95, aupr = separation(usual.score, strange.score)
    flagged = 100 * float(usual.strange.mean()), 100 * bundle.nulls["strange"], 100 * float(usual.far.mean()), 100 * bundle.nulls["far"]
    return Quality(labels, auroc, fpr95, aupr, *flagged, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds clinc_oos/")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    rows = clinc(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(rows, Path(folder), labels) for labels in (False, True)]
    print("labels  AUROC  FPR95  AUPR-out  strange (bound)    far (bound)      fit")
    for row in found:
        print(
            f"{'yes' if row.labels else 'no':6}  {row.auroc:5.2f}  {row.fpr95:5.2f}  {row.aupr_out:8.2f}  {row.strange:.2f}% "
            f"({row.strange_bound:.2f}%)  "
            f"{row.far:.2f}% ({row.far_bound:.2f}%)  {row.seconds:.0f} s"
        )
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
