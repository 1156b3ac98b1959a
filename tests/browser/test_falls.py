"""A worried visit in a real browser: the fall, why, a jump to it, the slider."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from pipeline.falls.detect import detect_falls
from pipeline.runs import Run
from pipeline.synthetic.actor import ActorSpec
from tests.browser.conftest import NARROW, Server, settled, sticks_out_px, take_picture
from tests.pipeline.movements.analysed_runs import run_of

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def fall(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Somebody falls backwards after a second and a half: true poses over a plain clip."""
    spec = ActorSpec.one("fall_backward", lead_in_s=1.5, view="oblique", seed=4)
    return run_of(server.store, tmp_path_factory.mktemp("clip"), spec, name="fall.mp4")


def test_the_fall_is_a_button_that_moves_the_video(open_page: Open, fall: Run) -> None:
    (event,) = detect_falls(fall.recording()).events
    page = open_page(f"Fall_Detection?run={fall.id}")
    page.wait_for_selector("video")
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    settled(page)
    expect(page.get_by_text(event.reasons[0].text)).to_be_visible()
    page.get_by_role("button", name="Fall 1").click()
    page.wait_for_function(f"Math.abs(document.querySelector('video').currentTime - {event.onset_s}) < 0.1")
    settled(page)
    line = page.get_by_test_id("moment-line")
    expect(line).to_be_visible()
    take_picture(page, "fall_detection")


def test_on_a_narrow_screen_and_with_another_sensitivity(open_page: Open, fall: Run) -> None:
    page = open_page(f"Fall_Detection?run={fall.id}", size=NARROW, scheme="dark")
    page.wait_for_selector("video")
    settled(page)
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("End")
    expect(page.get_by_text("--sensitivity very-sensitive")).to_be_visible()
    assert sticks_out_px(page) <= 1
