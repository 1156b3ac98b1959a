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
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.base import EstimatorError, Image, Region
from pipeline.estimation.onnx_models import Tensor, crop, crop_matrix, decode_simcc, normalise
from pipeline.estimation.tracking import overlap
from pipeline.poses import Array
from pipeline.skeletons import COCO_17
from pipeline.synthetic.motions import MOTIONS
from pipeline.training.actor_frames import ActorFrames, actor_frames

if TYPE_CHECKING:
    import torch

CONFIG = Path(__file__).with_name("configs") / "rtmpose_actor.toml"
NAME = "rtmpose-t-actor"
FIRST_SEED = {"train": 0, "validation": 100_000, "test": 200_000, "unseen": 300_000}
GRADIENT_NORM = 35.0  # as MMPose clips RTMPose's gradients
SAVE_EVERY_STEPS = 100
FORESHORTENED = 0.2  # a torso seen end-on counts as this share of the box's longer side
_SHOULDERS, _HIPS = (5, 6), (11, 12)


class TrainingError(ValueError):
    """The training cannot start or go on; the message says why and what to do."""


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

    @property
    def trained_motions(self) -> tuple[str, ...]:
        """The motions to learn from."""
        return tuple(motion for motion in MOTIONS if motion not in self.unseen_motions)


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands; ``pck`` is the last validation's PCK@0.2 of the torso, NaN before the first."""

    epoch: int
    step: int
    steps: int
    loss: float
    pck: float
    elapsed_s: float
    left_s: float


@dataclass(frozen=True)
class Share:
    """A share of key points with its 95 % confidence interval, clips drawn with replacement (bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """PCK (percentage of correct key points, as 0..1) of visible points, within a share of the torso or of the box.

    The torso is the distance from the middle of the shoulders to the middle of the hips, at least
    ``FORESHORTENED`` of the box's longer side; the box's measure is its longer side, as MMPose's PCKAccuracy takes it.
    """

    torso_01: Share
    torso_02: Share
    box_005: Share
    box_01: Share
    by_joint_torso_02: dict[str, float]
    by_motion_torso_02: dict[str, float]
    seen_score: float
    empty_score: float
    examples: int
    clips: int


def read_config(path: Path = CONFIG) -> ActorConfig:
    """A configuration file. Raises TrainingError when it is not readable or has lines that mean nothing."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} is no readable configuration ({error}); mend it.") from error
    unknown = set(values) - {field.name for field in fields(ActorConfig)}
    motions = set(values.get("unseen_motions", ())) - set(MOTIONS)
    if unknown or motions:
        raise TrainingError(f"{path} has lines that mean nothing: {', '.join(sorted(unknown | motions))}; remove them.")
    changed: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return ActorConfig(**changed)


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


@dataclass(frozen=True, eq=False)
class Crop:
    """A network input before normalisation: picture (256, 192, 3), key points in its pixels, which can be seen."""

    picture: Image
    xy: Array
    visible: NDArray[np.bool_]


def plain_crop(frames: ActorFrames, example: int, size: tuple[int, int]) -> tuple[Crop, Array]:
    """The crop that inference would make of an example, and its (2, 3) matrix from the picture's pixels."""
    matrix = crop_matrix(frames.region(example), size)
    return _cut(frames, example, matrix, size), matrix


def varied_crop(
    frames: ActorFrames, example: int, size: tuple[int, int], config: ActorConfig, rng: np.random.Generator
) -> Crop:
    """A crop as training sees it: moved, scaled, turned, mirrored, other colours, partly covered, or of nobody."""
    region = frames.region(example)
    factor = 1 + config.scale * rng.uniform(-1, 1)
    turned = rng.random() < config.rotated
    box = np.array(region.size_px)
    region = Region(
        tuple(np.array(region.center_px) + config.shift * rng.uniform(-1, 1, 2) * box),
        (float(box[0] * factor), float(box[1] * factor)),
        float(np.radians(config.rotation_deg) * rng.uniform(-1, 1)) if turned else 0.0,
    )
    empty = rng.random() < config.background and (elsewhere := _elsewhere(frames, example, rng))
    cut = _cut(frames, example, crop_matrix(elsewhere if empty and elsewhere else region, size), size)
    picture, xy = cut.picture, cut.xy
    visible = np.zeros(len(xy), dtype=bool) if empty else cut.visible
    if rng.random() < config.flip:
        order = list(COCO_17.mirror_order)
        picture, visible = np.ascontiguousarray(picture[:, ::-1]), visible[order]
        xy = xy[order] * (-1, 1) + (size[0] - 1, 0)
    return Crop(_covered(_recoloured(picture, rng), config.covered, rng), xy, visible)


def _cut(frames: ActorFrames, example: int, matrix: Array, size: tuple[int, int]) -> Crop:
    xy = frames.xy_px[example] @ matrix[:, :2].T + matrix[:, 2]
    inside = ((xy >= 0) & (xy <= np.array(size) - 1)).all(axis=1)
    return Crop(crop(frames.image(example), matrix, size), xy, frames.visible[example] & inside)


