"""The repertoire: every motion by name, from a few numbers to 3D joints with exact ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic import daily, exercises, falling
from pipeline.synthetic.body import Build, Controls, rotation
from pipeline.synthetic.timeline import (
    FAULTS,
    Cue,
    FallTimes,
    MotionError,
    Repetition,
    Tempo,
    repetition_plan,
    sway,
    timeline,
)

Performance = Callable[[Controls, Cue], FallTimes | None]


@dataclass(frozen=True)
class Motion:
    """One entry of the repertoire.

    Attributes:
        perform: sets the controls of every frame; returns the times of a fall, if it is one.
        tempo: what is natural for it.
        faults: those that mean something here.
        on_floor: most of it happens on the floor or on a bench.
        repeats: it has repetitions; otherwise it happens once.
        alternating: right and left side take turns.
        once_s: seconds that a motion without repetitions takes.
        props: names of the objects that belong to it.
    """

    perform: Performance
    tempo: Tempo = field(default_factory=Tempo)
    faults: tuple[str, ...] = ()
    on_floor: bool = False
    repeats: bool = True
    alternating: bool = False
    once_s: float = 0.0
    props: tuple[str, ...] = ()


_LEGS = ("knees_in", "heels_up", "forward_lean", "shallow", "asymmetric")
_SHORT = ("shallow", "asymmetric")
MOTIONS: dict[str, Motion] = {
    "squat": Motion(exercises.squat, Tempo(1.2, 0.2, 1.0, 0.4), _LEGS),
    "push_up": Motion(exercises.push_up, Tempo(0.9, 0.1, 0.8, 0.2), _SHORT, on_floor=True),
    "pull_up": Motion(exercises.pull_up, Tempo(1.0, 0.2, 1.1, 0.3), _SHORT, props=("high_bar",)),
    "sit_up": Motion(exercises.sit_up, Tempo(1.0, 0.1, 1.0, 0.2), ("shallow",), on_floor=True),
    "lunge": Motion(exercises.lunge, Tempo(1.3, 0.2, 1.2, 0.3), _LEGS[:1] + _LEGS[2:4], alternating=True),
    "jumping_jack": Motion(exercises.jumping_jack, Tempo(0.45, 0.02, 0.45, 0.05), _SHORT),
    "front_raise": Motion(exercises.front_raise, Tempo(1.1, 0.2, 1.2, 0.3), _SHORT, props=("dumbbells",)),
    "bench_press": Motion(exercises.bench_press, Tempo(1.1, 0.2, 0.9, 0.4), _SHORT, on_floor=True,
                          props=("bench", "barbell")),
    "biceps_curl": Motion(exercises.biceps_curl, Tempo(1.0, 0.2, 1.1, 0.3), _SHORT, props=("dumbbells",)),
    "overhead_press": Motion(exercises.overhead_press, Tempo(1.1, 0.2, 1.1, 0.3), _SHORT, props=("barbell",)),
    "sit_down": Motion(daily.sit_down, Tempo(1.5, 1.2, 1.4, 0.6), props=("chair",)),
    "pick_up": Motion(daily.pick_up, Tempo(1.4, 0.3, 1.3, 0.6), props=("object",)),
    "tie_shoes": Motion(daily.tie_shoes, Tempo(1.5, 3.0, 1.4, 0.5)),
    "walk": Motion(daily.walk, repeats=False, once_s=3.0),
    "stand": Motion(daily.stand, repeats=False, once_s=3.0),
    "fall_forward": Motion(falling.fall_forward, repeats=False, once_s=3.0, on_floor=True),
    "fall_backward": Motion(falling.fall_backward, repeats=False, once_s=3.0, on_floor=True),
    "fall_sideways": Motion(falling.fall_sideways, repeats=False, once_s=3.0, on_floor=True),
    "lie_down": Motion(falling.lie_down, repeats=False, once_s=6.0, on_floor=True),
}  # fmt: skip


@dataclass(frozen=True)
class Actor:
    """One person and what they do. Angles in degrees, lengths in metres, times in seconds.

    Attributes:
        motion: a name in ``MOTIONS``.
        repetitions: how often; steps for a walk; ignored where a motion happens once.
        tempo: None is the motion's own.
        depth: share of the full range of movement, 1 full.
        faults: {fault: severity 0..1}; only the motion's own faults.
        lead_in_s, lead_out_s: standing (or lying) still before and after.
        unfinished_last: the clip ends at the turning point of the last repetition.
        build: size of the person; place_m: (x, z) on the floor; facing_deg: 0 towards a front camera, 90 to the
            right in its picture.
        variation: natural sway and differences between repetitions, 0 none, 1 ordinary.
        seed: of variation, looks and clothes.
    """

    motion: str = "squat"
    repetitions: int = 3
    tempo: Tempo | None = None
    depth: float = 1.0
    faults: Mapping[str, float] = field(default_factory=dict)
    lead_in_s: float = 0.7
    lead_out_s: float = 0.7
    unfinished_last: bool = False
    build: Build = field(default_factory=Build)
    place_m: tuple[float, float] = (0.0, 0.0)
    facing_deg: float = 0.0
    variation: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.motion not in MOTIONS:
            raise MotionError(f"there is no motion {self.motion!r}; choose one of: {', '.join(MOTIONS)}.")
        if self.repetitions < 0:
            raise MotionError(f"repetitions must not be negative, got {self.repetitions}.")
        if not 0 < self.depth <= 1.25:
            raise MotionError(f"depth must lie between 0 and 1.25 of the full range, got {self.depth}.")
        possible = MOTIONS[self.motion].faults
        for name, severity in self.faults.items():
            if name not in FAULTS:
                raise MotionError(f"there is no fault {name!r}; choose one of: {', '.join(FAULTS)}.")
            if name not in possible:
                raise MotionError(f"{self.motion} cannot show {name!r}; it has: {', '.join(possible) or 'none'}.")
            if not 0 <= severity <= 1:
                raise MotionError(f"the severity of {name} must lie between 0 and 1, got {severity}.")

    @property
    def plan(self) -> tuple[Repetition, ...]:
        """The repetitions as they would be without an end of the clip."""
        motion = MOTIONS[self.motion]
        if not motion.repeats:
            return ()
        tempo = self.tempo or motion.tempo
        return repetition_plan(
            self.repetitions, tempo, self.lead_in_s, self.depth, self.faults, self.seed, self.variation,
            motion.alternating,
        )  # fmt: skip

    @property
    def duration_s(self) -> float:
        """Seconds until the person is done, with the still time before and after."""
        motion, plan = MOTIONS[self.motion], self.plan
        if self.motion == "walk":
            return self.lead_in_s + daily.STEP_S * (self.repetitions + 1) + self.lead_out_s
        if not plan:
            return self.lead_in_s + motion.once_s + self.lead_out_s
        return plan[-1].turn_s if self.unfinished_last else plan[-1].end_s + self.lead_out_s


@dataclass(frozen=True, eq=False)
class Truth:
    """What one person really did.

    Attributes:
        joints_m: (T, 33, 3) BlazePose joints in the world: x to the right of a front camera's picture, y up from the
            floor, z towards that camera.
        repetitions: exact bounds; fall: its times, or None.
    """

    actor: Actor
    time_s: Array
    joints_m: Array
    repetitions: tuple[Repetition, ...]
    fall: FallTimes | None


def act(actor: Actor, time_s: Array) -> Truth:
    """Everything the person does at ``time_s`` (T,), exactly."""
    motion = MOTIONS[actor.motion]
    duration_s = max(actor.duration_s, float(time_s[-1]) if len(time_s) and not actor.unfinished_last else 0.0)
    times = timeline(time_s, actor.plan, actor.tempo or motion.tempo, duration_s)
    controls = Controls(actor.build, len(time_s))
    _sway(controls, actor, time_s)
    cue = Cue(time_s - actor.lead_in_s, times, actor.faults, actor.repetitions, actor.seed)
    fall = motion.perform(controls, cue)
    if not motion.on_floor and actor.motion != "pull_up":
        controls.keep_feet()
    joints = controls.joints_m()
    if motion.on_floor:
        joints = _above_floor(joints, actor.build)
    turn = rotation(actor.facing_deg)
    joints = joints @ turn.T + np.array([actor.place_m[0], 0.0, actor.place_m[1]])
    if fall is not None:
        fall = FallTimes(fall.onset_s + actor.lead_in_s, fall.impact_s + actor.lead_in_s)
    return Truth(actor, time_s, joints, times.repetitions, fall)


def pose_sequence(truth: Truth, person: int = 0) -> PoseSequence:
    """The truth as a sequence without a picture: ``xyz_m`` and ``root_m`` in the world's axes."""
    hips = [BLAZEPOSE_33.index(joint) for joint in ("left_hip", "right_hip")]
    root = truth.joints_m[:, hips].mean(axis=1)
    shape = truth.joints_m.shape[:2]
    return PoseSequence(
        BLAZEPOSE_33, truth.time_s, np.full((*shape, 2), np.nan), np.ones(shape), truth.joints_m - root[:, None],
        (0, 0), person, root_m=root,
    )  # fmt: skip


