"""Angles, errors, view, floor, lengths and centre of mass against geometry worked out by hand in this file."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from pipeline.kinematics import (
    ANGLE_NAMES,
    UncertaintyParameters,
    angles,
    angles_table,
    camera_view,
    centre_of_mass,
    floor_line,
    pixels_per_metre,
    point_error,
    segment_lengths,
    stature,
    velocity,
)
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import BLAZEPOSE_33, COCO_17, HALPE_26, KINECT_13, KINECT_20, Skeleton

HEIGHT_PX = 500.0
SIZE = (1600, 1200)


def turned(degrees: Array) -> Array:
    """(T, 2) unit vectors at this angle, anticlockwise from picture right, y up."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=-1)


def build(segment_deg: dict[str, Array], *, facing: int = 1, skeleton: Skeleton = BLAZEPOSE_33) -> PoseSequence:
    """A person in the picture plane whose segments point where they are told (facing right; mirrored for -1).

    Segments (anticlockwise from the horizontal, y up): trunk, head; per side thigh, shank, foot, arm, forearm, hand.
    """
    frames = max(np.size(value) for value in segment_deg.values())
    length = {"trunk": 0.29, "head": 0.12, "thigh": 0.245, "shank": 0.246, "foot": 0.12, "arm": 0.17, "forearm": 0.15}
    length |= {"hand": 0.07}

    def step(name: str) -> Array:
        degrees = np.broadcast_to(np.asarray(segment_deg.get(name, -90.0), dtype=float), frames)
        return turned(degrees) * length[name.split("_")[-1]]

    hip = np.zeros((frames, 2))
    neck = hip + step("trunk")
    points = {"nose": neck + step("head") + (0.05, 0), "neck": neck, "shoulder_center": neck, "hip_center": hip}
    for side, apart in (("left", -0.012), ("right", 0.012)):
        knee = hip + (apart, 0) + step(f"{side}_thigh")
        ankle = knee + step(f"{side}_shank")
        heel = ankle + (-0.03, -0.03)
        elbow = neck + (apart, 0) + step(f"{side}_arm")
        wrist = elbow + step(f"{side}_forearm")
        points |= {
            f"{side}_hip": hip + (apart, 0), f"{side}_knee": knee, f"{side}_ankle": ankle, f"{side}_heel": heel,
            f"{side}_foot_index": heel + step(f"{side}_foot"), f"{side}_big_toe": heel + step(f"{side}_foot"),
            f"{side}_shoulder": neck + (apart, 0), f"{side}_elbow": elbow, f"{side}_wrist": wrist,
            f"{side}_index": wrist + step(f"{side}_hand"), f"{side}_ear": neck + step("head"),
            f"{side}_eye": neck + step("head") + (0.03, 0.02), f"{side}_foot": ankle,
        }  # fmt: skip
    xy = np.full((frames, len(skeleton), 2), np.nan)
    for joint, place in points.items():
        if joint in skeleton:
            xy[:, skeleton.index(joint)] = place * (facing, -1) * HEIGHT_PX + (700, 600)
    score = np.where(np.isfinite(xy).all(axis=2), 0.9, np.nan)
    return PoseSequence(skeleton, np.arange(frames) / 30, xy, score, None, SIZE)


STANDING: dict[str, Array] = {"trunk": np.array(90.0), "head": np.array(90.0)} | {
    f"{side}_foot": np.array(0.0) for side in ("left", "right")
}


def pose(**segment_deg: float) -> dict[str, Array]:
    return STANDING | {"trunk": np.full(40, 90.0)} | {name: np.full(40, value) for name, value in segment_deg.items()}


def angle_at(a: Array, vertex: Array, b: Array) -> Array:
    """The angle between two arms by the law of cosines."""
    la, lb = np.linalg.norm(a - vertex, axis=-1), np.linalg.norm(b - vertex, axis=-1)
    opposite = np.linalg.norm(a - b, axis=-1)
    return np.degrees(np.arccos(np.clip((la**2 + lb**2 - opposite**2) / (2 * la * lb), -1, 1)))


# Angles in the picture


