"""Do prompts come as the rows of the fine-tuning set did? What differs from the first hour on is a question of data, not of drift."""

from detectors.baseline import UNLEARNED_EFFECT
from detectors.change import share_interval
from detectors.sketch import Sketch
from service.bundle import Manifest
from service.decider import explain
from service.decider.mixes import Carried
from service.language import LANGUAGES

POINTS = 0.1
"""A share that differs by less than this is not named."""

_NAMED = 3


def differences(manifest: Manifest, seen: Sketch) -> str:
    """Languages, lengths and truncation of production that the fine-tuning set does not have, in words; empty where none is plain.

    Plain is a share whose 95% interval, at the design effect assumed before one is learned, ends :data:`POINTS` or more away from the
    fine-tuning set's. ``seen``: sums over first contact.
    """
    made = manifest.extraction
    if made is None or seen.n == 0 or seen.languages.size != len(LANGUAGES):
        return ""
    parts = [
        (_noun("truncation"), manifest.truncated, int(seen.truncated)),
        *((_noun("language", i), made.languages.get(name, 0.0), int(seen.languages[i])) for i, name in enumerate(LANGUAGES)),
        *((_noun("length", i), share, int(seen.lengths[i])) for i, share in enumerate(made.lengths)),
    ]
    found = []
    for noun, share, x in parts:
        low, high = share_interval(x, seen.n, UNLEARNED_EFFECT)
        apart = max(low - share, share - high)
        if apart >= POINTS:
            found.append((-apart, f"{explain.percent(x / seen.n)} {noun} (fine-tuning set {explain.percent(share)})"))
    if not found:
        return ""
    told = ", ".join(words for _, words in sorted(found)[:_NAMED])
    return f"Looks like a data problem, not drift: prompts come otherwise than the fine-tuning set's rows: {told}"


def _noun(member: str, category: int = -1) -> str:
    return explain.noun(Carried(member, category), ())
