"""How the rows of the set came: languages and lengths, to be held against those of production."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import LENGTHS, TOKEN_EDGES
from service.bundle import Extraction
from service.language import LANGUAGES, languages


def extraction(texts: Sequence[str], tokens: NDArray[np.int32]) -> Extraction:
    """Shares by language of all different texts, and by length of the rows that were embedded, (N,) tokens each."""
    spoken = np.bincount(languages(texts), minlength=len(LANGUAGES)) / len(texts)
    lengths = np.bincount(np.searchsorted(TOKEN_EDGES, tokens, side="left"), minlength=LENGTHS) / tokens.size
    return Extraction(
        languages={name: round(share, 4) for name, share in zip(LANGUAGES, spoken.tolist(), strict=True) if share > 0},
        lengths=[round(share, 4) for share in lengths.tolist()],
    )
