"""The real service, with stub scores where no bundle is, and a place to stop it in a flush: ``serve.py CONFIG ROLE FOLDER BUNDLES``.

A file ``FOLDER/arm`` with two words arms one stop. Where: ``send`` (before the records), ``offsets`` (between records and offsets) or
``commit`` for the Kafka ledger, ``write`` (inside the transaction) or ``answer`` (after it) for the SQL ledger. How: ``freeze``
(SIGSTOP to itself), ``die`` (SIGKILL to itself) or ``hold`` (say so in ``FOLDER/holding`` and wait for ``FOLDER/go``).
"""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaProducer

from service.config import Config, load
from service.decider.decider import Watched
from service.ledger import sql
from service.logging import setup
from service.main.models import Models
from service.main.run import build, run
from stub import TOPICS, StubScoring

NULLS = {"strange": 0.06, "far": 0.015}


@dataclass(frozen=True)
class Topic:
    words: tuple[str, ...]
    share: float


def watched_model(name: str) -> Watched:
    return Watched(f"bundle-of-{name}", NULLS, [Topic((f"word{i}",), 1 / TOPICS) for i in range(TOPICS)])


def has_bundles(config: Config) -> bool:
    return all(model.bundle.is_dir() for model in config.models.values())


def watched(config: Config) -> dict[str, Watched]:
    return Models.load(config).watched(config) if has_bundles(config) else {name: watched_model(name) for name in config.models}


def stop_here(folder: Path, where: str) -> None:
    arm = folder / "arm"
    if not arm.exists():
        return
    wanted, how = arm.read_text().split()
    if wanted != where:
        return
    arm.unlink()
    if how == "freeze":
        (folder / "frozen").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    elif how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        (folder / "holding").touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
        (folder / "go").unlink()


def before(owner: object, name: str, folder: Path, where: str) -> None:
    original = getattr(owner, name)

    def wrapped(*args: object, **options: object) -> object:
        stop_here(folder, where)
        return original(*args, **options)

    setattr(owner, name, wrapped)


def main(path: str, role: str, folder: Path, bundles: dict[str, str]) -> int:
    setup("json", "INFO")
    before(KafkaProducer, "begin_transaction", folder, "send")
    before(KafkaProducer, "send_offsets_to_transaction", folder, "offsets")
    before(KafkaProducer, "commit_transaction", folder, "commit")
    before(sql, "_write", folder, "write")
    # Looking at the watermark is what follows a flush: the counts are in, and nobody has been told.
    before(sql.SqlLedger, "watermark", folder, "answer")
    config = load(Path(path))
    stubs = {} if has_bundles(config) else {"scoring": StubScoring(bundles), "watched": watched(config)}
    return run(build(config, role, **stubs), config)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])))
