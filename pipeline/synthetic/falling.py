"""Getting to the floor: falls in three directions, and lying down on purpose."""

from __future__ import annotations

import numpy as np

from pipeline.poses import Array
from pipeline.synthetic.body import SIGNS, Controls
from pipeline.synthetic.exercises import blend, set_arms
from pipeline.synthetic.timeline import Cue, FallTimes, keyed, smooth

FALL_S = 0.95  # from losing balance to the trunk's impact; falls from standing take 0.6 to 1.2 s


def _drop(time_s: Array, duration_s: float = FALL_S) -> Array:
    """(T,) 0 before, 1 after the fall, accelerating as a toppling body does, with a small settling bounce."""
    share = np.clip(time_s / duration_s, 0, 1)
    fallen = 0.40 * share**2 + 0.60 * share**2.8
    after = np.clip(time_s - duration_s, 0, None)
    bounce: Array = fallen - 0.025 * np.sin(np.clip(after / 0.22, 0, 1) * np.pi) * (time_s > duration_s)
    return bounce


def fall_forward(controls: Controls, cue: Cue) -> FallTimes:
    """Toppling over the toes on to the hands, knees and chest; ends face down."""
    build, height = controls.build, controls.build.height_m
    fallen = _drop(cue.since_s)
    tilt = blend(0, 88, fallen)
    controls.raise_heels(np.repeat(np.minimum(tilt * 0.95, 74)[:, None], 2, axis=1))
    ankle = controls.ankle_m.mean(axis=1)
    bent = 0.995 - 0.13 * np.sin(np.pi * np.clip(fallen, 0, 1)) ** 1.5
    angle = np.radians(blend(0, 94, fallen))  # the toes keep the ankles higher than the hips
    controls.pelvis_m[:, 1] = ankle[:, 1] + bent * build.leg_m * np.cos(angle)
    controls.pelvis_m[:, 2] = ankle[:, 2] + bent * build.leg_m * np.sin(angle)
    controls.pelvis_m[:, 1] = np.maximum(controls.pelvis_m[:, 1], 0.062 * height)
    knee_pole = np.stack([0 * tilt, -np.sin(angle), np.cos(angle)], axis=-1)
    controls.knee_pole = np.repeat(knee_pole[:, None], 2, axis=1)
    controls.pitch_deg += tilt
    controls.spine_deg += 22 * np.sin(np.pi * np.clip(fallen, 0, 1)) + 2 * fallen
    controls.head_deg -= 26 * smooth(fallen / 0.6)
    out = smooth(cue.since_s / (0.75 * FALL_S))
    settle = smooth((cue.since_s - 0.70 * FALL_S) / 0.5)
    set_arms(
        controls,
        (blend(blend(9, 96, out), 112, settle), blend(blend(75, 24, out), 76, settle)),
        (blend(blend(13, 108, out), 158, settle), blend(blend(35, 10, out), 62, settle)),
    )
    _shift(controls, -0.45 * height)
    return FallTimes(0.0, FALL_S)


def fall_backward(controls: Controls, cue: Cue) -> FallTimes:
    """Balance lost to the back: the pelvis hits the floor, then the back; ends face up with bent knees."""
    height = controls.build.height_m
    t = cue.since_s / FALL_S
    fallen = _drop(cue.since_s)
    start_y = controls.pelvis_m[:, 1].copy()
    controls.pelvis_m[:, 1] = blend(start_y, 0.060 * height, fallen)
    controls.pelvis_m[:, 2] += keyed(t, {0.0: 0.0, 0.5: -0.10, 1.0: -0.36, 1.5: -0.40}) * height
    controls.pitch_deg += keyed(t, {0.0: 0.0, 0.4: -6.0, 0.7: -16.0, 1.0: -52.0, 1.3: -91.0, 1.5: -90.0})
    controls.spine_deg += keyed(t, {0.0: 0.0, 0.6: 12.0, 1.05: 20.0, 1.4: 2.0})
    controls.head_deg += keyed(t, {0.0: 0.0, 0.7: 18.0, 1.2: 28.0, 1.6: 3.0})
    slide = keyed(t, {0.0: 0.0, 0.7: 0.0, 1.2: 0.05, 1.8: 0.045}) * height
    controls.ankle_m[..., 2] += slide[:, None]
    controls.ankle_m[..., 1] += (keyed(t, {0.8: 0.0, 1.2: 0.05, 1.7: 0.0}) * height)[:, None]
    controls.foot_pitch_deg -= keyed(t, {0.2: 0.0, 0.9: 16.0, 1.2: 20.0, 1.7: 0.0})[:, None]
    controls.knee_pole = np.zeros_like(controls.knee_pole) + [0, 0.7, 1.0]
    controls.knee_pole[..., 0] = 0.18 * SIGNS
    arms = keyed(t, {0.0: 9.0, 0.5: 62.0, 0.9: 48.0, 1.5: 36.0})
    plane = keyed(t, {0.0: 75.0, 0.5: 52.0, 0.9: 120.0, 1.5: 92.0})
    set_arms(controls, (arms, plane), (arms + keyed(t, {0.0: 4.0, 0.5: 24.0, 1.5: 24.0}), plane - 6))
    _lie_arms(controls)
    _shift(controls, 0.40 * height)
    return FallTimes(0.0, FALL_S)


