"""How well an RTMPose finds the key points of rendered people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.onnx_models import Tensor, decode_simcc, normalise
from pipeline.poses import Array
from pipeline.skeletons import COCO_17
from pipeline.training.actor_crops import plain_crop
from pipeline.training.actor_frames import ActorFrames

FORESHORTENED = 0.2  # a torso seen end-on counts as this share of the box's longer side
_SHOULDERS, _HIPS = (5, 6), (11, 12)


@dataclass(frozen=True)
class Share:
    """A share of key points with its 95 % confidence interval, clips drawn with replacement (bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """PCK (percentage of correct key points, as 0..1) of visible points, within a share of the torso or of the box.

    The torso is the distance from the middle of the shoulders to the middle of the hips, at least
    ``FORESHORTENED`` of the box's longer side; the box's measure is its longer side, as MMPose's PCKAccuracy takes it.
    """

    torso_01: Share
    torso_02: Share
    box_005: Share
    box_01: Share
    by_joint_torso_02: dict[str, float]
    by_motion_torso_02: dict[str, float]
    seen_score: float
    empty_score: float
    examples: int
    clips: int


def size_of(network: Any) -> tuple[int, int]:
    """Width and height of the network's input."""
    width, height = network.head.input_size
    return int(width), int(height)


def measure(network: Any, frames: ActorFrames) -> Accuracy:
    """PCK of a network on the true boxes of ``frames``, decoded as inference does."""
    import torch

    size, device = size_of(network), next(network.parameters()).device

    def respond(tensor: Tensor) -> tuple[Array, Array]:
        inputs = torch.from_numpy(tensor).to(device).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            x, y = network.head(network.extract_feat(inputs))
        return decode_simcc(x.float().cpu().numpy(), y.float().cpu().numpy())

    network.eval()
    return accuracy_of(respond, frames, size)


def accuracy_of(
    respond: Callable[[Tensor], tuple[Array, Array]], frames: ActorFrames, size: tuple[int, int], batch: int = 32
) -> Accuracy:
    """PCK of anything that turns crops (N, 3, H, W) into points (N, 17, 2) in crop pixels and peaks (N, 17).

    Args:
        respond: a network with decoding, e.g. ``RTMPoseOnnx.simcc``.
        frames: what to measure on; at least one example.
        size: width, height of its input.
        batch: crops at once.
    """
    errors, peaks = [], []
    for chosen in _batches(len(frames), batch):
        pairs = [plain_crop(frames, k, size) for k in chosen]
        points, peak = respond(normalise([c.picture for c, _ in pairs], bgr=False))
        for k, (_, matrix), xy in zip(chosen, pairs, points, strict=True):
            back = cv2.invertAffineTransform(matrix)
            errors.append(np.linalg.norm(xy @ back[:, :2].T + back[:, 2] - frames.xy_px[k], axis=1))
        peaks.append(peak)
    distance = np.where(np.isnan(errors), np.inf, errors)
    return _accuracy(distance, np.concatenate(peaks), frames)


def _accuracy(distance: Array, peaks: Array, frames: ActorFrames) -> Accuracy:
    longer = (frames.box_px[:, 2:] - frames.box_px[:, :2]).max(axis=1)
    middle = [frames.xy_px[:, list(pair)].mean(axis=1) for pair in (_SHOULDERS, _HIPS)]
    torso = np.maximum(np.linalg.norm(middle[0] - middle[1], axis=1), FORESHORTENED * longer)
    right = distance <= 0.2 * torso[:, None]

    def share(measure: Array, threshold: float) -> Share:
        return by_clip(distance <= threshold * measure[:, None], frames.visible, frames.clip)

    def mean(correct: NDArray[np.bool_], counted: NDArray[np.bool_]) -> float:
        return float(correct[counted].mean()) if counted.any() else math.nan

    return Accuracy(
        share(torso, 0.1),
        share(torso, 0.2),
        share(longer, 0.05),
        share(longer, 0.1),
        {joint: mean(right[:, j], frames.visible[:, j]) for j, joint in enumerate(COCO_17.joints)},
        {
            str(motion): mean(right[rows], frames.visible[rows])
            for motion in np.unique(frames.motion)
            if (rows := frames.motion == motion).any()
        },
        float(np.median(peaks[frames.visible])),
        float(np.median(peaks[~frames.visible])) if (~frames.visible).any() else math.nan,
        len(frames),
        len(np.unique(frames.clip)),
    )


def by_clip(
    correct: NDArray[np.bool_], counted: NDArray[np.bool_], clip: NDArray[np.int64], draws: int = 1000
) -> Share:
    """The share of ``correct`` among ``counted`` (both (N, J)), with a bootstrap over the clips (N,)."""
    clips, number = np.unique(clip, return_inverse=True)
    hits = np.bincount(number, (correct & counted).sum(axis=1), len(clips))
    points = np.bincount(number, counted.sum(axis=1), len(clips))
    drawn = np.random.default_rng(0).integers(len(clips), size=(draws, len(clips)))
    shares = hits[drawn].sum(axis=1) / np.maximum(points[drawn].sum(axis=1), 1)
    low, high = np.percentile(shares, (2.5, 97.5))
    return Share(float(hits.sum() / max(points.sum(), 1)), float(low), float(high))


def _batches(count: int, batch: int) -> Iterator[range]:
    for start in range(0, count, batch):
        yield range(start, min(start + batch, count))
