"""Fit a bundle: read, hold out, embed, fit the score on the reference, calibrate it on what was held out, write."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from detectors.calibration import FAR, STRANGE, Calibration
from detectors.features import Fourier
from detectors.scores import DensityKnn, Head
from service.bundle import (
    CALIBRATION,
    ENCODER_GRAPH,
    MANIFEST,
    REFERENCE,
    REPORT,
    SCHEMA,
    SCORER_GRAPH,
    TOKENIZER,
    TOPICS,
    WORDS,
    Bundle,
    Counts,
    EncoderSettings,
    Manifest,
    Settings,
    TopicInfo,
    encoder_digest,
    sha256,
)
from service.bundle.bundle import save_calibration, save_manifest, save_topics, save_vocabulary
from service.config import Compute
from service.encoder import Encoded, Encoder, ScorerGraph, VectorPart
from service.errors import DataError
from service.fit.collect import NONE, FieldNames, Rows, collect
from service.fit.duplicates import clusters
from service.fit.encoder_files import write_encoder
from service.fit.extraction import extraction
from service.fit.head import FOLDS, TOPIC_HEADS, Topics, fit_label_head, fit_topic_heads, fit_topics, topic_folds
from service.fit.output import check_out, publish, staging_beside
from service.fit.progress import Advance, Progress, Silent
from service.fit.report import write_report
from service.fit.scorer_graph import write_scorer
from service.fit.scripts import script_shares
from service.fit.sentence_transformer import DEFAULT_ENCODER
from service.fit.split import Split, split, split_given
from service.fit.warn import FEW_ROWS, warnings_for
from service.fit.words import topic_words
from service.vocabulary import Vocabulary

FEWEST_ROWS = 200
DELTA = 0.01
"""Chance, over the calibration draw, that one of the bundle's two bounds does not hold."""

_STREAMS = {"strange": STRANGE, "far": FAR}
_CHUNK = 4096
_FEWEST_CALIBRATION_ROWS = 20
_FEWEST_CLASSES = 2
_FEWEST_ROWS_A_CLASS = 3
_WORD_MARKS = ("", "\u0120", "\u2581")  # how tokenizers mark the start of a word

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Score:
    """Everything the scorer graph is written from."""

    knn: DensityKnn
    heads: tuple[Head, ...]
    trained_on: str
    topics: Topics


@dataclass(frozen=True, slots=True)
class _Data:
    """The set, held out.

    ``texts`` are those of the set, then those of calibration files; ``source`` (T,) is the group or cluster of each.
    """

    rows: Rows
    texts: Sequence[str]
    split: Split
    source: NDArray[np.int64]
    given: bool


