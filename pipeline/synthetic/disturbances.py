"""What goes wrong when people film: each disturbance has a strength from 0 (none) to 1 (severe) and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.synthetic.stage import Picture
from pipeline.synthetic.timeline import sway

DISTURBANCES: dict[str, str] = {
    "dark": "too little light, with the noise that comes with it",
    "blur": "out of focus",
    "motion_blur": "a long exposure: what moves smears",
    "noise": "sensor noise",
    "low_resolution": "few pixels, enlarged",
    "occluder": "an object stands between camera and person",
    "shake": "a camera held by hand; the true key points move with the picture",
    "low_fps": "frames are dropped, down to 10 a second",
}
LOWEST_FPS = 10.0
EXPOSURES = 8  # pictures averaged for one motion-blurred frame


class DisturbanceError(ValueError):
    """An unknown disturbance, or a strength out of range."""


def checked(strengths: Mapping[str, float]) -> dict[str, float]:
    """The strengths as a plain dict; raises DisturbanceError in words."""
    for name, strength in strengths.items():
        if name not in DISTURBANCES:
            raise DisturbanceError(f"there is no disturbance {name!r}; choose from: {', '.join(DISTURBANCES)}.")
        if not 0 <= strength <= 1:
            raise DisturbanceError(f"the strength of {name} must lie between 0 and 1, got {strength}.")
    return dict(strengths)


def frame_times(duration_s: float, fps: float, low_fps: float) -> Array:
    """(T,) timestamps: a regular grid at ``fps``, from which ``low_fps`` drops frames down to 10 a second."""
    grid = np.arange(max(0, int(np.floor(duration_s * fps + 1e-6)) + 1)) / fps
    rate = fps + (min(LOWEST_FPS, fps) - fps) * low_fps
    kept = np.unique(np.floor(np.arange(int(len(grid) * rate / fps) + 1) * fps / rate + 1e-9).astype(int))
    times: Array = grid[kept[kept < len(grid)]]
    return times


@dataclass(frozen=True, eq=False)
class Spoiler:
    """Applies the disturbances of one clip, always the same way for the same seed.

    Attributes:
        time_s: (T,) of the frames; size: width and height in pixels; strengths: {name: 0..1}; seed.
    """

    time_s: Array
    size: tuple[int, int]
    strengths: Mapping[str, float]
    seed: int

    def strength(self, name: str) -> float:
        """0 when the disturbance was not asked for."""
        return float(self.strengths.get(name, 0.0))

    def matrices(self) -> Array:
        """(T, 2, 3) affine maps of the picture by the shaking hand; the identity without shake."""
        amount, longer = self.strength("shake"), max(self.size)
        quick = self.time_s * 4.5  # a hand trembles faster than a body sways
        shift = np.stack([sway(quick, self.seed, 200 + axis) for axis in range(2)], axis=1) * 0.020 * amount * longer
        turn = np.radians(1.2 * amount * sway(quick, self.seed, 202))
        centre = (np.array(self.size) - 1) / 2
        cosine, sine = np.cos(turn), np.sin(turn)
        linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], axis=-2)
        offset = centre - linear @ centre + shift
        matrices: Array = np.concatenate([linear, offset[..., None]], axis=-1)
        return matrices

    def occluder_box(self) -> NDArray[np.int64] | None:
        """Left, top, right, bottom of the object in front of the person; None without one."""
        amount = self.strength("occluder")
        if amount <= 0:
            return None
        rng = np.random.default_rng([self.seed, 301])
        width, height = self.size
        wide, tall = (0.10 + 0.16 * amount) * width, (0.25 + 0.40 * amount) * height
        left = width * rng.uniform(0.40, 0.60) - wide / 2
        return np.array([left, height - tall, left + wide, height]).astype(np.int64)

    def spoil(self, picture: Picture, frame: int, matrix: Array) -> Picture:
        """The disturbed picture of frame number ``frame``."""
        rng = np.random.default_rng([self.seed, frame, 303])
        width, height = self.size
        if (covered := self.occluder_box()) is not None:
            picture = _with_occluder(picture, covered, self.seed)
        if self.strength("shake") > 0:
            picture = _bytes(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101))
        if (amount := self.strength("blur")) > 0:
            picture = _bytes(cv2.GaussianBlur(picture, (0, 0), 0.2 + 0.0075 * amount * max(width, height)))
        if (amount := self.strength("dark")) > 0:
            level = np.arange(256) / 255
            table = np.clip(255 * (1 - 0.86 * amount) * level ** (1 + 0.5 * amount), 0, 255).astype(np.uint8)
            picture = _grainy(_bytes(cv2.LUT(picture, table)), 7 * amount, rng)
        if (amount := self.strength("noise")) > 0:
            picture = _grainy(picture, 45 * amount, rng)
        if (amount := self.strength("low_resolution")) > 0:
            share = 1 / (1 + 7 * amount)
            few = (max(8, round(width * share)), max(8, round(height * share)))
            small = cv2.resize(picture, few, interpolation=cv2.INTER_AREA)
            picture = _bytes(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
        return picture


def _bytes(picture: Any) -> Picture:
    return np.asarray(picture, dtype=np.uint8)


def _grainy(picture: Picture, deviation: float, rng: np.random.Generator) -> Picture:
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(deviation)
    return _bytes(cv2.add(picture, grain.round().astype(np.int16), dtype=cv2.CV_8U))


def _with_occluder(picture: Picture, covered: NDArray[np.int64], seed: int) -> Picture:
    """A crate of boards in front of everything."""
    rng = np.random.default_rng([seed, 302])
    colour = rng.uniform(60, 190, 3)
    left, top, right, bottom = (int(value) for value in covered)
    picture = picture.copy()
    left, top = max(left, 0), max(top, 0)
    region = picture[top:bottom, left:right]
    rows, columns = np.arange(region.shape[0])[:, None], np.arange(region.shape[1])[None]
    board = 0.10 * np.sin(rows * 0.9) * 0.3 + 0.12 * ((rows // max(8, region.shape[0] // 6)) % 2) - 0.06
    side = 1.06 - 0.22 * columns / max(region.shape[1], 1)
    region[:] = np.clip(colour * ((1 + board) * side)[..., None], 0, 255).astype(np.uint8)
    return picture
