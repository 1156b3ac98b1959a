"""BlazePose from the weights inside the installed MediaPipe wheel, run by LiteRT: several people, no downloads.

The two networks are MediaPipe's own; what stands around them follows its published graph (pose_detection_cpu and
pose_landmark_by_roi_cpu; Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking",
arXiv:2006.10204). Running them directly instead of through MediaPipe's solution gives every person a region of their
own (so ids stay), lets any detector feed the landmark network, and lets both networks use all cores. A test holds the
result against MediaPipe's own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.estimation.base import EstimatorError, Image, PersonPose, Region
from pipeline.poses import Array
from pipeline.skeletons import BLAZEPOSE_33

DETECTOR_SIDE = 224
LANDMARK_SIDE = 256
REGION_SCALE = 1.25  # MediaPipe's margin around the circle through the body's ends
MIN_REGION_PX = 8.0


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


@cache
def weights_path(name: str) -> Path:
    """``pose_detection`` or ``pose_landmark_full`` inside the MediaPipe wheel, found without importing it."""
    spec = importlib.util.find_spec("mediapipe")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(folder, "modules").glob(f"*/{name}.tflite"):
            return path
    raise EstimatorError(
        f"The BlazePose weights ({name}.tflite) are not in the installed mediapipe package; "
        "install the version that carries them: pip install mediapipe==0.10.21"
    )


@cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def default_threads() -> int:
    """Threads for one network: the cores this process may use, four at the most (more does not pay)."""
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class _Network:
    """A LiteRT network with its weights' name and hash."""

    def __init__(self, weights: str, threads: int | None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        path = weights_path(weights)
        self._interpreter = Interpreter(model_path=str(path), num_threads=threads or default_threads())
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]
        self.device = "CPU (LiteRT, XNNPACK)"
        self.weights_sha256 = {path.name: _sha256(path)}
        self.versions = {name: importlib.metadata.version(name) for name in ("mediapipe", "ai-edge-litert")}

    def _run(self, tensor: Array) -> list[Any]:
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _crop(image: Image, region: Region, side: int, border: int) -> tuple[Any, Array]:
    """The region as a square picture, and the (2, 3) matrix from its pixels to the image's."""
    cos, sin = np.cos(region.rotation_rad), np.sin(region.rotation_rad)
    scale = np.array(region.size_px) / side
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.empty((2, 3))
    matrix[:, :2] = turn * scale
    matrix[:, 2] = np.array(region.center_px) - turn @ (np.array(region.size_px) / 2)
    crop = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)
    return crop, matrix


def _body_region(center: Array, end: Array, score: float = 1.0) -> Region:
    """MediaPipe's square around a person: centred on the hips, turned so that ``end`` (past the head) is up."""
    dx, dy = end - center
    side = 2 * float(np.hypot(dx, dy)) * REGION_SCALE
    turn = np.pi / 2 - np.arctan2(-dy, dx)
    turn -= 2 * np.pi * np.floor((turn + np.pi) / (2 * np.pi))
    return Region((float(center[0]), float(center[1])), (side, side), float(turn), score, tight=False)


@cache
def _anchors() -> Array:
    """(2254, 2) centres of the detector's SSD anchors in 0..1 (strides 8, 16, 32, 32, 32; two anchors a layer)."""
    rows = []
    for stride, per_cell in ((8, 2), (16, 2), (32, 6)):
        cells = DETECTOR_SIDE // stride
        centers = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centers, centers, indexing="ij")
        rows.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(rows)


