"""Repeated movements that are none of the exercises but look like one: what must be learnt to stay unnamed.

Our own figure in the gym: raises to the side, burpees, swings, good mornings, leg raises and so on, each with its own
size, speed and range. Real films of these are not among the data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.poses import Array
from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.windows import RATE_HZ
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.body import SIGNS, Build, Controls, rotation
from pipeline.synthetic.exercises import bend_knees, blend, pull_up, push_up, set_arms, sit_up, squat
from pipeline.synthetic.timeline import Cue, Tempo, repetition_plan, smooth, sway, timeline
from pipeline.training.recognition_sources import Body

Move = Callable[[Controls, Cue, np.random.Generator], None]


@dataclass(frozen=True)
class NearMiss:
    """A movement: what it does, and its usual tempo."""

    perform: Move
    tempo: Tempo = field(default_factory=lambda: Tempo(0.9, 0.15, 0.9, 0.25))


def _turns(cue: Cue) -> Array:
    """(T,) +1 and -1 in turn, from repetition to repetition."""
    return np.where(cue.times.index % 2 == 0, 1.0, -1.0)


def _hinge(controls: Controls, effort: Array, thigh_deg: float, lean_deg: float) -> Array:
    """Hips back, knees a little bent, the trunk forward by the returned angles (T,) in degrees."""
    bend_knees(controls, thigh_deg * effort, 0.3 * thigh_deg * effort)
    lean = lean_deg * effort
    controls.pitch_deg += lean
    return lean


def _hanging(controls: Controls, lean: Array | float, aside_deg: float = 0.0) -> None:
    """Straight arms that hang from a trunk leaning by these degrees."""
    down = np.broadcast_to(np.asarray(lean, dtype=np.float64) + 4.0, (controls.frames,))
    set_arms(controls, (down, aside_deg + 0 * down), (down + 3, aside_deg + 0 * down))


def _legs_aside(
    controls: Controls, raised_m: Array, forward_m: Array, turns: Array, aside_m: Array | float = 0
) -> None:
    """One foot after the other leaves its place by these metres (T,)."""
    for side, sign in enumerate((1.0, -1.0)):
        own = turns == sign
        controls.ankle_m[:, side, 1] += raised_m * own
        controls.ankle_m[:, side, 2] += forward_m * own
        controls.ankle_m[:, side, 0] += sign * aside_m * own


def lateral_raise(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Straight arms sideways to the shoulders' height."""
    lift, plane, bent = blend(7, rng.uniform(70, 105), cue.effort), rng.uniform(68, 100), rng.uniform(0, 25)
    set_arms(controls, (lift, plane + 0 * lift), (lift + bent * cue.effort, plane - bent + 0 * lift))


