"""Stage ``trimming``: which frames show an exercise, learned from clips put together out of recorded motion.

UI-PRMD's repetitions, one after the other, between standing, walking, sitting and reaching; PRECOG's and CMU's
labelled takes as they are. ``boxes`` in the configuration makes the variant on landmarks that are scaled to their own
box, measured on RepCount: see ``trimming_boxes``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.networks.trimming import Trimmer
from pipeline.poses import Array
from pipeline.scoring.canonical import CanonicalError, mirror
from pipeline.scoring.models import TrimModel, write
from pipeline.scoring.trimming import GRID_HZ, Segment, prepared, segments_of
from pipeline.training.framework import Stage, Work
from pipeline.training.motion_data import Motion, MotionDataError, load
from pipeline.training.variation import Variation, varied

CONFIG = Path(__file__).parent / "configs" / "trimming.toml"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
USUAL, QUICK = 1.4, 2.6  # highest speed of repetitions against the recorded one
_IDLE_ACTIONS = ("walk", "sitDown", "standUp", "pickUp", "carry")
_RUNS = range(17, 28)  # takes of CMU's subject 35 that are no walks


@dataclass(frozen=True)
class TrimmingConfig:
    """How the trimmer is trained.

    boxes: 2D landmarks that are scaled to their own box instead of poses in space.
    films: share of RepCount's videos among the clips, where ``boxes``.
    clips: put together for training, a third of them labelled takes.
    test_clips: put together for testing; half as many for validation.
    seconds: of each training clip.
    steps: of the descent.
    check_every: steps after which the validation's people are looked at; the best weights are kept.
    batch_size: clips a step.
    learning_rate: highest, of one cycle.
    width: of the recurrent network, each way.
    tolerance_s: around the true beginning of a repetition that counts as the beginning.
    seed: of everything random.
    """

    boxes: bool = False
    films: float = 0.6
    clips: int = 1200
    test_clips: int = 60
    seconds: float = 9.0
    steps: int = 2400
    check_every: int = 200
    batch_size: int = 12
    learning_rate: float = 6e-3
    width: int = 48
    tolerance_s: float = 0.1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Clip:
    """An untrimmed clip on the trimmer's grid: (G, 13, 3) poses, (G,) exercising, (G,) a repetition begins.

    In the variant on boxes the poses are (G, 13, 2).
    """

    xyz: Array
    active: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    source: str

    @property
    def time_s(self) -> Array:
        """(G,) seconds from 0."""
        return np.arange(len(self.active)) / GRID_HZ


def _grid(motion: Motion) -> Array:
    return prepared(motion.xyz_m, motion.time_s)[1]


@dataclass(frozen=True, eq=False)
class Material:
    """What clips are put together from: repetitions by person and exercise, idle motion, labelled takes."""

    repetitions: dict[tuple[str, str], list[Array]]
    idle: list[Array]
    takes: list[Clip]


def material(side: str) -> Material:
    """Of the people of one side of the split. Raises MotionDataError without UI-PRMD."""
    groups: dict[tuple[str, str], list[Array]] = {}
    for motion in load("ui_prmd_kinect"):
        if _side(motion.subject, ("6",), ("7", "8")) == side:
            groups.setdefault((motion.subject, f"{motion.movement}-{motion.label}"), []).append(_grid(motion))
    return Material(groups, _idle(side), _labelled("precog", side) + _labelled("cmu", side))


def _side(subject: str, validation: Sequence[str], test: Sequence[str]) -> str:
    return TEST if subject in test else VALIDATION if subject in validation else TRAIN


def _optional(name: str) -> list[Motion]:
    try:
        return load(name)
    except MotionDataError:
        return []


def _idle(side: str) -> list[Array]:
    """Daily motion that is no exercise: UTKinect's walking, sitting and lifting, CMU's walks."""
    found = []
    for motion in _optional("utkinect"):
        if motion.frame_label is None or _side(motion.subject, ("7",), ("8", "9", "10")) != side:
            continue
        keep = np.array([label in ("", *_IDLE_ACTIONS) for label in motion.frame_label])
        found += _pieces(motion, keep)
    for motion in _optional("cmu"):
        subject, take = motion.name.split("_")[:2]
        walks = subject in ("03", "07", "08") or (subject == "35" and int(take) not in _RUNS)
        if walks and _side(subject, ("03",), ("08",)) == side:
            found += _pieces(motion, np.ones(len(motion), dtype=bool))
    return found


def _pieces(motion: Motion, keep: NDArray[np.bool_]) -> list[Array]:
    try:
        points = _grid(motion)
    except CanonicalError:
        return []
    on = np.interp(np.arange(len(points)) / GRID_HZ + motion.time_s[0], motion.time_s, keep) > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    return [points[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= GRID_HZ]


def _labelled(name: str, side: str) -> list[Clip]:
    """PRECOG's and CMU's takes; a third of PRECOG's people and CMU's subject 14 are for testing."""
    found = []
    motions = [m for m in _optional(name) if m.frame_label is not None]
    people = sorted({m.subject for m in motions})
    tests, checks = (("14",), ()) if name == "cmu" else (tuple(people[::3]), tuple(people[1::6]))
    for motion in motions:
        if _side(motion.name.split("_")[0] if name == "cmu" else motion.subject, checks, tests) != side:
            continue
        try:
            points = _grid(motion)
        except CanonicalError:
            continue
        labels = np.array(motion.frame_label)
        nearest = np.clip(np.searchsorted(motion.time_s, np.arange(len(points)) / GRID_HZ), 0, len(labels) - 1)
        active = labels[nearest] != ""
        begins = active & np.concatenate([[True], labels[nearest][1:] != labels[nearest][:-1]])
        found.append(Clip(points, active, begins, name))
    return found


def put_together(stuff: Material, rng: np.random.Generator, fastest: float = USUAL) -> Clip:
    """Idle motion, one to six repetitions of one person and exercise, idle motion; some joined without a pause.

    ``fastest``: against the recorded speed; UI-PRMD's people move slowly, on films squats are twice as quick.
    """
    key = list(stuff.repetitions)[rng.integers(len(stuff.repetitions))]
    repetitions = stuff.repetitions[key]
    parts: list[tuple[Array, bool]] = []
    chosen = rng.integers(0, len(repetitions), rng.integers(1, 7))
    speed = np.exp(rng.uniform(np.log(0.55), np.log(fastest))) if fastest > USUAL else rng.uniform(0.55, USUAL)
    if rng.random() < 0.85:
        parts.append((_pause(stuff, repetitions[chosen[0]][0], rng), False))
    for number, k in enumerate(chosen):
        parts.append((_held(_resampled(repetitions[k], speed), rng), True))
        if number + 1 < len(chosen) and rng.random() < 0.25:
            parts.append((_still(repetitions[k][-1], int(rng.integers(8, 30)), rng), False))
    if rng.random() < 0.85:
        parts.append((_pause(stuff, repetitions[chosen[-1]][-1], rng), False))
    xyz, active, begins = parts[0][0], np.full(len(parts[0][0]), parts[0][1]), np.zeros(len(parts[0][0]), dtype=bool)
    begins[0] = parts[0][1]
    for piece, on in parts[1:]:
        between = int(rng.integers(1, 5))
        share = np.linspace(0, 1, between + 2)[1:-1, None, None]
        bridge = xyz[-1] * (1 - share) + piece[0] * share
        first = np.zeros(len(piece), dtype=bool)
        first[0] = on
        xyz = np.concatenate([xyz, bridge, piece])
        joined = on and bool(active[-1])
        active = np.concatenate([active, np.full(between, joined), np.full(len(piece), on)])
        begins = np.concatenate([begins, np.zeros(between, dtype=bool), first])
    return Clip(mirror(xyz) if rng.random() < 0.5 else xyz, active, begins, "ui_prmd")


def _pause(stuff: Material, pose: Array, rng: np.random.Generator) -> Array:
    """Standing as the repetition begins or ends, or something that somebody does in a room."""
    if stuff.idle and rng.random() < 0.6:
        piece = stuff.idle[rng.integers(len(stuff.idle))]
        length = min(len(piece), int(rng.integers(15, 90)))
        start = int(rng.integers(0, len(piece) - length + 1))
        return piece[start : start + length]
    return _still(pose, int(rng.integers(12, 75)), rng)


def _still(pose: Array, frames: int, rng: np.random.Generator) -> Array:
    """Standing: the pose with slow sway, and an arm that stirs."""
    time = np.arange(frames)[:, None, None] / GRID_HZ
    swing = np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * time + rng.uniform(0, 6))
    return np.asarray(pose[None] + 0.02 * rng.normal(size=(1, *pose.shape)) * swing)


def _held(xyz: Array, rng: np.random.Generator) -> Array:
    """A third of the repetitions are held where they are furthest from their beginning, for up to 1.5 seconds."""
    if rng.random() > 1 / 3:
        return xyz
    turn = int(np.argmax(np.abs(xyz - xyz[0]).sum(axis=(1, 2))))
    return np.concatenate([xyz[:turn], _still(xyz[turn], int(rng.integers(4, 23)), rng), xyz[turn:]])


def _resampled(xyz: Array, speed: float) -> Array:
    frames = max(4, round(len(xyz) / speed))
    place = np.linspace(0, len(xyz) - 1, frames)
    flat = xyz.reshape(len(xyz), -1)
    columns = [np.interp(place, np.arange(len(xyz)), column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(frames, *xyz.shape[1:])


def clips(stuff: Material, count: int, rng: np.random.Generator) -> list[Clip]:
    """As many, a third of them labelled takes where there are any."""

    def one() -> Clip:
        if stuff.takes and rng.random() < 1 / 3:
            return stuff.takes[rng.integers(len(stuff.takes))]
        return put_together(stuff, rng, QUICK)

    return [one() for _ in range(count)]


def batch(chosen: list[Clip], frames: int, reach: int, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """(N, F, 13, 3) poses, (N, F) exercising, beginning, and known (False beyond the clip's end)."""
    xyz = np.zeros((len(chosen), frames, *chosen[0].xyz.shape[1:]), dtype=np.float32)
    active, begins, known = (np.zeros((len(chosen), frames), dtype=np.float32) for _ in range(3))
    for row, clip in enumerate(chosen):
        start = int(rng.integers(0, max(len(clip.active) - frames, 0) + 1))
        part = slice(start, start + frames)
        length = len(clip.active[part])
        xyz[row, :length], active[row, :length] = clip.xyz[part], clip.active[part]
        xyz[row, length:] = clip.xyz[part][-1]
        soft = np.convolve(clip.begins, np.ones(2 * reach + 1), mode="same")[part]
        begins[row, :length], known[row, :length] = np.minimum(soft, 1), 1
        if clip.source != "ui_prmd":
            begins[row] = np.nan  # of the others only what is exercise is learned
    return tuple(torch.from_numpy(a) for a in (xyz, active, begins, known))


def train(config: TrimmingConfig, work: Work) -> None:
    """The trimmer on the people of the training; weights and thresholds by those of the validation."""
    rng, generator = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)
    training, checked = drawn(config, TRAIN, rng), drawn(config, VALIDATION, np.random.default_rng([config.seed, 1]))
    network = Trimmer(width=config.width, axes=2, dropout=0.5) if config.boxes else Trimmer(width=config.width)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, max(config.steps, 2))
    frames, reach = round(config.seconds * GRID_HZ), max(1, round(config.tolerance_s * GRID_HZ))
    first, average, best, kept = 0, float("nan"), -1.0, None
    if (saved := work.load_state()) is not None:
        network.load_state_dict(saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        cycle.load_state_dict(saved["cycle"])
        first, average, best, kept = saved["step"], saved["loss"], saved["best"], saved["kept"]
        rng.bit_generator.state = json.loads(saved["rng"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["dropout"])
    how = Variation(crop=0.0, warp=0.0)
    for step in range(first, config.steps):
        network.train()
        chosen = [training[k] for k in rng.integers(0, len(training), config.batch_size)]
        xyz, active, begins, known = batch(chosen, frames, reach, rng)
        answer = network(boxes_varied(xyz, generator) if config.boxes else varied(xyz, how, generator))
        told = known * torch.isfinite(begins)
        loss = _entropy(answer[..., 0], active, known)
        loss = loss + 0.5 * _entropy(answer[..., 1], torch.nan_to_num(begins), told)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        cycle.step()
        average = loss.item() if step == 0 else 0.95 * average + 0.05 * loss.item()
        if (step + 1) % config.check_every == 0 or step + 1 == config.steps:
            score = frame_f1(checked, [probabilities(network.eval(), clip)[0] >= 0.5 for clip in checked])
            if score > best:
                best, kept = score, {name: tensor.clone() for name, tensor in network.state_dict().items()}
            work.log(step=step + 1, loss=average, validation_f1=score)
            work.progress(f"loss {average:.3f}, validation F1 {score:.3f}", (step + 1) / config.steps)
            work.save_state({"weights": network.state_dict(), "optimizer": optimizer.state_dict(),
                             "cycle": cycle.state_dict(), "step": step + 1, "loss": average, "best": best,
                             "kept": kept, "rng": json.dumps(rng.bit_generator.state),
                             "generator": generator.get_state(), "dropout": torch.get_rng_state()})  # fmt: skip
    network.load_state_dict(kept or network.state_dict())
    network.eval()
    answers = [probabilities(network, clip) for clip in checked]
    active_at = max(np.arange(0.3, 0.75, 0.05), key=lambda t: frame_f1(checked, [a[0] >= t for a in answers]))
    begins_at = min(
        np.arange(0.15, 0.65, 0.05), key=lambda t: _miscounted(checked, answers, float(active_at), float(t))
    )
    about = {"active": float(active_at), "begins": float(begins_at), "width": config.width}
    write("trimming", work.folder, network, about)
    work.validated(frame_f1(checked, [a[0] >= active_at for a in answers]))


def drawn(config: TrimmingConfig, side: str, rng: np.random.Generator) -> list[Clip]:
    """The clips of one side of the split."""
    count = config.clips if side == TRAIN else max(10, config.test_clips // 2)
    if config.boxes:
        from pipeline.training import trimming_boxes

        return trimming_boxes.drawn(count, config.films, side, rng)
    stuff = material(side)
    if side == TRAIN:
        return clips(stuff, count, rng)
    return [put_together(stuff, rng, fastest) for fastest in (USUAL, QUICK) for _ in range(count)] + stuff.takes


def boxes_varied(xy: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(N, F, J, 2) landmarks in their boxes, with an error of each joint that stays and one of every frame."""
    n, _, joints, _ = xy.shape
    stays = 0.05 * torch.randn(n, 1, joints, 2, generator=generator)
    return xy + stays + 0.02 * torch.randn(xy.shape, generator=generator)


def _entropy(logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (each * weight).sum() / weight.sum().clamp(min=1)


def probabilities(network: Trimmer, clip: Clip) -> tuple[Array, Array]:
    """(G,) exercising and (G,) beginning."""
    with torch.inference_mode():
        answer = torch.sigmoid(network(torch.from_numpy(clip.xyz[None].astype(np.float32))))[0].numpy()
    return answer[:, 0].astype(np.float64), answer[:, 1].astype(np.float64)


def frame_f1(tested: list[Clip], found: list[NDArray[np.bool_]]) -> float:
    """F1 of exercising over all frames."""
    truth, answer = np.concatenate([clip.active for clip in tested]), np.concatenate(found)
    hits = float((truth & answer).sum())
    return 2 * hits / max(float(truth.sum() + answer.sum()), 1.0)


def _segments(clip: Clip, answer: tuple[Array, Array], active: float, begins: float) -> tuple[Segment, ...]:
    return segments_of(clip.time_s, *answer, active, begins)


def _miscounted(tested: list[Clip], answers: list[tuple[Array, Array]], active: float, begins: float) -> float:
    errors = [
        abs(sum(len(s.repetitions) for s in _segments(clip, answer, active, begins)) - int(clip.begins.sum()))
        for clip, answer in zip(tested, answers, strict=True)
        if clip.source == "ui_prmd"
    ]
    return float(np.mean(errors)) if errors else 0.0


def edge_errors_s(clip: Clip, segments: tuple[Segment, ...]) -> list[float]:
    """How far the first beginning and the last end found lie from the true ones, in seconds."""
    true = np.flatnonzero(clip.active)
    if not len(true) or not segments:
        return []
    return [
        abs(segments[0].start_s - float(clip.time_s[true[0]])),
        abs(segments[-1].end_s - float(clip.time_s[true[-1]]) - 1 / GRID_HZ),
    ]


def measured(model: TrimModel, tested: list[Clip]) -> dict[str, Any]:
    """Frame F1 with a bootstrap interval over clips, errors of the ends, and of the count."""
    answers = [probabilities(model.network, clip) for clip in tested]
    found = [answer[0] >= model.active for answer in answers]
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(200):
        picked = rng.integers(0, len(tested), len(tested))
        draws.append(frame_f1([tested[k] for k in picked], [found[k] for k in picked]))
    pairs = [(clip, _segments(clip, answer, model.active, model.begins))
             for clip, answer in zip(tested, answers, strict=True)]  # fmt: skip
    edges = [error for clip, segments in pairs for error in edge_errors_s(clip, segments)]
    return {
        "clips": len(tested),
        "frame_f1": {"value": frame_f1(tested, found), "low": float(np.quantile(draws, 0.025)),
                     "high": float(np.quantile(draws, 0.975))},
        "all_frames_f1": frame_f1(tested, [np.ones(len(c.active), dtype=bool) for c in tested]),
        "edge_error_s_median": float(np.median(edges)) if edges else None,
        "edge_error_s_p90": float(np.quantile(edges, 0.9)) if edges else None,
        "count_error_mean": _miscounted(tested, answers, model.active, model.begins),
    }  # fmt: skip


def evaluate(config: TrimmingConfig, work: Work) -> dict[str, Any]:
    """On people and takes left out, a data set each; ``all_frames_f1`` is what marking everything would get."""
    from pipeline.scoring.models import read_trimmer

    model = read_trimmer(work.folder)
    if config.boxes:
        from pipeline.training import trimming_boxes

        return trimming_boxes.evaluated(model)
    stuff = material(TEST)
    rng = np.random.default_rng([config.seed, 2])
    groups = {"ui_prmd": [put_together(stuff, rng) for _ in range(config.test_clips)]}
    groups["ui_prmd_quick"] = [put_together(stuff, rng, QUICK) for _ in range(config.test_clips)]
    for take in stuff.takes:
        groups.setdefault(take.source, []).append(take)
    found = {name: measured(model, tested) for name, tested in groups.items()}
    name = "frame F1, UI-PRMD of people left out between idle motion of others"
    return {"primary": {"name": name, **found["ui_prmd"]["frame_f1"], "higher_is_better": True}, "data_sets": found}


def deployed(config: TrimmingConfig) -> tuple[str, ...]:
    """The variant on boxes serves no page: only its evaluation is kept."""
    return () if config.boxes else ("trimming.safetensors", "trimming.json")


STAGE = Stage("trimming", TrimmingConfig, CONFIG, train, evaluate, deployed)