@pytest.mark.parametrize("facing", [1, -1])
def test_standing_upright_is_the_neutral_position(facing: int) -> None:
    result = angles(build(pose(), facing=facing))
    joints = ("ankle_dorsiflexion", "knee_flexion", "hip_flexion", "shoulder_flexion", "elbow_flexion", "wrist_flexion")
    expected = {f"{s}_{j}": 0.0 for s in ("left", "right") for j in (*joints, "foot")}
    expected |= {f"{s}_{g}": -90.0 for s in ("left", "right") for g in ("shank", "thigh", "arm", "forearm", "hand")}
    expected |= {"trunk": 90.0, "head": 90.0}
    for name, value in expected.items():
        np.testing.assert_allclose(result[name].value_deg, value, atol=0.5, err_msg=name)


@pytest.mark.parametrize("facing", [1, -1])
def test_every_joint_flexes_in_the_documented_direction(facing: int) -> None:
    """Segment directions are put in; the joint angles follow from them by hand (facing right, y up)."""
    sequence = build(
        pose(
            trunk=60, head=70, left_thigh=-20, left_shank=-110, left_foot=0, right_thigh=-100, right_shank=-130,
            right_foot=-60, left_arm=-30, left_forearm=80, left_hand=100, right_arm=150, right_forearm=150,
            right_hand=140,
        ),
        facing=facing,
    )  # fmt: skip
    expected = {
        "left_hip_flexion": 100,  # trunk turned to the thigh's opposite: 160 - 60
        "left_knee_flexion": 90,  # thigh -20 to shank -110
        "left_ankle_dorsiflexion": 20,  # shank leans 20 forwards over a flat foot
        "right_hip_flexion": 20,
        "right_knee_flexion": 30,
        "right_ankle_dorsiflexion": -20,  # shank leans 40 forwards, foot points 60 down
        "left_shoulder_flexion": 90,  # arm 30 below the horizontal, trunk leans 30
        "left_elbow_flexion": 110,
        "left_wrist_flexion": 20,
        "right_shoulder_flexion": -90,  # behind the back
        "right_elbow_flexion": 0,
        "right_wrist_flexion": -10,
        "left_thigh": -20,
        "left_shank": -110,
        "right_foot": -60,
        "trunk": 60,
        "head": 70,
        "left_forearm": 80,
    }
    result = angles(sequence, facing=facing)
    for name, value in expected.items():
        np.testing.assert_allclose(result[name].value_deg, value, atol=0.5, err_msg=name)
    automatic = angles(sequence)
    for name in ("left_knee_flexion", "right_hip_flexion", "left_elbow_flexion"):
        np.testing.assert_allclose(automatic[name].value_deg, expected[name], atol=0.5, err_msg=name)


def test_foot_in_line_with_the_shank_is_minus_90_and_arm_overhead_is_180() -> None:
    result = angles(build(pose(left_foot=-90, left_arm=90, left_forearm=90)), facing=1)
    np.testing.assert_allclose(result["left_ankle_dorsiflexion"].value_deg, -90, atol=0.5)
    np.testing.assert_allclose(result["left_shoulder_flexion"].value_deg, 180, atol=0.5)


def test_flexion_is_180_minus_the_law_of_cosines() -> None:
    random = np.random.default_rng(0)
    bend = {f"{s}_shank": -90 - random.uniform(0, 130, 60) for s in ("left", "right")}
    bend |= {f"{s}_forearm": -90 + random.uniform(0, 140, 60) for s in ("left", "right")}
    sequence = build(STANDING | bend)
    result = angles(sequence, facing=1)
    for s in ("left", "right"):
        knee = 180 - angle_at(sequence[f"{s}_hip"], sequence[f"{s}_knee"], sequence[f"{s}_ankle"])
        elbow = 180 - angle_at(sequence[f"{s}_shoulder"], sequence[f"{s}_elbow"], sequence[f"{s}_wrist"])
        np.testing.assert_allclose(result[f"{s}_knee_flexion"].value_deg, knee, atol=1e-6)
        np.testing.assert_allclose(result[f"{s}_elbow_flexion"].value_deg, elbow, atol=1e-6)


def random_person(frames: int = 30, seed: int = 1) -> PoseSequence:
    random = np.random.default_rng(seed)
    names = [f"{s}_{g}" for s in ("left", "right") for g in ("thigh", "shank", "arm", "forearm", "hand")]
    start, speed = random.uniform(-120, 60, len(names)), random.uniform(-40, 40, len(names))
    t = np.arange(frames) / 30
    return build(STANDING | {n: a + v * t for n, a, v in zip(names, start, speed, strict=True)})


