"""From key points to what movement analysis measures: angles with errors, speeds, lengths, centre of mass, metres.

Angle convention, after the definitions that Sports2D documents (Pagnon and Kim 2024, Sports2D, J. Open Source Softw.
9(101):6849; README, "Angle conventions"), seen with the person facing picture right (who faces left is mirrored
first):

- joints: ankle dorsiflexion between shank and heel-to-toe, 0 at a right angle, -90 with the foot in line with the
  shank; knee, hip and elbow flexion 0 when straight; shoulder flexion 0 with the arm down along the trunk, 180
  overhead; wrist flexion 0 with the hand in line with the forearm. Bending as the body does in sitting is positive.
- segments: anticlockwise from the horizontal: foot (heel to toe), shank (knee to ankle), thigh (hip to knee), arm
  (shoulder to elbow), forearm (elbow to wrist), hand (wrist to index), trunk (hip centre to neck), head (neck to head).
  So standing has the legs at -90 and the trunk at 90. Pelvis and shoulders are lines from right to left; they are never
  mirrored, and positive means: in the picture the right-hand end is higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.anthropometry import (
    BODY_POINTS,
    SEGMENTS,
    between,
    centre_of_mass,
    pixels_per_metre,
    segment_lengths,
    stature,
    velocity,
)
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import mapping
from pipeline.swaps import body_size
from pipeline.view import (
    CameraView,
    Floor,
    FloorParameters,
    ViewParameters,
    camera_view,
    floor_line,
)

__all__ = [
    "ANGLE_NAMES",
    "Angle",
    "Angles",
    "CameraView",
    "Floor",
    "FloorParameters",
    "UncertaintyParameters",
    "ViewParameters",
    "angles",
    "angles_table",
    "camera_view",
    "centre_of_mass",
    "floor_line",
    "pixels_per_metre",
    "point_error",
    "segment_lengths",
    "stature",
    "velocity",
]


@dataclass(frozen=True)
class _Definition:
    """An angle from one vector (points a to b) anticlockwise to another, or from the horizontal, plus an offset.

    ``centre_deg`` is the middle of what the joint can do: values are given within half a turn of it, so that the
    jump from 180 to -180 lies where no joint gets to. Segments, which may turn for ever, are unwrapped instead.
    """

    name: str
    start: tuple[str, str] | None
    end: tuple[str, str]
    offset_deg: float = 0.0
    centre_deg: float | None = None
    line: bool = False  # a line has no head and tail, and is never mirrored


def _definitions() -> tuple[_Definition, ...]:
    rows: list[_Definition] = []
    for s in ("left", "right"):
        rows += [
            _Definition(f"{s}_ankle_dorsiflexion", (f"{s}_knee", f"{s}_ankle"), (f"{s}_big_toe", f"{s}_heel"), 90, -20),
            _Definition(f"{s}_knee_flexion", (f"{s}_knee", f"{s}_ankle"), (f"{s}_knee", f"{s}_hip"), -180, 65),
            _Definition(f"{s}_hip_flexion", ("hip_center", "neck"), (f"{s}_knee", f"{s}_hip"), 0, 50),
            _Definition(f"{s}_shoulder_flexion", ("hip_center", "neck"), (f"{s}_elbow", f"{s}_shoulder"), 0, 60),
            _Definition(f"{s}_elbow_flexion", (f"{s}_elbow", f"{s}_shoulder"), (f"{s}_elbow", f"{s}_wrist"), -180, 70),
            _Definition(f"{s}_wrist_flexion", (f"{s}_wrist", f"{s}_elbow"), (f"{s}_wrist", f"{s}_index"), -180, 0),
        ]
    lines = ("pelvis", "shoulders")
    return (*rows, *(_Definition(name, None, ends, line=name in lines) for name, ends in SEGMENTS.items()))


_DEFINITIONS = _definitions()
ANGLE_NAMES = tuple(definition.name for definition in _DEFINITIONS)

_LARGEST_ERROR_DEG = 360 / np.sqrt(12)  # standard deviation of an angle of which nothing is known
_RELIABLE_DEG = 45.0  # an angle with a larger error must not carry a turn on to the frames after it


@dataclass(frozen=True)
class UncertaintyParameters:
    """How far a key point may be off: size of the body times (sure + unsure (1 - score)), the same in all directions.

    sure: standard error at score 1; 1 % of 1.75 m is the random error of joint centres in Needham et al. 2021
        (Sci. Rep. 11:20673).
    unsure: what is added at score 0; a limb's thickness, for then a point is only known to lie near the limb.
    unknown_score: taken where no score was given or the point was filled in.
    depth_factor: errors in space are this much larger, since a single camera guesses the depth.
    """

    sure: float = 0.01
    unsure: float = 0.04
    unknown_score: float = 0.5
    depth_factor: float = 2.0


@dataclass(frozen=True, eq=False)
class Angle:
    """One angle over time: (T,) seconds, degrees and standard errors in degrees; NaN where points were missing."""

    name: str
    time_s: Array
    value_deg: Array
    error_deg: Array


@dataclass(frozen=True, eq=False)
class Angles:
    """All angles of one person over time.

    Attributes:
        time_s: (T,) seconds.
        names: N names, ``ANGLE_NAMES``.
        value_deg: (T, N) degrees; NaN where points were missing.
        error_deg: (T, N) standard errors in degrees.
        person: id of the person.
        space: True when computed from ``xyz_m``, False from the picture.
    """

    time_s: Array
    names: tuple[str, ...]
    value_deg: Array
    error_deg: Array
    person: int = 0
    space: bool = False

    def __getitem__(self, name: str) -> Angle:
        if name not in self.names:
            raise KeyError(f"no angle {name!r}; there is: {', '.join(self.names)}")
        column = self.names.index(name)
        return Angle(name, self.time_s, self.value_deg[:, column], self.error_deg[:, column])

    def to_frame(self) -> pd.DataFrame:
        """A tidy table: person, frame, time_s, angle, value_deg, error_deg; one row a frame and angle."""
        frames, count = self.value_deg.shape
        return pd.DataFrame(
            {
                "person": np.full(frames * count, self.person, dtype=np.int32),
                "frame": np.repeat(np.arange(frames, dtype=np.int32), count),
                "time_s": np.repeat(self.time_s, count),
                "angle": pd.Categorical.from_codes(np.tile(np.arange(count), frames), categories=pd.Index(self.names)),
                "value_deg": self.value_deg.ravel(),
                "error_deg": self.error_deg.ravel(),
            }
        )


def point_error(
    sequence: PoseSequence, parameters: UncertaintyParameters | None = None, *, space: bool = False
) -> Array:
    """(T, J) standard error of each point per axis, in pixels (in metres for ``space``); see UncertaintyParameters."""
    parameters = parameters or UncertaintyParameters()
    score = np.where(np.isfinite(sequence.score), sequence.score, parameters.unknown_score)
    size = body_size(sequence.xyz_m) * parameters.depth_factor if space else body_size(sequence.xy_px)
    return np.asarray(size * (parameters.sure + parameters.unsure * (1 - score)))


def angles(
    sequence: PoseSequence,
    *,
    space: bool = False,
    facing: int | NDArray[np.int_] | None = None,
    tilt_deg: float = 0.0,
    parameters: UncertaintyParameters | None = None,
) -> Angles:
    """Every joint and segment angle of the convention above, with its error.

    From the picture, angles are those of the projection: true only for movement in the picture plane. From space:
    knee, elbow, wrist and ankle are the full angle between the segments and shoulder flexion is the arm's elevation
    from the trunk (both without sign); hip flexion and the segments are taken in the person's sagittal plane, which is
    at right angles to the line of the hips; pelvis and shoulders against the horizontal plane, left side up positive.

    Joints are given within half a turn of the middle of their range; segments are continuous over time (a turn is
    carried on only by frames whose error is under 45 degrees). When the person turns to face the other way, the sign
    convention follows, so angles of the picture may jump at that moment.

    The error is propagated to first order from ``point_error``, the points being independent. For an angle between
    vectors u and v, sums of points with weights a and b:
    var = sum(s^2 b^2)/|v|^2 + sum(s^2 a^2)/|u|^2 - 2 sum(s^2 a b) u.v/(|u|^2 |v|^2); at most 104 degrees, that of an
    angle of which nothing is known.

    Args:
        sequence: any skeleton; angles whose points it lacks are NaN.
        space: from ``xyz_m`` instead of ``xy_px``.
        facing: 1 right, -1 left, 0 towards or away from the camera; one number or (T,). Default: ``camera_view``.
        tilt_deg: the camera's tilt (``floor_line``), taken off the segment angles.
        parameters: how far points may be off.

    Raises:
        ValueError: ``space`` was asked for and the sequence has no ``xyz_m``.
    """
    if space and sequence.xyz_m is None:
        raise ValueError("these poses have no xyz_m; take the angles from the picture (space=False).")
    points = sequence.to(BODY_POINTS)
    mirror = np.ones((len(points), 3)) if space else _mirror(sequence, facing)
    start, end = _vectors_in_space(points) if space else _vectors_in_picture(points, mirror)
    first = np.arctan2(start[..., 1], start[..., 0])
    second = np.arctan2(end[..., 1], end[..., 0])
    raw = np.degrees(second - first) + np.array([d.offset_deg for d in _DEFINITIONS])
    exists = (start != 0).any(axis=2) & (end != 0).any(axis=2) & np.isfinite(raw)
    raw = np.where(exists, raw, np.nan)
    error = np.where(exists, _errors_deg(sequence, start, end, parameters, space), np.nan)
    if tilt_deg and not space:
        for column, definition in enumerate(_DEFINITIONS):
            if definition.start is None:
                raw[:, column] -= tilt_deg * (1 if definition.line else mirror[:, _side(definition)])
    for column, definition in enumerate(_DEFINITIONS):
        if definition.centre_deg is not None:
            centre = definition.centre_deg
            raw[:, column] = (raw[:, column] - centre + 180) % 360 - 180 + centre
        else:
            raw[:, column] = _unwrapped(raw[:, column], error[:, column], 180 if definition.line else 360)
    return Angles(sequence.time_s, ANGLE_NAMES, raw, error, sequence.person, space)


def angles_table(sequence: PoseSequence, **options: Any) -> pd.DataFrame:
    """``angles(sequence, **options)`` as a tidy table: person, frame, time_s, angle, value_deg, error_deg."""
    return angles(sequence, **options).to_frame()


def _side(definition: _Definition) -> int:
    """Column of ``_mirror``: 0 left, 1 right, 2 the middle of the body."""
    return {"left": 0, "right": 1}.get(definition.name.split("_")[0], 2)


def _mirror(sequence: PoseSequence, facing: int | NDArray[np.int_] | None) -> Array:
    """(T, 3) 1 or -1: how x is taken for the left side, the right side and the middle, so that forwards is right.

    Towards the camera both feet point a little outwards; so each side is taken as if it faced outwards.
    """
    outwards = np.ones(len(sequence))
    if facing is None:
        view = camera_view(sequence)
        facing = view.facing
        outwards = np.where(view.from_behind, -1.0, 1.0)
    way = np.broadcast_to(np.asarray(facing, dtype=np.float64), (len(sequence),))
    ahead = way == 0
    return np.stack(
        [np.where(ahead, outwards, way), np.where(ahead, -outwards, way), np.where(ahead, 1.0, way)], axis=1
    )


def _vectors_in_picture(points: PoseSequence, mirror: Array) -> tuple[Array, Array]:
    """The two vectors of every angle, (T, N, 2) each, x forwards and y up."""
    xy = points.xy_px * (1, -1)
    start, end = (np.empty((len(points), len(_DEFINITIONS), 2)) for _ in range(2))
    for column, definition in enumerate(_DEFINITIONS):
        sign = np.ones(len(points)) if definition.line else mirror[:, _side(definition)]
        end[:, column] = between(xy, definition.end) * np.stack([sign, np.ones_like(sign)], axis=1)
        if definition.start is None:
            start[:, column] = (1.0, 0.0)
        else:
            start[:, column] = between(xy, definition.start) * np.stack([sign, np.ones_like(sign)], axis=1)
    return start, end


def _vectors_in_space(points: PoseSequence) -> tuple[Array, Array]:
    """The same from space: each pair of vectors in the plane in which its angle is measured."""
    assert points.xyz_m is not None
    xyz = points.xyz_m
    left = _normal(between(xyz, ("right_hip", "left_hip")))
    trunk = between(xyz, ("hip_center", "neck"))
    upwards = _normal(trunk - np.einsum("td,td->t", trunk, left)[:, None] * left)
    level = _normal(left * (1, 0, 1))
    vertical = np.broadcast_to((0.0, 1.0, 0.0), level.shape)
    forwards = np.cross(level, vertical)
    start, end = (np.empty((len(points), len(_DEFINITIONS), 2)) for _ in range(2))
    for column, definition in enumerate(_DEFINITIONS):
        vector = between(xyz, definition.end)
        if definition.line:
            start[:, column] = (1.0, 0.0)
            end[:, column] = np.stack([np.linalg.norm(vector[:, [0, 2]], axis=1), vector[:, 1]], axis=1)
        elif definition.start is None:
            start[:, column] = (1.0, 0.0)
            end[:, column] = _in_plane(vector, forwards, vertical)
        elif definition.name.endswith("hip_flexion"):
            ahead = np.cross(left, upwards)
            start[:, column] = _in_plane(between(xyz, definition.start), ahead, upwards)
            end[:, column] = _in_plane(vector, ahead, upwards)
        else:
            base = between(xyz, definition.start)
            length = np.linalg.norm(base, axis=1)
            along = np.einsum("td,td->t", base, vector) / np.where(length > 0, length, np.nan)
            turn = np.linalg.norm(np.cross(base, vector), axis=1) / np.where(length > 0, length, np.nan)
            sign = 1.0 if definition.name.endswith("shoulder_flexion") else -1.0
            start[:, column] = np.stack([length, np.zeros_like(length)], axis=1)
            end[:, column] = np.stack([along, sign * turn], axis=1)
    return start, end


def _in_plane(vector: Array, x: Array, y: Array) -> Array:
    return np.stack([np.einsum("td,td->t", vector, x), np.einsum("td,td->t", vector, y)], axis=1)


def _normal(vector: Array) -> Array:
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    return vector / np.where(length > 0, length, np.nan)


def _errors_deg(
    sequence: PoseSequence, start: Array, end: Array, parameters: UncertaintyParameters | None, space: bool
) -> Array:
    """(T, N) first-order standard errors; the formula is in ``angles``."""
    variance = point_error(sequence, parameters, space=space) ** 2
    weights = np.zeros((len(BODY_POINTS), len(sequence.skeleton)))
    for row, sources in enumerate(mapping(sequence.skeleton, BODY_POINTS)):
        weights[row, list(sources)] = 1 / max(1, len(sources))

    def difference(names: tuple[str, str] | None) -> Array:
        if names is None:
            return np.zeros(len(sequence.skeleton))
        return np.asarray(weights[BODY_POINTS.index(names[1])] - weights[BODY_POINTS.index(names[0])])

    a = np.stack([difference(d.start) for d in _DEFINITIONS])
    b = np.stack([difference(d.end) for d in _DEFINITIONS])
    from_start = 1 / np.maximum(np.einsum("tnd,tnd->tn", start, start), 1e-12)
    from_end = 1 / np.maximum(np.einsum("tnd,tnd->tn", end, end), 1e-12)
    shared = np.einsum("tnd,tnd->tn", start, end) * from_start * from_end
    total = variance @ (b**2).T * from_end + variance @ (a**2).T * from_start - 2 * (variance @ (a * b).T) * shared
    return np.minimum(np.degrees(np.sqrt(np.maximum(total, 0))), _LARGEST_ERROR_DEG)


def _unwrapped(value_deg: Array, error_deg: Array, period: float) -> Array:
    """Continuous over time, with the middle value within half a period of 0; unreliable frames follow, never lead."""
    known = np.isfinite(value_deg)
    reliable = np.flatnonzero(known & (error_deg < _RELIABLE_DEG))
    result = value_deg.copy()
    if not len(reliable):
        result[known] = (value_deg[known] + period / 2) % period - period / 2
        return result
    result[reliable] = np.unwrap(value_deg[reliable], period=period)
    last = reliable[np.maximum(np.searchsorted(reliable, np.arange(len(value_deg)), side="right") - 1, 0)]
    result += period * np.round((result[last] - result) / period)
    return result - period * np.round(np.median(result[reliable]) / period)
