"""Stage "to_kinect": the floor's dense network from detected xy to the Kinect's xy, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.networks.lift import DenseToKinect
from pipeline.scoring.lift import features, kept, loaded
from pipeline.training import lift_data
from pipeline.training.framework import Stage, Work
from pipeline.training.lift import measured_on, split_pairs
from pipeline.training.lift_data import BLAZEPOSE_NOISE, Windows, joined_of_one
from pipeline.training.lift_training import Steps, fit, started_from, told, validation_rows, where_real

CONFIG = Path(__file__).with_name("configs") / "to_kinect.toml"
FILE = "to_kinect.safetensors"


@dataclass(frozen=True)
class ToKinectConfig:
    """Everything that decides the result.

    width: of the two hidden layers.
    steps, batch_size, learning_rate, weight_decay: of AdamW; a batch is so many windows of 48 frames.
    pair_share, pair_clips: see the stage "lift".
    share: of the motion data that is used (a quick trial uses less).
    seed: of weights, cameras, noise and order.
    """

    width: int = 256
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.001
    pair_share: float = 0.4
    pair_clips: int = 270
    share: float = 1.0
    seed: int = 7


def flat_errors_mm(net: Any, windows: Windows) -> np.ndarray:
    """Mean error of each clip in mm in the picture's plane."""
    import torch

    with torch.inference_mode():
        seen = torch.from_numpy(features(windows.xy_px, windows.score, windows.size))
        xy = net(seen).numpy()
    off = np.linalg.norm(xy - windows.xyz_m[..., :2], axis=3) * windows.scale[:, None, None]
    clips = [1000 * off[(windows.clip == clip)[:, None] & windows.real].mean() for clip in np.unique(windows.clip)]
    return np.array(clips)


def train(config: ToKinectConfig, work: Work) -> None:
    """Leaves the weights of the best validation in the folder."""
    import torch

    tracks = lift_data.motion_tracks(config.share, config.seed)
    real = lift_data.windows_of_pairs(split_pairs("train", config.pair_clips)) if config.pair_clips else []
    check = measured_on("validation", config.pair_clips, config.share)
    quick = [part.part(validation_rows(part)) for part in (check.noisy, check.detected) if part is not None]
    net = started_from(DenseToKinect(config.width), work.start)

    def loss(seen: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return 10 * where_real((net(seen) - truth[..., :2]).norm(dim=-1), mask)

    def validate(net: torch.nn.Module) -> float:
        return float(np.mean([flat_errors_mm(net, part).mean() for part in quick]))

    how = Steps(
        config.steps, config.batch_size, config.learning_rate, config.weight_decay, config.pair_share, config.seed
    )
    fit(net, loss, validate, tracks, joined_of_one(real) if real else None, BLAZEPOSE_NOISE, how, work)
    kept(net, work.folder / FILE, "to_kinect", width=config.width)


def evaluate(config: ToKinectConfig, work: Work) -> dict[str, Any]:
    """Errors in the picture's plane in mm on held-out people."""
    net = loaded(work.folder / FILE)
    metrics: dict[str, Any] = {}
    for split in ("validation", "test"):
        parts = measured_on(split, config.pair_clips, config.share)
        metrics[split] = {
            name: told(flat_errors_mm(net, part), f"xy error on {name} 2D [mm]")
            for name in ("exact", "noisy", "detected")
            if (part := getattr(parts, name)) is not None
        }
    last = metrics["test"]
    return {"primary": last["detected" if "detected" in last else "noisy"], **metrics}


STAGE = Stage("to_kinect", ToKinectConfig, CONFIG, train, evaluate, (FILE,))
