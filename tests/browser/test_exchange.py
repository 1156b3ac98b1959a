"""Poses of another program, from the file chooser to a report, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.exchange import import_poses
from tests.browser.conftest import Server, settled
from tests.pipeline.exchange import samples

pytestmark = pytest.mark.browser


def test_imported_poses_become_a_run_files_and_reports(
    open_page: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    page = open_page("Outputs")
    expect(page.get_by_text("There are no runs yet")).to_be_visible()
    page.get_by_role("button", name="Import poses").click()
    path = samples.write(tmp_path / "pose.csv", samples.mediapipe_wide(samples.person()))
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(str(path))
    expect(page.get_by_text("pose.csv")).to_be_visible()
    go = page.get_by_role("button", name=re.compile("Import$"))
    expect(go).to_be_enabled()
    go.click()
    expect(page.get_by_text("shares of the picture")).to_be_visible()  # the size is missing
    page.get_by_label("Frames a second").fill("30")
    page.get_by_label("Picture size").fill("640x480")
    page.get_by_label("Subject").fill("Ada L.")
    page.get_by_label("Subject").press("Tab")
    go.click()
    expect(page.get_by_text("The poses are imported")).to_be_visible()
    expect(page.get_by_text("imported without a clip")).to_be_visible()
    (run,) = server.store.runs()
    assert run.manifest.subject == "Ada L."

    settled(page)
    page.get_by_role("button", name="For other programs").click()
    height = page.get_by_role("spinbutton", name="Body height (m)")
    height.fill("1.7")
    height.press("Enter")
    trc = page.get_by_role("button", name="Markers for OpenSim (TRC)")
    expect(trc).to_be_enabled()
    with page.expect_download() as download:
        trc.click()
    back = tmp_path / "back.trc"
    download.value.save_as(back)
    assert len(import_poses(back).recording) == len(samples.person())
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (PDF)").click()
    assert download.value.suggested_filename == f"{run.id}-report.pdf"
    assert download.value.path().read_bytes().startswith(b"%PDF")

    page.get_by_role("button", name="All runs").click()
    page.get_by_role("button", name="Progress report").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Progress report (HTML)").click()
    report = tmp_path / "progress.html"
    download.value.save_as(report)
    assert page.context.browser is not None
    printed = page.context.browser.new_page()
    loaded: list[str] = []
    printed.on("request", lambda request: loaded.append(request.url))
    printed.goto(report.as_uri())
    expect(printed.get_by_role("heading", name="Progress report")).to_be_visible()
    assert [url for url in loaded if not url.startswith(("file:", "data:"))] == []
    assert printed.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert printed.evaluate("document.documentElement.scrollWidth <= innerWidth")
    printed.close()
