"""The trimmer's variant on landmarks that are scaled to their own box in every frame, as RepCount's are.

Neither size nor place nor the camera is left in such landmarks, and RepCount tells no frame rate (30 is assumed). It
learns from RepCount's videos on one side of the split of ``benchmarks/repetitions.py`` (by the hash of their names) and
from the other variant's clips as random cameras would see them: which frames are exercise, not where a repetition
begins (``begins`` of its clips is False everywhere). It serves no page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.poses import Array, PoseSequence
from pipeline.repetitions import find_repetitions
from pipeline.scoring.models import TrimModel
from pipeline.scoring.trimming import GRID_HZ
from pipeline.skeletons import BLAZEPOSE_33, KINECT_13
from pipeline.training import trimming
from pipeline.training.motion_data import MotionDataError

ASSUMED_FPS = 30.0
BOX_PX = 1000.0  # a box of this size stands in for the picture


@dataclass(frozen=True, eq=False)
class Video:
    """One video of RepCount.

    name, label; sequence: all 33 landmarks in a box of ``BOX_PX``; active: (T,) inside a repetition.
    """

    name: str
    label: str
    sequence: PoseSequence
    active: NDArray[np.bool_]

    @property
    def side(self) -> str:
        """Half of the names are the test's, as in the repetitions benchmark; of the rest, a fifth the validation's."""
        number = int(hashlib.sha256(self.name.encode()).hexdigest(), 16)
        if number % 2 == 1:
            return trimming.TEST
        return trimming.VALIDATION if number // 2 % 5 == 0 else trimming.TRAIN


@lru_cache(maxsize=1)
def videos() -> tuple[Video, ...]:
    """RepCount. Raises MotionDataError when it is not on this machine."""
    path = settings.data_dir() / "data" / "repcount" / "repcount_test152.npz"
    if not path.is_file():
        raise MotionDataError(f"RepCount is not here ({path.name}); set KINOSCOPE_DATA to the folder of the data.")
    found = []
    with np.load(path) as stored:
        raw, scale, offset = stored["lm_u16"], float(stored["scale"]), stored["offset"]
        spans, of = stored["rep_start_end"], stored["rep_video"]
        for number, name in enumerate(stored["name"]):
            part = raw[offset[number] : offset[number + 1]]
            points = part[:, :, :2] * scale * BOX_PX
            points[(part == 0).all(axis=(1, 2))] = np.nan
            score = np.where(np.isfinite(points[:, :, 0]), 1.0, np.nan)
            size = (int(BOX_PX), int(BOX_PX))
            sequence = PoseSequence(BLAZEPOSE_33, np.arange(len(part)) / ASSUMED_FPS, points, score, None, size)
            active = np.zeros(len(part), dtype=bool)
            for start, end in spans[of == number]:
                active[int(start) : int(end) + 1] = True
            found.append(Video(str(name), str(stored["label"][number]), sequence, active))
    return tuple(found)


def boxed(xy: Array) -> Array:
    """(..., 13, 2) points scaled to their own box in each frame, -0.5 to 0.5 on both axes."""
    low, high = xy.min(axis=-2, keepdims=True), xy.max(axis=-2, keepdims=True)
    return np.asarray((xy - low) / np.maximum(high - low, 1e-6) - 0.5)


def on_grid(video: Video) -> trimming.Clip:
    """The video at 15 frames a second; frames without a pose are bridged. Raises MotionDataError without any."""
    flat = video.sequence.to(KINECT_13).xy_px
    known = np.isfinite(flat).all(axis=(1, 2))
    if not known.any():
        raise MotionDataError(f"RepCount's video {video.name} has no pose in any frame.")
    time_s = video.sequence.time_s
    grid = np.arange(0, time_s[-1] + 1e-9, 1 / GRID_HZ)
    columns = [np.interp(grid, time_s[known], column) for column in flat[known].reshape(int(known.sum()), -1).T]
    points = boxed(np.stack(columns, axis=1).reshape(len(grid), len(KINECT_13), 2))
    step = round(ASSUMED_FPS / GRID_HZ)
    return _clip(points, video.active[::step][: len(grid)], "repcount")


def _clip(points: Array, active: NDArray[np.bool_], source: str) -> trimming.Clip:
    return trimming.Clip(points, active, np.zeros(len(active), dtype=bool), source)


def projected(clip: trimming.Clip, rng: np.random.Generator) -> trimming.Clip:
    """A clip in space as a random camera would see it, each frame in its own box; from any side."""
    yaw, pitch = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(-10, 30))
    away = rng.uniform(4.0, 10.0)  # trunk lengths
    x, y, z = np.moveaxis(clip.xyz, -1, 0)
    x, z = np.cos(yaw) * x + np.sin(yaw) * z, np.cos(yaw) * z - np.sin(yaw) * x
    y, z = np.cos(pitch) * y - np.sin(pitch) * z, np.cos(pitch) * z + np.sin(pitch) * y
    seen = np.stack([x, -y], axis=-1) / np.maximum(away - z, 0.5)[..., None]
    return _clip(boxed(seen), clip.active, "projected")


def stretched(clip: trimming.Clip, rng: np.random.Generator) -> trimming.Clip:
    """Slower or quicker, half of them mirrored: the videos' frame rates are not known."""
    count = max(8, round(len(clip.active) / rng.uniform(0.6, 1.7)))
    place = np.linspace(0, len(clip.active) - 1, count)
    columns = [
        np.interp(place, np.arange(len(clip.active)), column) for column in clip.xyz.reshape(len(clip.xyz), -1).T
    ]
    points = np.stack(columns, axis=1).reshape(count, *clip.xyz.shape[1:])
    if rng.random() < 0.5:
        points = points[:, list(KINECT_13.mirror_order)] * (-1, 1)
    return _clip(points, clip.active[np.rint(place).astype(int)], clip.source)


