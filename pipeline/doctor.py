"""What is installed, what it runs on, and how fast and how large it is here, measured and remembered."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from pipeline import __version__, settings
from pipeline.estimation.accelerators import engine_warning, graphics_processors
from pipeline.estimation.base import EstimatorError
from pipeline.estimation.topdown import WORKING_POINTS
from pipeline.media import Frame, read_frames

if TYPE_CHECKING:
    from pipeline.estimation.registry import Engine, ModelEntry

PACKAGES = (
    *("mediapipe", "ai-edge-litert", "onnxruntime", "torch", "torchvision", "mmpose", "mmdet", "mmengine"),
    *("mmcv-lite", "mmcv", "opencv-python", "av", "numpy", "scipy", "scikit-learn", "pandas", "streamlit"),
    *("streamlit-webrtc", "aiortc"),
)
DECODERS = ("h264", "hevc", "av1", "libdav1d", "vp9", "vp8", "mpeg4", "mjpeg", "gif", "prores")
ENCODERS = ("libx264", "libx265", "libvpx-vp9")
WARM_UP_FRAMES = 5
_CHILD = "import sys; from pipeline.doctor import measure_into; measure_into(sys.argv[1], sys.argv[2])"


def examine(*, measure: bool = True) -> dict[str, Any]:
    """Versions, models, device, codecs and free space, and each installed model's speed and memory.

    Args:
        measure: measure speed and memory anew (seconds a model) and remember them; else what is remembered.
    """
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
        "speed": measure_all() if measure else remembered(),
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
    """Graphics processors, what the engines could use, and a warning for each engine that lets one sit idle."""
    import onnxruntime
    import torch

    from pipeline.estimation.registry import ENGINES

    return {
        "graphics_processors": list(graphics_processors()),
        "onnxruntime_providers": onnxruntime.get_available_providers(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "warnings": [warning for engine in ENGINES if (warning := engine_warning(engine))],
    }


def model_state(entry: ModelEntry) -> dict[str, Any]:
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


def measure_all() -> dict[str, dict[str, Any]]:
    """``measure`` of every model that runs here, by name; those that don't run are left out."""
    results = {}
    for entry in _installed():
        try:
            results[entry.name] = measure(entry.name)
        except EstimatorError:
            continue
    return results


def remembered() -> dict[str, dict[str, Any]]:
    """What was measured before on this machine, by model."""
    found = {entry.name: cached_speed(entry.name) for entry in _installed()}
    return {name: result for name, result in found.items() if result is not None}


def measure(model: str) -> dict[str, Any]:
    """Speed and peak memory of an installed model in a process of its own, remembered for ``cached_speed``.

    Returns:
        what ``speed`` returns, ``peak_mib``: the most memory the whole process had, and for a key-point model
        ``working_points``: the frames a second of each.

    Raises:
        EstimatorError: the model is unknown, not installed, or does not run.
    """
    from pipeline.estimation.registry import entry

    path = _remembered_path(entry(model))
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "measured.json")
        command = [sys.executable, "-c", _CHILD, model, str(answer)]
        done = subprocess.run(command, cwd=settings.PROJECT_DIR, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not answer.exists():
            last = (done.stderr.strip() or "it was stopped").splitlines()[-1]
            raise EstimatorError(f"{model} could not be measured: {last}")
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(path)
    return result


def measure_into(model: str, path: str) -> None:
    """Measure in this process and write the result to ``path``: what ``measure`` starts."""
    from pipeline.estimation.registry import entry

    result = speed(model) | {"peak_mib": round(_peak_bytes() / 2**20)}
    if entry(model).kind != "detector":
        others = {point: speed(model, frames=30, point=point)["frames_per_s"] for point in ("fast", "thorough")}
        result["working_points"] = {"balanced": result["frames_per_s"]} | others
    Path(path).write_text(json.dumps(result), encoding="utf-8")


def cached_speed(model: str) -> dict[str, Any] | None:
    """What ``measure`` found for this model, with these weights, on this machine; None before it was measured.

    Raises EstimatorError when there is no such model.
    """
    from pipeline.estimation.registry import entry

    path = _remembered_path(entry(model))
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def _remembered_path(entry: ModelEntry) -> Path:
    """One file a model, version of its weights, machine and version of the program."""
    weights = [p for p in (entry.onnx_path, entry.checkpoint_path) if p is not None and p.exists()]
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in weights]
    machine = (
        platform.node(), platform.machine(), platform.processor(), os.cpu_count(),
        round(psutil.virtual_memory().total / 2**30), shutil.which("nvidia-smi") is not None,
    )  # fmt: skip
    key = hashlib.sha256(repr((stamps, machine, __version__)).encode()).hexdigest()[:12]
    return settings.cache_dir() / "speed" / f"{entry.name}-{key}.json"


def _peak_bytes() -> int:
    """The most memory this process ever had."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def speed(model: str, frames: int = 60, size: tuple[int, int] = (640, 480), point: str = "balanced") -> dict[str, Any]:
    """Frames a second of a model at a working point on a rendered person, the first frames not counted.

    Returns:
        ``frames_per_s`` and the median ``frame_ms`` at this picture size, with the ``engine``, the ``device`` really
        used, and ``what`` was measured: a detector alone, or a key-point model following people (detection now and
        then, key points in every frame).
    """
    from pipeline.estimation.registry import create_detector, create_estimator, entry
    from pipeline.sample import sample_clip

    found = entry(model)
    engine = _engine(found)
    step: Callable[[Frame], object]
    if found.kind == "detector":
        detector = create_detector(model, engine=engine)
        device, step = detector.device, lambda frame: detector.detect(frame.image)
    else:
        estimator = create_estimator(model, None, WORKING_POINTS[point], engine=engine)
        device, step = estimator.info.device, lambda frame: estimator.update(frame.image, frame.time_s)
    times: list[float] = []
    for frame, _ in zip(read_frames(sample_clip()), range(frames), strict=False):
        small = replace(frame, image=np.ascontiguousarray(frame.image[: size[1], : size[0]]))
        started = time.perf_counter()
        step(small)
        times.append(time.perf_counter() - started)
    warm = times[WARM_UP_FRAMES:] or times
    return {
        "what": "detector alone" if found.kind == "detector" else "people followed",
        "frames_per_s": round(len(warm) / sum(warm), 1),
        "frame_ms": round(1000 * statistics.median(warm), 2),
        "engine": engine,
        "device": device,
        "parameters": asdict(WORKING_POINTS[point]),
    }


def _engine(entry: ModelEntry) -> Engine:
    """ONNX Runtime where the weights for it are here, else PyTorch."""
    from pipeline.estimation.registry import is_installed

    return "mmpose" if "litert" not in entry.engines and not is_installed(entry, "onnx") else "onnx"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _entries() -> list[ModelEntry]:
    from pipeline.estimation.registry import list_models

    return list(list_models())


def _installed() -> list[ModelEntry]:
    from pipeline.estimation.registry import is_installed

    return [entry for entry in _entries() if is_installed(entry)]


def _free_gib() -> float:
    folder = settings.outputs_dir()
    while not folder.exists():
        folder = folder.parent
    return round(shutil.disk_usage(folder).free / 2**30, 1)
