"""Models that need no picture, and people who move as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from pipeline.estimation.base import Estimator, Image, PersonPose, Region
from pipeline.poses import ModelInfo, Recording
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import ActorSpec, clip_truth

SIZE = (64, 48)
NOWHERE = Region((0.0, 0.0), (1.0, 1.0))


def black() -> Image:
    return np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)


class Told(Estimator):
    """Sees the person of a recording, at the time of the frame; ``before`` is called first."""

    name = "told"
    skeleton = BLAZEPOSE_33

    def __init__(self, recording: Recording | None = None, before: Callable[[float], None] | None = None) -> None:
        self.recording, self.before = recording, before or (lambda _time_s: None)
        self.times_s: list[float] = []
        self.resets = 0

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name="told", detector="none", device="test bench")

    def reset(self) -> None:
        self.resets += 1

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:  # noqa: ARG002 -- sees nothing
        self.before(time_s)
        self.times_s.append(time_s)
        if self.recording is None or not self.recording.people:
            return ()
        person = self.recording.people[0]
        frame = self.recording.frame_at(time_s)
        xyz_m = None if person.xyz_m is None else person.xyz_m[frame]
        return (PersonPose(person.xy_px[frame], person.score[frame], 1.0, NOWHERE, xyz_m, None, 1),)


class Gate:
    """Holds a model until it is opened."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, time_s: float) -> None:  # noqa: ARG002
        self.entered.set()
        assert self.open.wait(10), "the test never opened the gate"


def squats(repetitions: int = 4, **settings: object) -> Recording:
    """The truth about somebody who squats, in a small picture."""
    return clip_truth(ActorSpec.one("squat", repetitions=repetitions, size=SIZE, seed=3, **settings)).recording
