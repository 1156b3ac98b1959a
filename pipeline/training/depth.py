"""Stage "depth": the floor's dense network from the Kinect's xy to z, frame by frame, with its expected error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.networks.lift import DenseDepth
from pipeline.scoring.lift import kept, loaded
from pipeline.training import lift_data
from pipeline.training.framework import Stage, Work
from pipeline.training.lift import measured_on
from pipeline.training.lift_data import BLAZEPOSE_NOISE, Windows
from pipeline.training.lift_training import Steps, fit, started_from, told, validation_rows, where_real

CONFIG = Path(__file__).with_name("configs") / "depth.toml"
FILE = "depth.safetensors"


@dataclass(frozen=True)
class DepthConfig:
    """Everything that decides the result.

    width: of the two hidden layers.
    steps, batch_size, learning_rate, weight_decay: of AdamW; a batch is so many windows of 48 frames.
    jitter_m: standard deviation of what is added to the true xy, about as wrong as stage "to_kinect" leaves it.
    share: of the motion data that is used (a quick trial uses less).
    seed: of weights, cameras, noise and order.
    """

    width: int = 256
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.001
    jitter_m: float = 0.015
    share: float = 1.0
    seed: int = 7


def depth_errors_mm(net: Any, windows: Windows, jitter_m: float) -> np.ndarray:
    """Mean error of each clip's z in mm, from true xy with the same jitter as in training."""
    import torch

    rng = np.random.default_rng(3)
    xy = windows.xyz_m[..., :2]
    with torch.inference_mode():
        z = net(torch.from_numpy(xy + jitter_m * rng.standard_normal(xy.shape, dtype=np.float32)))[0].numpy()
    off = np.abs(z - windows.xyz_m[..., 2]) * windows.scale[:, None, None]
    clips = [1000 * off[(windows.clip == clip)[:, None] & windows.real].mean() for clip in np.unique(windows.clip)]
    return np.array(clips)


def train(config: DepthConfig, work: Work) -> None:
    """Leaves the weights of the best validation in the folder."""
    import torch

    tracks = lift_data.motion_tracks(config.share, config.seed)
    exact = measured_on("validation", 0, config.share).exact
    quick = exact.part(validation_rows(exact))
    net = started_from(DenseDepth(config.width), work.start)

    def loss(_seen: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        xy = truth[..., :2]
        z, spread = net(xy + config.jitter_m * torch.randn_like(xy))
        off = (z - truth[..., 2]).abs()
        honest = where_real(off.detach() / spread.exp() + spread, mask)
        return 10 * where_real(off, mask) + 0.02 * honest

    def validate(net: torch.nn.Module) -> float:
        return float(depth_errors_mm(net, quick, config.jitter_m).mean())

    how = Steps(config.steps, config.batch_size, config.learning_rate, config.weight_decay, 0.0, config.seed)
    fit(net, loss, validate, tracks, None, BLAZEPOSE_NOISE, how, work)
    kept(net, work.folder / FILE, "depth", width=config.width)


def evaluate(config: DepthConfig, work: Work) -> dict[str, Any]:
    """Errors of z in mm on held-out people."""
    net = loaded(work.folder / FILE)
    metrics = {
        split: told(
            depth_errors_mm(net, measured_on(split, 0, config.share).exact, config.jitter_m),
            "z error from true xy [mm]",
        )
        for split in ("validation", "test")
    }
    return {"primary": metrics["test"], **metrics}


STAGE = Stage("depth", DepthConfig, CONFIG, train, evaluate, (FILE,))
