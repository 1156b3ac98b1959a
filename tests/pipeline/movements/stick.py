"""A stick figure with known angles, seen by a far camera: independent of the program's own geometry.

Points are (forwards, to the person's left, up) in metres. The camera is level and far away (no perspective), so every
number of the picture follows from the pose by a rotation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.poses import PoseSequence
from pipeline.repetitions import Repetition
from pipeline.skeletons import BLAZEPOSE_33

Pose = dict[str, np.ndarray]
SIDES = (("left", 1.0), ("right", -1.0))
THIGH, SHANK, TRUNK, FOOT = 0.43, 0.43, 0.50, 0.20
SHOULDER, HIP = 0.1675, 0.0975  # half widths: the usual shares of the trunk, 0.67 and 0.39
UPPER_ARM, FOREARM = 0.30, 0.27
DOWN_S, HOLD_S, UP_S, REST_S = 1.0, 0.3, 1.0, 0.5
PERIOD_S = DOWN_S + HOLD_S + UP_S + REST_S


@dataclass(frozen=True)
class Legs:
    """A squat at its lowest point; angles in degrees, lengths in metres."""

    thigh_deg: float = 0.0
    shin_deg: float = 30.0
    lean_deg: float = 38.0
    heel_deg: float = 0.0
    toe_out_deg: float = 15.0
    knee_out_deg: float = 15.0
    shoulder_tilt_deg: float = 0.0
    hip_shift_m: float = 0.0
    right_higher_deg: float = 0.0


def vector(forwards: float = 0.0, left: float = 0.0, up: float = 0.0) -> np.ndarray:
    return np.array([forwards, left, up])


def lean(degrees: float) -> np.ndarray:
    """Up, leaning forwards."""
    return vector(np.sin(np.radians(degrees)), 0.0, np.cos(np.radians(degrees)))


def squat(share: float, legs: Legs = Legs()) -> Pose:
    """``share`` 0 stands, 1 is the lowest point."""
    pose: Pose = {}
    shin = legs.shin_deg * share
    thigh = 90 - (90 - legs.thigh_deg) * share  # above the horizontal
    down = SHANK * lean(shin) + THIGH * vector(-np.cos(np.radians(thigh)), 0.0, np.sin(np.radians(thigh)))
    shift = vector(0.0, legs.hip_shift_m * share, 0.0)
    for side, sign in SIDES:
        heel_up = np.radians(legs.heel_deg * share)
        toes_out = np.radians(legs.toe_out_deg)
        along = vector(np.cos(toes_out), sign * np.sin(toes_out))
        ankle = vector(0.0, sign * HIP, 0.08)
        toe = ankle + 0.7 * FOOT * along - vector(up=0.06)
        pose[f"{side}_ankle"], pose[f"{side}_foot_index"] = ankle, toe
        pose[f"{side}_heel"] = toe - FOOT * (np.cos(heel_up) * along - np.sin(heel_up) * vector(up=1.0))
        tilt = np.radians(legs.right_higher_deg) * share * THIGH * (side == "right")
        hip = ankle + down + shift + vector(up=tilt)
        pose[f"{side}_hip"] = hip
        pose[f"{side}_knee"] = knee_between(ankle, hip, np.radians(legs.knee_out_deg) * sign)
    middle = (pose["left_hip"] + pose["right_hip"]) / 2
    return pose | upper_body(middle, legs.lean_deg * share, legs.shoulder_tilt_deg * share)


def knee_between(ankle: np.ndarray, hip: np.ndarray, outwards: float) -> np.ndarray:
    """The knee that both bones reach, bent forwards and turned outwards about the line from ankle to hip."""
    axis = hip - ankle
    length = np.linalg.norm(axis)
    axis = axis / length
    along = (SHANK**2 - THIGH**2 + length**2) / (2 * length)
    aside = np.sqrt(max(SHANK**2 - along**2, 0.0))
    forwards = vector(1.0) - axis[0] * axis
    forwards /= np.linalg.norm(forwards)
    left = np.cross(axis, forwards)
    left *= np.sign(left[1])
    return ankle + along * axis + aside * (np.cos(outwards) * forwards + np.sin(outwards) * left)


def upper_body(middle: np.ndarray, lean_deg: float, tilt_deg: float = 0.0) -> Pose:
    """Trunk, head and hanging arms on the middle of the hips."""
    neck = middle + TRUNK * lean(lean_deg)
    tilt = np.radians(tilt_deg)
    pose: Pose = {"nose": neck + vector(0.08, 0.0, 0.20)}
    for side, sign in SIDES:
        shoulder = neck + sign * SHOULDER * vector(0.0, np.cos(tilt), np.sin(tilt))
        pose[f"{side}_shoulder"], pose[f"{side}_ear"] = shoulder, neck + vector(0.0, sign * 0.07, 0.20)
        pose[f"{side}_elbow"] = shoulder - UPPER_ARM * vector(up=1.0)
        pose[f"{side}_wrist"] = pose[f"{side}_elbow"] - FOREARM * vector(up=1.0)
    return pose


def standing_with_arms(upper_deg: tuple[float, float], elbow_deg: tuple[float, float], trunk_deg: float = 0.0) -> Pose:
    """Standing; upper arms forwards by these angles (left, right), elbows with these inner angles."""
    pose = squat(0.0)
    middle = (pose["left_hip"] + pose["right_hip"]) / 2
    pose |= upper_body(middle, trunk_deg)
    for (side, _), upper, elbow in zip(SIDES, upper_deg, elbow_deg, strict=True):
        arm = vector(np.sin(np.radians(upper)), 0.0, -np.cos(np.radians(upper)))
        bent = np.radians(upper + 180 - elbow)
        pose[f"{side}_elbow"] = pose[f"{side}_shoulder"] + UPPER_ARM * arm
        pose[f"{side}_wrist"] = pose[f"{side}_elbow"] + FOREARM * vector(np.sin(bent), 0.0, -np.cos(bent))
    return pose


def plank(share: float, elbow_deg: float, sag_deg: float = 0.0) -> Pose:
    """A push-up: elbows from straight to ``elbow_deg``, the hips ``sag_deg`` below the line at the lowest point."""
    pose: Pose = {}
    inner = np.radians(180 - (180 - elbow_deg) * share)
    reach = np.sqrt(UPPER_ARM**2 + FOREARM**2 - 2 * UPPER_ARM * FOREARM * np.cos(inner))
    body = TRUNK + THIGH + SHANK
    rise = np.arcsin(min(reach / body, 1.0))
    along = vector(np.cos(rise), 0.0, np.sin(rise))
    across = vector(-np.sin(rise), 0.0, np.cos(rise))
    bend = np.radians(sag_deg * share) / 2
    for side, sign in SIDES:
        ankle = vector(0.0, sign * HIP, 0.0)
        knee = ankle + SHANK * along
        hip = knee + THIGH * (np.cos(bend) * along - np.sin(bend) * across)
        shoulder = hip + TRUNK * (np.cos(bend) * along + np.sin(bend) * across) + vector(0.0, sign * (SHOULDER - HIP))
        wrist = vector(shoulder[0], shoulder[1], shoulder[2] - reach)
        out = np.sqrt(max(UPPER_ARM**2 - ((UPPER_ARM**2 - FOREARM**2 + reach**2) / (2 * reach)) ** 2, 0.0))
        elbow = shoulder - vector(out, 0.0, (UPPER_ARM**2 - FOREARM**2 + reach**2) / (2 * reach))
        pose |= {f"{side}_{name}": point for name, point in (
            ("ankle", ankle), ("knee", knee), ("hip", hip), ("shoulder", shoulder), ("wrist", wrist), ("elbow", elbow),
            ("heel", ankle + vector(-0.03, 0.0, 0.05)), ("foot_index", ankle + vector(0.02, 0.0, -0.10)),
            ("ear", shoulder + vector(0.18, -sign * 0.09, 0.05)),
        )}  # fmt: skip
    pose["nose"] = (pose["left_ear"] + pose["right_ear"]) / 2 + vector(0.0, 0.0, -0.08)
    return pose


def share_at(time_s: np.ndarray, repetitions: int, lead_s: float = 0.5) -> np.ndarray:
    """0 at rest, 1 at the turning point, smooth in between (cosine)."""
    share = np.zeros_like(time_s)
    for number in range(repetitions):
        since = time_s - lead_s - number * PERIOD_S
        down = np.clip(since / DOWN_S, 0, 1)
        up = np.clip((since - DOWN_S - HOLD_S) / UP_S, 0, 1)
        share += (np.cos(np.pi * up) - np.cos(np.pi * down)) / 2
    return share


def film(
    pose: Callable[[float, int], Pose],
    *,
    yaw_deg: float,
    repetitions: int = 3,
    fps: float = 30.0,
    person: int = 0,
    hidden: Mapping[str, float] | None = None,
    space_only: bool = False,
    place_px: tuple[float, float] = (320.0, 420.0),
    px_per_m: float = 200.0,
) -> PoseSequence:
    """``pose(share, repetition)`` as a camera sees it: yaw 0 from the front, 90 from the person's right side.

    Args:
        hidden: joints with a score other than 0.95.
        space_only: no picture, only ``xyz_m``.
    """
    length_s = 0.5 + repetitions * PERIOD_S
    time_s = np.arange(round(length_s * fps)) / fps
    share = share_at(time_s, repetitions)
    count = np.clip(((time_s - 0.5) // PERIOD_S).astype(int), 0, max(repetitions - 1, 0))
    names = BLAZEPOSE_33.joints
    points = np.full((len(time_s), len(names), 3), np.nan)
    for frame, (value, number) in enumerate(zip(share, count, strict=True)):
        for name, place in pose(float(value), int(number)).items():
            points[frame, names.index(name)] = place
    forwards, left, up = np.moveaxis(points, -1, 0)
    yaw = np.radians(yaw_deg)
    x = forwards * np.sin(yaw) + left * np.cos(yaw)
    z = forwards * np.cos(yaw) - left * np.sin(yaw)
    xy = np.stack([place_px[0] + px_per_m * x, place_px[1] - px_per_m * up], axis=-1)
    score = np.where(np.isfinite(xy).all(axis=-1), 0.95, np.nan)
    for name, value in (hidden or {}).items():
        score[:, names.index(name)] = value
    xyz = None
    if space_only:
        xyz = np.stack([x, up, z], axis=-1)
        hips = [names.index("left_hip"), names.index("right_hip")]
        xyz = xyz - xyz[:, hips].mean(axis=1, keepdims=True)
        xy = np.full_like(xy, np.nan)
    return PoseSequence(BLAZEPOSE_33, time_s, xy, score, xyz, (640, 480), person)


def repetitions_of(sequence: PoseSequence, count: int = 3, *, last_complete: bool = True) -> tuple[Repetition, ...]:
    """The repetitions of ``film``, exactly."""
    found = []
    for number in range(count):
        start = 0.5 + number * PERIOD_S
        turn, end = start + DOWN_S + HOLD_S / 2, start + DOWN_S + HOLD_S + UP_S
        complete = last_complete or number < count - 1
        found.append(Repetition(sequence.person, start, turn, min(end, float(sequence.time_s[-1])), complete, 1.0, 1.0))
    return tuple(found)
