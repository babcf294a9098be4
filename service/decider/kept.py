"""What is kept of a detector over restarts, and what tells its baseline from another."""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np

from detectors.contract import State
from detectors.embedding_baseline import EmbeddingBaseline
from detectors.topic_baseline import TopicBaseline
from detectors.volume_baseline import VolumeBaseline

Learned = TopicBaseline | EmbeddingBaseline | VolumeBaseline

_TAKEN: Mapping[type, tuple[str, ...]] = {
    TopicBaseline: ("upper", "lower", "design_effect"),
    EmbeddingBaseline: ("mean", "prompts", "centre", "scale", "threshold", "null"),
    VolumeBaseline: ("seconds", "level", "beyond", "null", "design_effect"),
}

_SHOWN = ("version", "rates", "evidence", "crossed", "part", "stray", "totals", "last", "newest", "filling", "run")
"""Arrays of a detector that are kept here; its baseline is kept where it was learned."""


def kept(state: State) -> State:
    """What of a detector's state is kept here."""
    return {name: array for name, array in state.items() if name in _SHOWN or name.startswith("recursion_")}


def token(baseline: Learned | None, broken: bool) -> str:
    """A hash of everything a detector takes from its baseline, and whether the replay keeps it from paging."""
    if baseline is None:
        return ""
    digest = blake2b(str(baseline.may_page and not broken).encode(), digest_size=8)
    for name in _TAKEN[type(baseline)]:
        digest.update(np.ascontiguousarray(np.asarray(getattr(baseline, name))).tobytes())
    return digest.hexdigest()