def fit(
    files: Sequence[Path | str],
    out: Path | str,
    *,
    encoder: str = DEFAULT_ENCODER,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    calibration: Sequence[Path | str] = (),
    seed: int = 0,
    reference_max: int = 100_000,
    compute: Compute | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Fit a bundle on a fine-tuning set and write it to ``out``; the same input, seed and machine give the same bytes.

    Args:
        files: JSONL, CSV or Parquet files; ``-`` is standard input.
        out: directory to make, absent or empty.
        encoder: hub id or local directory of a sentence-transformers model.
        text: JSON pointer or column of the prompt; None means text, prompt, or the last user turn of messages.
        label: field with class labels; None trains the head on topics.
        group: field whose rows (a conversation, a customer) stay on one side of the split.
        calibration: files held out by the operator; empty holds 20% of the rows out.
        seed: of every draw.
        reference_max: most reference rows kept.
        compute: device and threads.
        progress: told about each stage.
        overwrite: replace an older bundle in ``out``; anything else there is refused all the same.

    Raises:
        DataError: fewer than 200 rows, a broken file, a field that is not there; names file and line.
        ConfigError: encoder, device or output directory cannot be used.
    """
    out = Path(out)
    check_out(out, overwrite)
    compute, progress = compute or Compute(), progress or Silent()
    names = FieldNames(text, label, group)
    data = _read(files, calibration, names, seed, reference_max, progress)
    staging = staging_beside(out)
    try:
        manifest = _write(data, names, encoder, seed, reference_max, compute, progress, staging)
        for warning in manifest.warnings:
            _log.warning("%s", warning)
        publish(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Bundle.load(out)


def _read(
    files: Sequence[Path | str], calibration: Sequence[Path | str], names: FieldNames, seed: int, reference_max: int, progress: Progress
) -> _Data:
    rows = collect(files, names, seed, progress)
    used = rows.rows - rows.empty
    if min(used, len(rows.texts)) < FEWEST_ROWS:
        raise DataError(
            f"{', '.join(map(str, files))}: {used:,} rows with text ({len(rows.texts):,} different texts, {rows.empty:,} rows empty); "
            f"at least {FEWEST_ROWS} different ones are needed to say what is usual, and {FEW_ROWS:,} to see small changes"
        )
    held = collect(calibration, FieldNames(names.text, None, names.group), seed, progress) if calibration else None
    texts = [*rows.texts, *(held.texts if held else ())]
    if held is not None and int(held.count.sum()) < _FEWEST_CALIBRATION_ROWS:
        raise DataError(
            f"{', '.join(map(str, calibration))}: {int(held.count.sum())} calibration rows; at least {_FEWEST_CALIBRATION_ROWS} are needed"
        )
    cluster = clusters(texts, progress.stage("finding near duplicates", len(texts)))
    if held is not None:
        divided = split_given(rows, held, cluster, seed=seed, reference_max=reference_max)
    else:
        divided = split(rows, cluster, seed=seed, reference_max=reference_max)
    source = cluster
    if rows.groups:
        source = np.full(len(texts), NONE, np.int64)
        source[rows.text[::-1]] = rows.group[::-1]
    return _Data(rows, texts, divided, source, held is not None)


def _write(
    data: _Data, names: FieldNames, encoder: str, seed: int, reference_max: int, compute: Compute, progress: Progress, out: Path
) -> Manifest:
    """Write every file of the bundle into ``out``."""
    progress.stage("preparing the encoder", None)
    encoder_settings = write_encoder(encoder, out)
    running = Encoder(out, encoder_settings, compute)
    held, places = np.unique(data.split.calibration, return_inverse=True)
    reference = _embed(running, data, data.split.reference, progress.stage("embedding the reference", data.split.reference.size))
    calibration = _embed(running, data, held, progress.stage("embedding the calibration rows", held.size))
    score = _fit_score(reference.vectors, data.split.label, seed, progress)
    write_scorer(score.knn, score.heads, score.topics.centroids, Fourier.fit(reference.vectors, seed), out)
    raw, _, _ = ScorerGraph(out, compute).run(calibration)
    calibrated = Calibration.fit(raw[places], data.split.unit)
    topics, allowed = _name_topics(data, score.topics, out / TOKENIZER)
    save_calibration(out / CALIBRATION, calibrated)
    save_topics(out / TOPICS, topics)
    save_vocabulary(out / WORDS, allowed)
    truncated = np.concatenate([reference.truncated, calibration.truncated[places]])
    settings = Settings(
        text=f"field {names.text}" if names.text else "text, prompt, or the last user turn of messages",
        label=names.label,
        group=names.group,
        seed=seed,
        reference_max=reference_max,
        calibration_from="files" if data.given else "split",
        neighbours=score.knn.k,
        density_weight=score.knn.weight,
        head=score.trained_on,
        heads=len(score.heads),
        head_weight=round(sum(head.share for head in score.heads), 6),
        head_density_weight=max((head.weight for head in score.heads), default=0.0),
    )
    manifest = _manifest(data, encoder_settings, settings, calibrated, len(topics), float(truncated.mean()), out)
    manifest = manifest.rewritten(extraction=extraction(data.texts, np.concatenate([reference.tokens, calibration.tokens[places]])))
    write_report(out / REPORT, manifest, topics, calibrated)
    manifest = manifest.rewritten(files={**manifest.files, REPORT: sha256(out / REPORT)})
    save_manifest(out / MANIFEST, manifest)
    return manifest


def _embed(encoder: Encoder, data: _Data, numbers: NDArray[np.int64], advance: Advance) -> Encoded:
    """Encode the texts of these numbers, piece by piece, onto the host."""
    vectors = np.empty((numbers.size, encoder.dimension), np.float32)
    tokens = np.empty(numbers.size, np.int32)
    truncated = np.empty(numbers.size, np.bool_)
    for start in range(0, numbers.size, _CHUNK):
        piece = slice(start, min(start + _CHUNK, numbers.size))
        encoded = encoder.encode([data.texts[number] for number in numbers[piece].tolist()])
        vectors[piece], tokens[piece], truncated[piece] = encoded.vectors, encoded.tokens, encoded.truncated
        advance(piece.stop - start)
    return Encoded([VectorPart(np.arange(numbers.size), vectors)], tokens, truncated, encoder.dimension)


def _fit_score(reference: NDArray[np.float32], label: NDArray[np.int64], seed: int, progress: Progress) -> _Score:
    """Distance, topics and heads, from the reference alone."""
    knn = DensityKnn.fit(reference, progress=progress.stage("finding neighbours", len(reference)))
    progress.stage("finding topics", None)
    topics = fit_topics(reference, seed)
    labelled = label != NONE
    classes = np.unique(label[labelled]).size
    if _FEWEST_CLASSES <= classes <= labelled.sum() / _FEWEST_ROWS_A_CLASS:
        advance = progress.stage("training the head", FOLDS + 1)
        return _Score(knn, (fit_label_head(reference, label, knn.nearest, seed, advance),), "labels", topics)
    advance = progress.stage("training the heads", TOPIC_HEADS * (topic_folds(len(reference)) + 1))
    heads = fit_topic_heads(reference, topics, seed, advance)
    return _Score(knn, heads, "topics" if heads else "none", topics)


def _name_topics(data: _Data, topics: Topics, tokenizer: Path) -> tuple[list[TopicInfo], Vocabulary]:
    vocabulary = Tokenizer.from_file(str(tokenizer)).get_vocab()
    texts = [data.texts[number] for number in data.split.reference.tolist()]
    count = len(topics.centroids)
    source = data.source[data.split.reference]
    words, allowed = topic_words(texts, topics.topic, count, source, lambda word: any(mark + word in vocabulary for mark in _WORD_MARKS))
    shares = np.bincount(topics.topic, minlength=count) / len(texts)
    return [TopicInfo(found, float(share)) for found, share in zip(words, shares, strict=True)], allowed


def _manifest(
    data: _Data, encoder: EncoderSettings, settings: Settings, calibration: Calibration, topics: int, truncated: float, out: Path
) -> Manifest:
    rows, divided = data.rows, data.split
    counts = Counts(
        rows=rows.rows,
        empty=rows.empty,
        unlabelled=rows.unlabelled,
        distinct=len(rows.texts),
        clusters=divided.clusters,
        groups=rows.groups,
        reference=divided.reference.size,
        calibration=divided.calibration.size,
        calibration_effective=round(calibration.n_effective, 3),
        left_out=divided.left_out + rows.dropped,
    )
    files = {name: sha256(out / name) for name in (ENCODER_GRAPH, TOKENIZER, SCORER_GRAPH, REFERENCE, CALIBRATION, TOPICS, WORDS)}
    nulls = {name: calibration.pac_bound(level, DELTA / len(_STREAMS)) for name, level in _STREAMS.items()}
    return Manifest(
        schema=SCHEMA,
        encoder=encoder,
        encoder_digest=encoder_digest(files, encoder),
        counts=counts,
        settings=settings,
        truncated=round(truncated, 6),
        scripts=script_shares(data.texts),
        topics=topics,
        nulls=nulls,
        delta=DELTA,
        warnings=warnings_for(counts, settings, nulls, truncated, divided.loosened, np.unique(divided.label[divided.label != NONE]).size),
        files=files,
    )
