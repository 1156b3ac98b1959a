"""Which graphics processors there are, and whether the engines really use them."""

from __future__ import annotations

import logging
import shutil
import subprocess
from functools import lru_cache

from pipeline.estimation.base import EstimatorError

CUDA_PROVIDER = "CUDAExecutionProvider"
_REMEDIES = {
    "onnxruntime": "pip uninstall onnxruntime && pip install onnxruntime-gpu",
    "torch": "install the build of torch for this GPU's driver (pytorch.org/get-started)",
}
_LIBRARIES = {"onnx": "onnxruntime", "mmpose": "torch"}


def graphics_processors() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs that the driver lists, whether anything here can use them or not."""
    if shutil.which("nvidia-smi") is None:
        return ()
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()  # a driver without a GPU
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def idle_gpu_warning(library: str, on_cpu: bool) -> str:
    """A sentence when there is an NVIDIA GPU but ``library`` runs on the CPU; else empty."""
    if not on_cpu or shutil.which("nvidia-smi") is None:
        return ""
    return f"A GPU sits idle: the installed {library} runs on the CPU only. Use the GPU with: {_REMEDIES[library]}"


def log_idle_gpu(library: str, on_cpu: bool) -> None:
    """``idle_gpu_warning`` to the log, which the command line shows."""
    if warning := idle_gpu_warning(library, on_cpu):
        logging.getLogger(__name__).warning(warning)


def engine_warning(engine: str) -> str:
    """``idle_gpu_warning`` of an engine, before any model of it is loaded; empty where there is no NVIDIA GPU.

    Args:
        engine: "onnx" or "mmpose", as in the registry.
    """
    if engine not in _LIBRARIES:
        raise EstimatorError(f"There is no engine {engine!r}; choose one of: {', '.join(_LIBRARIES)}.")
    if shutil.which("nvidia-smi") is None:
        return ""  # and no library is loaded for it
    return idle_gpu_warning(
        _LIBRARIES[engine], not (_onnxruntime_uses_cuda() if engine == "onnx" else _torch_uses_cuda())
    )


@lru_cache(maxsize=1)
def _onnxruntime_uses_cuda() -> bool:
    """By a session that was really made: a provider can be listed and yet lack CUDA's libraries."""
    import onnx
    import onnxruntime

    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        return False
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "smallest", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[CUDA_PROVIDER, "CPUExecutionProvider"])
    return bool(session.get_providers()[0] == CUDA_PROVIDER)


def _torch_uses_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
