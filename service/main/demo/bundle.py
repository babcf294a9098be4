"""The example's bundle: fitted once for each version of grammar and program, and kept in the user's cache."""

import hashlib
import os
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from detectors.lexical import DIMENSION, FEWEST_SOURCES
from detectors.scores import DENSITY_WEIGHT, LABEL_DENSITY_WEIGHT, LABEL_WEIGHT, LEXICAL_WEIGHT, TOPIC_WEIGHT
from service.bundle import SCHEMA, Bundle
from service.errors import ConfigError
from service.main.demo.finetune import ROWS, SEED, write_finetune
from service.metrics import VERSION
from service.vocabulary import LONGEST


def cache_directory() -> Path:
    """``$XDG_CACHE_HOME/tiltmeter``, by default ``~/.cache/tiltmeter``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tiltmeter"


def example_bundle() -> tuple[Bundle, bool]:
    """The bundle, and whether it had to be fitted now (about 20 s on two cores). One that is damaged is fitted again."""
    from service.fit import fit, terminal_progress

    place = cache_directory() / f"demo-{_digest()}"
    try:
        return Bundle.load(place), False
    except ConfigError:
        pass
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="tiltmeter-demo-") as folder, terminal_progress() as progress:
        rows = Path(folder) / "finetune.jsonl"
        write_finetune(rows)
        return fit([rows], place, label="/intent", group="/conversation", progress=progress, overwrite=True), True


def _digest() -> str:
    """Of everything the bundle depends on here; the encoder is in the bundle's own digests."""
    grammar = files("service.main.demo").joinpath("grammar.yaml").read_bytes()
    weights = f"{DENSITY_WEIGHT} {LABEL_WEIGHT} {TOPIC_WEIGHT} {LABEL_DENSITY_WEIGHT} {LEXICAL_WEIGHT} {DIMENSION} {FEWEST_SOURCES}"
    program = f"{VERSION} {SCHEMA} {ROWS} {SEED} {weights} {LONGEST} "
    return hashlib.sha256(program.encode() + grammar).hexdigest()[:12]
