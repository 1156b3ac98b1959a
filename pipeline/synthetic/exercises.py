"""The ten exercises: each sets the controls of a body from the phase of its repetitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.poses import Array
from pipeline.synthetic.body import SIGNS, Controls, rotation
from pipeline.synthetic.timeline import Cue, smooth

BENCH_HEIGHT_M = 0.43


def blend(low: Array | float, high: Array | float, share: Array) -> Array:
    """From ``low`` at share 0 to ``high`` at share 1."""
    mixed: Array = np.asarray(low) + (np.asarray(high) - np.asarray(low)) * share
    return mixed


def set_arms(controls: Controls, upper: tuple[Any, Any], fore: tuple[Any, Any]) -> None:
    """Both arms by elevation and azimuth in degrees, each (T,) or (T, 2)."""
    for target, pair in ((controls.arm_deg, upper), (controls.forearm_deg, fore)):
        for column, value in enumerate(pair):
            values = np.asarray(value, dtype=np.float64)
            target[..., column] = values[:, None] if values.ndim == 1 else values


def knees_inward(controls: Controls, degrees: Array) -> None:
    """Turn the side to which the knees bend by ``degrees`` (T,) towards the middle."""
    outward = controls.foot_yaw_deg - np.asarray(degrees)[:, None]
    controls.knee_pole = rotation(controls.foot_facing_deg + SIGNS * outward)[..., 2]


def bend_knees(controls: Controls, thigh_deg: Array, shank_deg: Array) -> None:
    """Put the pelvis over planted feet: thighs leaning back and shanks forward by these angles from the vertical."""
    build = controls.build
    aside = (controls.ankle_m[:, 0, 0] - controls.ankle_m[:, 1, 0]) / 2 - build.hip_half_m
    lean = np.sqrt(np.clip(1 - (aside / build.leg_m) ** 2, 0.5, 1)) * 0.988  # the legs spread sideways
    thigh, shank = np.radians(thigh_deg), np.radians(shank_deg)
    forward = build.shank_m * np.sin(shank) - build.thigh_m * np.sin(thigh)
    upward = build.shank_m * np.cos(shank) + build.thigh_m * np.cos(thigh)
    controls.pelvis_m[:, 2] += controls.ankle_m[..., 2].mean(axis=1) + lean * forward
    controls.pelvis_m[:, 1] = controls.ankle_m[..., 1].mean(axis=1) + lean * upward


def squat(controls: Controls, cue: Cue) -> None:
    """Hips back and down until the thighs are level (depth 1), knees over the toes, arms forward for balance."""
    effort, build = cue.effort, controls.build
    controls.ankle_m[..., 0] = SIGNS * 0.105 * build.height_m
    controls.foot_yaw_deg[:] = 16.0
    # The heel goes up about the ball, so the ankle comes forward with it.
    controls.raise_heels((32.0 * cue.fault("heels_up") * effort)[:, None] * np.ones(2))
    lean = 36 * effort + 30 * cue.fault("forward_lean") * smooth(effort / 0.8)
    shank = 28 * effort + 6 * cue.fault("heels_up") * effort
    bend_knees(controls, 89 * effort**1.05, shank)
    controls.pitch_deg += lean
    controls.spine_deg += 4 * effort
    controls.head_deg -= 0.7 * lean
    knees_inward(controls, 34 * cue.fault("knees_in") * smooth(effort / 0.6))
    uneven = cue.fault("asymmetric") * effort
    controls.pelvis_m[:, 0] += 0.055 * build.height_m * uneven
    controls.roll_deg -= 5 * uneven
    controls.spine_roll_deg -= 8 * uneven
    lift = blend(9, 84, effort) + 0.85 * lean
    set_arms(controls, (lift, blend(75, 8, effort)), (lift + 4, blend(35, 0, effort)))


def lunge(controls: Controls, cue: Cue) -> None:
    """A step forward, down until the front thigh is level, and back; right and left lead in turn."""
    effort, height = cue.effort, controls.build.height_m
    leads = [r.side for r in cue.times.repetitions]
    front = np.array([0 if index >= 0 and leads[index] == "left" else 1 for index in cue.times.index], dtype=np.int64)
    step, down = smooth(effort / 0.5), smooth((effort - 0.30) / 0.75)
    stride = 0.50 * height
    rows = np.arange(controls.frames)
    controls.ankle_m[rows, front, 2] += stride * step
    controls.ankle_m[rows, front, 1] += 0.07 * height * 4 * step * (1 - step)
    heel = np.zeros((controls.frames, 2))
    heel[rows, 1 - front] = 20 * step + 30 * down
    controls.raise_heels(heel)
    lowest = 0.295 * height + 0.03 * height * (1 - np.minimum(cue.times.depth, 1))
    controls.pelvis_m[:, 1] = blend(controls.pelvis_m[:, 1], lowest, down)
    controls.pelvis_m[:, 2] += blend(0.40, 0.50, down) * stride * step
    controls.pitch_deg += 3 * step + (4 + 28 * cue.fault("forward_lean")) * down
    controls.head_deg -= 20 * cue.fault("forward_lean") * down
    inward = np.zeros((controls.frames, 2))
    inward[rows, front] = 28 * cue.fault("knees_in") * down
    outward = controls.foot_yaw_deg - inward
    controls.knee_pole = rotation(SIGNS * outward)[..., 2]
    set_arms(controls, (blend(9, 34, step), blend(75, 70, step)), (blend(13, 112, step), blend(35, -72, step)))


def jumping_jack(controls: Controls, cue: Cue) -> None:
    """Feet apart and hands overhead with a hop, and back."""
    effort, height = cue.effort, controls.build.height_m
    apart = effort
    controls.ankle_m[..., 0] += SIGNS * 0.125 * height * apart[:, None]
    hop = 0.055 * height * 4 * np.clip(cue.times.phase, 0, 1) * (1 - np.clip(cue.times.phase, 0, 1))
    controls.ankle_m[..., 1] += hop[:, None]
    controls.foot_pitch_deg += (160 * hop / height)[:, None]
    controls.pelvis_m[:, 1] += hop
    lift = np.repeat(blend(9, 168, effort)[:, None], 2, axis=1)
    lift[:, 1] -= 55 * cue.fault("asymmetric") * effort
    set_arms(controls, (lift, 90 + 0 * effort), (lift + 6 - 4 * effort[:, None], 84 + 0 * effort))


def front_raise(controls: Controls, cue: Cue) -> None:
    """Straight arms with dumbbells from the thighs to shoulder height."""
    effort = cue.effort
    lift = np.repeat(blend(7, 90, effort)[:, None], 2, axis=1)
    lift[:, 1] -= 45 * cue.fault("asymmetric") * effort
    controls.pitch_deg -= 2.5 * effort
    set_arms(controls, (lift, blend(70, 6, effort)), (lift + 5, blend(25, 2, effort)))


def biceps_curl(controls: Controls, cue: Cue) -> None:
    """Forearms with dumbbells from hanging to the shoulders, upper arms still."""
    effort = cue.effort
    fore = np.repeat(blend(12, 142, effort)[:, None], 2, axis=1)
    fore[:, 1] -= 65 * cue.fault("asymmetric") * effort
    set_arms(controls, (blend(8, 14, effort), blend(80, 45, effort)), (fore, blend(30, 12, effort)))


def overhead_press(controls: Controls, cue: Cue) -> None:
    """A barbell from the collar bones to straight arms overhead."""
    effort, build = cue.effort, controls.build
    high = build.arm_m * 0.985
    width = 0.135 * build.height_m
    top = np.sqrt(high**2 - (width - build.shoulder_half_m) ** 2)
    lift = np.repeat(blend(0.03 * build.height_m, top, effort)[:, None], 2, axis=1)
    lift[:, 1] -= 0.07 * build.height_m * cue.fault("asymmetric") * effort
    controls.wrist_chest_m[..., 0] = SIGNS * width
    controls.wrist_chest_m[..., 1] = lift
    bow = 0.085 * build.height_m * (1 - smooth(effort / 0.7)) + 0.012 * build.height_m  # round the face
    controls.wrist_chest_m[..., 2] = bow[:, None]
    controls.elbow_pole = np.stack([SIGNS * 0.5, [-1.0, -1.0], [0.5, 0.5]], axis=-1) + 0 * controls.elbow_pole
    controls.spine_roll_deg -= 6 * cue.fault("asymmetric") * effort


def push_up(controls: Controls, cue: Cue) -> None:
    """A straight body on toes and hands; the chest goes down nearly to the floor."""
    effort, build, height = cue.effort, controls.build, controls.build.height_m
    controls.ankle_m[..., 0] = SIGNS * 0.06 * height
    controls.foot_yaw_deg[:] = 0.0
    toes_deg = 68.0
    controls.ankle_m[..., 1] = build.ankle_height_m
    controls.raise_heels(np.full((controls.frames, 2), toes_deg))
    ankle = controls.ankle_m.mean(axis=1)
    body = 0.990 * build.leg_m + build.trunk_m
    wrist_y, width = 0.028 * height, 0.135 * height
    high = np.sqrt((0.985 * build.arm_m) ** 2 - (width - build.shoulder_half_m) ** 2) + wrist_y
    shoulder_y = blend(high, 0.105 * height, effort)
    slope = np.arcsin((shoulder_y - ankle[:, 1]) / body)
    top_slope = np.arcsin((high - ankle[0, 1]) / body) if controls.frames else 0.0
    along = np.stack([0 * slope, np.sin(slope), np.cos(slope)], axis=1)
    controls.pelvis_m = ankle + 0.990 * build.leg_m * along
    controls.pelvis_m[:, 2] += 0.003 * np.sin(2 * np.pi * 0.2 * cue.times.time_s)
    controls.pitch_deg = 90 - np.degrees(slope)
    controls.spine_deg[:] = 0.0
    controls.head_deg -= 12
    controls.knee_pole = np.zeros_like(controls.knee_pole) + [0, -1.0, 0.3]
    hand_z = ankle[:, 2] + body * np.cos(top_slope)
    controls.wrist_m = np.stack(
        [SIGNS * width + 0 * hand_z[:, None], wrist_y + 0 * controls.ankle_m[..., 1], hand_z[:, None] + np.zeros(2)],
        axis=-1,
    )
    controls.spine_roll_deg += 9 * cue.fault("asymmetric") * effort
    controls.elbow_pole = np.stack([SIGNS * 0.8, [-0.7, -0.7], [-0.5, -0.5]], axis=-1) + 0 * controls.elbow_pole
    controls.foot_pitch_deg[:] = toes_deg
    _centre(controls)


def _centre(controls: Controls) -> None:
    """Move a lying body so that it is centred on its place."""
    shift = float(controls.pelvis_m[0, 2]) if controls.frames else 0.0
    controls.pelvis_m[:, 2] -= shift
    controls.ankle_m[..., 2] -= shift
    controls.wrist_m[..., 2] -= shift


def bar_height_m(height_m: float) -> float:
    """Height of the pull-up bar: within reach of a small jump."""
    return 1.31 * height_m + 0.05


def pull_up(controls: Controls, cue: Cue) -> None:
    """Hanging on a bar, up until the chin is over it, and down; the feet stay off the floor."""
    effort, build, height = cue.effort, controls.build, controls.build.height_m
    width, bar = 0.15 * height, bar_height_m(height)
    hang = np.sqrt((0.985 * build.arm_m) ** 2 - (width - build.shoulder_half_m) ** 2)
    below = blend(hang, 0.065 * height, effort)
    lean = np.radians(-4 - 9 * effort)
    controls.pitch_deg[:] = np.degrees(lean)
    back = blend(0.01, 0.075, effort) * height
    controls.pelvis_m[:, 1] = bar - below - build.trunk_m * np.cos(lean)
    controls.pelvis_m[:, 2] = -back - build.trunk_m * np.sin(lean) + 0.4 * controls.pelvis_m[:, 2]
    controls.wrist_m = np.zeros((controls.frames, 2, 3)) + [0, bar, 0]
    controls.wrist_m[..., 0] = SIGNS * width
    controls.elbow_pole = np.stack([SIGNS * 1.0, [-0.8, -0.8], [0.35, 0.35]], axis=-1) + 0 * controls.elbow_pole
    bent = np.radians(blend(22, 34, effort))
    hips = controls.hips_m()
    thigh = np.radians(blend(4, 12, effort))
    controls.ankle_m = hips.copy()
    controls.ankle_m[..., 1] -= (build.thigh_m * np.cos(thigh) + build.shank_m * np.cos(bent))[:, None]
    controls.ankle_m[..., 2] += (build.thigh_m * np.sin(thigh) - build.shank_m * np.sin(bent))[:, None]
    controls.foot_pitch_deg[:] = (np.degrees(bent) + 30)[:, None]
    controls.head_deg -= 8 * (1 - effort)
    uneven = cue.fault("asymmetric") * effort
    controls.roll_deg += 9 * uneven


def sit_up(controls: Controls, cue: Cue) -> None:
    """On the back with bent knees and the hands at the head; the trunk curls up to the thighs."""
    effort, build, height = cue.effort, controls.build, controls.build.height_m
    controls.ankle_m[..., 0] = SIGNS * 0.075 * height
    controls.pelvis_m = np.zeros((controls.frames, 3)) + [0, 0.060 * height, 0]
    controls.pelvis_m[:, 2] -= 0.10 * height
    controls.ankle_m[..., 2] = 0.26 * height
    controls.ankle_m[..., 1] = build.ankle_height_m
    controls.knee_pole = np.zeros_like(controls.knee_pole) + [0, 1.0, 0.4]
    controls.pitch_deg = blend(-90, -34, smooth((effort - 0.15) / 0.9))
    controls.spine_deg = blend(0, 36, smooth(effort / 0.75))
    controls.head_deg = blend(4, 18, smooth(effort / 0.5)) - 6
    controls.wrist_chest_m[..., 0] = SIGNS * 0.070 * height
    controls.wrist_chest_m[..., 1] = 0.105 * height
    controls.wrist_chest_m[..., 2] = 0.030 * height
    controls.elbow_pole = np.stack([SIGNS * 1.0, [0.2, 0.2], [0.35, 0.35]], axis=-1) + 0 * controls.elbow_pole


def bench_press(controls: Controls, cue: Cue) -> None:
    """On a bench, feet on the floor, a barbell from straight arms down to the chest and up."""
    effort, build, height = cue.effort, controls.build, controls.build.height_m
    controls.pelvis_m = np.zeros((controls.frames, 3)) + [0, BENCH_HEIGHT_M + 0.062 * height, 0]
    controls.pitch_deg[:] = -90.0
    controls.spine_deg[:] = 2.0
    controls.head_deg[:] = 0.0
    controls.ankle_m[..., 0] = SIGNS * 0.13 * height
    controls.ankle_m[..., 2] = 0.22 * height
    controls.ankle_m[..., 1] = build.ankle_height_m
    controls.foot_yaw_deg[:] = 14.0
    controls.knee_pole = np.zeros_like(controls.knee_pole) + [0, 0.9, 1.0]
    controls.knee_pole[..., 0] = 0.25 * SIGNS
    width = 0.15 * height
    arm = np.sqrt((0.985 * build.arm_m) ** 2 - (width - build.shoulder_half_m) ** 2)
    out = np.repeat(blend(arm, 0.085 * height, effort)[:, None], 2, axis=1)
    out[:, 1] += 0.09 * height * cue.fault("asymmetric") * effort
    controls.wrist_chest_m[..., 0] = SIGNS * width
    controls.wrist_chest_m[..., 1] = blend(0.0, -0.045 * height, effort)[:, None]
    controls.wrist_chest_m[..., 2] = out
    controls.elbow_pole = np.stack([SIGNS * 1.0, [-0.75, -0.75], [-0.5, -0.5]], axis=-1) + 0 * controls.elbow_pole
