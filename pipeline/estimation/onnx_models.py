"""RTMDet and RTMPose in ONNX Runtime: the files of MMDeploy and rtmlib, raw-head exports, and our own exports.

Preprocessing and decoding follow MMDetection 3.3 (Resize with kept ratio, Pad with 114, ``RTMDetHead``) and MMPose 1.3
(GetBBoxCenterScale, TopdownAffine, SimCCLabel; Jiang et al. 2023, "RTMPose", arXiv:2303.07399), operation by operation;
tests hold them against both libraries.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.accelerators import log_idle_gpu
from pipeline.estimation.base import EstimatorError, Image, PersonPose, Region
from pipeline.estimation.blazepose import default_threads
from pipeline.estimation.registry import ModelEntry, weights_sha256
from pipeline.poses import Array
from pipeline.skeletons import COCO_17, SKELETONS, Skeleton

Tensor = NDArray[np.float32]

PROVIDERS = {
    "CUDAExecutionProvider": "CUDA GPU",
    "CoreMLExecutionProvider": "Core ML",
    "OpenVINOExecutionProvider": "OpenVINO",
    "CPUExecutionProvider": "CPU",
}
MEAN_RGB = np.array([123.675, 116.28, 103.53], dtype=np.float32)  # ImageNet, as OpenMMLab uses it
STD_RGB = np.array([58.395, 57.12, 57.375], dtype=np.float32)
PAD_VALUE = 114
BOX_PADDING = 1.25  # MMPose GetBBoxCenterScale
SIMCC_SPLIT_RATIO = 2.0
USUAL_SIZE = (192, 256)  # width, height of most RTMPose models
CONFIDENT_SHARE = 0.6  # of the points that were found, which then make the next box alone
CONFIDENT = 0.3  # MMPose draws and tracks points from here up (kpt_thr)
# A person's box beyond the box of their key points, as shares of its own side and of the longer side: medians of the
# wholly visible people on COCO val2017 photographs (0.11 above, 0.10 below, 0.06 of the height to each side).
MARGIN_OF_SIDE, MARGIN_OF_LONGER = 0.10, 0.06
ROTATED_LOOK = 0.5  # presence from which a first look in a region with a margin is trusted for a second, tight one


class OnnxNetwork:
    """An ONNX file in the fastest execution provider there is, falling back to the CPU.

    Attributes:
        device: the provider really used, in words.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Raises EstimatorError when the file is missing or is no ONNX model."""
        import onnxruntime

        if not path.exists():
            raise EstimatorError(f"The ONNX file {path} does not exist; download or export the model first.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.set_denormal_as_zero", "1")  # far slower
        # A thread that spins for its next work takes the core from reading, drawing and encoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        available = [name for name in PROVIDERS if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=available)
        except Exception as error:  # onnxruntime's own classes share no other base
            raise EstimatorError(f"{path} cannot be loaded as an ONNX model: {error}") from error
        used = self._session.get_providers()[0]
        self.device = f"{PROVIDERS.get(used, used)} (ONNX Runtime)"
        log_idle_gpu("onnxruntime", used == "CPUExecutionProvider")
        self.versions = {"onnxruntime": importlib.metadata.version("onnxruntime")}
        self.weights_sha256 = {path.name: weights_sha256(path)}
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._input = self._session.get_inputs()[0].name
        self._shape: list[int | str | None] = self._session.get_inputs()[0].shape

    @property
    def outputs(self) -> int:
        """How many outputs the file has."""
        return len(self._outputs)

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Width, height that the file insists on; None when it takes any."""
        height, width = self._shape[2:]
        return (width, height) if isinstance(width, int) and isinstance(height, int) else None

    def size_or(self, wanted: tuple[int, int] | None, usual: tuple[int, int]) -> tuple[int, int]:
        """Width, height to run with: the file's own, else those wanted, else (none, or 0) the usual ones."""
        return self.fixed_size or (wanted if wanted and all(wanted) else usual)

    @property
    def fixed_batch(self) -> bool:
        """True when the file takes one picture at a time."""
        return self._shape[0] == 1

    def run(self, tensor: Tensor) -> list[Any]:
        """All outputs for an input (N, 3, H, W); through IO binding, so that a GPU copies each way only once."""
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, tensor)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())


