"""What the operator should know before relying on a bundle."""

from collections.abc import Mapping

from detectors.calibration import STRANGE
from service.bundle import Counts, Settings

FEW_ROWS = 2_000
_MANY_TRUNCATED = 0.05
_SENSITIVITY = 0.8
"""Share of prompts from elsewhere that is flagged strange; about what is measured on public sets."""

_MIN_EFFECT = 0.005


def warnings_for(
    counts: Counts, settings: Settings, nulls: Mapping[str, float], truncated: float, loosened: bool, classes: int
) -> list[str]:
    """One sentence for each thing that weakens the bundle."""
    found = []
    used = counts.rows - counts.empty
    if used < FEW_ROWS:
        unseen = (nulls["strange"] + _MIN_EFFECT - STRANGE) / (_SENSITIVITY - STRANGE)
        found.append(
            f"only {used:,} rows: production counts as changed when its strange share exceeds {nulls['strange']:.1%} "
            f"({STRANGE:.0%} is usual); "
            f"a new topic that takes less than about {unseen:.0%} of prompts will not be seen, {2 * unseen:.0%} or more will; "
            f"{FEW_ROWS:,} rows or more lower that bound"
        )
    if 1 / (counts.calibration + 1) > 0.01:
        found.append(
            f"{counts.calibration} calibration rows are too few for the far flag (p at most 0.01): it will never be raised; 99 or "
            "more are needed"
        )
    if settings.label is not None and settings.head != "labels":
        held = f"{classes} class{'' if classes == 1 else 'es'} in the {counts.reference:,} reference rows"
        found.append(f"the label field {settings.label!r} holds {held}: the head was trained on topics")
    if counts.unlabelled:
        found.append(f"{counts.unlabelled:,} rows have no label; the head was trained on the others")
    if loosened:
        found.append("near duplicates tie most groups together: groups were kept whole, but near duplicates may stand on both sides")
    if truncated > _MANY_TRUNCATED:
        found.append(f"{truncated:.0%} of rows are longer than the encoder reads: changes in what follows are not seen")
    if counts.left_out:
        found.append(f"{counts.left_out:,} rows are on neither side, beyond the limits of reference and calibration (drawn by seed)")
    return found
