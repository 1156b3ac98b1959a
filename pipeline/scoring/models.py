"""The networks of the last three stages as files in ``checkpoints/``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.scoring.chair import Chair
from pipeline.scoring.intervals import Intervals
from pipeline.settings import PROJECT_DIR

if TYPE_CHECKING:
    import torch

    from pipeline.networks.bad_3d import Bad3dGate
    from pipeline.networks.scorer import Scorer
    from pipeline.networks.trimming import Trimmer

CHECKPOINTS = PROJECT_DIR / "checkpoints"
SCORERS = ("ensemble", "forest", "cnn_lstm", "transformer")  # the first is preselected


def shipped_scorers(folder: Path | None = None) -> tuple[str, ...]:
    """The designs whose weights are here, the preselected one first."""
    return tuple(name for name in SCORERS if ((folder or CHECKPOINTS) / f"scorer-{name}.safetensors").is_file())


class ModelMissingError(ValueError):
    """The weights are not there or are damaged."""


@dataclass(frozen=True)
class ScorerModel:
    """A scorer with its interval. ``target``: what its scores mean, in words."""

    design: str
    network: Scorer
    intervals: Intervals
    target: str
    anchors: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GateModel:
    """The bad-3D gate, the plausibility that a repetition must have, and what tells sitting down from a squat."""

    network: Bad3dGate
    threshold: float
    chair: Chair


@dataclass(frozen=True)
class TrimModel:
    """The trimmer and its two thresholds."""

    network: Trimmer
    active: float
    begins: float


def read_scorer(design: str = SCORERS[0], folder: Path | None = None) -> ScorerModel:
    """The scorer of this design, or the one in the folder that ``design`` names. Raises ModelMissingError."""
    from pipeline.networks.scorer import DESIGNS

    if design not in DESIGNS and (own := own_scorer(design)):
        design, folder = own, Path(design)
    if design not in DESIGNS:
        raise ModelMissingError(f"There is no scorer {design!r}; choose {' or '.join(SCORERS)}.")
    state, about = _read(f"scorer-{design}", folder)
    try:
        network = DESIGNS[design].restored(state)
        intervals = Intervals.from_json(about["intervals"])
        return ScorerModel(design, network, intervals, about["target"], about["anchors"])
    except (KeyError, RuntimeError) as error:
        raise ModelMissingError(f"The scorer {design} is of another version ({error}); train it again.") from error


def own_scorer(folder: str) -> str:
    """The design of the scorer that was trained into this folder; "" when there is none."""
    from pipeline.networks.scorer import DESIGNS

    return next((design for design in DESIGNS if (Path(folder) / f"scorer-{design}.json").is_file()), "")


def read_gate(folder: Path | None = None) -> GateModel:
    """The bad-3D gate. Raises ModelMissingError."""
    from pipeline.networks.bad_3d import Bad3dGate

    state, about = _read("bad_3d", folder)
    try:
        network = Bad3dGate(state["reference"], state["counted"], state["spread"])
        network.load_state_dict(state)
        chair = Chair(tuple(about["chair"]["weights"]), about["chair"]["bias"])
        return GateModel(network.eval(), about["threshold"], chair)
    except (KeyError, RuntimeError) as error:
        raise ModelMissingError(f"The gate bad_3d is of another version ({error}); train it again.") from error


def read_trimmer(folder: Path | None = None) -> TrimModel:
    """The trimmer. Raises ModelMissingError."""
    from pipeline.networks.trimming import Trimmer

    state, about = _read("trimming", folder)
    network = Trimmer(width=about["width"], axes=state["look.0.weight"].shape[1] // 26)
    network.load_state_dict(state)
    return TrimModel(network.eval(), about["active"], about["begins"])


def write(name: str, folder: Path, network: torch.nn.Module, about: dict[str, Any]) -> None:
    """Weights in half precision, and beside them what is needed to use them."""
    from safetensors.torch import save_file

    state = {key: v.half().contiguous() if v.is_floating_point() else v for key, v in network.state_dict().items()}
    part = folder / f"{name}.part"
    save_file(state, part)
    part.replace(folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _read(name: str, folder: Path | None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = folder or CHECKPOINTS
    try:
        state = load_file(folder / f"{name}.safetensors")
        about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelMissingError(f"The model {name} is missing or damaged ({error}); train and deploy it.") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}, about