def _elsewhere(frames: ActorFrames, example: int, rng: np.random.Generator) -> Region | None:
    """A place in the example's picture without anybody; None when a few tries find none."""
    height, width = frames.image(example).shape[:2]
    people = frames.neighbours_px(example)
    for _ in range(10):
        side = rng.uniform(0.15, 0.4) * np.array([width, height])
        low = rng.uniform(0, 1, 2) * ([width, height] - side)
        box = np.concatenate([low, low + side])
        if not any(overlap(box, person) > 0 for person in people):
            return Region.from_box(box)
    return None


def _recoloured(picture: Image, rng: np.random.Generator) -> Image:
    """Other brightness, contrast and colour of light."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    shade = rng.uniform(-20, 20)
    table = np.clip(np.arange(256)[:, None] * gain + shade, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table[None]), dtype=np.uint8)


def _covered(picture: Image, share: float, rng: np.random.Generator) -> Image:
    if rng.random() >= share:
        return picture
    height, width = picture.shape[:2]
    tall, wide = (rng.uniform(0.1, 0.35, 2) * (height, width)).astype(int)
    top, left = int(rng.integers(height - tall)), int(rng.integers(width - wide))
    picture = picture.copy()
    picture[top : top + tall, left : left + wide] = rng.integers(0, 256, 3, dtype=np.uint8)
    return picture


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


def size_of(network: Any) -> tuple[int, int]:
    """Width and height of the network's input."""
    width, height = network.head.input_size
    return int(width), int(height)


def save_weights(network: Any, path: Path, **meta: Any) -> Path:
    """Weights in half precision, as an MMPose checkpoint that both ``load_weights`` and MMPose read."""
    import torch

    state = {key: v.half() if v.is_floating_point() else v for key, v in network.state_dict().items()}
    part = path.with_suffix(".part")
    torch.save({"state_dict": {key: v.cpu().clone() for key, v in state.items()}, "meta": meta}, part)
    part.replace(path)
    return path


# --- training -------------------------------------------------------------------------------------------------------


