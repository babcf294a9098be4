"""How well strange prompts are told from usual ones, beside other scores, and whether clean ones are flagged as rarely as promised.

    python -m benchmarks.quality --data DIR [--part scores|streams] [--fewer] [--draws 2] [--out FILE]

Three sets: CLINC150 (out-of-scope questions), BANKING77 with 19 of its 77 intents held out (near; mean of some draws), and questions of
Natural Questions against CLINC150 (far). The scores of others are those of benchmarks/scores.py; they get every train row, ours keeps a
fifth of it for calibration. On CLINC150 and Natural Questions ours is the fitted bundle itself, on BANKING77 detectors.scores.combine,
which the scorer graph computes.

Separation: fitted on the train texts only (a fifth of which goes to calibration), scored on the test split. OOD is the positive class;
FPR95 is the share of in-scope prompts flagged at the threshold that catches 95% of the out-of-scope ones. Calibration: 3,000 train rows
are held out at random before the fit, and the share of them that is flagged stands beside the bundle's bound; so does that of the test
split, which other people wrote (see benchmarks/calibration.py). Scores are those of ``tiltmeter replay``: the bundle's own encoder and
scorer.

Then what the streams make of it, see benchmarks/streams.py: false pages where nothing changes, delays where something does. Two hours or
so of one core; ``--fewer`` takes a tenth of the runs.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks import streams
from benchmarks.scores import OTHERS, Case, Found
from detectors.scores import DensityKnn, Head, combine
from service.bundle import Bundle
from service.config import Compute
from service.encoder import Encoder, Scorer
from service.fit import Lines, fit
from service.fit.collect import FieldNames, collect
from service.fit.duplicates import clusters
from service.fit.head import fit_label_head, fit_topic_heads, fit_topics
from service.fit.progress import Silent
from service.fit.split import split
from service.records import Scores

HELD_OUT = 3_000
SEED = 0
BARS = {False: (98.0, 9.6, 93.0), True: (98.2, 8.0, 93.3)}
NEAR_HELD_OUT = 19

CLINC, NEAR, FAR, OURS = "CLINC150", "BANKING77 (near)", "NQ (far)", "Tiltmeter"

Labelled = list[tuple[str, str]]


@dataclass(frozen=True)
class Separation:
    """Percentages of one score on one set; ``labels``: whether it needs them."""

    data: str
    score: str
    labels: bool
    auroc: float
    fpr95: float
    aupr_out: float

    @property
    def met(self) -> bool | None:
        """Whether all three bars are; None where there are none."""
        if (self.data, self.score) != (CLINC, OURS):
            return None
        low, high, out = BARS[self.labels]
        return self.auroc >= low and self.fpr95 <= high and self.aupr_out >= out


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
    folder.mkdir(exist_ok=True)
    train = folder / "train.jsonl"
    train.write_text("".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in rows))
    label = "intent" if labels else None
    return fit(
        [train], folder / "bundle", label=label, seed=SEED, compute=Compute(device="cpu"), progress=Lines(sys.stderr), overwrite=True
    )


def by_bundle(rows: dict[str, Labelled], far: list[str], folder: Path, labels: bool) -> tuple[list[Separation], list[Flagged], Bundle]:
    """Our rows on CLINC150 and Natural Questions, with one fitted bundle."""
    bundle = fitted(rows["train"], folder / str(labels), labels)
    usual, strange = (score(bundle, [text for text, _ in rows[name]]) for name in ("test", "oos_test"))
    found = [Separation(CLINC, OURS, labels, *separation(usual.score, strange.score))]
    found.append(Separation(FAR, OURS, labels, *separation(usual.score, score(bundle, far).score)))
    return found, flagged("test split", bundle, usual), bundle


def by_others(names: Sequence[str], case: Case) -> list[Separation]:
    """The rows of the other scores; a name for each kind of strange rows."""
    found = []
    for score_name, (labels, scores) in OTHERS.items():
        usual, *strange = scores(case)
        found += [Separation(data, score_name, labels, *separation(usual, other)) for data, other in zip(names, strange, strict=True)]
    return found


def by_reference(case: Case, folder: Path, labels: bool) -> Found:
    """Our score of a set without a bundle: the split, constants and heads of ``fit``."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": a, "intent": b}) + "\n" for a, b in zip(case.texts, case.labels.tolist(), strict=True)))
    rows = collect([file], FieldNames(None, "intent", None), SEED, Silent())
    divided = split(rows, clusters(rows.texts), seed=SEED, reference_max=100_000)
    place = {text: i for i, text in reversed(list(enumerate(case.texts)))}
    reference = case.vectors[[place[rows.texts[number]] for number in divided.reference.tolist()]]
    distance = DensityKnn.fit(reference)
    if labels:
        heads: tuple[Head, ...] = (fit_label_head(reference, divided.label, distance.nearest, SEED, lambda done: None),)
    else:
        heads = fit_topic_heads(reference, fit_topics(reference, SEED), SEED, lambda done: None)
    return tuple(combine(distance, heads, query) for query in case.queries)


