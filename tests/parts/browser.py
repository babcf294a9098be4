"""A real headless Chromium that remembers what pages said on the console and what they asked the network for."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def why_missing() -> str | None:
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and '.join(absent)} on the path (Debian: chromium, chromium-driver)" if absent else None


@dataclass(frozen=True)
class Visit:
    """One page load: warnings and errors of the console, and every address asked for.

    ``scroll_width`` above ``width`` means that the page does not fit: the reader must scroll sideways or zoom.
    """

    title: str
    console: tuple[str, ...]
    requests: tuple[str, ...]
    width: int
    scroll_width: int


class Browser:
    """One Chromium; ``driver`` is selenium's, for what is not wrapped here."""

    def __init__(self, profile: Path) -> None:
        options = Options()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.get("about:blank")  # leave the new-tab page and its requests behind

    def visit(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Visit:
        """Open ``url`` in a viewport of CSS pixels, in the light or the dark scheme."""
        self.driver.get("about:blank")
        self._logs()
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(url)
        console, requests = self._logs()
        scroll_width = self.driver.execute_script("return document.documentElement.scrollWidth")
        return Visit(self.driver.title, console, requests, width, scroll_width)

    def screenshot(self, path: Path) -> Path:
        """The whole page, also what lies below the fold, as PNG."""
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return window.innerWidth")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert self.driver.save_screenshot(str(path))
        return path

    def close(self) -> None:
        self.driver.quit()

    def _logs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        console = tuple(entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE"))
        events: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = (event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent")
        return console, tuple(sent)
