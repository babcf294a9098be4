"""report.html: what was fitted and what can be detected with it, on one page without outside parts."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from detectors.calibration import Calibration
from detectors.delay import Delay
from service.bundle import Manifest, TopicInfo
from service.bundle.detection import RISES, SLICE_BUDGET, SLICES, STREAMS, UNTOLD, Detection, detection, limits, said, swap

_TOPICS_SHOWN = 40
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --quiet: #5f6b76; --line: #d5dbe1; --ground: #ffffff; --bar: #3a7ca5; --mark: #b3441e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --quiet: #98a4af; --line: #38424b; --ground: #14181c; --bar: #5aa3cf;
--mark: #e8865c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 52rem; margin: 2rem auto; padding:
0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } p, li { max-width: 42rem; } small, .quiet { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid
var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } svg { width: 100%; height: auto; } .scroll { overflow-x: auto; }
li.warning { color: var(--mark); }
"""


def write_report(path: Path, manifest: Manifest, topics: Sequence[TopicInfo], calibration: Calibration) -> None:
    """Write the page. It holds no prompt text, only words of the topic allow-list. Cost: about 2 s, most of it the detection table."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Tiltmeter bundle: {escape(manifest.encoder.id)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>What was fitted</h1><p>{manifest.counts.reference:,} reference prompts, {manifest.counts.calibration:,} calibration prompts, "
        f"{manifest.topics} topics, encoder {escape(manifest.encoder.id)}.</p>",
        _warnings(manifest),
        _detection(manifest),
        _swap(topics),
        _nulls(manifest),
        _histogram(calibration),
        _facts(manifest),
        _topics(topics),
        "</body></html>",
    ]
    path.write_text("\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _detection(manifest: Manifest) -> str:
    table = detection(manifest.nulls["strange"])
    alone = _table(table, {f"{speed} prompts/s": reach.alone for speed, reach in table.rates.items()})
    sliced = _table(
        table,
        {
            f"{speed} prompts/s, {name}": delays
            for speed, reach in table.rates.items()
            for name, delays in (("whole model", reach.beside), ("one slice", reach.inside))
        },
    )
    return (
        "<h2>What can be detected</h2>"
        "<p>Time until a page when prompts unlike the fine-tuning set take this much of the traffic: the median, and in "
        "brackets the time within which 90% "
        f"of runs page. Simulated with one-minute windows, one false page per 90 days over {STREAMS} streams of equal weight, independent "
        "prompts, four of five strange prompts flagged. Normal is the bound below plus the default minimum effect: no baseline is accepted "
        "yet.</p>"
        f"{alone}<p><strong>{escape(limits(table))}</strong></p>"
        f"<p>The same when {SLICES} slices of equal traffic are watched too and have {SLICE_BUDGET:.0%} of the budget: the whole model "
        "hardly waits longer; a rise inside one slice is seen in the traffic of that slice alone, and against a smaller share of the "
        f"budget.</p>{sliced}"
        "<p class=quiet>Bursts and sessions make it slower, by the design effect that is learned from the stream; an accepted "
        "baseline makes it faster.</p>"
    )


def _table(table: Detection, columns: Mapping[str, Sequence[Delay]]) -> str:
    head = "".join(f'<th class="n">{name}</th>' for name in columns)
    body = "".join(
        f"<tr><td>{rise * 100:g} {'point' if rise == 0.01 else 'points'}</td>"
        + "".join(f'<td class="n">{said(delays[row], table.never)}</td>' for delays in columns.values())
        + "</tr>"
        for row, rise in enumerate(RISES)
    )
    return f'<div class="scroll"><table><tr><th>Share of strange prompts rises by</th>{head}</tr>{body}</table></div>'


def _swap(topics: Sequence[TopicInfo]) -> str:
    found = swap(tuple(topic.share for topic in topics))
    if found is None:
        return ""
    head = "".join(f'<th class="n">{speed} prompts/s</th>' for speed in found.rates)
    body = "".join(
        f"<tr><td>{rise * 100:g} {'point' if rise == 0.01 else 'points'}</td>"
        + "".join(f'<td class="n">{said(delays[row], found.never[speed])}</td>' for speed, delays in found.rates.items())
        + "</tr>"
        for row, rise in enumerate(RISES)
    )
    return (
        f"<p>The same when this much of the traffic moves to one topic of median size ({found.share:.1%} of it before), seen by "
        "<code>topic_mix</code> once four weeks of independent prompts with the topics of the fine-tuning set, all days alike, are "
        f'accepted:</p><div class="scroll"><table><tr><th>Share of that topic rises by</th>{head}</tr>{body}</table></div>'
        f"<p class=quiet><code>embedding_shift</code> has no such table: {escape(UNTOLD)}.</p>"
    )


def _warnings(manifest: Manifest) -> str:
    if not manifest.warnings:
        return ""
    return (
        "<h2>Before relying on it</h2><ul>"
        + "".join(f'<li class="warning">{escape(warning)}</li>' for warning in manifest.warnings)
        + "</ul>"
    )


def _nulls(manifest: Manifest) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{level}</td><td class="n">{bound:.2%}</td></tr>'
        for (name, bound), level in zip(manifest.nulls.items(), ("p at most 0.05", "p at most 0.01"), strict=True)
    )
    return (
        "<h2>What counts as no change</h2>"
        "<p>The share of prompts flagged may be this high while production is still like the fine-tuning set; the bounds are "
        "both right with probability "
        f"{1 - manifest.delta:.0%}. The calibration rows are worth {manifest.counts.calibration_effective:,.0f} independent ones.</p>"
        f'<table><tr><th>Flag</th><th class="n">Raised when</th><th class="n">Bound on its share</th></tr>{rows}</table>'
    )


def _histogram(calibration: Calibration) -> str:
    """Scores of the calibration rows, with the two flag levels."""
    scores = calibration.scores
    low, high = float(scores[0]), float(scores[-1])
    if low == high:
        return ""
    counts, edges = np.histogram(scores, bins=60, range=(low, high))
    width, height = 720, 160
    bars = "".join(
        f'<rect x="{index * width / 60:.1f}" y="{height - height * count / counts.max():.1f}" width="{width / 60 - 1:.1f}" '
        f'height="{height * count / counts.max():.1f}" fill="var(--bar)"/>'
        for index, count in enumerate(counts.tolist())
    )
    marks = ""
    for level, name in ((0.95, "strange"), (0.99, "far")):
        x = (float(np.quantile(scores, level)) - low) / (float(edges[-1]) - low) * width
        marks += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="var(--mark)"/>'
            f'<text x="{x + 4:.1f}" y="12" fill="var(--mark)" font-size="12">{name}</text>'
        )
    picture = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Histogram of calibration scores">{bars}{marks}</svg>'
    return f"<h2>Scores of the calibration rows</h2>{picture}"


def _facts(manifest: Manifest) -> str:
    counts, settings, encoder = manifest.counts, manifest.settings, manifest.encoder
    facts = [
        ("Rows read", f"{counts.rows:,}, of them {counts.empty:,} empty"),
        ("Different texts", f"{counts.distinct:,} in {counts.clusters:,} clusters of near duplicates"),
        ("Groups", f"{counts.groups:,} by {settings.group}" if settings.group else "none named"),
        ("Reference", f"{counts.reference:,} (at most {settings.reference_max:,}), one for each cluster"),
        (
            "Calibration",
            f"{counts.calibration:,} rows, repeats kept; "
            f"{'held out' if settings.calibration_from == 'split' else 'from files of their own'}",
        ),
        ("Left out", f"{counts.left_out:,}"),
        ("Text taken from", settings.text),
        ("Longer than the encoder reads", f"{manifest.truncated:.2%} of rows (limit {encoder.max_length} tokens)"),
        ("Writing systems", ", ".join(f"{name} {share:.1%}" for name, share in manifest.scripts.items()) + " (a light guess at language)"),
        (
            "Encoder",
            f"{encoder.id}, revision {encoder.revision}, {encoder.source}, {encoder.pooling} pooling, {encoder.dimension} dimensions",
        ),
        (
            "Score",
            f"{settings.neighbours} nearest neighbours, density weight {settings.density_weight}; linear heads on "
            f"{settings.head}: {settings.heads}, weight {settings.head_weight}, density weight {settings.head_density_weight}",
        ),
        ("Seed", str(settings.seed)),
    ]
    return (
        "<h2>How it was fitted</h2><table>"
        + "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
        + "</table>"
    )


def _topics(topics: Sequence[TopicInfo]) -> str:
    ordered = sorted(enumerate(topics), key=lambda item: -item[1].share)[:_TOPICS_SHOWN]
    rows = "".join(
        f'<tr><td class="n">{index}</td><td '
        f'class="n">{topic.share:.1%}</td><td>{escape(" ".join(topic.words)) or "<small>no word may be shown</small>"}</td></tr>'
        for index, topic in ordered
    )
    more = f"<p class=quiet>{len(topics) - len(ordered)} smaller topics are not shown.</p>" if len(topics) > len(ordered) else ""
    return (
        "<h2>Topics</h2><p class=quiet>Words are shown only when many rows from many sources hold them and they look like no "
        "name or number.</p>"
        f'<table><tr><th class="n">Topic</th><th class="n">Share</th><th>Words</th></tr>{rows}</table>{more}'
    )
