"""CLINC150, fitted and replayed as a user would: strange prompts are told from usual ones, and clean ones are flagged as promised."""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.quality import BARS, clinc, separation
from service.bundle import Bundle
from service.main import app

START = 1_767_225_600


@pytest.fixture(scope="module")
def texts(data_dir: Path) -> dict[str, list[str]]:
    if not (data_dir / "clinc_oos").is_dir():
        pytest.skip(f"no clinc_oos in {data_dir}")
    return {name: [text for text, _ in rows] for name, rows in clinc(data_dir).items()}


def write(path: Path, texts: Iterable[str]) -> Path:
    lines = (json.dumps({"id": str(number), "ts": START + number, "text": text}) for number, text in enumerate(texts))
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def fitted(folder: Path, texts: Sequence[str]) -> Bundle:
    run("fit", write(folder / "train.jsonl", texts), "--out", folder / "bundle")
    return Bundle.load(folder / "bundle")


def replayed(folder: Path, *parts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Lines of ``replay --scores``, part by part, in the order of the texts."""
    file, scores = write(folder / "prompts.jsonl", itertools.chain(*parts)), folder / "scores.jsonl"
    run("replay", file, "--bundle", folder / "bundle", "--time", "ts", "--scores", scores)
    lines = iter(sorted(map(json.loads, scores.read_text().splitlines()), key=lambda line: int(line["id"])))
    found = [list(itertools.islice(lines, len(part))) for part in parts]
    assert [len(some) for some in found] == [len(part) for part in parts]
    return found


def check_shares(bundle: Bundle, clean: Sequence[dict[str, Any]]) -> None:
    for flag, null in bundle.nulls.items():
        share = np.mean([line[flag] for line in clean])
        print(f"{flag}: {share:.2%} of clean rows, bound {null:.2%}")
        assert share <= null


@pytest.mark.slow
def test_strange_prompts_are_told_from_usual_ones_without_labels(texts: dict[str, list[str]], tmp_path: Path) -> None:
    """Fitted on all train rows. The test questions are by other people than those, and still flagged within the bound."""
    bundle = fitted(tmp_path, texts["train"])
    usual, strange = replayed(tmp_path, texts["test"], texts["oos_test"])
    auroc, fpr95, aupr = separation(*(np.array([line["score"] for line in some]) for some in (usual, strange)))
    print(f"AUROC {auroc:.2f}, FPR95 {fpr95:.2f}, AUPR-out {aupr:.2f}")
    lowest, highest, out = BARS[False]
    assert auroc >= lowest
    assert fpr95 <= highest
    assert aupr >= out
    check_shares(bundle, usual)
    assert np.mean([line["strange"] for line in strange]) > 0.9


@pytest.mark.slow
def test_held_out_rows_are_flagged_within_the_bound(texts: dict[str, list[str]], tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).permutation(len(texts["train"]))
    kept, held = np.sort(drawn[:5_000]), drawn[5_000:7_000]
    bundle = fitted(tmp_path, [texts["train"][i] for i in kept])
    (clean,) = replayed(tmp_path, [texts["train"][i] for i in held])
    check_shares(bundle, clean)
