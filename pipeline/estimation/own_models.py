"""A user's own model, looked at once when it is added: its files are opened and run, and what they say is filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.estimation.base import EstimatorError, Region
from pipeline.estimation.registry import ModelEntry, config_path
from pipeline.skeletons import SKELETONS

if TYPE_CHECKING:
    from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints
    from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx

SIZE_KEYS = ("input_size", "scale")  # of MMPose's TopdownAffine and of MMDetection's Resize


def completed(model: ModelEntry) -> ModelEntry:
    """The entry with the input size and the skeleton that its config or its ONNX file tell, after a first run.

    Args:
        model: with absolute paths of files that exist, and its engines.

    Returns:
        The same; without the onnx engine where the skeleton is none that Kinoscope knows by name.

    Raises:
        EstimatorError: a file is no model, config and checkpoint don't fit each other, or a key-point model's skeleton
            is missing, unknown or of another number of points.
    """
    if model.kind == "keypoints" and model.skeleton and model.skeleton not in SKELETONS:
        raise EstimatorError(f"There is no skeleton {model.skeleton!r}; choose one of: {', '.join(SKELETONS)}.")
    if model.config:
        model = _from_config(model)
    if model.kind == "keypoints" and not model.skeleton and not (model.config and model.checkpoint_file):
        raise EstimatorError(
            f"{model.name} needs the skeleton that it was trained for; add --skeleton with one of: "
            f"{', '.join(SKELETONS)}."
        )
    return _from_onnx(model) if model.onnx_file and "onnx" in model.engines else model


def config_size(settings: Any) -> tuple[int, int]:
    """Width, height of the network's input by the config's own test pipeline; (0, 0) where it does not say."""
    dataset = (settings.get("test_dataloader") or {}).get("dataset") or {}
    for step in dataset.get("pipeline") or ():
        for key in SIZE_KEYS:
            size = step.get(key)
            if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) for side in size):
                return size[0], size[1]
    return 0, 0


def _from_config(model: ModelEntry) -> ModelEntry:
    """Built once as PyTorch builds it, with its weights where there are some."""
    from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints, read_config

    config, checkpoint = config_path(model), model.checkpoint_path
    if not all(model.input_size):
        model = replace(model, input_size=config_size(read_config(config)))
    build: type[MMDetDetector | MMPoseKeypoints] = MMDetDetector if model.kind == "detector" else MMPoseKeypoints
    try:
        built = build(config, checkpoint, name=model.name)
    except EstimatorError:
        raise
    except Exception as error:  # a config is a program: what it raises shares no other base
        raise EstimatorError(f"{config} cannot be built as a {_kind(model)}: {error}") from error
    if isinstance(built, MMDetDetector):
        return model
    own = built.skeleton
    if model.skeleton and len(SKELETONS[model.skeleton]) != len(own):
        raise EstimatorError(
            f"{model.name} gives {len(own)} key points by its config, but the skeleton {model.skeleton} has "
            f"{len(SKELETONS[model.skeleton])}; leave --skeleton out, or choose another."
        )
    if own.name in SKELETONS and not model.skeleton:
        model = replace(model, skeleton=own.name)
    return model if model.skeleton else replace(model, engines=("mmpose",))


def _from_onnx(model: ModelEntry) -> ModelEntry:
    """Run once on an empty picture."""
    from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx

    network: RTMDetOnnx | RTMPoseOnnx
    if model.kind == "detector":
        network = RTMDetOnnx(model.onnx_path, model.input_size, name=model.name)
    else:
        network = RTMPoseOnnx(model.onnx_path, SKELETONS[model.skeleton], model.input_size, name=model.name)
    width, height = network.input_size
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    try:
        if isinstance(network, RTMDetOnnx):
            network.detect(picture)
        else:
            network.keypoints(picture, [Region.from_box([0, 0, width, height])])
    except EstimatorError:
        raise
    except Exception as error:  # onnxruntime's own classes share no other base
        raise EstimatorError(
            f"{model.onnx_path} does not run as a {_kind(model)} with an input of {width}x{height}: {error}"
        ) from error
    return replace(model, input_size=network.input_size)


def _kind(model: ModelEntry) -> str:
    return "detector" if model.kind == "detector" else "key-point model"
