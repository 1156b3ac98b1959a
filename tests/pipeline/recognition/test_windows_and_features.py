"""Landmarks on the even clock, boxes, and the 189 features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.poses import PoseSequence
from pipeline.recognition.features import FAMILIES, FEATURES, catalogue, feature_table, features
from pipeline.recognition.windows import (
    CORE_INDEX,
    HOP,
    RATE_HZ,
    WINDOW,
    boxed,
    cut,
    held,
    landmarks,
    mirrored,
    on_clock,
    resampled,
    seen_frames,
    window_centres,
)
from pipeline.skeletons import BLAZEPOSE_33, COCO_17
from pipeline.synthetic.motions import Actor
from tests.pipeline.recognition.people import filmed

NAMES = [feature.name for feature in FEATURES]


@pytest.fixture(scope="module")
def squats() -> PoseSequence:
    return filmed(Actor("squat", 2, seed=4))


def test_there_are_exactly_189_features_in_the_families_of_the_baseline() -> None:
    count = {family: sum(f.family == family for f in FEATURES) for family in FAMILIES}
    assert count == {"pose": 99, "angle": 8, "distance": 6, "symmetry": 4, "velocity": 36, "acceleration": 36}
    assert len(set(NAMES)) == len(FEATURES) == 189
    assert all(feature.unit and feature.source for feature in FEATURES)
    assert list(catalogue()["name"]) == NAMES


def test_the_core_joints_span_the_box() -> None:
    rng = np.random.default_rng(1)
    box = boxed(rng.normal(100, 30, (5, 33, 3)))
    assert_allclose(box[:, CORE_INDEX].min(axis=1), 0, atol=1e-6)
    assert_allclose(box[:, CORE_INDEX].max(axis=1), 1, atol=1e-6)


def test_scaling_to_another_box_first_changes_nothing() -> None:
    """RepCount's frames were scaled to the box of all 33 points, each axis for itself."""
    rng = np.random.default_rng(2)
    points = rng.normal(100, 30, (4, 33, 3))
    other = (points - points.min(axis=1, keepdims=True)) / np.ptp(points, axis=1, keepdims=True)
    assert_allclose(boxed(points), boxed(other), atol=2e-6)


@pytest.mark.parametrize("factor", [0.2, 3.0])
def test_features_do_not_know_place_or_zoom(squats: PoseSequence, factor: float) -> None:
    moved = replace(squats, xy_px=squats.xy_px * factor + (500.0, -80.0))
    assert_allclose(features(boxed(landmarks(moved))), features(boxed(landmarks(squats))), atol=0.05)


def test_a_mirror_exchanges_the_sides(squats: PoseSequence) -> None:
    straight = features(boxed(on_clock(squats).points))
    reflected = features(boxed(on_clock(squats.mirrored()).points))
    assert_allclose(reflected, features(mirrored(boxed(on_clock(squats).points))), atol=0.05)
    left, right = NAMES.index("left_knee_deg"), NAMES.index("right_knee_deg")
    assert_allclose(reflected[:, left], straight[:, right], atol=0.02)
    difference = NAMES.index("knee_difference_deg")
    assert_allclose(reflected[:, difference], -straight[:, difference], atol=0.02)


def test_angles_distances_and_speeds_are_those_of_the_box() -> None:
    points = np.zeros((9, 33, 3))
    at = BLAZEPOSE_33.index
    rng = np.random.default_rng(0)
    points[:] = rng.random((33, 3))
    points[:, at("nose")] = (0.5, 0.0, 0.5)
    points[:, at("left_ankle")] = (1.0, 1.0, 1.0)
    points[:, at("right_ankle")] = (0.0, 1.0, 0.0)
    points[:, at("left_shoulder")], points[:, at("left_elbow")] = (0.2, 0.2, 0.5), (0.4, 0.2, 0.5)
    points[:, at("left_wrist")] = (0.4, 0.6, 0.5)
    points[:, at("right_wrist"), 0] = 0.1 + 0.02 * np.arange(9)
    found = features(points)[4]
    assert found[NAMES.index("left_elbow_deg")] == pytest.approx(90, abs=1e-3)
    assert found[NAMES.index("ankles_apart_distance")] == pytest.approx(np.sqrt(2))
    assert found[NAMES.index("right_wrist_x_velocity")] == pytest.approx(0.02 * RATE_HZ, rel=1e-4)
    assert found[NAMES.index("right_wrist_x_acceleration")] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("fps", [10, 24, 30, 60])
