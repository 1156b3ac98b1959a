"""A repetition as the networks see it: who moves, how large they are and from where they are filmed taken out.

The person faces the camera, has bones of standard length, moves the left side if one side moves more, and the time
from the first to the last frame is divided evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.poses import Array
from pipeline.skeletons import KINECT_13

FRAMES = 48  # sampled frames of a repetition
_J = {joint: number for number, joint in enumerate(KINECT_13.joints)}

# child: (parent, length in trunk lengths); medians of UI-PRMD's correct repetitions of subjects 1 to 8. A parent that
# is no joint is a middle: "hips" is the origin.
BONES: dict[str, tuple[str, float]] = {
    "shoulders": ("hips", 1.0),
    "head": ("shoulders", 0.51),
    **{f"{side}_shoulder": ("shoulders", 0.34) for side in ("left", "right")},
    **{f"{side}_elbow": (f"{side}_shoulder", 0.51) for side in ("left", "right")},
    **{f"{side}_hand": (f"{side}_elbow", 0.48) for side in ("left", "right")},
    **{f"{side}_hip": ("hips", 0.145) for side in ("left", "right")},
    **{f"{side}_knee": (f"{side}_hip", 0.74) for side in ("left", "right")},
    **{f"{side}_foot": (f"{side}_knee", 0.76) for side in ("left", "right")},
}
_ACTIVE = ("elbow", "hand", "knee", "foot")


class CanonicalError(ValueError):
    """The motion cannot be brought into the networks' form; the message says why."""


@dataclass(frozen=True, eq=False)
class Canonical:
    """A repetition in the networks' form.

    Attributes:
        xyz: (48, 13, 3) trunk lengths, hip-centred, x to the person's left, y up, z forward.
        time_s: (48,) when each of them was.
        mirrored: left and right are exchanged.
    """

    xyz: Array
    time_s: Array
    mirrored: bool

    @property
    def joints(self) -> tuple[str, ...]:
        """The person's own name of each joint, whichever side was made the left one."""
        order = KINECT_13.mirror_order if self.mirrored else range(len(KINECT_13))
        return tuple(KINECT_13.joints[k] for k in order)


def canonical(xyz_m: Array, time_s: Array, counted: Sequence[int] | None = None, frames: int = FRAMES) -> Canonical:
    """Bring one repetition into the networks' form.

    Args:
        xyz_m: (T, 13, 3) metres, y up; NaN where a joint is unknown.
        time_s: (T,) seconds.
        counted: joints that decide which side moves; None for all.
        frames: to sample.

    Raises:
        CanonicalError: fewer than two frames, or a joint that is never known.
    """
    if len(time_s) < 2:
        raise CanonicalError("The repetition has fewer than two frames; film it at 10 frames a second or more.")
    points = standard_lengths(facing(filled(xyz_m, time_s)))
    moments = np.linspace(time_s[0], time_s[-1], frames)
    flat = points.reshape(len(points), -1)
    sampled = np.stack([np.interp(moments, time_s, column) for column in flat.T], axis=1)
    xyz = sampled.reshape(frames, len(KINECT_13), 3)
    right = right_moves_more(xyz, counted)
    return Canonical(mirror(xyz) if right else xyz, moments, right)


def filled(xyz_m: Array, time_s: Array) -> Array:
    """Gaps bridged over time, ends held. Raises CanonicalError for a joint that is never known."""
    known = np.isfinite(xyz_m).all(axis=2)
    if not known.any(axis=0).all():
        missing = [KINECT_13.joints[k].replace("_", " ") for k in np.flatnonzero(~known.any(axis=0))]
        raise CanonicalError(f"Never seen in this repetition: {', '.join(missing)}; film the whole body.")
    if known.all():
        return xyz_m
    values = xyz_m.copy()
    for joint in np.flatnonzero(~known.all(axis=0)):
        seen = known[:, joint]
        for axis in range(3):
            values[:, joint, axis] = np.interp(time_s, time_s[seen], xyz_m[seen, joint, axis])
    return values


def facing(xyz_m: Array) -> Array:
    """Hip-centred and turned about the vertical, so that the person's left is at +x on the average of all frames."""
    hips = (xyz_m[..., _J["left_hip"], :] + xyz_m[..., _J["right_hip"], :]) / 2
    centred = xyz_m - hips[..., None, :]
    across = (
        centred[..., _J["left_hip"], :] - centred[..., _J["right_hip"], :]
        + centred[..., _J["left_shoulder"], :] - centred[..., _J["right_shoulder"], :]
    ).mean(axis=-2)  # fmt: skip
    return turned(centred, np.arctan2(across[..., 2], across[..., 0]))


def turned(xyz: Array, angle_rad: Array | float) -> Array:
    """Turned about the vertical (y) so that what lay at this angle from x towards z comes to lie on x."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    c, s = np.asarray(c)[..., None, None], np.asarray(s)[..., None, None]
    x, z = xyz[..., 0], xyz[..., 2]
    return np.stack([c * x + s * z, xyz[..., 1], c * z - s * x], axis=-1)


def standard_lengths(xyz: Array) -> Array:
    """The same directions with bones of standard length (unit: the trunk); (..., 13, 3) in and out."""

    def at(name: str) -> Array:
        if name in _J:
            return xyz[..., _J[name], :]
        side = "hip" if name == "hips" else "shoulder"
        return (xyz[..., _J[f"left_{side}"], :] + xyz[..., _J[f"right_{side}"], :]) / 2

    placed: dict[str, Array] = {"hips": np.zeros(xyz.shape[:-2] + (3,))}
    for child, (parent, length) in BONES.items():
        way = at(child) - at(parent)
        norm = np.linalg.norm(way, axis=-1, keepdims=True)
        placed[child] = placed[parent] + way / np.maximum(norm, 1e-6) * length
    return np.stack([placed[joint] for joint in KINECT_13.joints], axis=-2)


def mirror(xyz: Array) -> Array:
    """Left and right exchanged; (..., 13, 3) in and out."""
    return xyz[..., list(KINECT_13.mirror_order), :] * np.array([-1.0, 1.0, 1.0])


def right_moves_more(xyz: Array, counted: Sequence[int] | None = None) -> bool:
    """Whether the right limbs move more than the left ones, by the variance of their joints' places."""
    energy = xyz.var(axis=0).sum(axis=1)
    keep = set(range(len(KINECT_13)) if counted is None else counted)
    left = [_J[f"left_{part}"] for part in _ACTIVE if _J[f"left_{part}"] in keep]
    right = [_J[f"right_{part}"] for part in _ACTIVE if _J[f"right_{part}"] in keep]
    return bool(energy[right].sum() > energy[left].sum())
