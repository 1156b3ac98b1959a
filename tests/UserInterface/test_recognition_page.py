"""Exercise Recognition: the timeline, jumping to a segment, what else it could be, corrected labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.recognition.classes import UNKNOWN
from pipeline.recognition.labels import LabelledSpan, labels_file, read_labels
from pipeline.recognition.recognizer import Recognizer, installed
from pipeline.recognition.segments import Recognition, Segment, recognize
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import run_of
from tests.UserInterface.conftest import make_picture_run, open_page, texts
from UserInterface.components.recognition_figures import chances_figure, timeline_figure
from UserInterface.components.recognition_labels import label_rows
from UserInterface.components.recognition_view import button_text, segment_table

PAGE = "pages/07_Exercise_Recognition.py"
SQUATS = ActorSpec.one("squat", repetitions=3, view="oblique", seed=3, size=(160, 120))
STANDING = ActorSpec.one("stand", view="oblique", seed=3, size=(160, 120), lead_out_s=2.0)


@pytest.fixture
def squats(store: RunStore, tmp_path: Path) -> Run:
    return run_of(store, tmp_path, SQUATS)


def button(app: AppTest, label: str) -> object:
    return next(b for b in app.button if b.label.startswith(label))


@pytest.mark.usefixtures("store")
def test_without_clips_it_says_where_to_begin() -> None:
    assert "no analysed clip yet" in texts(open_page(PAGE).info)


def test_a_picture_is_no_clip(store: RunStore, tmp_path: Path) -> None:
    make_picture_run(store, tmp_path)
    assert "no analysed clip yet" in texts(open_page(PAGE).info)


def test_a_set_is_named_counted_and_kept(squats: Run) -> None:
    app = open_page(PAGE, run=squats.id)
    assert not app.exception
    expected = recognize(squats.recording())
    (segment,) = expected.segments
    assert "Squat × 3" in texts(app.markdown)
    assert button(app, button_text(segment, with_person=False))
    kept = squats.results()["recognition"]
    assert kept["segments"] == expected.to_json()["segments"]
    assert f"python -m pipeline recognize {squats.id}" in texts(app.code)
    table = app.dataframe[0].value
    assert list(table["exercise"]) == ["Squat"] and table["its chance"][0] < table["sure"][0]


def test_a_click_on_a_segment_moves_the_video(squats: Run) -> None:
    app = open_page(PAGE, run=squats.id)
    (segment,) = recognize(squats.recording()).segments
    button(app, "Squat").click()  # type: ignore[attr-defined]
    app.run()
    assert app.session_state[f"recognition-{squats.id}-time"] == pytest.approx(segment.start_s)
    assert app.session_state[f"recognition-{squats.id}-seek"] == 1


def test_somebody_who_stands_about_is_not_named(store: RunStore, tmp_path: Path) -> None:
    run = run_of(store, tmp_path, STANDING)
    app = open_page(PAGE, run=run.id)
    assert "No known exercise" in texts(app.markdown)
    assert run.results()["recognition"]["exercise"] == UNKNOWN


@pytest.mark.skipif("tcn" not in installed(), reason="the baseline's weights are not in checkpoints")
def test_the_baseline_can_be_chosen(squats: Run) -> None:
    app = open_page(PAGE, run=squats.id)
    app.selectbox[1].set_value("tcn").run()
    assert not app.exception
    assert squats.results()["recognition"]["network"] == "tcn"
    assert f"recognize {squats.id} --network tcn" in texts(app.code)


def test_missing_weights_are_a_sentence(squats: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "UserInterface.components.recognition_view.shipped", lambda network: Recognizer.load(network, tmp_path)
    )
    app = open_page(PAGE, run=squats.id)
    assert "cannot be read" in texts(app.error)


def test_labels_are_kept_in_the_run_and_come_back(squats: Run) -> None:
    app = open_page(PAGE, run=squats.id)
    button(app, "Keep these labels").click()  # type: ignore[attr-defined]
    app.run()
    person = squats.recording().people[0].person
    kept = squats.results()[f"recognition-labels-person{person}"]
    assert [span["exercise"] for span in kept["spans"]] == ["squat"]
    assert f"recognition-labels-person{person}" in texts(app.caption)


def test_corrected_labels_are_training_data(squats: Run) -> None:
    person = squats.recording().people[0]
    name, points, marks = read_labels(labels_file(person, [LabelledSpan(1.0, 3.0, "lunge")], squats.id))
    assert name == f"{squats.id}-{person.person}"
    assert points.shape == (len(marks), 33, 3)
    assert set(np.flatnonzero(marks == 5)) == set(range(15, 46))
    assert np.nanmin(points[..., :2]) > -3 and np.nanmax(points[..., :2]) < 4


def test_lanes_bars_and_words() -> None:
    first = Segment(1.0, 5.0, "squat", 0.97, 1, 3, "lunge", 0.02)
    second = Segment(6.0, 9.0, "push_up", 0.8, 2, 1, UNKNOWN, 0.15)
    found = Recognition((first, second), (), "motion")
    figure = timeline_figure(found, [1, 2], (0.0, 10.0), 2.0)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [(bar.name, bar.base[0], bar.x[0], bar.y[0]) for bar in bars] == [
        ("Squat", 1.0, 4.0, "Person 1"), ("Push-up", 6.0, 3.0, "Person 2"),
    ]  # fmt: skip
    assert tuple(figure.layout.xaxis.range) == (0.0, 10.0)
    assert button_text(second, with_person=True) == "Push-up: person 2, 6.0 to 9.0 s, 1 repetition"
    assert list(segment_table(found)["runner-up"]) == ["Lunge", "no exercise"]
    assert isinstance(label_rows(()), pd.DataFrame) and len(label_rows(())) == 0


def test_chances_show_what_was_ever_likely(squats: Run) -> None:
    line = recognize(squats.recording(), count=False).timelines[0]
    names = [trace.name for trace in chances_figure(line, 1.0).data]
    assert "Squat" in names and "No known exercise" in names
    assert len(names) < len(line.classes)
