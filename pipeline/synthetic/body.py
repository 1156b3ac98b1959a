"""A kinematic human body: segment lengths, forward kinematics, and limbs that reach for a point.

Axes of the body's world: x to the person's left, y up, z where the person faces, floor at y = 0. Every array has one
row a frame (T); limbs come in pairs (T, 2, ...) with the left one first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline.poses import Array
from pipeline.skeletons import BLAZEPOSE_33

SIDES = ("left", "right")
SIGNS = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Build:
    """A person's size. Segment lengths are shares of the body height.

    Shares follow Drillis & Contini as printed in D. Winter, Biomechanics and Motor Control of Human Movement, fig.
    4.1; the widths between hip and shoulder joint centres are those of annotated key points, narrower than Winter's
    bony breadths.

    Attributes:
        height_m: body height in metres.
        girth: thickness of the flesh, 1 average, 0.85 slim, 1.25 heavy.
        leg_share: leg length relative to average.
    """

    height_m: float = 1.75
    girth: float = 1.0
    leg_share: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (("height_m", 0.5, 2.5), ("girth", 0.5, 2.0), ("leg_share", 0.8, 1.2)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie between {low} and {high}, got {value}; choose a human size.")

    @property
    def thigh_m(self) -> float:
        return 0.245 * self.leg_share * self.height_m

    @property
    def shank_m(self) -> float:
        return 0.246 * self.leg_share * self.height_m

    @property
    def leg_m(self) -> float:
        return self.thigh_m + self.shank_m

    @property
    def ankle_height_m(self) -> float:
        return 0.042 * self.height_m

    @property
    def trunk_m(self) -> float:
        """Hip centre to the middle of the shoulders."""
        return (0.285 - 0.491 * (self.leg_share - 1)) * self.height_m

    @property
    def upper_arm_m(self) -> float:
        return 0.172 * self.height_m

    @property
    def forearm_m(self) -> float:
        return 0.146 * self.height_m

    @property
    def arm_m(self) -> float:
        return self.upper_arm_m + self.forearm_m

    @property
    def hip_half_m(self) -> float:
        return 0.055 * self.height_m

    @property
    def shoulder_half_m(self) -> float:
        return 0.102 * self.height_m

    @property
    def ball_m(self) -> Array:
        """Ball of the foot from the ankle, in the foot's axes."""
        return np.array([0.0, -0.036, 0.075]) * self.height_m


# Points fixed to the head, in shares of height from the middle between the ears (left, up, forward).
_HEAD_POINTS = {
    "nose": (0.0, -0.010, 0.068),
    "left_eye_inner": (0.010, 0.013, 0.054),
    "left_eye": (0.018, 0.013, 0.052),
    "left_eye_outer": (0.026, 0.012, 0.047),
    "left_ear": (0.043, 0.0, 0.0),
    "mouth_left": (0.015, -0.030, 0.052),
}
_HEAD_CENTRE = (0.0, 0.114, 0.010)  # from the middle of the shoulders, in the head's axes, at rest
_HEEL = (0.0, -0.030, -0.030)  # from the ankle, in the foot's axes
_TOE = (0.0, 0.002, 0.033)  # from the ball of the foot
TOE_BEND_DEG = 65.0
_SOFT_M = 0.003  # over which a limit sets in
# Along the hand, towards the thumb's side.
_HAND_POINTS = {"index": (0.056, 0.012), "pinky": (0.048, -0.018), "thumb": (0.030, 0.021)}


def rotation(yaw_deg: Array | float = 0.0, pitch_deg: Array | float = 0.0, roll_deg: Array | float = 0.0) -> Array:
    """(..., 3, 3) turn left by yaw, then lean forward by pitch, then to the right side by roll."""
    yaw, pitch, roll = np.broadcast_arrays(yaw_deg, pitch_deg, roll_deg)
    angles = np.stack([yaw, pitch, roll], axis=-1).reshape(-1, 3)
    return Rotation.from_euler("YXZ", angles, degrees=True).as_matrix().reshape(*yaw.shape, 3, 3)


