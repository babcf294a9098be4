"""How well strange prompts are told from usual ones, and whether clean ones are flagged as rarely as promised: CLINC150.

    python -m benchmarks.quality --data DIR [--out FILE]

Separation: fitted on the train texts only (a fifth of which goes to calibration), scored on the test split. OOD is the positive class;
FPR95 is the share of in-scope prompts flagged at the threshold that catches 95% of the out-of-scope ones. Calibration: 3,000 train rows
are held out at random before the fit, and the share of them that is flagged stands beside the bundle's bound; so does that of the test
split, which other people wrote (see benchmarks/calibration.py). Scores are those of ``tiltmeter replay``: the bundle's own encoder and
scorer.
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

HELD_OUT = 3_000
SEED = 0
BARS = {False: (97.7, 10.0, 92.0), True: (98.0, 8.8, 93.0)}

Labelled = list[tuple[str, str]]


@dataclass(frozen=True)
class Separation:
    """Percentages; ``met`` says whether all three bars are."""

    labels: bool
    auroc: float
    fpr95: float
    aupr_out: float
    met: bool
    fit_seconds: float


@dataclass(frozen=True)
class Flagged:
    """Share of clean rows flagged, in percent, and the bound of the bundle."""

    rows: str
    flag: str
    share: float
    bound: float


def clinc(data: Path) -> dict[str, Labelled]:
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


def fitted(rows: Labelled, folder: Path, labels: bool) -> Bundle:
    train = folder / "train.jsonl"
    train.write_text("".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in rows))
    label = "intent" if labels else None
    return fit(
        [train], folder / "bundle", label=label, seed=SEED, compute=Compute(device="cpu"), progress=Lines(sys.stderr), overwrite=True
    )


def separated(rows: dict[str, Labelled], folder: Path, labels: bool) -> tuple[Separation, list[Flagged]]:
    started = time.monotonic()
    bundle = fitted(rows["train"], folder, labels)
    seconds = time.monotonic() - started
    usual, strange = (score(bundle, [text for text, _ in rows[name]]) for name in ("test", "oos_test"))
    auroc, fpr95, aupr = separation(usual.score, strange.score)
    low, high, out = BARS[labels]
    return Separation(labels, auroc, fpr95, aupr, auroc >= low and fpr95 <= high and aupr >= out, seconds), flagged(
        "test split", bundle, usual
    )


def flagged(name: str, bundle: Bundle, scores: Scores) -> list[Flagged]:
    shares = {"strange": scores.strange.mean(), "far": scores.far.mean()}
    return [Flagged(name, flag, 100 * float(share), 100 * bundle.nulls[flag]) for flag, share in shares.items()]


def calibrated(rows: Labelled, folder: Path) -> list[Flagged]:
    order = np.random.default_rng(SEED).permutation(len(rows)).tolist()
    bundle = fitted([rows[i] for i in sorted(order[HELD_OUT:])], folder, labels=False)
    return flagged("held-out train rows", bundle, score(bundle, [rows[i][0] for i in order[:HELD_OUT]]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds clinc_oos/")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    rows = clinc(arguments.data)
    separations, shares = [], []
    with tempfile.TemporaryDirectory() as folder:
        for labels in (False, True):
            found, test = separated(rows, Path(folder), labels)
            separations.append(found)
            shares += test if not labels else []
        shares += calibrated(rows["train"], Path(folder))
    print("labels  AUROC  FPR95  AUPR-out  bars  fit")
    for row in separations:
        kind, met = "yes" if row.labels else "no", "met" if row.met else "missed"
        print(f"{kind:6}  {row.auroc:5.2f}  {row.fpr95:5.2f}  {row.aupr_out:8.2f}  {met}  {row.fit_seconds:.0f} s")
    print("clean rows           flag     share   bound")
    for share in shares:
        print(f"{share.rows:20} {share.flag:8} {share.share:.2f}%  {share.bound:.2f}%")
    if arguments.out:
        found_all = {"separation": [asdict(row) for row in separations], "flagged": [asdict(share) for share in shares]}
        arguments.out.write_text(json.dumps(found_all, indent=1) + "\n")
    return 0 if all(row.met for row in separations) else 1


if __name__ == "__main__":
    sys.exit(main())