def test_the_even_clock_is_the_same_at_every_frame_rate(fps: float) -> None:
    actor = Actor("squat", 1, seed=4)
    slow, usual = on_clock(filmed(actor, fps)), on_clock(filmed(actor, 120))
    count = min(len(slow.points), len(usual.points))
    assert slow.first == usual.first == 0
    error = np.abs(slow.points[:count, CORE_INDEX, :2] - usual.points[:count, CORE_INDEX, :2])
    assert np.nanmax(error) < 6 and np.nanmedian(error) < 0.6  # pixels of 480; 10 a second rounds the turning points


def test_samples_lie_at_whole_fifteenths_wherever_a_clip_starts(squats: PoseSequence) -> None:
    late = replace(squats, time_s=squats.time_s + 7.013)
    clock = on_clock(late)
    assert_allclose(clock.time_s * RATE_HZ, np.round(clock.time_s * RATE_HZ), atol=1e-9)
    assert late.time_s[0] - 1e-6 <= clock.time_s[0] < late.time_s[0] + 1 / RATE_HZ


def test_short_gaps_are_bridged_and_long_ones_stay() -> None:
    time_s = np.arange(60) / 30
    points = np.ones((60, 33, 3))
    points[10:14] = np.nan
    points[30:50] = np.nan
    clock = resampled(time_s, points)
    missing = ~np.isfinite(clock.points).all(axis=(1, 2))
    assert not missing[clock.time_s < 0.9].any()
    assert missing[(clock.time_s > 1.0) & (clock.time_s < 1.6)].all()


def test_coco_key_points_make_the_same_boxes_and_leave_the_rest_open(squats: PoseSequence) -> None:
    whole, few = boxed(landmarks(squats)), boxed(landmarks(squats.to(COCO_17)))
    assert_allclose(few[:, CORE_INDEX, :2], whole[:, CORE_INDEX, :2], atol=1e-6)
    assert np.isnan(few[:, BLAZEPOSE_33.index("left_pinky")]).all()


def test_a_box_of_a_few_joints_is_no_box() -> None:
    points = np.random.default_rng(3).normal(size=(1, 33, 3))
    points[:, CORE_INDEX[6:]] = np.nan
    assert np.isnan(boxed(points)).all()
    assert not seen_frames(boxed(points)).any()


def test_a_posture_that_is_held_is_told_from_a_movement(squats: PoseSequence) -> None:
    clock = on_clock(squats)
    windows = cut(clock, np.arange(24, len(clock.points) - 24, 8))
    assert not held(windows).any() and len(windows) > 3
    shaking = np.random.default_rng(0).normal(0, 0.006, windows.shape)
    frozen = np.repeat(windows[:, 20:21], WINDOW, axis=1) + shaking
    frozen[:, 10:20, CORE_INDEX[3]] = np.nan
    assert held(frozen).all()
    one_arm = frozen.copy()  # a joint or two that jump about are no movement of the body
    one_arm[:, ::2, CORE_INDEX[5]] += 0.4
    assert held(one_arm).all() and held(frozen[:0]).shape == (0,)


def test_windows_are_cut_around_their_middles_and_empty_outside(squats: PoseSequence) -> None:
    clock = on_clock(squats)
    centres = window_centres(clock.first, clock.first + len(clock.points) - 1)
    windows = cut(clock, centres)
    assert windows.shape == (len(centres), WINDOW, 33, 3)
    assert (np.diff(centres) == HOP).all()
    assert not seen_frames(windows[:1])[0, : WINDOW // 2].any()
    middle = len(centres) // 2
    assert_allclose(windows[middle, WINDOW // 2], boxed(clock.points)[centres[middle] - clock.first])


def test_a_table_has_clip_frame_and_time_and_one_family_when_asked(squats: PoseSequence) -> None:
    table = feature_table(squats, "my clip")
    assert list(table.columns) == ["clip", "person", "frame", "time_s", *NAMES]
    assert set(table["clip"]) == {"my clip"}
    assert 5 < np.ptp(table["left_knee_deg"]) < 180  # in the box, which stretches what is narrow
    assert len(feature_table(squats, family="angle").columns) == 4 + 8
    with pytest.raises(ValueError, match="no family 'shape'"):
        feature_table(squats, family="shape")


def test_nobody_is_an_empty_table_and_no_windows() -> None:
    nobody = PoseSequence.empty(BLAZEPOSE_33)
    assert len(feature_table(nobody)) == 0
    assert len(on_clock(nobody).points) == 0
    unseen = PoseSequence.empty(BLAZEPOSE_33, (640, 480), 0, np.arange(60) / 30)
    assert feature_table(unseen)["left_knee_deg"].isna().all()
