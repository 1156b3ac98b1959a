"""A camera for Chromium: a rendered clip as motion JPEG, which it plays at 30 frames a second, over and over."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth
from pipeline.synthetic.timeline import Tempo

FPS = 30
STAND_S, AFTER_S = 8.0, 12.0
REPETITIONS = 4


def squat_spec(**changes: object) -> ActorSpec:
    """Four squats from the front left, after and before standing still."""
    settings: dict[str, object] = {"repetitions": REPETITIONS, "tempo": Tempo(1.0, 0.2, 1.0, 0.3), "view": "oblique"}
    return ActorSpec.one("squat", seed=7, **settings | changes)


def turns_s(spec: ActorSpec) -> list[float]:
    """When the squats of ``squat_camera`` are lowest, in seconds of the clip."""
    return [STAND_S + repetition.turn_s for repetition in clip_truth(spec).people[0].repetitions]


def squat_camera(path: Path, spec: ActorSpec) -> Path:
    """The clip with its first picture held for ``STAND_S`` and its last one for ``AFTER_S``."""
    pictures = [jpeg(picture) for picture, _ in clip_frames(spec)]
    held = [pictures[0]] * round(STAND_S * FPS) + pictures + [pictures[-1]] * round(AFTER_S * FPS)
    path.write_bytes(b"".join(held))
    return path


def empty_camera(path: Path) -> Path:
    """A room with nobody in it."""
    spec = ActorSpec((), duration_s=0.1)
    path.write_bytes(b"".join([jpeg(next(iter(clip_frames(spec)))[0])] * FPS))
    return path


def jpeg(picture: np.ndarray) -> bytes:
    """One RGB picture."""
    done, content = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return bytes(content)