def arms_overhead(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Sideways up to over the head: a jumping jack without the jump."""
    lift, plane = blend(8, rng.uniform(140, 178), cue.effort), rng.uniform(80, 98)
    set_arms(controls, (lift, plane + 0 * lift), (lift + 4, plane + 0 * lift))


def legs_apart(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """A jumping jack with the hands on the hips."""
    hop = 0.05 * controls.build.height_m * np.sin(np.pi * np.clip(cue.times.phase, 0, 1))
    controls.ankle_m[..., 0] += SIGNS * (rng.uniform(0.08, 0.14) * controls.build.height_m * cue.effort)[:, None]
    controls.ankle_m[..., 1] += hop[:, None]
    controls.pelvis_m[:, 1] += hop
    set_arms(controls, (40 + 0 * hop, 80 + 0 * hop), (30 + 0 * hop, -70 + 0 * hop))


def arm_circles(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Straight arms out to the side, circling small or large."""
    turn = 2 * np.pi * cue.since_s / rng.uniform(0.7, 1.8) * rng.choice([-1, 1])
    size = rng.uniform(12, 75)
    lift, plane = 90 + size * np.sin(turn), 85 + size * np.cos(turn)
    set_arms(controls, (lift, plane), (lift, plane))


def arms_open(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Arms at the height of the shoulders, from before the chest out to the sides."""
    level, plane = rng.uniform(75, 95), blend(rng.uniform(-5, 15), rng.uniform(80, 105), cue.effort)
    set_arms(controls, (level + 0 * plane, plane), (level + 0 * plane, plane))


def one_arm_wave(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """One hand raised and waving, the other arm hangs."""
    side, up = rng.integers(2), rng.uniform(60, 150)
    controls.arm_deg[:, side] = np.stack([0 * cue.effort + up, 0 * cue.effort + rng.uniform(10, 90)], axis=1)
    controls.forearm_deg[:, side] = np.stack([blend(150, 190, cue.effort), blend(40, 120, cue.effort)], axis=1)


def upright_row(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Hands close together from the thighs to the collar bones, elbows out."""
    height = controls.build.height_m
    controls.wrist_chest_m[..., 0] = SIGNS * rng.uniform(0.03, 0.09) * height
    controls.wrist_chest_m[..., 1] = blend(-0.30 * height, rng.uniform(-0.06, 0.0) * height, cue.effort)[:, None]
    controls.wrist_chest_m[..., 2] = 0.075 * height
    controls.elbow_pole = np.stack([SIGNS * 1.0, [0.5, 0.5], [0.1, 0.1]], axis=-1) + 0 * controls.elbow_pole


def pushdown(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Upper arms at the sides, forearms from level down: the other half of a curl."""
    controls.pitch_deg += rng.uniform(0, 20)
    upper, fore = blend(rng.uniform(5, 25), 5, cue.effort), blend(rng.uniform(85, 110), 12, cue.effort)
    set_arms(controls, (upper, 40 + 0 * upper), (fore, -8 + 0 * fore))


def overhead_extension(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Upper arms beside the head, the hands from behind it to straight up."""
    fore = blend(rng.uniform(270, 300), 182, cue.effort)
    set_arms(controls, (168 + 0 * fore, 25 + 0 * fore), (fore, 5 + 0 * fore))


def bent_row(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """The trunk held forward, the hands from hanging to the belly."""
    height, lean = controls.build.height_m, rng.uniform(35, 80)
    _hinge(controls, np.ones(controls.frames), rng.uniform(20, 45), lean)
    arm, turn = 0.96 * controls.build.arm_m, np.radians(lean)
    controls.wrist_chest_m[..., 0] = SIGNS * 0.11 * height
    controls.wrist_chest_m[..., 1] = blend(-arm * np.cos(turn), -0.20 * height, cue.effort)[:, None]
    controls.wrist_chest_m[..., 2] = blend(arm * np.sin(turn), 0.05 * height, cue.effort)[:, None]


def good_morning(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Bowing from the hips with the hands at the shoulders."""
    height = controls.build.height_m
    _hinge(controls, cue.effort, rng.uniform(10, 35), rng.uniform(55, 90))
    controls.wrist_chest_m[..., 0] = SIGNS * 0.13 * height
    controls.wrist_chest_m[..., 1] = 0.02 * height
    controls.wrist_chest_m[..., 2] = 0.0


def deadlift(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Hips and knees bend, the arms hang with a bar."""
    _hanging(controls, _hinge(controls, cue.effort, rng.uniform(15, 60), rng.uniform(45, 80)))


def swing(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Kettlebell swings: from between the legs to the height of the chest."""
    lean = _hinge(controls, cue.effort, rng.uniform(30, 55), rng.uniform(45, 70))
    lift = blend(rng.uniform(80, 110), -15, smooth(cue.effort)) + lean * smooth(cue.effort)
    set_arms(controls, (lift, -8 + 0 * lift), (lift, -8 + 0 * lift))


def toe_touch(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Bowing down to the feet with straight legs, from arms up or down."""
    lean = rng.uniform(70, 95) * cue.effort
    controls.pitch_deg += lean
    controls.spine_deg += 30 * cue.effort
    lift = blend(rng.choice([8.0, 170.0]), 0, cue.effort) + (lean + 20) * cue.effort
    set_arms(controls, (lift, 5 + 0 * lift), (lift, 5 + 0 * lift))


def side_bend(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """The trunk to the left and right."""
    controls.spine_roll_deg += rng.uniform(20, 40) * cue.effort * _turns(cue)
    lift = np.full(controls.frames, rng.choice([9.0, 50.0, 165.0]))
    set_arms(controls, (lift, 80 + 0 * lift), (lift, 60 + 0 * lift))


def twist(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """The trunk turns left and right, hands before the chest."""
    controls.spine_yaw_deg += rng.uniform(30, 60) * cue.effort * _turns(cue)
    controls.yaw_deg += 10 * cue.effort * _turns(cue)
    lift = np.full(controls.frames, rng.uniform(20, 85))
    set_arms(controls, (lift, 50 + 0 * lift), (95 + 0 * lift, -40 + 0 * lift))


def punches(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Guard up, one fist after the other."""
    turns = _turns(cue)
    controls.spine_yaw_deg -= 18 * cue.effort * turns
    out = np.stack([cue.effort * (turns > 0), cue.effort * (turns < 0)], axis=1)
    set_arms(
        controls, (blend(28, rng.uniform(80, 95), out), blend(35, 5, out)), (blend(150, 90, out), blend(0, 0, out))
    )


def high_knees(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Marching or running on the spot."""
    height = controls.build.height_m
    raised = rng.uniform(0.12, 0.27) * height * cue.effort
    _legs_aside(controls, raised, 0.5 * raised, _turns(cue))
    swung = np.stack([-_turns(cue), _turns(cue)], axis=1) * cue.effort[:, None] * rng.uniform(0, 45)
    set_arms(controls, (swung + 5, 10 + 0 * swung), (swung + rng.uniform(10, 90), 5 + 0 * swung))


def butt_kicks(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Heels to the seat in turn."""
    height = controls.build.height_m
    up = rng.uniform(0.20, 0.28)
    _legs_aside(controls, up * height * cue.effort, -0.24 * height * cue.effort, _turns(cue))


def leg_swing(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """A straight leg forwards, backwards or aside; one side or in turn."""
    height, far = controls.build.height_m, rng.uniform(0.15, 0.42)
    turns = _turns(cue) if rng.random() < 0.5 else np.full(controls.frames, rng.choice([-1.0, 1.0]))
    way = rng.integers(3)
    forward = (far, -0.6 * far, 0.0)[way] * height * cue.effort
    aside = (0.0, 0.0, far)[way] * height * cue.effort
    _legs_aside(controls, 0.5 * far * height * cue.effort**2, forward, turns, aside)


def calf_raise(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Up on the toes."""
    controls.raise_heels((rng.uniform(25, 45) * cue.effort)[:, None] * np.ones(2))
    controls.pelvis_m[:, 1] += 0.04 * controls.build.height_m * cue.effort


def hop(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Skipping with or without a rope."""
    up = rng.uniform(0.03, 0.10) * controls.build.height_m * np.sin(np.pi * np.clip(cue.times.phase, 0, 1))
    controls.ankle_m[..., 1] += up[:, None]
    controls.pelvis_m[:, 1] += up - 0.02
    turn = 2 * np.pi * cue.since_s / 0.5
    set_arms(controls, (25 + 4 * np.sin(turn), 70 + 0 * turn), (50 + 14 * np.sin(turn), 85 + 14 * np.cos(turn)))


def squat_hold(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Down in a squat and staying there, or only just bouncing."""
    squat(controls, _held(cue, rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.12)))


def plank(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Held at the top of a push-up."""
    push_up(controls, _held(cue, rng.uniform(0.0, 0.1), 0.04))


def mountain_climber(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Held at the top of a push-up, the knees to the chest in turn."""
    push_up(controls, _held(cue, 0.0, 0.0))
    height = controls.build.height_m
    _legs_aside(controls, 0.10 * height * cue.effort, rng.uniform(0.3, 0.45) * height * cue.effort, _turns(cue))


def dead_hang(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Hanging on a bar, the knees or straight legs drawn up."""
    pull_up(controls, _held(cue, rng.uniform(0.0, 0.1), 0.03))
    height, far = controls.build.height_m, rng.uniform(0.0, 0.4)
    controls.ankle_m[..., 1] += (far * height * cue.effort)[:, None]
    controls.ankle_m[..., 2] += (rng.uniform(0.2, 0.4) * height * np.sqrt(far) * cue.effort)[:, None]


def leg_raise(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """On the back, straight legs up to the vertical and down."""
    sit_up(controls, _held(cue, 0.0, 0.02))
    leg, turn = rng.uniform(0.85, 0.97) * controls.build.leg_m, np.radians(blend(4, rng.uniform(60, 95), cue.effort))
    hips = controls.pelvis_m[:, None] + 0 * controls.ankle_m
    controls.ankle_m[..., 1] = hips[..., 1] + (leg * np.sin(turn))[:, None]
    controls.ankle_m[..., 2] = hips[..., 2] + (leg * np.cos(turn))[:, None]
    arms = np.full(controls.frames, rng.uniform(8, 25))
    controls.wrist_chest_m[:] = np.nan
    set_arms(controls, (arms, 80 + 0 * arms), (arms, 80 + 0 * arms))


def glute_bridge(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """On the back with bent knees, the hips up and down."""
    sit_up(controls, _held(cue, 0.0, 0.02))
    up = np.radians(rng.uniform(20, 38)) * cue.effort
    controls.pelvis_m[:, 1] += controls.build.trunk_m * np.sin(up)
    controls.pitch_deg -= np.degrees(up)
    controls.wrist_chest_m[:] = np.nan
    arms = np.full(controls.frames, rng.uniform(8, 30))
    set_arms(controls, (arms, 80 + 0 * arms), (arms, 80 + 0 * arms))


def seated_twist(controls: Controls, cue: Cue, rng: np.random.Generator) -> None:
    """Half way up from a sit-up, the trunk turning left and right."""
    sit_up(controls, _held(cue, rng.uniform(0.6, 0.9), 0.03))
    controls.spine_yaw_deg += rng.uniform(25, 50) * cue.effort * _turns(cue)


NEAR_MISSES: dict[str, NearMiss] = {
    "lateral_raise": NearMiss(lateral_raise, Tempo(1.0, 0.2, 1.1, 0.3)),
    "arms_overhead": NearMiss(arms_overhead),
    "legs_apart": NearMiss(legs_apart, Tempo(0.45, 0.02, 0.45, 0.05)),
    "arm_circles": NearMiss(arm_circles),
    "arms_open": NearMiss(arms_open),
    "one_arm_wave": NearMiss(one_arm_wave, Tempo(0.4, 0.0, 0.4, 0.0)),
    "upright_row": NearMiss(upright_row),
    "pushdown": NearMiss(pushdown),
    "overhead_extension": NearMiss(overhead_extension),
    "bent_row": NearMiss(bent_row),
    "good_morning": NearMiss(good_morning, Tempo(1.2, 0.2, 1.1, 0.3)),
    "deadlift": NearMiss(deadlift, Tempo(1.2, 0.3, 1.1, 0.4)),
    "swing": NearMiss(swing, Tempo(0.7, 0.0, 0.6, 0.05)),
    "toe_touch": NearMiss(toe_touch, Tempo(1.0, 0.1, 1.0, 0.2)),
    "side_bend": NearMiss(side_bend, Tempo(1.0, 0.2, 1.0, 0.1)),
    "twist": NearMiss(twist, Tempo(0.6, 0.0, 0.6, 0.0)),
    "punches": NearMiss(punches, Tempo(0.25, 0.02, 0.3, 0.1)),
    "high_knees": NearMiss(high_knees, Tempo(0.3, 0.02, 0.3, 0.02)),
    "butt_kicks": NearMiss(butt_kicks, Tempo(0.3, 0.02, 0.3, 0.02)),
    "leg_swing": NearMiss(leg_swing, Tempo(0.7, 0.1, 0.7, 0.2)),
    "calf_raise": NearMiss(calf_raise, Tempo(0.7, 0.3, 0.7, 0.3)),
    "hop": NearMiss(hop, Tempo(0.25, 0.0, 0.25, 0.02)),
    "squat_hold": NearMiss(squat_hold),
    "plank": NearMiss(plank),
    "mountain_climber": NearMiss(mountain_climber, Tempo(0.35, 0.02, 0.35, 0.05)),
    "dead_hang": NearMiss(dead_hang, Tempo(0.9, 0.3, 0.9, 0.4)),
    "leg_raise": NearMiss(leg_raise, Tempo(1.1, 0.2, 1.1, 0.2)),
    "glute_bridge": NearMiss(glute_bridge, Tempo(0.8, 0.3, 0.8, 0.2)),
    "seated_twist": NearMiss(seated_twist, Tempo(0.5, 0.05, 0.5, 0.05)),
}


def _held(cue: Cue, level: float, wander: float) -> Cue:
    """The same cue with the movement's phase held at ``level``, wandering a little."""
    phase = np.clip(level + wander * sway(cue.times.time_s, cue.seed, 9), 0, 1)
    return replace(cue, times=replace(cue.times, phase=phase, depth=np.ones_like(phase)))


def performed(name: str, rng: np.random.Generator) -> Array:
    """(T, 33, 3) metres, y up, at ``RATE_HZ``: one person doing it some ten seconds long."""
    miss = NEAR_MISSES[name]
    pace, usual = rng.uniform(0.65, 1.6), miss.tempo
    tempo = Tempo(usual.down_s * pace, usual.pause_s * pace, usual.up_s * pace, usual.rest_s * rng.uniform(0, 2))
    build = Build(rng.uniform(1.5, 1.95), rng.uniform(0.85, 1.25), rng.uniform(0.94, 1.06))
    seed, variation = int(rng.integers(1 << 30)), float(rng.uniform(0.5, 2))
    count = max(2, int(9.0 / tempo.total_s))
    plan = repetition_plan(count, tempo, 0.5, float(rng.uniform(0.75, 1.1)), {}, seed, variation, True)
    duration_s = plan[-1].end_s + 0.5
    time_s = np.arange(0, duration_s, 1 / RATE_HZ)
    times = timeline(time_s, plan, tempo, duration_s)
    controls = Controls(build, len(time_s))
    drift = [variation * sway(time_s, seed, channel) for channel in range(4)]
    controls.pelvis_m[:, 0] += 0.008 * drift[0]
    controls.pelvis_m[:, 2] += 0.008 * drift[1]
    controls.head_deg += 3.0 * drift[2]
    miss.perform(controls, Cue(time_s, times, {}, count, seed), rng)
    return controls.joints_m()


def burpee(rng: np.random.Generator) -> Array:
    """(T, 33, 3) metres: down into a crouch, the feet back, perhaps a push-up, and up again, perhaps with a jump.

    Between key postures the joints go straight, which is how far a recogniser in boxes can see it anyway.
    """
    build = Build(rng.uniform(1.5, 1.95), rng.uniform(0.85, 1.25), rng.uniform(0.94, 1.06))
    one = np.zeros(2)

    def posture(motion: Callable[[Controls, Cue], None], level: float) -> Array:
        controls = Controls(build, 2)
        plan = repetition_plan(1, Tempo(), 0.0, 1.0, {}, 0, 0.0, False)
        cue = Cue(one, timeline(one, plan, Tempo(), 1.0), {}, 1, 0)
        motion(controls, _held(cue, level, 0.0))
        return controls.joints_m()[0]

    def upright(_: Controls, __: Cue) -> None:
        """As a fresh body stands."""

    def hands_up(controls: Controls, _: Cue) -> None:
        lift = np.full(controls.frames, 172.0)
        controls.pelvis_m[:, 1] += 0.08 * build.height_m
        controls.ankle_m[..., 1] += 0.08 * build.height_m
        set_arms(controls, (lift, 20 + 0 * lift), (lift, 20 + 0 * lift))

    def crouch(controls: Controls, _: Cue) -> None:
        bend_knees(controls, np.full(2, 105.0), np.full(2, 38.0))
        controls.pitch_deg += 58.0
        controls.spine_deg += 30.0
        controls.wrist_m[:] = controls.ankle_m + np.array([0.0, 0.0, 0.22 * build.height_m])
        controls.wrist_m[..., 1] = 0.03 * build.height_m

    stand, low, top, jump, down = (
        posture(motion, level)
        for motion, level in ((upright, 0.0), (crouch, 0.0), (push_up, 0.0), (hands_up, 0.0), (push_up, 1.0))
    )
    hands = [BLAZEPOSE_33.index(f"{side}_wrist") for side in ("left", "right")]
    top, down = (pose + (low[hands].mean(axis=0) - top[hands].mean(axis=0)) * (1, 0, 1) for pose in (top, down))
    press, leap, pace = rng.random() < 0.7, rng.random() < 0.6, rng.uniform(0.7, 1.5)
    cycle = [(low, 0.7), (top, 0.45), *([(down, 0.5), (top, 0.5)] if press else []), (low, 0.45), (stand, 0.6)]
    cycle += [(jump, 0.3), (stand, 0.35)] if leap else []
    keys, at = [stand, stand], [0.0, 0.5]
    for _ in range(int(rng.integers(2, 5))):
        for pose, seconds in cycle:
            keys.append(pose)
            at.append(at[-1] + seconds * pace * rng.uniform(0.85, 1.2))
    time_s = np.arange(0, at[-1], 1 / RATE_HZ)
    number = np.clip(np.searchsorted(at, time_s, side="right") - 1, 0, len(at) - 2)
    share = smooth((time_s - np.array(at)[number]) / np.diff(at)[number])[:, None, None]
    postures = np.array(keys)
    return postures[number] * (1 - share) + postures[number + 1] * share


def near_misses(rng: np.random.Generator, takes: int) -> Iterator[Body]:
    """``takes`` people for each of the movements, three times as many for burpees; all unknown."""
    for name in [*NEAR_MISSES, *["burpee"] * 3]:
        for number in range(takes):
            points = burpee(rng) if name == "burpee" else performed(name, rng)
            points = points @ rotation(float(rng.uniform(0, 360))).T
            group = f"near_miss/{name}/{number}"
            yield Body("near_miss", group, f"{name}-{number}", points,
                       np.full(len(points), CLASSES.index(UNKNOWN), np.int8))  # fmt: skip
