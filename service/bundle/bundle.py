"""Load a bundle after checking all of it, or write one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from detectors.calibration import Calibration
from service.bundle.describe import describe
from service.bundle.files import (
    CALIBRATION,
    ENCODER_GRAPH,
    MANIFEST,
    REFERENCE,
    SCORER_GRAPH,
    TOKENIZER,
    TOPICS,
    WORDS,
    encoder_digest,
    sha256,
)
from service.bundle.landmarks import read_landmarks
from service.bundle.manifest import SCHEMA, Manifest
from service.bundle.names import read_names
from service.errors import ConfigError
from service.vocabulary import Vocabulary

_REQUIRED = (ENCODER_GRAPH, TOKENIZER, SCORER_GRAPH, REFERENCE, CALIBRATION, TOPICS)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic of the fine-tuning set: its most telling words (may be empty) and its share of the reference."""

    words: tuple[str, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle directory.

    Attributes:
        path: the directory.
        digest: sha256 of manifest.json, which holds the digests of all other files: equal digests mean equal bundles.
        manifest: what was fitted.
        topics: K topics, in the order of the indices in Scores, under the names that people gave them.
        fitted: the same under the words that ``fit`` found.
        calibration: sorted scores of the held-out rows.
        vocabulary: words of the set that may be shown; None in a bundle fitted before there was a list.
    """

    path: Path
    digest: str
    manifest: Manifest
    topics: Sequence[TopicInfo]
    fitted: Sequence[TopicInfo]
    calibration: Calibration
    vocabulary: Vocabulary | None = None

    @classmethod
    def load(cls, path: Path | str) -> "Bundle":
        """Read and check a bundle: schema, the digest of every file, and that the parts belong together.

        Cost: about 0.15 s for 120 MB.

        Raises:
            ConfigError: names the file and what is wrong: absent, changed since it was fitted, of another schema, for another encoder,
                topic names of another bundle.
        """
        path = Path(path)
        manifest = _read_manifest(path / MANIFEST)
        for name in _REQUIRED:
            if name not in manifest.files:
                raise ConfigError(f"{path / MANIFEST}: files: {name} is not listed")
        for name, expected in manifest.files.items():
            _check_file(path, name, expected)
        if encoder_digest(manifest.files, manifest.encoder) != manifest.encoder_digest:
            raise ConfigError(
                f"{path / MANIFEST}: encoder_digest is not that of {ENCODER_GRAPH} and {TOKENIZER}: the bundle was fitted with "
                "another encoder"
            )
        fitted = tuple(
            TopicInfo(tuple(topic["words"]), float(topic["share"])) for topic in json.loads((path / TOPICS).read_text(encoding="utf-8"))
        )
        if len(fitted) != manifest.topics:
            raise ConfigError(f"{path / TOPICS}: {len(fitted)} topics, the manifest says {manifest.topics}")
        digest = sha256(path / MANIFEST)
        names = read_names(path, digest, len(fitted))
        topics = tuple(TopicInfo(tuple(names[i].split()), topic.share) if i in names else topic for i, topic in enumerate(fitted))
        vocabulary = _read_vocabulary(path / WORDS) if WORDS in manifest.files else None
        return cls(path, digest, manifest, topics, fitted, _read_calibration(path / CALIBRATION), vocabulary)

    @property
    def encoder_digest(self) -> str:
        """Bundles with equal encoder digests share one encoder."""
        return self.manifest.encoder_digest

    @property
    def nulls(self) -> Mapping[str, float]:
        """PAC bound of the share of each flag under no change: keys ``strange`` and ``far``; no minimum effect in it."""
        return self.manifest.nulls

    def landmarks(self) -> NDArray[np.float32]:
        """(K, F) float32, Fourier features at the centre of each topic: says in words where the mean embedding went.

        Read from the scorer's graph without its reference vectors. Cost: about 0.2 s, most of it the import of onnx.
        """
        return read_landmarks(self.path / SCORER_GRAPH)

    def describe(self) -> str:
        """What the bundle is, for ``tiltmeter bundle show``: plain lines, no prompt text."""
        return describe(self.manifest, self.digest, [(topic.words, topic.share) for topic in self.topics])


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write the calibration's arrays. The bytes depend on the arrays alone."""
    # Not save_file: it makes a file that only its owner may read, and a service seldom runs as the one who fitted.
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in calibration.arrays().items()}))


def save_topics(path: Path, topics: Sequence[TopicInfo]) -> None:
    """Write the topics as JSON."""
    rows = [{"words": list(topic.words), "share": round(topic.share, 6)} for topic in topics]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def save_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write the allow-list as JSON, most frequent words first."""
    content = {"rows": vocabulary.total, "words": [list(pair) for pair in zip(vocabulary.words, vocabulary.rows, strict=True)]}
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write manifest.json; the last file of a bundle."""
    path.write_text(manifest.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected a directory made by `tiltmeter fit`")
    try:
        content = json.loads(path.read_bytes())
        schema = content["schema"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: not a bundle's manifest") from None
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        advice = "newer than this program's {}; upgrade tiltmeter or fit" if newer else "not this program's {}; fit"
        raise ConfigError(f"{path}: schema {schema} is {advice.format(SCHEMA)} the bundle again")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _check_file(path: Path, name: str, expected: str) -> None:
    file = path / name
    if Path(name).name != name:
        raise ConfigError(f"{path / MANIFEST}: files: {name!r} lies outside the bundle")
    if not file.is_file():
        raise ConfigError(f"{file}: missing from the bundle")
    if (found := sha256(file)) != expected:
        raise ConfigError(f"{file}: changed since it was fitted (sha256 {found[:12]}, the manifest says {expected[:12]})")


def _read_calibration(path: Path) -> Calibration:
    try:
        return Calibration.from_arrays(load_file(path))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_vocabulary(path: Path) -> Vocabulary:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        words, rows = zip(*content["words"], strict=True) if content["words"] else ((), ())
        return Vocabulary(tuple(map(str, words)), tuple(map(int, rows)), int(content["rows"]))
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: not a list of words and the rows that hold them; fit the bundle again") from None
