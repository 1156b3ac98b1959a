"""Stage "ugly_2d": the gate that judges key points, trained on their true error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.networks.ugly_2d import Ugly2D
from pipeline.poses import Array
from pipeline.scoring.ugly_2d import Samples, gate_of, network_gate
from pipeline.skeletons import KINECT_13
from pipeline.training.degraded_clips import Judged, clips, joined, real_clips
from pipeline.training.framework import Stage, TrainingError, Work

CONFIG = Path(__file__).with_name("configs") / "ugly_2d.toml"
FILE = "ugly_2d.safetensors"
LARGE_ERROR = 0.10  # of the torso's length


@dataclass(frozen=True)
class GateConfig:
    """Everything that decides the result.

    train_clips, validation_clips, test_clips: of the rendered actor, two seconds each.
    real: also learn from real clips of the private data that were spoiled.
    epochs, batch_size, learning_rate, weight_decay: of AdamW, with a cosine to 0.
    without_pictures: share of the windows whose pictures are withheld, so that poses alone can be judged too.
    width, dropout: of the network.
    seed: of weights and order; clips have fixed seeds a split.
    """

    train_clips: int = 160
    validation_clips: int = 20
    test_clips: int = 60
    real: bool = True
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    without_pictures: float = 0.2
    width: int = 64
    dropout: float = 0.2
    seed: int = 3


def training_windows(config: GateConfig, work: Work, folder: Path | None = None) -> Judged:
    """The actor's clips, and the real ones where they are there and wanted."""
    parts = [clips("train", config.train_clips, work.progress, folder)]
    if config.real and (real := real_clips("train", folder)) is not None:
        parts.append(real)
    return joined(parts)


def as_samples(windows: Judged, pictures: bool = True) -> Samples:
    """The windows as the gate gets them."""
    count = len(windows)
    crops = windows.crops if pictures else np.zeros_like(windows.crops)
    return Samples(
        crops, windows.poses, np.full(count, pictures), np.zeros((count, 5)), np.ones((count, 5), dtype=bool)
    )  # fmt: skip


