"""Outputs: importing poses, downloads for other programs, reports; and pages that open a run without a clip."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.exchange import ExchangeError, ExportOptions, ImportOptions, export_poses, import_run
from pipeline.runs import Run, RunStore
from pipeline.skeletons import COCO_17
from tests.pipeline.exchange import samples
from tests.UserInterface.conftest import StandingPeople, healthy, make_run, open_page, texts
from UserInterface.components import files
from UserInterface.components.import_form import make_run as import_uploads
from UserInterface.components.progress_form import subjects
from UserInterface.components.run_list import entries

OUTPUTS, ANALYZER = "pages/03_Outputs.py", "pages/04_Movement_Analyzer.py"


@pytest.fixture(params=["openpose", "trc"])
def imported(request: pytest.FixtureRequest, store: RunStore, tmp_path: Path) -> Run:
    """A run without a clip: poses in the picture, or in space."""
    if request.param == "openpose":
        path = samples.openpose(samples.person(), tmp_path / "json")
    else:
        path = tmp_path / "squats.trc"
        path.write_bytes(export_poses(samples.squats(), "trc", ExportOptions(origin="floor")).content)
    return import_run(path, store, ImportOptions(fps=30, subject="Ada L."))


def test_outputs_shows_an_imported_run(imported: Run) -> None:
    app = open_page(OUTPUTS)
    assert f"view-{imported.id}" in {button.key for button in app.button}
    app = open_page(OUTPUTS, run=imported.id)
    assert "imported without a clip" in texts(app.warning)
    assert "python -m pipeline import" in texts(app.code)
    labels = {button.label for button in app.get("download_button")}
    assert {"Report (PDF)", "Report (HTML)", "Markers for OpenSim (TRC)", "Motion capture (C3D)"} <= labels
    healthy(app.run())


def test_the_movement_analyzer_analyses_an_imported_run(imported: Run) -> None:
    app = open_page(ANALYZER, run=imported.id)
    assert app.metric[0].label == "Complete repetitions"
    assert app.metric[0].value == str(samples.COUNT)
    assert "imported without a clip" in texts(app.warning)


def test_formats_that_lack_something_are_disabled_with_the_reason(store: RunStore, clip: Path) -> None:
    flat = make_run(store, clip, estimator=StandingPeople(1, COCO_17, with_3d=False))
    app = open_page(OUTPUTS, run=flat.id)
    buttons = {button.label: button for button in app.get("download_button")}
    assert buttons["Animation (BVH)"].disabled and buttons["Markers for OpenSim (TRC)"].disabled
    assert not buttons["Joint angles for OpenSim (MOT)"].disabled
    height = next(box for box in app.number_input if box.label.startswith("Body height"))
    healthy(height.set_value(1.75).run())
    buttons = {button.label: button for button in app.get("download_button")}
    assert not buttons["Markers for OpenSim (TRC)"].disabled
    assert buttons["Animation (BVH)"].disabled


def test_what_the_buttons_hand_out(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip)
    person = run.recording().people[0].person
    assert files._exported(run, "trc", ExportOptions(person=person)).read().startswith(b"PathFileType")
    assert files._report(run, "pdf", person).read().startswith(b"%PDF")
    assert b"<!DOCTYPE html>" in files._report(run, "html", person).read()


def upload(name: str, content: bytes) -> SimpleNamespace:
    """What Streamlit's uploader hands over."""
    file = io.BytesIO(content)
    return SimpleNamespace(name=name, seek=file.seek, read=file.read)


@pytest.mark.usefixtures("store")
def test_uploads_become_a_run_whatever_their_names(tmp_path: Path, store: RunStore) -> None:
    folder = samples.openpose(samples.person(), tmp_path / "json")
    paths = sorted(folder.iterdir(), reverse=True)  # browsers promise no order
    uploads = [upload(path.name, path.read_bytes()) for path in paths]
    run = import_uploads(uploads, None, ImportOptions(fps=30))
    assert run.manifest.frames == len(paths)
    assert run.manifest.source["name"].endswith(f"and {len(paths) - 1} more")
    found, truth = run.recording().people[0]["nose"], samples.person()["nose"]
    assert abs(found - truth).max() < 1e-2  # in the order of their numbers
    text = samples.mediapipe_wide(samples.person()).encode()
    run = import_uploads([upload("../../é vil\\name.CSV", text)], None, ImportOptions(fps=30, size="640x480"))
    assert run.folder.parent == store.folder
    with pytest.raises(ExchangeError, match="no table"):
        import_uploads([upload("x.csv", b"")], None, ImportOptions())


def test_progress_names_people_once(store: RunStore, clip: Path) -> None:
    assert subjects(entries(store)) == {}
    for subject in ("Ada L.", "ada  l.", "Bo", ""):
        make_run(store, clip, overlay=False, subject=subject)
    counted = subjects(entries(store))
    assert sorted(counted.values()) == [1, 2]
    assert {name.casefold() for name in counted} == {"ada l.", "bo"}
    app = open_page(OUTPUTS)
    assert {button.label for button in app.get("download_button")} == {
        "Progress report (PDF)",
        "Progress report (HTML)",
    }


def test_the_form_asks_for_files_and_says_what_is_wrong(store: RunStore) -> None:
    app = open_page(OUTPUTS)
    assert app.button(key="import-go").disabled
    assert "No inference is needed" in texts(app.caption)
    assert store.runs() == []
