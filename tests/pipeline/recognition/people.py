"""People for the tests: the actor's exact motions as a camera sees them, in any skeleton and at any frame rate."""

from __future__ import annotations

import numpy as np

from pipeline.poses import PoseSequence
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.motions import Actor, act
from pipeline.training.recognition_camera import seen_by_camera

SIZE = (640, 480)


def filmed(actor: Actor, fps: float = 30.0, yaw_deg: float = 40.0, seconds: float | None = None) -> PoseSequence:
    """The actor as a camera at ``yaw_deg`` sees them, in pixels."""
    time_s = np.arange(0, actor.duration_s if seconds is None else seconds, 1 / fps)
    points = act(actor, time_s).joints_m
    picture = seen_by_camera(points, np.random.default_rng(actor.seed), yaw_deg)
    xy_px = picture[..., :2] * 700.0 + (320.0, 240.0)
    xyz_m = points - points[:, [23, 24]].mean(axis=1, keepdims=True)
    return PoseSequence(BLAZEPOSE_33, time_s, xy_px, np.ones(xy_px.shape[:2]), xyz_m, SIZE)
