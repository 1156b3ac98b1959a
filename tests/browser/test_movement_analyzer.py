"""A coach's visit in a real browser: the set, a click on a repetition and on a remark, the film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.movements.analyze import analyze
from pipeline.runs import Run
from pipeline.sample import ensure_sample_run
from pipeline.synthetic.actor import ActorSpec
from tests.browser.conftest import NARROW, Server, settled, sticks_out_px, take_picture
from tests.pipeline.movements.analysed_runs import run_of

pytestmark = pytest.mark.browser
Open = Callable[..., Page]

ROW_PX, HEAD_PX = 64, 40


@pytest.fixture(scope="module")
def squats(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three shallow squats seen from the side: true poses over a plain clip."""
    spec = ActorSpec.one("squat", repetitions=3, depth=0.55, view="left", seed=3)
    return run_of(server.store, tmp_path_factory.mktemp("clip"), spec)


def video_s(page: Page) -> float:
    return float(page.locator("video").evaluate("v => v.currentTime"))


def wait_for_video(page: Page, time_s: float) -> None:
    page.wait_for_function(f"Math.abs(document.querySelector('video').currentTime - {time_s}) < 0.06")


def open_run(open_page: Open, run: Run, **options: object) -> Page:
    page = open_page(f"Movement_Analyzer?run={run.id}", **options)
    page.wait_for_selector("video")
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    settled(page)
    return page


def click_row(page: Page, number: int) -> None:
    """As a hand does: the table must see the pointer arrive before it takes a click."""
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box is not None
    x, y = box["x"] + 150, box["y"] + HEAD_PX + (number - 0.5) * ROW_PX
    for place in (x - 5, x):
        page.mouse.move(place, y)
        page.wait_for_timeout(300)
    page.mouse.down()
    page.wait_for_timeout(60)
    page.mouse.up()


def test_clicks_move_the_video_and_show_the_evidence(open_page: Open, squats: Run, tmp_path: Path) -> None:
    report = analyze(squats.recording(), "squat")
    first, second, third = report.repetitions
    page = open_run(open_page, squats)
    expect(page.get_by_text("3 complete repetitions of: squat")).to_be_visible()

    click_row(page, 2)
    wait_for_video(page, second.remarks[0].time_s)
    expect(page.get_by_text("Repetition 2 of 3")).to_be_visible()
    expect(page.get_by_text(second.remarks[0].advice, exact=True)).to_be_visible()
    expect(page.get_by_test_id("stImage")).to_be_visible()
    settled(page)
    page.get_by_role("button", name="The turning point").click()
    wait_for_video(page, second.turn_s)
    settled(page)
    page.get_by_role("button", name="Next").click()
    wait_for_video(page, third.remarks[0].time_s)
    settled(page)
    page.locator("video").evaluate(f"v => {{ v.currentTime = {first.turn_s} }}")
    expect(page.get_by_text("Repetition 1 of 3")).to_be_visible()
    settled(page)

    page.get_by_role("button", name="Make the annotated video").click()
    expect(page.get_by_text("Annotated: repetition and phase")).to_be_visible(timeout=60_000)
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    assert len(list(squats.folder.glob("movement-squat-*.mp4"))) == 1
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Repetitions (CSV)").click()
    download.value.save_as(tmp_path / "table.csv")
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 4
    with page.expect_download() as download:
        page.get_by_role("button", name="Curves (SVG)").click()
    assert "<svg" in download.value.path().read_text()


def test_stricter_and_kinder_at_once(open_page: Open, squats: Run) -> None:
    page = open_run(open_page, squats)
    good = page.get_by_test_id("stMetricValue").nth(1)
    expect(good).to_have_text("0 of 3")
    page.get_by_text("Thresholds", exact=True).click()
    for label in ("Depth, at most", "Knee angle, at most"):
        slider = page.get_by_role("slider", name=label)
        slider.focus()
        slider.press("End")
        settled(page)
    expect(good).to_have_text("3 of 3")
    expect(page.get_by_text("No fault was found")).to_be_visible()


def test_it_fits_a_telephone_in_the_dark(open_page: Open, squats: Run) -> None:
    page = open_run(open_page, squats, scheme="dark", size=NARROW)
    page.locator("[data-testid=stCode]").last.scroll_into_view_if_needed()
    settled(page)
    assert sticks_out_px(page) <= 0
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.skipif("__import__('os').environ.get('KINOSCOPE_PICTURES') != '1'", reason="takes the README's picture")
def test_the_picture_of_the_page(open_page: Open, server: Server) -> None:
    page = open_run(open_page, ensure_sample_run(server.store), size={"width": 1400, "height": 1400})
    page.get_by_role("button", name="Make the annotated video").click()
    expect(page.get_by_text("Annotated: repetition and phase")).to_be_visible(timeout=60_000)
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    settled(page)
    click_row(page, 2)
    page.wait_for_function("document.querySelector('video').currentTime > 3")
    take_picture(page, "movement_analyzer")
