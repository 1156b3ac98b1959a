"""Crops of rendered people for RTMPose-t: plain ones to measure, varied ones to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.base import Image, Region
from pipeline.estimation.onnx_models import crop, crop_matrix
from pipeline.estimation.tracking import overlap
from pipeline.poses import Array
from pipeline.skeletons import COCO_17
from pipeline.training.actor_frames import ActorFrames

if TYPE_CHECKING:
    from pipeline.training.rtmpose_actor import ActorConfig


@dataclass(frozen=True, eq=False)
class Crop:
    """A network input before normalisation: picture (256, 192, 3), key points in its pixels, which can be seen."""

    picture: Image
    xy: Array
    visible: NDArray[np.bool_]


def plain_crop(frames: ActorFrames, example: int, size: tuple[int, int]) -> tuple[Crop, Array]:
    """The crop that inference would make of an example, and its (2, 3) matrix from the picture's pixels."""
    matrix = crop_matrix(frames.region(example), size)
    return _cut(frames, example, matrix, size), matrix


def varied_crop(
    frames: ActorFrames, example: int, size: tuple[int, int], config: ActorConfig, rng: np.random.Generator
) -> Crop:
    """A crop as training sees it: moved, scaled, turned, mirrored, other colours, partly covered, or of nobody."""
    region = frames.region(example)
    factor = 1 + config.scale * rng.uniform(-1, 1)
    turned = rng.random() < config.rotated
    box = np.array(region.size_px)
    region = Region(
        tuple(np.array(region.center_px) + config.shift * rng.uniform(-1, 1, 2) * box),
        (float(box[0] * factor), float(box[1] * factor)),
        float(np.radians(config.rotation_deg) * rng.uniform(-1, 1)) if turned else 0.0,
    )
    empty = rng.random() < config.background and (elsewhere := _elsewhere(frames, example, rng))
    cut = _cut(frames, example, crop_matrix(elsewhere if empty and elsewhere else region, size), size)
    picture, xy = cut.picture, cut.xy
    visible = np.zeros(len(xy), dtype=bool) if empty else cut.visible
    if rng.random() < config.flip:
        order = list(COCO_17.mirror_order)
        picture, visible = np.ascontiguousarray(picture[:, ::-1]), visible[order]
        xy = xy[order] * (-1, 1) + (size[0] - 1, 0)
    return Crop(_covered(_recoloured(picture, rng), config.covered, rng), xy, visible)


def _cut(frames: ActorFrames, example: int, matrix: Array, size: tuple[int, int]) -> Crop:
    xy = frames.xy_px[example] @ matrix[:, :2].T + matrix[:, 2]
    inside = ((xy >= 0) & (xy <= np.array(size) - 1)).all(axis=1)
    return Crop(crop(frames.image(example), matrix, size), xy, frames.visible[example] & inside)


def _elsewhere(frames: ActorFrames, example: int, rng: np.random.Generator) -> Region | None:
    """A place in the example's picture without anybody; None when a few tries find none."""
    height, width = frames.image(example).shape[:2]
    people = frames.neighbours_px(example)
    for _ in range(10):
        side = rng.uniform(0.15, 0.4) * np.array([width, height])
        low = rng.uniform(0, 1, 2) * ([width, height] - side)
        box = np.concatenate([low, low + side])
        if not any(overlap(box, person) > 0 for person in people):
            return Region.from_box(box)
    return None


def _recoloured(picture: Image, rng: np.random.Generator) -> Image:
    """Other brightness, contrast and colour of light."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    shade = rng.uniform(-20, 20)
    table = np.clip(np.arange(256)[:, None] * gain + shade, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table[None]), dtype=np.uint8)


def _covered(picture: Image, share: float, rng: np.random.Generator) -> Image:
    if rng.random() >= share:
        return picture
    height, width = picture.shape[:2]
    tall, wide = (rng.uniform(0.1, 0.35, 2) * (height, width)).astype(int)
    top, left = int(rng.integers(height - tall)), int(rng.integers(width - wide))
    picture = picture.copy()
    picture[top : top + tall, left : left + wide] = rng.integers(0, 256, 3, dtype=np.uint8)
    return picture
