"""Exact joint angles from true 3D joints."""

from __future__ import annotations

import numpy as np

from pipeline.poses import Array
from pipeline.skeletons import Skeleton

# name: the three joints of an inner angle, the middle one at its corner (180 is straight)
INNER_ANGLES = {
    "knee": ("hip", "knee", "ankle"),
    "hip": ("shoulder", "hip", "knee"),
    "ankle": ("knee", "ankle", "foot_index"),
    "elbow": ("shoulder", "elbow", "wrist"),
    "shoulder": ("hip", "shoulder", "elbow"),
}


def body_angles_deg(joints_m: Array, skeleton: Skeleton) -> dict[str, Array]:
    """Angles of every frame in degrees, each (T,).

    Args:
        joints_m: (T, J, 3) in axes with y up; skeleton: names of the J joints.

    Returns:
        ``left_knee_deg`` and so on: inner angle between the two neighbouring segments, 180 straight (knee flexion is
        180 minus it); ``left_thigh_deg``: thigh above the horizontal, negative when the knee is lower than the hip
        (0 is a thigh level with the floor, -90 standing); ``left_knee_inward_deg``: how far the knee has turned about
        the line from hip to ankle, from over the toes towards the other leg (+) or outwards (-), NaN while the leg is
        nearly straight; ``trunk_lean_deg``: hips to shoulders against the vertical, 0 upright, 90 level.
    """
    joints = {name: joints_m[:, number] for number, name in enumerate(skeleton.joints)}
    angles: dict[str, Array] = {}
    for side, inward in (("left", -1.0), ("right", 1.0)):
        for name, (first, corner, last) in INNER_ANGLES.items():
            here = joints[f"{side}_{corner}"]
            angles[f"{side}_{name}_deg"] = between_deg(
                joints[f"{side}_{first}"] - here, joints[f"{side}_{last}"] - here
            )
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        thigh = knee - hip
        angles[f"{side}_thigh_deg"] = np.degrees(np.arctan2(thigh[:, 1], np.hypot(thigh[:, 0], thigh[:, 2])))
        toes = joints[f"{side}_foot_index"] - joints[f"{side}_heel"]
        angles[f"{side}_knee_inward_deg"] = -inward * _turn_deg(ankle - hip, toes, knee - hip)
    middle = [(joints[f"left_{name}"] + joints[f"right_{name}"]) / 2 for name in ("shoulder", "hip")]
    trunk = middle[0] - middle[1]
    angles["trunk_lean_deg"] = between_deg(trunk, np.broadcast_to([0.0, 1.0, 0.0], trunk.shape))
    return angles


def _turn_deg(axis: Array, start: Array, end: Array) -> Array:
    """(T,) degrees from ``start`` to ``end`` about ``axis``; NaN where ``end`` is within 3 % of the axis' length."""
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    along = axis / np.maximum(length, 1e-9)
    flat_start, flat_end = (vector - (vector * along).sum(-1, keepdims=True) * along for vector in (start, end))
    sine = (np.cross(flat_start, flat_end) * along).sum(-1)
    turned = np.degrees(np.arctan2(sine, (flat_start * flat_end).sum(-1)))
    near = np.linalg.norm(flat_end, axis=-1) < 0.03 * length[..., 0]
    return np.where(near, np.nan, turned)


def between_deg(first: Array, second: Array) -> Array:
    """(T,) angle between vectors (T, 3), exact also near 0 and 180 degrees."""
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    angle: Array = np.degrees(np.arctan2(cross, (first * second).sum(-1)))
    return angle
