"""A real PostgreSQL server with a data folder of its own; started as the user postgres when we are root."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import psycopg

from parts.process import Server, as_child, free_port

_counter = itertools.count(1)


def binaries() -> Path | None:
    """Folder that holds initdb and postgres: the newest Debian one, or wherever the path has them."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def why_missing() -> str | None:
    if binaries() is None:
        return "no initdb (Debian: postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "running as root and there is no user postgres to start it as"
    return None


class Postgres(Server):
    """A database cluster in ``folder``, which must lie where the user postgres may go."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        found = binaries()
        assert found is not None, why_missing()
        self.bin = found
        self.port = free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.data = folder / "data"
        if self.user:
            shutil.chown(folder, self.user, self.user)
            folder.chmod(0o755)
        initdb = [str(self.bin / "initdb"), "-D", str(self.data), "-U", "tiltmeter", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        done = subprocess.run(as_child(initdb, self.user), capture_output=True, text=True, cwd=folder, timeout=120)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr[-2000:]}")

    def command(self) -> list[str]:
        # fsync off is safe here: tests kill the server, never the machine.
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder), "fsync": "off", "max_connections": "60"}
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return as_child([str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port), *flags], self.user)

    def start(self) -> Self:
        # After a kill the old children still hold the shared memory for a moment.
        deadline = time.monotonic() + 15
        while True:
            try:
                return super().start()
            except RuntimeError as error:
                if "shared memory block" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def is_ready(self) -> bool:
        check = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(check, timeout=10).returncode == 0

    def stop_signal(self) -> signal.Signals:
        return signal.SIGINT  # "fast": ends open sessions

    def dsn(self, database: str = "postgres") -> str:
        """For psycopg."""
        return f"host=127.0.0.1 port={self.port} user=tiltmeter dbname={database}"

    def url(self, database: str = "postgres") -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://tiltmeter@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; returns its SQLAlchemy URL."""
        name = f"test_{next(_counter)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)
