"""From PyTorch weights to an ONNX file, and from that to one with 8-bit weights; both say what it cost."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.estimation.base import Detector, EstimatorError, Image, Region
from pipeline.estimation.onnx_models import (
    OnnxNetwork,
    RTMDetOnnx,
    RTMPoseOnnx,
    Tensor,
    crop,
    crop_matrix,
    decode_heads,
    decode_simcc,
    letterbox,
    normalise,
    suppress,
)
from pipeline.estimation.registry import (
    ModelEntry,
    add_model,
    config_path,
    create_detector,
    create_keypoint_model,
    default_pair,
    entry,
)
from pipeline.estimation.tracking import overlap
from pipeline.media import IMAGE_SUFFIXES, read_frames
from pipeline.settings import models_dir

if TYPE_CHECKING:
    import torch

OPSET = 17
CALIBRATION_SCORE = 0.4  # of a detected person; RTMDet-nano then finds 1 other in 60 (benchmarks/parity.md)
TOLERANCE = 1e-3  # largest difference that rounding explains, as a share of the largest output


@dataclass(frozen=True)
class ExportReport:
    """An ONNX file and how far it is from PyTorch: the largest difference of any output on random crops."""

    path: Path
    largest_difference: float
    largest_output: float
    crops: int


@dataclass(frozen=True)
class QuantiseReport:
    """An 8-bit ONNX file, what it changed on the pictures it was tried on, and what it gained.

    Attributes:
        path: the file.
        method: "dynamic" or "static".
        inputs: how many crops or pictures everything here was measured on.
        moved_px: median and 95th percentile of how far the key points moved, in pixels of the crop; NaN for detectors.
        found_again: share of the people (score 0.3) whom the 8-bit detector finds too (IoU 0.5); NaN for key points,
            and where nobody was on the pictures.
        largest_difference: of any output, as a share of the largest one.
        size_ratio: of the new file to the old one.
        time_ratio: of one run.
    """

    path: Path
    method: str
    inputs: int
    moved_px: tuple[float, float]
    found_again: float
    largest_difference: float
    size_ratio: float
    time_ratio: float


def export_onnx(name: str, *, crops: int = 8, seed: int = 0) -> ExportReport:
    """Make the ONNX file of a registry model from its PyTorch weights and check it against PyTorch.

    Args:
        name: of the registry; its checkpoint must be here.
        crops: random crops to compare on.
        seed: of those crops.

    Raises:
        EstimatorError: the weights are not here, the model has no plain outputs, or the file differs from PyTorch.
    """
    from pipeline.estimation.download import installed_checkpoint

    model = entry(name)
    if model.onnx_file:
        raise EstimatorError(f"{name} came with the ONNX file {model.onnx_path}; there is nothing to export.")
    return export_entry(model, config_path(model), installed_checkpoint(model), model.onnx_path, crops=crops, seed=seed)


def export_entry(
    model: ModelEntry, config: Path, checkpoint: Path, target: Path, *, crops: int = 8, seed: int = 0
) -> ExportReport:
    """Export ``checkpoint`` to ``target``; see ``export_onnx``."""
    from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints

    if not all(model.input_size):
        raise EstimatorError(f"The config of {model.name} tells no input size; add the model again with --input-size.")
    build: Any = MMDetDetector if model.kind == "detector" else MMPoseKeypoints
    return export_network(build(config, checkpoint).model, model.kind, model.input_size, target, crops=crops, seed=seed)


def export_network(
    network: torch.nn.Module, kind: str, size: tuple[int, int], target: Path, *, crops: int = 8, seed: int = 0
) -> ExportReport:
    """Export a built MMPose or MMDetection network to ``target`` and hold the file against it.

    Args:
        network: the model as MMPose or MMDetection builds it.
        kind: "detector": raw heads, one a stride, (N, H, W, C + 4); else SimCC's two axes.
        size: width, height of the input.
        target: the file; an older one is replaced.
        crops, seed: random crops to compare on.
    """
    import torch

    wrapper = (_heads if kind == "detector" else _simcc)(network.to("cpu")).eval()
    outputs = ["stride8", "stride16", "stride32"] if kind == "detector" else ["simcc_x", "simcc_y"]
    example = torch.zeros(1, 3, size[1], size[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.stem + ".part.onnx")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                wrapper, (example,), str(part), dynamo=False, opset_version=OPSET, input_names=["input"],
                output_names=outputs, dynamic_axes={name: {0: "batch"} for name in ["input", *outputs]},
            )  # fmt: skip
            tensor = random_crops(size, crops, seed)
            expected = [output.numpy() for output in wrapper(torch.from_numpy(tensor))]
        exported = OnnxNetwork(part).run(tensor)
        difference = max(float(np.abs(a - b).max()) for a, b in zip(expected, exported, strict=True))
        largest = max(float(np.abs(a).max()) for a in expected)
        if not difference <= TOLERANCE * largest:
            raise EstimatorError(
                f"The ONNX file differs from PyTorch by {difference:.3g} (outputs reach {largest:.3g}) and was not "
                "kept; run this model with the mmpose engine."
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return ExportReport(target, difference, largest, crops)


def random_crops(size: tuple[int, int], count: int, seed: int = 0) -> Tensor:
    """Network inputs (count, 3, height, width) of random blobs, as smooth as pictures are."""
    import cv2

    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
    crops = [np.asarray(cv2.resize(c, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8) for c in coarse]
    return normalise(crops, bgr=False)


def _simcc(network: Any) -> torch.nn.Module:
    """MMPose's backbone, neck and head as one function from crops to SimCC's two axes."""
    import torch

    if not hasattr(getattr(network, "head", None), "simcc_split_ratio"):
        raise EstimatorError("Only SimCC models (RTMPose, RTMW) can be exported; run others with the mmpose engine.")

    class Simcc(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, crops: torch.Tensor) -> Any:
            return self.network.head(self.network.extract_feat(crops))

    return Simcc()


def _heads(network: Any) -> torch.nn.Module:
    """RTMDet as one function from pictures to its raw heads, class logits and distances side by side."""
    import torch

    if "RTMDet" not in type(getattr(network, "bbox_head", None)).__name__:
        raise EstimatorError("Only RTMDet detectors can be exported; run others with the mmpose engine.")

    class Heads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pictures: torch.Tensor) -> Any:
            logits, distances = self.network.bbox_head(self.network.extract_feat(pictures))
            return tuple(torch.cat(pair, dim=1).permute(0, 2, 3, 1) for pair in zip(logits, distances, strict=True))

    return Heads()


def quantise(
    name: str,
    tensor: Tensor | None = None,
    *,
    method: Literal["dynamic", "static"] = "dynamic",
    register: bool = True,
) -> QuantiseReport:
    """Make an ONNX file with 8-bit weights beside a model's own, and measure the difference.

    It always is smaller; whether it is faster, and how much it loses, is for the report to say (SiLU networks like
    RTMDet and RTMPose lose more than most).

    Args:
        name: of the registry; its ONNX file must be here.
        tensor: network inputs (N, 3, H, W), two or more, as ``picture_inputs`` makes them; None for random ones, which
            say little about accuracy on people.
        method: "dynamic" scales activations while running; "static" fixes their scales on the first half of
            ``tensor``. Everything is measured on the other half.
        register: add it to the user's models as ``name``-int8.

    Raises:
        EstimatorError: the ONNX file is not here, or has non-maximum suppression built in, or ``tensor`` is too short.
    """
    from pipeline.estimation.download import installed_onnx

    model = entry(name)
    source = installed_onnx(model)
    before = OnnxNetwork(source)
    if model.kind == "detector" and before.outputs == 2:
        raise EstimatorError(f"{source} has non-maximum suppression built in; export {name} from its checkpoint first.")
    tensor = random_crops(model.input_size, 8) if tensor is None else tensor
    if len(tensor) < 2:
        raise EstimatorError("One half of the inputs is calibrated on and the other measured on; give two or more.")
    half = len(tensor) // 2
    target = models_dir() / f"{name}-int8.onnx"
    part = target.with_name(f"{name}-int8.part.onnx")
    try:
        _write_int8(source, part, tensor[:half] if method == "static" else None)
        after = OnnxNetwork(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    expected, quantised = _run_each(before, tensor[half:]), _run_each(after, tensor[half:])
    largest = max(float(np.abs(a).max()) for a in expected)
    report = QuantiseReport(
        target,
        method,
        len(tensor) - half,
        _moved_px(expected, quantised) if model.kind == "keypoints" else (float("nan"), float("nan")),
        _found_again(expected, quantised, model.input_size) if model.kind == "detector" else float("nan"),
        max(float(np.abs(a - b).max()) for a, b in zip(expected, quantised, strict=True)) / largest,
        target.stat().st_size / source.stat().st_size,
        _seconds(after, tensor[:1]) / _seconds(before, tensor[:1]),
    )
    if register:
        add_model(
            ModelEntry(
                f"{name}-int8", model.kind, f"{model.title}, 8-bit", model.skeleton, model.input_size,
                onnx_file=str(target), licence=model.licence,
            )
        )  # fmt: skip
    return report


def picture_inputs(name: str, folder: Path, limit: int = 64) -> Tensor:
    """Network inputs (N, 3, H, W) for a registry model from the pictures of a folder, to calibrate and measure on.

    Args:
        name: of the registry; its ONNX file must be here.
        folder: with pictures of people; folders in it are looked into. The first ``limit`` by name are used.
        limit: how many pictures at most.

    Returns:
        The whole pictures for a detector; for a key-point model a crop for every person whom the preselected detector
        finds.

    Raises:
        EstimatorError: fewer than two inputs come of it: no pictures, or nobody on them.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)[:limit]
    if not paths:
        raise EstimatorError(
            f"There are no pictures in {folder}; give a folder with {', '.join(IMAGE_SUFFIXES)} files."
        )
    images = [next(iter(read_frames(path))).image for path in paths]
    network = (create_detector if entry(name).kind == "detector" else create_keypoint_model)(name)
    if isinstance(network, RTMDetOnnx):
        inputs = [normalise([letterbox(image, network.input_size)[0]], bgr=True) for image in images]
    elif isinstance(network, RTMPoseOnnx):
        detector, size = create_detector(default_pair()[0]), network.input_size
        inputs = [
            normalise([crop(image, crop_matrix(region, size), size)], bgr=False)
            for image in images
            for region in _people(image, detector, network)
        ]
    else:
        raise EstimatorError(f"{name} cannot be made 8-bit; choose an RTMDet detector or an RTMPose model.")
    if len(inputs) < 2:
        raise EstimatorError(
            f"{len(inputs)} people or pictures in {folder} are too few to calibrate and measure on; give two or more."
        )
    return np.concatenate(inputs)


