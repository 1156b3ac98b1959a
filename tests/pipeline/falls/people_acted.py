"""People whose falls are known to the moment: the rendered actor's joints through a steady camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.poses import PoseSequence
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.camera import Camera
from pipeline.synthetic.motions import Actor, act
from pipeline.synthetic.timeline import FallTimes
from pipeline.training.fall_scenes import FPS, Part, chained

CAMERA = Camera(50.0, 1.4, 4.5, 8.0, 30.0)


def part(
    motion: str, *, start_s: float = 0.0, end_s: float | None = None, speed: float = 1.0, **settings: object
) -> Part:
    """A motion of the actor at ``FPS``."""
    actor = Actor(motion, **{"lead_in_s": 0.0, "lead_out_s": 0.2, "seed": 3, **settings})  # type: ignore[arg-type]
    truth = act(actor, np.arange(start_s, end_s or actor.duration_s, speed / FPS))
    fall = truth.fall and FallTimes((truth.fall.onset_s - start_s) / speed, (truth.fall.impact_s - start_s) / speed)
    return Part(truth.joints_m, fall)


def hold(before: Part, seconds: float) -> Part:
    """Staying as it was."""
    return Part(np.repeat(before.joints_m[-1:], round(seconds * FPS), axis=0))


def get_up() -> Part:
    """Lying down, backwards."""
    return Part(part("lie_down", speed=1.5).joints_m[::-1])


def seen(parts: list[Part], camera: Camera = CAMERA, fps: float = 30.0, noise_px: float = 1.0) -> PoseSequence:
    """The scene in the camera's picture, with a little noise."""
    joints, _ = chained(parts)
    time_s = np.arange(0, (len(joints) - 1) / FPS, 1 / fps)
    place = time_s * FPS
    low = np.floor(place).astype(int)
    share = (place - low)[:, None, None]
    between = joints[low] * (1 - share) + joints[np.minimum(low + 1, len(joints) - 1)] * share
    xy_px, _ = camera.project(between)
    xy_px = xy_px + np.random.default_rng(1).normal(0, noise_px, xy_px.shape)
    return PoseSequence(BLAZEPOSE_33, time_s, xy_px, np.full(xy_px.shape[:2], 0.9), None, camera.size, 1)


def times(parts: list[Part]) -> tuple[FallTimes, ...]:
    """When the falls of the scene are."""
    return chained(parts)[1]


def fallen(motion: str = "fall_backward", stand_s: float = 2.0, lie_s: float = 3.0) -> list[Part]:
    """Standing, falling, lying still."""
    fall = part(motion)
    return [part("stand", end_s=stand_s), fall, hold(fall, lie_s)]


def moved(one: PoseSequence, scale: float = 1.0, shift_px: tuple[float, float] = (0.0, 0.0)) -> PoseSequence:
    """The same person larger or smaller, and elsewhere."""
    size = (round(one.image_size[0] * scale), round(one.image_size[1] * scale))
    return replace(one, xy_px=one.xy_px * scale + shift_px, image_size=size)
