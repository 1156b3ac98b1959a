"""Repetitions of the actor, whose truth is known: quick to make, and without private data."""

from __future__ import annotations

import numpy as np

from pipeline.poses import Array, PoseSequence
from pipeline.scoring.canonical import canonical
from pipeline.scoring.exercises import EXERCISES
from pipeline.skeletons import KINECT_13
from pipeline.synthetic.actor import ActorSpec, ClipTruth, clip_truth
from pipeline.synthetic.body import Build
from pipeline.training.dataset import Repetitions, gathered

SQUAT = EXERCISES["deep_squat"]


def clip(motion: str = "squat", seed: int = 0, **settings: object) -> ClipTruth:
    """The truth of a short clip."""
    return clip_truth(ActorSpec.one(motion, seed=seed, size=(320, 240), **settings))


def in_space(truth: ClipTruth) -> PoseSequence:
    """The only person as Kinect-13 in metres."""
    return truth.recording.people[0].to(KINECT_13)


def cut(truth: ClipTruth) -> list[tuple[Array, Array]]:
    """(T, 13, 3) metres and (T,) seconds of each true repetition."""
    space = in_space(truth)
    assert space.xyz_m is not None
    found = []
    for repetition in truth.people[0].repetitions:
        inside = (space.time_s >= repetition.start_s) & (space.time_s <= repetition.end_s)
        found.append((space.xyz_m[inside], space.time_s[inside]))
    return found


def squats(people: int = 4, repetitions: int = 3, severity: float = 1.0) -> Repetitions:
    """Good squats and bad ones (shallow, knees inwards, leaning forward) of several people of different height."""
    rows = []
    for person in range(people):
        for incorrect in (False, True):
            faults = {"knees_in": 0.8 * severity, "forward_lean": 0.8 * severity} if incorrect else {}
            truth = clip(seed=person, repetitions=repetitions, faults=faults, depth=0.7 if incorrect else 1.0,
                         build=Build(height_m=1.55 + 0.08 * person))  # fmt: skip
            for number, (xyz, time_s) in enumerate(cut(truth)):
                one = canonical(xyz, time_s, SQUAT.counted)
                name = f"p{person}-{number}-{incorrect}"
                rows.append((one.xyz, SQUAT.position, str(person), "actor", name, incorrect, np.nan))
    return gathered(rows)
