"""The Batch page: a folder in, a table out; stop, resume, trouble beside its file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pipeline.batch.batch import look_at, open_batch, run_batch
from pipeline.runs import RunStore
from tests.pipeline.batch.conftest import FRAMES, CountingPeople, clips, model, write_clip
from tests.UserInterface.conftest import healthy, open_page, texts
from UserInterface.components.batch_job import job_of
from UserInterface.components.batch_view import command, share_of, table_of

__all__ = ["clips", "model"]
PAGE = "pages/08_Batch.py"
pytestmark = pytest.mark.usefixtures("store")


def begin(folder: Path, *tasks: str) -> AppTest:
    app = open_page(PAGE)
    app.text_input(key="batch-inputs").set_value(str(folder)).run()
    if tasks:
        app.multiselect(key="batch-tasks").set_value(list(tasks)).run()
    return healthy(app.button(key="batch-start").click().run())


def test_the_page_works_with_an_empty_store(store: RunStore) -> None:
    app = open_page(PAGE)
    assert "Name a folder first" in texts(app.caption)
    assert not app.get("arrow_data_frame")
    assert not store.folder.exists()


def test_a_folder_becomes_runs_and_a_table(store: RunStore, clips: Path, model: CountingPeople) -> None:
    (clips / "broken.mp4").write_bytes(b"x")
    app = begin(clips, "infer", "repetitions")
    job = job_of(str(store.folder), "clips")
    assert job is not None
    job.wait(30)
    app = healthy(open_page(PAGE))
    assert model.shown == 3 * FRAMES
    assert len(store.runs()) == 3
    table = app.dataframe[0].value.set_index("clip")
    assert [state.split()[1] for state in table["state"]] == ["failed", "done", "done", "done"]
    assert "broken.mp4" in table["trouble"]["broken.mp4"]
    assert table["run"]["a.mp4"].startswith("/Inference?run=2")
    assert list(app.dataframe[1].value.index) == ["a.mp4", "b with (odd) name.mov", "day 2/a.mp4"]
    assert "repetitions.repetitions_count" in app.dataframe[1].value
    assert "1 with trouble" in texts(app.warning)
    write_clip(clips / "broken.mp4", 77)
    healthy(app.button(key="batch-resume").click().run())
    job = job_of(str(store.folder), "clips")
    assert job is not None
    job.wait(30)
    assert model.shown == 4 * FRAMES
    assert "all done" in texts(open_page(PAGE).success)


def test_progress_and_stop(store: RunStore, clips: Path, model: CountingPeople) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        if number == FRAMES + 3:
            reached.set()
            assert go_on.wait(20)

    model.watch = wait
    app = begin(clips, "infer")
    assert reached.wait(20)
    app = healthy(app.run())
    assert [state.split()[1] for state in app.dataframe[0].value["state"]] == ["running", "waiting", "done"]
    assert app.button(key="batch-stop").label == "Stop"
    app.button(key="batch-stop").click().run()
    go_on.set()
    job = job_of(str(store.folder), "clips")
    assert job is not None
    job.wait(20)
    assert len(store.runs()) == 1
    model.watch = lambda _number: None
    app = open_page(PAGE)
    assert "2 that are left" in app.button(key="batch-resume").label
    app.button(key="batch-resume").click().run()
    job = job_of(str(store.folder), "clips")
    assert job is not None
    job.wait(20)
    assert len(store.runs()) == 3


@pytest.mark.parametrize("given", ["nowhere", "clips/notes.txt/x", "nosuch://x"])
def test_a_wrong_folder_is_a_sentence(given: str, clips: Path) -> None:
    app = open_page(PAGE)
    path = given if "://" in given else str(clips.parent / given)
    app = healthy(app.text_input(key="batch-inputs").set_value(path).run())
    assert len(texts(app.error)) > 20
    assert "batch-start" not in [button.key for button in app.button]


def test_a_server_shows_only_its_own_folder(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOSCOPE_CLIPS", str(clips / "day 2"))
    app = open_page(PAGE)
    assert app.text_input(key="batch-inputs").value == str(clips / "day 2")
    assert "batch-start" in [button.key for button in app.button]
    for outside in (clips, clips / "day 2" / ".." / "a.mp4", "s3://bucket"):
        healthy(app.text_input(key="batch-inputs").set_value(str(outside)).run())
        assert "only" in texts(app.error)


def test_a_batch_of_the_command_line_is_shown_even_when_its_clips_are_gone(
    store: RunStore, clips: Path, model: CountingPeople
) -> None:
    run_batch(open_batch([str(clips)], ("infer",), str(store.folder), name="night"))
    assert model.shown == 3 * FRAMES
    for path in clips.rglob("*.m*"):
        path.unlink()
    batch = look_at(str(store.folder), "night")
    assert batch.counts()["done"] == 3
    assert share_of(batch) == (1.0, "3 of 3 clips")
    assert len(table_of(batch)) == 3
    app = open_page(PAGE)
    assert app.selectbox(key="batch-chosen").value == "night"
    assert len(app.dataframe[0].value) == 3


def test_the_command_is_the_one_that_does_it() -> None:
    from pipeline.cli import build_parser
    from pipeline.inference import InferenceOptions
    from pipeline.options import from_options

    options = InferenceOptions(max_people=2, tags=("day one",), overlay=False)
    text = command(("/data/my clips",), "night", ("infer", "squat"), options)
    import shlex

    parsed = build_parser().parse_args(shlex.split(text)[3:])
    assert (parsed.inputs, parsed.tasks, parsed.name) == (["/data/my clips"], "infer,squat", "night")
    assert from_options(parsed, InferenceOptions) == options