def test_zoom_and_place_do_not_matter() -> None:
    person = random_person()
    moved = replace(person, xy_px=person.xy_px * 0.37 + (213, -91))
    first, second = angles(person), angles(moved)
    np.testing.assert_allclose(second.value_deg, first.value_deg, atol=1e-8)
    np.testing.assert_allclose(second.error_deg, first.error_deg, atol=1e-8)


@pytest.mark.parametrize("view", ["side", "front"])
def test_left_in_the_mirror_is_right(view: str) -> None:
    person = random_person() if view == "side" else front_person()
    first, mirrored = angles(person), angles(person.mirrored())
    for name in ANGLE_NAMES:
        if name.startswith("left_"):
            other = name.replace("left", "right")
            np.testing.assert_allclose(mirrored[other].value_deg, first[name].value_deg, atol=1e-8, err_msg=name)
            np.testing.assert_allclose(mirrored[other].error_deg, first[name].error_deg, atol=1e-8, err_msg=name)
    if view == "front":
        np.testing.assert_allclose(mirrored["pelvis"].value_deg, -first["pelvis"].value_deg, atol=1e-8)


def test_angles_are_continuous_through_180() -> None:
    sweep = np.linspace(0, 800, 240)
    result = angles(build(STANDING | {"left_arm": sweep, "left_forearm": sweep, "trunk": 90 + sweep}), facing=1)
    for name in ("left_arm", "left_forearm", "trunk"):
        assert np.abs(np.diff(result[name].value_deg)).max() < 5, name
        assert np.ptp(result[name].value_deg) == pytest.approx(800, abs=0.5)
    swing = -90 + np.concatenate([np.linspace(150, 210, 60), np.linspace(210, 150, 60)])
    shoulder = angles(build(STANDING | {"left_arm": swing}), facing=1)["left_shoulder_flexion"].value_deg
    assert np.abs(np.diff(shoulder)).max() < 3 and shoulder.max() == pytest.approx(210, abs=0.5)


def test_gaps_stay_missing_and_do_not_turn_the_curve() -> None:
    person = build(STANDING | {"left_arm": np.linspace(150, 230, 90)})
    xy = person.xy_px.copy()
    xy[40:50, BLAZEPOSE_33.index("left_elbow")] = np.nan
    arm = angles(replace(person, xy_px=xy), facing=1)["left_arm"]
    assert np.isnan(arm.value_deg[40:50]).all() and np.isnan(arm.error_deg[40:50]).all()
    rest = np.r_[0:40, 50:90]
    offset = arm.value_deg[rest] - np.linspace(150, 230, 90)[rest]
    np.testing.assert_allclose(offset, round(offset[0] / 360) * 360, atol=0.5)


def test_a_limb_that_points_at_the_camera_does_not_wind_the_curve_up() -> None:
    person = front_person(frames=300)
    xy = person.xy_px.copy()
    random = np.random.default_rng(3)
    elbow, wrist = BLAZEPOSE_33.index("left_elbow"), BLAZEPOSE_33.index("left_wrist")
    xy[100:200, wrist] = xy[100:200, elbow] + random.normal(0, 2, (100, 2))
    forearm = angles(replace(person, xy_px=xy))["left_forearm"]
    np.testing.assert_allclose(forearm.value_deg[250], forearm.value_deg[50], atol=1)
    assert forearm.error_deg[150] > 45 > forearm.error_deg[50]


# Angles in space


