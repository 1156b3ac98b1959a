"""Everyday motions on two feet: standing, walking, sitting down, picking up, tying shoes."""

from __future__ import annotations

import numpy as np

from pipeline.poses import Array
from pipeline.synthetic.body import SIGNS, Controls
from pipeline.synthetic.exercises import bend_knees, blend, set_arms
from pipeline.synthetic.timeline import Cue, smooth

CHAIR_HEIGHT_M = 0.45
STEP_S = 0.56  # about 107 steps a minute, a comfortable walk
STEP_SHARE = 0.36  # of body height


def stand(controls: Controls, cue: Cue) -> None:
    """Standing, with a look around."""
    controls.spine_yaw_deg += 4 * np.sin(2 * np.pi * 0.21 * cue.since_s)


def sit_down(controls: Controls, cue: Cue) -> None:
    """From standing on to a chair, the trunk leaning forward on the way, and up again."""
    effort, height = cue.effort, controls.build.height_m
    seat_y = CHAIR_HEIGHT_M + 0.062 * height
    controls.ankle_m[..., 0] = SIGNS * 0.075 * height
    start = controls.pelvis_m.copy()
    down, back = smooth(effort), smooth(effort / 0.85)
    controls.pelvis_m[:, 1] = blend(start[:, 1], seat_y, down)
    controls.pelvis_m[:, 2] = start[:, 2] + back * -0.235 * height
    lean = np.sin(np.pi * np.clip(effort, 0, 1)) ** 2 * 34 + 4 * effort
    controls.pitch_deg += lean
    controls.head_deg -= 0.6 * lean
    set_arms(controls, (blend(9, 30, effort), blend(75, 20, effort)), (blend(13, 82, effort), blend(35, -12, effort)))


def pick_up(controls: Controls, cue: Cue) -> None:
    """Bending knees and hips to take something from the floor with the right hand."""
    effort, height = cue.effort, controls.build.height_m
    controls.ankle_m[..., 0] = SIGNS * 0.09 * height
    bend_knees(controls, 74 * effort, 26 * effort)
    controls.pitch_deg += 50 * effort
    controls.spine_deg += 22 * effort
    controls.head_deg -= 18 * effort
    controls.spine_roll_deg += 7 * effort
    grasp = np.array([-0.075, 0.05, 0.24]) * height
    hanging = _hanging_wrists(controls)
    share = smooth(effort / 0.9)[:, None]
    controls.wrist_m[:, 1] = hanging[:, 1] + (grasp - hanging[:, 1]) * share
    controls.elbow_pole[:, 1] = [-1.0, 0.0, -0.8]
    knee = controls.ankle_m[:, 0] + np.array([0.02, 0.26, 0.16]) * height  # the other hand rests on the knee
    controls.wrist_m[:, 0] = hanging[:, 0] + (knee - hanging[:, 0]) * share
    controls.elbow_pole[:, 0] = [1.0, 0.3, -0.6]


def tie_shoes(controls: Controls, cue: Cue) -> None:
    """A deep crouch with both hands at the right shoe for a while."""
    effort, height = cue.effort, controls.build.height_m
    controls.ankle_m[..., 0] = SIGNS * 0.07 * height
    controls.ankle_m[:, 1, 2] += 0.10 * height
    controls.ankle_m[:, 0, 2] -= 0.08 * height
    heel = np.zeros((controls.frames, 2))
    heel[:, 0] = 34 * effort
    controls.raise_heels(heel)
    bend_knees(controls, 112 * effort, 40 * effort)
    controls.pitch_deg += 40 * effort
    controls.spine_deg += 32 * effort
    controls.head_deg -= 8 * effort
    hanging = _hanging_wrists(controls)
    share = smooth(effort / 0.95)[:, None]
    busy = 0.012 * np.sin(2 * np.pi * 1.1 * cue.times.time_s) * effort
    for side in (0, 1):
        shoe = controls.ankle_m[:, 1] + np.array([SIGNS[side] * 0.030, 0.035, 0.085]) * height
        shoe[:, 0] += SIGNS[side] * busy
        controls.wrist_m[:, side] = hanging[:, side] + (shoe - hanging[:, side]) * share
        controls.elbow_pole[:, side] = [SIGNS[side] * 1.0, 0.1, -0.5]


