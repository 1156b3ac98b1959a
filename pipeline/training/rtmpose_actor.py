"""RTMPose-t fitted to rendered people: MMPose's own network, codec and loss, in a plain PyTorch loop.

The checkpoint proves the whole RTM path on trained weights (training, export, both engines, tracking) without any
photograph. It knows rendered figures only; it is no model for real people.

Besides MMPose's KLDiscretLoss, which leaves the level of the responses free, the squared distance to the labels is
minimised, with empty labels for points that cannot be seen and for crops without a person: so a peak's height says
how sure the network is, as ``onnx_models.score_of`` takes it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.base import EstimatorError
from pipeline.estimation.mmpose_models import load_weights
from pipeline.estimation.onnx_models import normalise
from pipeline.estimation.registry import weights_sha256
from pipeline.synthetic.motions import MOTIONS
from pipeline.training.actor_accuracy import measure, size_of
from pipeline.training.actor_crops import Crop, varied_crop
from pipeline.training.actor_frames import ActorFrames, actor_frames
from pipeline.training.framework import Stage, TrainingError, Work

if TYPE_CHECKING:
    import torch

CONFIG = Path(__file__).with_name("configs") / "rtmpose_actor.toml"
NAME = "rtmpose-t-actor"
FIRST_SEED = {"train": 0, "validation": 100_000, "test": 200_000, "unseen": 300_000}
GRADIENT_NORM = 35.0  # as MMPose clips RTMPose's gradients
SAVE_EVERY_STEPS = 100


@dataclass(frozen=True)
class ActorConfig:
    """Everything that decides the result.

    model: registry name of the RTMPose whose config is trained.
    seed: of weights, order and augmentation; clips have fixed seeds a split.
    train_clips, validation_clips, test_clips: how many, with motions that are trained.
    unseen_clips: how many more to test with ``unseen_motions``, which are not trained.
    frames_a_clip: about so many, spread over the clip.
    epochs: rounds through the training examples, with a cosine from ``learning_rate`` to 0 over all of them.
    batch_size, learning_rate, weight_decay, warmup_steps: of AdamW.
    patience: stop after so many epochs without a better validation.
    level_weight: of the squared distance to the labels, next to MMPose's loss.
    background: share of crops without a person.
    covered: share of crops with a rectangle painted over.
    flip, rotated: share of crops mirrored, and turned by up to ``rotation_deg``.
    scale, shift: crops of 1 - scale to 1 + scale of the box's size, moved by up to ``shift`` of it.
    bfloat16: compute the backbone in 16 bits (half the time on processors that can).
    """

    model: str = "rtmpose-t"
    seed: int = 21
    train_clips: int = 750
    validation_clips: int = 40
    test_clips: int = 60
    unseen_clips: int = 30
    frames_a_clip: int = 10
    unseen_motions: tuple[str, ...] = ("lunge", "overhead_press", "fall_sideways")
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 60
    patience: int = 3
    level_weight: float = 1.0
    background: float = 0.04
    covered: float = 0.3
    flip: float = 0.5
    rotated: float = 0.4
    rotation_deg: float = 40.0
    scale: float = 0.25
    shift: float = 0.1
    bfloat16: bool = True

    def __post_init__(self) -> None:
        if wrong := sorted(set(self.unseen_motions) - set(MOTIONS)):
            raise TrainingError(f"There are no motions {', '.join(wrong)}; remove them from unseen_motions.")

    @property
    def trained_motions(self) -> tuple[str, ...]:
        """The motions to learn from."""
        return tuple(motion for motion in MOTIONS if motion not in self.unseen_motions)


def split(config: ActorConfig, name: str, folder: Path, progress: Callable[[float], None] | None = None) -> ActorFrames:
    """The examples of "train", "validation", "test" or "unseen" (motions not trained); no clip is in two."""
    count = {
        "train": config.train_clips,
        "validation": config.validation_clips,
        "test": config.test_clips,
        "unseen": config.unseen_clips,
    }[name]
    motions = config.unseen_motions if name == "unseen" else config.trained_motions
    first = FIRST_SEED[name]
    return actor_frames(folder / name, range(first, first + count), motions, config.frames_a_clip, progress)


# --- crops ----------------------------------------------------------------------------------------------------------


# --- network --------------------------------------------------------------------------------------------------------


def build_network(name: str, seed: int) -> Any:
    """MMPose's model of a registry entry's config with random weights. Raises EstimatorError when it has no config."""
    import torch
    from mmengine.logging import MMLogger

    from pipeline.estimation.mmpose_models import MMPoseKeypoints
    from pipeline.estimation.registry import config_path, entry

    torch.manual_seed(seed)
    network = MMPoseKeypoints(config_path(entry(name)), name=name).model
    if not hasattr(network.head, "simcc_split_ratio"):
        raise EstimatorError(f"{name} is no SimCC model; choose an RTMPose.")
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("ERROR")  # or it lists every weight
    network.init_weights()
    logger.setLevel(level)
    return network


def save_weights(network: Any, path: Path, **meta: Any) -> Path:
    """Weights in half precision, as an MMPose checkpoint that both ``load_weights`` and MMPose read."""
    import torch

    state = {key: v.half() if v.is_floating_point() else v for key, v in network.state_dict().items()}
    part = path.with_suffix(".part")
    torch.save({"state_dict": {key: v.cpu().clone() for key, v in state.items()}, "meta": meta}, part)
    part.replace(path)
    return path


# --- training -------------------------------------------------------------------------------------------------------


def train(config: ActorConfig, work: Work, *, frames_dir: Path | None = None) -> None:
    """Fit and keep the best epoch by validation as ``rtmpose-t-actor.pth``.

    A killed training goes on where it was last saved, with the same order and the same crops.

    Args:
        config: see ``ActorConfig``.
        work: where to; told after every tenth step.
        frames_dir: for the rendered pictures; None is the folder's ``frames``.

    Raises:
        TrainingError: no epoch was finished.
    """
    import torch

    frames_dir = frames_dir or work.folder / "frames"
    training, validation = (split(config, name, frames_dir) for name in ("train", "validation"))
    network = build_network(config.model, config.seed).to(memory_format=torch.channels_last)
    if work.start is not None:
        load_weights(network, work.start)
    size, device = size_of(network), next(network.parameters()).device
    optimizer = torch.optim.AdamW(_parameter_groups(network, config.weight_decay), lr=config.learning_rate)
    steps_an_epoch = max(1, len(training) // config.batch_size)
    steps = config.epochs * steps_an_epoch
    state: dict[str, Any] = {"step": 0, "loss": 0.0, "best_pck": -1.0, "best_epoch": 0}
    if (saved := work.load_state()) is not None:
        network.load_state_dict(saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    started, first_step, weights = time.perf_counter(), state["step"], work.folder / f"{NAME}.pth"
    for step in range(first_step, steps):
        epoch, place = divmod(step, steps_an_epoch)
        if place == 0 and epoch - state["best_epoch"] > config.patience:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, config)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(training))
        chosen = order[place * config.batch_size : (place + 1) * config.batch_size]
        crops = [
            varied_crop(training, int(k), size, config, np.random.default_rng([config.seed, epoch, int(k)]))
            for k in chosen
        ]
        network.train()
        loss = _loss(network, crops, config, device)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimizer.step()
        state |= {"step": step + 1, "loss": 0.95 * state["loss"] + 0.05 * loss.item() if step else loss.item()}
        if place == steps_an_epoch - 1:
            pck = measure(network, validation).torso_02.value
            work.log(epoch=epoch + 1, loss=state["loss"], pck=pck)
            if pck > state["best_pck"]:
                state |= {"best_pck": pck, "best_epoch": epoch + 1}
                save_weights(network, weights, seed=config.seed, trained_on="rendered people")
        if place == steps_an_epoch - 1 or (step + 1) % SAVE_EVERY_STEPS == 0:
            work.save_state({"state": state, "weights": network.state_dict(), "optimizer": optimizer.state_dict()})
        if step % 10 == 9 or step + 1 == steps:
            left_min = (time.perf_counter() - started) / (step + 1 - first_step) * (steps - step - 1) / 60
            text = f"epoch {epoch + 1} of {config.epochs}, loss {state['loss']:.3g}, best PCK {state['best_pck']:.3f}"
            work.progress(f"{text}, {left_min:.0f} min left", (step + 1) / steps)
    if state["best_epoch"] == 0:
        raise TrainingError("Nothing was learned: no epoch was finished; give the training more epochs or clips.")
    work.validated(state["best_pck"])


def evaluate(config: ActorConfig, work: Work, *, frames_dir: Path | None = None) -> dict[str, Any]:
    """Accuracy of the weights as they are kept, in half precision, on test clips and on motions never trained."""
    frames_dir = frames_dir or work.folder / "frames"
    network = build_network(config.model, config.seed)
    weights = work.folder / f"{NAME}.pth"
    load_weights(network, weights)
    test, unseen = (measure(network, split(config, name, frames_dir)) for name in ("test", "unseen"))
    metrics = {
        "primary": {"name": "PCK@0.2 of the torso", **asdict(test.torso_02), "higher_is_better": True},
        "test": asdict(test),
        "unseen_motions": asdict(unseen),
        "sha256": {weights.name: weights_sha256(weights)},  # `models verify` reads it
    }
    (work.folder / f"{NAME}.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return metrics


def learning_rate(step: int, steps: int, config: ActorConfig) -> float:
    """Linear warm-up, then half a cosine down to 0."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))


