"""What other programs call the joints, in both directions.

The short names (``LKnee``, ``RBigToe``, ``Hip``) are those of Pose2Sim and Sports2D (Pagnon et al. 2022, J. Open Source
Softw. 7(77):4362), whose OpenSim models carry markers with these names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.skeletons import (
    BLAZEPOSE_33,
    COCO_17,
    COCO_WHOLEBODY_133,
    HALPE_26,
    KINECT_13,
    KINECT_20,
    SKELETONS,
    UI_PRMD_22,
    Skeleton,
    is_left,
    is_right,
)

OPENPOSE_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("hip_center", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
"""OpenPose's BODY_25, in its order (OpenPose, doc/02_output.md)."""

OPENPOSE_18 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
"""OpenPose's COCO model, in its order."""

# How many points a key-point list has says which body it is; 136 are Halpe's 26 with face and hands behind them.
ORDERS: dict[int, tuple[str, ...]] = {
    17: COCO_17.joints,
    18: OPENPOSE_18,
    25: OPENPOSE_25,
    26: HALPE_26.joints,
    33: BLAZEPOSE_33.joints,
    133: COCO_WHOLEBODY_133.joints,
    136: HALPE_26.joints,
}

_MIDDLE = {"hip_center": "Hip", "shoulder_center": "ShoulderCenter", "head_top": "HeadTop"}
_ALIASES = {
    "midhip": "hip_center",
    "pelvis": "hip_center",
    "waist": "hip_center",
    "root": "hip_center",
    "chin": "chin",
    "lmouth": "mouth_left",
    "rmouth": "mouth_right",
    "ltoe": "left_big_toe",
    "rtoe": "right_big_toe",
    "lear": "left_ear",
    "rear": "right_ear",
}


def marker_name(joint: str) -> str:
    """``left_big_toe`` as OpenSim users write it: ``LBigToe``; ``hip_center`` is ``Hip``."""
    if joint in _MIDDLE:
        return _MIDDLE[joint]
    side = "L" if is_left(joint) else "R" if is_right(joint) else ""
    words = [word for word in joint.split("_") if word not in ("left", "right")]
    return side + "".join(word.capitalize() for word in words)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _names() -> dict[str, str]:
    table: dict[str, str] = {}
    for skeleton in SKELETONS.values():
        for joint in skeleton.joints:
            table.setdefault(_key(joint), joint)
            table.setdefault(_key(marker_name(joint)), joint)
    return table | _ALIASES


_NAMES = _names()


def joint_named(name: str) -> str | None:
    """The joint that another program's marker means; None for a marker that is no joint of ours.

    A prefix such as a subject's name before a colon is left out ("S01:LKnee").
    """
    return _NAMES.get(_key(name.rpartition(":")[2])) or _NAMES.get(_key(name))


def skeleton_for(joints: Sequence[str]) -> Skeleton | None:
    """The smallest skeleton that has the most of these joints; None when no skeleton has four of them."""
    wanted = set(joints)
    order = (COCO_17, HALPE_26, BLAZEPOSE_33, KINECT_13, KINECT_20, UI_PRMD_22, COCO_WHOLEBODY_133)
    best = max(order, key=lambda skeleton: (len(wanted & set(skeleton.joints)), -len(skeleton)))
    return best if len(wanted & set(best.joints)) >= 4 else None
