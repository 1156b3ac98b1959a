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
        (0 is a thigh level with the floor, -90 standing); ``left_knee_frontal_deg``: how far the knee lies inside (+)
        or outside (-) the line from hip to ankle in the body's frontal plane; ``trunk_lean_deg``: hips to shoulders
        against the vertical, 0 upright, 90 level.
    """
    joints = {name: joints_m[:, number] for number, name in enumerate(skeleton.joints)}
    angles: dict[str, Array] = {}
    across = joints["left_hip"] - joints["right_hip"]
    across = across * [1, 0, 1]
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    for side, inward in (("left", -1.0), ("right", 1.0)):
        for name, (first, corner, last) in INNER_ANGLES.items():
            here = joints[f"{side}_{corner}"]
            angles[f"{side}_{name}_deg"] = between_deg(joints[f"{side}_{first}"] - here, joints[f"{side}_{last}"] - here)
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        thigh = knee - hip
        angles[f"{side}_thigh_deg"] = np.degrees(np.arctan2(thigh[:, 1], np.hypot(thigh[:, 0], thigh[:, 2])))
        outer, inner = (np.stack([(part * across).sum(-1), part[:, 1]], axis=-1) for part in (hip - knee, ankle - knee))
        bend = np.arctan2(outer[:, 0], outer[:, 1]) - np.arctan2(-inner[:, 0], -inner[:, 1])
        angles[f"{side}_knee_frontal_deg"] = -inward * np.degrees((bend + np.pi) % (2 * np.pi) - np.pi)
    middle = [(joints[f"left_{name}"] + joints[f"right_{name}"]) / 2 for name in ("shoulder", "hip")]
    trunk = middle[0] - middle[1]
    angles["trunk_lean_deg"] = between_deg(trunk, np.broadcast_to([0.0, 1.0, 0.0], trunk.shape))
    return angles


def between_deg(first: Array, second: Array) -> Array:
    """(T,) angle between vectors (T, 3), exact also near 0 and 180 degrees."""
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    angle: Array = np.degrees(np.arctan2(cross, (first * second).sum(-1)))
    return angle
