"""A score in a real browser: the gauge, a click on a reason, the skeleton that plays along, the downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.runs import Run
from pipeline.scoring.assess import ChainOptions
from pipeline.synthetic.actor import ActorSpec, clip_truth, render_clip
from tests.browser.conftest import NARROW, Server, settled, sticks_out_px, take_picture

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def squats(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two rendered squats with their true poses."""
    spec = ActorSpec.one(
        "squat", repetitions=2, depth=0.8, faults={"knees_in": 0.6}, lead_in_s=1.5, lead_out_s=1.5, seed=2,
        size=(320, 240), view="oblique",
    )  # fmt: skip
    clip = tmp_path_factory.mktemp("clip") / "squats.mp4"
    render_clip(spec, clip)
    with server.store.create("squats.mp4") as builder:
        builder.keep_source(clip, "squats.mp4")
        (builder.folder / "overlay.mp4").write_bytes(clip.read_bytes())
        builder.finish(clip_truth(spec).recording, tables=False)
    return server.store.get(builder.id)


def open_scored(open_page: Open, run: Run, **options: object) -> Page:
    page = open_page(f"Exercise_Scoring?run={run.id}", **options)
    page.wait_for_selector("video")
    settled(page)
    page.get_by_role("combobox", name="Exercise").first.click()
    page.get_by_role("option", name="Deep squat").click()
    settled(page)
    expect(page.get_by_text("0.0 is perfect, 4.0 worst").first).to_be_visible()
    expect(page.get_by_text("Deep squat, as chosen")).to_be_visible()
    page.wait_for_function("document.querySelector('video')?.readyState >= 2")
    settled(page)
    return page


def test_a_click_on_a_repetition_moves_video_and_skeleton(open_page: Open, squats: Run, tmp_path: Path) -> None:
    page = open_scored(open_page, squats)
    expect(page.get_by_text("Poses: ok")).to_be_visible()
    expect(page.get_by_text("not a clinician's grade").first).to_be_visible()
    kept = next(iter(squats.results().values()))
    second = kept["repetitions"][1]
    page.get_by_role("button", name=f"2: {second['score']:.1f}", exact=True).click()
    page.wait_for_function(f"Math.abs(document.querySelector('video').currentTime - {second['start_s'] + 0.02}) < 0.1")
    expect(page.get_by_text("What cost points in repetition 2")).to_be_visible()
    settled(page)

    shown = "document.querySelectorAll('.js-plotly-plot .slider-label')[0].textContent"
    before = page.evaluate(shown)
    page.locator("video").evaluate("v => { v.muted = true; v.playbackRate = 0.5; return v.play() }")
    page.wait_for_function(f"{shown} !== {before!r}")  # the skeleton runs with it
    page.locator("video").evaluate("v => v.pause()")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Depth (CSV)").click()
    download.value.save_as(tmp_path / "depth.csv")
    assert (tmp_path / "depth.csv").read_text().startswith("time_s,joint,x_m,y_m,z_m")
    expect(page.get_by_text(f"--exercise {ChainOptions('deep_squat').exercise}").first).to_be_visible()


def test_it_fits_a_telephone_in_the_dark(open_page: Open, squats: Run) -> None:
    page = open_scored(open_page, squats, scheme="dark", size=NARROW)
    page.locator("[data-testid=stCode]").last.scroll_into_view_if_needed()
    settled(page)
    assert sticks_out_px(page) <= 0
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.skipif("__import__('os').environ.get('KINOSCOPE_PICTURES') != '1'", reason="takes the README's picture")
def test_the_picture_of_the_page(open_page: Open, squats: Run) -> None:
    page = open_scored(open_page, squats, size={"width": 1400, "height": 1500})
    take_picture(page, "exercise_scoring")
