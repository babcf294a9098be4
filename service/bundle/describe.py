"""A bundle in plain words."""

from collections.abc import Sequence

from service.bundle.detection import RISES, SLICE_BUDGET, SLICES, STREAMS, UNTOLD, detection, limits, said, swap
from service.bundle.manifest import Manifest

_TOPICS_SHOWN = 10


def describe(manifest: Manifest, digest: str, topics: Sequence[tuple[tuple[str, ...], float]]) -> str:
    """Lines for a terminal: encoder, counts, settings, nulls, warnings, detection table, largest topics. Cost: about 2 s, the table."""
    counts, settings, encoder = manifest.counts, manifest.settings, manifest.encoder
    lines = [
        f"bundle       {digest} (schema {manifest.schema_version})",
        f"encoder      {encoder.id} {encoder.revision[:12]}, {encoder.source}, {encoder.dimension} dimensions, "
        f"{encoder.max_length} tokens, "
        f"{encoder.pooling} pooling; digest {manifest.encoder_digest[:12]}",
        f"rows         {counts.rows:,} read, {counts.empty:,} empty, {counts.distinct:,} distinct in {counts.clusters:,} "
        "clusters of near duplicates" + (f", {counts.groups:,} groups" if counts.groups else ""),
        f"reference    {counts.reference:,} rows",
        f"calibration  {counts.calibration:,} rows ({settings.calibration_from}), worth {counts.calibration_effective:,.0f} "
        "independent ones",
        f"score        {settings.neighbours} neighbours, density weight {settings.density_weight}; linear heads on {settings.head}: "
        f"{settings.heads}, weight {settings.head_weight}, density weight {settings.head_density_weight}; "
        f"lexical weight {settings.lexical_weight}",
        f"text         {settings.text}; {manifest.truncated:.2%} of rows cut at {encoder.max_length} tokens",
        "scripts      " + ", ".join(f"{name} {share:.1%}" for name, share in manifest.scripts.items()),
        "nulls        "
        + ", ".join(f"{name} at most {bound:.2%}" for name, bound in manifest.nulls.items())
        + f" (wrong with chance {manifest.delta})",
    ]
    lines += [f"warning      {warning}" for warning in manifest.warnings]
    lines += [*_detection(manifest), *_swap(topics)]
    largest = sorted(topics, key=lambda topic: -topic[1])[:_TOPICS_SHOWN]
    lines.append(f"topics       {manifest.topics}, the largest:")
    lines += [f"  {share:6.1%}  {' '.join(words) or '(no word may be shown)'}" for words, share in largest]
    return "\n".join(lines)


def _detection(manifest: Manifest) -> list[str]:
    table = detection(manifest.nulls["strange"])
    lines = [
        f"pages        after so long, median (90% of runs): one-minute windows, one false page per 90 days over {STREAMS} streams; "
        f"then with {SLICES} slices of {SLICE_BUDGET:.0%} of the budget"
    ]
    heads = ("no slices", "model, with slices", "inside one slice")
    for speed, reach in table.rates.items():
        lines.append(f"  {f'{speed} prompts/s':<16}" + "".join(f"{head:>24}" for head in heads))
        for row, rise in enumerate(RISES):
            cells = [said(delays[row], table.never) for delays in reach]
            lines.append(f"  {f'{100 * rise:+g} points':>16}" + "".join(f"{cell:>24}" for cell in cells))
    return [*lines, f"  {limits(table)}"]


def _swap(topics: Sequence[tuple[tuple[str, ...], float]]) -> list[str]:
    """What moves to one topic, once a baseline of four weeks like the fine-tuning set is accepted."""
    found = swap(tuple(share for _, share in topics))
    if found is None:
        return []
    lines = [f"  prompts that move to one topic of median size ({found.share:.1%}), after 28 days alike are accepted:"]
    lines.append(f"  {'':<16}" + "".join(f"{f'{speed} prompts/s':>24}" for speed in found.rates))
    for row, rise in enumerate(RISES):
        cells = [said(delays[row], found.never[speed]) for speed, delays in found.rates.items()]
        lines.append(f"  {f'{100 * rise:+g} points':>16}" + "".join(f"{cell:>24}" for cell in cells))
    return [*lines, f"  embedding_shift: {UNTOLD}"]
