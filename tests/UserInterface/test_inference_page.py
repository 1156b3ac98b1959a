"""Inference: choose, run, watch, stop, look."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pipeline.estimation.registry import how_to_get, list_models
from pipeline.inference import InferenceOptions
from pipeline.options import descriptions
from pipeline.runs import RunStore
from tests.UserInterface.conftest import (
    FRAMES,
    StandingPeople,
    healthy,
    make_picture_run,
    make_run,
    open_page,
    texts,
)

PAGE = "pages/01_Inference.py"


def start_sample(app: AppTest) -> AppTest:
    app.session_state["source"] = "The sample clip"
    healthy(app.run())
    return healthy(app.button(key="start").click().run())


def finish(app: AppTest) -> AppTest:
    if "job" in app.session_state:
        app.session_state["job"].wait(20)
    return healthy(app.run())


@pytest.mark.usefixtures("store")
def test_nothing_chosen_nothing_started() -> None:
    app = open_page(PAGE)
    assert app.button(key="start-nothing").disabled
    assert not app.error
    helps = {w.label: w.help for w in (*app.selectbox, *app.number_input)}
    assert descriptions(InferenceOptions)["max_people"] == helps["Most people to follow"]


@pytest.mark.usefixtures("store")
def test_models_that_are_not_installed_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.doctor.cached_speed", lambda _name: None)
    app = open_page(PAGE)
    assert app.selectbox[0].options == [e.title for e in list_models() if e.name == "blazepose"]
    missing = [e for e in list_models() if e.name != "blazepose"]
    assert f"{len(missing)} more models" in texts([e.label for e in (*app.expander, *app.status)])
    shown = texts(app.markdown) + texts(app.caption)
    for entry in missing:
        assert f"`{entry.name}`" in shown
        assert how_to_get(entry) in shown


@pytest.mark.usefixtures("estimator", "sample")
def test_the_sample_becomes_a_run_with_its_options(store: RunStore) -> None:
    app = open_page(PAGE)
    app.session_state["source"] = "The sample clip"
    app.text_input(key="subject").set_value(" P07 ")
    app.number_input(key="start_s").set_value(0.1)
    app.selectbox(key="working_point").set_value("fast")
    healthy(app.run())
    healthy(app.button(key="start").click().run())
    app = finish(app)
    run = store.runs()[0]
    assert run.manifest.subject == "P07"
    assert run.manifest.parameters["working_point"] == "fast"
    assert run.manifest.frames == FRAMES - 2
    assert run.recording().time_s[0] == pytest.approx(0.1, abs=1e-3)
    assert "--working-point fast" in texts(app.code)
    assert app.query_params["run"] in (run.id, [run.id])


@pytest.mark.usefixtures("estimator")
@pytest.mark.parametrize("name", ["../../etc/passwd.mp4", "🎥 $x^2$ **b** <b>.mp4", "x" * 300 + ".mp4"])
def test_uploads_are_named_by_us(store: RunStore, clip: Path, name: str) -> None:
    app = open_page(PAGE)
    app.file_uploader[0].upload(name, clip.read_bytes(), "video/mp4")
    healthy(app.run())
    upload = app.session_state["upload"]
    assert upload.path.parent == Path(app.session_state["folder"].name)
    assert upload.path.stem.isalnum()
    healthy(app.button(key="start").click().run())
    app = finish(app)
    run = store.runs()[0]
    assert run.manifest.source["name"] == name
    assert run.folder.parent == store.folder
    assert not app.error
    assert not upload.path.exists(), "the run has its own copy"
    healthy(app.button(key="start").click().run())
    finish(app)
    assert [r.manifest.source["sha256"] for r in store.runs()] == [run.manifest.source["sha256"]] * 2


@pytest.mark.parametrize(("content", "word"), [(b"", "empty"), (b"no video at all", "notes")])
def test_a_file_that_is_no_clip_is_a_sentence(store: RunStore, content: bytes, word: str) -> None:
    app = open_page(PAGE)
    app.file_uploader[0].upload("notes.mp4", content, "video/mp4")
    healthy(app.run())
    assert word in texts(app.error)
    assert app.session_state["upload"].path.name not in texts(app.error)
    assert app.button(key="start-nothing").disabled
    assert not store.runs()


@pytest.mark.usefixtures("sample")
def test_progress_then_stop_keeps_what_is_done(store: RunStore, estimator: StandingPeople) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(frame: int) -> None:
        if frame == 6:
            reached.set()
            assert go_on.wait(20)

    estimator.before_frame = hold
    app = start_sample(open_page(PAGE))
    assert reached.wait(20)
    healthy(app.run())
    assert "frames" in texts([p.proto.text for p in app.get("progress")])
    assert app.button(key="start").disabled
    assert not app.get("video")
    app.button(key="cancel").click().run()
    go_on.set()
    app = finish(app)
    run = store.runs()[0]
    assert run.manifest.state == "cancelled"
    assert 0 < run.manifest.frames < FRAMES
    assert "what was done is kept" in texts(app.warning)


@pytest.mark.usefixtures("sample")
def test_a_second_start_does_nothing(store: RunStore, estimator: StandingPeople) -> None:
    go_on = threading.Event()
    estimator.before_frame = lambda _frame: go_on.wait(20) and None
    app = start_sample(open_page(PAGE))
    job = app.session_state["job"]
    app.button(key="start").click().run()
    assert app.session_state["job"] is job
    go_on.set()
    finish(app)
    assert len(store.runs()) == 1


@pytest.mark.usefixtures("sample")
def test_leaving_the_page_does_not_lose_the_work(store: RunStore, estimator: StandingPeople) -> None:
    go_on = threading.Event()
    estimator.before_frame = lambda _frame: go_on.wait(20) and None
    app = start_sample(open_page(PAGE))
    healthy(app.switch_page("pages/03_Outputs.py").run())
    go_on.set()
    app.session_state["job"].wait(20)
    healthy(app.run())
    assert len(store.runs()) == 1
    healthy(app.switch_page(PAGE).run())
    assert app.subheader


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize("error", [OSError("The disk is full; free some space."), RuntimeError("surprise")])
def test_an_error_in_the_thread_is_a_sentence(store: RunStore, estimator: StandingPeople, error: Exception) -> None:
    go_on = threading.Event()

    def fail(_frame: int) -> None:
        go_on.wait(20)
        raise error

    estimator.before_frame = fail
    app = start_sample(open_page(PAGE))
    go_on.set()
    app = finish(app)
    assert str(error).split(";")[0] in texts(app.error)
    assert not store.runs()
    assert not healthy(app.run()).error, "the sentence goes with the next run of the page"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("run", ["nothing-here", "/etc", "../outside", "a\\b"])
def test_a_wrong_link_is_a_sentence(run: str) -> None:
    app = open_page(PAGE, run=run)
    assert len(app.error) == 1
    assert "Outputs" in texts(app.error)


def test_the_result_has_everything(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip, subject="P01")
    app = open_page(PAGE, run=run.id)
    key = f"inference-{run.id}"
    assert len(app.get("video")) == 1
    assert len(app.get("plotly_chart")) == 3, "curves, picture, skeleton in space"
    assert len(app.selectbox(key=f"{key}-person").options) == 2
    assert {b.label for b in app.get("download_button")} >= {
        "Table (CSV)", "Table (Parquet)", "Poses (JSON)", "Overlay video", "Manifest", "Everything (zip)",
    }  # fmt: skip
    assert len(app.dataframe[0].value) == 33
    assert "test bench" in texts(app.markdown)
    app.selectbox(key=f"{key}-person").set_value(2)
    app.slider(key=f"{key}-time").set_value(0.0)
    app.selectbox(key=f"{key}-quantity").set_value("z_m")
    healthy(app.run())
    assert "out of view" in texts(app.info), "person 2 comes in at the fifth frame"
    before = app.slider(key=f"{key}-time").value
    healthy(app.button(key=f"{key}-next").click().run())
    assert app.slider(key=f"{key}-time").value == pytest.approx(before + 0.05, abs=1e-3)
    assert app.session_state[f"{key}-seek"] >= 1, "the video follows"


def test_nobody_in_view_is_a_kind_result(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip, people=0)
    app = open_page(PAGE, run=run.id)
    assert "Nobody was found in this clip" in texts(app.info)
    assert "thorough" in texts(app.info)
    assert not app.error


def test_stopped_before_the_first_frame(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip, cancel_after=0)
    assert "No frame was read" in texts(open_page(PAGE, run=run.id).info)


def test_a_picture_without_3d(store: RunStore, tmp_path: Path) -> None:
    run = make_picture_run(store, tmp_path)
    app = open_page(PAGE, run=run.id)
    assert not app.get("video")
    assert "in the picture only" in texts(app.info)
    assert len(app.get("plotly_chart")) == 1


def test_a_source_that_is_gone(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip)
    assert run.source is not None
    run.source.unlink()
    app = open_page(PAGE, run=run.id)
    assert run.missing() in texts(app.warning)
    assert len(app.get("plotly_chart")) == 3


def test_without_an_overlay(store: RunStore, clip: Path) -> None:
    run = make_run(store, clip, overlay=False)
    app = open_page(PAGE, run=run.id)
    assert not app.get("video")
    assert "No overlay video" in texts(app.info)


def test_curves_can_be_filtered_with_the_raw_points_behind(store: RunStore, clip: Path) -> None:
    app = open_page(PAGE, run=make_run(store, clip).id)

    def curves() -> list[dict[str, object]]:
        return list(json.loads(app.get("plotly_chart")[0].proto.spec)["data"])

    assert not any("raw" in str(line["name"]) for line in curves())
    next(toggle for toggle in app.toggle if toggle.label == "Filtered").set_value(True)
    healthy(app.run())
    assert [line["name"] for line in curves() if line["mode"] == "markers"] == ["left knee, raw", "right knee, raw"]