def _parameter_groups(network: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for weights, not for biases and normalisations, as MMPose's RTMPose configs have it."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _loss(network: Any, crops: Sequence[Crop], config: ActorConfig, device: torch.device) -> torch.Tensor:
    import torch

    inputs = torch.from_numpy(normalise([c.picture for c in crops], bgr=False)).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
        features = network.extract_feat(inputs.contiguous(memory_format=torch.channels_last))
    responses = network.head(tuple(feature.float() for feature in features))
    encoded = [network.head.decoder.encode(c.xy[None].astype(np.float32), c.visible[None].astype(float)) for c in crops]
    labels, weights = _stacked(encoded, device)
    total = network.head.loss_module(responses, labels, weights) / len(crops)
    for response, label in zip(responses, labels, strict=True):
        total = total + config.level_weight * torch.mean((response - label) ** 2)
    return total * sum(response.shape[-1] for response in responses) / 2


def _stacked(
    encoded: Sequence[dict[str, NDArray]], device: torch.device
) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    import torch

    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([row[name] for row in encoded]).astype(np.float32)).to(device)

    return (stack("keypoint_x_labels"), stack("keypoint_y_labels")), stack("keypoint_weights")


STAGE = Stage("rtmpose-actor", ActorConfig, CONFIG, train, evaluate, (f"{NAME}.pth", f"{NAME}.json"))
