"""A trained recogniser: windows in, calibrated probabilities out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.poses import SCHEMA_VERSION, check_schema
from pipeline.recognition.classes import CLASSES, RecognitionError
from pipeline.recognition.features import features
from pipeline.recognition.windows import CORE_INDEX, MIN_SEEN, WINDOW, held, mirrored, seen_frames

if TYPE_CHECKING:
    import torch

MOTION, TCN = "motion", "tcn"
NETWORKS: dict[str, str] = {
    MOTION: "joint places, residual convolutions",
    TCN: "189 features, temporal convolutions (baseline)",
}
TCN_SAMPLES = 34  # of the middle of a window
BATCH = 256


@dataclass(frozen=True)
class Calibration:
    """What turns a network's scores into answers.

    network: "motion" or "tcn".
    classes: in the order of the scores.
    temperature: that the scores are divided by (Guo et al. 2017), fitted on the validation split.
    named_from: an exercise must be at least this likely, else the answer is unknown; from the validation split.
    once_from, repeated_from: the same where one complete repetition is counted while it lasts, or more.
    """

    network: str
    classes: tuple[str, ...] = CLASSES
    temperature: float = 1.0
    named_from: float = 0.5
    once_from: float = 0.5
    repeated_from: float = 0.5

    def to_json(self) -> dict[str, object]:
        """Plain values for the file beside the weights."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def inputs(network: str, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network takes of boxed windows (N, WINDOW, 33, 3).

    Core joints (N, WINDOW, 13, 2), or features (N, 34, 189).
    """
    if network == MOTION:
        return np.ascontiguousarray(windows[:, :, CORE_INDEX, :2])
    spare = (WINDOW - TCN_SAMPLES) // 2
    found = features(windows[:, spare - 1 : spare + TCN_SAMPLES + 1])[:, 1:-1]
    return np.ascontiguousarray(found)


def build(network: str, classes: int = len(CLASSES)) -> torch.nn.Module:
    """The network without weights. Raises RecognitionError for a name that there is not."""
    if network == MOTION:
        from pipeline.networks.motion import MotionClassifier

        return MotionClassifier(classes)
    if network == TCN:
        from pipeline.networks.tcn import TcnClassifier

        return TcnClassifier(classes)
    raise RecognitionError(f"There is no recognition network {network!r}; choose one of: {', '.join(NETWORKS)}.")


def checkpoint(network: str, folder: Path | None = None) -> Path:
    """Where the weights of a shipped network are; the calibration lies beside them as ``.json``."""
    return (folder or settings.PROJECT_DIR / "checkpoints") / f"recognition-{network}.safetensors"


def installed(folder: Path | None = None) -> tuple[str, ...]:
    """The networks whose weights are there, the better one first."""
    return tuple(name for name in NETWORKS if checkpoint(name, folder).is_file())


class Recognizer:
    """Probabilities of the exercises for windows of one person.

    A window and its mirror image are asked together and their scores averaged, so the answer cannot depend on the
    side the camera stood on.
    """

    def __init__(self, network: torch.nn.Module, calibration: Calibration) -> None:
        self.calibration = calibration
        self.network = network.eval()

    @classmethod
    def load(cls, network: str = MOTION, folder: Path | None = None) -> Recognizer:
        """A shipped recogniser.

        Raises:
            RecognitionError: there is no such network, or its weights are missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if network not in NETWORKS:
            raise RecognitionError(
                f"There is no recognition network {network!r}; choose one of: {', '.join(NETWORKS)}."
            )
        path = checkpoint(network, folder)
        try:
            values = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            check_schema(values.pop("schema_version", None), path.with_suffix(".json").name)
            calibration = _calibration(values)
            module = build(network, len(calibration.classes))
            module.load_state_dict(load_file(path))
        except (OSError, KeyError, RuntimeError, TypeError, json.JSONDecodeError, SafetensorError) as error:
            raise RecognitionError(
                f"The weights of the recogniser {network!r} cannot be read ({type(error).__name__}); restore "
                f"{path.name} and {path.stem}.json in checkpoints, or train: python -m pipeline train recognition."
            ) from error
        return cls(module, calibration)

    @property
    def name(self) -> str:
        return self.calibration.network

    @property
    def classes(self) -> tuple[str, ...]:
        return self.calibration.classes

    def logits(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C) scores of boxed windows (N, WINDOW, 33, 3), averaged over the window and its mirror image."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(windows), BATCH):
                part = windows[start : start + BATCH]
                both = np.concatenate([inputs(self.name, part), inputs(self.name, mirrored(part))])
                scores = self.network(torch.from_numpy(both)).numpy()
                parts.append((scores[: len(part)] + scores[len(part) :]) / 2)
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)), np.float32)

    def probabilities(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, C) calibrated; a window with hardly anybody in it is unknown for certain.

        Where somebody hardly moves, the exercises together are as likely as none at most: that outlasts a pause within
        an exercise, but begins none.
        """
        out = softmax(self.logits(windows) / self.calibration.temperature)
        if len(windows):
            spoken = out[:, :-1].sum(axis=1)
            less = np.where(held(windows) & (spoken > 0.5), 0.5 / spoken, 1.0)
            out[:, :-1] *= less[:, None]
            out[:, -1] = 1.0 - out[:, :-1].sum(axis=1)
        unseen = seen_frames(windows).sum(axis=1) < MIN_SEEN if len(windows) else np.empty(0, bool)
        out[unseen] = np.eye(len(self.classes))[-1]
        return out


def _calibration(values: Mapping[str, object]) -> Calibration:
    known = {
        name: values[name] for name in ("network", "classes", "temperature", "named_from", "once_from", "repeated_from")
    }
    known["classes"] = tuple(known["classes"])  # type: ignore[arg-type]
    return Calibration(**known)  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def shipped(network: str = MOTION) -> Recognizer:
    """The shipped recogniser, loaded once a process."""
    return Recognizer.load(network)


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Along the last axis, in double precision."""
    raised = np.exp(np.asarray(scores, np.float64) - np.max(scores, axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
