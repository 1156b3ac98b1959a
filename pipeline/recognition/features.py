"""The 189 features of one frame, each with its unit and where it comes from (``FEATURES``).

Families as in MediaPipe-and-TCN exercise recognisers: the 33 landmarks, the angles of elbows, shoulders, hips and
knees (landmarks 11,13,15 and so on, numbering of BlazePose, Bazarevsky et al. 2020), symmetry, distances, velocity and
acceleration. All of them are taken after every frame was scaled to its own box (``windows.boxed``), so place and zoom
are gone; ``mirrored`` windows give mirrored features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.poses import PoseSequence
from pipeline.recognition.windows import CORE, RATE_HZ, boxed, on_clock
from pipeline.skeletons import BLAZEPOSE_33

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Feature:
    """One of the 189: its column name, family, unit, and the definition."""

    name: str
    family: str
    unit: str
    source: str


_ANGLES: dict[str, tuple[str, str, str]] = {
    "elbow": ("shoulder", "elbow", "wrist"),
    "shoulder": ("elbow", "shoulder", "hip"),
    "hip": ("shoulder", "hip", "knee"),
    "knee": ("hip", "knee", "ankle"),
}
_SIDES = ("left", "right")
ANGLES: dict[str, tuple[str, str, str]] = {
    f"{side}_{name}": (f"{side}_{a}", f"{side}_{b}", f"{side}_{c}")
    for name, (a, b, c) in _ANGLES.items()
    for side in _SIDES
}
DISTANCES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "shoulder_width": (("left_shoulder",), ("right_shoulder",)),
    "hip_width": (("left_hip",), ("right_hip",)),
    "wrists_apart": (("left_wrist",), ("right_wrist",)),
    "ankles_apart": (("left_ankle",), ("right_ankle",)),
    "trunk": (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    "legs": (("left_hip", "right_hip"), ("left_ankle", "right_ankle")),
}
MOVING = CORE[1:]  # shoulders to ankles: those whose speed means something


def _catalogue() -> tuple[Feature, ...]:
    box = "share of the box"
    found = [
        Feature(f"{joint}_{axis}", "pose", box, f"BlazePose landmark {number}, {axis}, in the frame's own box")
        for number, joint in enumerate(BLAZEPOSE_33.joints)
        for axis in "xyz"
    ]
    found += [
        Feature(f"{name}_deg", "angle", "degrees", f"angle at {b} between {a} and {c}, in the box")
        for name, (a, b, c) in ANGLES.items()
    ]
    found += [
        Feature(f"{name}_difference_deg", "symmetry", "degrees", f"left minus right {name} angle") for name in _ANGLES
    ]
    found += [
        Feature(f"{name}_distance", "distance", box, f"from the middle of {', '.join(a)} to that of {', '.join(b)}")
        for name, (a, b) in DISTANCES.items()
    ]
    for family, unit, source in (
        ("velocity", f"{box} per second", "central difference"),
        ("acceleration", f"{box} per second squared", "second central difference"),
    ):
        found += [
            Feature(f"{joint}_{axis}_{family}", family, unit, f"{source} of {joint}_{axis} at {RATE_HZ:g} Hz")
            for joint in MOVING
            for axis in "xyz"
        ]
    return tuple(found)


FEATURES: tuple[Feature, ...] = _catalogue()
FAMILIES = ("pose", "angle", "distance", "symmetry", "velocity", "acceleration")
_AT = {joint: number for number, joint in enumerate(BLAZEPOSE_33.joints)}
_MOVING_INDEX = np.array([_AT[joint] for joint in MOVING])


def features(box_points: NDArray[np.floating]) -> Features:
    """The features of boxed landmarks.

    Args:
        box_points: (..., T, 33, 3) from ``windows.boxed``, T samples at ``RATE_HZ``.

    Returns:
        (..., T, 189) in the order of ``FEATURES``; NaN where a landmark that is needed is missing. Angles and distances
        are in the picture's plane when there is no depth.
    """
    points = np.asarray(box_points, dtype=np.float32)
    solid = np.where(np.isfinite(points[..., 2:]), points[..., 2:], 0.0)
    solid = np.concatenate([points[..., :2], solid], axis=-1)
    angle = {name: _angle_deg(*(solid[..., _AT[joint], :] for joint in joints)) for name, joints in ANGLES.items()}
    symmetry = [angle[f"left_{name}"] - angle[f"right_{name}"] for name in _ANGLES]
    distance = [np.linalg.norm(_middle(solid, a) - _middle(solid, b), axis=-1) for a, b in DISTANCES.values()]
    moving = points[..., _MOVING_INDEX, :].reshape(*points.shape[:-2], 3 * len(MOVING))
    velocity, acceleration = _differences(moving)
    return np.concatenate(
        [
            points.reshape(*points.shape[:-2], 3 * points.shape[-2]),
            np.stack([*angle.values(), *symmetry, *distance], axis=-1),
            velocity,
            acceleration,
        ],
        axis=-1,
        dtype=np.float32,
    )


def _angle_deg(a: Features, b: Features, c: Features) -> Features:
    first, second = a - b, c - b
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    cosine = np.divide((first * second).sum(axis=-1), lengths, out=np.full_like(lengths, np.nan), where=lengths > 1e-6)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _middle(points: Features, joints: tuple[str, ...]) -> Features:
    return np.asarray(np.mean([points[..., _AT[joint], :] for joint in joints], axis=0))


def _differences(values: Features) -> tuple[Features, Features]:
    """First and second central differences along time; the ends and the neighbours of gaps are NaN."""
    first, second = np.full_like(values, np.nan), np.full_like(values, np.nan)
    if values.shape[-2] >= 3:
        before, now, after = values[..., :-2, :], values[..., 1:-1, :], values[..., 2:, :]
        first[..., 1:-1, :] = (after - before) * (RATE_HZ / 2)
        second[..., 1:-1, :] = (after - 2 * now + before) * RATE_HZ**2
    return first, second


def feature_table(sequence: PoseSequence, clip: str = "", family: str | None = None) -> pd.DataFrame:
    """The features of a person as a table for other programs: a row a sample of the even clock.

    Args:
        sequence: one person.
        clip: name that goes into the column ``clip``.
        family: one of ``FAMILIES``; None is all 189.

    Returns:
        Columns ``clip``, ``person``, ``frame`` (sample number), ``time_s``, then the features; NaN is missing.

    Raises:
        ValueError: no such family.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"there is no family {family!r} of features; choose one of: {', '.join(FAMILIES)}.")
    clock = on_clock(sequence)
    values = features(boxed(clock.points))
    chosen = [number for number, one in enumerate(FEATURES) if family in (None, one.family)]
    table = pd.DataFrame(values[:, chosen], columns=[FEATURES[number].name for number in chosen])
    table.insert(0, "time_s", clock.time_s)
    table.insert(0, "frame", np.arange(len(table)) + clock.first)
    table.insert(0, "person", sequence.person)
    table.insert(0, "clip", clip)
    return table


def catalogue() -> pd.DataFrame:
    """The list of the features: name, family, unit, source."""
    return pd.DataFrame(
        [(f.name, f.family, f.unit, f.source) for f in FEATURES], columns=["name", "family", "unit", "source"]
    )
