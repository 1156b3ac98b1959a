"""Squat rules against a stick figure whose angles are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.movements import Measurements, MovementReport, judge, measure_repetitions
from pipeline.movements.geometry import sustained
from pipeline.movements.squat import PRESETS, SquatParameters
from pipeline.poses import PoseSequence
from tests.pipeline.movements.stick import DOWN_S, HOLD_S, PERIOD_S, Legs, film, repetitions_of, squat

FRONT, OBLIQUE, SIDE, BACK = 0.0, 45.0, 90.0, 180.0
VIEWS = (FRONT, SIDE, BACK)


def measured(legs: Legs, yaw_deg: float, **options: object) -> Measurements:
    sequence = film(lambda share, _: squat(share, legs), yaw_deg=yaw_deg, **options)  # type: ignore[arg-type]
    return measure_repetitions(sequence, "squat", repetitions_of(sequence))


def value(found: Measurements, metric: str, side: str = "both") -> float:
    readings = [r for r in found.repetitions[1].readings if r.metric == metric and r.side == side]
    assert readings, f"{metric} ({side}) was refused"
    assert not readings[0].refused, readings[0].refused
    return readings[0].value


def faults(report: MovementReport) -> list[set[str]]:
    return [{remark.fault for remark in repetition.remarks} for repetition in report.repetitions]


@pytest.mark.parametrize("yaw_deg", [0.0, 40.0, 90.0, -90.0, 140.0, 180.0])
def test_a_good_squat_has_no_remark_from_anywhere(yaw_deg: float) -> None:
    report = judge(measured(Legs(), yaw_deg))
    assert faults(report) == [set()] * 3
    assert [repetition.verdict for repetition in report.repetitions] == ["good"] * 3


@pytest.mark.parametrize("yaw_deg", [SIDE, -SIDE])
@pytest.mark.parametrize("thigh_deg", [-10.0, 0.0, 20.0, 45.0])
def test_angles_from_the_side_are_the_true_ones(yaw_deg: float, thigh_deg: float) -> None:
    found = measured(Legs(thigh_deg=thigh_deg, knee_out_deg=0.0, lean_deg=41.0), yaw_deg)
    assert value(found, "thigh_deg") == pytest.approx(thigh_deg, abs=2.0)
    assert value(found, "knee_deg") == pytest.approx(180 - 30 - (90 - thigh_deg), abs=2.5)
    assert value(found, "lean_deg") == pytest.approx(41.0, abs=1.5)
    assert value(found, "lean_over_shin_deg") == pytest.approx(11.0, abs=2.5)


@pytest.mark.parametrize("yaw_deg", [FRONT, BACK])
@pytest.mark.parametrize("thigh_deg", [0.0, 20.0, 45.0])
def test_depth_is_known_from_the_front_too(yaw_deg: float, thigh_deg: float) -> None:
    assert value(measured(Legs(thigh_deg=thigh_deg), yaw_deg), "thigh_deg") == pytest.approx(thigh_deg, abs=4.0)


@pytest.mark.parametrize(
    ("legs", "fault", "seen_from"),
    [
        (Legs(thigh_deg=45.0, shin_deg=18.0), "shallow", (FRONT, OBLIQUE, SIDE, BACK)),
        (Legs(knee_out_deg=-20.0), "knees_in", (FRONT, BACK)),
        (Legs(lean_deg=68.0), "forward_lean", (SIDE, OBLIQUE)),
        (Legs(heel_deg=28.0), "heels_up", (SIDE, OBLIQUE)),
        (Legs(shoulder_tilt_deg=14.0), "asymmetric", (FRONT, BACK)),
        (Legs(hip_shift_m=0.11), "asymmetric", (FRONT, BACK)),
    ],
)
def test_each_fault_gets_exactly_its_remark_or_is_refused(legs: Legs, fault: str, seen_from: tuple[float, ...]) -> None:
    for yaw_deg in (FRONT, OBLIQUE, SIDE, BACK):
        report = judge(measured(legs, yaw_deg))
        expected = {fault} if yaw_deg in seen_from else set()
        assert all(found <= {fault} and found >= expected for found in faults(report)), (yaw_deg, faults(report))
        if yaw_deg in seen_from:
            for number, repetition in enumerate(report.repetitions):
                (remark,) = repetition.remarks
                lowest = 0.5 + number * PERIOD_S + DOWN_S + HOLD_S / 2
                way = (repetition.start_s, repetition.end_s) if fault == "knees_in" else (lowest - 0.35, lowest + 0.35)
                assert way[0] <= remark.time_s <= way[1]
                assert remark.confidence >= 0.6
                assert remark.joints and remark.advice.endswith(".") and remark.threshold_source


@pytest.mark.parametrize(
    ("metric", "yaw_deg", "word"),
    [
        ("knee_inward_deg", SIDE, "front"),
        ("knee_separation_ratio", SIDE, "front"),
        ("shoulder_tilt_deg", SIDE, "front"),
        ("hip_shift_trunks", SIDE, "front"),
        ("asymmetry_deg", SIDE, "side"),
        ("lean_deg", FRONT, "side"),
        ("heel_rise_deg", FRONT, "side"),
        ("heel_rise_deg", BACK, "side"),
        ("knee_deg", FRONT, "side"),
    ],
)
def test_what_the_view_hides_is_refused_with_the_reason(metric: str, yaw_deg: float, word: str) -> None:
    report = judge(measured(Legs(), yaw_deg))
    (refusal,) = [refusal for refusal in report.refusals if refusal.metric == metric]
    assert word in refusal.reason
    assert refusal.repetitions == (1, 2, 3)
    assert refusal.label in report.summary[-1]


def test_hidden_feet_and_feet_outside_the_picture_are_refused() -> None:
    hidden = {"right_heel": 0.1, "right_foot_index": 0.1}
    report = judge(measured(Legs(heel_deg=30.0), SIDE, hidden=hidden))
    assert any(r.metric == "heel_rise_deg" and "hidden" in r.reason for r in report.refusals)
    cut = judge(measured(Legs(knee_out_deg=-20.0), FRONT, place_px=(320.0, 475.0)))
    assert {"knees_in"} not in faults(cut)
    assert any(r.metric == "knee_inward_deg" and "outside the picture" in r.reason for r in cut.refusals)


def test_knees_in_only_where_they_are() -> None:
    bad, good = Legs(knee_out_deg=-15.0), Legs()
    sequence = film(lambda share, number: squat(share, bad if number < 3 else good), yaw_deg=0.0, repetitions=6)
    report = judge(measure_repetitions(sequence, "squat", repetitions_of(sequence, 6)))
    assert faults(report) == [{"knees_in"}] * 3 + [set()] * 3
    assert "repetitions 1-3" in " ".join(report.summary)


@pytest.mark.parametrize("yaw_deg", [FRONT, 12.0, -12.0])
def test_knee_direction_against_the_foot_does_not_depend_on_a_small_turn(yaw_deg: float) -> None:
    sequence = film(lambda share, _: squat(share, Legs(knee_out_deg=0.0, toe_out_deg=20.0)), yaw_deg=yaw_deg)
    found = measure_repetitions(sequence, "squat", repetitions_of(sequence))
    pose = squat(0.6, Legs(knee_out_deg=0.0, toe_out_deg=20.0))
    thigh = pose["left_knee"] - pose["left_hip"]
    truth = 20.0 - np.degrees(np.arctan2(thigh[1], thigh[0]))
    assert value(found, "knee_inward_deg") == pytest.approx(truth, abs=5.0)


def test_a_knee_hidden_at_the_lowest_point_makes_an_oblique_view_one_from_the_side() -> None:
    tilted = Legs(shoulder_tilt_deg=14.0)
    sequence = film(lambda share, _: squat(share, tilted), yaw_deg=35.0)
    repetitions = repetitions_of(sequence)
    score = sequence.score.copy()
    for repetition in repetitions:
        score[np.abs(sequence.time_s - repetition.turn_s) < 0.3, sequence.skeleton.index("left_knee")] = 0.2
    hidden = measure_repetitions(replace(sequence, score=score), "squat", repetitions)
    readings = [r for q in hidden.repetitions for r in q.readings if r.metric == "shoulder_tilt_deg"]
    assert readings and all("one leg hides the other" in reading.refused for reading in readings)
    assert np.isfinite(value(measure_repetitions(sequence, "squat", repetitions), "shoulder_tilt_deg"))


def test_cut_off_repetitions_get_no_remark() -> None:
    sequence = film(lambda share, _: squat(share, Legs(thigh_deg=50.0)), yaw_deg=SIDE)
    repetitions = repetitions_of(sequence, last_complete=False)
    report = judge(measure_repetitions(sequence, "squat", repetitions))
    assert [r.verdict for r in report.repetitions] == ["faults", "faults", "cut off"]
    assert not report.repetitions[-1].remarks
    assert report.complete == 2


def test_phases_are_the_tempo() -> None:
    found = measured(Legs(), SIDE)
    phases = {phase.name: phase.end_s - phase.start_s for phase in found.repetitions[1].phases}
    assert list(phases) == ["down", "pause", "up"]
    assert phases["pause"] == pytest.approx(HOLD_S, abs=0.4)
    assert sum(phases.values()) == pytest.approx(DOWN_S + HOLD_S + 1.0, abs=0.05)
    assert value(found, "pause_s") == pytest.approx(phases["pause"])


def test_frame_rate_and_zoom_do_not_matter() -> None:
    legs = Legs(thigh_deg=20.0, lean_deg=45.0)
    reference = measured(legs, SIDE)
    for options in ({"fps": 60.0}, {"fps": 15.0}, {"fps": 10.0}, {"px_per_m": 90.0}):
        other = measured(legs, SIDE, **options)
        for metric in ("thigh_deg", "lean_deg", "knee_deg"):
            assert value(other, metric) == pytest.approx(value(reference, metric), abs=2.5)


def test_from_space_every_metric_is_known() -> None:
    found = measured(Legs(heel_deg=25.0, lean_deg=65.0), 30.0, space_only=True)
    assert found.view == "space"
    assert all(not reading.refused for reading in found.repetitions[0].readings)
    assert value(found, "lean_deg") == pytest.approx(65.0, abs=1.5)
    assert {"heels_up", "forward_lean"} <= faults(judge(found))[0]


def test_presets_grow_stricter_and_thresholds_can_be_moved_without_measuring() -> None:
    found = measured(Legs(thigh_deg=24.0, knee_out_deg=0.0, lean_deg=52.0), SIDE)
    count = {name: len(judge(found, name).remarks) for name in PRESETS}
    assert count["beginner"] == count["standard"] == 0 < count["strict"]
    moved = judge(found, replace(SquatParameters(), thigh_deg=18.0))
    assert moved.preset == "custom" and faults(moved) == [{"shallow"}] * 3
    assert moved.parameters["thigh_deg"] == 18.0
    assert judge(found).preset == "standard"


def test_a_margin_within_the_error_is_no_remark() -> None:
    found = measured(Legs(thigh_deg=20.0), SIDE)
    depth = value(found, "thigh_deg")
    assert faults(judge(found, SquatParameters(thigh_deg=depth - 0.3))) == [set()] * 3
    assert faults(judge(found, SquatParameters(thigh_deg=depth - 6.0))) == [{"shallow"}] * 3
    assert faults(judge(found, SquatParameters(thigh_deg=depth - 0.3, min_confidence=0.4)))[1] == {"shallow"}


@pytest.mark.parametrize("fps", [10.0, 30.0, 60.0])
def test_what_does_not_last_is_not_the_extreme(fps: float) -> None:
    time_s = np.arange(0, 3, 1 / fps)
    curve = np.ones(len(time_s))
    curve[len(curve) // 2] = -5.0
    curve[3] = np.nan
    level = sustained(curve, time_s)
    assert np.isnan(level[3]) and np.nanmin(level) == 1.0
    curve[(time_s >= 1.0) & (time_s < 1.3)] = 0.2
    assert np.nanmin(sustained(curve, time_s)) == 0.2


def test_one_bad_frame_does_not_bring_the_knees_together() -> None:
    sequence = film(lambda share, _: squat(share, Legs()), yaw_deg=FRONT)
    repetitions = repetitions_of(sequence)
    good = value(measure_repetitions(sequence, "squat", repetitions, cleaned=True), "knee_separation_ratio")
    xy_px = sequence.xy_px.copy()
    knees = [sequence.skeleton.index(f"{side}_knee") for side in ("left", "right")]
    frame = int(np.abs(sequence.time_s - repetitions[1].turn_s).argmin())
    xy_px[frame, knees] = xy_px[frame, knees[::-1]]
    bad = measure_repetitions(replace(sequence, xy_px=xy_px), "squat", repetitions, cleaned=True)
    assert value(bad, "knee_separation_ratio") == pytest.approx(good, abs=0.05)


def test_a_foot_that_seems_to_turn_is_no_heel_rise_from_an_angle() -> None:
    sequence = film(lambda share, _: squat(share, Legs()), yaw_deg=OBLIQUE)
    repetitions = repetitions_of(sequence)
    depth = squat_effort(sequence)
    xy_px = sequence.xy_px.copy()
    for side in ("left", "right"):  # the toes sink in the picture, the heels stay
        toe = sequence.skeleton.index(f"{side}_foot_index")
        xy_px[:, toe, 1] += 14.0 * depth
    report = judge(measure_repetitions(replace(sequence, xy_px=xy_px), "squat", repetitions))
    assert "heels_up" not in set.union(*faults(report))


def squat_effort(sequence: PoseSequence) -> np.ndarray:
    """(T,) 0 standing to 1 at the lowest point."""
    hips = sequence["left_hip"][:, 1]
    return np.asarray((hips - hips.min()) / np.ptp(hips))