def unit(vectors: Array) -> Array:
    """The vectors at length 1; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-12, length, 1.0)


def direction(elevation_deg: Array | float, azimuth_deg: Array | float) -> Array:
    """(T, 2, 3) limb directions, both sides mirrored.

    Args:
        elevation_deg: (T, 2) or broadcastable: 0 hangs down, 90 is level, 180 points up.
        azimuth_deg: the plane of the lift: 0 forward, 90 to the limb's own side.
    """
    lift, plane, sign = np.broadcast_arrays(np.radians(elevation_deg), np.radians(azimuth_deg), SIGNS)
    return np.stack([sign * np.sin(lift) * np.sin(plane), -np.cos(lift), np.sin(lift) * np.cos(plane)], axis=-1)


def reach(root: Array, target: Array, upper_m: float, lower_m: float, pole: Array) -> tuple[Array, Array]:
    """Two-bone inverse kinematics by the law of cosines.

    Args:
        root: (..., 3) hip or shoulder; target: (..., 3) ankle or wrist.
        upper_m, lower_m: lengths of the two bones.
        pole: (..., 3) the side to which the middle joint bends.

    Returns:
        Unit directions of the upper and of the lower bone. From 98.8 % of the limb's length on, the limb straightens
        ever more slowly (soft IK), so that the middle joint never snaps; a target out of reach is approached.
    """
    line = target - root
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    along = unit(line)
    whole = upper_m + lower_m
    knee, room = 0.988 * whole, 0.010 * whole
    distance = np.where(distance > knee, knee + room * (1 - np.exp(-(distance - knee) / room)), distance)
    distance = np.maximum(distance, abs(upper_m - lower_m) + 1e-4)
    aside = unit(pole - (pole * along).sum(-1, keepdims=True) * along)
    cosine = np.clip((upper_m**2 + distance**2 - lower_m**2) / (2 * upper_m * distance), -1, 1)
    middle = upper_m * (cosine * along + np.sqrt(1 - cosine**2) * aside)
    return unit(middle), unit(distance * along - middle)


def apply(matrix: Array, vector: Array) -> Array:
    """(..., 3, 3) times (..., 3)."""
    product: Array = np.einsum("...ij,...j->...i", matrix, vector)
    return product


def _rows(count: int, *shape: int) -> Array:
    return np.zeros((count, *shape))


@dataclass
class Controls:
    """What a motion sets, frame by frame; a fresh one stands upright with the arms hanging.

    Legs always reach for ``ankle_m``. Arms hang by angles in the chest's axes unless ``wrist_m`` is finite, or
    ``wrist_chest_m`` (a point in the chest's axes from the middle of the shoulders) is.
    """

    build: Build
    frames: int
    pelvis_m: Array = field(init=False)  # (T, 3) hip centre
    yaw_deg: Array = field(init=False)  # (T,) pelvis
    pitch_deg: Array = field(init=False)
    roll_deg: Array = field(init=False)
    spine_deg: Array = field(init=False)  # chest relative to pelvis, forward
    spine_yaw_deg: Array = field(init=False)
    spine_roll_deg: Array = field(init=False)
    head_deg: Array = field(init=False)  # head relative to chest, nodding forward
    ankle_m: Array = field(init=False)  # (T, 2, 3)
    foot_yaw_deg: Array = field(init=False)  # (T, 2) toes out
    foot_pitch_deg: Array = field(init=False)  # (T, 2) heel up
    foot_roll_deg: Array = field(init=False)  # (T, 2) the foot's left side up
    foot_facing_deg: Array = field(init=False)  # (T, 2) the walking direction the toes are measured from
    knee_pole: Array = field(init=False)  # (T, 2, 3)
    arm_deg: Array = field(init=False)  # (T, 2, 2) elevation and azimuth of the upper arm
    forearm_deg: Array = field(init=False)  # (T, 2, 2)
    wrist_m: Array = field(init=False)  # (T, 2, 3) NaN: by angles
    wrist_chest_m: Array = field(init=False)  # (T, 2, 3) NaN: by angles
    elbow_pole: Array = field(init=False)  # (T, 2, 3) in the chest's axes

    def __post_init__(self) -> None:
        count, build = self.frames, self.build
        for name in ("yaw", "pitch", "roll", "spine", "spine_yaw", "spine_roll", "head"):
            setattr(self, f"{name}_deg", _rows(count))
        self.ankle_m = _rows(count, 2, 3) + [0, build.ankle_height_m, 0]
        self.ankle_m[..., 0] += SIGNS * 0.065 * build.height_m
        self.pelvis_m = _rows(count, 3)
        self.pelvis_m[:, 1] = build.ankle_height_m + 0.986 * build.leg_m
        self.foot_yaw_deg = _rows(count, 2) + 8.0
        self.foot_pitch_deg, self.foot_roll_deg, self.foot_facing_deg = (_rows(count, 2) for _ in range(3))
        self.knee_pole = _rows(count, 2, 3) + [0, 0, 1.0]
        self.arm_deg = _rows(count, 2, 2) + [9.0, 75.0]
        self.forearm_deg = _rows(count, 2, 2) + [13.0, 35.0]
        self.wrist_m = np.full((count, 2, 3), np.nan)
        self.wrist_chest_m = np.full((count, 2, 3), np.nan)
        self.elbow_pole = _rows(count, 2, 3) + [0, -0.6, -1.0]
        self.elbow_pole[..., 0] = SIGNS

    def pelvis_rotation(self) -> Array:
        """(T, 3, 3) columns are the pelvis' left, up and forward axes."""
        return rotation(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def chest_rotation(self) -> Array:
        """(T, 3, 3) columns are the chest's left, up and forward axes."""
        return self.pelvis_rotation() @ rotation(self.spine_yaw_deg, self.spine_deg, self.spine_roll_deg)

    def shoulder_centre_m(self) -> Array:
        """(T, 3) middle of the shoulders: the lower part of the trunk follows the pelvis, the rest the chest."""
        trunk = self.build.trunk_m
        lower, upper = self.pelvis_rotation()[..., 1], self.chest_rotation()[..., 1]
        return self.pelvis_m + 0.30 * trunk * lower + 0.70 * trunk * upper

    def shoulders_m(self) -> Array:
        """(T, 2, 3)."""
        aside = self.chest_rotation()[:, None, :, 0] * SIGNS[:, None]
        return self.shoulder_centre_m()[:, None] + aside * self.build.shoulder_half_m

    def hips_m(self) -> Array:
        """(T, 2, 3)."""
        aside = self.pelvis_rotation()[:, None, :, 0] * SIGNS[:, None]
        return self.pelvis_m[:, None] + aside * self.build.hip_half_m

    def keep_feet(self, stretch: float = 0.989) -> None:
        """Lower the pelvis, smoothly, where a foot would otherwise be out of reach."""
        gap = self.hips_m() - self.ankle_m
        flat = np.hypot(gap[..., 0], gap[..., 2])
        limit = np.sqrt(np.maximum((stretch * self.build.leg_m) ** 2 - flat**2, 0))
        lowered = np.logaddexp.reduce(
            np.concatenate([(gap[..., 1] - limit) / _SOFT_M, 0 * limit[:, :1]], axis=1), axis=1
        )
        self.pelvis_m[:, 1] -= _SOFT_M * lowered

    def raise_heels(self, degrees: Array) -> None:
        """Lift the heels about the balls of the feet, which stay where they are; ``degrees`` (T, 2)."""
        flat = self._foot_rotation()
        ball = self.ankle_m + apply(flat, self.build.ball_m)
        self.foot_pitch_deg = self.foot_pitch_deg + degrees
        self.ankle_m = ball - apply(self._foot_rotation(), self.build.ball_m)

    def _hands(self, chest: Array, wrist: Array, fore: Array) -> tuple[Array, Array]:
        """Direction of the hands and their thumbs' side: along the forearm, but flat where they meet the floor."""
        height = self.build.height_m
        steepest = np.clip((0.016 * height - wrist[..., 1]) / (_HAND_POINTS["index"][0] * height), -1, 0.9)
        bent = np.maximum(fore[..., 1], steepest)
        level = (fore + 0.3 * chest[:, None, :, 1]) * np.array([1.0, 0.0, 1.0])  # fingers point away from the body
        flat = unit(level) * np.sqrt(1 - bent**2)[..., None] + bent[..., None] * np.array([0.0, 1.0, 0.0])
        share = np.clip((bent - fore[..., 1]) / 0.3, 0, 1)[..., None]
        hand = unit(fore + (flat - fore) * np.sqrt(share))
        inward: Array = np.cross(hand, np.array([0.0, 1.0, 0.0])) * SIGNS[:, None]
        return hand, unit(thumb_side(chest, hand) * (1 - share) + unit(inward) * share)

    def catch_with_hands(self) -> None:
        """Hands that would sink into the floor stay on it, and the elbows bend."""
        chest, shoulders = self.chest_rotation(), self.shoulders_m()
        upper, fore = self._arms(chest, shoulders)
        elbow = shoulders + upper * self.build.upper_arm_m
        wrist = elbow + fore * self.build.forearm_m
        lowest = 0.020 * self.build.height_m
        sunk = wrist[..., 1] < lowest
        caught = np.where(sunk[..., None], wrist * [1, 0, 1] + [0, lowest, 0], wrist)
        bend = elbow - (shoulders + wrist) / 2  # where the elbow is already, so that it does not jump
        depth = np.clip(lowest - wrist[..., 1:2], 0, None)
        outward = chest[:, None, :, 0] * SIGNS[:, None] * np.minimum(0.5 * depth, 0.02)
        pole = np.einsum("tji,tsj->tsi", chest, bend + outward)
        self.elbow_pole = np.where(sunk[..., None], pole, self.elbow_pole)
        self.wrist_m = np.where(sunk[..., None], caught, self.wrist_m)

    def _foot_rotation(self, toe_bend_deg: Array | float = 0.0) -> Array:
        """(T, 2, 3, 3) of the foot, or of its toes, which stay level while the heel rises."""
        facing = self.foot_facing_deg + SIGNS * self.foot_yaw_deg
        return rotation(facing, self.foot_pitch_deg - toe_bend_deg, self.foot_roll_deg)

    def joints_m(self) -> Array:
        """(T, 33, 3) BlazePose's joints in metres."""
        build, height = self.build, self.build.height_m
        chest, hips, shoulders = self.chest_rotation(), self.hips_m(), self.shoulders_m()
        head = chest @ rotation(0.0, self.head_deg)
        thigh, shank = reach(hips, self.ankle_m, build.thigh_m, build.shank_m, self.knee_pole)
        upper, fore = self._arms(chest, shoulders)
        foot = self._foot_rotation()
        points: dict[str, Array] = {}

        def both(name: str, values: Array) -> None:
            points[f"left_{name}"], points[f"right_{name}"] = values[:, 0], values[:, 1]

        knee, elbow = hips + thigh * build.thigh_m, shoulders + upper * build.upper_arm_m
        ankle, wrist = knee + shank * build.shank_m, elbow + fore * build.forearm_m
        for name, value in (
            ("hip", hips), ("knee", knee), ("ankle", ankle), ("shoulder", shoulders), ("elbow", elbow), ("wrist", wrist)
        ):  # fmt: skip
            both(name, value)
        both("heel", ankle + apply(foot, np.array(_HEEL) * height))
        ball = ankle + apply(foot, build.ball_m)
        toes = self._foot_rotation(np.clip(self.foot_pitch_deg, 0, TOE_BEND_DEG))
        both("foot_index", ball + apply(toes, np.array(_TOE) * height))
        hand, thumb = self._hands(chest, wrist, fore)
        for name, (along, aside) in _HAND_POINTS.items():
            both(name, wrist + (along * hand + aside * thumb) * height)
        centre = self.shoulder_centre_m() + apply(head, np.array(_HEAD_CENTRE) * height)
        for name, offset in _HEAD_POINTS.items():
            points[name] = centre + apply(head, np.array(offset) * height)
            mirrored = name.replace("left", "right")
            points[mirrored] = centre + apply(head, np.array(offset) * height * (-1 if mirrored != name else 1, 1, 1))
        return np.stack([points[joint] for joint in BLAZEPOSE_33.joints], axis=1)

    def _arms(self, chest: Array, shoulders: Array) -> tuple[Array, Array]:
        turn = chest[:, None]
        upper = apply(turn, direction(self.arm_deg[..., 0], self.arm_deg[..., 1]))
        fore = apply(turn, direction(self.forearm_deg[..., 0], self.forearm_deg[..., 1]))
        local = self.shoulder_centre_m()[:, None] + apply(turn, np.nan_to_num(self.wrist_chest_m))
        target = np.where(np.isfinite(self.wrist_m), self.wrist_m, local)
        given = np.isfinite(self.wrist_m) | np.isfinite(self.wrist_chest_m)
        pole = apply(turn, self.elbow_pole)
        solved = reach(shoulders, target, self.build.upper_arm_m, self.build.forearm_m, pole)
        return np.where(given, solved[0], upper), np.where(given, solved[1], fore)


def thumb_side(chest: Array, hand: Array) -> Array:
    """(T, 2, 3) unit vectors from the little finger's side of the hand to the thumb's.

    The thumb points forward on a hanging arm and is carried along by the shortest turn to the hand's direction.
    """
    down, forward = -chest[:, None, :, 1], chest[:, None, :, 2]
    # Rodrigues' shortest rotation of ``down`` to ``hand``, applied to ``forward``, which is perpendicular to ``down``
    lift = (forward * hand).sum(-1, keepdims=True) / np.maximum(1 + (down * hand).sum(-1, keepdims=True), 1e-3)
    return unit(forward - lift * (down + hand))