def normalise(pictures: Sequence[Image], bgr: bool) -> Tensor:
    """RGB pictures of one size as a network input (N, 3, H, W), in BGR order where the network wants that."""
    batch = np.empty((len(pictures), 3, *pictures[0].shape[:2]), dtype=np.float32)
    for row, picture in zip(batch, pictures, strict=True):
        for channel in range(3):
            place = row[2 - channel if bgr else channel]
            np.subtract(picture[..., channel], MEAN_RGB[channel], out=place)
            np.divide(place, STD_RGB[channel], out=place)
    return batch


# --- RTMDet ---------------------------------------------------------------------------------------------------------


def letterbox(image: Image, size: tuple[int, int]) -> tuple[Image, Array]:
    """The picture scaled into the upper left of ``size`` (width, height), padded with 114, and its (x, y) scale.

    MMDetection's Resize(keep_ratio=True) and Pad.
    """
    height, width = image.shape[:2]
    scale = min(max(size) / max(height, width), min(size) / min(height, width))
    new_width, new_height = int(width * scale + 0.5), int(height * scale + 0.5)
    padded = np.full((size[1], size[0], 3), PAD_VALUE, dtype=np.uint8)
    padded[:new_height, :new_width] = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    return padded, np.array([new_width / width, new_height / height])


def decode_heads(
    heads: Sequence[Any], size: tuple[int, int], min_score: float, category: int = 0
) -> tuple[Array, Array]:
    """Boxes (K, 4) in network pixels and scores (K,) from RTMDet's raw heads, not yet suppressed.

    Args:
        heads: one a stride, (1, H, W, C + 4) or (1, C + 4, H, W): class logits, then left, top, right, bottom
            distances in pixels from the anchor point at (column * stride, row * stride).
        size: width, height of the network's input.
        min_score: boxes below are left out.
        category: the class to keep; 0 is person.
    """
    boxes, scores = [], []
    for raw in heads:
        channels_last = raw.shape[1] * size[0] == raw.shape[2] * size[1]
        head = raw[0] if channels_last else np.moveaxis(raw[0], 0, 2)
        stride = size[1] / head.shape[0]
        logits = head[..., category].astype(np.float64)
        score = 1 / (1 + np.exp(np.minimum(-logits, 60)))
        rows, columns = np.nonzero(score >= min_score)
        left, top, right, bottom = head[rows, columns, -4:].astype(np.float64).T
        x, y = columns * stride, rows * stride
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1))
        scores.append(score[rows, columns])
    return np.concatenate(boxes), np.concatenate(scores)


def suppress(boxes: Array, scores: Array, max_iou: float) -> Array:
    """Positions of the boxes (K, 4) that survive greedy non-maximum suppression, best first."""
    if not len(boxes):
        return np.empty(0, dtype=int)
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return np.asarray(cv2.dnn.NMSBoxes(sizes.tolist(), scores.tolist(), 0.0, max_iou), dtype=int).ravel()


class OnnxPeople(OnnxNetwork):
    """Finds people in the whole picture. The constants are the network's own test settings.

    Args:
        path: the ONNX file.
        input_size: width, height, for a file that takes any size; None is the usual one.
        name: as in the registry.
        threads: of ONNX Runtime.

    Raises:
        EstimatorError: the file is missing, damaged, or of another kind of network.
    """

    name: str
    kind: str
    """What the file must be, in words, and how many outputs it then has."""
    known_outputs: tuple[int, ...]
    usual_size: tuple[int, int]
    min_score: float
    max_iou: float

    def __init__(
        self, path: Path, input_size: tuple[int, int] | None = None, *, name: str = "", threads: int | None = None
    ) -> None:
        super().__init__(path, threads)
        if self.outputs not in self.known_outputs:
            raise EstimatorError(f"{path} has {self.outputs} outputs: it is no {self.kind}.")
        self.name = name or self.name
        self.input_size = self.size_or(input_size, self.usual_size)

    @classmethod
    def from_entry(cls, model: ModelEntry, threads: int | None = None) -> Self:
        """The network of a registry entry. Raises EstimatorError when its file is not here."""
        from pipeline.estimation.download import installed_onnx

        return cls(installed_onnx(model), model.input_size, name=model.name, threads=threads)


