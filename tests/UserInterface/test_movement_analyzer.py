"""Movement Analyzer: choose, judge again with other thresholds, look at the evidence, compare, keep."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.cli import main
from pipeline.movements.analyze import MOVEMENTS, analyze, measure
from pipeline.movements.base import RuleParameters
from pipeline.movements.squat import SquatParameters
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec
from pipeline.synthetic.motions import Actor
from tests.pipeline.movements.analysed_runs import a_remark, a_repetition, a_report, run_of
from tests.UserInterface.conftest import healthy, make_picture_run, open_page, texts
from UserInterface.components.job import Job
from UserInterface.components.movement_compare import curves_of, difference_rows
from UserInterface.components.movement_figures import compare_figure, set_figure
from UserInterface.components.movement_files import command
from UserInterface.components.movement_form import thresholds_of
from UserInterface.components.movement_repetitions import measurement_rows, repetition_rows, tempo

PAGE = "pages/04_Movement_Analyzer.py"
SHALLOW = ActorSpec.one("squat", repetitions=3, depth=0.55, view="left", seed=3, size=(160, 120))


@pytest.fixture
def squats(store: RunStore, tmp_path: Path) -> Run:
    """Three squats that are not deep, from the side."""
    return run_of(store, tmp_path, SHALLOW)


def button(app: AppTest, label: str) -> object:
    return next(b for b in app.button if b.label.startswith(label))


def look(run: Run) -> AppTest:
    return open_page(PAGE, run=run.id)


@pytest.mark.usefixtures("store")
def test_without_clips_it_says_where_to_begin() -> None:
    app = open_page(PAGE)
    assert "no analysed clip yet" in texts(app.info)


def test_a_picture_is_no_clip(store: RunStore, tmp_path: Path) -> None:
    make_picture_run(store, tmp_path)
    assert "no analysed clip yet" in texts(open_page(PAGE).info)


def test_an_unknown_run_in_the_address_is_a_sentence(squats: Run) -> None:
    app = open_page(PAGE, run="../../etc")
    assert "no clip with the run id" in texts(app.warning)
    assert app.selectbox(key="movement-run").value == squats.id


def test_a_set_with_faults_is_summed_up_listed_and_kept(squats: Run) -> None:
    app = look(squats)
    assert [m.value for m in app.metric][:2] == ["3", "0 of 3"]
    assert "3 complete repetitions of: squat" in texts(app.markdown)
    assert app.selectbox(key=f"{squats.id}-movement-{squats.recording().people[0].person}").value == "auto"
    table = app.dataframe[0].value
    assert list(table["number"]) == [1, 2, 3]
    assert all("shallow" in verdict for verdict in table["verdict"])
    assert table["picture"][0].startswith("data:image/jpeg;base64,")
    person = squats.recording().people[0].person
    kept = squats.results()[f"movement-squat-person{person}"]
    assert len(kept["repetitions"]) == 3
    assert kept["repetitions"][0]["remarks"][0]["threshold_source"]
    assert kept["parameters"]["thigh_deg"] == MOVEMENTS["squat"].presets["standard"].thigh_deg  # type: ignore[attr-defined]
    assert f"python -m pipeline analyze {squats.id} --movement auto --person {person}" in texts(app.code)


def test_a_click_on_a_remark_or_a_repetition_moves_the_video_and_shows_the_evidence(squats: Run) -> None:
    app = look(squats)
    person = squats.recording().people[0].person
    key = f"movement-{squats.id}-{person}-squat"
    report = analyze(squats.recording(), "squat")
    healthy(button(app, "Next").click().run())  # type: ignore[attr-defined]
    second = report.repetitions[1]
    assert "Repetition 2 of 3" in texts(app.markdown)
    assert app.session_state[f"{key}-time"] == pytest.approx(second.remarks[0].time_s)
    assert app.session_state[f"{key}-seek"] == 1, "the video is told to move"
    words = texts(app.markdown)
    for part in (second.remarks[0].advice, "Where the limit comes from", "Confidence", "Severity"):
        assert part in words
    healthy(button(app, "The turning point").click().run())  # type: ignore[attr-defined]
    assert app.session_state[f"{key}-time"] == pytest.approx(second.turn_s)
    assert "The turning point, at" in texts(app.caption)


def test_thresholds_judge_again_at_once_and_nothing_is_measured_twice(
    squats: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def counted(source: object, movement: str = "auto", person: int | None = None) -> object:
        asked.append(movement)
        return measure(source, movement, person)  # type: ignore[arg-type]

    monkeypatch.setattr("UserInterface.components.movement_form.measure", counted)
    app = look(squats)
    before = len(asked)
    person = squats.recording().people[0].person
    for name in ("thigh_deg", "knee_deg"):
        slider = app.slider(key=f"{squats.id}-squat-standard-{name}")
        assert slider.help or slider.proto.help, "the reason stands beside it"
        slider.set_value(slider.max)
    healthy(app.run())
    assert [m.value for m in app.metric][1] == "3 of 3", "no squat is shallow any more"
    assert squats.results()[f"movement-squat-person{person}"]["preset"] == "custom"
    (line,) = (c.value for c in app.code if "pipeline analyze" in c.value)
    assert main([*line.split()[3:], "--out", str(squats.folder.parent), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [r["verdict"] for r in shown["repetitions"]] == ["good"] * 3, "the command shown does the same"
    healthy(button(app, "Back to standard").click().run())  # type: ignore[attr-defined]
    assert [m.value for m in app.metric][1] == "0 of 3"
    preset = next(group for group in app.button_group if group.key == f"{squats.id}-preset-squat")
    healthy(preset.set_value("strict").run())
    assert "--preset strict" in texts(app.code)
    assert len(asked) == before


def test_curves_from_the_front_say_that_they_are_too_small(store: RunStore, tmp_path: Path, squats: Run) -> None:
    run = run_of(store, tmp_path, ActorSpec.one("squat", repetitions=2, view="front", seed=3, size=(160, 120)))
    assert "bend towards the camera" in texts(healthy(look(run)).caption)
    assert "bend towards the camera" not in texts(healthy(look(squats)).caption)


def test_nobody_in_view_is_a_kind_sentence(store: RunStore, tmp_path: Path) -> None:
    run = run_of(store, tmp_path, ActorSpec((), duration_s=0.5, size=(64, 48)))
    app = look(run)
    assert "Nobody was found" in texts(app.info)


def test_no_repetition_is_a_kind_sentence(store: RunStore, tmp_path: Path) -> None:
    run = run_of(store, tmp_path, ActorSpec.one("stand", duration_s=2.0, size=(64, 48)))
    app = look(run)
    assert "No repetition" in texts(app.info)
    assert "film with the whole body in view" in texts(app.info)


def test_a_movement_without_rules_is_counted_only(store: RunStore, tmp_path: Path) -> None:
    run = run_of(store, tmp_path, ActorSpec.one("squat", repetitions=2, view="left", size=(64, 48)))
    app = look(run)
    person = run.recording().people[0].person
    chosen = app.selectbox(key=f"{run.id}-movement-{person}")
    assert "Deadlift (counted only)" in chosen.options
    healthy(chosen.set_value("deadlift").run())
    assert "There are no form rules" in texts(app.markdown)
    assert not [s for s in app.slider if "deadlift" in str(s.key)], "nothing to set where nothing is judged"
    assert "Good" not in [m.label for m in app.metric]
    assert f"--movement deadlift --person {person}" in texts(app.code)


def test_everything_but_the_film_works_without_the_source(squats: Run) -> None:
    source = squats.source
    assert source is not None
    source.unlink()
    app = look(squats)
    assert "source clip is gone" in texts(app.warning)
    assert not [b for b in app.button if b.label == "Make the annotated video"]
    assert app.dataframe[0].value["picture"].isna().all()
    assert "needs the source clip" in texts(app.caption)


def test_the_film_is_made_when_asked_for_and_shown_from_then_on(squats: Run) -> None:
    app = look(squats)
    person = squats.recording().people[0].person
    healthy(button(app, "Make the annotated video").click().run())  # type: ignore[attr-defined]
    job = app.session_state[f"movement-{squats.id}-{person}-squat-job"]
    assert isinstance(job, Job)
    job.wait(60)
    assert job.error == ""
    healthy(app.run())
    assert len(list(squats.folder.glob("movement-squat-person*.mp4"))) == 1
    assert "Annotated" in texts(app.caption)


def test_every_person_of_the_clip_can_be_analysed(store: RunStore, tmp_path: Path) -> None:
    people = (
        Actor("squat", repetitions=3, place_m=(-0.8, 0.0), seed=1),
        Actor("squat", repetitions=2, place_m=(0.8, 0.0), seed=2),
    )
    run = run_of(store, tmp_path, ActorSpec(people, view="front", size=(160, 120)))
    app = look(run)
    counts = {}
    for person in run.recording().people:
        healthy(app.selectbox(key=f"{run.id}-person").set_value(person.person).run())
        counts[person.person] = app.metric[0].value
    assert sorted(counts.values()) == ["2", "3"]
    assert len(run.results()) == 2


def test_compare_with_the_set_and_with_another_clip(squats: Run, store: RunStore, tmp_path: Path) -> None:
    person = squats.recording().people[0].person
    key = f"movement-{squats.id}-{person}-squat-compare"
    app = look(squats)
    healthy(app.radio(key=f"{key}-against").set_value("Another clip").run())
    assert "no other clip" in texts(app.info)
    other = run_of(
        store, tmp_path, ActorSpec.one("squat", repetitions=2, view="left", size=(160, 120)), name="deep.mp4"
    )
    healthy(app.run())
    assert app.selectbox(key=f"{key}-run").value == other.id
    differences = app.dataframe[-1].value
    assert "deep.mp4: mean of 2" in differences.columns
    assert {"Duration", "Depth"} <= set(differences[""])


def test_every_field_of_every_movement_has_a_slider_with_a_reason() -> None:
    for movement in MOVEMENTS.values():
        sliders = thresholds_of(movement)
        names = [slider.name for slider in sliders]
        assert names[-1] == "min_confidence"
        assert set(names) == set(vars(movement.presets["standard"]))
        for slider in sliders:
            assert slider.help, f"{movement.name}.{slider.name} has no line of reason"
            for preset in movement.presets.values():
                value = getattr(preset, slider.name)
                assert slider.low <= value <= slider.high
                steps = (value - slider.low) / slider.step
                assert steps == pytest.approx(round(steps), abs=1e-6), "the slider stops at every preset"
    assert isinstance(MOVEMENTS["squat"].presets["standard"], RuleParameters)


def test_rows_and_figures_are_in_plain_words() -> None:
    report = a_report(a_repetition(1, 1.0, a_remark(2.0)), a_repetition(2, 3.5), a_repetition(3, 6.0, complete=False))
    metric = MOVEMENTS["squat"].metric("thigh_deg")
    rows = repetition_rows(report, metric)
    assert list(rows["verdict"]) == ["▲ shallow", "✓ good", "✂ cut off"]
    assert rows["depth"][0] == "12°"
    assert rows["symmetry"][0] == "6°"
    assert tempo(report.repetitions[0]) == "0.9 · 0.2 · 0.9"
    assert "depth" not in repetition_rows(report, None)
    measured = measurement_rows(report, report.repetitions[0])
    assert "it needs a view from the side" in list(measured["Remark"])
    figure = set_figure(report, list(report.curves), moment_s=1.0, height=300)
    assert [trace.name for trace in figure.data] == ["left knee flexion", "fault"]
    assert len([s for s in figure.layout.shapes if s.type == "rect"]) == 3
    first, second = report.repetitions[:2]
    curves = curves_of(report, first, "repetition 2", report, second, "left_knee_flexion_deg")
    assert list(curves) == ["repetition 1", "repetition 2"]
    assert len(curves_of(report, first, "repetition 1", report, first, "left_knee_flexion_deg")) == 2
    assert np.isfinite(compare_figure(curves, "knee", height=300).data[0].y).all()
    differences = difference_rows(report, first, "mean of 2", report, None)
    assert differences["repetition 1"][0] == "2.00 s"


def test_the_command_names_what_was_chosen() -> None:
    report = a_report(a_repetition(1, 1.0))
    assert command("RUN", report, "squat") == "python -m pipeline analyze RUN --movement squat --person 0"
    own = replace(report, preset="custom", parameters=asdict(SquatParameters(lean_deg=50.0, knee_separation=0.75)))
    assert command("RUN", own, "auto") == (
        "python -m pipeline analyze RUN --movement squat --person 0 --threshold knee_separation=0.75 "
        "--threshold lean_deg=50"
    )