def fall_sideways(controls: Controls, cue: Cue) -> FallTimes:
    """The knees give way and the body drops on hip and shoulder of one side (by seed); ends on that side."""
    height = controls.build.height_m
    side = int(cue.seed % 2)  # 0: on to the left side
    sign, other = float(SIGNS[side]), 1 - side
    t = cue.since_s / FALL_S
    fallen = _drop(cue.since_s)
    start_y = controls.pelvis_m[:, 1].copy()
    controls.pelvis_m[:, 1] = blend(start_y, 0.105 * height, fallen)
    controls.pelvis_m[:, 0] += sign * keyed(t, {0.0: 0.0, 0.5: 0.12, 1.0: 0.34, 1.5: 0.36}) * height
    controls.roll_deg -= sign * keyed(t, {0.0: 0.0, 0.5: 20.0, 1.0: 80.0, 1.25: 88.0})
    controls.spine_roll_deg += sign * keyed(t, {0.0: 0.0, 0.6: 16.0, 1.0: 11.0})
    controls.spine_deg += keyed(t, {0.0: 0.0, 0.7: 12.0, 1.5: 14.0})
    controls.ankle_m[:, other, 0] += sign * keyed(t, {0.4: 0.0, 1.0: 0.06, 1.5: 0.07}) * height
    controls.ankle_m[:, other, 1] += keyed(t, {0.4: 0.0, 1.0: 0.08, 1.5: 0.040}) * height
    controls.ankle_m[:, other, 2] += keyed(t, {0.4: 0.0, 1.0: -0.10, 1.5: -0.11}) * height
    controls.ankle_m[:, side, 2] += keyed(t, {0.4: 0.0, 1.0: -0.02, 1.5: -0.03}) * height
    controls.ankle_m[:, side, 1] -= keyed(t, {0.4: 0.0, 1.0: 0.010}) * height
    controls.foot_roll_deg -= sign * keyed(t, {0.3: 0.0, 1.0: 70.0, 1.3: 78.0})[:, None]
    out = smooth(cue.since_s / (0.7 * FALL_S))
    lift = np.stack([blend(9, 58, out)] * 2, axis=1)
    lift[:, side] = blend(9, 100, out)
    fore = lift + 12
    fore[:, other] = blend(13, 78, out)
    plane = np.stack([blend(75, 40, out)] * 2, axis=1)
    plane[:, side] = blend(75, 4, out)
    set_arms(controls, (lift, plane), (fore, blend(35, 4, out)))
    _shift(controls, 0.0, -sign * 0.30 * height)
    return FallTimes(0.0, FALL_S)


def lie_down(controls: Controls, cue: Cue) -> None:
    """On purpose and slowly: crouch, sit on the floor with a hand behind, lie back, stretch the legs."""
    build, height = controls.build, controls.build.height_m
    t = cue.since_s
    start_y = controls.pelvis_m[:, 1].copy()
    share = keyed(t, {0.0: 0.0, 1.0: 0.55, 2.0: 0.90, 2.5: 1.0})
    controls.pelvis_m[:, 1] = blend(start_y, 0.060 * height, share)
    controls.pelvis_m[:, 2] += keyed(t, {0.0: 0.0, 1.0: -0.11, 2.0: -0.23, 2.5: -0.30}) * height
    controls.pitch_deg += keyed(t, {0.0: 0.0, 1.0: 40.0, 1.8: 26.0, 2.6: -18.0, 3.4: -40.0, 4.6: -90.0})
    controls.spine_deg += keyed(t, {0.0: 0.0, 1.0: 16.0, 2.6: 24.0, 3.4: 22.0, 4.6: 2.0})
    controls.head_deg += keyed(t, {0.0: 0.0, 1.0: -20.0, 2.6: 6.0, 3.4: 18.0, 4.8: 0.0})
    stretch = keyed(t, {4.2: 0.0, 5.8: 1.0})
    reach_m = 0.985 * build.leg_m - 0.30 * height
    controls.ankle_m[..., 2] += (stretch * reach_m)[:, None]
    controls.foot_pitch_deg -= 42 * stretch[:, None]
    controls.ankle_m[..., 1] += 0.011 * height * stretch[:, None]
    controls.knee_pole = np.zeros_like(controls.knee_pole) + [0, 0.7, 1.0]
    controls.knee_pole[..., 0] = 0.10 * SIGNS
    lift = keyed(t, {0.0: 9.0, 1.0: 48.0, 2.2: 40.0, 3.4: 34.0, 4.8: 20.0})
    plane = keyed(t, {0.0: 75.0, 1.0: 25.0, 1.7: 90.0, 2.4: 150.0, 3.4: 150.0, 4.8: 92.0})
    set_arms(controls, (lift, plane), (lift + 22, plane - 4))
    _lie_arms(controls)
    _shift(controls, 0.28 * height)


def _lie_arms(controls: Controls) -> None:
    """Arms of a body lying on its back rest on the floor: no hand sinks behind the back's plane."""
    flat = smooth((-controls.pitch_deg - 40) / 50)[:, None]
    for angles in (controls.arm_deg, controls.forearm_deg):
        angles[..., 1] += (np.minimum(angles[..., 1], 93.0) - angles[..., 1]) * flat


def _shift(controls: Controls, z_m: float, x_m: float = 0.0) -> None:
    """Move everything so that the motion's middle, not its start, is at the person's place; hands meet the floor."""
    controls.pelvis_m += [x_m, 0, z_m]
    controls.ankle_m += [x_m, 0, z_m]
    controls.catch_with_hands()