def space_person(
    hip: float,
    knee: float,
    ankle: float,
    elbow: float,
    lean: float,
    yaw: float,
    abduction: float = 0.0,
    frames: int = 20,
) -> PoseSequence:
    """Metres in the person's own axes (forwards, up, left), then turned by ``yaw`` so that 90 faces picture right."""
    own: dict[str, Array] = {}

    def sagittal(degrees: float) -> Array:
        return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0])

    trunk = 90 - lean
    for side, sign in (("left", 1), ("right", -1)):
        own[f"{side}_hip"] = np.array([0, 0, sign * 0.12])
        own[f"{side}_shoulder"] = 0.5 * sagittal(trunk) + (0, 0, sign * 0.18)
        thigh = trunk - 180 + hip
        own[f"{side}_knee"] = own[f"{side}_hip"] + 0.42 * sagittal(thigh)
        shank = thigh - knee
        own[f"{side}_ankle"] = own[f"{side}_knee"] + 0.43 * sagittal(shank)
        own[f"{side}_heel"] = own[f"{side}_ankle"] + 0.05 * sagittal(shank)
        own[f"{side}_foot_index"] = own[f"{side}_heel"] + 0.2 * sagittal(shank + 90 + ankle)
        arm = -np.array([0, np.cos(np.radians(abduction)), -sign * np.sin(np.radians(abduction))])
        arm = arm if abduction else sagittal(trunk - 180)
        own[f"{side}_elbow"] = own[f"{side}_shoulder"] + 0.3 * arm
        own[f"{side}_wrist"] = own[f"{side}_elbow"] + 0.25 * (sagittal(trunk - 180 + elbow) if not abduction else arm)
    angle = np.radians(yaw)
    forwards, left = np.array([np.sin(angle), 0, np.cos(angle)]), np.array([np.cos(angle), 0, -np.sin(angle)])
    axes = np.stack([forwards, (0, 1, 0), left])
    xyz = np.full((frames, len(BLAZEPOSE_33), 3), np.nan)
    for joint, place in own.items():
        xyz[:, BLAZEPOSE_33.index(joint)] = place @ axes
    xy = xyz[..., :2] * (280.0, -280.0) + (700, 600)
    score = np.where(np.isfinite(xy).all(axis=2), 0.9, np.nan)
    return PoseSequence(BLAZEPOSE_33, np.arange(frames) / 30, xy, score, xyz, SIZE)


@pytest.mark.parametrize("yaw", [0, 37, 90, 160, -120])
def test_space_angles_do_not_depend_on_the_camera(yaw: float) -> None:
    result = angles(space_person(hip=95, knee=110, ankle=15, elbow=40, lean=35, yaw=yaw), space=True)
    expected = {"hip_flexion": 95, "knee_flexion": 110, "ankle_dorsiflexion": 15, "elbow_flexion": 40}
    expected |= {"thigh": -40 + 95 - 90 - 0, "shoulder_flexion": 0}
    expected["thigh"] = 90 - 35 - 180 + 95
    expected["shank"] = expected["thigh"] - 110
    for side in ("left", "right"):
        for name, value in expected.items():
            np.testing.assert_allclose(result[f"{side}_{name}"].value_deg, value, atol=0.5, err_msg=name)
    np.testing.assert_allclose(result["trunk"].value_deg, 55, atol=0.5)
    np.testing.assert_allclose(result["pelvis"].value_deg, 0, atol=0.5)


def test_hip_extension_is_negative_and_arms_to_the_side_are_elevated_in_space() -> None:
    back = angles(space_person(hip=-20, knee=10, ankle=0, elbow=0, lean=0, yaw=50), space=True)
    np.testing.assert_allclose(back["left_hip_flexion"].value_deg, -20, atol=0.5)
    side = angles(space_person(hip=0, knee=0, ankle=0, elbow=0, lean=0, yaw=10, abduction=75), space=True)
    np.testing.assert_allclose(side["right_shoulder_flexion"].value_deg, 75, atol=0.5)


def test_a_dropped_pelvis_has_the_same_sign_in_space_and_from_the_front() -> None:
    person = space_person(hip=0, knee=0, ankle=0, elbow=0, lean=0, yaw=0)
    assert person.xyz_m is not None
    xyz, xy = person.xyz_m.copy(), person.xy_px.copy()
    left = BLAZEPOSE_33.index("left_hip")
    xyz[:, left, 1] += 0.05
    xy[:, left, 1] -= 0.05 * 280
    expected = np.degrees(np.arctan2(0.05, 0.24))
    higher = replace(person, xyz_m=xyz, xy_px=xy)
    np.testing.assert_allclose(angles(higher, space=True)["pelvis"].value_deg, expected, atol=0.5)
    np.testing.assert_allclose(angles(higher)["pelvis"].value_deg, expected, atol=0.5)


def test_space_without_space_is_refused_in_words() -> None:
    for function in (angles, segment_lengths, centre_of_mass):
        with pytest.raises(ValueError, match="no xyz_m"):
            function(random_person(), space=True)


# Errors


