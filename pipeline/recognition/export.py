"""The shipped recogniser for other programs: ONNX, and ONNX with 8-bit weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.recognition.recognizer import Recognizer, inputs, softmax
from pipeline.recognition.windows import WINDOW, mirrored

INPUT, OUTPUT = "windows", "logits"


def export_onnx(recognizer: Recognizer, path: Path) -> Path:
    """Write the network (without mirroring and calibration) as ONNX, any number of windows at once.

    The input ``windows`` is what ``recognizer.inputs`` gives; the output ``logits`` wants dividing by the temperature.
    """
    import torch

    windows = np.full((2, WINDOW, 33, 3), 0.5, np.float32)
    example = torch.from_numpy(inputs(recognizer.name, windows))
    torch.onnx.export(
        recognizer.network, (example,), str(path), input_names=[INPUT], output_names=[OUTPUT], dynamo=False,
        dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}}, opset_version=17,
    )  # fmt: skip
    return path


def quantize(onnx: Path, path: Path, calibration: NDArray[np.float32]) -> Path:
    """Write the ONNX network with 8-bit weights and activations (QDQ, ranges from the inputs ``calibration``)."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.parts = iter(np.array_split(calibration, max(1, len(calibration) // 32)))

        def get_next(self) -> dict[str, Any] | None:
            part = next(self.parts, None)
            return None if part is None else {INPUT: part}

    prepared = path.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(str(onnx), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared), str(path), Reader(), per_channel=True, op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        )  # fmt: skip
    finally:
        prepared.unlink(missing_ok=True)
    return path


def onnx_probabilities(recognizer: Recognizer, path: Path, windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, C) of an exported network for boxed windows, mirrored and calibrated like the recogniser's own,
    before its rules for who holds still or is not seen.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def scores(part: NDArray[np.float32]) -> NDArray[np.float32]:
        values = inputs(recognizer.name, part)
        found = [session.run(None, {INPUT: some})[0] for some in np.array_split(values, max(1, len(values) // 256))]
        return np.concatenate(found)

    both = (scores(windows) + scores(mirrored(windows))) / 2
    return softmax(both / recognizer.calibration.temperature)
