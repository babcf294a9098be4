"""Names of the files in a bundle, and digests."""

import hashlib
from pathlib import Path

from service.bundle.manifest import EncoderSettings

MANIFEST = "manifest.json"
ENCODER_GRAPH = "encoder.onnx"
TOKENIZER = "tokenizer.json"
SCORER_GRAPH = "scorer.onnx"
REFERENCE = "reference.bin"
"""Tiles of reference vectors, read by scorer.onnx as external data."""
CALIBRATION = "calibration.safetensors"
TOPICS = "topics.json"
WORDS = "words.json"
"""The allow-list; older bundles have none, and name no new topic."""
TOPIC_NAMES = "topic_names.json"
"""Names given by people; the only file of a bundle that the manifest does not list."""
REPORT = "report.html"


def sha256(path: Path) -> str:
    """Hex digest of a file. Cost: about 1 ms a megabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encoder_digest(files: dict[str, str], settings: EncoderSettings) -> str:
    """Digest of everything that decides a vector: graph, tokenizer and how text is prepared. Equal digests may share one session."""
    parts = [files[ENCODER_GRAPH], files[TOKENIZER], settings.model_dump_json(include={"max_length", "prompt", "lower_case", "dimension"})]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
