"""Stage "ugly_2d": the gate that judges key points, trained on their true error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.networks.ugly_2d import Ugly2D
from pipeline.networks.ugly_2d_shape import CROP, GOOD, LEVELS
from pipeline.poses import Array
from pipeline.scoring.pose_windows import Samples, mirrored, pose_features, rolled
from pipeline.scoring.ugly_2d import gate_of, network_gate
from pipeline.training.degraded_clips import Judged, clips, joined, real_clips, recorded_clips
from pipeline.training.framework import Stage, TrainingError, Work

CONFIG = Path(__file__).with_name("configs") / "ugly_2d.toml"
FILE = "ugly_2d.safetensors"
LARGE_ERROR = LEVELS[GOOD]  # of the torso's length
LEAST_SEEN = 0.6  # windows in which the person is found less often are refused without a network


@dataclass(frozen=True)
class GateConfig:
    """Everything that decides the result.

    train_clips: of the rendered actor, two seconds each, spoiled twice.
    validation_clips, test_clips: the same, spoiled once.
    recorded: clips of recorded motion that were drawn for the lift, three seconds each; they have no pictures.
    real: also learn from real films of the private data that were spoiled.
    epochs, batch_size, learning_rate, weight_decay: of AdamW, with a cosine to 0.
    without_pictures: share of the windows whose pictures are withheld, so that poses alone can be judged too.
    roll_deg: how far people are turned in the picture, at most, in half of the windows: lying ones are no worse.
    other_levels: weight of the answers to other errors than a tenth of the torso, against 1 of that one.
    each_joint: weight of the answers for each key point.
    width, dropout: of the network.
    members: networks that were trained from different weights and are averaged.
    seed: of weights and order; clips have fixed seeds a split.
    """

    train_clips: int = 80
    validation_clips: int = 50
    test_clips: int = 40
    recorded: int = 80
    real: bool = True
    epochs: int = 16
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    without_pictures: float = 0.25
    roll_deg: float = 180.0
    other_levels: float = 0.3
    each_joint: float = 0.7
    width: int = 64
    dropout: float = 0.3
    members: int = 2
    seed: int = 3


def training_windows(config: GateConfig, work: Work, folder: Path | None = None) -> Judged:
    """The actor's clips, and the real films where they are there and wanted."""
    parts = [clips("train", config.train_clips, work.progress, folder)]
    if config.recorded:
        parts.append(recorded_clips(config.recorded))
    if config.real and (real := real_clips("train", folder, work.progress)) is not None:
        parts.append(real)
    return joined(parts)


def features(windows: Judged) -> NDArray[np.float32]:
    """What the network is told of the key points of these windows."""
    return pose_features(windows.xy_px, windows.score, windows.image_size, windows.torso_px)


def as_samples(windows: Judged, pictures: bool = True) -> Samples:
    """The windows as the gate gets them."""
    count = len(windows)
    crops = windows.crops if pictures else np.zeros_like(windows.crops)
    seen = np.repeat(windows.seen[:, None] >= LEAST_SEEN, 5, axis=1)
    return Samples(crops, features(windows), np.full(count, pictures), np.zeros((count, 5)), seen, windows.clip)


