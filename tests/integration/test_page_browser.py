"""The page and /docs in a real browser: nothing on the console, nothing asked of another host, readable on a phone."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from probe_page import many, probe, probed, suite
from web import NOW, Stage, incident, make, slices, status, stream, whole_model

from parts.browser import Browser

SHOTS = os.environ.get("TILTMETER_SCREENSHOTS")
"""Folder for screenshots, for whoever wants to look."""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Stage, str]]:
    stage = make()
    server = uvicorn.Server(uvicorn.Config(stage.app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield stage, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def situations() -> dict[str, object]:
    """What the page may have to show, with names as long as people make them."""
    closed = incident(id="old", closed=NOW - 4000, opened=NOW - 9000, closed_by="recovery", verdict="recovered", severity="none")
    calm = status(recent=(closed,))
    long_name = "customer-support-assistant-llama-3-8b-lora-2026-01-long-name"
    note = "Asks for a baseline: " + "9.1% strange, " * 9
    crowded = replace(calm.models[0], name=long_name, owner="team-with-a-rather-long-name", note=note)
    long_incident = incident(model_name=long_name)
    return {
        "calm": calm,
        "critical": status("critical", streams=(stream(state="page"), stream(stream="far_share")), incidents=(long_incident,)),
        "learning": status(streams=(stream(state="learning", thresholds={"ticket": None, "page": None}),)),
        "blind": status(monitor=replace(calm.monitor, blind=("source: broker-0.kafka.example.internal:9092: NoBrokersAvailable",))),
        "whole": status(streams=whole_model()),
        "waiting": status(streams=whole_model(learned=False)),
        "slices": status("critical", streams=[*whole_model(), *slices(50)], incidents=(incident(slice="tenant-03"), long_incident)),
        "probes": many(),
        "half-blind": probed(suite(probe(state="blind"), blind="prod leaves more than a fifth of the questions unanswered")),
        "crowded": replace(calm, models=(crowded,) * 3),
    }


@pytest.mark.parametrize("situation", situations())
@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, False), (1280, True)])
def test_status_page(chromium: Browser, served: tuple[Stage, str], situation: str, width: int, dark: bool) -> None:
    stage, url = served
    stage.state["status"] = situations()[situation]
    visit = chromium.visit(url + "/", width=width, dark=dark)
    shoot(chromium, f"{situation}-{width}-{'dark' if dark else 'light'}", width)
    assert visit.console == ()
    assert [address for address in visit.requests if not address.startswith((url, "data:"))] == []
    assert visit.scroll_width <= width
    assert visit.title


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_wrong_with_probes_is_in_sight_and_the_rest_unfolds_without_a_script(
    chromium: Browser, served: tuple[Stage, str], width: int
) -> None:
    stage, url = served
    stage.state["status"] = many()
    chromium.visit(url + "/", width=width)
    heights = chromium.driver.execute_script("return [...document.querySelectorAll('.suite')].map(each => each.offsetHeight)")
    assert len(heights) == 13
    assert min(heights[:2]) > 300, "plots of what pages and of what has a ticket"
    assert max(heights[3:]) < 200, "a line each, on a phone a few"
    assert chromium.driver.execute_script("return document.querySelector('.suite .interval svg').getBoundingClientRect().width") > 60
    chromium.driver.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert chromium.driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert chromium.driver.execute_script("return document.scripts.length") == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_docs(chromium: Browser, served: tuple[Stage, str], width: int) -> None:
    _, url = served
    visit = chromium.visit(url + "/docs", width=width)
    shoot(chromium, f"docs-{width}", width)
    assert visit.console == ()
    assert [address for address in visit.requests if not address.startswith((url, "data:"))] == []
    assert visit.scroll_width <= width
    assert visit.title == "Tiltmeter API"


def test_text_can_be_told_from_its_background(chromium: Browser, served: tuple[Stage, str]) -> None:
    """WCAG AA for everything that is text: 4.5 to 1 (3 to 1 for the headline)."""
    stage, url = served
    for situation, dark in [(s, d) for s in ("critical", "calm", "blind", "learning", "slices", "probes") for d in (False, True)]:
        stage.state["status"] = situations()[situation]
        chromium.visit(url + "/", width=1280, dark=dark)
        weak = chromium.driver.execute_script(CONTRAST)
        assert weak == [], f"{situation} {'dark' if dark else 'light'}: {weak}"


def shoot(browser: Browser, name: str, width: int) -> None:
    if SHOTS:
        height = browser.driver.execute_script("return document.documentElement.scrollHeight")
        metrics = {"width": width, "height": min(height, 5200), "deviceScaleFactor": 1, "mobile": width < 600}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.driver.save_screenshot(str(Path(SHOTS) / f"{name}.png"))


CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = (css) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
                       return [...canvas.getImageData(0, 0, 1, 1).data]; };
const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] / 255 + under[i] * (1 - top[3] / 255));
const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
                       return .2126 * r + .7152 * g + .0722 * b; };
const behind = (node) => { const chain = []; for (let n = node; n; n = n.parentElement) chain.unshift(getComputedStyle(n).backgroundColor);
                           return chain.reduce((under, css) => over(rgb(css), under), [255, 255, 255]); };
const weak = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || node.closest('style, script')) continue;
  const style = getComputedStyle(node), under = behind(node), ink = over(rgb(style.color), under);
  const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
  const ratio = (a + .05) / (b + .05), needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
  if (ratio < needed) weak.push(`${walker.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
}
return [...new Set(weak)];
"""
