"""A real Prometheus and a real Alertmanager."""

import json
import shutil
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from parts.process import Server, as_child, free_port


def why_missing(*programs: str, package: str) -> str | None:
    absent = [program for program in programs if shutil.which(program) is None]
    return f"no {' and '.join(absent)} on the path (Debian: {package})" if absent else None


class _WebServer(Server):
    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / f"{self.name}.yaml"
        self.config.write_text(yaml.safe_dump(config))

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        """The ``data`` of an API answer."""
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            body = json.load(answer)
        return body["data"] if isinstance(body, dict) and "data" in body else body


class Prometheus(_WebServer):
    """A server with the given prometheus.yml (as a dict)."""

    name = "prometheus"

    def command(self) -> list[str]:
        return as_child(
            [
                "prometheus",
                f"--config.file={self.config}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ]
        )

    def query(self, expression: str, time_: float | None = None) -> list[dict[str, Any]]:
        """Instant query: the list of series with their values."""
        parameters = {"query": expression} | ({"time": str(time_)} if time_ is not None else {})
        result: list[dict[str, Any]] = self.get("/api/v1/query", **parameters)["result"]
        return result

    def wait_for(self, expression: str, within: float = 30.0) -> list[dict[str, Any]]:
        """Query until there is an answer."""
        deadline = time.monotonic() + within
        while not (result := self.query(expression)):
            assert time.monotonic() < deadline, f"no answer to {expression} within {within:.0f} s"
            time.sleep(0.3)
        return result


class Alertmanager(_WebServer):
    """A server with the given alertmanager.yml (as a dict)."""

    name = "alertmanager"

    def command(self) -> list[str]:
        return as_child(
            [
                shutil.which("prometheus-alertmanager") or "alertmanager",
                f"--config.file={self.config}",
                f"--storage.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--cluster.listen-address=",
            ]
        )

    def alerts(self) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return result