class RTMDetOnnx(OnnxPeople):
    """RTMDet as an ONNX file: MMDeploy's end-to-end style (dets, labels; suppression built in), or three raw heads."""

    name = "rtmdet"
    kind = "RTMDet; one has dets and labels, or three heads"
    known_outputs = (2, 3)
    usual_size = (320, 320)
    min_score, max_iou = 0.05, 0.6

    def detect(self, image: Image) -> list[Region]:
        """People's boxes, best first."""
        picture, scale = letterbox(image, self.input_size)
        outputs = self.run(normalise([picture], bgr=True))
        if len(outputs) == 2:
            detections, labels = (outputs if outputs[0].ndim == 3 else outputs[::-1])[:2]
            rows = detections[0].astype(np.float64)
            keep = (labels[0] == 0) & (rows[:, 4] >= self.min_score)
            boxes, scores = rows[keep, :4], rows[keep, 4]
        else:
            boxes, scores = decode_heads(outputs, self.input_size, self.min_score)
            kept = suppress(boxes, scores, self.max_iou)
            boxes, scores = boxes[kept], scores[kept]
        return regions_of(boxes / np.tile(scale, 2), scores, image)


def regions_of(boxes: Array, scores: Array, image: Image) -> list[Region]:
    """Boxes (K, 4) cut at the picture's edges, those with something left, as regions, best first."""
    height, width = image.shape[:2]
    inside = np.clip(boxes, 0, np.tile([width, height], 2))
    order = np.argsort(-scores, kind="stable")
    order = order[((inside[order, 2:] - inside[order, :2]) > 0).all(axis=1)]
    return [Region.from_box(inside[k], float(scores[k])) for k in order]


# --- RTMPose --------------------------------------------------------------------------------------------------------


def crop_matrix(region: Region, size: tuple[int, int]) -> Array:
    """(2, 3) from the picture's pixels to those of a crop of ``size`` (width, height) around ``region``.

    MMPose's GetBBoxCenterScale and TopdownAffine: the box grows by a quarter if it is tight, then to the crop's aspect
    ratio. Computed in single precision as there, because warpAffine rounds to 1/32 pixel.
    """
    half = np.array(region.size_px) / 2
    low, high = (np.array(region.center_px) - half).astype(np.float32), (region.center_px + half).astype(np.float32)
    center = (low + high) * np.float32(0.5)
    box_width, box_height = (high - low) * np.float32(BOX_PADDING if region.tight else 1)
    width = max(box_width, box_height * np.float32(size[0] / size[1]), np.float32(1))
    cos, sin = np.cos(region.rotation_rad), np.sin(region.rotation_rad)
    middle, reach = np.array(size) / 2, np.array([size[0] / 2, 0])
    source = _corner_points(center, np.array([cos, sin]) * float(width) / 2)
    target = _corner_points(middle, reach)
    return np.asarray(cv2.getAffineTransform(source, target))


def _corner_points(center: Any, to_side: Array) -> Tensor:
    """The centre, the middle of the left side, and the point a quarter turn further, as MMPose rounds them."""
    points = np.zeros((3, 2), dtype=np.float32)
    points[0], points[1] = center, center - to_side
    x, y = points[0] - points[1]
    points[2] = points[1] + (-y, x)
    return points


def crop(image: Image, matrix: Array, size: tuple[int, int]) -> Image:
    """The part of the picture that ``matrix`` maps to ``size`` (width, height); black beyond the picture's edges."""
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), dtype=np.uint8)


def decode_simcc(simcc_x: Any, simcc_y: Any) -> tuple[Array, Array]:
    """Points (N, J, 2) in crop pixels and peaks (N, J) of SimCC's axis responses (N, J, 2W) and (N, J, 2H).

    The peak is the lower of the two axes' maxima; where it is not positive the network says nothing: NaN.
    """
    peak = np.minimum(simcc_x.max(axis=2), simcc_y.max(axis=2)).astype(np.float64)
    points = np.stack([simcc_x.argmax(axis=2), simcc_y.argmax(axis=2)], axis=2) / SIMCC_SPLIT_RATIO
    return np.where((peak > 0)[..., None], points, np.nan), peak


def score_of(peak: Array) -> Array:
    """The confidence 0..1 of SimCC peaks: the peak itself, cut to 0..1.

    Peaks are no probabilities. They are trained towards label peaks of 1, sit at 0.3 and below where a point cannot
    be seen (MMPose's and rtmlib's threshold) and can exceed 1; cutting keeps all published thresholds meaningful.
    """
    return np.clip(peak, 0, 1)


