"""BVH, the animation file that Blender and others open: a skeleton of fixed bones and its rotations over time.

y up, centimetres, the person at rest stands upright and looks along z. Bones have their median length, so joints lie
near, not at, the measured points. Pelvis and shoulder girdle are oriented by two lines each; limbs turn the
shortest way from rest, since points do not show a twist. BVH knows no missing values: gaps are bridged, and the note
says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline.exchange.base import ExchangeError, ExportOptions, in_space, on_even_times, rate_of
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import Skeleton


@dataclass(frozen=True)
class _Bone:
    """A joint of the file: what it is called, whose child it is, the point it lies at, where that is at rest."""

    name: str
    parent: str
    point: str
    rest: tuple[float, float, float]


def _limb(side: str, x: float) -> tuple[_Bone, ...]:
    word = side.capitalize()
    down, forwards = (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)
    return (
        _Bone(f"{word}Arm", "Neck", f"{side}_shoulder", (x, 0.0, 0.0)),
        _Bone(f"{word}ForeArm", f"{word}Arm", f"{side}_elbow", down),
        _Bone(f"{word}Hand", f"{word}ForeArm", f"{side}_wrist", down),
        _Bone(f"{word}UpLeg", "Hips", f"{side}_hip", (x, 0.0, 0.0)),
        _Bone(f"{word}Leg", f"{word}UpLeg", f"{side}_knee", down),
        _Bone(f"{word}Foot", f"{word}Leg", f"{side}_ankle", down),
        _Bone(f"{word}Toe", f"{word}Foot", f"{side}_big_toe", forwards),
    )


_BONES = (
    _Bone("Neck", "Hips", "neck", (0.0, 1.0, 0.0)),
    _Bone("Head", "Neck", "head", (0.0, 1.0, 0.0)),
    *_limb("left", 1.0),
    *_limb("right", -1.0),
)
_GIRDLES = {"Hips": ("right_hip", "left_hip"), "Neck": ("right_shoulder", "left_shoulder")}
_POINTS = Skeleton("bvh", ("hip_center", *(bone.point for bone in _BONES)), ())


def to_bvh(sequence: PoseSequence, options: ExportOptions, name: str) -> tuple[bytes, tuple[str, ...]]:
    """A BVH file. ``name`` is not used: the format has no place for it.

    Raises:
        ExchangeError: no points in space, or the hips, neck and knees were never seen.
    """
    del name
    if sequence.xyz_m is None:
        raise ExchangeError("An animation needs poses in space; these were found in the picture only.")
    rate_hz = options.rate_hz or rate_of(sequence)
    points, _ = in_space(sequence, options)
    body = PoseSequence(
        sequence.skeleton, sequence.time_s, sequence.xy_px, sequence.score, points, sequence.image_size
    ).to(_POINTS)
    assert body.xyz_m is not None
    time_s, points = on_even_times(body.time_s, body.xyz_m, rate_hz)
    gaps = float(np.isnan(points[:, 0]).any(axis=1).mean())
    points = _bridged(points) * 100.0
    place = {joint: points[:, number] for number, joint in enumerate(_POINTS.joints)}
    needed = [j for j in ("hip_center", "neck", "left_hip", "right_hip") if not np.isfinite(place[j]).all()]
    if needed:
        raise ExchangeError(f"The {needed[0].replace('_', ' ')} was never seen, so there is no animation to write.")
    bones = [bone for bone in _BONES if np.isfinite(place[bone.point]).all()]
    bones = [bone for bone in bones if bone.parent in ("Hips", *(b.name for b in bones))]
    at = {"Hips": "hip_center"} | {bone.name: bone.point for bone in bones}
    length = {b.name: float(np.median(np.linalg.norm(place[b.point] - place[at[b.parent]], axis=1))) for b in bones}
    turned = _orientations(bones, at, place)
    lines = ["HIERARCHY", *_joint("Hips", "ROOT", (0.0, 0.0, 0.0), bones, length, 0)]
    order = [line.split()[1] for line in lines if line.strip().startswith(("ROOT", "JOINT"))]
    parent = {bone.name: bone.parent for bone in bones}
    channels = [place["hip_center"]]
    for joint in order:
        local = turned[joint] if joint == "Hips" else turned[parent[joint]].inv() * turned[joint]
        channels.append(np.degrees(np.unwrap(local.as_euler("ZXY"), axis=0)))
    lines += ["MOTION", f"Frames: {len(time_s)}", f"Frame Time: {1 / rate_hz:.8f}"]
    lines += [" ".join(f"{value:.4f}" for value in row) for row in np.concatenate(channels, axis=1)]
    notes: tuple[str, ...] = (
        "Centimetres, y up; bones have one length each, so joints lie near the measured points, not at them.",
    )
    if gaps:
        notes += (f"The person was out of view in {gaps:.0%} of the frames; these are bridged.",)
    return ("\n".join(lines) + "\n").encode(), notes


def _bridged(points: Array) -> Array:
    """(T, J, 3) with gaps interpolated and held at both ends; joints that were never seen stay NaN."""
    result = np.array(points)
    frames = np.arange(len(points))
    for joint in range(points.shape[1]):
        known = np.isfinite(points[:, joint]).all(axis=1)
        if known.any():
            for axis in range(3):
                result[:, joint, axis] = np.interp(frames, frames[known], points[known, joint, axis])
    return result


def _orientations(bones: list[_Bone], at: dict[str, str], place: dict[str, Array]) -> dict[str, Rotation]:
    """The rotation of every joint in space, by name."""
    up = place["neck"] - place["hip_center"]
    turned: dict[str, Rotation] = {}
    for joint, (right, left) in _GIRDLES.items():
        across = place[left] - place[right]
        if np.isfinite(across).all():
            turned[joint] = _frame(across, up)
    turned.setdefault("Neck", turned["Hips"])
    for bone in bones:
        children = [child for child in bones if child.parent == bone.name]
        if bone.name in turned:
            continue
        if not children:
            turned[bone.name] = turned[bone.parent]
            continue
        rest = turned[bone.parent].apply(np.array(children[0].rest))
        actual = place[children[0].point] - place[at[bone.name]]
        turned[bone.name] = _shortest(rest, actual) * turned[bone.parent]
    return turned


def _frame(across: Array, up: Array) -> Rotation:
    """The rotation whose x is ``across`` and whose y is nearest to ``up``, (T, 3) each."""
    x = _unit(across, (1.0, 0.0, 0.0))
    z = _unit(np.cross(x, up), (0.0, 0.0, 1.0))
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=2))


def _shortest(start: Array, end: Array) -> Rotation:
    """The smallest turn from one direction to another, (T, 3) each."""
    start, end = _unit(start, (0.0, -1.0, 0.0)), _unit(end, (0.0, -1.0, 0.0))
    cross = np.cross(start, end)
    sine, cosine = np.linalg.norm(cross, axis=1), np.einsum("td,td->t", start, end)
    side = _unit(np.cross(start, (1.0, 0.0, 0.0)), (0.0, 0.0, 1.0))
    axis = np.where((sine > 1e-9)[:, None], cross / np.maximum(sine, 1e-12)[:, None], side)
    return Rotation.from_rotvec(axis * np.arctan2(sine, cosine)[:, None])


def _unit(vector: Array, otherwise: tuple[float, float, float]) -> Array:
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    return np.where(length > 1e-9, vector / np.maximum(length, 1e-12), otherwise)


def _joint(
    name: str, kind: str, offset: tuple[float, ...], bones: list[_Bone], length: dict[str, float], depth: int
) -> list[str]:
    """The lines of a joint and of everything under it."""
    pad = "  " * depth
    children = [bone for bone in bones if bone.parent == name]
    channels = "6 Xposition Yposition Zposition " if kind == "ROOT" else "3 "
    lines = [
        f"{pad}{kind} {name}",
        f"{pad}{{",
        f"{pad}  OFFSET {' '.join(f'{value:.4f}' for value in offset)}",
        f"{pad}  CHANNELS {channels}Zrotation Xrotation Yrotation",
    ]
    for bone in children:
        lines += _joint(bone.name, "JOINT", tuple(length[bone.name] * v for v in bone.rest), bones, length, depth + 1)
    if not children:
        lines += [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET 0.0000 0.0000 0.0000", f"{pad}  }}"]
    return [*lines, f"{pad}}}"]
