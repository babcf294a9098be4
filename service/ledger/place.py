"""The one place of a worker at a SQLite ledger, held by a lock of the operating system that ends with the process, however it ends."""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from service.errors import ConfigError
from service.ledger.tables import Database


def take(url: str) -> IO[str] | None:
    """The place, held until the file is closed; None for PostgreSQL, where there are many.

    Raises ConfigError for a URL that cannot work, and naming the process that holds the place.
    """
    database = Database(url)
    if database.postgresql:
        return None
    path = Path(str(database.engine.url.database)).resolve()
    file = open(f"{path}.worker.lock", "a+")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise ConfigError(
            f"ledger.url: {path} is in use by {holder}; SQLite is for one process: stop that one, or use PostgreSQL or Kafka"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file
