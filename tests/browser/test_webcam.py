"""Somebody trains in front of the browser's camera: a rendered clip stands in for it."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from playwright.sync_api import Browser, Frame, FrameLocator, Page, Playwright, expect, sync_playwright

from pipeline.repetitions import find_repetitions
from tests.browser.conftest import WIDE, Server, settled, take_picture
from tests.browser.fake_camera import REPETITIONS, empty_camera, squat_camera, squat_spec, turns_s

pytestmark = pytest.mark.browser

LOADING_MS, COUNTING_MS, MAKING_MS = 120_000, 60_000, 120_000


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


def camera_frame(page: Page) -> Frame:
    return next(one for one in page.frames if "streamlit_webrtc" in one.url)


def start(page: Page) -> None:
    frame(page).get_by_role("button", name="Start").click()
    expect(page.get_by_text("frames a second looked at")).to_be_visible(timeout=LOADING_MS)


def model_processes() -> int:
    running = 0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that has just ended has no command line
            running += "pipeline.live.remote" in child.cmdline()
    return running


def fill(page: Page, role: str, name: str, text: str) -> None:
    field = page.get_by_role(role, name=name)  # type: ignore[arg-type]
    field.fill(text)
    field.press("Enter")
    settled(page)


def wait_for_count(page: Page, wanted: int) -> None:
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(wanted), timeout=COUNTING_MS)


def test_count_record_and_open(playwright: Playwright, server: Server, squats: Path) -> None:
    with chromium(playwright, squats) as browser:
        page = open_webcam(browser, server)
        fill(page, "spinbutton", "Countdown (s)", "0")
        fill(page, "textbox", "Subject (optional)", "Ada")
        start(page)
        page.evaluate("() => { window.said = []; speechSynthesis.speak = (words) => window.said.push(words.text); }")
        page.get_by_text("Say it aloud").click()
        page.get_by_text("Skeleton in space").click()
        page.locator(".st-key-webcam-record button").click()
        expect(page.get_by_text("Recording: ")).to_be_visible()
        wait_for_count(page, REPETITIONS)
        page.wait_for_function(f"window.said.includes('{REPETITIONS}')", timeout=COUNTING_MS)
        drawn = (
            "c => new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer).some(Boolean)"
        )
        assert page.get_by_label("drag to turn it").evaluate(drawn)
        expect(page.get_by_text("from the camera to the screen")).to_be_visible()
        take_picture(page, "webcam")
        page.wait_for_timeout(2000)  # the last one is counted before its end is known
        page.get_by_role("button", name="Stop recording").click()
        expect(page.get_by_role("button", name="Movement Analyzer")).to_be_visible(timeout=MAKING_MS)
    run = server.store.runs()[0]
    assert run.manifest.subject == "Ada"
    recording = run.recording()
    batch = find_repetitions(recording.people[0])
    assert batch.count == REPETITIONS
    turns_batch_s = [repetition.turn_s for repetition in batch.complete]
    turns_live_s = run.manifest.parameters["live"]["repetition_turns_s"]
    assert turns_live_s == pytest.approx(turns_batch_s, abs=0.15), "live and batch agree about when"
    assert np.diff(turns_batch_s) == pytest.approx(np.diff(turns_s(squat_spec())), abs=1.0)


def test_trim_and_delete(playwright: Playwright, server: Server, squats: Path) -> None:
    with chromium(playwright, squats) as browser:
        page = open_webcam(browser, server)
        fill(page, "spinbutton", "Countdown (s)", "0")
        start(page)
        before = len(server.store.runs())
        page.locator(".st-key-webcam-record button").click()
        expect(page.get_by_text(re.compile(r"Recording: ([89]|\d\d) s"))).to_be_visible(timeout=COUNTING_MS)
        page.get_by_role("button", name="Stop recording").click()
        expect(page.get_by_role("button", name="Movement Analyzer")).to_be_visible(timeout=MAKING_MS)
        whole = server.store.runs()[0]
        assert len(server.store.runs()) == before + 1

        page.get_by_text("Trim", exact=True).click()
        chart = page.locator(".js-plotly-plot .nsewdrag").first
        chart.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        box = chart.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 60, steps=8)
        page.mouse.up()
        keep = page.locator(".st-key-webcam-trim button")
        expect(keep).to_be_enabled()
        settled(page)
        keep.click()
        expect(page.get_by_role("button", name="Undo the trim")).to_be_visible(timeout=MAKING_MS)
        part = server.store.runs()[0]
        cut, times_s = part.manifest.parameters["trimmed_from"], whole.recording().time_s
        assert cut["end_s"] - cut["start_s"] == pytest.approx(whole.manifest.duration_s / 2, rel=0.1)
        kept_s = times_s[(times_s >= cut["start_s"] - 1e-6) & (times_s <= cut["end_s"] + 1e-6)]
        assert part.recording().time_s == pytest.approx(kept_s - kept_s[0], abs=1e-3)
        page.get_by_role("button", name="Undo the trim").click()
        expect(page.get_by_role("button", name="Undo the trim")).to_have_count(0)
        assert server.store.runs()[0].id == whole.id

        settled(page)
        page.locator(".st-key-webcam-delete button").click()
        expect(page.get_by_role("dialog")).to_contain_text("cannot be undone")
        assert server.store.runs()[0].id == whole.id
        page.get_by_role("button", name="Delete it").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert len(server.store.runs()) == before


def test_nobody_in_view(playwright: Playwright, server: Server, tmp_path: Path) -> None:
    with chromium(playwright, empty_camera(tmp_path / "empty.y4m")) as browser:
        page = open_webcam(browser, server)
        start(page)
        expect(page.get_by_text("Nobody is in view")).to_be_visible(timeout=LOADING_MS)
        page.wait_for_timeout(3000)
        expect(page.get_by_text("Nobody is in view")).to_be_visible()
        wait_for_count(page, 0)

        page.get_by_role("button", name="Settings").click()
        page.get_by_role("combobox", name="Resolution").click()
        page.get_by_role("option", name="1280 x 720").click()
        page.keyboard.press("Escape")
        width = "() => document.querySelector('video')?.srcObject?.getVideoTracks()[0]?.getSettings().width"
        expect(page.get_by_text("frames a second looked at")).to_have_count(0, timeout=COUNTING_MS)
        expect(page.get_by_text("frames a second looked at")).to_be_visible(timeout=LOADING_MS)
        expect(page.get_by_text("Nobody is in view")).to_be_visible(timeout=LOADING_MS)
        assert camera_frame(page).evaluate(width) is not None, "the camera plays again"

        state_becomes = """(state) => {
          const peer = window.kinoscopePeer;
          Object.defineProperty(peer, "connectionState", { get: () => state, configurable: true });
          peer.dispatchEvent(new Event("connectionstatechange"));
        }"""
        camera_frame(page).evaluate(state_becomes, "disconnected")
        page.wait_for_timeout(1000)
        expect(frame(page).get_by_role("button", name="Stop")).to_be_visible()
        camera_frame(page).evaluate(state_becomes, "failed")
        expect(frame(page).get_by_role("button", name="Start")).to_be_visible()

        before = len(server.store.runs())
        page.get_by_text("No live picture here?").click()
        page.get_by_text("Take a photo", exact=True).click()
        page.wait_for_timeout(2000)  # the button takes nothing before the camera plays
        page.get_by_role("button", name="Take Photo").click()
        page.get_by_role("button", name="Find the poses").click()
        expect(page.get_by_role("button", name="Movement Analyzer")).to_be_visible(timeout=MAKING_MS)
        assert len(server.store.runs()) == before + 1
        assert server.store.runs()[0].recording().people == ()


def test_a_refused_camera_is_explained(playwright: Playwright, server: Server) -> None:
    with chromium(playwright, None, "--deny-permission-prompts") as browser:
        page = open_webcam(browser, server)
        frame(page).get_by_role("button", name="Start").click()
        page.get_by_text("Self-test: does the camera not work?").click()
        page.get_by_role("button", name="Test now").click()
        expect(page.get_by_text("refused. Allow it")).to_be_visible(timeout=LOADING_MS)
        expect(page.get_by_text("secure, cameras are allowed here")).to_be_visible()
        expect(page.get_by_text("possible directly")).to_be_visible()


def test_two_sessions_do_not_meet(playwright: Playwright, server: Server, squats: Path, tmp_path: Path) -> None:
    with (
        chromium(playwright, squats) as first,
        chromium(playwright, empty_camera(tmp_path / "empty.y4m")) as second,
    ):
        somebody, nobody = open_webcam(first, server), open_webcam(second, server)
        start(somebody)
        start(nobody)
        expect(nobody.get_by_text("Nobody is in view")).to_be_visible(timeout=LOADING_MS)
        expect(somebody.get_by_text("Nobody is in view")).to_have_count(0, timeout=LOADING_MS)
        for _ in range(240):  # the analyses' processes start with the first pose
            if model_processes() == 4:
                break
            somebody.wait_for_timeout(500)
        assert model_processes() == 4, "a model and its analyses for each"
        somebody.get_by_test_id("stSidebarNavLink").filter(has_text="Outputs").click()
        somebody.get_by_role("heading", name="Outputs").wait_for()
        for _ in range(60):
            if model_processes() == 2:
                break
            nobody.wait_for_timeout(500)
        assert model_processes() == 2, "who leaves the page lets go of camera and model"
        expect(nobody.get_by_text("frames a second looked at")).to_be_visible()
