"""Whether clean prompts are flagged as rarely as promised, over many draws of the calibration rows: CLINC150.

    python -m benchmarks.calibration --data DIR [--seeds N]

The train texts are embedded once. For each seed 1,500 of them are held out at random, the rest is split, fitted (no labels) and calibrated
by the rules of ``tiltmeter fit``; then the held-out rows and CLINC150's validation and test questions are scored. Two orders of the
train file: as it is, where the sentences of one author stand together, and shuffled, which takes that knowledge away. The share of pairs
of nearest neighbours within an intent that come from the same split (half by chance) says whether the splits were drawn alike.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import Labelled, clinc
from detectors.calibration import Calibration
from detectors.scores import DensityKnn, combine
from service.config import Compute
from service.encoder import Encoder
from service.fit import DEFAULT_ENCODER, Silent
from service.fit.collect import FieldNames, collect
from service.fit.duplicates import clusters
from service.fit.encoder_files import write_encoder
from service.fit.fit import DELTA
from service.fit.head import fit_topic_heads, fit_topics
from service.fit.split import split

HELD_OUT = 1_500
LEVELS = {"strange": 0.05, "far": 0.01}

Vectors = NDArray[np.float32]


def embedded(rows: Mapping[str, Labelled], folder: Path) -> dict[str, Vectors]:
    encoder = Encoder(folder, write_encoder(DEFAULT_ENCODER, folder), Compute(device="cpu"))
    return {name: np.asarray(encoder.encode([text for text, _ in rows[name]]).vectors) for name in ("train", "val", "test", "oos_val")}


def draw(texts: list[str], vectors: Vectors, checked: Mapping[str, Vectors], seed: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Name -> shares flagged strange and far, in percent; ``bound`` is what was promised."""
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    rows = collect([file], FieldNames(None, None, None), seed, Silent())
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    vectors = vectors[[first[text] for text in rows.texts]]
    divided = split(rows, clusters(rows.texts), seed=seed, reference_max=100_000)
    reference = vectors[divided.reference]
    knn = DensityKnn.fit(reference)
    heads = fit_topic_heads(reference, fit_topics(reference, seed), seed, lambda done: None)
    calibration = Calibration.fit(combine(knn, heads, vectors[divided.calibration]), divided.unit)
    p = {name: calibration.p_values(combine(knn, heads, what)) for name, what in checked.items()}
    bound = tuple(100 * calibration.pac_bound(level, DELTA / len(LEVELS)) for level in LEVELS.values())
    return {"bound": bound} | {name: tuple(100 * float((of <= level).mean()) for level in LEVELS.values()) for name, of in p.items()}


def same_split(vectors: Mapping[str, Vectors], rows: Mapping[str, Labelled], one: str, other: str, each: int) -> float:
    """Share of prompts whose nearest neighbour among ``each`` of both splits, within the intent, is of their own split."""
    rng = np.random.default_rng(0)
    intents = {name: np.array([intent for _, intent in rows[name]]) for name in (one, other)}
    own = []
    for intent in np.unique(intents[one]).tolist():
        drawn = [vectors[name][rng.choice(np.flatnonzero(intents[name] == intent), each, replace=False)] for name in (one, other)]
        both = np.concatenate(drawn)
        similarity = both @ both.T
        np.fill_diagonal(similarity, -np.inf)
        own.append(((similarity.argmax(axis=1) < each) == (np.arange(2 * each) < each)).mean())
    return float(np.mean(own))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds clinc_oos/")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    rows = clinc(arguments.data)
    texts = [text for text, _ in rows["train"]]
    kept = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = embedded(rows, folder)
        for pair in (("train", "test", 30), ("train", "val", 20)):
            print(f"nearest neighbour of the same split, {pair[0]} and {pair[1]}: {same_split(vectors, rows, *pair):.1%}")
        print("order      rows          strange (most)   bound    far (most)       bound    draws within both bounds")
        for order in ("as it is", "shuffled"):
            found = []
            for seed in range(arguments.seeds):
                mixed = np.random.default_rng([seed, 1]).permutation(len(texts))
                out, inside = mixed[:HELD_OUT], mixed[HELD_OUT:] if order == "shuffled" else np.sort(mixed[HELD_OUT:])
                checked = {"held-out train": vectors["train"][out], **{name: vectors[name] for name in ("val", "test", "oos_val")}}
                found.append(draw([texts[i] for i in inside], vectors["train"][inside], checked, seed, folder))
            bounds = np.array([shares["bound"] for shares in found])
            for what in ("held-out train", "val", "test", "oos_val"):
                shares = np.array([shares[what] for shares in found])
                within = int((shares <= bounds).all(axis=1).sum())
                columns = "  ".join(
                    f"{shares[:, i].mean():5.2f}% ({shares[:, i].max():5.2f}%)  {bounds[:, i].mean():.2f}%" for i in range(len(LEVELS))
                )
                print(f"{order:9}  {what:14}  {columns}   {within} of {len(found)}", flush=True)
                kept &= what == "oos_val" or order == "shuffled" or shares.mean(axis=0).tolist() <= bounds.mean(axis=0).tolist()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
