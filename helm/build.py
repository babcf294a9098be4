"""`python -m helm.build` writes what in the chart is made from other files; with --check it only tells whether that is current.

Rules and dashboards are copies, because a chart holds its files itself and helm warns of links; the README's table is what the comments
in values.yaml say; the schema below `config` is that of the service's settings.
"""

import sys
from pathlib import Path

from helm.reference import Undocumented, readme
from helm.schema import whole

ROOT = Path(__file__).resolve().parents[1]
CHART = Path(__file__).parent / "tiltmeter"
COPIES = {CHART / "files" / "rules": ROOT / "dashboards" / "rules", CHART / "files" / "dashboards": ROOT / "dashboards" / "json"}


def made() -> dict[Path, str]:
    """Every file that is made, with its text. Raises Undocumented."""
    files = {
        folder / source.name: source.read_text(encoding="utf-8")
        for folder, origin in COPIES.items()
        for source in sorted([*origin.glob("*.yaml"), *origin.glob("*.json")])
    }
    files[CHART / "README.md"] = readme(CHART / "README.md", CHART / "values.yaml")
    files[CHART / "values.schema.json"] = whole(CHART / "values.schema.json")
    return files


def stale() -> list[Path]:
    """Files that are not what they are made from, and copies of what is gone."""
    wanted = made()
    differs = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return differs + [path for path in _copies() if path not in wanted]


def _copies() -> list[Path]:
    return [path for folder in COPIES for path in sorted(folder.glob("*"))]


def main() -> int:
    """Write the files, or compare them."""
    try:
        differs = stale()
        wanted = made()
    except Undocumented as error:
        print(error)
        return 1
    for path in differs:
        if sys.argv[1:] == ["--check"]:
            print(f"{path.relative_to(ROOT)} is not what it is made from: run `make chart`")
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 1 if differs and sys.argv[1:] == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main())