def truths(windows: Judged) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 5) whether the mean error is within each level; (N, 13) how often each key point's is, NaN unknown."""
    levels = windows.error[:, None] <= np.array(LEVELS)
    known = np.isfinite(windows.off)
    within = np.where(known, windows.off <= LARGE_ERROR, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return levels.astype(np.float32), np.where(known.any(axis=1), within, np.nan).astype(np.float32)


def train(config: GateConfig, work: Work, folder: Path | None = None) -> None:
    """Leaves the weights of each member's best validation in the folder."""
    import torch
    from safetensors.torch import load_file, save_file

    windows = training_windows(config, work, folder)
    windows = windows.part(windows.seen >= LEAST_SEEN)
    checks = [clips("validation", config.validation_clips, work.progress, folder)]
    if config.real and (real := real_clips("validation", folder, work.progress)) is not None:
        checks.append(real)
    checked = [(check, as_samples(check)) for check in checks]
    poses, (levels, each) = features(windows), truths(windows)
    weights = torch.tensor([1.0 if level == LARGE_ERROR else config.other_levels for level in LEVELS])
    start = None if work.start is None else load_file(work.start)
    state = work.load_state() or {"member": 0, "epoch": 0, "best": -1.0, "kept": None, "done": []}
    done: list[dict[str, Any]] = list(state["done"])
    for member in range(int(state["member"]), config.members):
        torch.manual_seed(config.seed + 100 * member)
        net = Ugly2D(config.width, config.dropout)
        if start is not None:
            _begin_from(net, start, member, str(work.start))
        optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs)
        first, best, kept = 0, -1.0, None
        if "net" in state and state["member"] == member:
            net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
            first, best, kept = int(state["epoch"]), float(state["best"]), state["kept"]
            torch.set_rng_state(state["dropout"])
        for epoch in range(first, config.epochs):
            rng = np.random.default_rng([config.seed, member, epoch])
            net.train()
            total = 0.0
            order = rng.permutation(len(windows))
            for begin in range(0, len(order), config.batch_size):
                index = order[begin : begin + config.batch_size]
                if len(index) < 2:
                    continue
                given = augmented(windows.crops[index], poses[index], config, rng)
                answer = net(*(torch.from_numpy(part) for part in given))
                loss = _loss(answer, torch.from_numpy(levels[index]), torch.from_numpy(each[index]), weights, config)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(index)
            schedule.step()
            found = [auc_of(network_gate(net)(sample)[:, 0], check) for check, sample in checked]
            score = float(np.nanmean(found))
            total /= max(len(order), 1)
            work.log(member=member + 1, epoch=epoch + 1, loss=total, validation_auc=found[0], films_auc=found[-1])
            work.progress(
                f"member {member + 1}, epoch {epoch + 1}: loss {total:.3f}, AUC {score:.3f}",
                (member + (epoch + 1) / config.epochs) / config.members,
            )
            if score > best:
                best, kept = score, {name: tensor.clone() for name, tensor in net.state_dict().items()}
            work.save_state(
                {
                    "net": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                    "member": member, "epoch": epoch + 1, "best": best, "kept": kept, "done": done,
                    "dropout": torch.get_rng_state(),
                }
            )  # fmt: skip
        if kept is None:
            raise TrainingError("The training took no epoch; give it more epochs.")
        done.append(kept)
        work.save_state({"member": member + 1, "epoch": 0, "best": -1.0, "kept": None, "done": done})
    save_file(
        {f"{number}.{name}": tensor.contiguous() for number, one in enumerate(done) for name, tensor in one.items()},
        work.folder / FILE,
    )
    gate = gate_of(work.folder / FILE)
    work.validated(float(np.nanmean([auc_of(gate(sample)[:, 0], check) for check, sample in checked])))


def _begin_from(net: Ugly2D, weights: dict[str, Any], member: int, name: str) -> None:
    prefix = f"{member}." if any(key.startswith(f"{member}.") for key in weights) else "0."
    own = {key.removeprefix(prefix): value.float() if value.is_floating_point() else value
           for key, value in weights.items() if key.startswith(prefix)}  # fmt: skip
    try:
        net.load_state_dict(own)
    except RuntimeError as error:
        raise TrainingError(f"{name} does not fit this network; start from ugly_2d weights.") from error


def _loss(answer: Any, levels: Any, each: Any, weights: Any, config: GateConfig) -> Any:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as entropy

    whole = (entropy(answer[:, : len(LEVELS)], levels, reduction="none") * weights).sum(dim=1).mean() / weights.sum()
    told = torch.isfinite(each)
    joints = entropy(answer[:, len(LEVELS) :], torch.nan_to_num(each), reduction="none")
    return whole + config.each_joint * (joints * told).sum() / told.sum().clamp(min=1)


