"""The bundle: the directory that ``tiltmeter fit`` makes and everything else reads. No pickles, every file under its digest."""

from service.bundle.bundle import Bundle, TopicInfo
from service.bundle.files import (
    CALIBRATION,
    ENCODER_GRAPH,
    MANIFEST,
    REFERENCE,
    REPORT,
    SCORER_GRAPH,
    TOKENIZER,
    TOPIC_NAMES,
    TOPICS,
    WORDS,
    encoder_digest,
    sha256,
)
from service.bundle.manifest import SCHEMA, Counts, EncoderSettings, Extraction, Manifest, Settings

__all__ = [
    "CALIBRATION",
    "ENCODER_GRAPH",
    "MANIFEST",
    "REFERENCE",
    "REPORT",
    "SCHEMA",
    "SCORER_GRAPH",
    "TOKENIZER",
    "TOPICS",
    "TOPIC_NAMES",
    "WORDS",
    "Bundle",
    "Counts",
    "EncoderSettings",
    "Extraction",
    "Manifest",
    "Settings",
    "TopicInfo",
    "encoder_digest",
    "sha256",
]
