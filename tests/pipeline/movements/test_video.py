"""The film of a set, the evidence pictures, the figures and the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.film import FilmError
from pipeline.inference import Progress
from pipeline.media import probe, read_frame_at, read_frames
from pipeline.movements.analyze import MOVEMENTS, analyze, measure
from pipeline.movements.base import Remark
from pipeline.movements.evidence import FAULT, GOOD, amount, draw_measure, evidence_picture, frame_at, limit_words
from pipeline.movements.figures import (
    PERCENT,
    comparison_figure,
    curves_figure,
    figure_bytes,
    main_metric,
    mean_and_spread,
    normalised,
    repetitions_figure,
    repetitions_table,
    symmetry,
)
from pipeline.movements.video import (
    HOLD_S,
    draw_moment,
    find_video,
    make_video,
    remarks_at,
    repetition_at,
    status,
    video_name,
)
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Run, RunStore
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import GRAY, a_remark, a_repetition, a_report, run_of

SPEC = ActorSpec.one("squat", repetitions=2, view="front", seed=3, size=(320, 240))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def run(store: RunStore, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(store, tmp_path_factory.mktemp("clip"), SPEC)


@pytest.fixture(scope="module")
def recording(run: Run) -> Recording:
    return run.recording()


def marked(image: np.ndarray, x: float, y: float) -> bool:
    """Whether a place is orange: much more red than blue (H.264 keeps hue at half the resolution)."""
    part = image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].astype(int)
    return bool((part[..., 0] - part[..., 2]).mean() > 40)


def limb(recording: Recording, time_s: float, *joints: str) -> tuple[float, float]:
    """The middle between joints of the first person, in pixels."""
    person = recording.people[0]
    frame = frame_at(person, time_s)
    x, y = np.mean([person[joint][frame] for joint in joints], axis=0)
    return float(x), float(y)


def test_the_film_has_every_frame_and_marks_the_fault_on_the_limb_at_its_moment(run: Run, recording: Recording) -> None:
    report = a_report(a_repetition(1, 1.0, a_remark(2.0)), a_repetition(2, 3.5))
    told: list[Progress] = []
    film = make_video(run, recording, report, progress=told.append)
    assert film == find_video(run, report)
    frames = list(read_frames(film))
    assert [f.time_s for f in frames] == pytest.approx(recording.time_s - recording.time_s[0], abs=1e-4)
    assert probe(film).width == 320
    assert told[-1].frames == len(recording)
    at_fault = read_frame_at(film, 2.0).image
    assert marked(at_fault, *limb(recording, 2.0, "left_hip", "left_knee"))
    assert not marked(at_fault, *limb(recording, 2.0, "right_hip", "right_knee")), "only the limb it is about"
    later_s = 2.0 + HOLD_S + 0.1
    later = read_frame_at(film, later_s).image
    assert not marked(later, *limb(recording, later_s, "left_hip", "left_knee"))
    corner = at_fault[2:14, 2:60]
    assert corner.mean() < GRAY, "the words about the moment stand on a dark plate"


def test_the_film_is_drawn_on_the_source_and_never_on_the_overlay(
    store: RunStore, tmp_path: Path, recording: Recording
) -> None:
    run = run_of(store, tmp_path, SPEC)
    (run.folder / "overlay.mp4").write_bytes(b"not a film")
    report = a_report(a_repetition(1, 1.0))
    assert make_video(run, recording, report).is_file()
    source = run.source
    assert source is not None
    source.unlink()
    with pytest.raises(FilmError, match="source clip, which is gone"):
        make_video(run, recording, a_report())


def test_another_judgement_replaces_the_film_and_a_stop_leaves_nothing(run: Run, recording: Recording) -> None:
    first = a_report(a_repetition(1, 1.0))
    second = a_report(a_repetition(1, 1.0, a_remark(2.0)))
    assert video_name(first) != video_name(second)
    assert video_name(first) == video_name(replace(first, summary=("Other words.",))), "the same film"
    make_video(run, recording, first)
    with pytest.raises(FilmError, match="stopped"):
        make_video(run, recording, second, cancelled=lambda: True)
    assert [p.name for p in run.folder.glob("*movement*")] == [video_name(first)]
    make_video(run, recording, second)
    assert [p.name for p in run.folder.glob("*movement*")] == [video_name(second)]
    assert find_video(run, first) is None


def test_a_part_of_a_clip_keeps_its_own_times(run: Run, recording: Recording) -> None:
    """The poses of an inference with start and end: the film shows only that part, in step with its poses."""
    part = recording.people[0].between(1.5, 2.5)
    cut = Recording((part,), part.time_s, recording.source, recording.model)
    film = make_video(run, cut, a_report(a_repetition(1, 1.0, a_remark(2.0))))
    frames = list(read_frames(film))
    assert len(frames) == len(part)
    assert marked(read_frame_at(film, 0.5).image, *limb(cut, 2.0, "left_hip", "left_knee"))


def test_no_film_of_a_picture_or_of_nothing(run: Run) -> None:
    with pytest.raises(FilmError, match="single picture"):
        make_video(run, Recording.empty(), a_report())


def test_what_a_moment_shows_in_words() -> None:
    report = a_report(a_repetition(1, 1.0, a_remark(1.2)), a_repetition(2, 3.0), a_repetition(3, 6.0, complete=False))
    assert status(report, 0.5) == "squat: 0 of 3 done"
    assert status(report, 1.5) == "squat 1 of 3, down"
    assert status(report, 4.0) == "squat 2 of 3, pause"
    assert status(report, 5.5) == "squat: 2 of 3 done"
    assert status(report, 7.5) == "squat 3 of 3, up, cut off"
    assert status(a_report(), 1.0) == "squat: none found"
    assert [r.fault for r in remarks_at(report, 1.2 + HOLD_S - 0.01)] == ["shallow"]
    assert remarks_at(report, 0.9) == (), "before the repetition, though near the remark"
    assert repetition_at(report, 3.0) == report.repetitions[1], "the one that begins where two meet"


def test_a_moment_without_the_person_is_drawn_all_the_same() -> None:
    time_s = np.arange(3) / 30
    nobody = Recording((PoseSequence.empty(BLAZEPOSE_33, (64, 48), 1, time_s),), time_s)
    image = np.full((48, 64, 3), GRAY, np.uint8)
    draw_moment(image, nobody, a_report(a_repetition(1, 0.0, a_remark(0.0))), 1)
    assert (image != GRAY).any(), "the words are there"


def test_numbers_and_limits_in_words() -> None:
    assert amount(24.6, "°") == "25°"
    assert amount(0.623, "") == "0.62"
    assert amount(float("nan"), "°") == "–"
    assert amount(12.3, "% of the trunk") == "12 % of the trunk"
    assert limit_words(a_remark(0.0, value=40)) == "at most 25°"
    assert limit_words(a_remark(0.0, value=10)) == "at least 25°"


@pytest.mark.parametrize("remark", [a_remark(2.0), None], ids=["remark", "turning point"])
def test_evidence_shows_the_limb_in_the_colour_of_its_verdict(recording: Recording, remark: Remark | None) -> None:
    person = recording.people[0]
    image = np.full((240, 320, 3), GRAY, np.uint8)
    repetition = a_repetition(1, 1.0, *([remark] if remark else []))
    picture = evidence_picture(image, person, repetition, remark, main_metric(MOVEMENTS["squat"]), height_px=480)
    assert picture.shape[0] == 480
    wanted, other = (FAULT, GOOD) if remark else (GOOD, FAULT)
    assert (picture == wanted).all(axis=2).sum() > 500
    assert not (picture == other).all(axis=2).any()
    assert (image == GRAY).all(), "the frame itself is not touched"
    close = evidence_picture(None, person, repetition, remark, height_px=96, close=True)
    assert close.shape == (96, 96, 3), "without the source on an empty field"


def test_evidence_when_nothing_was_seen() -> None:
    person = PoseSequence.empty(BLAZEPOSE_33, (64, 48), 1, np.arange(3) / 30)
    assert evidence_picture(None, person, a_repetition(1, 0.0), a_remark(0.0), height_px=48).shape == (48, 64, 3)
    assert evidence_picture(None, PoseSequence.empty(image_size=(64, 48)), a_repetition(1, 0.0)).shape == (48, 64, 3)


@pytest.mark.parametrize("view", ["front", "left"])
def test_every_measure_of_every_movement_can_be_drawn(view: str, tmp_path: Path, store: RunStore) -> None:
    """What is drawn follows from the joints of a reading; no movement needs drawing of its own."""
    drawn = 0
    for name in ("squat", "lunge", "push_up", "overhead_press", "biceps_curl", "jumping_jack"):
        recording = run_of(store, tmp_path, ActorSpec.one(name, repetitions=1, view=view, size=(64, 48))).recording()
        person = recording.people[0]
        measurements = measure(recording, name)
        for repetition in measurements.repetitions:
            for one in repetition.readings:
                if one.refused or not one.joints:
                    continue
                image = np.full((480, 640, 3), GRAY, np.uint8)
                metric = MOVEMENTS[name].metric(one.metric)
                xy_px = person.xy_px[frame_at(person, one.time_s)] * 10
                draw_measure(image, person, xy_px, one.joints, metric.unit, amount(one.value, metric.unit), FAULT)
                assert (image == FAULT).all(axis=2).any()
                drawn += 1
    assert drawn > 10


def test_curves_on_the_common_time_of_a_repetition() -> None:
    report = a_report(a_repetition(1, 1.0), a_repetition(2, 4.0), a_repetition(3, 6.0, complete=False))
    first = normalised(report, report.repetitions[0], "left_knee_flexion_deg")
    assert first == pytest.approx(np.linspace(10, 30, len(PERCENT)), abs=0.4), "10 degrees a second for 2 s"
    mean, spread = mean_and_spread(report, "left_knee_flexion_deg")
    assert mean == pytest.approx(np.linspace(25, 45, len(PERCENT)), abs=0.4), "the cut-off one is left out"
    assert spread == pytest.approx(np.full(len(PERCENT), 30 / np.sqrt(2)), abs=0.4)
    alone = mean_and_spread(a_report(a_repetition(1, 1.0)), "left_knee_flexion_deg")
    assert (alone[1] == 0).all()
    assert np.isnan(mean_and_spread(a_report(), "left_knee_flexion_deg")[0]).all()
    unseen = replace(report, curves={"x_deg": np.full(len(report.time_s), np.nan)})
    assert np.isnan(normalised(unseen, report.repetitions[0], "x_deg")).all()


def test_the_table_has_a_row_a_repetition_and_a_column_a_measure() -> None:
    table = repetitions_table(a_report(a_repetition(1, 1.0, a_remark(2.0)), a_repetition(2, 3.5)))
    assert list(table["repetition"]) == [1, 2]
    assert list(table["verdict"]) == ["faults", "good"]
    assert list(table["faults"]) == ["shallow (left, mild)", ""]
    assert list(table["thigh_deg_left"]) == [12.0, 12.0]
    assert table["lean_deg"].isna().all(), "refused is missing, never 0"
    assert pd.isna(table["lean_deg"]).all()
    assert symmetry(a_repetition(1, 0.0), "thigh_deg") == pytest.approx(6.0)
    assert np.isnan(symmetry(a_repetition(1, 0.0), "lean_deg"))
    assert repetitions_table(a_report()).empty


def test_figures_are_files_that_say_what_they_show() -> None:
    report = a_report(a_repetition(1, 1.0, a_remark(2.0)), a_repetition(2, 3.5))
    for figure in (curves_figure(report), repetitions_figure(report)):
        assert figure_bytes(figure).startswith(b"\x89PNG")
    drawing = figure_bytes(curves_figure(report), "svg").decode()
    assert "left knee flexion" in drawing
    assert "time (s)" in drawing
    pair = {"one": mean_and_spread(report, "left_knee_flexion_deg")}
    assert "part of the repetition" in figure_bytes(comparison_figure(pair, "knee"), "svg").decode()
    for figure in (curves_figure(a_report()), repetitions_figure(a_report())):
        assert figure_bytes(figure).startswith(b"\x89PNG"), "an empty set is ordinary"


def test_a_real_analysis_gives_a_film(run: Run, recording: Recording) -> None:
    report = analyze(recording, "squat")
    assert make_video(run, recording, report).stat().st_size > 1000