@pytest.mark.parametrize("space", [False, True])
def test_errors_are_those_of_a_monte_carlo_simulation(space: bool) -> None:
    draws = 4000
    one = space_person(hip=70, knee=80, ankle=10, elbow=60, lean=30, yaw=90 if not space else 40, frames=1)
    random = np.random.default_rng(5)
    score = np.where(np.isfinite(one.score), random.uniform(0.5, 1, one.score.shape), np.nan)
    one = replace(one, score=score)
    predicted = angles(one, facing=1, space=space)
    sigma = point_error(one, space=space)[0]
    many = replace(
        one.select(np.zeros(1, dtype=int)),
        time_s=np.arange(draws) / 30,
        xy_px=one.xy_px[0] + random.normal(0, 1, (draws, 33, 2)) * (0 if space else sigma[:, None]),
        xyz_m=one.xyz_m[0] + random.normal(0, 1, (draws, 33, 3)) * (sigma[:, None] if space else 0),  # type: ignore[index]
        score=np.repeat(one.score, draws, axis=0),
    )
    drawn = angles(many, facing=1, space=space)
    checked = 0
    for name in ANGLE_NAMES:
        expected = predicted[name].error_deg[0]
        if np.isfinite(expected) and expected < 20 and not (space and name == "left_hip_flexion"):
            spread = 1.4826 * np.median(np.abs(drawn[name].value_deg - np.median(drawn[name].value_deg)))
            assert spread == pytest.approx(expected, rel=0.2 if not space else 0.35), name
            checked += 1
    assert checked >= 12


def test_error_of_a_knee_by_hand() -> None:
    """Straight leg, all points equally sure: s * sqrt(1/a^2 + 1/b^2 + (1/a + 1/b)^2) for the hinge in the middle."""
    person = build(pose())
    parameters = UncertaintyParameters(sure=0.02, unsure=0.0)
    thigh, shank = 0.245 * HEIGHT_PX, 0.246 * HEIGHT_PX
    sigma = point_error(person, parameters)[0, 0]
    expected = np.degrees(sigma * np.sqrt(1 / thigh**2 + 1 / shank**2 + (1 / thigh + 1 / shank) ** 2))
    result = angles(person, parameters=parameters)["left_knee_flexion"].error_deg
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_unsure_points_have_larger_errors() -> None:
    person = build(pose())
    score = person.score.copy()
    score[20:, BLAZEPOSE_33.index("left_knee")] = 0.1
    error = angles(replace(person, score=score))["left_knee_flexion"].error_deg
    assert error[30] > 1.5 * error[10]
    assert np.isfinite(angles(replace(person, score=np.full_like(score, np.nan)))["left_knee_flexion"].error_deg).all()


# Other skeletons, nothing at all, speed


@pytest.mark.parametrize("skeleton", [COCO_17, HALPE_26, KINECT_13, KINECT_20])
def test_other_skeletons_give_what_they_can(skeleton: Skeleton) -> None:
    reference = build(pose(left_shank=-130))
    result = angles(build(pose(left_shank=-130), skeleton=skeleton), facing=1)
    ankle = result["left_ankle_dorsiflexion"].value_deg
    assert np.isfinite(ankle).all() == (skeleton is HALPE_26)
    expected = angles(reference, facing=1)["left_hip_flexion"].value_deg
    np.testing.assert_allclose(result["left_hip_flexion"].value_deg, expected, atol=0.5)
    np.testing.assert_allclose(result["left_knee_flexion"].value_deg, 40, atol=0.5)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_empty_and_tiny_sequences(frames: int) -> None:
    for person in (PoseSequence.empty(time_s=np.arange(frames) / 30), random_person(5).select(slice(0, frames))):
        result = angles(person)
        assert result.value_deg.shape == (frames, len(ANGLE_NAMES)) == result.error_deg.shape
        assert len(angles_table(person)) == frames * len(ANGLE_NAMES)
        assert len(camera_view(person).label) == frames
        assert floor_line(person).contact.shape == (frames, 2)
        assert centre_of_mass(person).shape == (frames, 2)
        assert len(segment_lengths(person)) == frames
        assert velocity(person.xy_px, person.time_s).shape == person.xy_px.shape
    assert np.isnan(stature(PoseSequence.empty()))
    assert camera_view(PoseSequence.empty()).main() == ("unknown", 0.0)


def test_table_is_tidy_with_units() -> None:
    table = angles_table(random_person())
    assert list(table.columns) == ["person", "frame", "time_s", "angle", "value_deg", "error_deg"]
    one = table[(table["frame"] == 7) & (table["angle"] == "trunk")]
    assert one["value_deg"].item() == pytest.approx(90, abs=0.5)
    with pytest.raises(KeyError, match="left_knee_flexion"):
        angles(random_person())["knee"]


