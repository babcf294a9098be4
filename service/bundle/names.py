"""Names that people give to topics: a file beside the bundle's own, outside its digests, so that renaming never changes a bundle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from service.bundle.files import TOPIC_NAMES
from service.errors import ConfigError

LONGEST = 60
"""Characters of a name."""


def read_names(path: Path, digest: str, topics: int) -> dict[int, str]:
    """Topic index -> name, of the bundle in this directory; empty without the file.

    Raises:
        ConfigError: the file is broken, belongs to another bundle, or names a topic that does not exist.
    """
    file = path / TOPIC_NAMES
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        owner, named = content["bundle"], {int(index): name for index, name in content["names"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{file}: not a file of topic names; expected what `tiltmeter topics rename` writes") from None
    if owner != digest:
        raise ConfigError(
            f"{file}: names the topics of another bundle ({str(owner)[:12]}, this is {digest[:12]}); delete it and rename again"
        )
    try:
        return {_index(index, topics): _name(name) for index, name in named.items()}
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def rename(path: Path, digest: str, topics: int, index: int, name: str) -> None:
    """Call a topic ``name`` from the next load on; an empty name gives it the words of ``fit`` back.

    Args:
        path: the bundle's directory; digest: of the bundle; topics: how many it has.
        index: of the topic, 0 <= index < topics.
        name: at most :data:`LONGEST` printable characters; runs of spaces count as one.

    Raises:
        ConfigError: index or name cannot be, or the file cannot be written.
    """
    names = read_names(path, digest, topics)
    index = _index(index, topics)
    if name.strip():
        names[index] = _name(name)
    else:
        names.pop(index, None)
    _write(path / TOPIC_NAMES, digest, names)


def _index(index: int, topics: int) -> int:
    if not 0 <= index < topics:
        expected = f"expected 0 to {topics - 1}" if topics else "the bundle has no topics"
        raise ConfigError(f"topic {index} does not exist; {expected}")
    return index


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isprintable():
        raise ConfigError("a topic's name holds control or other characters that cannot be shown; expected plain text")
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST:
        raise ConfigError(f"a topic's name has {len(name)} characters; expected 1 to {LONGEST}")
    return name


def _write(file: Path, digest: str, names: Mapping[int, str]) -> None:
    """All of it or nothing: a service may be starting."""
    content = {"bundle": digest, "names": {str(index): names[index] for index in sorted(names)}}
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if not names:
            file.unlink(missing_ok=True)
            return
        staged.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        staged.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from None
