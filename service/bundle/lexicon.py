"""Write and read the lexicon of a bundle."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from detectors.lexical import Lexicon
from service.errors import ConfigError


def save_lexicon(path: Path, lexicon: Lexicon) -> None:
    """Write the tokens that count, their table in half precision, which it has, and the mean."""
    path.write_bytes(save({"tokens": lexicon.tokens, "table": lexicon.table.astype(np.float16), "mean": lexicon.mean}))


def read_lexicon(path: Path) -> Lexicon:
    """Read them. Raises ConfigError where the file is absent or another."""
    try:
        arrays = load_file(path)
        return Lexicon(arrays["tokens"], arrays["table"].astype(np.float32), arrays["mean"])
    except (OSError, SafetensorError, KeyError) as error:
        raise ConfigError(f"{path}: not a lexicon ({error}); the bundle's scorer needs one") from None
