"""report.html: what was fitted, on one page without outside parts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from detectors.calibration import Calibration
from service.bundle import Manifest, TopicInfo


def write_report(path: Path, manifest: Manifest, topics: Sequence[TopicInfo], calibration: Calibration) -> None:
    """Write the page."""
    path.write_text(f"<!doctype html><title>{escape(manifest.encoder.id)}</title>", encoding="utf-8")