def test_ten_thousand_frames_take_under_half_a_second() -> None:
    base = space_person(hip=60, knee=70, ankle=10, elbow=20, lean=20, yaw=45, frames=10_000)
    assert base.xyz_m is not None
    xyz = np.nan_to_num(base.xyz_m) + np.random.default_rng(6).normal(0, 0.01, (10_000, 33, 3))
    person = replace(
        base, xyz_m=xyz, xy_px=xyz[..., :2] * (280.0, -280.0) + (700, 600), score=np.full((10_000, 33), 0.8)
    )
    started = time.process_time()
    angles(person)
    centre_of_mass(person)
    floor_line(person)
    stature(person)
    assert time.process_time() - started < 1.0  # measured 0.25 s; twice the goal for a busy machine


# Speeds, lengths, metres, centre of mass


def test_velocity_uses_the_real_timestamps() -> None:
    time_s = np.array([0.0, 0.1, 0.15, 0.4, 0.5])
    values = 3 * time_s**2 - 2 * time_s
    np.testing.assert_allclose(velocity(values, time_s)[1:-1], (6 * time_s - 2)[1:-1], atol=1e-9)


def test_segment_lengths_and_height() -> None:
    person = build(pose())
    lengths = segment_lengths(person)
    np.testing.assert_allclose(lengths["left_thigh_px"], 0.245 * HEIGHT_PX)
    np.testing.assert_allclose(lengths["right_shank_px"], 0.246 * HEIGHT_PX)
    assert stature(person) == pytest.approx(HEIGHT_PX, rel=0.01)
    assert pixels_per_metre(person, 1.8) == pytest.approx(HEIGHT_PX / 1.8, rel=0.01)
    with pytest.raises(ValueError, match="in metres"):
        pixels_per_metre(person, 180)


def test_height_is_that_of_standing_even_when_most_of_the_clip_is_a_squat() -> None:
    bend = np.concatenate([np.zeros(15), np.full(75, 100.0)])
    squat = {f"{s}_thigh": -90 + 0.9 * bend for s in ("left", "right")} | {
        f"{s}_shank": -90 - 0.3 * bend for s in ("left", "right")
    }
    assert stature(build(STANDING | squat)) == pytest.approx(HEIGHT_PX, rel=0.02)


def test_centre_of_mass_of_a_body_added_up_by_hand() -> None:
    person = build(pose(left_thigh=-10, left_forearm=20))
    share = {
        "head": 6.81,
        "trunk": 43.015,
        "arm": 2.63,
        "forearm": 1.5,
        "hand": 0.585,
        "thigh": 14.47,
        "shank": 4.57,
        "foot": 1.33,
    }
    p = {j: person[j][0] for j in BLAZEPOSE_33.joints}
    neck, hips = (p["left_shoulder"] + p["right_shoulder"]) / 2, (p["left_hip"] + p["right_hip"]) / 2
    total = share["head"] * (p["left_ear"] + p["right_ear"]) / 2 + share["trunk"] * (neck + 0.4046 * (hips - neck))
    for s in ("left", "right"):
        for name, a, b, at in (
            ("arm", "shoulder", "elbow", 0.5763), ("forearm", "elbow", "wrist", 0.45665), ("hand", "wrist", "wrist", 0),
            ("thigh", "hip", "knee", 0.38535), ("shank", "knee", "ankle", 0.43735), ("foot", "ankle", "ankle", 0),
        ):  # fmt: skip
            total = total + share[name] * (p[f"{s}_{a}"] + at * (p[f"{s}_{b}"] - p[f"{s}_{a}"]))
    np.testing.assert_allclose(centre_of_mass(person)[0], total / 100, atol=0.05)
    upright = build(pose())
    height = (upright["left_heel"][0, 1] - centre_of_mass(upright)[0, 1]) / HEIGHT_PX
    assert 0.5 < height < 0.62  # standing with the arms down it lies at about 56 % of the height


def test_centre_of_mass_needs_most_of_the_body() -> None:
    person = build(pose())
    xy = person.xy_px.copy()
    xy[:10, BLAZEPOSE_33.index("left_wrist")] = np.nan
    xy[10:, BLAZEPOSE_33.index("left_hip")] = np.nan
    centre = centre_of_mass(replace(person, xy_px=xy))
    assert np.isfinite(centre[:10]).all() and np.isnan(centre[10:]).all()


