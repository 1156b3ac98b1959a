"""What a researcher does, in a real browser: the sample, an upload, a stop, the list of runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from pipeline.sample import SAMPLE_NAME, sample_clip
from tests.browser.conftest import NARROW, ROOT, Server, settled, sticks_out_px, take_picture

pytestmark = pytest.mark.browser
Open = Callable[..., Page]

PAGE_FILES = list((ROOT / "UserInterface/pages").glob("*.py"))
WORKING_S = 100.0  # for the 13 s of the sample on two busy cores
EVIL_NAME = "../../<b>🎥 *squat*" + "x" * 250 + ".mp4"


def video_state(page: Page) -> dict[str, float]:
    state: dict[str, float] = page.locator("video").evaluate(
        "v => ({ready: v.readyState, time: v.currentTime, duration: v.duration, width: v.videoWidth})"
    )
    return state


def line_x(page: Page) -> float:
    return float(page.get_by_test_id("moment-line").evaluate("line => parseFloat(line.style.left)"))


def moment_caption(page: Page) -> str:
    return page.get_by_text("Click a person to choose them").inner_text()


def click(page: Page, place: Locator, across: float, down: float) -> None:
    """Click into a figure as a hand does: move there, let it see the pointer, click."""
    place.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = place.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.wait_for_timeout(300)
    page.mouse.down()
    page.mouse.up()


def test_the_first_visit_may_be_any_page(open_page: Open) -> None:
    """Straight after the start, before Home.py ever ran (Streamlit then knows only the folder of pages)."""
    page = open_page("Outputs")
    expect(page.get_by_text("There are no runs yet")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(
        1 + len(list((ROOT / "UserInterface/pages").glob("*.py")))
    )
    expect(page.get_by_text("does not seem to exist")).to_have_count(0)
    wide = page.get_by_test_id("stMainBlockContainer").bounding_box()
    assert wide is not None
    assert wide["width"] > 900, "the wide layout of Home.py"


def test_try_the_sample_watch_it_and_look_around(open_page: Open, server: Server) -> None:
    page = open_page()
    page.get_by_role("button", name="Try the sample").click()
    expect(page.get_by_text("frames a second")).to_be_visible(timeout=60_000)
    page.wait_for_selector("video", timeout=WORKING_S * 1000)
    run = server.store.runs()[0]
    assert run.manifest.source["name"] == SAMPLE_NAME
    assert f"run={run.id}" in page.url

    page.wait_for_function("document.querySelector('video')?.readyState >= 3")
    assert video_state(page)["duration"] == pytest.approx(run.manifest.duration_s, abs=0.1)
    assert video_state(page)["width"] == run.manifest.source["width"]
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    settled(page)
    take_picture(page, "inference")
    at_start = line_x(page)
    page.locator("video").evaluate("v => v.play()")
    page.wait_for_function("document.querySelector('video')?.currentTime > 1")
    assert line_x(page) > at_start + 20, "a line runs along the curve"
    page.locator("video").evaluate("v => v.pause()")
    settled(page)
    paused = video_state(page)["time"]
    shown = float(moment_caption(page).split(", ")[1].split(" s.")[0])
    assert shown == pytest.approx(paused, abs=0.1), "the moment below is where the video stands"

    click(page, page.locator(".js-plotly-plot").first, 0.75, 0.5)
    page.wait_for_function("document.querySelector('video')?.currentTime > 5")
    assert video_state(page)["time"] == pytest.approx(0.75 * run.manifest.duration_s, rel=0.1)
    before = video_state(page)["time"]
    settled(page)
    page.get_by_role("button", name="Next").click()
    page.wait_for_function(f"document.querySelector('video')?.currentTime > {before}")

    settled(page)

    points = page.locator(".js-plotly-plot").nth(1).locator(".points path")
    click(page, points.first, 0.5, 0.5)
    settled(page)
    expect(page.get_by_text("1 (chosen)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Table (CSV)").click()
    assert download.value.path().read_text().splitlines()[1].startswith("1,0,0,nose,")


def test_home_and_outputs_show_the_sample(open_page: Open) -> None:
    page = open_page()
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    settled(page)
    take_picture(page, "home")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Outputs").click()
    expect(page.get_by_role("button", name="View")).to_have_count(1)
    take_picture(page, "outputs")


def test_stopping_keeps_what_is_done(open_page: Open, server: Server) -> None:
    page = open_page("Inference")
    page.locator("input[type=file]").set_input_files(
        {"name": EVIL_NAME, "mimeType": "video/mp4", "buffer": sample_clip().read_bytes()}
    )
    start = page.get_by_role("button", name="Find the poses")
    expect(start).to_be_enabled()
    settled(page)
    start.click()
    expect(page.get_by_text("frames a second")).to_be_visible()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Outputs").click()
    expect(page.get_by_text("To the running inference")).to_be_visible()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Inference").click()
    page.get_by_role("button", name="Stop and keep what is done").click()
    expect(page.get_by_text("what was done is kept")).to_be_visible()
    page.wait_for_function("document.querySelector('video')?.readyState >= 3")
    run = server.store.runs()[0]
    assert run.manifest.state == "cancelled"
    assert run.manifest.source["name"] == EVIL_NAME
    assert 0 < run.manifest.frames < 391
    assert video_state(page)["duration"] == pytest.approx(run.manifest.duration_s, abs=0.1)


def test_outputs_lists_opens_and_deletes(open_page: Open, server: Server) -> None:
    page = open_page("Outputs")
    cards = page.get_by_role("button", name="View")
    expect(cards).to_have_count(2)
    settled(page)
    assert page.locator("[data-testid=stImage] img").first.evaluate("i => i.naturalWidth") == 320
    page.get_by_placeholder("name, subject, tag, model").fill("sample")
    page.keyboard.press("Enter")
    expect(cards).to_have_count(1)
    cards.click()
    page.wait_for_function("document.querySelector('video')?.readyState >= 2")
    page.get_by_role("button", name="Open in Inference").click()
    expect(page.get_by_role("heading", name="Inference")).to_be_visible()
    page.wait_for_selector("video")

    page = open_page("Outputs")
    page.get_by_role("button", name="Delete").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("cannot be undone")
    assert len(server.store.runs()) == 2
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("is deleted")).to_be_visible()
    assert [run.manifest.state for run in server.store.runs()] == ["complete"]


@pytest.mark.parametrize("address", ["", "Inference", "Inference?run={run}", "Outputs"])
def test_dark_and_narrow(open_page: Open, server: Server, address: str) -> None:
    page = open_page(address.format(run=server.store.runs()[0].id), scheme="dark", size=NARROW)
    settled(page)
    assert sticks_out_px(page) <= 1
    color = page.get_by_test_id("stApp").evaluate("a => getComputedStyle(a).backgroundColor")
    assert max(int(part) for part in color[4:-1].split(",")[:3]) < 60
    expect(page.get_by_test_id("stException")).to_have_count(0)
