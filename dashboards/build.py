"""`python -m dashboards.build` writes json/ and grafana/alerting/; with --check it only tells whether they are what the code says."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import alerting, model, overview, pipeline

FOLDER = Path(__file__).parent / "json"
ALERTS = Path(__file__).parent / "grafana" / "alerting" / "tiltmeter.yaml"


def rendered() -> dict[Path, str]:
    """Every file with its text."""
    pages = {"overview": overview, "pipeline": pipeline, "model": model}
    encoder = JSONEncoder(sort_keys=True, indent=2)
    found = {FOLDER / f"{name}.json": encoder.encode(page.build()) + "\n" for name, page in pages.items()}
    return {**found, ALERTS: alerting.build()}


def main() -> int:
    """Write the files, or compare them."""
    wanted = rendered()
    if sys.argv[1:] == ["--check"]:
        stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        stale += sorted(set(FOLDER.glob("*.json")) - set(wanted))
        for path in stale:
            print(f"{path.relative_to(FOLDER.parent.parent)} is not what dashboards/ says: run `make dashboards`")
        return 1 if stale else 0
    for path, text in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