def _iou(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box (4,) with others (N, 4)."""
    overlap = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    intersection = np.clip(overlap, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(intersection / np.maximum((box[2:] - box[:2]).prod() + areas - intersection, 1e-9))


class BlazePoseDetector(_Network):
    """MediaPipe's person detector (224 x 224, SSD with alignment points)."""

    name = "blazepose"

    def __init__(self, min_score: float = 0.2, threads: int | None = None) -> None:
        super().__init__("pose_detection", threads)
        self.min_score = min_score

    def detect(self, image: Image) -> list[Region]:
        """Regions that may hold a person, best first; merged by weighted non-maximum suppression (IoU 0.3)."""
        height, width = image.shape[:2]
        whole = Region((width / 2, height / 2), (max(width, height),) * 2)
        crop, matrix = _crop(image, whole, DETECTOR_SIDE, cv2.BORDER_CONSTANT)
        raw, logits = self._run((crop.astype(np.float32) / 127.5 - 1)[None])
        scores = _sigmoid(logits[0, :, 0].astype(np.float64))
        keep = np.flatnonzero(scores >= self.min_score)
        keep = keep[np.argsort(-scores[keep], kind="stable")]
        if not keep.size:
            return []
        values, anchors = raw[0, keep].astype(np.float64) / DETECTOR_SIDE, _anchors()[keep]
        half = values[:, 2:4] / 2
        boxes = np.concatenate([anchors + values[:, :2] - half, anchors + values[:, :2] + half], axis=1)
        points = values[:, 4:8].reshape(-1, 2, 2) + anchors[:, None]  # hip centre, end of the body
        scores = scores[keep]

        regions = []
        left = np.arange(len(keep))
        while left.size:
            same = left[_iou(boxes[left[0]], boxes[left]) > 0.3]
            same = same if same.size else left[:1]
            weights = scores[same] / scores[same].sum()
            center, end = np.tensordot(weights, points[same], axes=1) * DETECTOR_SIDE @ matrix[:, :2].T + matrix[:, 2]
            region = _body_region(center, end, float(scores[left[0]]))
            if region.size_px[0] >= MIN_REGION_PX:
                regions.append(region)
            left = np.setdiff1d(left, same, assume_unique=True)
            left = left[np.argsort(-scores[left], kind="stable")]
        return regions


class BlazePoseLandmarks(_Network):
    """MediaPipe's landmark network, "full" (256 x 256): 33 points in pixels and metres.

    ``score`` is the network's visibility (the sigmoid of its logit), unmapped; the metres are the network's own guess
    at a person of average size.
    """

    name = "blazepose"
    skeleton = BLAZEPOSE_33

    def __init__(self, threads: int | None = None) -> None:
        super().__init__("pose_landmark_full", threads)

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        """One pose a region. A detector's tight box is looked at twice: first to find out how the person lies."""
        poses = []
        for region in regions:
            if region.tight:
                side = max(region.size_px) * REGION_SCALE
                first = self._pose(image, Region(region.center_px, (side, side), region.rotation_rad, region.score))
                region = first.next_region if first.presence >= 0.5 else region
                if region.tight:
                    poses.append(first)
                    continue
            poses.append(self._pose(image, region))
        return poses

    def _pose(self, image: Image, region: Region) -> PersonPose:
        side = max(*region.size_px, MIN_REGION_PX)
        square = Region(region.center_px, (side, side), region.rotation_rad)
        crop, matrix = _crop(image, square, LANDMARK_SIDE, cv2.BORDER_REPLICATE)
        landmarks, presence, _, heatmap, world = self._run((crop.astype(np.float32) / 255)[None])
        points = landmarks.reshape(39, 5).astype(np.float64)
        xy = _refine(points[:, :2] / LANDMARK_SIDE, heatmap[0]) * LANDMARK_SIDE @ matrix[:, :2].T + matrix[:, 2]
        cos, sin = np.cos(region.rotation_rad), np.sin(region.rotation_rad)
        x, y, z = world.reshape(39, 3)[:33].astype(np.float64).T  # hip-centred, y down, z away from the camera
        xyz_m = np.stack([cos * x - sin * y, -(sin * x + cos * y), -z], axis=1)
        return PersonPose(
            xy_px=xy[:33],
            score=_sigmoid(points[:33, 3]),
            presence=float(presence.ravel()[0]),
            next_region=_body_region(xy[33], xy[34]),
            xyz_m=xyz_m,
        )


def _refine(xy: Array, heatmap: Any, kernel: int = 7, min_confidence: float = 0.5) -> Array:
    """Points (J, 2) in 0..1 moved to the weighted centre of their heatmap (side, side, J) nearby, where it is sure."""
    side = heatmap.shape[0]
    reach = (kernel - 1) // 2
    refined = xy.copy()
    columns, rows = np.floor(xy * side).astype(int).T
    for joint in np.flatnonzero((columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)):
        top, left = max(0, rows[joint] - reach), max(0, columns[joint] - reach)
        patch = _sigmoid(heatmap[top : rows[joint] + reach + 1, left : columns[joint] + reach + 1, joint])
        if patch.max() >= min_confidence:
            y, x = np.mgrid[top : top + patch.shape[0], left : left + patch.shape[1]]
            refined[joint] = np.array([(x * patch).sum(), (y * patch).sum()]) / (side * patch.sum())
    return refined
