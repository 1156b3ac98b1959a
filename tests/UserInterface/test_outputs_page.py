"""Outputs: find, look, edit, delete."""

from __future__ import annotations

import zipfile
from pathlib import Path

import orjson
import pytest
from PIL import Image

from pipeline.poses import SCHEMA_VERSION
from pipeline.runs import RunStore
from tests.UserInterface.conftest import healthy, make_picture_run, make_run, open_page, texts
from UserInterface.components.files import zip_run
from UserInterface.components.run_list import ORDERS, THUMBNAIL_SIZE, Entry, entries, search, thumbnail

PAGE = "pages/03_Outputs.py"


@pytest.mark.usefixtures("store")
def test_an_empty_store_says_what_to_do() -> None:
    app = open_page(PAGE)
    assert "no runs yet" in texts(app.info)
    assert not app.exception


def test_runs_are_listed_searched_and_sorted(store: RunStore, clip: Path, tmp_path: Path) -> None:
    run = make_run(store, clip, subject="P01", tags=("pilot",))
    picture = make_picture_run(store, tmp_path)
    app = open_page(PAGE)
    assert "2 of 2 runs" in texts(app.caption)
    assert {b.label for b in app.button} >= {"View", "Delete"}
    healthy(app.text_input(key="search").set_value("PILOT standing p01").run())
    keys = {b.key for b in app.button}
    assert f"view-{run.id}" in keys
    assert f"view-{picture.id}" not in keys
    healthy(app.text_input(key="search").set_value("no such thing").run())
    assert "None of the 2 runs matches" in texts(app.info)
    for order in ORDERS:
        assert {e.id for e in search(entries(store), "", order)} == {run.id, picture.id}
    assert search(entries(store), "", "Longest first")[0].id == run.id
    assert search(entries(store), "", "Newest first") == search(entries(store), "", "Oldest first")[::-1] or (
        run.manifest.created_utc == picture.manifest.created_utc
    )


def test_many_runs_come_in_pages(store: RunStore, clip: Path) -> None:
    first = make_run(store, clip, overlay=False)
    for number in range(14):
        folder = store.folder / f"{first.id}-{number:02d}"
        folder.mkdir()
        (folder / "manifest.json").write_bytes((first.folder / "manifest.json").read_bytes())
    app = open_page(PAGE)
    assert len([b for b in app.button if b.label == "View"]) == 12
    page = next(box for box in app.number_input if box.label.startswith("Page"))
    healthy(page.set_value(2).run())
    assert len([b for b in app.button if b.label == "View"]) == 3


def test_view_edit_and_open_in_inference(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip)
    app = open_page(PAGE)
    healthy(app.button(key=f"view-{run.id}").click().run())
    assert app.query_params["run"] in (run.id, [run.id])
    assert len(app.get("video")) == 1
    app.text_input[0].set_value("P02")
    healthy(next(b for b in app.button if b.label == "Save").click().run())
    assert store.get(run.id).manifest.subject == "P02"
    assert "saved" in texts(app.success)
    healthy(app.button(key="open").click().run())
    assert app.title[0].value == "Inference"
    assert app.subheader[0].value == r"squat \*one\*\.mp4"


def test_delete_asks_first(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip)
    app = open_page(PAGE)
    healthy(app.button(key=f"delete-{run.id}").click().run())
    assert "cannot be undone" in texts(app.markdown)
    assert store.runs()
    healthy(app.button(key="delete-no").click().run())
    assert store.runs()
    healthy(app.button(key=f"delete-{run.id}").click().run())
    healthy(app.button(key="delete-yes").click().run())
    assert not store.runs()
    assert "is deleted" in texts(app.success)


def test_newer_and_damaged_runs_are_sentences(store: RunStore, clip: Path) -> None:
    newer, damaged, whole = (make_run(store, clip) for _ in range(3))
    manifest = orjson.loads((newer.folder / "manifest.json").read_bytes()) | {"schema_version": SCHEMA_VERSION + 1}
    (newer.folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    (damaged.folder / "manifest.json").write_text("{ half")
    (whole.folder / "poses.parquet").write_bytes(b"PAR1 but not really")
    app = open_page(PAGE)
    assert "newer Kinoscope" in texts(app.warning)
    assert "cannot be read" in texts(app.warning)
    assert [b.key for b in app.button if b.label == "View"] == [f"view-{whole.id}"]
    for run, words in ((newer, "newer Kinoscope"), (damaged, "cannot be read"), (whole, "cannot be read")):
        assert words in texts(open_page(PAGE, run=run.id).error)
        assert words in texts(open_page("pages/01_Inference.py", run=run.id).error)


@pytest.mark.usefixtures("store")
def test_a_run_that_is_gone_is_a_sentence() -> None:
    assert "deleted" in texts(open_page(PAGE, run="20200101-000000-x-1").error)


def test_the_zip_holds_every_file(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip)
    run.add_result("squat", {"repetitions": []})
    with zip_run(run) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = {name.removeprefix(f"{run.id}/") for name in archive.namelist()}
    assert names == {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
    assert {"manifest.json", "results/squat.json", "overlay.mp4", "source.mp4"} <= names


def test_thumbnails_have_one_size(store: RunStore, clip: Path) -> None:
    import io

    make_run(store, clip)
    picture = thumbnail(entries(store)[0])
    assert picture is not None
    assert Image.open(io.BytesIO(picture)).size == THUMBNAIL_SIZE
    assert thumbnail(Entry("x", str(store.folder / "x"))) is None


@pytest.mark.parametrize("order", list(ORDERS))
def test_damaged_runs_sort_anywhere(order: str) -> None:
    assert len(search([Entry("a", "/a", error="x"), Entry("b", "/b", error="y")], "", order)) == 2
