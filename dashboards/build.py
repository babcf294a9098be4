"""`python -m dashboards.build` writes json/; with --check it only tells whether json/ is what the code says."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import overview

FOLDER = Path(__file__).parent / "json"


def rendered() -> dict[Path, str]:
    """Every file with its text."""
    return {FOLDER / "overview.json": JSONEncoder(sort_keys=True, indent=2).encode(overview.build()) + "\n"}


def main() -> int:
    """Write the files, or compare them."""
    wanted = rendered()
    if sys.argv[1:] == ["--check"]:
        stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        stale += sorted(set(FOLDER.glob("*.json")) - set(wanted))
        for path in stale:
            print(f"{path.relative_to(FOLDER.parent.parent)} is not what dashboards/ says: run `make dashboards`")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
