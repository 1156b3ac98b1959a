"""Clips that were spoiled on purpose, seen by the real pose model, with the true error of every frame.

Two kinds: the rendered actor, whose key points are known exactly, and real clips of the private test data, for which
the poses of the clip as it was filmed stand in for the truth. Of pictures, only what the gate's network sees
(48 x 48 grey crops) is kept, in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.estimation.base import Estimator
from pipeline.media import Frame, read_frames
from pipeline.poses import Array, PoseSequence
from pipeline.scoring.ugly_2d import samples, torso_px, window_frames
from pipeline.skeletons import KINECT_13
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth, default_camera
from pipeline.synthetic.body import Build
from pipeline.synthetic.disturbances import Spoiler
from pipeline.synthetic.motions import MOTIONS, Actor
from pipeline.synthetic.stage import Picture

FPS = 10.0
LENGTH_S = 2.0
SIZES = ((480, 360), (360, 480), (480, 270))
CLIPS_A_FILE = 20
FAR = 2.0  # torso lengths; larger errors, and nobody found, count as this
FIRST_SEED = {"train": 0, "validation": 50_000, "test": 90_000}
# Exercises of the test that training never sees.
UNSEEN_MOTIONS = ("lunge", "overhead_press", "sit_down")
REAL_FOLDERS = ("squat_front", "squat_side", "exercise_other", "adl")


@dataclass(frozen=True, eq=False)
class Judged:
    """Windows with their truth.

    crops: (N, 5, 48, 48); poses: (N, 5, 66); error: (N,) mean distance of the 13 key points from truth in torso lengths
    (``FAR`` at most); share: (N,) of the key points within a tenth of the torso; seen: (N,) share of frames with a
    person found; clip: (N,) number of the clip; source: (N,) "actor" or "real".
    """

    crops: NDArray[np.uint8]
    poses: NDArray[np.float32]
    error: NDArray[np.float32]
    share: NDArray[np.float32]
    seen: NDArray[np.float32]
    clip: NDArray[np.int64]
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.clip)

    def part(self, index: NDArray) -> Judged:
        """The windows chosen by positions or a mask."""
        return Judged(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Damage:
    """What is done to a clip: strengths of ``DISTURBANCES``, and two more.

    strengths; smear_px: length of the streak of a camera that moves; cut: left, top, right, bottom shares cut off.
    """

    strengths: dict[str, float]
    smear_px: int = 0
    cut: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def random_damage(rng: np.random.Generator) -> Damage:
    """Nothing in one of four; else one to three things at once, from hardly visible to severe."""
    if rng.random() < 0.25:
        return Damage({})
    names = ("dark", "blur", "noise", "low_resolution", "occluder", "shake", "smear", "cut")
    chosen = rng.choice(names, int(rng.integers(1, 4)), replace=False)
    strengths = {str(name): float(rng.uniform(0.15, 1.0)) for name in chosen if name not in ("smear", "cut")}
    smear = int(rng.integers(5, 40)) if "smear" in chosen else 0
    cut = [0.0, 0.0, 0.0, 0.0]
    if "cut" in chosen:
        side = int(rng.integers(4))
        cut[side] = float(rng.uniform(0.1, 0.5))
    return Damage(strengths, smear, (cut[0], cut[1], cut[2], cut[3]))


class Spoiling:
    """Applies a ``Damage`` to the pictures and key points of one clip."""

    def __init__(self, damage: Damage, time_s: Array, size: tuple[int, int], seed: int) -> None:
        self._damage = damage
        self._spoiler = Spoiler(time_s, size, damage.strengths, seed)
        self._matrices = self._spoiler.matrices()
        width, height = size
        left, top, right, bottom = damage.cut
        self._window = (
            slice(int(top * height), height - int(bottom * height)),
            slice(int(left * width), width - int(right * width)),
        )
        angle = np.random.default_rng([seed, 8]).uniform(0, np.pi)
        self._streak = _streak(damage.smear_px, angle)

    def picture(self, image: Picture, frame: int) -> Picture:
        """The spoiled picture of a frame; smaller where a part was cut off."""
        if self._streak is not None:
            image = np.asarray(cv2.filter2D(image, -1, self._streak), dtype=np.uint8)
        image = self._spoiler.spoil(image, frame, self._matrices[frame])
        return np.ascontiguousarray(image[self._window])

    def points(self, xy_px: Array) -> Array:
        """(T, J, 2) where key points are in the spoiled pictures."""
        moved = np.einsum("tij,tkj->tki", self._matrices[..., :2], xy_px) + self._matrices[:, None, :, 2]
        return np.asarray(moved - [self._window[1].start, self._window[0].start])


def _streak(length: int, angle: float) -> Array | None:
    if length < 2:
        return None
    kernel = np.zeros((length, length), dtype=np.float32)
    middle, reach = (length - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = (tuple(round(v) for v in middle + sign * reach) for sign in (-1, 1))
    cv2.line(kernel, start, end, (1.0,))
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def actor_spec(seed: int, motions: Sequence[str]) -> ActorSpec:
    """Two seconds of one person in a random motion, room, size and view; nothing is spoiled yet."""
    rng = np.random.default_rng([seed, 61])
    motion = str(rng.choice(motions))
    actor = Actor(
        motion,
        repetitions=2,
        depth=float(rng.uniform(0.6, 1.1)),
        build=Build(float(rng.uniform(1.5, 1.95)), float(rng.uniform(0.85, 1.3)), float(rng.uniform(0.95, 1.05))),
        facing_deg=float(rng.uniform(-25, 25)),
        lead_in_s=0.0,
        seed=seed,
    )
    camera = default_camera((actor,), "front", SIZES[int(rng.integers(len(SIZES)))])
    camera = replace(
        camera,
        yaw_deg=float(rng.uniform(-110, 110)),
        height_m=camera.height_m * float(rng.uniform(0.75, 1.3)),
        distance_m=camera.distance_m * float(rng.uniform(0.9, 2.2)),
    )
    return ActorSpec((actor,), camera=camera, fps=FPS, duration_s=LENGTH_S, seed=seed)


def judged(detected: PoseSequence, truth_px: Array, pictures: Sequence[Frame], clip: int, source: str) -> Judged:
    """The windows of one spoiled clip.

    Args:
        detected: what the pose model found; truth_px: (T, 13, 2) true key points in the same pictures.
    """
    flat = detected.to(KINECT_13)
    found = samples(detected, pictures)
    windows = window_frames(flat.time_s)
    torso = np.maximum(np.median(torso_px(truth_px)), 4.0)
    off = np.linalg.norm(flat.xy_px - truth_px, axis=2) / torso
    off = np.minimum(np.where(np.isfinite(off), off, FAR), FAR)
    return Judged(
        found.crops,
        found.poses,
        off[windows].mean(axis=(1, 2)).astype(np.float32),
        (off[windows] <= 0.10).mean(axis=(1, 2)).astype(np.float32),
        found.seen.mean(axis=1).astype(np.float32),
        np.full(len(windows), clip),
        np.full(len(windows), source, dtype="U8"),
    )


def actor_clip(seed: int, motions: Sequence[str], estimator: Estimator) -> Judged:
    """Render, spoil, detect and compare one clip."""
    spec = actor_spec(seed, motions)
    truth = clip_truth(spec).recording
    frames = [Frame(number, time, image) for number, (image, time) in enumerate(clip_frames(spec))]
    person = truth.people[0].to(KINECT_13)
    return _spoiled(frames, person.xy_px, seed, estimator, "actor")


def _spoiled(frames: Sequence[Frame], truth_px: Array, seed: int, estimator: Estimator, source: str) -> Judged:
    time_s = np.array([frame.time_s for frame in frames])
    size = (frames[0].image.shape[1], frames[0].image.shape[0])
    spoiling = Spoiling(random_damage(np.random.default_rng([seed, 62])), time_s, size, seed)
    spoiled = [replace(frame, image=spoiling.picture(frame.image, number)) for number, frame in enumerate(frames)]
    true_px = spoiling.points(truth_px)
    return judged(_one_person(estimator, spoiled, true_px), true_px, spoiled, seed, source)


def _one_person(estimator: Estimator, frames: Sequence[Frame], near_px: Array) -> PoseSequence:
    """Who is nearest to the true place in each frame; NaN where nobody is found."""
    estimator.reset()
    joints = len(estimator.skeleton)
    xy, score = np.full((len(frames), joints, 2), np.nan), np.full((len(frames), joints), np.nan)
    for number, frame in enumerate(frames):
        people = estimator.update(frame.image, frame.time_s)
        if people:
            middle = np.nanmean(near_px[number], axis=0)
            best = min(people, key=lambda p: float(np.linalg.norm(np.nanmean(p.xy_px, axis=0) - middle)))
            xy[number], score[number] = best.xy_px, np.clip(best.score, 0, 1)
    image = frames[0].image
    return PoseSequence(
        estimator.skeleton, np.array([f.time_s for f in frames]), xy, score, None, (image.shape[1], image.shape[0])
    )  # fmt: skip


def real_clip(path: Path, start_s: float, seed: int, estimator: Estimator) -> Judged | None:
    """Two seconds of a real clip, spoiled; None where the pose model is not sure of the clip as it was filmed.

    Truth is what it finds there with a confidence over 0.8 on average.
    """
    frames: list[Frame] = []
    for frame in read_frames(path, start_s=start_s, end_s=start_s + LENGTH_S, max_side_px=480):
        if not frames or frame.time_s - frames[-1].time_s >= 1 / FPS - 0.005:
            frames.append(frame)
    if len(frames) < 0.8 * FPS * LENGTH_S:
        return None
    height, width = frames[0].image.shape[:2]
    centre = np.tile(np.array([width / 2, height / 2]), (len(frames), 13, 1))
    clean = _one_person(estimator, frames, centre).to(KINECT_13)
    if not np.isfinite(clean.xy_px).all() or float(clean.score.mean()) < 0.8:
        return None
    return _spoiled(frames, clean.xy_px, seed, estimator, "real")


def clips(
    split: str,
    count: int,
    progress: Callable[[str, float], None] | None = None,
    folder: Path | None = None,
) -> Judged:
    """The windows of ``count`` actor clips of "train", "validation" or "test"; drawn the first time, then read.

    The test has motions in a third of its clips that training never sees.
    """
    from pipeline.estimation.registry import create_estimator

    folder = (folder or settings.cache_dir() / "degraded-clips") / split
    folder.mkdir(parents=True, exist_ok=True)
    usual = tuple(motion for motion in MOTIONS if motion not in UNSEEN_MOTIONS)
    estimator: Estimator | None = None
    found = []
    for start in range(0, count, CLIPS_A_FILE):
        path = folder / f"actor-{start:04d}.npz"
        if not path.is_file():
            estimator = estimator or create_estimator("blazepose", threads=1)
            seeds = range(FIRST_SEED[split] + start, FIRST_SEED[split] + start + CLIPS_A_FILE)
            made = [
                actor_clip(seed, UNSEEN_MOTIONS if split == "test" and seed % 3 == 0 else usual, estimator)
                for seed in seeds
            ]
            _write(path, joined(made))
        found.append(_read(path))
        if progress is not None:
            progress(f"{start + CLIPS_A_FILE} of {count} clips drawn, spoiled and detected", start / max(count, 1))
    return joined(found)


def real_clips(split: str, folder: Path | None = None) -> Judged | None:
    """Windows of spoiled real clips; a film is in one split only. None where the private clips are not there."""
    from pipeline.estimation.registry import create_estimator

    paths = sorted(
        path for name in REAL_FOLDERS for path in (settings.data_dir() / "media" / name).glob("*.mp4") if path.is_file()
    )
    mine = [path for number, path in enumerate(paths) if ("test" if number % 3 == 0 else "train") == split]
    if not mine:
        return None
    kept = (folder or settings.cache_dir() / "degraded-clips") / split / f"real-{len(mine)}.npz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        estimator = create_estimator("blazepose", threads=1)
        made = []
        for number, path in enumerate(mine):
            for part in range(2):
                one = real_clip(path, 0.5 + 2.5 * part, 700_000 + 10 * number + part, estimator)
                made += [one] if one is not None else []
        if not made:
            return None
        _write(kept, joined(made))
    return _read(kept)


def joined(parts: Sequence[Judged]) -> Judged:
    """All windows as one."""
    return Judged(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Judged)})


def _write(path: Path, windows: Judged) -> None:
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **{f.name: getattr(windows, f.name) for f in fields(Judged)})
    part.replace(path)


def _read(path: Path) -> Judged:
    with np.load(path) as stored:
        return Judged(**{f.name: stored[f.name] for f in fields(Judged)})


def by_clip(windows: Judged) -> Iterator[Judged]:
    """The windows of each clip."""
    for clip in np.unique(windows.clip):
        yield windows.part(windows.clip == clip)
