"""Stage "lift": the temporal network from detected 2D to Kinect-13 in space, and two published designs beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.networks.lift import ARCHITECTURES
from pipeline.scoring.lift import kept, one_network
from pipeline.training import lift_data
from pipeline.training.detected_pairs import pairs
from pipeline.training.framework import Stage, TrainingError, Work
from pipeline.training.lift_data import BLAZEPOSE_NOISE, VALIDATION, Windows, joined, joined_of_one
from pipeline.training.lift_training import (
    Errors,
    Steps,
    calibrate,
    errors,
    fit,
    spoiled,
    started_from,
    teach_errors,
    told,
    validation_rows,
    where_real,
)

CONFIG = Path(__file__).with_name("configs") / "lift.toml"
_VELOCITY = 0.5  # of the error of changes from frame to frame, which keeps the motion smooth
_HONESTY = 0.1  # of the error that the network tells


@dataclass(frozen=True)
class LiftConfig:
    """Everything that decides the result.

    architecture: "temporal", "simple_baseline" or "video_pose".
    steps, batch_size, learning_rate, weight_decay: see ``lift_training.Steps``; a batch is windows of 48 frames.
    again: steps of a second round from the best weights of the first; 0 for none.
    pair_share: of each batch that is 2D detected on drawn motion; the rest is projected and spoiled by noise.
    pair_clips: how many drawn clips at most; 0 does without.
    share: of the motion data that is used (a quick trial uses less).
    seed: of weights, cameras, noise and order.
    """

    architecture: str = "temporal"
    steps: int = 4000
    again: int = 0
    batch_size: int = 48
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    pair_share: float = 0.4
    pair_clips: int = 270
    share: float = 1.0
    seed: int = 7

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise TrainingError(f"There is no architecture {self.architecture!r}; choose {', '.join(ARCHITECTURES)}.")

    @property
    def file(self) -> str:
        """The name of the weights."""
        return "lift.safetensors" if self.architecture == "temporal" else f"lift_{self.architecture}.safetensors"


@dataclass(frozen=True, eq=False)
class Split:
    """exact: 2D without error; noisy: with the measured noise; detected: by the real pose model on drawn motion."""

    exact: Windows
    noisy: Windows
    detected: Windows | None


@lru_cache(maxsize=2)
def measured_on(split: str, pair_clips: int, share: float = 1.0) -> Split:
    """What networks are measured on: "validation", or "test" (once, at the end).

    UI-PRMD's Kinect sequences and HDM05, of people who were not trained on.
    """
    exact = lift_data.motion_windows(split, share=share)
    real = lift_data.windows_of_pairs(split_pairs(split, pair_clips)) if pair_clips else []
    return Split(exact, spoiled(exact, BLAZEPOSE_NOISE), joined_of_one(real) if real else None)


def split_pairs(split: str, most: int) -> list[Any]:
    """The drawn clips of "train", "validation" (subjects of ``VALIDATION``) or "test"."""
    if split == "test":
        return pairs("test")
    kept_out = split == "validation"
    return [pair for pair in pairs("train", most=most) if (pair.subject in VALIDATION.get(pair.source, ())) == kept_out]


def train(config: LiftConfig, work: Work) -> None:
    """Leaves the weights of the best validation in the folder."""
    import torch

    work.progress("making windows of motion", 0.0)
    tracks = lift_data.motion_tracks(config.share, config.seed)
    real = lift_data.windows_of_pairs(split_pairs("train", config.pair_clips)) if config.pair_clips else []
    check = measured_on("validation", config.pair_clips, config.share)
    quick = [part.part(validation_rows(part)) for part in (check.noisy, check.detected) if part is not None]
    net = started_from(ARCHITECTURES[config.architecture](), work.start)

    def loss(seen: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        points, spread = net(seen)
        off = (points - truth).norm(dim=-1)
        moved = (points.diff(dim=1) - truth.diff(dim=1)).norm(dim=-1)
        steady = where_real(moved, mask[:, 1:])
        # the likelihood of a Laplace density whose size the network tells, without a say in the points themselves
        honest = where_real(off.detach() / spread.exp() + spread, mask)
        return 10 * where_real(off, mask) + 10 * _VELOCITY * steady + _HONESTY * honest

    def validate(net: torch.nn.Module) -> float:
        return float(np.mean([errors(one_network(net), part).mm.mean() for part in quick]))

    how = Steps(
        config.steps, config.batch_size, config.learning_rate, config.weight_decay, config.pair_share, config.seed,
        config.again,
    )  # fmt: skip
    detected = joined_of_one(real) if real else None
    fit(net, loss, validate, tracks, detected, BLAZEPOSE_NOISE, how, work)
    teach_errors(net, tracks, detected, BLAZEPOSE_NOISE, how)
    calibrate(net, joined(quick))
    kept(net, work.folder / config.file, config.architecture)


def evaluate(config: LiftConfig, work: Work) -> dict[str, Any]:
    """Errors in mm on held-out people, with plots of how well the network knows its own error."""
    net = one_network(work.folder / config.file)
    metrics: dict[str, Any] = {}
    for split in ("validation", "test"):
        parts = measured_on(split, config.pair_clips, config.share)
        metrics[split] = {}
        for name in ("exact", "noisy", "detected"):
            part = getattr(parts, name)
            if part is not None:
                found = errors(net, part)
                metrics[split][name] = {
                    "mm": told(found.mm, f"MPJPE on {name} 2D [mm]"),
                    "aligned_mm": told(found.aligned_mm, f"scale-aligned MPJPE on {name} 2D [mm]"),
                }
                if split == "test":
                    reliability(found, work.folder / f"reliability_{name}.png", name)
    last = metrics["test"]
    return {"primary": last["detected" if "detected" in last else "noisy"]["mm"], **metrics}


def reliability(found: Errors, path: Path, name: str) -> None:
    """Expected against found error, in ten parts of equal number."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    edges = np.quantile(found.expected_mm, np.linspace(0, 1, 11))
    part = np.clip(np.searchsorted(edges, found.expected_mm) - 1, 0, 9)
    expected = [found.expected_mm[part == k].mean() for k in range(10)]
    real = [found.found_mm[part == k].mean() for k in range(10)]
    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    sns.lineplot(x=expected, y=real, marker="o", ax=axes, label="joints")
    top = max(*expected, *real)
    axes.plot([0, top], [0, top], linestyle="--", color="grey", label="exact")
    axes.set(xlabel="expected error [mm]", ylabel="found error [mm]", title=f"{name} 2D, people not trained on")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


STAGE = Stage("lift", LiftConfig, CONFIG, train, evaluate, lambda config: (config.file,))
