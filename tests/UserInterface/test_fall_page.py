"""Fall Detection: choose, see the falls and why, jump to one, change the sensitivity, keep, tell somebody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.falls.detect import detect_falls
from pipeline.falls.film import find_film
from pipeline.falls.forest import SENSITIVITIES, load_forest
from pipeline.poses import Recording
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec, clip_truth
from tests.pipeline.movements.analysed_runs import plain_clip, run_of
from tests.UserInterface.conftest import make_picture_run, open_page, texts
from UserInterface.components.fall_figures import probability_figure
from UserInterface.components.fall_files import command, events_table, probability_table
from UserInterface.components.fall_view import times
from UserInterface.components.job import Job

PAGE = "pages/05_Fall_Detection.py"
FALL = ActorSpec.one("fall_backward", lead_in_s=1.5, view="oblique", seed=4, size=(160, 120))


@pytest.fixture
def fall(store: RunStore, tmp_path: Path) -> Run:
    """Somebody falls backwards 1.5 s into the clip and stays down."""
    return run_of(store, tmp_path, FALL, name="fall.mp4")


@pytest.fixture
def two(store: RunStore, tmp_path: Path) -> Run:
    """One falls, another one stands beside."""
    faller = clip_truth(FALL).recording
    stands = clip_truth(ActorSpec.one("stand", view="oblique", seed=9, size=(160, 120), duration_s=9.0)).recording
    one = stands.people[0].select(slice(0, len(faller)))
    other = replace(one, time_s=faller.time_s, person=7, xy_px=one.xy_px + (30.0, 0.0))
    clip = plain_clip(tmp_path / "plain.mp4", faller, (160, 120))
    with store.create("two.mp4") as builder:
        builder.keep_source(clip, "two.mp4")
        (builder.folder / "overlay.mp4").write_bytes(clip.read_bytes())
        builder.finish(Recording((*faller.people, other), faller.time_s), tables=False)
    return store.get(builder.id)


def button(app: AppTest, label: str) -> object:
    return next(b for b in app.button if b.label.startswith(label))


def look(run: Run) -> AppTest:
    return open_page(PAGE, run=run.id)


@pytest.mark.usefixtures("store")
def test_without_clips_it_says_where_to_begin() -> None:
    assert "no analysed clip yet" in texts(open_page(PAGE).info)


def test_a_picture_is_no_clip(store: RunStore, tmp_path: Path) -> None:
    make_picture_run(store, tmp_path)
    assert "no analysed clip yet" in texts(open_page(PAGE).info)


def test_a_fall_is_told_explained_and_kept(fall: Run) -> None:
    app = look(fall)
    (event,) = detect_falls(fall.recording()).events
    assert [m.value for m in app.metric] == ["1", "0 of 1", f"{event.peak_probability:.0%}"]
    words = texts(app.markdown)
    assert times(event) in words and "not seen to get up" in words
    assert all(reason.text in words for reason in event.reasons)
    assert load_forest().point().text in texts(app.caption)
    assert fall.results()["falls"]["events"][0]["onset_s"] == pytest.approx(event.onset_s, abs=1e-3)
    assert f"python -m pipeline falls {fall.id}" in texts(app.code)
    assert "no medical device" in texts(app.caption)


def test_the_button_of_a_fall_moves_the_video_there(fall: Run) -> None:
    app = look(fall)
    (event,) = detect_falls(fall.recording()).events
    key = f"falls-{fall.id}-all-balanced"
    app.session_state[f"{key}-time"] = 0.1
    app.run()
    button(app, "Fall 1").click().run()  # type: ignore[attr-defined]
    assert app.session_state[f"{key}-time"] == event.onset_s
    assert app.session_state[f"{key}-seek"] == 1


def test_the_slider_shows_what_to_expect_and_judges_again(fall: Run) -> None:
    app = look(fall)
    slider = app.select_slider(key="falls-sensitivity")
    assert list(slider.options) == list(SENSITIVITIES)
    slider.set_value("very cautious").run()
    point = load_forest().point("very cautious")
    assert point.text in texts(app.caption)
    assert fall.results()["falls"]["sensitivity"] == "very cautious"
    assert "--sensitivity very-cautious" in texts(app.code)


def test_everybody_or_one_person(two: Run) -> None:
    app = look(two)
    people = [person.person for person in two.recording().people]
    choice = app.selectbox(key=f"falls-person-{two.id}")
    assert len(choice.options) == 3
    assert app.metric[0].value == "1"
    choice.set_value(people[1]).run()
    assert "No fall" in texts(app.success)
    assert len(two.results()["falls"]["people"]) == 2, "the run keeps everybody's falls, whoever is looked at"


def test_the_film_is_made_in_the_background_and_shown(fall: Run) -> None:
    app = look(fall)
    button(app, "Draw falls").click().run()  # type: ignore[attr-defined]
    job = app.session_state[f"falls-{fall.id}-all-balanced-job"]
    assert isinstance(job, Job)
    job.wait(60)
    assert not job.error
    assert find_film(fall, detect_falls(fall.recording())) is not None
    app.run()
    assert "a red frame around whoever fell" in texts(app.caption)


def test_whom_to_tell_is_checked_and_remembered(fall: Run) -> None:
    app = look(fall)
    app.text_input[0].set_value("ftp://nowhere")
    button(app, "Save").click().run()  # type: ignore[attr-defined]
    assert "must begin with http" in texts(app.error)
    app.text_input[0].set_value("http://127.0.0.1:9/hook")
    button(app, "Save").click().run()  # type: ignore[attr-defined]
    assert app.session_state["falls-notify"].webhook == "http://127.0.0.1:9/hook"
    button(app, "Send a trial").click().run()  # type: ignore[attr-defined]
    assert "could not be reached" in texts(app.error)


def test_figure_tables_and_command(two: Run) -> None:
    report = detect_falls(two.recording())
    figure = probability_figure(report, moment_s=1.0, height=200)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [line.name for line in lines] == [f"person {one.person}" for one in report.people]
    assert lines[0].line.dash != lines[1].line.dash
    assert next(t for t in figure.data if t.name == "fall").x == (report.events[0].peak_s,)
    table = events_table(report)
    assert list(table["impact_s"]) == [pytest.approx(report.events[0].impact_s, abs=1e-3)]
    assert len(probability_table(report)) == sum(len(one.time_s) for one in report.people)
    empty = detect_falls(Recording.empty())
    assert len(events_table(empty)) == len(probability_table(empty)) == 0
    assert np.isfinite(probability_figure(empty, moment_s=None, height=200).layout.xaxis.range).all()
    assert command("r", 2, "very sensitive") == "python -m pipeline falls r --person 2 --sensitivity very-sensitive"