def drawn(count: int, films: float, side: str, rng: np.random.Generator) -> list[trimming.Clip]:
    """Training clips, ``films`` of them RepCount's videos; for the other sides, all of its videos there."""
    real = [on_grid(video) for video in videos() if video.side == side]
    if side != trimming.TRAIN:
        return real
    seen = [projected(clip, rng) for clip in trimming.clips(trimming.material(side), round(count * (1 - films)), rng)]
    return seen + [stretched(real[rng.integers(len(real))], rng) for _ in range(count - len(seen))]


def marked(model: TrimModel, video: Video) -> NDArray[np.bool_]:
    """(T,) the frames of the video in which the network sees an exercise; none where nobody was found."""
    try:
        clip = on_grid(video)
    except MotionDataError:  # nobody was found
        return np.zeros(len(video.active), dtype=bool)
    answer = trimming.probabilities(model.network, clip)[0]
    return np.asarray(np.interp(video.sequence.time_s, clip.time_s, answer) >= model.active)


def counted(video: Video) -> NDArray[np.bool_]:
    """(T,) the frames inside the repetitions of the counter that is told no exercise."""
    time_s = video.sequence.time_s
    inside = np.zeros(len(time_s), dtype=bool)
    for repetition in find_repetitions(video.sequence).repetitions:
        inside |= (time_s >= repetition.start_s) & (time_s <= repetition.end_s)
    return inside


def evaluated(model: TrimModel) -> dict[str, Any]:
    """Frame F1 on RepCount's held-out half, beside marking every frame and the repetition counter."""
    tested = [video for video in videos() if video.side == trimming.TEST]
    methods: dict[str, Callable[[Video], NDArray[np.bool_]]] = {
        "network": lambda video: marked(model, video),
        "every_frame": lambda video: np.ones(len(video.active), dtype=bool),
        "repetition_counter": counted,
    }
    answers = {name: [method(video) for video in tested] for name, method in methods.items()}
    sums = {name: np.array([_sums(v.active, a) for v, a in zip(tested, found, strict=True)])
            for name, found in answers.items()}  # fmt: skip
    draws = np.random.default_rng(0).integers(0, len(tested), (1000, len(tested)))
    table = {name: _interval(f1(counts), [f1(counts[rows]) for rows in draws]) for name, counts in sums.items()}
    for other in ("every_frame", "repetition_counter"):
        own, theirs = sums["network"], sums[other]
        table[f"network_minus_{other}"] = _interval(
            f1(own) - f1(theirs), [f1(own[rows]) - f1(theirs[rows]) for rows in draws]
        )
    kinds = sorted({video.label for video in tested})
    by_kind = {
        kind: {name: f1(counts[[v.label == kind for v in tested]]) for name, counts in sums.items()} for kind in kinds
    }
    name = "frame F1, landmarks in their box, RepCount's held-out half"
    return {
        "primary": {"name": name, **table["network"], "higher_is_better": True},
        "videos": len(tested),
        "frames": int(sum(len(video.active) for video in tested)),
        "share_active": float(np.concatenate([video.active for video in tested]).mean()),
        "frame_f1": table,
        "by_exercise": by_kind,
    }


def _sums(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> tuple[int, int]:
    return int((truth & answer).sum()), int(truth.sum() + answer.sum())


def f1(sums: NDArray) -> float:
    """F1 over all frames, of rows (hits, marked in truth and answer together)."""
    return float(2 * sums[:, 0].sum() / max(sums[:, 1].sum(), 1))


def _interval(value: float, draws: list[float]) -> dict[str, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high)}
