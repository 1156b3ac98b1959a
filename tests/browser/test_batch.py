"""A folder of clips in a real browser: start, see the table, open a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.synthetic.actor import ActorSpec, render_clip
from tests.browser.conftest import Server, settled, sticks_out_px, take_picture

pytestmark = pytest.mark.browser


def test_a_folder_becomes_a_table(open_page: Callable[..., Page], server: Server, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for number, motion in enumerate(("squat", "jumping_jack")):
        spec = ActorSpec.one(motion, repetitions=2, fps=10, size=(240, 180), seed=number)
        render_clip(spec, tmp_path / "clips" / f"{motion}.mp4")
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no clip")
    page = open_page("Batch")
    page.get_by_role("textbox", name="Folder, glob or file").fill(str(tmp_path / "clips"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 clips and pictures")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("3 of 3 clips, 1 with trouble")).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(2)
    assert len(server.store.runs()) == 2
    settled(page)
    take_picture(page, "batch")
    page.set_viewport_size({"width": 480, "height": 900})
    settled(page)
    assert sticks_out_px(page) <= 1
