"""One repetition in the planes of the body: what the camera shows of them, and how sure each length and angle is.

The sagittal plane (forwards, up) is seen from the side, the frontal plane (to the person's left, up) from the front.
From an oblique view both are seen foreshortened: horizontal lengths are divided by the sine (sagittal) or the cosine
(frontal) of the turn, and the errors grow accordingly, until a measurement is refused. Poses without a picture (motion
capture) show both planes at once, from ``xyz_m``. Lengths are shares of the trunk's length, so zoom does not matter.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.kinematics import CameraView, UncertaintyParameters, point_error
from pipeline.poses import Array, PoseSequence
from pipeline.repetitions import Repetition
from pipeline.signal import median_of_known
from pipeline.skeletons import other_side

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
PlaneName = Literal["sagittal", "frontal"]

MARGIN_S = 0.25  # what somebody looks like at rest is seen just before and after the repetition
MEASURED_IN_SPACE = UncertaintyParameters(depth_factor=1.0)  # several cameras or a depth camera: nothing is guessed
SUSTAINED_S = 0.1  # no fault and no turning point is shorter; a bad frame is
YAW_ERROR_DEG = 12.0  # of the camera view (ViewParameters.yaw_error_deg)
SPREAD_DEG = 12.0  # limbs leave the sagittal plane by about this: feet turned out, knees apart
NEAR_SIDE_DEG = 55.0  # turned further than this, the body hides the far side
BORDER_SHARE = 0.015  # a point this close to the border of the picture may lie outside it
GUESSED = 0.35  # a joint with a lower mean score was not really seen
SHORTEST = 0.6  # a segment that looks shorter than this share of its usual length was not really seen


class Unmeasurable(ValueError):
    """A metric cannot be had from this view or these key points; the message says why, for people to read."""


def sustained(values: Array, time_s: Array) -> Array:
    """(T,) running median: what does not last for ``SUSTAINED_S`` (two frames at least) is gone; NaN stays NaN."""
    if len(values) < 3:
        return values
    frames = max(2, round(SUSTAINED_S / max(float(np.median(np.diff(time_s))), 1e-6)))
    padded = np.pad(values, frames - 1, constant_values=np.nan)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * frames - 1)
    known = np.isfinite(values)
    found = np.full(len(values), np.nan)
    found[known] = median_of_known(near[known])
    return found


@dataclass(frozen=True)
class Estimate:
    """A measured value with its standard error, when it was taken, and how well its key points were seen (0..1)."""

    value: float
    error: float
    time_s: float
    clarity: float = 1.0


@dataclass(frozen=True)
class Phase:
    """A part of a repetition: "down", "pause", "up" ... from ``start_s`` to ``end_s``."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Plane:
    """The body in one plane over the frames of a repetition.

    Attributes:
        name: sagittal or frontal.
        points: (T, J, 2) horizontal (forwards, or to the person's left) and up, in trunk lengths; NaN unseen.
        error: (T, J) standard error of each point per axis, in trunk lengths, before the stretch.
        stretch: by how much horizontal lengths were stretched to undo the oblique view; 1 when seen squarely.
    """

    name: PlaneName
    points: Array
    error: Array
    stretch: float

    @property
    def cotangent(self) -> float:
        """How much of the other plane leaks into this one: 0 when seen squarely, 1 at 45 degrees."""
        return float(np.sqrt(max(self.stretch**2 - 1, 0.0)))