def _sway(controls: Controls, actor: Actor, time_s: Array) -> None:
    """Standing people are never still: millimetres at the hip, a degree or two elsewhere."""
    amount = [actor.variation * sway(time_s, actor.seed, channel) for channel in range(8)]
    controls.pelvis_m[:, 0] += 0.006 * amount[0]
    controls.pelvis_m[:, 2] += 0.007 * amount[1]
    controls.spine_deg += 1.0 * amount[2]
    controls.spine_roll_deg += 0.6 * amount[3]
    controls.head_deg += 2.0 * amount[4]
    controls.arm_deg[..., 0] += 1.2 * amount[5][:, None]
    controls.forearm_deg[..., 0] += 1.5 * amount[6][:, None]


# Flesh between a joint and the floor it lies on, in shares of height.
_FLESH = {"hip": 0.058, "knee": 0.030, "shoulder": 0.045, "elbow": 0.022, "wrist": 0.016, "ear": 0.045, "ankle": 0.026,
          "heel": 0.008, "foot_index": 0.008, "index": 0.010, "pinky": 0.010, "thumb": 0.010}  # fmt: skip


def _above_floor(joints_m: Array, build: Build) -> Array:
    """Lift the whole body where flesh would sink into the floor."""
    flesh = np.array([_FLESH.get(joint.split("_", 1)[-1], 0.0) for joint in BLAZEPOSE_33.joints]) * build.height_m
    sunk = np.maximum((flesh - joints_m[..., 1]).max(axis=1), 0.0) if len(joints_m) else np.zeros(0)
    return joints_m + np.stack([0 * sunk, sunk, 0 * sunk], axis=-1)[:, None]