def _hanging_wrists(controls: Controls) -> Array:
    """(T, 2, 3) where relaxed hands are: a little in front of and beside the hips, straight below the shoulders."""
    shoulders = controls.shoulders_m()
    aside = controls.chest_rotation()[:, None, :, 0] * SIGNS[:, None]
    return shoulders + [0, -0.972 * controls.build.arm_m, 0.02] + 0.035 * controls.build.height_m * aside


def walk(controls: Controls, cue: Cue) -> None:
    """Steps straight ahead, the path centred on the person's place; each foot stays planted until its next step."""
    steps, height = cue.repetitions, controls.build.height_m
    length = STEP_SHARE * height
    # The foot of step k travels while STEP_S * k <= t < STEP_S * (k + 1); a last half step brings the feet together.
    plants = _foot_plants(steps, length)
    t = cue.since_s / STEP_S
    start = -length * steps / 2
    for side in (0, 1):
        moves = plants[side]
        z = np.full(controls.frames, start)
        lift = np.zeros(controls.frames)
        pitch = np.zeros(controls.frames)
        for number, (begin, target) in moves.items():
            share = smooth(t - number)
            z += (target - begin) * share
            lift += 0.045 * height * np.sin(np.pi * np.clip(t - number, 0, 1)) ** 2
            # toe-off before the swing, toes up at its end, flat soon after
            pitch += 42 * _bump(t, number - 0.30, number + 0.12, number + 0.55)
            pitch -= 16 * _bump(t, number + 0.60, number + 0.96, number + 1.18)
        controls.ankle_m[:, side, 2] = z
        controls.ankle_m[:, side, 1] += lift
        heel = np.zeros((controls.frames, 2))
        heel[:, side] = np.maximum(pitch, 0)
        controls.raise_heels(heel)
        controls.foot_pitch_deg[:, side] += np.minimum(pitch, 0)
        controls.ankle_m[:, side, 1] += np.maximum(-pitch, 0) * 0.0004 * height
    controls.ankle_m[..., 0] *= 0.72
    controls.foot_yaw_deg[:] = 7.0
    mean_z = controls.ankle_m[..., 2].mean(axis=1)
    controls.pelvis_m[:, 2] += _average(mean_z, cue.since_s, 0.5 * STEP_S)
    moving = smooth(t / 0.8) * smooth((steps + 1 - t) / 0.8)
    controls.pelvis_m[:, 1] -= moving * height * (0.010 + 0.010 * np.cos(2 * np.pi * t))
    controls.pelvis_m[:, 0] += moving * 0.010 * height * np.sin(np.pi * (t + 0.5)) * -1
    swing = moving * np.cos(np.pi * t)  # +1 when the right foot is about to swing forward
    controls.yaw_deg += 4 * swing
    controls.spine_yaw_deg -= 9 * swing
    controls.pitch_deg += 3 * moving
    arm = np.stack([-swing, swing], axis=1) * 22
    controls.arm_deg[..., 0] = arm + 4
    controls.arm_deg[..., 1] = 12.0
    controls.forearm_deg[..., 0] = arm + 20
    controls.forearm_deg[..., 1] = 6.0


def _foot_plants(steps: int, length: float) -> tuple[dict[int, tuple[float, float]], dict[int, tuple[float, float]]]:
    """For each foot (left, right): step number -> (from, to) along the path; step 0 is the right foot's."""
    start = -length * steps / 2
    at = [start, start]
    moves: tuple[dict[int, tuple[float, float]], dict[int, tuple[float, float]]] = ({}, {})
    for number in range(steps + 1):
        side = 1 - number % 2
        target = start + length * min(number + 1, steps)
        if steps:
            moves[side][number] = (at[side], target)
        at[side] = target
    return moves


def _bump(t: Array, start: float, peak: float, end: float) -> Array:
    """0 before ``start``, 1 at ``peak``, 0 after ``end``."""
    return smooth((t - start) / (peak - start)) * (1 - smooth((t - peak) / (end - peak)))


def _average(values: Array, time_s: Array, width_s: float) -> Array:
    """Values smoothed in time by a Gaussian of this standard deviation, whatever the frame rate."""
    if len(values) < 2:
        return values
    weights = np.exp(-0.5 * ((time_s[:, None] - time_s) / width_s) ** 2)
    steps = np.gradient(time_s)
    smoothed: Array = (weights * steps) @ values / (weights @ steps)
    return smoothed
