"""Where a bundle is written: beside its place first, and put there when it is whole."""

import shutil
import tempfile
from pathlib import Path

from service.bundle import MANIFEST
from service.errors import ConfigError


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse a place that holds something. Raises ConfigError; a bundle may be replaced with ``overwrite``, nothing else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise ConfigError(f"{out}: exists and is not a bundle; expected a new or empty directory")
    if not overwrite:
        raise ConfigError(f"{out}: holds a bundle; expected a new or empty directory, or --overwrite to replace the bundle")


def staging_beside(out: Path) -> Path:
    """A new directory beside ``out``, on the same file system. Raises ConfigError when nothing can be written there."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from None
    staging.chmod(0o755)
    return staging


def publish(staging: Path, out: Path) -> None:
    """Put the finished bundle in its place; what was there goes only then."""
    if out.exists():
        old = staging.with_name(staging.name + "-old")
        out.rename(old)
        staging.rename(out)
        shutil.rmtree(old)
    else:
        staging.rename(out)
