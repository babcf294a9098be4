"""The bundle: the directory that ``tiltmeter fit`` makes and everything else reads. No pickles, every file under its digest."""

from service.bundle.bundle import Bundle, TopicInfo
from service.bundle.files import (
    CALIBRATION,
    ENCODER_GRAPH,
    LEXICON,
    MANIFEST,
    REFERENCE,
    REPORT,
    SCORER_GRAPH,
    TOKENIZER,
    TOPIC_NAMES,
    TOPICS,
    WORDS,
    WORDS_INPUT,
    encoder_digest,
    sha256,
)
from service.bundle.lexicon import read_lexicon, save_lexicon
from service.bundle.manifest import SCHEMA, Counts, EncoderSettings, Extraction, Manifest, Settings

__all__ = [
    "CALIBRATION",
    "ENCODER_GRAPH",
    "LEXICON",
    "MANIFEST",
    "REFERENCE",
    "REPORT",
    "SCHEMA",
    "SCORER_GRAPH",
    "TOKENIZER",
    "TOPICS",
    "TOPIC_NAMES",
    "WORDS",
    "WORDS_INPUT",
    "Bundle",
    "Counts",
    "EncoderSettings",
    "Extraction",
    "Manifest",
    "Settings",
    "TopicInfo",
    "encoder_digest",
    "read_lexicon",
    "save_lexicon",
    "sha256",
]