class Window:
    """The frames of one repetition and ``MARGIN_S`` around it, with what the movement's metrics ask for.

    Built from the cleaned sequence. Methods raise ``Unmeasurable`` in words where the view or the points don't allow.
    """

    def __init__(self, sequence: PoseSequence, view: CameraView, repetition: Repetition, *, space: bool) -> None:
        first, last = repetition.start_s - MARGIN_S, repetition.end_s + MARGIN_S
        inside = (sequence.time_s >= first - 1e-9) & (sequence.time_s <= last + 1e-9)
        self.sequence = sequence.select(inside)
        self.time_s = self.sequence.time_s
        self.skeleton = sequence.skeleton
        self.repetition = repetition
        self.space = space
        self.phases: tuple[Phase, ...] = ()
        self.turn = int(np.argmin(np.abs(self.time_s - repetition.turn_s))) if len(self.time_s) else 0
        yaw = np.radians(view.yaw_deg[inside])
        known = np.isfinite(yaw)
        direction = complex(np.exp(1j * yaw[known]).mean()) if known.any() else complex("nan")
        self.yaw_deg = float(np.degrees(np.angle(direction)))
        self.steadiness = abs(direction)

    def __len__(self) -> int:
        return len(self.time_s)

    def turning_at(self, turn_s: float) -> Self:
        """The same frames with another turning point."""
        other = copy.copy(self)
        for name in ("bottom", "_frontal"):  # what depends on the turning point
            other.__dict__.pop(name, None)
        other.repetition = replace(self.repetition, turn_s=turn_s)
        other.turn = int(np.argmin(np.abs(self.time_s - turn_s)))
        return other

    # Which frames

    @cached_property
    def bottom(self) -> NDArray[np.bool_]:
        """(T,) the frames within 0.1 s of the turning point (at least three)."""
        distance = np.abs(self.time_s - self.repetition.turn_s)
        return np.asarray(distance <= max(0.1, float(np.sort(distance)[:3][-1]) if len(distance) else 0.1))

    @cached_property
    def rest(self) -> NDArray[np.bool_]:
        """(T,) up to the first and from the last twentieth of the repetition: where it begins and ends."""
        duration = self.repetition.end_s - self.repetition.start_s
        since = self.time_s - self.repetition.start_s
        return np.asarray((since <= 0.05 * duration) | (since >= 0.95 * duration))

    # What is seen

    @property
    def view(self) -> str:
        """The view over this repetition: front, oblique, side, back, space or unknown."""
        if self.space:
            return "space"
        turn = abs(self.yaw_deg)
        if not np.isfinite(turn):
            return "unknown"
        return ("front", "oblique", "side", "oblique", "back")[int(np.searchsorted([30, 60, 120, 150], turn, "right"))]

    @property
    def near_side(self) -> Side | None:
        """The side that hides the other one from the camera; None when both are seen."""
        if self.space or not NEAR_SIDE_DEG <= abs(self.yaw_deg) <= 180 - NEAR_SIDE_DEG:
            return None
        return "right" if self.yaw_deg > 0 else "left"

    def sides(self) -> tuple[Side, ...]:
        """The sides of the body that this view shows."""
        return SIDES if self.near_side is None else (self.near_side,)

    def joint(self, *names: str) -> str:
        """The first of several names that the skeleton has."""
        for name in names:
            if name in self.skeleton:
                return name
        raise Unmeasurable(f"the pose model gives no {names[0].replace('_', ' ')}")

    def toe(self, side: Side) -> str:
        return self.joint(f"{side}_foot_index", f"{side}_big_toe", f"{side}_foot")

    def ankle(self, side: Side) -> str:
        return self.joint(f"{side}_ankle", f"{side}_foot")

    def clarity(self, joints: tuple[str, ...], frames: NDArray[np.bool_] | None = None) -> float:
        """Mean score of the joints; 0.5 where no scores were given.

        Raises:
            Unmeasurable: one of them was mostly unseen, outside the picture, or guessed.
        """
        chosen = np.ones(len(self), dtype=bool) if frames is None else frames
        scores = []
        for name in joints:
            place = self.skeleton.index(self.joint(name))
            words = name.replace("_", " ")
            xyz = self.sequence.xyz_m
            points = xyz[chosen, place] if self.space and xyz is not None else self.sequence.xy_px[chosen, place]
            seen = np.isfinite(points).all(axis=1)
            if not len(seen) or np.count_nonzero(seen) < 0.5 * len(seen):
                raise Unmeasurable(f"the {words} was not seen")
            if not self.space:
                self.inside_picture(name, chosen)
            score = self.sequence.score[chosen, place]
            known = score[np.isfinite(score)]
            mean = float(known.sum()) / len(known) if len(known) else 0.5
            if mean < GUESSED:
                raise Unmeasurable(f"the {words} is hidden")
            scores.append(mean)
        return sum(scores) / len(scores) if scores else 0.5

    def inside_picture(self, name: str, frames: NDArray[np.bool_]) -> None:
        """Raises Unmeasurable when the border of the picture cuts the joint off."""
        width, height = self.sequence.image_size
        points = self.sequence.xy_px[frames, self.skeleton.index(self.joint(name))]
        points = points[np.isfinite(points).all(axis=1)]
        if not (width and height and len(points)):
            return
        margin = BORDER_SHARE * max(width, height)
        x, y = points.T
        outside = (x < margin) | (x > width - margin) | (y < margin) | (y > height - margin)
        if np.count_nonzero(outside) > 0.2 * len(outside):
            raise Unmeasurable(f"the {name.replace('_', ' ')} is outside the picture")

    def whole(
        self, plane: PlaneName, first: tuple[str, ...], second: tuple[str, ...], frames: NDArray[np.bool_]
    ) -> None:
        """Raises Unmeasurable when a segment in its own plane is much shorter there than in the rest of the time.

        Bones don't shrink: then the model has guessed, whatever score it gives.
        """
        length = np.linalg.norm(self.track(plane, *first) - self.track(plane, *second), axis=1)
        known = np.isfinite(length)
        here = known & frames
        if here.any() and np.median(length[here]) < SHORTEST * np.percentile(length[known], 80):
            words = " to ".join(names[0].replace("_", " ") for names in (first, second))
            raise Unmeasurable(f"the key points from {words} don't fit a body there")

    # Planes

    @cached_property
    def trunk(self) -> float:
        """The trunk's length (shoulders' to hips' middle), in pixels or metres: 95th percentile of the frames."""
        points = self._raw
        ends = [self.skeleton.index(self.joint(f"{side}_{part}")) for part in ("shoulder", "hip") for side in SIDES]
        length = np.linalg.norm((points[:, ends[:2]] - points[:, ends[2:]]).mean(axis=1), axis=1)
        length = length[np.isfinite(length)]
        if not len(length) or not (size := float(np.percentile(length, 95))) > 0:
            raise Unmeasurable("the trunk was not seen")
        return size

    @cached_property
    def _raw(self) -> Array:
        """(T, J, 2 or 3) pixels with y up, or metres above the floor."""
        if not self.space or self.sequence.xyz_m is None:
            return self.sequence.xy_px * (1.0, -1.0)
        return self._standing

    @cached_property
    def _standing(self) -> Array:
        """(T, J, 3) ``xyz_m``, which hangs at the hips, set down: the lowest point of every frame is on the floor."""
        points = self.sequence.xyz_m
        assert points is not None
        lowest = np.fmin.reduce(points[..., 1], axis=1)
        return np.asarray(points - np.stack([0 * lowest, lowest, 0 * lowest], axis=-1)[:, None])

    def plane(self, name: PlaneName) -> Plane:
        """The body in this plane; raises Unmeasurable when the camera does not show it."""
        found = self._sagittal if name == "sagittal" else self._frontal
        if isinstance(found, str):
            raise Unmeasurable(found)
        return found

    @cached_property
    def _sagittal(self) -> Plane | str:
        return self._plane("sagittal")

    @cached_property
    def _frontal(self) -> Plane | str:
        return self._plane("frontal")

    def _plane(self, name: PlaneName) -> Plane | str:
        if self.space:
            return self._plane_in_space(name)
        turn = np.radians(self.yaw_deg)
        if not np.isfinite(turn):
            return "the view of the camera is unknown"
        share = float(np.sin(turn) if name == "sagittal" else np.cos(turn))
        if abs(share) < 0.5 or self.steadiness < 0.8:
            if self.steadiness < 0.8:
                return "the person turns during the repetition"
            needed = "the side" if name == "sagittal" else "the front"
            seen = {"front": "the front", "back": "behind", "side": "the side"}.get(self.view, "an angle")
            return f"it needs a view from {needed}; this repetition was filmed from {seen}"
        if name == "frontal" and self.view == "oblique" and (reason := self._hidden_leg()):
            return reason
        points = self._raw * (np.sign(share) / abs(share), 1.0) / self.trunk
        return Plane(name, points, point_error(self.sequence) / self.trunk, 1 / abs(share))

    def _hidden_leg(self) -> str:
        """A reason when one knee is much less sure than the other, throughout or at the turning point: then the body
        hides it, as from the side.
        """
        if "left_knee" not in self.skeleton or not len(self):
            return ""
        knees = self.sequence.score[:, [self.skeleton.index(f"{side}_knee") for side in SIDES]]
        for part in (knees, knees[self.bottom]):
            known = [column[np.isfinite(column)] for column in part.T]
            scores = [float(column.mean()) if len(column) else 0.5 for column in known]
            if min(scores) < GUESSED and max(scores) > 0.5:
                return "one leg hides the other, so this is a view from the side"
        return ""

    def _plane_in_space(self, name: PlaneName) -> Plane | str:
        points = self._raw
        left = points[:, self.skeleton.index("left_hip")] - points[:, self.skeleton.index("right_hip")]
        across = np.nanmean(left * (1, 0, 1), axis=0) if np.isfinite(left).any() else np.full(3, np.nan)
        across = across / np.linalg.norm(across)
        if not np.isfinite(across).all():
            return "the hips were not seen"
        axis = across if name == "frontal" else np.cross(across, (0.0, 1.0, 0.0))
        plane = np.stack([points @ axis, points[..., 1]], axis=-1) / self.trunk
        return Plane(name, plane, point_error(self.sequence, MEASURED_IN_SPACE, space=True) / self.trunk, 1.0)

    def track(self, plane: PlaneName, *names: str) -> Array:
        """(T, 2) a joint, or the middle of several, in a plane; raises Unmeasurable when it was not seen."""
        return self._middle(self.plane(plane).points, names)

    def sees_sagittal(self, share: float) -> bool:
        """Whether at least this share (the sine of the turn) of forward movement is seen in the picture."""
        return self.space or abs(float(np.sin(np.radians(self.yaw_deg)))) >= share

    def heights(self, *names: str) -> Array:
        """(T,) height of a joint, or of the middle of several, in trunk lengths: every view shows it."""
        return self._middle(self._raw[..., 1], names) / self.trunk

    def _middle(self, points: Array, names: tuple[str, ...]) -> Array:
        """(T, ...) the mean of some columns of (T, J, ...)."""
        first, *others = (points[:, self.skeleton.index(self.joint(name))] for name in names)
        return np.asarray(sum(others, first) / len(names))

    def height_error(self, *names: str) -> Array:
        """(T,) standard error of a difference of heights of these joints, in trunk lengths."""
        columns = [self.skeleton.index(self.joint(name)) for name in names]
        return np.asarray(
            np.sqrt((point_error(self.sequence, MEASURED_IN_SPACE, space=self.space)[:, columns] ** 2).sum(1))
            / self.trunk
        )

    def full_length(self, first: str, second: str) -> float:
        """The longest that a segment looks (95th percentile), left or right, in trunk lengths."""
        longest = [np.nan]
        for a, b in ((first, second), (other_side(first), other_side(second))):
            vector = self._middle(self._raw, (a,)) - self._middle(self._raw, (b,))
            length = np.linalg.norm(vector, axis=1)[np.isfinite(vector).all(axis=1)] / self.trunk
            if len(length):
                longest.append(float(np.percentile(length, 95)))
        if not np.nanmax(longest) > 0:
            raise Unmeasurable(f"the {first.replace('_', ' ')} was not seen")
        return float(np.nanmax(longest))

    def level(self, first: str, second: str, outwards: int) -> tuple[Array, Array]:
        """(T,) forwards and outwards (``outwards`` 1 for the left, -1 for the right) from one joint to another.

        Only poses with both planes (from space) have it.
        """
        forwards = (self.track("sagittal", second) - self.track("sagittal", first))[:, 0]
        aside = (self.track("frontal", second) - self.track("frontal", first))[:, 0]
        return forwards, outwards * aside

    # Angles with errors

    def inclination(self, plane: PlaneName, low: tuple[str, ...], high: tuple[str, ...]) -> tuple[Array, Array]:
        """(T,) degrees by which the line from ``low`` to ``high`` leans from the vertical, and its standard error.

        Positive leans forwards (sagittal) or to the person's left (frontal).
        """
        vector = self.track(plane, *high) - self.track(plane, *low)
        value = np.degrees(np.arctan2(vector[:, 0], vector[:, 1]))
        return value, self._angle_error(plane, vector, low + high, len(low) + len(high))

    def _angle_error(self, plane: PlaneName, vector: Array, names: tuple[str, ...], count: int) -> Array:
        """Point noise, the uncertain turn of the camera, and the limb's unknown way out of the plane."""
        here = self.plane(plane)
        columns = [self.skeleton.index(self.joint(name)) for name in names]
        noise = np.sqrt((here.error[:, columns] ** 2).mean(axis=1) * 2 * 2 / count)
        length = np.maximum(np.linalg.norm(vector * (1 / here.stretch, 1.0), axis=1), 1e-6)
        share = vector[:, 0] * vector[:, 1] / np.maximum((vector**2).sum(axis=1), 1e-9)
        turn = 0.0 if self.space else YAW_ERROR_DEG * here.cotangent * np.abs(share)
        spread = SPREAD_DEG * here.cotangent if count == 2 else 0.0
        return np.sqrt(np.degrees(noise / length) ** 2 * here.stretch + turn**2 + spread**2)

    def bend(self, plane: PlaneName, first: str, middle: str, last: str) -> tuple[Array, Array]:
        """(T,) the inner angle at ``middle`` in degrees (180 straight), and its standard error."""
        upper, upper_error = self.inclination(plane, (middle,), (first,))
        lower, lower_error = self.inclination(plane, (middle,), (last,))
        turn = np.abs((upper - lower + 180) % 360 - 180)
        return turn, np.hypot(upper_error, lower_error)

    def at(
        self,
        values: Array,
        errors: Array | float,
        joints: tuple[str, ...],
        frames: NDArray[np.bool_] | None = None,
        pick: Literal["median", "highest", "lowest"] = "median",
    ) -> Estimate:
        """One number out of a curve: its median over ``frames``, or its highest or lowest tenth.

        The highest and the lowest are those of the ``sustained`` curve, so that no single frame decides.

        Raises:
            Unmeasurable: the joints were not seen there.
        """
        chosen = np.ones(len(self), dtype=bool) if frames is None else frames
        clarity = self.clarity(joints, chosen)
        usable = np.flatnonzero(chosen & np.isfinite(values))
        if not len(usable):
            raise Unmeasurable("its key points were not seen")
        level = values if pick == "median" else sustained(values, self.time_s)
        ordered = usable[np.argsort(level[usable])]
        rank = {"median": 0.5, "highest": 0.95, "lowest": 0.05}[pick]
        place = ordered[round(rank * (len(ordered) - 1))]
        spread = np.broadcast_to(np.asarray(errors, dtype=np.float64), values.shape)
        error = float(np.nanmedian(spread[usable]))
        return Estimate(float(level[place]), error, float(self.time_s[place]), clarity)
