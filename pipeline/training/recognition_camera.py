"""Motions in space as a camera and a pose model would have seen them: projected, then spoiled a little.

Everything of a recogniser's training that is not a film goes through here: the actor, motion capture, Kinect sets.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.skeletons import BLAZEPOSE_33, Skeleton

_AT = {joint: number for number, joint in enumerate(BLAZEPOSE_33.joints)}
# Kinect and motion-capture names that stand for BlazePose's; their head is its middle, and the nose lies before it.
KINECT_NAMES = {"Shoulder": "shoulder", "Elbow": "elbow", "Wrist": "wrist", "Hip": "hip", "Knee": "knee",
                "Ankle": "ankle"}  # fmt: skip
NOSE_M = 0.11  # from the middle of the head, forwards


def as_blazepose(points: Array, joints: Skeleton | list[str]) -> Array:
    """(T, J, 3) metres of a Kinect-like skeleton as (T, 33, 3), NaN where it has no such joint.

    Axes: x to the person's left when they face +z, y up. The nose is put ``NOSE_M`` before the head, where forwards is
    across the shoulders and the vertical of the trunk.
    """
    names = [_house_name(joint) for joint in (joints.joints if isinstance(joints, Skeleton) else joints)]
    out = np.full((len(points), len(BLAZEPOSE_33), 3), np.nan)
    for number, name in enumerate(names):
        if name in _AT:
            out[:, _AT[name]] = points[:, number]
    head = points[:, names.index("head")]
    across = out[:, _AT["left_shoulder"]] - out[:, _AT["right_shoulder"]]
    hips = (out[:, _AT["left_hip"]] + out[:, _AT["right_hip"]]) / 2
    shoulders = (out[:, _AT["left_shoulder"]] + out[:, _AT["right_shoulder"]]) / 2
    forward = np.cross(across, shoulders - hips)
    length = np.linalg.norm(forward, axis=1, keepdims=True)
    out[:, _AT["nose"]] = head + NOSE_M * np.divide(forward, length, out=np.zeros_like(forward), where=length > 0)
    return out


def _house_name(name: str) -> str:
    """``ShoulderLeft`` and ``LShoulder`` of the Kinect sets as ``left_shoulder``."""
    if name in _AT or name.startswith(("left_", "right_")):
        return name
    for side in ("Left", "Right"):
        if name.endswith(side) and name.removesuffix(side) in KINECT_NAMES:
            return f"{side.lower()}_{KINECT_NAMES[name.removesuffix(side)]}"
    return {"Head": "head"}.get(name, name)


def seen_by_camera(points_m: Array, rng: np.random.Generator, yaw_deg: float | None = None) -> NDArray[np.float32]:
    """A random camera's picture of a motion: (T, 33, 3), x and y in the picture (y down), z away from the camera.

    The camera stands 2 to 6 m away at 0.3 to 2.2 m height and looks at the middle of the motion, rolled a little.

    Args:
        points_m: (T, 33, 3) metres, y up.
        yaw_deg: where it stands around the person; None is anywhere.
    """
    known = points_m[np.isfinite(points_m).all(axis=2)]
    centre = known.mean(axis=0) if len(known) else np.zeros(3)
    yaw = np.radians(rng.uniform(0, 360) if yaw_deg is None else yaw_deg)
    distance = rng.uniform(2.0, 6.0)
    pitch = np.arctan2(rng.uniform(0.3, 2.2) - max(centre[1], 0.2), distance)
    roll = np.radians(rng.normal(0, 3))
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    lean = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    local = (points_m - centre) @ (lean @ tilt @ turn).T
    depth = np.maximum(distance - local[..., 2], 0.4)
    picture = np.stack([local[..., 0] / depth, -local[..., 1] / depth, -local[..., 2] / distance], axis=-1)
    return picture.astype(np.float32)


def with_arms_of(body_m: Array, donor_m: Array) -> Array:
    """The body with the donor's arms: directions taken from the donor's trunk, lengths from the body.

    Both (T, 33, 3) metres, y up. Gives movements of the arms a second kind of body, with real sway and noise.
    """
    out = np.array(body_m)
    to_body = _trunk_axes(body_m) @ np.swapaxes(_trunk_axes(donor_m), 1, 2)
    for side in ("left", "right"):
        joints = [_AT[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")]
        for near, far in pairwise(joints):
            bone = donor_m[:, far] - donor_m[:, near]
            length = np.nanmedian(np.linalg.norm(body_m[:, far] - body_m[:, near], axis=1))
            bone = bone / np.linalg.norm(bone, axis=1, keepdims=True) * length
            out[:, far] = out[:, near] + np.einsum("tij,tj->ti", to_body, bone)
    hands = [_AT[f"{side}_{part}"] for side in ("left", "right") for part in ("pinky", "index", "thumb")]
    out[:, hands] = np.nan
    return out


def with_arms_turned(body_m: Array, turn_deg: float) -> Array:
    """The body with both arms turned outwards about the trunk: 90 degrees make a lateral raise of a front raise.

    (T, 33, 3) metres, y up.
    """
    out = np.array(body_m)
    axes = _trunk_axes(body_m)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turn = np.radians(turn_deg) * sign
        about = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        whole = axes @ about @ np.swapaxes(axes, 1, 2)
        shoulder = body_m[:, _AT[f"{side}_shoulder"]]
        for joint in (_AT[f"{side}_{name}"] for name in ("elbow", "wrist", "pinky", "index", "thumb")):
            out[:, joint] = shoulder + np.einsum("tij,tj->ti", whole, body_m[:, joint] - shoulder)
    return out


def _trunk_axes(points_m: Array) -> Array:
    """(T, 3, 3) columns: across the shoulders, up the trunk, forwards."""
    across = points_m[:, _AT["left_shoulder"]] - points_m[:, _AT["right_shoulder"]]
    middle = (points_m[:, _AT["left_shoulder"]] + points_m[:, _AT["right_shoulder"]]) / 2
    up = middle - (points_m[:, _AT["left_hip"]] + points_m[:, _AT["right_hip"]]) / 2
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    across = across - up * (across * up).sum(axis=1, keepdims=True)
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack([across, up, np.cross(across, up)], axis=2)