def train(
    config: ActorConfig,
    out: Path,
    *,
    frames_dir: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Path:
    """Fit, keep the best epoch by validation, measure on the test clips, write weights and metrics.

    A killed training goes on where it was last saved, with the same order and the same crops, also towards another
    number of epochs; with any other change of the configuration, it begins afresh.

    Args:
        config: see ``ActorConfig``.
        out: folder for ``rtmpose-t-actor.pth``, ``rtmpose-t-actor.json`` and what is needed to go on.
        frames_dir: for the rendered pictures; None is ``out/frames``.
        progress: told after every tenth step.

    Returns:
        The weights.
    """
    import torch

    out.mkdir(parents=True, exist_ok=True)
    frames_dir = frames_dir or out / "frames"
    training, validation = (split(config, name, frames_dir) for name in ("train", "validation"))
    network = build_network(config.model, config.seed).to(memory_format=torch.channels_last)
    size, device = size_of(network), next(network.parameters()).device
    optimizer = torch.optim.AdamW(_parameter_groups(network, config.weight_decay), lr=config.learning_rate)
    steps_an_epoch = max(1, len(training) // config.batch_size)
    steps = config.epochs * steps_an_epoch
    state_path = out / "training.pt"
    state = _resume(state_path, config, network, optimizer)
    started, first_step = time.perf_counter(), state["step"]
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
            accuracy = evaluate(network, validation)
            state["history"].append({"epoch": epoch + 1, "loss": state["loss"], "pck": accuracy.torso_02.value})
            if accuracy.torso_02.value > state["best_pck"]:
                state |= {"best_pck": accuracy.torso_02.value, "best_epoch": epoch + 1}
                save_weights(network, out / "best.pth")
        if place == steps_an_epoch - 1 or (step + 1) % SAVE_EVERY_STEPS == 0:
            _save_state(state_path, state, config, network, optimizer)
        if progress is not None and (step % 10 == 9 or step + 1 == steps):
            elapsed = time.perf_counter() - started
            left = elapsed / (step + 1 - first_step) * (steps - step - 1)
            pck = state["history"][-1]["pck"] if state["history"] else math.nan
            progress(TrainingProgress(epoch + 1, step + 1, steps, state["loss"], pck, elapsed, left))
    return _finish(config, out, frames_dir, network, state)


def _finish(config: ActorConfig, out: Path, frames_dir: Path, network: Any, state: dict[str, Any]) -> Path:
    """Test the best weights as they are saved, in half precision, and write everything beside them."""
    from pipeline.estimation.mmpose_models import load_weights

    if not (out / "best.pth").exists():
        raise TrainingError("Nothing was learned: no epoch was finished; give the training more epochs or clips.")
    load_weights(network, out / "best.pth")
    metrics = {
        "config": asdict(config),
        "history": state["history"],
        "best_epoch": state["best_epoch"],
        "test": asdict(evaluate(network, split(config, "test", frames_dir))),
        "unseen_motions": asdict(evaluate(network, split(config, "unseen", frames_dir))),
    }
    (out / f"{NAME}.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return save_weights(network, out / f"{NAME}.pth", seed=config.seed, trained_on="rendered people")


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


def _save_state(path: Path, state: dict[str, Any], config: ActorConfig, network: Any, optimizer: Any) -> None:
    import torch

    part = path.with_suffix(".part")
    whole = {"state": state, "config": asdict(config), "weights": network.state_dict()}
    torch.save(whole | {"optimizer": optimizer.state_dict()}, part)
    part.replace(path)


def _resume(path: Path, config: ActorConfig, network: Any, optimizer: Any) -> dict[str, Any]:
    import torch

    if path.exists():
        saved = torch.load(path, weights_only=True)
        if _same_training(saved["config"], asdict(config)):
            network.load_state_dict(saved["weights"])
            optimizer.load_state_dict(saved["optimizer"])
            return dict(saved["state"])
    return {"step": 0, "loss": 0.0, "best_pck": -1.0, "best_epoch": 0, "history": []}


def _same_training(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(first.get(key) == value for key, value in second.items() if key not in ("epochs", "patience"))


# --- evaluation -----------------------------------------------------------------------------------------------------


def evaluate(network: Any, frames: ActorFrames) -> Accuracy:
    """PCK of a network on the true boxes of ``frames``, decoded as inference does."""
    import torch

    size, device = size_of(network), next(network.parameters()).device

    def respond(tensor: Tensor) -> tuple[Array, Array]:
        inputs = torch.from_numpy(tensor).to(device).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            x, y = network.head(network.extract_feat(inputs))
        return decode_simcc(x.float().cpu().numpy(), y.float().cpu().numpy())

    network.eval()
    return accuracy_of(respond, frames, size)


def accuracy_of(
    respond: Callable[[Tensor], tuple[Array, Array]], frames: ActorFrames, size: tuple[int, int], batch: int = 32
) -> Accuracy:
    """PCK of anything that turns crops (N, 3, H, W) into points (N, 17, 2) in crop pixels and peaks (N, 17).

    Args:
        respond: a network with decoding, e.g. ``RTMPoseOnnx.simcc``.
        frames: what to measure on; at least one example.
        size: width, height of its input.
        batch: crops at once.
    """
    errors, peaks = [], []
    for chosen in _batches(len(frames), batch):
        pairs = [plain_crop(frames, k, size) for k in chosen]
        points, peak = respond(normalise([c.picture for c, _ in pairs], bgr=False))
        for k, (_, matrix), xy in zip(chosen, pairs, points, strict=True):
            back = cv2.invertAffineTransform(matrix)
            errors.append(np.linalg.norm(xy @ back[:, :2].T + back[:, 2] - frames.xy_px[k], axis=1))
        peaks.append(peak)
    distance = np.where(np.isnan(errors), np.inf, errors)
    return _accuracy(distance, np.concatenate(peaks), frames)


def _accuracy(distance: Array, peaks: Array, frames: ActorFrames) -> Accuracy:
    longer = (frames.box_px[:, 2:] - frames.box_px[:, :2]).max(axis=1)
    middle = [frames.xy_px[:, list(pair)].mean(axis=1) for pair in (_SHOULDERS, _HIPS)]
    torso = np.maximum(np.linalg.norm(middle[0] - middle[1], axis=1), FORESHORTENED * longer)
    right = distance <= 0.2 * torso[:, None]

    def share(measure: Array, threshold: float) -> Share:
        return by_clip(distance <= threshold * measure[:, None], frames.visible, frames.clip)

    def mean(correct: NDArray[np.bool_], counted: NDArray[np.bool_]) -> float:
        return float(correct[counted].mean()) if counted.any() else math.nan

    return Accuracy(
        share(torso, 0.1),
        share(torso, 0.2),
        share(longer, 0.05),
        share(longer, 0.1),
        {joint: mean(right[:, j], frames.visible[:, j]) for j, joint in enumerate(COCO_17.joints)},
        {
            str(motion): mean(right[rows], frames.visible[rows])
            for motion in np.unique(frames.motion)
            if (rows := frames.motion == motion).any()
        },
        float(np.median(peaks[frames.visible])),
        float(np.median(peaks[~frames.visible])) if (~frames.visible).any() else math.nan,
        len(frames),
        len(np.unique(frames.clip)),
    )


def by_clip(
    correct: NDArray[np.bool_], counted: NDArray[np.bool_], clip: NDArray[np.int64], draws: int = 1000
) -> Share:
    """The share of ``correct`` among ``counted`` (both (N, J)), with a bootstrap over the clips (N,)."""
    clips, number = np.unique(clip, return_inverse=True)
    hits = np.bincount(number, (correct & counted).sum(axis=1), len(clips))
    points = np.bincount(number, counted.sum(axis=1), len(clips))
    drawn = np.random.default_rng(0).integers(len(clips), size=(draws, len(clips)))
    shares = hits[drawn].sum(axis=1) / np.maximum(points[drawn].sum(axis=1), 1)
    low, high = np.percentile(shares, (2.5, 97.5))
    return Share(float(hits.sum() / max(points.sum(), 1)), float(low), float(high))


def _batches(count: int, batch: int) -> Iterator[range]:
    for start in range(0, count, batch):
        yield range(start, min(start + batch, count))