# View


def front_person(yaw_deg: float | Array = 0.0, frames: int = 60, squat: float = 0.0) -> PoseSequence:
    """A body with width, turned and seen by a camera far away; proportions like BlazePose's."""
    yaw = np.radians(np.broadcast_to(np.asarray(yaw_deg, dtype=float), frames))
    unit = 0.5
    points: dict[str, tuple[float, float, float]] = {"nose": (0.16 * unit, 0.72, 0.0)}  # forwards, up, left
    for s, sign in (("left", 1), ("right", -1)):
        points |= {
            f"{s}_shoulder": (0.0, 0.5, sign * 0.335 * unit), f"{s}_hip": (0.0, 0.0, sign * 0.195 * unit),
            f"{s}_ear": (0.0, 0.7, sign * 0.07), f"{s}_elbow": (0.02, 0.22, sign * 0.2),
            f"{s}_wrist": (0.08, 0.0, sign * 0.22),
            f"{s}_knee": (0.03 + squat, -0.4 + squat, sign * 0.11), f"{s}_ankle": (0.0, -0.82 + squat, sign * 0.12),
            f"{s}_heel": (-0.04, -0.87 + squat, sign * 0.115), f"{s}_foot_index": (0.16, -0.9 + squat, sign * 0.16),
            f"{s}_index": (0.1, -0.08, sign * 0.21),
        }  # fmt: skip
    xy = np.full((frames, len(BLAZEPOSE_33), 2), np.nan)
    for joint, (forwards, up, left) in points.items():
        x = forwards * np.sin(yaw) + left * np.cos(yaw)
        xy[:, BLAZEPOSE_33.index(joint)] = np.stack([x, np.full(frames, -up)], axis=1) * 300 + (700, 500)
    score = np.where(np.isfinite(xy).all(axis=2), 0.95, np.nan)
    return PoseSequence(BLAZEPOSE_33, np.arange(frames) / 30, xy, score, None, SIZE)


@pytest.mark.parametrize(
    ("yaw", "label", "near"),
    [(0, "front", ""), (12, "front", ""), (45, "oblique", "right"), (-45, "oblique", "left"), (90, "side", "right"),
     (-85, "side", "left"), (135, "oblique", "right"), (180, "back", ""), (-170, "back", "")],
)  # fmt: skip
def test_view_of_a_turned_person(yaw: float, label: str, near: str) -> None:
    view = camera_view(front_person(yaw))
    assert set(view.label) == {label}
    assert set(view.near_side) == {near}
    error = (view.yaw_deg - yaw + 180) % 360 - 180
    assert np.abs(error).max() < 12
    assert view.confidence.min() > 0.5
    assert view.main()[0] == label


@pytest.mark.parametrize("yaw", [0, 45, 90, 180, -60])
def test_view_from_space_alone(yaw: float) -> None:
    person = space_person(hip=30, knee=40, ankle=0, elbow=0, lean=10, yaw=yaw)
    nothing = replace(person, xy_px=np.full_like(person.xy_px, np.nan))
    error = (camera_view(nothing).yaw_deg - yaw + 180) % 360 - 180
    assert np.abs(error).max() < 1


def test_somebody_turning_is_followed_and_the_edges_are_less_sure() -> None:
    yaw = np.concatenate([np.zeros(60), np.linspace(0, 90, 60), np.full(60, 90.0)])
    view = camera_view(front_person(yaw, frames=180))
    assert view.label[20] == "front" and view.label[90] == "oblique" and view.label[170] == "side"
    order = [name for name, before in zip(view.label[1:], view.label[:-1], strict=True) if name != before]
    assert order == ["oblique", "side"]
    edge = np.flatnonzero(view.label[1:] != view.label[:-1])
    assert view.confidence[edge].max() < 0.7 < view.confidence[10]
    assert (np.diff(view.facing) != 0).sum() == 1


def test_lying_down_does_not_change_the_view() -> None:
    person = front_person(90)
    lying = replace(person, xy_px=(person.xy_px - (700, 500)) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + (700, 500))
    assert set(camera_view(lying).label) == {"side"}
    first, second = angles(person), angles(lying)
    for name in ("left_knee_flexion", "left_hip_flexion", "right_elbow_flexion"):
        np.testing.assert_allclose(second[name].value_deg, first[name].value_deg, atol=0.5)


