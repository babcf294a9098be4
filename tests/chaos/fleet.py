"""Processes of the service that are killed, frozen and started again."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from parts.process import as_child, free_port

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "tests" / "chaos" / "serve.py"


class Member:
    """One process with a name, started again whenever it ends before it was told to."""

    def __init__(self, folder: Path, config: Path, name: str, role: str, bundles: Mapping[str, str] | None = None) -> None:
        self.name, self.role, self.bundles = name, role, dict(bundles or {})
        self.folder = folder / name
        self.folder.mkdir()
        self.log = self.folder / "log.jsonl"
        self.port = free_port()
        self.starts = 0
        self.ended: list[int] = []
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def stop(self, grace: float = 60.0) -> int:
        """End in order; the exit status."""
        self._stopping.set()
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            return self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def arm(self, where: str, how: str) -> None:
        (self.folder / "arm").write_text(f"{where} {how}")

    def wait_for(self, sign: str, seconds: float) -> bool:
        """Wait for a file that the process leaves at a stop; it is taken away."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (self.folder / sign).exists():
                (self.folder / sign).unlink()
                return True
            time.sleep(0.05)
        (self.folder / "arm").unlink(missing_ok=True)
        return False

    def freeze(self, seconds: float, where: str) -> bool:
        """Frozen inside a flush for so long; False when there was no flush to freeze it in."""
        self.arm(where, "freeze")
        if not self.wait_for("frozen", 20):
            return False
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGCONT)
        return True

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")] if self.log.exists() else []

    def _keep(self) -> None:
        environ = {
            **os.environ,
            "TILTMETER_INSTANCE": self.name,
            "TILTMETER_HTTP__PORT": str(self.port),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "OMP_NUM_THREADS": "1",
            "TILTMETER_TOKEN": "chaos",
        }
        while not self._stopping.is_set():
            command = [sys.executable, str(SERVE), str(self._config), self.role, str(self.folder), json.dumps(self.bundles)]
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(as_child(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)
            self.starts += 1
            status = self._process.wait()
            if not self._stopping.is_set():
                self.ended.append(status)
                time.sleep(0.3)


class Fleet:
    """Members over one configuration; whatever happens in the body, all of them are ended."""

    def __init__(self, folder: Path, config: Mapping[str, object]) -> None:
        self.folder = folder
        self.config = folder / "tiltmeter.yaml"
        self.config.write_text(yaml.safe_dump(dict(config)))
        self.members: dict[str, Member] = {}

    def add(self, name: str, role: str, bundles: Mapping[str, str] | None = None) -> Member:
        self.members[name] = Member(self.folder, self.config, name, role, bundles)
        self.members[name].start()
        return self.members[name]

    def wait_until_up(self, seconds: float = 120.0) -> None:
        """Until every member answers: a process takes seconds to start, and much longer on a busy machine."""
        end = time.monotonic() + seconds
        for member in self.members.values():
            while not member.up():
                if time.monotonic() > end:
                    raise AssertionError(f"{member.name} did not start: {member.log.read_text()[-2000:]}")
                time.sleep(0.1)

    def pick(self, chance: random.Random, role: str) -> Member:
        return chance.choice([member for member in self.members.values() if member.role == role])

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *exception: object) -> None:
        for member in self.members.values():
            member._stopping.set()
            member.kill()

    def told(self, *words: str) -> list[str]:
        """Log lines of all members that are errors or name one of these words, for the report of a failure."""
        lines = []
        for member in self.members.values():
            for event in member.events():
                ours = str(event.get("logger", "")).startswith("service")
                if (ours and event.get("level") in ("error", "critical")) or any(word in json.dumps(event) for word in words):
                    lines.append(f"{member.name}: {json.dumps(event)[:600]}")
        return lines[-40:]