def train(config: GateConfig, work: Work, folder: Path | None = None) -> None:
    """Leaves the weights of the best validation in the folder."""
    import torch
    from safetensors.torch import load_file, save_file
    from torch.nn.functional import binary_cross_entropy_with_logits

    windows = training_windows(config, work, folder)
    check = clips("validation", config.validation_clips, work.progress, folder)
    net = Ugly2D(config.width, config.dropout)
    if work.start is not None:
        try:
            net.load_state_dict({name: tensor.float() for name, tensor in load_file(work.start).items()}, strict=False)
        except RuntimeError as error:
            raise TrainingError(f"{work.start.name} does not fit this network; start from ugly_2d weights.") from error
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs)
    first, best, kept = 0, -1.0, None
    if (state := work.load_state()) is not None:
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first, best, kept = int(state["epoch"]), float(state["best"]), state["kept"]
    found = windows.seen >= 0.6  # the others are refused without a network
    rows = np.flatnonzero(found)
    truth = np.stack([windows.error <= LARGE_ERROR, windows.share], axis=1).astype(np.float32)
    for epoch in range(first, config.epochs):
        rng = np.random.default_rng([config.seed, epoch])
        net.train()
        total = 0.0
        order = rng.permutation(rows)
        for start in range(0, len(order), config.batch_size):
            index = order[start : start + config.batch_size]
            if len(index) < 2:
                continue
            crops, poses, has = augmented(windows, index, config.without_pictures, rng)
            logits = net(*(torch.from_numpy(part) for part in (crops, poses, has)))
            loss = binary_cross_entropy_with_logits(logits, torch.from_numpy(truth[index]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(index)
        schedule.step()
        score = auc_of(network_gate(net)(as_samples(check))[:, 0], check)
        work.log(epoch=epoch + 1, loss=total / max(len(rows), 1), validation_auc=score)
        work.progress(
            f"epoch {epoch + 1}: loss {total / max(len(rows), 1):.3f}, AUC {score:.3f}", (epoch + 1) / config.epochs
        )
        if score > best:
            best, kept = score, {name: tensor.clone() for name, tensor in net.state_dict().items()}
        work.save_state(
            {
                "net": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                "epoch": epoch + 1, "best": best, "kept": kept,
            }
        )  # fmt: skip
    if kept is None:
        raise TrainingError("The training took no epoch; give it more epochs.")
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, work.folder / FILE)
    work.validated(best)


def augmented(
    windows: Judged, index: NDArray, without_pictures: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Crops 0..1, poses and whether pictures are there, half of them mirrored."""
    crops = windows.crops[index].astype(np.float32) / 255
    poses = windows.poses[index]
    flip = rng.random(len(index)) < 0.5
    crops[flip] = crops[flip][..., ::-1]
    poses[flip] = mirrored_poses(poses[flip])
    has = (rng.random(len(index)) >= without_pictures).astype(np.float32)
    crops *= has[:, None, None, None]
    return crops, poses, has


def mirrored_poses(poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """The gate's pose features (N, 5, 66) as a mirror gives them: x reversed, left and right exchanged."""
    order = list(KINECT_13.mirror_order)
    shape = (*poses.shape[:2], len(KINECT_13))
    joints = poses[..., :39].reshape(*shape, 3)[:, :, order] * np.array([-1, 1, 1], dtype=np.float32)
    moves = poses[..., 40:].reshape(*shape, 2)[:, :, order] * np.array([-1, 1], dtype=np.float32)
    parts = [joints.reshape(*poses.shape[:2], 39), poses[..., 39:40], moves.reshape(*poses.shape[:2], 26)]
    return np.concatenate(parts, axis=2)


def auc_of(goodness: Array, windows: Judged) -> float:
    """Area under the ROC curve for "error above a tenth of the torso"; NaN where all are alike.

    Windows in which the person is mostly not found are refused by rule and count as such.
    """
    return _auc(windows.error > LARGE_ERROR, np.where(windows.seen < 0.6, 0.0, goodness))


def _auc(bad: NDArray[np.bool_], goodness: Array) -> float:
    """The Mann-Whitney statistic, which is the area under the curve (Hanley and McNeil 1982)."""
    count = int(bad.sum())
    if count in (0, len(bad)):
        return float("nan")
    ranks = rankdata(-goodness)
    return float((ranks[bad].sum() - count * (count + 1) / 2) / (count * (len(bad) - count)))


def auc_interval(goodness: Array, windows: Judged, draws: int = 500) -> tuple[float, float]:
    """95 % bootstrap interval of ``auc_of`` over clips."""
    rng = np.random.default_rng(0)
    bad, told = windows.error > LARGE_ERROR, np.where(windows.seen < 0.6, 0.0, goodness)
    groups = [np.flatnonzero(windows.clip == clip) for clip in np.unique(windows.clip)]
    values = []
    for _ in range(draws):
        rows = np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))])
        values.append(_auc(bad[rows], told[rows]))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def evaluate(config: GateConfig, work: Work, folder: Path | None = None) -> dict[str, Any]:
    """AUC on the test's clips, with pictures and without, beside the pose model's own confidence, and on real clips."""
    gate = gate_of(work.folder / FILE)
    test = clips("test", config.test_clips, work.progress, folder)
    goodness = gate(as_samples(test))
    name = "AUC for an error above 10 % of the torso"

    def measured(values: Array, windows: Judged) -> dict[str, Any]:
        low, high = auc_interval(values, windows)
        return {
            "name": name, "value": auc_of(values, windows), "low": low, "high": high, "higher_is_better": True,
            "windows": len(windows), "clips": len(np.unique(windows.clip)),
            "share_bad": float((windows.error > LARGE_ERROR).mean()),
        }  # fmt: skip

    own = test.poses[..., 2:39:3].mean(axis=(1, 2))
    metrics: dict[str, Any] = {
        "primary": measured(goodness[:, 0], test),
        "poses_alone": measured(gate(as_samples(test, False))[:, 0], test),
        "pose_models_own_confidence": measured(own.astype(np.float64), test),
        "brier": float(np.mean((np.where(test.seen < 0.6, 0, goodness[:, 0]) - (test.error <= LARGE_ERROR)) ** 2)),
    }
    if config.real and (real := real_clips("test", folder)) is not None:
        metrics["real_clips"] = measured(gate(as_samples(real))[:, 0], real)
    reliability(goodness[:, 0], test, work.folder / "reliability.png")
    return metrics


def reliability(goodness: Array, windows: Judged, path: Path) -> None:
    """How often the key points are good where the gate says so, in ten parts."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    good = windows.error <= LARGE_ERROR
    edges = np.linspace(0, 1, 11)
    part = np.clip(np.digitize(goodness, edges) - 1, 0, 9)
    filled = [k for k in range(10) if (part == k).any()]
    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    sns.lineplot(
        x=[goodness[part == k].mean() for k in filled], y=[good[part == k].mean() for k in filled], marker="o", ax=axes
    )
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey")
    axes.set(xlabel="goodness told", ylabel="share that was good", title="Rendered test clips")
    figure.savefig(path, dpi=120)
    plt.close(figure)


STAGE = Stage("ugly_2d", GateConfig, CONFIG, train, evaluate, (FILE,))