def _people(image: Image, detector: Detector, network: RTMPoseOnnx) -> list[Region]:
    """Tight boxes of the people; a detector's wider region is tightened by the key points in it."""
    regions = [region for region in detector.detect(image) if region.score >= CALIBRATION_SCORE]
    return [r if r.tight else network.keypoints(image, [r])[0].next_region for r in regions]


def _write_int8(source: Path, target: Path, calibration: Tensor | None) -> None:
    import onnx
    from onnxruntime import quantization

    if calibration is None:
        # Convolutions take unsigned weights in ONNX Runtime's dynamic 8-bit kernels for the CPU
        quantization.quantize_dynamic(str(source), str(target), weight_type=quantization.QuantType.QUInt8)
        return
    graph = onnx.load(str(source))
    batches = [{graph.graph.input[0].name: row[None]} for row in calibration]

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> Any:
            return batches.pop(0) if batches else None

    quantization.quantize_static(
        str(source), str(target), Reader(),
        per_channel=graph.opset_import[0].version >= 13,  # from there the format knows scales per channel
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
    )  # fmt: skip


def _moved_px(expected: list[Any], quantised: list[Any]) -> tuple[float, float]:
    distance = np.linalg.norm(decode_simcc(*expected)[0] - decode_simcc(*quantised)[0], axis=2)
    return float(np.nanmedian(distance)), float(np.nanpercentile(distance, 95))


