"""The real dashboard in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.runs import RunStore

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
expect.set_options(timeout=30_000)  # a busy machine may take its time; a passing test waits no longer than it must
# Pausing a figure that plays: Plotly's executeAPICommand says this and rejects once more, which nobody can catch.
INTERRUPTED = "WARN: API call to Plotly.animate rejected."
WIDE, NARROW = {"width": 1400, "height": 1000}, {"width": 480, "height": 900}


@dataclass(frozen=True)
class Server:
    """A running dashboard and the store it uses."""

    url: str
    store: RunStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard on a free port with an empty store, started from a folder that is not the project's."""
    folder = tmp_path_factory.mktemp("dashboard")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "KINOSCOPE_OUTPUTS": str(folder / "outputs"),
        "KINOSCOPE_MODELS": str(folder / "models"),
    }
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(ROOT / "UserInterface" / "Home.py")]
        + ["--server.port", str(port), "--server.headless", "true"],
        cwd=folder,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://localhost:{port}"
    try:
        _wait(f"{url}/_stcore/health", process)
        yield Server(url, RunStore(folder / "outputs"))
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, "the dashboard did not start"
            time.sleep(0.1)
    pytest.fail("the dashboard did not answer within 30 s")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        # Skeletons in space need WebGL, which a machine without a graphics card does in software.
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--enable-unsafe-swiftshader", "--mute-audio"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens an address of the dashboard. Afterwards: nothing failed, and nothing was fetched from elsewhere."""
    troubles: list[str] = []
    pages: list[Page] = []

    interrupted: list[str] = []  # Plotly's own words, each followed by a rejection of nothing ("undefined")

    def note(error: object) -> None:
        if str(error) != "undefined" or not interrupted:
            troubles.append(f"script error: {error}")
        else:
            interrupted.pop()

    def look(page: Page) -> None:
        page.on("console", lambda m: m.text.startswith(INTERRUPTED) and interrupted.append(m.text))
        page.on("pageerror", note)
        page.on("request", lambda request: _outside(request.url, server.url) and troubles.append(request.url))
        page.on("response", lambda r: r.status >= 500 and troubles.append(f"{r.status} {r.url}"))

    def go(address: str = "", *, scheme: str = "light", size: dict[str, int] | None = None) -> Page:
        page = browser.new_page(viewport=size or WIDE, color_scheme=scheme)  # type: ignore[arg-type]
        page.set_default_timeout(30_000)
        look(page)
        pages.append(page)
        page.goto(f"{server.url}/{address}")
        page.wait_for_selector("h1")
        return page

    yield go
    for page in pages:
        page.close()
    assert not troubles


def _outside(url: str, home: str) -> bool:
    return not url.startswith((home, home.replace("http", "ws", 1), "data:", "blob:"))


def take_picture(page: Page, name: str) -> None:
    """For the README, when KINOSCOPE_PICTURES=1."""
    if os.environ.get("KINOSCOPE_PICTURES") != "1":
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    height = page.get_by_test_id("stMain").evaluate("m => m.scrollHeight")
    page.set_viewport_size({"width": WIDE["width"], "height": min(max(height, 700), 2200)})
    settled(page)
    page.screenshot(path=PICTURES / f"{name}.png")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def settled(page: Page) -> None:
    """Wait until the page has stopped running and its figures are drawn."""
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
    page.wait_for_timeout(1000)


def sticks_out_px(page: Page) -> int:
    """By how much the page is wider than its window: more than 0 and it scrolls sideways."""
    wider = "m => Math.max(m.scrollWidth - m.clientWidth, document.documentElement.scrollWidth - innerWidth)"
    return int(page.get_by_test_id("stMain").evaluate(wider))
