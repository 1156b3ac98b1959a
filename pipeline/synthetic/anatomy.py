"""From any 3D pose to the points and axes that flesh is put around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import KINECT_20
from pipeline.synthetic.body import SIDES, apply, thumb_side, unit


class FigureError(ValueError):
    """A pose sequence that cannot be drawn in space."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The points and axes that flesh is put around.

    Attributes:
        points_m: {name: (T, 3)} in the world, NaN where unknown.
        axes: {name: (T, 3, 3)} columns left, up, forward of "pelvis", "chest" and "head".
        height_m: body height judged from the longest bones.
    """

    points_m: dict[str, Array]
    axes: dict[str, Array]
    height_m: float

    def __len__(self) -> int:
        return len(self.points_m["neck"])


# From the middle between the ears in the head's axes, for skeletons without a face.
_FACE_POINTS = {"nose": (0.0, -0.012, 0.066), "left_ear": (0.043, 0.0, 0.0), "right_ear": (-0.043, 0.0, 0.0)}
# Body height as a multiple of a bone's length; the median of those that are there is taken.
_HEIGHT_OF = {("hip", "knee"): 1 / 0.245, ("knee", "ankle"): 1 / 0.246, ("shoulder", "elbow"): 1 / 0.172,
              ("elbow", "wrist"): 1 / 0.146}  # fmt: skip


def anatomy(sequence: PoseSequence) -> Anatomy:
    """The body behind a pose sequence of any skeleton that has shoulders, hips, knees and elbows.

    What the skeleton lacks (face, feet, hands, neck) is put where it would be on an upright body. Without ``root_m``
    the lowest point of each frame stands on the floor.

    Raises:
        FigureError: there is no ``xyz_m``.
    """
    if sequence.xyz_m is None:
        raise FigureError("this sequence has no xyz_m: only poses in space can be drawn as a figure; lift it first.")
    source, kinect = sequence, sequence.to(KINECT_20)
    own = {joint: source.xyz_m[:, number] for number, joint in enumerate(source.skeleton.joints)}  # type: ignore[index]
    assert kinect.xyz_m is not None
    for number, joint in enumerate(KINECT_20.joints):
        own.setdefault(joint, kinect.xyz_m[:, number])
    unknown = np.full((len(source), 3), np.nan)
    points = {f"{side}_{name}": own.get(f"{side}_{name}", unknown) for side in SIDES
              for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")}  # fmt: skip
    height = _height(points)
    hips = (points["left_hip"] + points["right_hip"]) / 2
    shoulders = (points["left_shoulder"] + points["right_shoulder"]) / 2
    pelvis = _frame(points["left_hip"] - points["right_hip"], shoulders - hips)
    chest = _frame(points["left_shoulder"] - points["right_shoulder"], shoulders - hips)
    points |= {"hips": hips, "neck": shoulders}
    head, ears = _head(own, chest, shoulders, height)
    points["ears"] = ears
    for name, offset in _FACE_POINTS.items():
        points[name] = own.get(name, ears + apply(head, np.array(offset) * height))
    for side in SIDES:
        points |= _foot(own, points, side, pelvis, height) | _hand(own, points, side, chest, height)
    lift = _lift(sequence, points, height)
    points = {name: value + lift for name, value in points.items()}
    return Anatomy(points, {"pelvis": pelvis, "chest": chest, "head": head}, height)


def _height(points: dict[str, Array]) -> float:
    votes = [
        share * float(np.nanmedian(length))
        for (a, b), share in _HEIGHT_OF.items()
        for side in SIDES
        if np.isfinite(length := np.linalg.norm(points[f"{side}_{a}"] - points[f"{side}_{b}"], axis=-1)).any()
    ]
    return float(np.median(votes)) if votes else 1.75


def _frame(leftward: Array, upward: Array) -> Array:
    """(T, 3, 3) columns left, up, forward: left is kept, up made perpendicular to it."""
    left = unit(leftward)
    up = unit(upward - (upward * left).sum(-1, keepdims=True) * left)
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def _head(own: dict[str, Array], chest: Array, shoulders: Array, height: float) -> tuple[Array, Array]:
    """Axes of the head and the middle between the ears."""
    if "left_ear" in own and "nose" in own:
        ears = (own["left_ear"] + own["right_ear"]) / 2
        left = unit(own["left_ear"] - own["right_ear"])
        face = own["nose"] - ears
        forward = unit(face - (face * left).sum(-1, keepdims=True) * left)
        return np.stack([left, np.cross(forward, left), forward], axis=-1), ears
    top = own["head"] - shoulders  # a Kinect head is the middle of the skull, a little in front of the neck's line
    up = unit(top - 0.15 * np.linalg.norm(top, axis=-1, keepdims=True) * chest[..., 2])
    left = unit(chest[..., 0] - (chest[..., 0] * up).sum(-1, keepdims=True) * up)
    axes = np.stack([left, up, np.cross(left, up)], axis=-1)
    return axes, own["head"] - 0.012 * height * up


def _foot(own: dict[str, Array], points: dict[str, Array], side: str, pelvis: Array, height: float) -> dict[str, Array]:
    ankle, knee = points[f"{side}_ankle"], points[f"{side}_knee"]
    shank = unit(ankle - knee)
    toe = own.get(f"{side}_foot_index", own.get(f"{side}_big_toe"))
    hint = pelvis[..., 2] if toe is None else toe - ankle
    if toe is None and f"{side}_foot" in own and np.isfinite(own[f"{side}_foot"]).any():
        offset = own[f"{side}_foot"] - ankle
        far = np.linalg.norm(offset, axis=-1, keepdims=True) > 0.03 * height
        hint = np.where(far, offset, hint)
    forward = unit(hint - (hint * shank).sum(-1, keepdims=True) * shank)
    level = np.stack([forward[..., 0], 0 * forward[..., 1], forward[..., 2]], axis=-1)
    forward = unit(forward * 0.35 + level * 0.65)  # soles tend to the floor
    sole = unit(shank - (shank * forward).sum(-1, keepdims=True) * forward)
    guess_heel = ankle + (-0.030 * forward + 0.030 * sole) * height
    guess_toe = ankle + (0.108 * forward + 0.034 * sole) * height
    return {
        f"{side}_heel": own.get(f"{side}_heel", guess_heel),
        f"{side}_toe": guess_toe if toe is None else toe,
    }


def _hand(own: dict[str, Array], points: dict[str, Array], side: str, chest: Array, height: float) -> dict[str, Array]:
    wrist = points[f"{side}_wrist"]
    along = unit(wrist - points[f"{side}_elbow"])
    if f"{side}_index" in own:
        knuckles = (own[f"{side}_index"] + own[f"{side}_pinky"]) / 2
        thumb = own[f"{side}_thumb"]
        return {f"{side}_knuckles": knuckles, f"{side}_thumb": thumb}
    thumb_way = thumb_side(chest, np.stack([along, along], axis=1))[:, 0]
    return {
        f"{side}_knuckles": wrist + 0.052 * height * along,
        f"{side}_thumb": wrist + (0.030 * along + 0.021 * thumb_way) * height,
    }


def _lift(sequence: PoseSequence, points: dict[str, Array], height: float) -> Array:
    """(T, 3) what brings hip-centred points into the room."""
    if sequence.root_m is not None:
        return sequence.root_m
    stacked = np.stack(list(points.values()), axis=1)[..., 1]
    lowest = np.full(len(stacked), np.nan)
    known = np.isfinite(stacked).any(axis=1)
    lowest[known] = np.nanmin(stacked[known], axis=1)
    return np.stack([0 * lowest, 0.012 * height - lowest, 0 * lowest], axis=-1)