def pose_of(xy_px: Array, peak: Array, region: Region) -> PersonPose:
    """A pose out of points (J, 2) and raw scores (J,), with where to look next.

    ``presence`` is the mean score of the better half of the points, so that a person half out of view still counts.
    """
    score = score_of(peak)
    better = np.sort(score)[-max(1, len(score) // 2) :]
    return PersonPose(
        xy_px=xy_px,
        score=score,
        presence=float(better.mean()),
        next_region=next_region(xy_px, score, region),
        raw_score=np.asarray(peak, dtype=np.float64),
    )


def next_region(xy_px: Array, score: Array, region: Region) -> Region:
    """The box a detector would draw around the person: that of the confident points, with a margin.

    Where only few are confident, all count: a box of some of them would shrink and slide from frame to frame.
    """
    known = np.isfinite(xy_px).all(axis=1)
    sure = known & (score >= CONFIDENT)
    points = xy_px[sure if sure.sum() >= CONFIDENT_SHARE * known.sum() else known]
    if len(points) < 2:
        return replace(region, score=1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    sides = np.maximum(high - low, 1.0)
    margin = np.maximum(MARGIN_OF_SIDE * sides, MARGIN_OF_LONGER * sides.max())
    return Region.from_box(np.concatenate([low - margin, high + margin]))


class RTMPoseOnnx(OnnxNetwork):
    """RTMPose or RTMW as an ONNX file with outputs simcc_x and simcc_y.

    ``raw_score`` keeps the SimCC peak, ``score`` is ``score_of`` it.
    """

    def __init__(
        self,
        path: Path,
        skeleton: Skeleton = COCO_17,
        input_size: tuple[int, int] | None = None,
        *,
        name: str = "rtmpose",
        threads: int | None = None,
    ) -> None:
        """
        Args:
            path: the ONNX file.
            skeleton: its key points, in its order.
            input_size: width, height, for a file that takes any size; None is the usual one.
            name: as in the registry.
            threads: of ONNX Runtime.
        """
        super().__init__(path, threads)
        self.name, self.skeleton = name, skeleton
        self.input_size = self.size_or(input_size, USUAL_SIZE)
        if self.outputs != 2:
            raise EstimatorError(
                f"{path} has {self.outputs} outputs, not two: only SimCC models (RTMPose, RTMW) run here; "
                "run others with the mmpose engine."
            )

    @classmethod
    def from_entry(cls, model: ModelEntry, threads: int | None = None) -> Self:
        """The key-point model of a registry entry. Raises EstimatorError when its file is not here."""
        from pipeline.estimation.download import installed_onnx

        if model.skeleton not in SKELETONS:
            raise EstimatorError(
                f"{model.name} has the skeleton {model.skeleton!r}, which is unknown; "
                f"the onnx engine knows: {', '.join(SKELETONS)}."
            )
        path = installed_onnx(model)
        return cls(path, SKELETONS[model.skeleton], model.input_size, name=model.name, threads=threads)

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        """One pose a region, everybody in one batch.

        A region with a margin and a turn (BlazePose's detector) is looked at twice: first to find the person, then in
        the tight box around them, which is what RTMPose was trained on.
        """
        poses = self._look(image, regions)
        again = [k for k, region in enumerate(regions) if not region.tight and poses[k].presence >= ROTATED_LOOK]
        if again:
            for k, pose in zip(again, self._look(image, [poses[k].next_region for k in again]), strict=True):
                poses[k] = pose
        return poses

    def _look(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        if not regions:
            return []
        matrices = [crop_matrix(region, self.input_size) for region in regions]
        points, peaks = self.simcc(normalise([crop(image, matrix, self.input_size) for matrix in matrices], bgr=False))
        return [
            pose_of(_to_image(xy, matrix), peak, region)
            for xy, peak, matrix, region in zip(points, peaks, matrices, regions, strict=True)
        ]

    def simcc(self, tensor: Tensor) -> tuple[Array, Array]:
        """Points (N, J, 2) in crop pixels and peaks (N, J) for crops (N, 3, H, W)."""
        parts = np.split(tensor, len(tensor)) if self.fixed_batch else [tensor]
        outputs = [self.run(part) for part in parts]
        simcc_x, simcc_y = (np.concatenate(output) for output in zip(*outputs, strict=True))
        if simcc_x.shape[1] != len(self.skeleton):
            raise EstimatorError(
                f"{self.name} gives {simcc_x.shape[1]} key points, but its skeleton {self.skeleton.name} has "
                f"{len(self.skeleton)}; add the model with the skeleton it was trained for."
            )
        return decode_simcc(simcc_x, simcc_y)


def _to_image(xy: Array, matrix: Array) -> Array:
    """Crop pixels (J, 2) back to the picture's."""
    back = cv2.invertAffineTransform(matrix)
    return np.asarray(xy @ back[:, :2].T + back[:, 2])