def near_cases(data: Path, encode: Callable[[list[str]], NDArray[np.float32]], draws: int) -> Iterator[Case]:
    """BANKING77, each time with other intents held out."""
    splits = {name: banking(data / "banking77" / f"{name}.csv") for name in ("train", "test")}
    vectors = {name: encode([text for text, _ in rows]) for name, rows in splits.items()}
    intents = {name: np.array([intent for _, intent in rows]) for name, rows in splits.items()}
    for draw in range(draws):
        held = np.random.default_rng(SEED + draw).choice(np.unique(intents["train"]), NEAR_HELD_OUT, replace=False)
        known = {name: ~np.isin(intents[name], held) for name in splits}
        texts = {name: np.array([text for text, _ in rows], dtype=object) for name, rows in splits.items()}
        train, test = known["train"], known["test"]
        yield Case(
            texts["train"][train].tolist(),
            vectors["train"][train],
            intents["train"][train],
            (texts["test"][test].tolist(), texts["test"][~test].tolist()),
            (vectors["test"][test], vectors["test"][~test]),
        )


def banking(file: Path) -> Labelled:
    """(text, intent) of one split."""
    with file.open(newline="") as stream:
        return [(row["text"], row["category"]) for row in csv.DictReader(stream)]


def mean(rows: list[Separation]) -> Separation:
    """One row of several draws."""
    return replace(rows[0], **{name: float(np.mean([getattr(row, name) for row in rows])) for name in ("auroc", "fpr95", "aupr_out")})


def near(data: Path, folder: Path, encode: Callable[[list[str]], NDArray[np.float32]], draws: int) -> list[Separation]:
    """All rows on BANKING77."""
    found: list[list[Separation]] = []
    for case in near_cases(data, encode, draws):
        ours = [Separation(NEAR, OURS, labels, *separation(*by_reference(case, folder, labels))) for labels in (False, True)]
        found.append(ours + by_others([NEAR], case))
    return [mean(list(rows)) for rows in zip(*found, strict=True)]


def flagged(name: str, bundle: Bundle, scores: Scores) -> list[Flagged]:
    shares = {"strange": scores.strange.mean(), "far": scores.far.mean()}
    return [Flagged(name, flag, 100 * float(share), 100 * bundle.nulls[flag]) for flag, share in shares.items()]


def calibrated(rows: Labelled, folder: Path) -> list[Flagged]:
    order = np.random.default_rng(SEED).permutation(len(rows)).tolist()
    bundle = fitted([rows[i] for i in sorted(order[HELD_OUT:])], folder, labels=False)
    return flagged("held-out train rows", bundle, score(bundle, [rows[i][0] for i in order[:HELD_OUT]]))


def main() -> int:
    """Print what was asked for; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds clinc_oos/, banking77/ and nq_open/")
    parser.add_argument("--draws", type=int, default=2, help="draws of held-out intents")
    parser.add_argument("--out", type=Path, help="write the figures of the scores as JSON")
    parser.add_argument("--part", choices=["scores", "streams"], help="half of it only")
    parser.add_argument("--fewer", action="store_true", help="a tenth of the runs of the streams")
    arguments = parser.parse_args()
    kept = arguments.part == "streams" or scores(arguments.data, arguments.draws, arguments.out)
    if arguments.part != "scores":
        kept &= streams.show(arguments.data, arguments.fewer)
    return 0 if kept else 1


def scores(data: Path, draws: int, out: Path | None) -> bool:
    """Print the tables of the scores; whether the bars are kept."""
    rows = clinc(data)
    far = [json.loads(line)["question"] for line in (data / "nq_open" / "NQ-open.dev.jsonl").read_text().splitlines()]
    found: list[Separation] = []
    shares: list[Flagged] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for labels in (False, True):
            ours, test, bundle = by_bundle(rows, far, folder, labels)
            found += ours
            shares += test if not labels else []
        encoder = Encoder.open(bundle, Compute(device="cpu"))
        texts = {split_name: [text for text, _ in rows[split_name]] for split_name in ("train", "test", "oos_test")}
        vectors = {key: encoder.encode(value).vectors for key, value in {**texts, "far": far}.items()}
        intents = np.array([intent for _, intent in rows["train"]])
        asked = texts["test"], texts["oos_test"], far
        case = Case(texts["train"], vectors["train"], intents, asked, (vectors["test"], vectors["oos_test"], vectors["far"]))
        found += by_others([CLINC, FAR], case)
        found += near(data, folder, lambda asked: encoder.encode(asked).vectors, draws)
        shares += calibrated(rows["train"], folder / "calibrated")
    show(found, shares)
    if out:
        figures = {"separation": [asdict(row) for row in found], "flagged": [asdict(share) for share in shares]}
        out.write_text(json.dumps(figures, indent=1) + "\n")
    return all(row.met is not False for row in found)


def show(found: list[Separation], shares: list[Flagged]) -> None:
    """Print AUROC / FPR95 / AUPR-out of every score, and what of the clean rows is flagged."""
    sets = (CLINC, NEAR, FAR)
    cells = {(row.data, row.score, row.labels): f"{row.auroc:.2f} / {row.fpr95:.2f} / {row.aupr_out:.2f}" for row in found}
    print("| score | labels | " + " | ".join(sets) + " |\n|---|---|" + "---|" * len(sets))
    for name, labels in dict.fromkeys((row.score, row.labels) for row in found):
        print(f"| {name} | {'yes' if labels else 'no'} | " + " | ".join(cells[data, name, labels] for data in sets) + " |")
    for row in found:
        if row.met is not None:
            print(f"bars of {CLINC}, labels {'yes' if row.labels else 'no'}: {BARS[row.labels]} {'kept' if row.met else 'MISSED'}")
    print("clean rows           flag     share   bound")
    for share in shares:
        print(f"{share.rows:20} {share.flag:8} {share.share:.2f}%  {share.bound:.2f}%")


if __name__ == "__main__":
    sys.exit(main())
