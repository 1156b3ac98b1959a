"""What is installed, what it runs on and how fast it is here, measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import statistics
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import psutil

from pipeline import __version__, settings
from pipeline.estimation.base import Estimator, EstimatorError
from pipeline.estimation.topdown import WORKING_POINTS

PACKAGES = (
    *("mediapipe", "ai-edge-litert", "onnxruntime", "torch", "torchvision", "mmpose", "mmdet", "mmengine"),
    *("mmcv-lite", "mmcv", "opencv-python", "av", "numpy", "scipy", "scikit-learn", "pandas", "streamlit"),
    *("streamlit-webrtc", "aiortc"),
)
DECODERS = ("h264", "hevc", "av1", "libdav1d", "vp9", "vp8", "mpeg4", "mjpeg", "gif", "prores")
ENCODERS = ("libx264", "libx265", "libvpx-vp9")


def examine(*, measure: bool = True) -> dict[str, Any]:
    """Versions, models, device, codecs and free space; with ``measure`` also each installed model's speed."""
    return {
        "kinoscope": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": {"cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30, 1)},
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "codecs": codecs(),
        "models": [model_state(entry) for entry in _entries()],
        "accelerators": accelerators(),
        "outputs": {"folder": str(settings.outputs_dir()), "free_gib": _free_gib()},
        "speed": {pair: speed(pair) for pair in _runnable()} if measure else {},
    }


def codecs() -> dict[str, list[str]]:
    """Which of the usual codecs this FFmpeg (inside PyAV) can read and write."""
    import av

    def there(names: tuple[str, ...], mode: Any) -> list[str]:
        found = []
        for name in names:
            try:
                av.Codec(name, mode)
            except (av.codec.codec.UnknownCodecError, ValueError):
                continue
            found.append(name)
        return found

    return {"decode": there(DECODERS, "r"), "encode": there(ENCODERS, "w")}


def accelerators() -> dict[str, Any]:
    """Graphics processors that the installed engines could use."""
    import onnxruntime
    import torch

    return {
        "onnxruntime_providers": onnxruntime.get_available_providers(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def model_state(entry: Any) -> dict[str, Any]:
    """A registry entry with whether it is installed and, if not, how to get it."""
    from pipeline.estimation.registry import how_to_get, is_installed

    installed = is_installed(entry)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "title": entry.title,
        "installed": installed,
        "how_to_get": "" if installed else how_to_get(entry),
    }


def speed(model: str, frames: int = 60, size: tuple[int, int] = (640, 480)) -> dict[str, Any]:
    """Frames a second of a model on a rendered person, the first frames not counted.

    Returns:
        ``frames_per_s`` of the whole estimator (detection now and then, key points in every frame) and the median
        ``frame_ms``, at this picture size, with the device really used.
    """
    from pipeline.estimation.registry import create_estimator
    from pipeline.media import read_frames
    from pipeline.sample import sample_clip

    estimator: Estimator = create_estimator(model, None, WORKING_POINTS["balanced"])
    times: list[float] = []
    for number, frame in enumerate(read_frames(sample_clip())):
        if number >= frames:
            break
        started = time.perf_counter()
        estimator.update(np.ascontiguousarray(frame.image[: size[1], : size[0]]), frame.time_s)
        times.append(time.perf_counter() - started)
    warm = times[5:] or times
    return {
        "frames_per_s": round(len(warm) / sum(warm), 1),
        "frame_ms": round(1000 * statistics.median(warm), 2),
        "device": estimator.info.device,
        "parameters": asdict(WORKING_POINTS["balanced"]),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _entries() -> list[Any]:
    from pipeline.estimation.registry import list_models

    return list(list_models())


def _runnable() -> list[str]:
    from pipeline.estimation.registry import create_estimator, is_installed

    names = []
    for entry in _entries():
        if entry.kind != "detector" and is_installed(entry):
            try:
                create_estimator(entry.name, None, None)
            except EstimatorError:
                continue
            names.append(entry.name)
    return names


def _free_gib() -> float:
    folder = settings.outputs_dir()
    while not folder.exists():
        folder = folder.parent
    return round(shutil.disk_usage(folder).free / 2**30, 1)
