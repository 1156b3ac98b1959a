"""A camera for Chromium: a rendered clip as YUV4MPEG2, which it plays over and over.

Small and slow (320 x 240, 8 frames a second), since the browser shares the cores with what it tests and spends most
of them on encoding and drawing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth
from pipeline.synthetic.timeline import Tempo

FPS, SIZE = 8, (320, 240)
STAND_S, AFTER_S = 8.0, 12.0
REPETITIONS = 4


def squat_spec(**changes: object) -> ActorSpec:
    """Four squats from the front left."""
    settings: dict[str, object] = {"repetitions": REPETITIONS, "tempo": Tempo(1.2, 0.3, 1.2, 0.4), "view": "oblique"}
    return ActorSpec.one("squat", seed=7, **settings | {"fps": FPS, "size": SIZE} | changes)


def turns_s(spec: ActorSpec) -> list[float]:
    """When the squats of ``squat_camera`` are lowest, in seconds of the clip."""
    return [STAND_S + repetition.turn_s for repetition in clip_truth(spec).people[0].repetitions]


def squat_camera(path: Path, spec: ActorSpec) -> Path:
    """The clip with its first picture held for ``STAND_S`` and its last one for ``AFTER_S``."""
    pictures = [picture for picture, _ in clip_frames(spec)]
    held = [pictures[0]] * round(STAND_S * spec.fps) + pictures + [pictures[-1]] * round(AFTER_S * spec.fps)
    return write_y4m(path, held, spec.fps)


def empty_camera(path: Path) -> Path:
    """A room with nobody in it."""
    spec = ActorSpec((), duration_s=0.5, fps=FPS, size=SIZE)
    return write_y4m(path, [picture for picture, _ in clip_frames(spec)], FPS)


def write_y4m(path: Path, pictures: Iterable[np.ndarray], fps: float) -> Path:
    """RGB pictures of one size as the raw video that Chromium reads."""
    with path.open("wb") as file:
        for number, picture in enumerate(pictures):
            if number == 0:
                height, width = picture.shape[:2]
                file.write(f"YUV4MPEG2 W{width} H{height} F{round(fps)}:1 Ip A1:1 C420jpeg\n".encode())
            file.write(b"FRAME\n" + cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2YUV_I420).tobytes())
    return path