def augmented(
    crops: NDArray[np.uint8], poses: NDArray[np.float32], config: GateConfig, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Crops 0..1, poses and whether pictures are there.

    Half are mirrored, half turned in the picture, all lighter or darker and of more or less contrast.
    """
    count = len(crops)
    flip = rng.random(count) < 0.5
    pictures = np.where(flip[:, None, None, None], crops[..., ::-1], crops)
    poses = np.where(flip[:, None, None], mirrored(poses), poses)
    angle = np.radians(config.roll_deg) * rng.uniform(-1, 1, count) * (rng.random(count) < 0.5)
    poses = rolled(poses, angle)
    pictures = np.stack([_turned(few, turn) for few, turn in zip(pictures, angle, strict=True)])
    gain, lift = rng.uniform(0.7, 1.3, count), rng.uniform(-0.1, 0.1, count)
    light = pictures.astype(np.float32) / 255 * gain[:, None, None, None] + lift[:, None, None, None]
    kept = crops.reshape(count, -1).any(axis=1) & (rng.random(count) >= config.without_pictures)
    has = kept.astype(np.float32)
    return np.clip(light, 0, 1).astype(np.float32) * has[:, None, None, None], poses, has


def _turned(pictures: NDArray[np.uint8], angle_rad: float) -> NDArray[np.uint8]:
    """(5, 48, 48) turned about their middle, clockwise as it is seen."""
    if angle_rad == 0:
        return pictures
    middle = (CROP - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), -np.degrees(angle_rad), 1.0)
    turned = cv2.warpAffine(np.ascontiguousarray(pictures.transpose(1, 2, 0)), matrix, (CROP, CROP))
    return np.asarray(turned.transpose(2, 0, 1), dtype=np.uint8)


def auc_of(goodness: Array, windows: Judged) -> float:
    """Area under the ROC curve for "error above a tenth of the torso"; NaN where all are alike.

    Windows in which the person is mostly not found are refused by rule and count as such.
    """
    return _auc(windows.error > LARGE_ERROR, told(goodness, windows))


def told(goodness: Array, windows: Judged) -> Array:
    """The gate's goodness with its rule for people who are not found."""
    return np.where(windows.seen < LEAST_SEEN, 0.0, goodness)


def _auc(bad: NDArray[np.bool_], goodness: Array) -> float:
    """The Mann-Whitney statistic, which is the area under the curve (Hanley and McNeil 1982)."""
    count = int(bad.sum())
    if count in (0, len(bad)):
        return float("nan")
    ranks = rankdata(-goodness)
    return float((ranks[bad].sum() - count * (count + 1) / 2) / (count * (len(bad) - count)))


def auc_interval(goodness: Array, windows: Judged, draws: int = 500) -> tuple[float, float]:
    """95 % bootstrap interval of ``auc_of`` over what was filmed together."""
    rng = np.random.default_rng(0)
    bad, said = windows.error > LARGE_ERROR, told(goodness, windows)
    groups = [np.flatnonzero(windows.group == group) for group in np.unique(windows.group)]
    values = []
    for _ in range(draws):
        rows = np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))])
        values.append(_auc(bad[rows], said[rows]))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def measured(goodness: Array, windows: Judged) -> dict[str, Any]:
    """The AUC with its interval, and on what."""
    low, high = auc_interval(goodness, windows)
    found = windows.seen >= LEAST_SEEN
    return {
        "name": "AUC for an error above 10 % of the torso",
        "value": auc_of(goodness, windows), "low": low, "high": high, "higher_is_better": True,
        "windows": len(windows), "clips": len(np.unique(windows.clip)),
        "share_bad": float((windows.error > LARGE_ERROR).mean()),
        "share_found": float(found.mean()),
        "where_found": auc_of(goodness[found], windows.part(found)),
    }  # fmt: skip


def own_confidence(windows: Judged) -> Array:
    """(N,) mean confidence of the pose model itself, 0 for what it did not find."""
    return np.asarray(np.nan_to_num(windows.score).mean(axis=(1, 2)), dtype=np.float64)


def evaluate(config: GateConfig, work: Work, folder: Path | None = None) -> dict[str, Any]:
    """AUC on the test's clips, with pictures and without, beside the pose model's own confidence, and on real films."""
    gate = gate_of(work.folder / FILE)
    test = clips("test", config.test_clips, work.progress, folder)
    goodness = gate(as_samples(test))
    check = clips("validation", config.validation_clips, work.progress, folder)
    metrics: dict[str, Any] = {
        "primary": measured(goodness[:, 0], test),
        "poses_alone": measured(gate(as_samples(test, False))[:, 0], test),
        "pose_models_own_confidence": measured(own_confidence(test), test),
        "brier": float(np.mean((told(goodness[:, 0], test) - (test.error <= LARGE_ERROR)) ** 2)),
        "validation": measured(gate(as_samples(check))[:, 0], check),
        "validation_pose_models_own_confidence": measured(own_confidence(check), check),
    }
    if config.real and (real := real_clips("test", folder, work.progress)) is not None:
        metrics["real_films"] = measured(gate(as_samples(real))[:, 0], real)
        metrics["real_films_own_confidence"] = measured(own_confidence(real), real)
    reliability(told(goodness[:, 0], test), test, work.folder / "reliability.png")
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