def test_a_skeleton_without_feet_and_face_faces_where_its_knees_bend() -> None:
    t = np.arange(60) / 30
    bend = 45 - 45 * np.cos(2 * np.pi * t)
    squat = {f"{s}_thigh": -90 + bend for s in ("left", "right")} | {
        f"{s}_shank": -90 - 0.5 * bend for s in ("left", "right")
    }
    for facing in (1, -1):
        person = build(STANDING | squat, facing=facing, skeleton=KINECT_13)
        assert set(camera_view(person).facing) == {facing}
        np.testing.assert_allclose(angles(person)["left_knee_flexion"].value_deg, 1.5 * bend, atol=0.5)


def test_unsure_points_make_an_unsure_view() -> None:
    person = front_person(0)
    low = camera_view(replace(person, score=np.where(np.isfinite(person.score), 0.3, np.nan)))
    assert low.confidence.max() <= 0.3 < camera_view(person).confidence.min()


# Floor


@pytest.mark.parametrize("tilt", [-6.0, 0.0, 4.0])
def test_floor_and_tilt_of_a_walk_across_the_picture(tilt: float) -> None:
    t = np.arange(150) / 30
    base = front_person(90, frames=150)
    xy = base.xy_px.copy()
    xy[..., 0] += (t * 60 - 150)[:, None]
    for side, phase in (("left", 0.0), ("right", 0.5)):
        stride = (t * 0.9 + phase) % 1
        swing = np.clip((stride - 0.6) / 0.4, 0, 1)
        world = (np.floor(t * 0.9 + phase) + swing) * 60 / 0.9 - 150 - phase * 60 / 0.9
        for part in ("heel", "foot_index", "ankle"):
            joint = BLAZEPOSE_33.index(f"{side}_{part}")
            up = {"heel": 0.0, "foot_index": 0.0, "ankle": 20.0}[part] + 30 * np.sin(np.pi * swing)
            xy[:, joint, 0] = base.xy_px[:, joint, 0] + world
            xy[:, joint, 1] = 770 - up
    xy += np.random.default_rng(7).normal(0, 0.3, xy.shape)
    a = np.radians(-tilt)  # anticlockwise in a picture whose y points down
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    person = replace(base, xy_px=(xy - (700, 770)) @ turn + (700, 770))
    floor = floor_line(person)
    assert floor.tilt_deg == pytest.approx(tilt, abs=1.0)
    assert floor.tilt_error_deg < 2
    assert abs(floor.height_px(np.array([700.0, 770.0]))) < 4
    assert 0.4 < floor.contact.mean() < 0.8
    level = angles(person, facing=1, tilt_deg=floor.tilt_deg)["trunk"].value_deg
    np.testing.assert_allclose(np.median(level), 90, atol=1.5)


def test_one_narrow_stance_shows_the_floor_but_no_tilt() -> None:
    person = front_person(0)
    xy = person.xy_px.copy()
    for part in ("ankle", "heel", "foot_index"):
        for side, x in (("left", 705.0), ("right", 695.0)):
            xy[:, BLAZEPOSE_33.index(f"{side}_{part}"), 0] = x
    floor = floor_line(replace(person, xy_px=xy))
    assert floor.tilt_deg == 0 and np.isnan(floor.tilt_error_deg)
    assert np.isfinite(floor.y_px) and floor.contact.all()


@pytest.mark.parametrize("tilt", [-4.0, 3.0])
def test_two_feet_show_the_tilt_from_the_front_but_not_obliquely(tilt: float) -> None:
    a = np.radians(-tilt)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    front = front_person(0)
    tilted = replace(front, xy_px=(front.xy_px - (700, 700)) @ turn + (700, 700))
    assert floor_line(tilted).tilt_deg == pytest.approx(tilt, abs=0.5)

    oblique = front_person(45)
    xy = oblique.xy_px.copy()
    for part in ("ankle", "heel", "foot_index"):
        xy[:, BLAZEPOSE_33.index(f"left_{part}"), 1] -= 18  # farther away, so higher in the picture
    floor = floor_line(replace(oblique, xy_px=xy))
    assert floor.tilt_deg == 0 and np.isnan(floor.tilt_error_deg)
