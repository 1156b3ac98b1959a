"""Exercise Recognition in a real browser: timeline and video belong together, labels go out as training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from pipeline.poses import Recording
from pipeline.recognition.labels import read_labels
from pipeline.recognition.segments import recognize
from pipeline.runs import Run
from pipeline.synthetic.actor import ActorSpec, clip_truth
from tests.browser.conftest import NARROW, Server, settled, sticks_out_px
from tests.pipeline.movements.analysed_runs import plain_clip

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
SIZE = (320, 240)


@pytest.fixture(scope="module")
def workout(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Squats, then jumping jacks, by one person: true poses over a plain clip."""
    parts = [
        clip_truth(
            ActorSpec.one(motion, repetitions=count, view="oblique", seed=3, size=SIZE, lead_in_s=1.0, lead_out_s=1.5)
        )
        for motion, count in (("squat", 3), ("jumping_jack", 8))
    ]
    first, second = (part.recording.people[0] for part in parts)
    time_s = np.concatenate([first.time_s, second.time_s + first.time_s[-1] + 1 / 30])
    both = replace(
        first,
        time_s=time_s,
        xy_px=np.concatenate([first.xy_px, second.xy_px]),
        score=np.concatenate([first.score, second.score]),
        xyz_m=None,
        raw_score=None,
        root_m=None,
    )
    recording = Recording((both,), time_s, parts[0].recording.source, parts[0].recording.model)
    clip = plain_clip(tmp_path_factory.mktemp("clip") / "plain.mp4", recording, SIZE)
    with server.store.create("workout.mp4") as builder:
        builder.keep_source(clip, "workout.mp4")
        (builder.folder / "overlay.mp4").write_bytes(clip.read_bytes())
        builder.finish(recording, tables=False)
    return server.store.get(builder.id)


def open_run(open_page: Open, run: Run, **options: object) -> Page:
    page = open_page(f"Exercise_Recognition?run={run.id}", **options)
    page.wait_for_selector("video")
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    settled(page)
    return page


def wait_for_video(page: Page, time_s: float, within_s: float = 0.06) -> None:
    page.wait_for_function(f"Math.abs(document.querySelector('video').currentTime - {time_s}) < {within_s}")


def test_the_workout_is_named_and_a_click_goes_there(open_page: Open, workout: Run) -> None:
    found = recognize(workout.recording())
    squats, jacks = found.segments
    page = open_run(open_page, workout)
    expect(page.get_by_text(f"Squat × {squats.repetitions} · Jumping jack × {jacks.repetitions}")).to_be_visible()
    page.get_by_role("button", name="Jumping jack:").click()
    wait_for_video(page, jacks.start_s + 1 / 60)
    settled(page)
    bar = page.locator(".js-plotly-plot").first.locator(".barlayer path").first
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function(f"document.querySelector('video').currentTime < {squats.end_s + 0.1}")


def test_labels_go_out_as_training_data(open_page: Open, workout: Run, tmp_path: Path) -> None:
    page = open_run(open_page, workout)
    page.get_by_text("Correct the labels").click()
    expect(page.get_by_text("Time that no row covers")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Labels to train with").click()
    file = tmp_path / "labels.json"
    download.value.save_as(file)
    name, points, marks = read_labels(file.read_bytes())
    assert workout.id in name
    assert len(points) == len(marks) > 100
    assert {0, 4} <= set(marks)


@pytest.mark.parametrize("options", [{"scheme": "dark"}, {"size": NARROW}])
def test_it_fits_dark_and_narrow(open_page: Open, workout: Run, options: dict[str, object]) -> None:
    page = open_run(open_page, workout, **options)
    assert sticks_out_px(page) <= 0
    expect(page.get_by_role("button", name="Squat:")).to_be_visible()


def test_how_sure_shows_the_runner_up(open_page: Open, workout: Run) -> None:
    page = open_run(open_page, workout)
    page.get_by_text("How sure, and what else it could be").click()
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
