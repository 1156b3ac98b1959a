"""Somebody trains in front of the browser's camera: a rendered clip stands in for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, FrameLocator, Page, Playwright, expect, sync_playwright

from pipeline.repetitions import find_repetitions
from tests.browser.conftest import WIDE, Server, settled
from tests.browser.fake_camera import REPETITIONS, squat_camera, squat_spec, turns_s

pytestmark = pytest.mark.browser

LOADING_MS, COUNTING_MS, MAKING_MS = 60_000, 60_000, 120_000


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def squats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squat_camera(tmp_path_factory.mktemp("camera") / "squats.y4m", squat_spec())


@contextmanager
def chromium(playwright: Playwright, clip: Path | None, *more: str) -> Iterator[Browser]:
    """A browser whose camera plays ``clip``; without one, it has the permission question answered with no."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    camera = ["--use-fake-device-for-media-stream", *more]
    if clip is not None:
        camera += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={clip}"]
    browser = playwright.chromium.launch(
        executable_path=path, args=["--no-sandbox", "--enable-unsafe-swiftshader", "--mute-audio", *camera]
    )
    try:
        yield browser
    finally:
        browser.close()


def open_webcam(browser: Browser, server: Server) -> Page:
    page = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
    page.set_default_timeout(30_000)
    page.goto(f"{server.url}/Webcam_Record")
    page.wait_for_selector("h1")
    return page


def frame(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title='streamlit_webrtc.component.webrtc_streamer']")


def start(page: Page) -> None:
    frame(page).get_by_role("button", name="Start").click()
    expect(page.get_by_text("frames a second looked at")).to_be_visible(timeout=LOADING_MS)


def fill(page: Page, role: str, name: str, text: str) -> None:
    field = page.get_by_role(role, name=name)  # type: ignore[arg-type]
    field.fill(text)
    field.press("Enter")
    settled(page)


def count(page: Page) -> int:
    return int(page.get_by_test_id("stMetricValue").first.inner_text())


def wait_for_count(page: Page, wanted: int) -> None:
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(wanted), timeout=COUNTING_MS)


def test_count_record_and_open(playwright: Playwright, server: Server, squats: Path) -> None:
    with chromium(playwright, squats) as browser:
        page = open_webcam(browser, server)
        fill(page, "spinbutton", "Countdown (s)", "0")
        fill(page, "textbox", "Subject (optional)", "Ada")
        start(page)
        page.locator(".st-key-webcam-record button").click()
        expect(page.get_by_text("Recording: ")).to_be_visible()
        wait_for_count(page, REPETITIONS)
        page.screenshot(path="/tmp/webcam_live.png")
        page.get_by_role("button", name="Stop recording").click()
        expect(page.get_by_role("button", name="Movement Analyzer")).to_be_visible(timeout=MAKING_MS)
        page.screenshot(path="/tmp/webcam_done.png", full_page=True)
    run = server.store.runs()[0]
    assert run.manifest.subject == "Ada"
    recording = run.recording()
    batch = find_repetitions(recording.people[0])
    assert batch.count == REPETITIONS
    measured = np.diff([r.turn_s for r in batch.complete])
    assert measured == pytest.approx(np.diff(turns_s(squat_spec())), abs=0.15)
