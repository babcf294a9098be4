"""`python -m benchmarks [--data DIR]`: run every benchmark in this folder, one after the other; status 1 when one misses its bar."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    """Run them; those on public data only when ``--data`` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of public data sets")
    data: Path | None = parser.parse_args().data
    failed = []
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text()
        if path.stem.startswith("_") or 'if __name__ == "__main__":' not in source:
            continue
        needs_data = '"--data"' in source
        if needs_data and data is None:
            print(f"== {path.stem}: left out, it needs public data (make bench DATA=DIR)", flush=True)
            continue
        print(f"== {path.stem}", flush=True)
        start = time.monotonic()
        arguments = ["--data", str(data)] if needs_data else []
        status = subprocess.run([sys.executable, "-m", f"benchmarks.{path.stem}", *arguments], cwd=FOLDER.parent).returncode
        print(f"== {path.stem}: status {status}, {time.monotonic() - start:.0f} s", flush=True)
        if status:
            failed.append(path.stem)
    if failed:
        print(f"missed or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