def _found_again(expected: list[Any], quantised: list[Any], size: tuple[int, int]) -> float:
    again = []
    for k in range(len(expected[0])):
        found = []
        for heads in (expected, quantised):
            boxes, scores = decode_heads([head[k : k + 1] for head in heads], size, 0.3)
            found.append(boxes[suppress(boxes, scores, 0.6)])
        again += [any(overlap(box, other) >= 0.5 for other in found[1]) for box in found[0]]
    return float(np.mean(again)) if again else float("nan")


def _run_each(network: OnnxNetwork, tensor: Tensor) -> list[Any]:
    rows = [network.run(row[None]) for row in tensor]
    return [np.concatenate(output) for output in zip(*rows, strict=True)]


def _seconds(network: OnnxNetwork, tensor: Tensor, runs: int = 10) -> float:
    network.run(tensor)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        network.run(tensor)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def weights_from_onnx(network: torch.nn.Module, path: Path, size: tuple[int, int]) -> int:
    """Put the convolutions of an ONNX file into an MMPose or MMDetection network of the same architecture.

    Exporters fold batch normalisation into the convolutions, so every normalisation becomes the identity and its
    shift the convolution's bias. Convolutions are matched in the order in which they run.

    Args:
        network: with ``extract_feat`` and ``bbox_head`` or ``head``; changed in place.
        path: the ONNX file.
        size: width, height of the network's input.

    Returns:
        The number of convolutions.

    Raises:
        EstimatorError: the number or the shapes of the convolutions differ.
    """
    import onnx
    import torch
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    calls: list[torch.nn.Conv2d] = []
    hooks = [
        module.register_forward_hook(lambda called, *_: calls.append(called))
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head: Any = getattr(network, "bbox_head", None) or network.head
        extract: Any = network.extract_feat
        head(extract(torch.zeros(1, 3, size[1], size[0])))
    for hook in hooks:
        hook.remove()
    norms = {
        getattr(module, "conv", None): getattr(module, "bn", None)
        for module in network.modules()
        if isinstance(getattr(module, "bn", None), torch.nn.modules.batchnorm._BatchNorm)
    }
    if len(calls) != len(nodes) or any(
        tuple(call.weight.shape) != values[node.input[1]].shape for call, node in zip(calls, nodes, strict=False)
    ):
        raise EstimatorError(f"{path} is another architecture: its convolutions do not fit the network's.")
    with torch.no_grad():
        for call, node in zip(calls, nodes, strict=True):
            call.weight.copy_(torch.from_numpy(values[node.input[1]].copy()))
            shift = torch.from_numpy(values[node.input[2]].copy()) if len(node.input) > 2 else torch.zeros(1)
            norm: Any = norms.get(call)
            if norm is not None:
                norm.running_mean.zero_()
                norm.running_var.fill_(1 - norm.eps)
                norm.weight.fill_(1)
                norm.bias.copy_(shift)
            elif call.bias is not None:
                call.bias.copy_(shift)
    return len(calls)
